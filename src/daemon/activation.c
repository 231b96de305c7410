/* SPDX-License-Identifier: ISC */
/* See activation.h. Runs in the master, before it has done anything else. */
#include "daemon/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/num.h"

#define FIRST_FD 3 /* sd_listen_fds(3) */
#define SOCKETS_MAX 256
#define NAME_MAX_BYTES 255 /* of systemd's own */
#define HANDED_OVER "POSTHOUSE_SOCKETS" /* NAME, tab, ADDRESS; a line each */

/* ---- what was passed ------------------------------------------------------------------ */

static void remember(struct activation *a, const char *name, size_t name_len, const struct endpoint *bound)
{
	a->socket = mem_resize(a->socket, a->count + 1, sizeof(*a->socket));
	a->socket[a->count].name = mem_strndup(name, name_len);
	a->socket[a->count].bound = *bound;
	a->count++;
}

static int get_flag(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 ? 0 : value;
}

/* A client of IPv4 would come as one of IPv6 there, under other rules: [::ffff:192.0.2.1]. */
static bool takes_both_families(int fd, const struct endpoint *bound)
{
	return bound->kind == ENDPOINT_TCP && strcmp(bound->host, "::") == 0 &&
	       !get_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
}

static int take(struct activation *a, int fd, const char *name, size_t name_len, struct err *e)
{
	const struct endpoint *bound;
	char text[ENDPOINT_TEXT_MAX];
	int flags = fcntl(fd, F_GETFD);

	/* what came over exec() is not closed on exec: this one was opened since, by ourselves */
	if (flags < 0 || (flags & FD_CLOEXEC)) {
		err_set_os(e, EBADF, "LISTEN_FDS names more sockets than were passed (descriptor %d)", fd);
		return -1;
	}
	if (get_flag(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM && !get_flag(fd, SOL_SOCKET, SO_ACCEPTCONN)) {
		err_set(e,
			"the socket \"%.*s\" that was passed does not listen: ListenStream= and Accept=no are needed",
			(int)name_len, name);
		return -1;
	}
	/* the backlog is as the unit wants it, until the socket is taken over */
	if (listening_adopt(&a->open, fd, NULL, "", SOMAXCONN, e) < 0) {
		err_prefix(e, "the socket \"%.*s\" that was passed", (int)name_len, name);
		return -1;
	}
	bound = &a->open.item[a->open.count - 1].endpoint;
	if (takes_both_families(fd, bound)) {
		err_set(e,
			"the socket \"%.*s\" that was passed (%s) takes clients of IPv4, too: BindIPv6Only=ipv6-only is needed, and another socket for IPv4",
			(int)name_len, name, endpoint_format(bound, text));
		return -1;
	}
	remember(a, name, name_len, bound);
	return 0;
}

/* Names are separated by colons; without any, all are "unknown" as sd_listen_fds_with_names(3) has it. */
static int take_all(struct activation *a, unsigned count, const char *names, struct err *e)
{
	for (const char *c = names; c && *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			err_set(e, "LISTEN_FDNAMES has control characters in it");
			return -1;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		const char *name = names && *names ? names : "unknown";
		size_t len = names && *names ? strcspn(names, ":") : strlen(name);

		if (take(a, FIRST_FD + (int)i, name, len > NAME_MAX_BYTES ? NAME_MAX_BYTES : len, e) < 0)
			return -1;
		if (names) {
			names += strcspn(names, ":");
			names += *names == ':';
		}
	}
	return 0;
}

static bool number_of(const char *variable, uint64_t max, uint64_t *value)
{
	const char *text = getenv(variable);

	return text && num_parse_u64(text, strlen(text), max, value);
}

static int read_passed(struct activation *a, struct err *e)
{
	uint64_t pid, count;

	/* meant for another process, which let us inherit its environment */
	if (!number_of("LISTEN_PID", INT64_MAX, &pid) || pid != (uint64_t)getpid() || !getenv("LISTEN_FDS"))
		return 0;
	if (!number_of("LISTEN_FDS", SOCKETS_MAX, &count)) {
		err_set(e, "LISTEN_FDS=%.40s is not a number of sockets (0 to %d)", getenv("LISTEN_FDS"),
			SOCKETS_MAX);
		return -1;
	}
	return take_all(a, (unsigned)count, getenv("LISTEN_FDNAMES"), e);
}

/* The executable before us, with the same process ID, wrote it. */
static int read_handed_over(struct activation *a, const char *text, struct err *e)
{
	while (*text) {
		size_t name_len = strcspn(text, "\t"), len = strcspn(text, "\n");
		char address[ENDPOINT_TEXT_MAX];
		struct endpoint bound;

		if (name_len >= len || len - name_len > sizeof(address)) {
			err_set(e, HANDED_OVER
				" cannot be read: it is for who is started by an older posthoused");
			return -1;
		}
		snprintf(address, sizeof(address), "%.*s", (int)(len - name_len - 1), text + name_len + 1);
		if (endpoint_parse(address, -1, &bound, e) < 0) {
			err_prefix(e, HANDED_OVER);
			return -1;
		}
		remember(a, text, name_len, &bound);
		text += len + (text[len] == '\n');
	}
	return 0;
}

int activation_read(struct activation *a, struct err *e)
{
	const char *handed_over = getenv(HANDED_OVER);
	int r;

	memset(a, 0, sizeof(*a));
	listening_init(&a->open);
	r = handed_over ? read_handed_over(a, handed_over, e) : read_passed(a, e);
	unsetenv(HANDED_OVER);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return r;
}

void activation_hand_over(const struct activation *a)
{
	char address[ENDPOINT_TEXT_MAX];
	struct buf text;

	if (a->count == 0)
		return;
	buf_init(&text, SOCKETS_MAX * (NAME_MAX_BYTES + sizeof(address) + 2));
	for (size_t i = 0; i < a->count; i++)
		buf_addf(&text, "%s\t%s\n", a->socket[i].name, endpoint_format(&a->socket[i].bound, address));
	setenv(HANDED_OVER, text.data, 1);
	buf_release(&text);
}

void activation_close(struct activation *a)
{
	listening_release(&a->open, false);
}

void activation_release(struct activation *a)
{
	activation_close(a);
	for (size_t i = 0; i < a->count; i++)
		free(a->socket[i].name);
	free(a->socket);
	a->socket = NULL;
	a->count = 0;
}

/* ---- whose they are -------------------------------------------------------------------- */

static void listen_on_named(const struct activation *a, struct config_listener *l)
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++)
		count += strcmp(a->socket[i].name, l->name) == 0;
	if (count == 0)
		return;
	free(l->localaddr);
	l->localaddr = mem_array(count, sizeof(*l->localaddr));
	l->localaddr_count = 0;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->socket[i].name, l->name) == 0)
			l->localaddr[l->localaddr_count++] = a->socket[i].bound;
}

void activation_apply(const struct activation *a, struct config *cfg)
{
	for (size_t i = 0; i < cfg->listener_count; i++)
		listen_on_named(a, &cfg->listener[i]);
}

int activation_check(const struct activation *a, struct listening_set *bound, struct err *e)
{
	for (size_t i = 0; i < a->count; i++) {
		char address[ENDPOINT_TEXT_MAX];
		bool found = false;

		endpoint_format(&a->socket[i].bound, address);
		for (size_t k = 0; k < bound->count; k++) {
			if (strcmp(bound->item[k].address, address) != 0)
				continue;
			bound->item[k].keep_file = true;
			found = true;
		}
		if (!found) {
			err_set(e,
				"the socket \"%s\" that was passed (%s) is no listener's: no listener has its name (FileDescriptorName=), and its address is no localaddr",
				a->socket[i].name, address);
			return -1;
		}
	}
	return 0;
}
