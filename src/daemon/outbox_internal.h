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

#define OUTBOX_IN_SPOOL 's' /* what a child tells first, when a message of the file is */

/*
 * Plays an open file to a session; the reason is set unless it is DONE. control: told of a stop by this one.
 * result_fd: gets OUTBOX_IN_SPOOL at that moment; -1: none.
 */
enum outbox_fate outbox_play_here(const struct outbox_player *p, struct control *control, int result_fd, int fd,
				  const struct stat *st, struct buf *reason);
/*
 * The same in a process of its own; when that died LATER, but behind a message that is in the spool REFUSED.
 */
enum outbox_fate outbox_play_apart(const struct outbox_player *p, int fd, const struct stat *st,
				   struct buf *reason);

#endif
