/* SPDX-License-Identifier: ISC */
/*
 * See bounce.h. What a crash leaves, between the steps it names:
 *
 *   before 2   recipients that failed are pending on the disk: they are tried again
 *   2 .. 3     failed, not `reported`, with the report's id: 3 is done again
 *   in 3       a piece in incoming/ID: overwritten, or removed at the next start
 *   3 .. 4     the report is queued, perhaps sent already. The former is replaced by its like: its peer
 *              names the message and the recipients it is about. The latter is sent again: a repetition,
 *              under the same id and Message-ID.
 */
#include "manage/bounce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "spool/checksum.h"
#include "spool/id.h"
#include "spool/txn.h"

/* ---- who is told ------------------------------------------------------------------------- */

/* What stands before a report on one recipient. */
enum audience {
	NOBODY, /* nobody is to be told */
	SENDER,
	POSTMASTER,
	UNKNOWN /* somebody should know, and there is nobody: it stays visible in the spool */
};

/*
 * Wants the sender to hear of this? RFC 3461 4.1: without NOTIFY of failures, and of delays if the relay
 * cares.
 */
static bool notify_has(const struct envelope_rcpt *rcpt, unsigned flag)
{
	if (rcpt->notify == 0)
		return flag == ENVELOPE_NOTIFY_FAILURE || flag == ENVELOPE_NOTIFY_DELAY;
	return !(rcpt->notify & ENVELOPE_NOTIFY_NEVER) && (rcpt->notify & flag);
}

static enum audience failure_audience(const struct bounce_settings *settings, const struct envelope *env,
				      const struct envelope_rcpt *rcpt)
{
	if (!notify_has(rcpt, ENVELOPE_NOTIFY_FAILURE))
		return NOBODY;
	/* RFC 5321 6.1: no report about a message from <> to anybody that it names */
	if (env->sender[0])
		return SENDER;
	/* and none to postmaster about what could not be delivered to postmaster */
	if (settings->postmaster && strcasecmp(rcpt->address, settings->postmaster) != 0)
		return POSTMASTER;
	return UNKNOWN;
}

static bool has_failed(const struct rcpt_state *rs)
{
	return (rs->status == RCPT_FAILED || rs->status == RCPT_EXPIRED) && !rs->reported;
}

bool bounce_prepare(const struct bounce_settings *settings, const struct envelope *env,
		    struct spool_state *st)
{
	bool wanted = false;

	ASSERT(st->rcpt_count == env->rcpt_count);
	for (size_t i = 0; i < st->rcpt_count; i++) {
		if (!has_failed(&st->rcpt[i]))
			continue;
		switch (failure_audience(settings, env, &env->rcpt[i])) {
		case NOBODY:
			st->rcpt[i].reported = true;
			break;
		case SENDER:
		case POSTMASTER:
			wanted = true;
			break;
		case UNKNOWN:
			break;
		}
	}
	if (!wanted)
		st->report_id.text[0] = '\0';
	else if (!st->report_id.text[0]) /* else one was begun: it keeps its id */
		spool_id_new(&st->report_id);
	return wanted;
}

/* ---- queueing one report -------------------------------------------------------------------- */

struct sink {
	struct spool_txn *txn;
};

static int write_to_spool(void *ctx, const char *data, size_t len, struct err *e)
{
	return spool_txn_write(((struct sink *)ctx)->txn, data, len, e) == SPOOL_OK ? 0 : -1;
}

/*
 * The envelope of a report. Its peer says what it is about, so that one that is there already is recognised.
 */
static void describe(struct envelope *env, const struct report *r)
{
	const struct envelope *about = &r->original->env;
	char *peer = mem_printf("report:%s:%016" PRIx64, about->id,
				checksum_of((const char *)r->rcpt, r->rcpt_count * sizeof(*r->rcpt)));

	envelope_init(env);
	env->arrived_wall_us = r->now_wall_us;
	envelope_set(&env->sender, "", 0); /* RFC 3461 6.1, RFC 5321 4.5.5 */
	envelope_add_rcpt(env, r->to, strlen(r->to));
	env->body = report_is_eightbit(r) ? BODY_8BITMIME : BODY_7BIT;
	env->smtputf8 = report_is_utf8(r);
	env->requiretls = about->requiretls; /* RFC 8689 5 */
	envelope_set(&env->peer, peer, strlen(peer));
	envelope_set(&env->helo, r->hostname, strlen(r->hostname));
	envelope_set(&env->protocol, "local", 5);
	envelope_set(&env->listener, "report", 6);
	free(peer);
}

static int queue_report(const struct report *r, struct spool *s, const struct spool_id *id, struct err *e)
{
	struct envelope env;
	struct sink sink;
	int result;

	describe(&env, r);
	sink.txn = spool_txn_begin_as(s, &env, id);
	result = report_write(r, write_to_spool, &sink, e);
	if (result < 0)
		spool_txn_abort(sink.txn);
	else
		result = spool_txn_commit(sink.txn, e) == SPOOL_OK ? 0 : -1;
	if (result < 0)
		err_prefix(e, "report about message %s", r->original->env.id);
	envelope_release(&env);
	return result;
}

/* Opens the original's file when it is not. */
static int open_original(struct spool_message *m, const struct spool *s, bool *opened, struct err *e)
{
	struct spool_message again;

	*opened = m->fd < 0;
	if (!*opened)
		return 0;
	switch (spool_message_open(&again, s, m->env.id, false, e)) {
	case SPOOL_READ_OK:
		m->fd = again.fd;
		again.fd = -1;
		spool_message_close(&again);
		return 0;
	case SPOOL_READ_GONE:
		err_set(e, "%s/queue/%s: it is gone", s->path, m->env.id);
		return -1;
	case SPOOL_READ_CORRUPT:
	case SPOOL_READ_FAILED:
		return -1;
	}
	return -1;
}

/* What all kinds have in common; the rest is the caller's. Releases nothing: rcpt stays the caller's. */
static int make_report(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		       struct report *r, const struct spool_id *id, struct err *e)
{
	bool opened;
	int result;

	if (open_original(m, s, &opened, e) < 0)
		return -1;
	r->hostname = settings->hostname;
	r->original = m;
	r->report_id = id->text;
	r->now_wall_us = clock_wall_us();
	r->return_limit_bytes = settings->return_limit_bytes;
	result = queue_report(r, s, id, e);
	if (opened)
		spool_message_close_file(m);
	return result;
}

/* ---- the three occasions ---------------------------------------------------------------------- */

/*
 * The report of this id was queued, and more recipients have failed before that was noted. The first may be
 * under way, so it stays, and all of them get another one, the next time: its id must be durable before it is
 * used.
 */
static void choose_another(const struct spool *s, const struct spool_message *m, struct spool_state *st,
			   struct err *e)
{
	const struct spool_id old = st->report_id;
	struct err why;

	spool_id_new(&st->report_id);
	err_set(e,
		"message %s: its report %s is queued already, and more recipients have failed since: %s "
		"follows",
		m->env.id, old.text, st->report_id.text);
	if (spool_state_save(st, s, m->env.id, &why) == 0)
		return;
	st->report_id = old;
	*e = why;
}

/* For the message's history. */
static void note_report(struct spool_state *st, const char *what, const struct spool_id *id, const char *to,
			size_t rcpt_count)
{
	char *text = mem_printf("report %s to %s", id->text, to);

	spool_state_add_event(st, &(struct spool_event){ .when_wall_us = clock_wall_us(), .what = (char *)(uintptr_t)what,
							 .rcpts = rcpt_count, .text = text });
	free(text);
}

int bounce_commit(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		  struct spool_state *st, const char **to, struct err *e)
{
	size_t *rcpt = mem_array(st->rcpt_count, sizeof(*rcpt));
	struct report r = { .kind = REPORT_FAILED, .state = st, .rcpt = rcpt };
	int result = 0;

	ASSERT(st->report_id.text[0] && st->rcpt_count == m->env.rcpt_count);
	for (size_t i = 0; i < st->rcpt_count; i++) {
		enum audience audience = failure_audience(settings, &m->env, &m->env.rcpt[i]);

		if (has_failed(&st->rcpt[i]) && (audience == SENDER || audience == POSTMASTER))
			rcpt[r.rcpt_count++] = i;
	}
	r.for_postmaster = !m->env.sender[0];
	r.to = r.for_postmaster ? settings->postmaster : m->env.sender;
	if (r.rcpt_count > 0) /* none: the settings changed since it was prepared */
		result = make_report(settings, s, m, &r, &st->report_id, e);
	if (result < 0 && e->os_error == EEXIST)
		choose_another(s, m, st, e);
	for (size_t i = 0; i < r.rcpt_count && result == 0; i++)
		st->rcpt[rcpt[i]].reported = true;
	if (result == 0 && r.rcpt_count > 0)
		note_report(st, "reported", &st->report_id, r.to, r.rcpt_count);
	if (result == 0)
		st->report_id.text[0] = '\0';
	if (to)
		*to = r.rcpt_count > 0 ? r.to : NULL;
	free(rcpt);
	return result;
}

int bounce_warn(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		struct spool_state *st, struct spool_id *id, struct err *e)
{
	size_t *rcpt = mem_array(st->rcpt_count, sizeof(*rcpt));
	struct report r = { .kind = REPORT_DELAYED, .state = st, .rcpt = rcpt, .to = m->env.sender };
	int result = 0;

	id->text[0] = '\0';
	for (size_t i = 0; i < st->rcpt_count && m->env.sender[0] && !st->warned; i++)
		if (st->rcpt[i].status == RCPT_PENDING && notify_has(&m->env.rcpt[i], ENVELOPE_NOTIFY_DELAY))
			rcpt[r.rcpt_count++] = i;
	if (settings->expire_after_ms > 0)
		r.retry_until_wall_us = m->env.arrived_wall_us + settings->expire_after_ms * 1000;
	if (r.rcpt_count > 0) {
		spool_id_new(id);
		result = make_report(settings, s, m, &r, id, e);
	}
	if (result == 0 && r.rcpt_count > 0)
		note_report(st, "warned", id, r.to, r.rcpt_count);
	if (result == 0)
		st->warned = true;
	free(rcpt);
	return result;
}

bool bounce_tells_relayed(const struct envelope_rcpt *rcpt, bool on_success, bool on_relay)
{
	return (on_success && notify_has(rcpt, ENVELOPE_NOTIFY_SUCCESS)) ||
	       (on_relay && !(rcpt->notify & ENVELOPE_NOTIFY_NEVER));
}

int bounce_relayed(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		   const struct spool_state *st, const size_t *rcpt, size_t rcpt_count, struct spool_id *id,
		   struct err *e)
{
	struct report r = { .kind = REPORT_RELAYED,
			    .state = st,
			    .rcpt = rcpt,
			    .rcpt_count = rcpt_count,
			    .to = m->env.sender };

	id->text[0] = '\0';
	if (rcpt_count == 0 || !m->env.sender[0])
		return 0;
	spool_id_new(id);
	return make_report(settings, s, m, &r, id, e);
}
