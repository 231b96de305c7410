/* SPDX-License-Identifier: ISC */
/* See program_conn.h. */
#include "relay/program_conn.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "program/exit.h"
#include "relay/attempt.h"

struct program_conn {
	struct event_base *base;
	const struct relay_program *program;
	const struct upstream_conn_ops *ops;
	void *ctx;
	int64_t idle_timeout_ms;
	struct event *
		timer; /* what is not to happen inside a call: ready, a failure, the end; and the idle time */
	bool is_ready, quitting;

	struct upstream_txn *txn; /* NULL: none under way */
	size_t at; /* the recipient whose run it is */
	int fd; /* of the run; -1: none */
	struct event *run;
	struct smtp_reply last; /* answer */
	struct err failed; /* the program could not be asked for; "": it could */
};

static void set_timer(struct program_conn *c, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(c->timer, &tv);
}

static void end_run(struct program_conn *c)
{
	if (c->run)
		event_free(c->run);
	c->run = NULL;
	if (c->fd >= 0)
		close(c->fd); /* a program that runs is killed by this */
	c->fd = -1;
}

static void conn_free(struct program_conn *c)
{
	end_run(c);
	event_free(c->timer);
	free(c);
}

static void close_conn(struct program_conn *c, const struct upstream_outcome *why)
{
	c->ops->closed(NULL, c->ctx, why, c->is_ready);
	conn_free(c);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* The first line of what a program printed, as far as it can stand in a reply; "" : nothing. */
static const char *first_line(const struct program_outcome *out, char *line, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < out->text_len && out->text[i] != '\n' && n + 1 < cap; i++) {
		char c = out->text[i];

		line[n++] = c >= ' ' && c < 0x7f ? c : '?';
	}
	line[n] = '\0';
	return line;
}

static void reply_of_exit(const struct program_outcome *out, struct smtp_reply *reply)
{
	const struct program_exit *ex = program_exit_of(out->status);
	char line[256];

	first_line(out, line, sizeof(line));
	if (ex->code == 250)
		smtp_reply_set(reply, ex->code, ex->enhanced, "%s", ex->text);
	else
		smtp_reply_set(reply, ex->code, ex->enhanced, "%s (exit status %d%s%s)", ex->text,
			       out->status, line[0] ? ": " : "", line);
}

/* What the end of a run means for its recipient. */
static void reply_of(const struct program_outcome *out, struct smtp_reply *reply)
{
	char line[256];

	switch (out->end) {
	case PROGRAM_EXITED:
		reply_of_exit(out, reply);
		return;
	case PROGRAM_KILLED:
		smtp_reply_set(reply, 451, "4.3.0", "the program was killed by signal %d", out->status);
		return;
	case PROGRAM_TIMED_OUT:
		smtp_reply_set(reply, 451, "4.3.0", "the program did not end in time, and was killed");
		return;
	case PROGRAM_LOST:
		smtp_reply_set(reply, 451, "4.3.0",
			       "what became of the program is not known: it may have got the message");
		return;
	case PROGRAM_FAILED:
	case PROGRAM_TOO_MUCH:
	case PROGRAM_BAD_OUTPUT:
	case PROGRAM_REFUSED:
		smtp_reply_set(reply, 451, "4.3.0", "the program was not run: %s",
			       first_line(out, line, sizeof(line)));
		return;
	}
}

/* ---- a transaction ---------------------------------------------------------------------------- */

static void run_next(struct program_conn *c);
static void look_for_work(struct program_conn *c);

/* Those without an answer of their own get this one; by and by the connection may be gone. */
static void end_txn(struct program_conn *c, const struct upstream_outcome *outcome)
{
	struct upstream_txn *t = c->txn;

	c->txn = NULL;
	t->done(t, outcome);
}

static void answer(struct program_conn *c, const struct smtp_reply *reply)
{
	c->last = *reply;
	c->txn->final(c->txn, c->at, reply);
	c->at++;
}

static void go_on(struct program_conn *c)
{
	struct upstream_outcome outcome = { UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, c->last };

	if (c->at < c->txn->rcpt_count) {
		run_next(c);
		return;
	}
	end_txn(c, &outcome);
	look_for_work(c);
}

static void on_outcome(evutil_socket_t fd, short what, void *ctx)
{
	struct program_outcome out = { .end = PROGRAM_LOST };
	struct program_conn *c = ctx;
	struct smtp_reply reply;

	if (!(what & EV_TIMEOUT) && !program_finish(fd, &out))
		return;
	end_run(c);
	/*
	 * one that cannot be started is no matter of this recipient: those left are not tried, and all wait
	 */
	if (out.end == PROGRAM_FAILED) {
		err_set(&c->failed, "%s: %.400s", program_command_names[c->program->command], out.text);
		set_timer(c, 0);
		return;
	}
	reply_of(&out, &reply);
	answer(c, &reply);
	go_on(c);
}

/*
 * 0: it runs. -1: it cannot be had run. 1: there is nothing to be run for this recipient, which was answered.
 */
static int begin_run(struct program_conn *c, struct err *e)
{
	const struct attempt *a = (const struct attempt *)c->txn;
	const char *recipient = c->txn->env->rcpt[c->txn->rcpt[c->at]].address;
	struct smtp_reply reply;
	struct program_job job;
	char size[32];
	int r = -1;

	snprintf(size, sizeof(size), "%llu", (unsigned long long)a->message.content_bytes);
	program_job_init(&job, c->program->command);
	job.input_fd = a->message.fd;
	job.input_offset = a->message.content_offset;
	job.input_octets = a->message.content_bytes;
	if (!program_job_put(&job, FACT_SENDER, c->txn->env->sender) ||
	    !program_job_put(&job, FACT_RECIPIENT, recipient) ||
	    !program_job_put(&job, FACT_MESSAGE_SIZE, size)) {
		err_set(e, "the facts are too long for a program");
	} else if (c->program->put(c->program->ctx, &job, recipient, e) < 0) {
		smtp_reply_set(&reply, 451, "4.3.0", "%s", e->text);
		answer(c, &reply);
		r = 1;
	} else {
		c->fd = program_begin(c->program->request_fd, &job, e);
		r = c->fd >= 0 ? 0 : -1;
	}
	program_job_release(&job);
	return r;
}

static void run_next(struct program_conn *c)
{
	int64_t most = c->program->timeout_ms + PROGRAM_WAIT_MS;
	struct timeval tv = { most / 1000, most % 1000 * 1000 };
	int r = 1;

	while (r > 0 && c->at < c->txn->rcpt_count)
		r = begin_run(c, &c->failed);
	if (r == 0) {
		c->failed.text[0] = '\0';
		c->run = event_new(c->base, c->fd, EV_READ | EV_PERSIST, on_outcome, c);
		ASSERT(c->run);
		event_add(c->run, &tv);
	} else {
		/* nothing may end inside the call that handed it out */
		if (r > 0)
			c->failed.text[0] = '\0';
		set_timer(c, 0);
	}
}

/* ---- the connection ------------------------------------------------------------------------------ */

static void look_for_work(struct program_conn *c)
{
	struct upstream_txn *t;

	if (c->quitting) {
		set_timer(c, 0);
		return;
	}
	event_del(c->timer);
	t = c->ops->next(NULL, c->ctx);
	if (!t) {
		set_timer(c, c->quitting ? 0 : c->idle_timeout_ms);
		return;
	}
	c->txn = t;
	c->at = 0;
	run_next(c);
}

/* The program cannot be had run: the upstream is not well, and who was not answered was not tried. */
static void give_up(struct program_conn *c)
{
	struct upstream_outcome outcome = { UPSTREAM_NO_ANSWER, UPSTREAM_CONNECT, { 0 } };
	/*
	 * the outcome above has told of the trouble: the end of the connection is not to tell of it once more
	 */
	struct upstream_outcome why = { UPSTREAM_SOURCE_FAILED, UPSTREAM_IDLE, { 0 } };

	smtp_reply_set(&outcome.reply, 0, "", "%s", c->failed.text);
	end_txn(c, &outcome);
	close_conn(c, &why);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct upstream_outcome bye = { UPSTREAM_ANSWERED, UPSTREAM_IDLE, { .code = 221 } };
	struct program_conn *c = ctx;

	(void)fd;
	(void)what;
	if (c->txn && c->failed.text[0]) {
		give_up(c);
	} else if (c->txn) {
		go_on(c); /* all of it was answered without a run */
	} else if (!c->is_ready) {
		c->is_ready = true;
		c->ops->ready(NULL, c->ctx);
		look_for_work(c);
	} else {
		close_conn(c, &bye);
	}
}

struct program_conn *program_conn_open(struct event_base *base, const struct relay_program *program,
				       int64_t idle_timeout_ms, const struct upstream_conn_ops *ops,
				       void *ctx)
{
	struct program_conn *c = mem_alloc(sizeof(*c));

	*c = (struct program_conn){ .base = base,
				    .program = program,
				    .idle_timeout_ms = idle_timeout_ms,
				    .ops = ops,
				    .ctx = ctx,
				    .fd = -1 };
	c->timer = evtimer_new(base, on_timer, c);
	ASSERT(c->timer);
	set_timer(c, 0);
	return c;
}

void program_conn_kick(struct program_conn *c)
{
	if (c->is_ready && !c->txn && !c->quitting)
		look_for_work(c);
}

void program_conn_quit(struct program_conn *c)
{
	if (!c->is_ready) {
		program_conn_abort(c);
		return;
	}
	c->quitting = true;
	if (!c->txn)
		set_timer(c, 0);
}

void program_conn_abort(struct program_conn *c)
{
	struct upstream_outcome why = { UPSTREAM_NO_ANSWER, UPSTREAM_IDLE, { 0 } };
	struct upstream_outcome outcome = { UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, { 0 } };
	struct program_outcome lost = { .end = PROGRAM_LOST };
	struct smtp_reply reply;

	smtp_reply_set(&why.reply, 0, "", "we ended it");
	if (c->txn && c->fd >= 0) {
		end_run(c);
		reply_of(&lost, &reply);
		answer(c, &reply);
	}
	if (c->txn)
		end_txn(c, &outcome);
	close_conn(c, &why);
}

size_t program_conn_in_flight(const struct program_conn *c)
{
	return c->txn ? 1 : 0;
}
