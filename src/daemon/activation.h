/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets that somebody else opened, by sd_listen_fds(3)'s protocol: descriptors from 3 on, LISTEN_FDS of
 * them, for the process LISTEN_PID, with the names LISTEN_FDNAMES (FileDescriptorName= of a socket unit).
 *
 * A socket whose name is that of a listener is this listener's, and all of that name take the place of its localaddr.
 * Any other one has to stand in the configuration as a localaddr, and is taken over instead of being bound. One for
 * which there is no listener is an error: mail would wait in it for ever.
 *
 * In the master. What was passed is remembered for as long as it lives, as the sockets are not ours: a configuration
 * that is read anew has to have a place for each, and the files of unix sockets are not removed.
 */
#ifndef DAEMON_ACTIVATION_H
#define DAEMON_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "config/config.h"
#include "listener/socket.h"

struct activated {
	char *name; /* owned */
	struct endpoint bound; /* what it is bound to, in numbers */
};

struct activation {
	struct activated *socket; /* owned */
	size_t count;
	struct listening_set open; /* until the first generation of workers has taken them over */
};
#define ACTIVATION_NONE                                                                                      \
	{                                                                                                    \
		.count = 0                                                                                   \
	}

/*
 * First thing after the start: before any descriptor is opened, and before the process goes into the background. The
 * variables are taken out of the environment.
 */
int activation_read(struct activation *a, struct err *e);
void activation_release(struct activation *a);
/* The sockets have been taken over, or it is a child that needs none. */
void activation_close(struct activation *a);

/* Each listener that sockets are named after listens on these from now on, whatever its localaddr was. */
void activation_apply(const struct activation *a, struct config *cfg);
/* The listeners' sockets are open: whether they have all that were passed. The files of these are not ours to remove. */
int activation_check(const struct activation *a, struct listening_set *bound, struct err *e);

/*
 * Before exec() of an executable that takes our place, and has the sockets from us: what was passed, for its
 * activation_read.
 */
void activation_hand_over(const struct activation *a);

#endif
