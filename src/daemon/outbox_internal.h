/* SPDX-License-Identifier: ISC */
/* What the two files of the outbox share. */
#ifndef DAEMON_OUTBOX_INTERNAL_H
#define DAEMON_OUTBOX_INTERNAL_H

#include <sys/stat.h>

#include "base/buf.h"
#include "daemon/outbox.h"

#define OUTBOX_REASON_MAX 2048

enum outbox_fate {
	FATE_DONE, /* it is in the spool */
	FATE_LATER, /* refused for now: it stays */
	FATE_REFUSED /* for good, or for some of its recipients */
};

/* Plays an open file to a session; the reason is set unless it is DONE. control: told of a stop by this one.
 */
enum outbox_fate outbox_play_here(const struct outbox_player *p, struct control *control, int fd,
				  const struct stat *st, struct buf *reason);
/* The same in a process of its own; LATER when that died. */
enum outbox_fate outbox_play_apart(const struct outbox_player *p, int fd, const struct stat *st,
				   struct buf *reason);

#endif
