/* SPDX-License-Identifier: ISC */
/* See world.h. The kernel's tables are read, never asked by trying: a port that is bound for a moment to see whether
 * it is free could keep a service from starting. */
#include "doctor/world.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "doctor/proc.h"
#include "spool/spool.h"

const char *doctor_address_format(const struct doctor_address *a, char out[DOCTOR_ADDRESS_TEXT_MAX])
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (a->address.ss_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&a->address;

		snprintf(out, DOCTOR_ADDRESS_TEXT_MAX, "%.*s", (int)sizeof(un->sun_path), un->sun_path);
	} else if (getnameinfo((const struct sockaddr *)&a->address, a->len, host, sizeof(host), port,
			       sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
		snprintf(out, DOCTOR_ADDRESS_TEXT_MAX, strchr(host, ':') ? "[%.100s]:%s" : "%.100s:%s", host,
			 port);
	} else {
		snprintf(out, DOCTOR_ADDRESS_TEXT_MAX, "?");
	}
	return out;
}

/* ---- names: in a process of their own, as getaddrinfo has no deadline ------------------- */

struct resolved {
	int error; /* of getaddrinfo */
	int os_error;
	size_t count;
	struct doctor_address address[DOCTOR_ADDRESSES_MAX];
};

static void look_up(const char *host, uint16_t port, struct resolved *r)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	char service[8];

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	r->error = getaddrinfo(host, service, &hints, &found);
	r->os_error = r->error == EAI_SYSTEM ? errno : 0;
	for (const struct addrinfo *a = r->error ? NULL : found; a && r->count < DOCTOR_ADDRESSES_MAX;
	     a = a->ai_next) {
		struct doctor_address *to = &r->address[r->count++];

		memcpy(&to->address, a->ai_addr, a->ai_addrlen);
		to->len = a->ai_addrlen;
	}
}

/* All of it from a pipe, by the deadline. */
static bool read_by(int fd, void *data, size_t len, int64_t by_mono_ms)
{
	size_t got = 0;

	while (got < len) {
		int64_t left = by_mono_ms - clock_mono_ms();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return false;
		n = read(fd, (char *)data + got, len - got);
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		got += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static int real_resolve(void *ctx, const char *host, uint16_t port, int timeout_ms,
			struct doctor_address *out, size_t *count, struct err *e)
{
	struct resolved r = { 0 };
	int64_t by = clock_mono_ms() + timeout_ms;
	bool answered;
	int fd[2];
	pid_t pid;

	(void)ctx;
	if (pipe2(fd, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		err_set_os(e, errno, "%s: cannot be looked up", host);
		return -1;
	}
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		look_up(host, port, &r);
		_exit(write(fd[1], &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
	}
	close(fd[1]);
	answered = read_by(fd[0], &r, sizeof(r), by);
	close(fd[0]);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (!answered) {
		err_set(e, "%s: no answer within %.1f s", host, timeout_ms / 1000.0);
		return -1;
	}
	if (r.error) {
		err_set(e, "%s: %s", host, r.os_error ? strerror(r.os_error) : gai_strerror(r.error));
		return -1;
	}
	*count = r.count;
	memcpy(out, r.address, r.count * sizeof(*out));
	return 0;
}

/* ---- connections ---------------------------------------------------------------------- */

static int connect_by(const struct doctor_address *to, int64_t by_mono_ms, struct err *e)
{
	int fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(error);
	int64_t left;

	if (fd < 0) {
		err_set_os(e, errno, "cannot make a socket");
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&to->address, to->len) < 0 && errno != EINPROGRESS) {
		error = errno;
	} else {
		left = by_mono_ms - clock_mono_ms();
		if (poll(&p, 1, left > 0 ? (int)left : 0) != 1)
			error = ETIMEDOUT;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	err_set(e, "%s", strerror(error));
	e->os_error = error;
	return -1;
}

/*
 * One line, without its end; what is longer is cut. Then QUIT, so that it is no broken session to the server.
 */
static void read_line(int fd, char *line, size_t cap, int64_t by_mono_ms)
{
	size_t len = 0;
	char c;

	while (len < cap - 1 && read_by(fd, &c, 1, by_mono_ms) && c != '\n')
		line[len++] = c;
	while (len > 0 && line[len - 1] == '\r')
		len--;
	line[len] = '\0';
	if (len > 0 && send(fd, "QUIT\r\n", 6, MSG_NOSIGNAL) == 6)
		(void)read_by(fd, &c, 1, by_mono_ms);
}

static int real_connect(void *ctx, const struct doctor_address *to, int timeout_ms, char *line, size_t cap,
			struct err *e)
{
	int64_t by = clock_mono_ms() + timeout_ms;
	int fd = connect_by(to, by, e);

	(void)ctx;
	if (fd < 0)
		return -1;
	if (line)
		read_line(fd, line, cap, by);
	close(fd);
	return 0;
}

static int real_http(void *ctx, const struct http_request *request, struct http_answer *answer, struct err *e)
{
	(void)ctx;
	return http_perform(request, answer, e);
}

static void real_talk(void *ctx, const struct dialogue_plan *plan, struct dialogue *out)
{
	(void)ctx;
	dialogue_run(plan, out);
}

/* ---- this machine ---------------------------------------------------------------------- */

static bool real_is_local(void *ctx, const struct doctor_address *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->address, *in2;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&a->address, *in62;
	struct ifaddrs *all, *i;
	bool found = false;

	(void)ctx;
	/* all of 127/8 is ours, whatever lo has */
	if (a->address.ss_family == AF_INET &&
	    (in->sin_addr.s_addr == htonl(INADDR_ANY) || ntohl(in->sin_addr.s_addr) >> 24 == 127))
		return true;
	if (a->address.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
		return true;
	if (getifaddrs(&all) < 0)
		return true; /* not known to be wrong */
	for (i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != a->address.ss_family)
			continue;
		in2 = (const struct sockaddr_in *)(const void *)i->ifa_addr;
		in62 = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
		found = a->address.ss_family == AF_INET
				? in->sin_addr.s_addr == in2->sin_addr.s_addr
				: memcmp(&in6->sin6_addr, &in62->sin6_addr, sizeof(in6->sin6_addr)) == 0;
	}
	freeifaddrs(all);
	return found;
}

static int real_statvfs(void *ctx, const char *path, struct statvfs *out)
{
	(void)ctx;
	return statvfs(path, out);
}

static int real_filesystem(void *ctx, const char *path, const char **name, bool *is_volatile,
			   bool *has_journal, struct err *e)
{
	struct spool s;

	(void)ctx;
	if (spool_open(&s, path, SPOOL_READ, SPOOL_SYNC_AUTO, e) < 0)
		return -1;
	*name = spool_filesystem(&s, is_volatile);
	*has_journal = !s.sync_directory; /* what "auto" made of it */
	spool_close(&s);
	return 0;
}

static int real_clock_synchronised(void *ctx)
{
	struct timex t = { .modes = 0 }; /* reads only */
	int state = adjtimex(&t);

	(void)ctx;
	return state < 0 ? -1 : state != TIME_ERROR && !(t.status & STA_UNSYNC);
}

static int64_t real_now(void *ctx)
{
	(void)ctx;
	return clock_wall_us();
}

static void real_sandbox(void *ctx, struct sandbox_support *support)
{
	(void)ctx;
	sandbox_support_find(support);
}

static bool real_open_files(void *ctx, pid_t pid, uint64_t *most)
{
	struct rlimit limit;

	(void)ctx;
	if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) < 0)
		return false;
	*most = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	return true;
}

static int real_listening(void *ctx, struct doctor_listening *out, size_t *count)
{
	(void)ctx;
	return proc_listening(out, count);
}

static bool real_owner(void *ctx, unsigned long inode, pid_t first, pid_t *pid, char *name, size_t cap)
{
	(void)ctx;
	return proc_socket_owner(inode, first, pid, name, cap);
}

void doctor_world_init(struct doctor_world *w)
{
	*w = (struct doctor_world){
		.resolve = real_resolve,
		.connect = real_connect,
		.talk = real_talk,
		.http = real_http,
		.listening = real_listening,
		.owner = real_owner,
		.is_local = real_is_local,
		.statvfs = real_statvfs,
		.filesystem = real_filesystem,
		.clock_synchronised = real_clock_synchronised,
		.now_wall_us = real_now,
		.open_files = real_open_files,
		.sandbox = real_sandbox,
		.euid = geteuid(),
	};
}
