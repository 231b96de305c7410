/* SPDX-License-Identifier: ISC */
/*
 * The outbox: where sendmail leaves mail while the daemon is down. A drop box,
 * made by posthoused with mode 03733: every local user may put something in,
 * nobody but the daemon's worker user can list it, sticky bit: nobody can move
 * or remove what is another's, set-group bit: what is put in belongs to the
 * workers' group, which may read it (0640).
 *
 *   OUTBOX/tmp-RANDOM  being written; after a crash a piece, removed after OUTBOX_STALE_S
 *   OUTBOX/msg-RANDOM  a whole message, on stable storage: its sender was told so
 *   OUTBOX/taken/      claimed by a worker, which alone may enter: being replayed, or to be replayed at its start
 *   OUTBOX/refused/    what was refused for good, NAME.reason beside it; for an operator to look at
 *
 * A file is an SMTP dialogue of one transaction as a client would send it (EHLO, MAIL, RCPT..., DATA, dot-stuffed
 * content, QUIT). A worker plays it to a session as if its owner were at the other end of the unix socket, so
 * what may be sent and what is checked is the same (daemon/outbox.c).
 *
 * Who has a message is decided by one rename or one unlink of msg-RANDOM:
 *   worker   rename to taken/: from here on it is the daemon's
 *   sender   unlink: it has it back, and may go to the socket. Fails when a worker was first, and then all is well
 * Workers look after the service began to listen. The sender puts the file in, then tries to connect: nobody there
 * means that who will listen has yet to look; somebody there may have looked before, so the file is taken back.
 */
#ifndef SUBMIT_OUTBOX_H
#define SUBMIT_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "submit/submit.h"

#define OUTBOX_MODE 03733
#define OUTBOX_FILE_MODE 0640
#define OUTBOX_UNFINISHED "tmp-"
#define OUTBOX_MESSAGE "msg-"
#define OUTBOX_TAKEN "taken"
#define OUTBOX_REFUSED "refused"
#define OUTBOX_STALE_S 86400
#define OUTBOX_NAME_MAX 40 /* prefix, 32 digits, NUL */

struct outbox_limits {
	uint64_t size_bytes; /* largest message; 0: no limit */
	uint64_t min_free_bytes; /* of the file system, left free */
	size_t recipients; /* in one file; more go into several. 0: no limit */
};

/* What was put in, to take it back. */
struct outbox_entry {
	int dir_fd;
	char (*name)[OUTBOX_NAME_MAX]; /* owned */
	size_t count;
};

/*
 * Puts the message for these recipients (indices of message->env.rcpt) in: on return 0 it is on stable storage. The
 * folder must exist. -1 and e: nothing of it stays. Release the entry after 0.
 */
int outbox_put(struct outbox_entry *entry, const char *folder, const struct outbox_limits *limits,
	       const struct submission *message, const size_t *rcpt, size_t rcpt_count, const char *hostname,
	       struct err *e);
/* True: nothing of it is in the outbox any more. False: a worker has it, or some of it. */
bool outbox_take_back(struct outbox_entry *entry);
void outbox_entry_release(struct outbox_entry *entry);

#endif
