/* SPDX-License-Identifier: ISC */
/*
 * Credentials of an upstream that change while the relay runs (an OAuth 2
 * token): the relay asks whether there are any before it opens a connection,
 * and tells when the upstream would not have them. Who gets them, and how, is
 * behind this (daemon/relay_tokens.c). What is sent is settings.bearer
 * (upstream/upstream.h), read when a session starts.
 */
#ifndef RELAY_CREDENTIALS_H
#define RELAY_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct event_base;
struct json_t; /* jansson's */
struct upstream;

enum credentials_state {
	CREDENTIALS_READY,
	CREDENTIALS_COMING, /* they are asked for now; changed() will come, whatever becomes of it */
	CREDENTIALS_NONE /* e says why; changed() comes when there are some */
};

struct relay_credentials_ops {
	/* In the relay's event loop; changed() is called from there, never from inside these functions. */
	void (*start)(void *c, struct event_base *base, struct upstream *client, void (*changed)(void *ctx), void *ctx);
	void (*stop)(void *c);
	enum credentials_state (*state)(void *c, struct err *e);
	/* Which ones they are, from 1 on; another number whenever they are others. */
	uint64_t (*generation)(void *c);
	/* The upstream refused those of that number. True: others are there or asked for, so try once more. */
	bool (*rejected)(void *c, uint64_t generation);
	/* Something is under way that a stop should wait for, within its time; changed() comes at its end. */
	bool (*busy)(void *c);
	struct json_t *(*describe)(void *c); /* for the status: an object */
};

struct relay_credentials {
	const struct relay_credentials_ops *ops;
	void *c;
};

#endif
