/* SPDX-License-Identifier: ISC */
/* See target.h. Runs with the rights of whoever sends mail. */
#include "sendmail/target.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/paths.h"
#include "submit/transmit.h"

static const struct endpoint *first_local(const struct config *cfg, enum endpoint_kind kind)
{
	for (size_t i = 0; i < cfg->listener_count; i++)
		for (size_t j = 0; j < cfg->listener[i].localaddr_count; j++) {
			const struct endpoint *ep = &cfg->listener[i].localaddr[j];

			if (ep->kind == kind && (kind == ENDPOINT_UNIX || ep->port != 0))
				return ep;
		}
	return NULL;
}

static void choose(struct target *t)
{
	const struct endpoint *ep = first_local(&t->cfg, ENDPOINT_UNIX);

	if (!ep)
		ep = first_local(&t->cfg, ENDPOINT_TCP);
	if (t->has_file && ep) {
		t->remote = *ep;
		endpoint_make_reachable(&t->remote);
		return;
	}
	t->remote = (struct endpoint){ .kind = ENDPOINT_UNIX };
	snprintf(t->remote.path, sizeof(t->remote.path), "%s", TARGET_DEFAULT_SOCKET);
}

int target_find(struct target *t, const char *config_file, config_report *report, void *ctx, struct err *e)
{
	const char *file = config_file ? config_file : CONFIG_DEFAULT_FILE;

	memset(t, 0, sizeof(*t));
	config_init(&t->cfg);
	if (config_file || access(file, R_OK) == 0) {
		t->has_file = config_load(&t->cfg, file, report, ctx) == 0;
		if (!t->has_file && config_file) {
			err_set(e, "%s: it could not be used", file);
			return -1;
		}
		if (!t->has_file) { /* a broken file is the daemon's trouble: what it last understood still runs */
			config_release(&t->cfg);
			config_init(&t->cfg);
		}
	}
	choose(t);
	endpoint_format(&t->remote, t->name);
	t->upstream = (struct upstream_settings){
		.name = t->name,
		.remote = t->remote,
		.tls = UPSTREAM_TLS_NONE,
		.hostname = t->cfg.hostname,
		.eightbit = UPSTREAM_EIGHTBIT_PASS, /* 8-bit mail of local programs has always gone as it is */
		.pipelining = true,
	};
	transmit_default_timeouts(&t->upstream);
	return 0;
}

void target_release(struct target *t)
{
	config_release(&t->cfg);
}

static int connect_unix(const struct endpoint *ep)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, ep->path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int connect_tcp(const struct endpoint *ep)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	char port[8];
	int fd = -1;

	snprintf(port, sizeof(port), "%u", (unsigned)ep->port);
	if (getaddrinfo(ep->host, port, &hints, &list) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

int target_connect(const struct target *t, struct err *e)
{
	int fd = t->remote.kind == ENDPOINT_UNIX ? connect_unix(&t->remote) : connect_tcp(&t->remote);

	if (fd < 0)
		err_set_os(e, errno, "%s: cannot connect", t->name);
	return fd;
}
