/* SPDX-License-Identifier: ISC */
/* The command's end of the relay's sockets (manage/protocol.h). Blocks, with a deadline. */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <jansson.h>

#include "base/err.h"

struct daemon;

enum daemon_door {
	DAEMON_VIEW, /* to look; the other one serves as well, for members of control_group alone */
	DAEMON_CONTROL
};

enum daemon_found {
	DAEMON_CONNECTED,
	DAEMON_ABSENT, /* nobody listens there: no daemon on this spool (e says so too) */
	DAEMON_DENIED, /* we are not in the group: e says which */
	DAEMON_FAILED /* anything else: e */
};

/*
 * Where a relay has gone and left its socket, the next one is waited for (a reload), for DAEMON_BETWEEN_MS at most and
 * once in this process: after a crash of all nobody comes.
 */
#define DAEMON_BETWEEN_MS 5000
enum daemon_found daemon_connect(struct daemon **d, const char *spool_path, enum daemon_door door, struct err *e);
void daemon_close(struct daemon *d); /* NULL is allowed */

/*
 * One request; the reference is stolen. When the relay goes before it said a word to that, the next one is asked: what
 * a relay has done it has answered, unless it crashed.
 */
int daemon_send(struct daemon *d, json_t *request, struct err *e);
/*
 * The next object of the answer, the caller's reference; the last one has "end": true. NULL and e: the relay
 * said {"error"}, or went away, or did not answer in time. timeout_ms < 0: waits for ever (watch).
 */
json_t *daemon_receive(struct daemon *d, int timeout_ms, struct err *e);
/*
 * Descriptors of message and state of up to PROTOCOL_OPEN_MAX ids, -1 where there is none; the caller's. For
 * who may look and may not read the spool's files.
 */
int daemon_open_files(struct daemon *d, const char *const *ids, size_t count, int *message_fd, int *state_fd,
		      struct err *e);

/* The descriptor of SPOOL/lists, the caller's; -1 in *fd: there is none. -1 and e. */
int daemon_open_lists(struct daemon *d, int *fd, struct err *e);

#endif
