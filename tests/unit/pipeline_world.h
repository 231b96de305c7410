/* SPDX-License-Identifier: ISC */
/* A pipeline with transactions to take, a wire to look at, and replies to say to it. All in memory. */
#ifndef TESTS_PIPELINE_WORLD_H
#define TESTS_PIPELINE_WORLD_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fake_txn.h"
#include "upstream/pipeline.h"

struct world {
	struct upstream_features features;
	struct upstream_settings settings;
	struct pipeline p;
	struct fake_txn *txn[600];
	size_t count, given;
	struct buf wire; /* sent and not yet looked at */
	bool fails; /* some contents cannot be read */
};

static inline struct upstream_txn *world_next(void *ctx)
{
	struct world *w = ctx;

	return w->given < w->count ? &w->txn[w->given++]->txn : NULL;
}

static const struct pipeline_ops ops = { .next = world_next };

/* Begins anew, by settings and features that were changed since world_init. */
static inline void world_restart(struct world *w)
{
	pipeline_release(&w->p);
	pipeline_init(&w->p, &w->features, &w->settings, &ops, w);
}

static inline void world_init(struct world *w, bool pipelining)
{
	memset(w, 0, sizeof(*w));
	buf_init(&w->wire, 1 << 26);
	w->features.pipelining = pipelining;
	w->features.esmtp = true;
	w->settings.pipelining = true;
	pipeline_init(&w->p, &w->features, &w->settings, &ops, w);
}

static inline void world_release(struct world *w)
{
	for (size_t i = 0; i < w->count; i++)
		fake_free(w->txn[i]);
	pipeline_release(&w->p);
	buf_release(&w->wire);
}

static inline struct fake_txn *add(struct world *w, const char *name, size_t rcpts, const char *content)
{
	ck_assert_uint_lt(w->count, sizeof(w->txn) / sizeof(*w->txn));
	return w->txn[w->count++] = fake_new(name, rcpts, content, strlen(content));
}

/* Moves at most `most` bytes of what the pipeline has to the wire; returns how many. */
static inline size_t send_some(struct world *w, size_t most)
{
	const char *data;
	size_t n = pipeline_output(&w->p, &data);

	if (n > most)
		n = most;
	buf_add(&w->wire, data, n);
	pipeline_sent(&w->p, n);
	return n;
}

static inline void send_all(struct world *w)
{
	do
		pipeline_fill(&w->p);
	while (send_some(w, SIZE_MAX) > 0);
}

/* The dialogue so far is exactly this. */
static inline void sent(struct world *w, const char *text)
{
	send_all(w);
	ck_assert_str_eq(w->wire.data, text);
	buf_clear(&w->wire);
}

static inline enum pipeline_result say(struct world *w, int code)
{
	struct smtp_reply reply;

	smtp_reply_set(&reply, code, "", "said %d", code);
	return pipeline_reply(&w->p, &reply);
}

static inline void says(struct world *w, const int *codes)
{
	for (; *codes; codes++)
		ck_assert_int_eq(say(w, *codes), PIPELINE_GO_ON);
}
#define SAYS(w, ...) says(w, (const int[]){ __VA_ARGS__, 0 })

static inline void ended(const struct fake_txn *t, enum upstream_how how, enum upstream_phase phase, int code)
{
	ck_assert_uint_eq(t->done, 1);
	ck_assert_int_eq(t->outcome.how, how);
	ck_assert_int_eq(t->outcome.phase, phase);
	ck_assert_int_eq(t->outcome.reply.code, code);
}

#endif
