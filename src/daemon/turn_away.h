/* SPDX-License-Identifier: ISC */
/*
 * Clients that have waited in the backlog for too long hear 421 instead of
 * nothing, while all workers are busy. The master counts who waits and forks a child
 * for it that has a worker's rights: itself it never has a client's connection.
 */
#ifndef DAEMON_TURN_AWAY_H
#define DAEMON_TURN_AWAY_H

/* Both for master_run; ctx is the service. */
unsigned turn_away_waiting(void *ctx);
void turn_away(void *ctx, unsigned count);

#endif
