/* SPDX-License-Identifier: ISC */
/* See transmit.h. Runs in the commands of operators and users, with their rights. */
#include "submit/transmit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/alloc.h"
#include "base/assert.h"

struct run {
	struct transmit t; /* message and recipients: the present ones */
	struct event_base *base;
	struct upstream_conn *conn;
	struct upstream_txn txn;
	size_t *rcpt; /* t.rcpt, and behind them those that are to be tried again; owned */
	size_t count;
	size_t begun; /* of them were in a transaction so far, the present one included */
	size_t accepted; /* of the present transaction */
	size_t *later; /* of the present transaction, not taken because there were too many; owned */
	size_t later_count;
	struct smtp_reply later_reply; /* to the last of them */
	bool in_transaction;
};

ssize_t submission_pread(const struct submission *s, uint64_t offset, void *data, size_t cap, struct err *e)
{
	ssize_t n = pread(s->fd, data, cap, (off_t)offset);

	if (n > 0)
		return n;
	if (n < 0)
		err_set_os(e, errno, "temporary file: cannot read the message");
	else
		err_set(e, "temporary file: the message ends too early");
	return -1;
}

static ssize_t on_read(struct upstream_txn *txn, uint64_t offset, void *data, size_t cap, struct err *e)
{
	struct run *r = txn->ctx;

	return submission_pread(r->t.message, offset, data, cap, e);
}

/* RFC 5321 4.5.3.1.10: one recipient more than it takes at a time; 552 is what it was of old. */
static bool says_too_many(const struct smtp_reply *reply)
{
	return (reply->code == 452 || reply->code == 552) &&
	       (reply->enhanced[0] == '\0' || strcmp(reply->enhanced + 1, ".5.3") == 0);
}

static void on_recipient(struct upstream_txn *txn, size_t i, const struct smtp_reply *reply)
{
	struct run *r = txn->ctx;

	if (r->accepted > 0 && says_too_many(reply)) {
		r->later[r->later_count++] = txn->rcpt[i];
		r->later_reply = *reply;
		return;
	}
	r->accepted += smtp_reply_is_positive(reply);
	r->t.ops->recipient(r->t.ctx, txn->rcpt[i], reply);
}

/* The recipients of t's message, from the first one. */
static void begin_message(struct run *r)
{
	r->count = r->t.rcpt_count;
	r->begun = r->later_count = 0;
	r->rcpt = mem_resize(r->rcpt, r->count + 1, sizeof(*r->rcpt));
	r->later = mem_resize(r->later, r->count + 1, sizeof(*r->later));
	for (size_t i = 0; i < r->count; i++)
		r->rcpt[i] = r->t.rcpt[i];
}

/* Nobody gets the message, so they are as refused as they were told. */
static void refuse_later(struct run *r)
{
	for (size_t i = 0; i < r->later_count; i++)
		r->t.ops->recipient(r->t.ctx, r->later[i], &r->later_reply);
	r->later_count = 0;
}

/* The server took the message: those that were too many get a transaction of their own, behind the others. */
static void queue_later(struct run *r)
{
	size_t left = r->count - r->begun;

	/* there is room: they stood in front of what is left themselves */
	memmove(r->rcpt, r->rcpt + r->begun, left * sizeof(*r->rcpt));
	memcpy(r->rcpt + left, r->later, r->later_count * sizeof(*r->rcpt));
	r->count = left + r->later_count;
	r->begun = 0;
	r->t.rcpt_most = r->accepted; /* that is how many it takes */
	r->later_count = 0;
}

/* The recipients that this transaction's end is the end of; the caller's. */
static size_t *ended_with(const struct run *r, const struct upstream_txn *txn, size_t *count)
{
	size_t *rcpt = mem_array(txn->rcpt_count + 1, sizeof(*rcpt)), later = 0;

	*count = 0;
	for (size_t i = 0; i < txn->rcpt_count; i++) {
		if (later < r->later_count && r->later[later] == txn->rcpt[i])
			later++;
		else
			rcpt[(*count)++] = txn->rcpt[i];
	}
	return rcpt;
}

static void on_final(struct upstream_txn *txn, size_t i, const struct smtp_reply *reply)
{
	struct run *r = txn->ctx;

	r->t.ops->final(r->t.ctx, txn->rcpt[i], reply);
}

static void on_done(struct upstream_txn *txn, const struct upstream_outcome *outcome)
{
	struct run *r = txn->ctx;
	bool goes_on = outcome->how == UPSTREAM_ANSWERED || outcome->how == UPSTREAM_UNSUPPORTED;
	size_t *ended, count;

	r->in_transaction = false;
	if (outcome->phase != UPSTREAM_FINAL_DOT || !smtp_reply_is_positive(&outcome->reply))
		refuse_later(r);
	ended = ended_with(r, txn, &count);
	if (r->later_count > 0)
		queue_later(r);
	r->t.ops->done(r->t.ctx, ended, count, outcome, upstream_conn_remote(r->conn));
	free(ended);
	if (r->begun < r->count)
		return;
	if (goes_on && r->t.next && r->t.next(r->t.ctx, &r->t))
		begin_message(r);
	else
		upstream_conn_quit(r->conn);
}

static void on_ready(struct upstream_conn *c, void *ctx)
{
	struct run *r = ctx;

	if (r->t.ops->session)
		r->t.ops->session(r->t.ctx, c, true);
	if (r->t.rcpt_count == 0)
		upstream_conn_quit(c);
}

static struct upstream_txn *on_next(struct upstream_conn *c, void *ctx)
{
	struct run *r = ctx;
	const struct transmit *t = &r->t;
	size_t count = r->count - r->begun;

	(void)c;
	if (r->in_transaction || count == 0)
		return NULL;
	if (t->rcpt_most > 0 && count > t->rcpt_most)
		count = t->rcpt_most;
	r->accepted = 0;
	r->txn = (struct upstream_txn){
		.env = &t->message->env,
		.rcpt = r->rcpt + r->begun,
		.rcpt_count = count,
		.content_bytes = t->message->content_bytes,
		.has_dot_lines = t->message->has_dot_lines,
		.has_eightbit = t->message->has_eightbit,
		.more = t->more,
		.read = on_read,
		.recipient = on_recipient,
		.final = t->ops->final ? on_final : NULL,
		.done = on_done,
		.ctx = r,
	};
	r->begun += count;
	r->in_transaction = true;
	return &r->txn;
}

static void on_closed(struct upstream_conn *c, void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct run *r = ctx;

	if (r->t.ops->session)
		r->t.ops->session(r->t.ctx, c, false);
	r->t.ops->closed(r->t.ctx, why, ever_ready);
	event_base_loopbreak(r->base);
}

static void on_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct run *r = ctx;

	r->t.ops->trace(r->t.ctx, from_upstream, text, len);
}

static void on_wire(void *ctx, bool from_upstream, const char *data, size_t len)
{
	struct run *r = ctx;

	r->t.ops->wire(r->t.ctx, from_upstream, data, len);
}

int transmit_run(const struct transmit *t, struct err *e)
{
	const struct upstream_conn_ops ops = { .ready = on_ready,
					       .next = on_next,
					       .closed = on_closed,
					       .trace = t->ops->trace ? on_trace : NULL,
					       .wire = t->ops->wire ? on_wire : NULL };
	struct run r = { .t = *t };
	struct upstream *u;

	r.base = event_base_new();
	ASSERT(r.base);
	if (upstream_open(&u, r.base, e) < 0) {
		event_base_free(r.base);
		return -1;
	}
	begin_message(&r);
	r.conn = upstream_conn_open(u, t->settings, &ops, &r);
	event_base_dispatch(r.base);
	upstream_close(u);
	event_base_free(r.base);
	free(r.rcpt);
	free(r.later);
	return 0;
}

void transmit_default_timeouts(struct upstream_settings *settings)
{
	settings->connect_timeout_ms = 30 * 1000;
	settings->greeting_timeout_ms = 5 * 60 * 1000;
	settings->command_timeout_ms = 5 * 60 * 1000;
	settings->data_timeout_ms = 2 * 60 * 1000;
	settings->block_timeout_ms = 3 * 60 * 1000;
	settings->final_timeout_ms = 10 * 60 * 1000;
	settings->idle_timeout_ms = 60 * 1000;
}
