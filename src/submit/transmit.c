/* SPDX-License-Identifier: ISC */
/* See transmit.h. Runs in the commands of operators and users, with their rights. */
#include "submit/transmit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/assert.h"

struct run {
	const struct transmit *t;
	struct event_base *base;
	struct upstream_conn *conn;
	struct upstream_txn txn;
	size_t begun; /* recipients that were in a transaction so far, the present one included */
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

	return submission_pread(r->t->message, offset, data, cap, e);
}

static void on_recipient(struct upstream_txn *txn, size_t i, const struct smtp_reply *reply)
{
	struct run *r = txn->ctx;

	r->t->ops->recipient(r->t->ctx, txn->rcpt[i], reply);
}

static void on_final(struct upstream_txn *txn, size_t i, const struct smtp_reply *reply)
{
	struct run *r = txn->ctx;

	r->t->ops->final(r->t->ctx, txn->rcpt[i], reply);
}

static void on_done(struct upstream_txn *txn, const struct upstream_outcome *outcome)
{
	struct run *r = txn->ctx;

	r->in_transaction = false;
	r->t->ops->done(r->t->ctx, txn->rcpt, txn->rcpt_count, outcome, upstream_conn_remote(r->conn));
	if (r->begun == r->t->rcpt_count)
		upstream_conn_quit(r->conn);
}

static void on_ready(struct upstream_conn *c, void *ctx)
{
	struct run *r = ctx;

	if (r->t->ops->session)
		r->t->ops->session(r->t->ctx, c, true);
	if (r->t->rcpt_count == 0)
		upstream_conn_quit(c);
}

static struct upstream_txn *on_next(struct upstream_conn *c, void *ctx)
{
	struct run *r = ctx;
	const struct transmit *t = r->t;
	size_t count = t->rcpt_count - r->begun;

	(void)c;
	if (r->in_transaction || count == 0)
		return NULL;
	if (t->rcpt_most > 0 && count > t->rcpt_most)
		count = t->rcpt_most;
	r->txn = (struct upstream_txn){
		.env = &t->message->env,
		.rcpt = t->rcpt + r->begun,
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

	if (r->t->ops->session)
		r->t->ops->session(r->t->ctx, c, false);
	r->t->ops->closed(r->t->ctx, why, ever_ready);
	event_base_loopbreak(r->base);
}

static void on_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct run *r = ctx;

	r->t->ops->trace(r->t->ctx, from_upstream, text, len);
}

static void on_wire(void *ctx, bool from_upstream, const char *data, size_t len)
{
	struct run *r = ctx;

	r->t->ops->wire(r->t->ctx, from_upstream, data, len);
}

int transmit_run(const struct transmit *t, struct err *e)
{
	const struct upstream_conn_ops ops = { .ready = on_ready,
					       .next = on_next,
					       .closed = on_closed,
					       .trace = t->ops->trace ? on_trace : NULL,
					       .wire = t->ops->wire ? on_wire : NULL };
	struct run r = { .t = t };
	struct upstream *u;

	r.base = event_base_new();
	ASSERT(r.base);
	if (upstream_open(&u, r.base, e) < 0) {
		event_base_free(r.base);
		return -1;
	}
	r.conn = upstream_conn_open(u, t->settings, &ops, &r);
	event_base_dispatch(r.base);
	upstream_close(u);
	event_base_free(r.base);
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
