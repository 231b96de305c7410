/* SPDX-License-Identifier: ISC */
/*
 * What the service tells whoever supervises it, by sd_notify(3)'s protocol: a
 * datagram of KEY=VALUE lines to the unix socket that NOTIFY_SOCKET names.
 * systemd is one who listens there (Type=notify, WatchdogSec=), container
 * managers are others. The protocol and not libsystemd: its sd_notify() waits
 * when nobody reads, and the master must not wait for anybody.
 *
 * Runs in the master only. Without a supervisor all of it does nothing. What
 * cannot be sent is lost: the next message tells the state anew.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define NOTIFY_STATUS_MAX 200

struct notify {
	bool ready; /* it was told that the service is */
	bool was_ready; /* by the executable before this one */
	int64_t watchdog_ms; /* it wants to hear of us that often; 0: it does not look */
	int64_t fed_mono_ms; /* when it did */
	bool starved; /* it has not been fed lately, and the log says why */
	int64_t status_mono_ms; /* when a status was told */
	char status[NOTIFY_STATUS_MAX]; /* the last one */
};

/* Numbers of the status line. */
struct notify_facts {
	unsigned workers, busy;
	bool has_queue;
	unsigned queued; /* UINT_MAX: not known yet */
	bool refused; /* the last reload or upgrade; then the old configuration is in use */
};

/* Whether there is somebody to be told. */
bool notify_is_wanted(void);

/* Reads the environment (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID), which stays: an executable that takes our place
   reads it again. */
void notify_init(struct notify *n);

/* Once, when this executable has taken the place of another: the watchdog goes on looking. */
void notify_go_on(struct notify *n);

/* The sentence about a service that runs, into out (NOTIFY_STATUS_MAX); returns out. */
const char *notify_status(const struct notify_facts *f, char *out);

/* All is ready for clients: at the start, and after each notify_reloading, also when the reload was refused. */
void notify_ready(struct notify *n, const struct notify_facts *f);
void notify_reloading(struct notify *n);
/* The stop may take so long; systemd's own patience (TimeoutStopSec=) is stretched to it. */
void notify_stopping(struct notify *n, int64_t at_most_ms);
/* It could not start, or has ended in disorder. */
void notify_failed(struct notify *n, const struct err *why);

/*
 * About once a second; nothing before notify_ready, but what the watchdog waits for. alive: nothing hangs that only a restart would help, so the
 * watchdog is fed; else `why` says what does, in the status and once in the log.
 */
void notify_tick(struct notify *n, const struct notify_facts *f, bool alive, const struct err *why);

#endif
