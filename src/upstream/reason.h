/* SPDX-License-Identifier: ISC */
/*
 * Why a session did not come about: the step at which it stood and, in words
 * an operator can act on, what went wrong. Reads a channel, changes nothing.
 */
#ifndef UPSTREAM_REASON_H
#define UPSTREAM_REASON_H

#include <curl/curl.h>

#include "upstream/channel.h"

enum upstream_phase reason_phase_now(const struct channel *s);
void reason_timed_out(const struct channel *s, int64_t after_ms, struct upstream_outcome *why);
/* libcurl gave up. */
void reason_failed(const struct channel *s, CURLcode result, struct upstream_outcome *why);
/* libcurl went on without AUTH. */
void reason_no_auth(const struct channel *s, struct upstream_outcome *why);
void reason_set(struct upstream_outcome *why, enum upstream_phase phase, const char *text);

#endif
