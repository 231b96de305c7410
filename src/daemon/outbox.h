/* SPDX-License-Identifier: ISC */
/* The daemon's end of the outbox: making the drop box, and taking in what was put there (submit/outbox.h). */
#ifndef DAEMON_OUTBOX_H
#define DAEMON_OUTBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/control.h"
#include "base/err.h"
#include "handler/handler.h"
#include "session/session.h"

/*
 * Makes the folder and what is in it, or checks that what is there is ours: owned by uid (the workers';
 * (uid_t)-1: we ourselves), group gid. The folder above must exist. Called by the master before the fork, as
 * root if it was started so; it follows no symbolic link.
 */
int outbox_prepare(const char *folder, uid_t uid, gid_t gid, struct err *e);

/* What playing a message needs; all the worker's. */
struct outbox_player {
	const char *folder;
	const struct session_config *session;
	struct handler *handler;
	const struct session_events *events; /* told as for any session */
	struct control *control; /* a stop ends it between two messages, or inside one as a session's */
	const struct smtp_reply *refusal; /* local programs are not welcome: what they are told (session_peer); NULL: they are */
	int64_t expire_after_ms; /* what could not be taken in for so long is put with the refused */
	/*
	 * A session may end the process (a module): each has one of its own. Called when it did, to put in
	 * order what it left. NULL: played here
	 */
	void (*died)(void *ctx);
	void *died_ctx;
	char *peer; /* gets "unix:uid=1000" of each file's owner, for the events */
	size_t peer_cap;
};

enum outbox_result {
	OUTBOX_EMPTY, /* nothing is left, or another worker is at it */
	OUTBOX_LATER /* some were refused for now, or we are to stop */
};
/*
 * Plays all there is, the oldest claims first. Runs in a worker, with its rights. Logs what becomes of each
 * file.
 */
enum outbox_result outbox_drain(const struct outbox_player *p);

#endif
