/* SPDX-License-Identifier: ISC */
/*
 * What lasts while generations of the service come and go (service.h), and the master's book of them. The
 * master's own: children have the service they were forked with.
 */
#ifndef DAEMON_HOUSE_H
#define DAEMON_HOUSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "access/limits.h"
#include "daemon/activation.h"
#include "daemon/notify.h"
#include "daemon/service.h"
#include "daemon/trial.h"
#include "listener/socket.h"
#include "master/scoreboard.h"
#include "master/supervise.h"

struct sandbox_watch;

/* What is being tried before it comes into use. */
enum house_trial {
	HOUSE_NO_TRIAL,
	HOUSE_TRIES_RELOAD, /* HUP: the configuration */
	HOUSE_TRIES_UPGRADE, /* USR2: the same, first */
	HOUSE_TRIES_EXECUTABLE /* USR2: then the new executable, with it */
};

struct house {
	const struct service_setup *setup;
	struct service *now; /* owned */
	struct service *before; /* it has just been replaced; owned */

	/* made once, or had from the executable before this one */
	char *spool; /* of which it has the lock; NULL: none yet; owned */
	int lock_fd;
	int notice_fd[2], event_fd[2], unsaved_fd;
	int64_t started_wall_us;
	struct scoreboard *board;
	struct limits limits;
	struct notify notify; /* what the supervisor is told */
	struct sandbox_watch *watch; /* of what children were not allowed to do; NULL: none yet */
	char *pid_file; /* written, so to be removed; NULL: none; owned */
	/* nobody listens there any more, but there are clients in their backlogs */
	struct listening_set going;
	int64_t going_since_mono_ms;
	struct listening_set metrics; /* for figures, open already; until the first generation has them */
	unsigned strangers; /* workers of the executable before this one, at the start */

	/* for the master: those of `now` */
	struct master_roles roles;
	struct master_limits master_limits;

	struct trial trial;
	enum house_trial tries;
	bool again; /* HUP came meanwhile */
	bool refused; /* what was tried last */
	struct stat tried; /* the new executable, when it was tried */
};

/*
 * The pid file has this name from now on, and is written; NULL: there is to be none. Once lock and sockets are
 * ours. -1 and e: the old one is untouched.
 */
int house_move_pid_file(struct house *h, const char *name, struct err *e);
/*
 * From here on children are forked with s, whose sockets are taken out of `open`. What it takes the place of
 * (`before`) is freed when the old ones have been told.
 */
void house_use(struct house *h, struct service *s, struct listening_set *open);
/* What there is to say of it in a line, and saying that it is ready (again). */
void house_gather(const struct service *s, struct notify_facts *f);
void house_tell_ready(struct house *h);

#endif
