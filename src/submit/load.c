/* SPDX-License-Identifier: ISC */
/* See load.h. Runs in the operator's command, with the operator's rights. */
#include "submit/load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "spool/id.h"
#include "submit/transmit.h"

#define TICK_MS 100
#define PAUSE_MIN_MS 100 /* before a connection that failed is tried again; doubled each time */
#define PAUSE_MAX_MS 5000
#define LEAVE_MS 3000 /* for transactions under way when it is interrupted, and for QUIT at the end */
#define ID_MAX 128

struct running;

/* One connection after the other. */
struct slot {
	struct running *r;
	struct upstream_conn *conn; /* NULL: none */
	struct event *again; /* opens the next one */
	unsigned failures; /* in a row */
	bool ready, busy;
	uint64_t on_conn; /* messages begun on this one */
	int64_t opened_us, begun_us, rcpt_us;
	struct upstream_txn txn;
	const struct load_message *message;
	char id[ID_MAX]; /* the header field in front of the content; "" */
	size_t id_len;
};

struct running {
	const struct load *l;
	struct load_figures *f;
	struct event_base *base;
	struct upstream *u;
	struct slot *slot;
	size_t open; /* connections */
	struct event *tick, *due, *leave, *on_int, *on_term;
	uint64_t begun, ended; /* messages */
	int64_t began_us, origin_us; /* of the run; of the rate: when the first session was up */
	size_t turn; /* which slot the rate gives the next message to */
	unsigned failures; /* connections, in a row, of all slots */
	bool stopping; /* no more messages are begun */
	bool breaking; /* what is under way is broken off */
	char run_id[SPOOL_ID_LEN + 1];
};

static void leave(struct running *r);

/* ---- how fast -------------------------------------------------------------------- */

/* When message n is due, from 0. */
static int64_t due_us(const struct running *r, uint64_t n)
{
	return r->l->rate > 0 ? r->origin_us + (int64_t)((double)n * 1e6 / r->l->rate) : r->origin_us;
}

static bool has_more(const struct running *r)
{
	return !r->stopping && r->begun < r->l->total;
}

static void wait_until_due(struct running *r)
{
	int64_t us = due_us(r, r->begun) - clock_mono_us();
	struct timeval when = { .tv_sec = us > 0 ? us / 1000000 : 0, .tv_usec = us > 0 ? us % 1000000 : 0 };

	if (!event_pending(r->due, EV_TIMEOUT, NULL))
		event_add(r->due, &when);
}

/* Those who wait get what is due, in turn. */
static void on_due(evutil_socket_t fd, short what, void *ctx)
{
	struct running *r = ctx;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < r->l->connections && has_more(r) && due_us(r, r->begun) <= clock_mono_us();
	     i++) {
		struct slot *s = &r->slot[r->turn++ % r->l->connections];

		if (s->ready && !s->busy)
			upstream_conn_kick(s->conn);
	}
	/* with nobody free, who becomes free asks */
	if (has_more(r) && due_us(r, r->begun) > clock_mono_us())
		wait_until_due(r);
}

/* ---- transactions ------------------------------------------------------------------- */

static ssize_t on_read(struct upstream_txn *txn, uint64_t offset, void *data, size_t cap, struct err *e)
{
	struct slot *s = txn->ctx;

	if (offset < s->id_len) {
		size_t n = s->id_len - (size_t)offset;

		n = n < cap ? n : cap;
		memcpy(data, s->id + offset, n);
		return (ssize_t)n;
	}
	return submission_pread(s->message->submission, offset - s->id_len, data, cap, e);
}

static void on_recipient(struct upstream_txn *txn, size_t i, const struct smtp_reply *reply)
{
	struct slot *s = txn->ctx;

	(void)i;
	s->rcpt_us = clock_mono_us();
	if (smtp_reply_is_positive(reply))
		return;
	s->r->f->rcpt_refused++;
	load_count_error(s->r->f, UPSTREAM_RCPT, reply);
}

static void on_final(struct upstream_txn *txn, size_t i, const struct smtp_reply *reply)
{
	struct slot *s = txn->ctx;

	(void)i;
	if (smtp_reply_is_positive(reply))
		return;
	s->r->f->rcpt_refused++;
	load_count_error(s->r->f, UPSTREAM_FINAL_DOT, reply);
}

static void count_accepted(struct slot *s, int64_t now_us)
{
	struct load_figures *f = s->r->f;

	f->accepted++;
	f->content_bytes += s->txn.content_bytes;
	latency_add(&f->envelope, s->rcpt_us - s->begun_us);
	latency_add(&f->content, now_us - s->rcpt_us);
	latency_add(&f->transaction, now_us - s->begun_us);
	s->failures = s->r->failures = 0;
}

static void count_outcome(struct slot *s, const struct upstream_outcome *o)
{
	struct running *r = s->r;
	int64_t now_us = clock_mono_us();

	if (o->how == UPSTREAM_NOT_STARTED) {
		r->f->given_back++;
		r->begun--;
		return;
	}
	r->ended++;
	r->f->elapsed_us = now_us - r->began_us;
	if (o->how == UPSTREAM_ANSWERED && o->phase == UPSTREAM_FINAL_DOT &&
	    smtp_reply_is_positive(&o->reply)) {
		count_accepted(s, now_us);
	} else if (r->breaking && o->how == UPSTREAM_NO_ANSWER) {
		r->f->unfinished++;
	} else {
		r->f->failed++;
		/* refusals of recipients are counted as they come */
		if (o->how != UPSTREAM_ANSWERED || o->phase != UPSTREAM_RCPT)
			load_count_error(r->f, o->phase, &o->reply);
	}
}

static void on_done(struct upstream_txn *txn, const struct upstream_outcome *outcome)
{
	struct slot *s = txn->ctx;
	struct running *r = s->r;

	s->busy = false;
	count_outcome(s, outcome);
	if (r->ended >= r->l->total)
		leave(r);
	else if (!has_more(r) || (r->l->per_connection > 0 && s->on_conn >= r->l->per_connection))
		upstream_conn_quit(s->conn);
}

static void set_message_id(struct slot *s, uint64_t number)
{
	int n = 0;

	/* of one length, as the content's length is told beforehand */
	if (s->r->l->message_id_host)
		n = snprintf(s->id, sizeof(s->id), "Message-ID: <%s.%012llu@%.60s>\r\n", s->r->run_id,
			     (unsigned long long)number, s->r->l->message_id_host);
	s->id_len = (size_t)n;
}

static struct upstream_txn *on_next(struct upstream_conn *c, void *ctx)
{
	struct slot *s = ctx;
	struct running *r = s->r;
	int64_t now_us = clock_mono_us();

	(void)c;
	if (s->busy || !s->ready || !has_more(r) ||
	    (r->l->per_connection > 0 && s->on_conn >= r->l->per_connection))
		return NULL;
	if (r->l->rate > 0 && due_us(r, r->begun) > now_us) {
		wait_until_due(r);
		return NULL;
	}
	if (r->l->rate > 0)
		latency_add(&r->f->behind, now_us - due_us(r, r->begun));
	s->message = &r->l->message[r->begun % r->l->message_count];
	set_message_id(s, r->begun);
	s->txn = (struct upstream_txn){
		.env = &s->message->submission->env,
		.rcpt = s->message->rcpt,
		.rcpt_count = s->message->rcpt_count,
		.content_bytes = s->id_len + s->message->submission->content_bytes,
		.has_dot_lines = s->message->submission->has_dot_lines,
		.has_eightbit = s->message->submission->has_eightbit,
		.more = r->l->more,
		.read = on_read,
		.recipient = on_recipient,
		.final = r->l->settings->lmtp ? on_final : NULL,
		.done = on_done,
		.ctx = s,
	};
	s->busy = true;
	s->begun_us = s->rcpt_us = now_us;
	s->on_conn++;
	r->begun++;
	return &s->txn;
}

/* ---- connections ------------------------------------------------------------------------ */

static void on_ready(struct upstream_conn *c, void *ctx)
{
	struct slot *s = ctx;
	struct running *r = s->r;
	int64_t now_us = clock_mono_us();

	s->ready = true;
	r->f->connections++;
	latency_add(&r->f->connect, now_us - s->opened_us);
	if (r->origin_us == 0)
		r->origin_us = now_us;
	if (!has_more(r))
		upstream_conn_quit(c);
}

static void pause_slot(struct slot *s)
{
	int64_t ms = PAUSE_MIN_MS;

	for (unsigned i = 1; i < s->failures && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
	event_add(s->again, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
}

static void on_closed(struct upstream_conn *c, void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct slot *s = ctx;
	struct running *r = s->r;
	bool ours = why->how == UPSTREAM_ANSWERED && why->reply.code == 221;

	(void)c;
	s->conn = NULL;
	s->ready = false;
	r->open--;
	if (!ours && !r->stopping) {
		r->f->connections_failed += !ever_ready;
		s->failures++;
		/* what ended a transaction was counted with it */
		if (why->phase < UPSTREAM_MAIL || why->phase == UPSTREAM_IDLE)
			load_count_error(r->f, why->phase, &why->reply);
		if (!ever_ready && ++r->failures >= LOAD_FAILURES_MAX) {
			r->f->gave_up = true;
			leave(r);
		}
	}
	if (r->open == 0 && !has_more(r))
		event_base_loopbreak(r->base);
	else if (has_more(r) && ours)
		event_active(s->again, EV_TIMEOUT, 0); /* not from inside this call */
	else if (has_more(r))
		pause_slot(s);
}

static void open_slot(evutil_socket_t fd, short what, void *ctx)
{
	static const struct upstream_conn_ops ops = { .ready = on_ready,
						      .next = on_next,
						      .closed = on_closed };
	struct slot *s = ctx;

	(void)fd;
	(void)what;
	if (!has_more(s->r) || s->conn)
		return;
	s->on_conn = 0;
	s->opened_us = clock_mono_us();
	s->r->open++;
	s->conn = upstream_conn_open(s->r->u, s->r->l->settings, &ops, s);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void on_leave(evutil_socket_t fd, short what, void *ctx)
{
	struct running *r = ctx;

	(void)fd;
	(void)what;
	r->breaking = true;
	for (size_t i = 0; i < r->l->connections; i++)
		if (r->slot[i].conn)
			upstream_conn_abort(r->slot[i].conn);
	event_base_loopbreak(r->base);
}

/* Nothing is begun any more; connections end as soon as they are idle, or after a while as they are. */
static void leave(struct running *r)
{
	if (r->stopping)
		return;
	r->stopping = true;
	/* from the loop, not from inside a callback of one of the connections */
	event_add(r->leave, &(struct timeval){ .tv_sec = LEAVE_MS / 1000 });
	for (size_t i = 0; i < r->l->connections; i++) {
		struct slot *s = &r->slot[i];

		event_del(s->again);
		if (s->conn && !s->busy)
			upstream_conn_quit(s->conn); /* one that is not up yet ends at once */
	}
	if (r->open == 0)
		event_base_loopbreak(r->base);
}

static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
	struct running *r = ctx;

	(void)fd;
	(void)what;
	r->f->interrupted = true;
	if (r->stopping) { /* once more: now */
		event_active(r->leave, EV_TIMEOUT, 0);
		return;
	}
	r->f->elapsed_us = clock_mono_us() - r->began_us;
	leave(r);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct running *r = ctx;

	(void)fd;
	(void)what;
	r->l->tick(r->l->ctx, r->f);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void make_events(struct running *r)
{
	r->tick = event_new(r->base, -1, EV_PERSIST, on_tick, r);
	r->due = event_new(r->base, -1, 0, on_due, r);
	r->leave = event_new(r->base, -1, 0, on_leave, r);
	r->on_int = event_new(r->base, SIGINT, EV_SIGNAL | EV_PERSIST, on_signal, r);
	r->on_term = event_new(r->base, SIGTERM, EV_SIGNAL | EV_PERSIST, on_signal, r);
	ASSERT(r->tick && r->due && r->leave && r->on_int && r->on_term);
	event_add(r->on_int, NULL);
	event_add(r->on_term, NULL);
	if (r->l->tick)
		event_add(r->tick, &(struct timeval){ .tv_usec = TICK_MS * 1000 });
	for (size_t i = 0; i < r->l->connections; i++) {
		r->slot[i].r = r;
		r->slot[i].again = event_new(r->base, -1, 0, open_slot, &r->slot[i]);
		ASSERT(r->slot[i].again);
		event_active(r->slot[i].again, EV_TIMEOUT, 0);
	}
}

static void free_events(struct running *r)
{
	struct event *const all[] = { r->tick, r->due, r->leave, r->on_int, r->on_term };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		event_free(all[i]);
	for (size_t i = 0; i < r->l->connections; i++)
		event_free(r->slot[i].again);
}

int load_run(const struct load *l, struct load_figures *f, struct err *e)
{
	struct running r = { .l = l, .f = f };
	struct spool_id id;

	memset(f, 0, sizeof(*f));
	spool_id_new(&id);
	strcpy(r.run_id, id.text);
	r.base = event_base_new();
	ASSERT(r.base);
	if (upstream_open(&r.u, r.base, e) < 0) {
		event_base_free(r.base);
		return -1;
	}
	r.slot = mem_array(l->connections, sizeof(*r.slot));
	r.began_us = clock_mono_us();
	make_events(&r);
	event_base_dispatch(r.base);
	free_events(&r);
	upstream_close(r.u);
	event_base_free(r.base);
	free(r.slot);
	return 0;
}
