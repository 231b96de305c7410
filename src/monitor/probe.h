/* SPDX-License-Identifier: ISC */
/*
 * The question to the workers whether they answer: an SMTP session of our own, over a socket pair whose other
 * end goes to whichever worker is free first (the line of descriptors that all of them wait on). EHLO, MAIL,
 * QUIT: the worker answers MAIL by what the spool says.
 *
 * There is one at a time. One that nobody takes is not given up, as everybody is busy then: it is answered
 * when somebody is free, and until then its age is what health.h judges. Who has greeted and then says nothing for
 * answer_ms is given up: one that hangs does not speak for all. Runs in the monitor's event loop.
 */
#ifndef MONITOR_PROBE_H
#define MONITOR_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct probe;

enum probe_result {
	PROBE_GOOD, /* a worker answered, and could begin a message */
	PROBE_NO_STORE, /* it answered, but MAIL with 4yz or 5yz */
	PROBE_LOST /* whoever took it is gone, hangs, or said nonsense */
};

/* line_fd: non-blocking, stays the caller's. store: MAIL is asked, too. */
struct probe *probe_new(struct event_base *base, int line_fd, bool store, int64_t answer_ms,
			void (*done)(void *ctx, enum probe_result result, int64_t took_us), void *ctx);
/* Begins one, unless one is under way. */
void probe_ask(struct probe *p);
/* Whether somebody was asked and has not answered. */
bool probe_is_open(const struct probe *p);
void probe_free(struct probe *p); /* NULL: nothing */

#endif
