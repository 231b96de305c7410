/* SPDX-License-Identifier: ISC */
/*
 * Helpers of the small programs of `make bench`; see tool.h.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"

const char *tool_name = "bench";

void tool_die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", tool_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

uint64_t tool_number(const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;

	if (!num_parse_u64(text, strlen(text), max, &value) || value < min)
		tool_die("'%s' is no number from %ju to %ju", text, (uintmax_t)min, (uintmax_t)max);
	return value;
}

double tool_seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value > 0 && value <= 3600))
		tool_die("'%s' is no number of seconds up to 3600", text);
	return value;
}

int64_t tool_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

double tool_between(int64_t begin_ns, int64_t end_ns)
{
	return (double)(end_ns - begin_ns) / 1e9;
}

void tool_need_files(size_t files)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= files)
		return;
	lim.rlim_cur = files < lim.rlim_max ? files : lim.rlim_max;
	if (lim.rlim_cur < files || setrlimit(RLIMIT_NOFILE, &lim) < 0)
		tool_die("%zu open files are needed, the limit is %ju", files, (uintmax_t)lim.rlim_max);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int tool_connect(uint16_t port)
{
	struct sockaddr_in addr = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	no_delay(fd);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EINPROGRESS) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int tool_listen_inherited(int fd, uint16_t *port)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (listen(fd, 1024) < 0 || getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		tool_die("cannot listen: %s", strerror(errno));
	*port = ntohs(addr.sin_port);
	return fd;
}

int tool_listen(uint16_t *port)
{
	struct sockaddr_in addr = loopback(*port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		tool_die("127.0.0.1:%u: %s", *port, strerror(errno));
	return tool_listen_inherited(fd, port);
}

int tool_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		no_delay(fd);
	return fd;
}
