/* SPDX-License-Identifier: ISC */
/*
 * The worker's side: a session's authenticator that asks the auth process
 * (protocol.h). Blocks, with a deadline, and no longer than the service runs.
 * No answer, whatever the reason, is "temporary": a client is told that its
 * password is wrong only by who has looked at it.
 */
#ifndef AUTH_CLIENT_H
#define AUTH_CLIENT_H

#include <stdatomic.h>

#include "base/control.h"
#include "session/authenticator.h"

/* What all listeners of a worker share: a session has one exchange at most. */
struct auth_asker_line {
	int request_fd; /* write end of the shared pair */
	struct control *control;
	_Atomic unsigned *mechanisms; /* shared memory: what the auth process can do */
};

struct auth_asker {
	struct session_authenticator authenticator;
	const struct auth_asker_line *line;
	unsigned allowed; /* auth_mechanisms of the listener: bits of smtp/mechanism.h */
	int fd; /* of the exchange under way; -1: none */
	struct channel_message *answer; /* the last one; owned */
};

/* For one listener. */
void auth_asker_init(struct auth_asker *c, const struct auth_asker_line *line, unsigned allowed);
void auth_asker_release(struct auth_asker *c);

#endif
