/* SPDX-License-Identifier: ISC */
/*
 * What the checks ask of network, kernel and daemon, as functions: a test has a world of its own. Each has a
 * deadline and changes nothing. Files are looked at directly.
 */
#ifndef DOCTOR_WORLD_H
#define DOCTOR_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "doctor/dialogue.h"
#include "sandbox/support.h"
#include "upstream/http.h"

#define DOCTOR_ADDRESSES_MAX 32 /* of one name; more are not looked at */
#define DOCTOR_LISTENING_MAX 4096 /* sockets of this machine that are looked at */

struct doctor_address {
	struct sockaddr_storage address;
	socklen_t len;
};
#define DOCTOR_ADDRESS_TEXT_MAX 128
/* "192.0.2.1:25", "[2001:db8::1]:25", a unix socket's path. Returns out. */
const char *doctor_address_format(const struct doctor_address *a, char out[DOCTOR_ADDRESS_TEXT_MAX]);

enum doctor_daemon {
	DOCTOR_DAEMON_ABSENT,
	DOCTOR_DAEMON_RUNS,
	DOCTOR_DAEMON_DENIED, /* we may not ask: e says whom it takes */
	DOCTOR_DAEMON_FAILED /* it does not answer: e */
};

struct doctor_listening {
	struct doctor_address at;
	unsigned long inode;
};

struct doctor_world {
	void *ctx;
	/* All addresses of a name, at most DOCTOR_ADDRESSES_MAX. */
	int (*resolve)(void *ctx, const char *host, uint16_t port, int timeout_ms, struct doctor_address *out, size_t *count,
		       struct err *e);
	/*
	 * Connects; with line also reads the first line that comes (without its end, "" when there was none),
	 * and says QUIT.
	 */
	int (*connect)(void *ctx, const struct doctor_address *to, int timeout_ms, char *line, size_t cap, struct err *e);
	/* A session with an upstream; all that was seen. */
	void (*talk)(void *ctx, const struct dialogue_plan *plan, struct dialogue *out);
	/* As http_perform. */
	int (*http)(void *ctx, const struct http_request *request, struct http_answer *answer, struct err *e);
	/* TCP sockets of this machine that listen; -1: it cannot be seen. */
	int (*listening)(void *ctx, struct doctor_listening *out, size_t *count);
	/*
	 * Who has that socket (of several processes `first`, if it is one of them); false: it cannot be seen.
	 */
	bool (*owner)(void *ctx, unsigned long inode, pid_t first, pid_t *pid, char *name, size_t cap);
	/* Whether an address of ours is on an interface. */
	bool (*is_local)(void *ctx, const struct doctor_address *a);
	enum doctor_daemon (*daemon)(void *ctx, const char *spool, int timeout_ms, pid_t *master, struct err *e);
	int (*statvfs)(void *ctx, const char *path, struct statvfs *out); /* as statvfs(3) */
	/* The word for a spool's file system; -1 and e: the spool cannot be opened. */
	int (*filesystem)(void *ctx, const char *spool, const char **name, bool *is_volatile, bool *has_journal,
			  struct err *e);
	int (*clock_synchronised)(void *ctx); /* 1, 0; -1: it cannot be seen */
	int64_t (*now_wall_us)(void *ctx);
	/* RLIMIT_NOFILE of that process (0: ours); false: it cannot be seen. */
	bool (*open_files)(void *ctx, pid_t pid, uint64_t *most);
	void (*sandbox)(void *ctx, struct sandbox_support *support); /* what is possible here */
	uid_t euid;
};

/* The real one, but for daemon(), which the caller has. */
void doctor_world_init(struct doctor_world *w);

#endif
