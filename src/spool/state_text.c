/* SPDX-License-Identifier: ISC */
/*
 * The text of a state, written and read.
 *
 * Format:
 *   posthouse-state/1 LF
 *   tries=N left=N [next=TIME] [last=TIME] [held=yes] [released=yes] [report=ID] [uncertain=yes] [warned=yes] [route=...] [hold_reason=...] LF
 *   rcpt=INDEX status=... [when=TIME] [tries=N] [next=TIME] [reported=yes] [upstream=...] [remote=...] [reply=...] LF
 *                                only for recipients with a story; next only when it is not the message's
 *   event=WORD when=TIME [times=N] [rcpts=N] [by=...] [upstream=...] [remote=...] [text=...] LF    oldest first
 *   xxh3=HHHHHHHHHHHHHHHH LF                                            over everything before this line
 */
#include "spool/state_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/kv.h"
#include "base/num.h"
#include "spool/checksum.h"
#include "spool/id.h"

#define MAGIC "posthouse-state/1\n"

/* ---- writing --------------------------------------------------------------- */

#define YEAR_9999_US INT64_C(253402300799999999)

/* A time that the notation cannot hold would make the whole state unreadable: it is cut to the nearest it can. */
static bool put_time(struct buf *b, const char *key, int64_t wall_us)
{
	char stamp[CLOCK_UTC_MAX];

	if (wall_us > YEAR_9999_US)
		wall_us = YEAR_9999_US;
	return wall_us <= 0 || kv_puts(b, key, clock_format_utc(wall_us, stamp));
}

static bool put_text(struct buf *b, const char *key, const char *text)
{
	return !text || kv_puts(b, key, text);
}

static bool put_count(struct buf *b, const char *key, size_t n, size_t unless)
{
	return n == unless || kv_puti(b, key, (int64_t)n);
}

static bool put_flag(struct buf *b, const char *key, bool flag)
{
	return !flag || kv_puts(b, key, "yes");
}

/* A pending recipient's own time, where it is not the message's; "now" is written as the oldest time there is. */
static bool put_rcpt_next(struct buf *b, const struct spool_state *st, const struct rcpt_state *r)
{
	if (r->status != RCPT_PENDING || r->next_wall_us == st->next_attempt_wall_us)
		return true;
	return put_time(b, "next", r->next_wall_us > 0 ? r->next_wall_us : 1);
}

static bool has_story(const struct spool_state *st, const struct rcpt_state *r)
{
	return r->status != RCPT_PENDING || r->when_wall_us > 0 || r->tries > 0 || r->reported ||
	       r->upstream || r->remote || r->reply || r->next_wall_us != st->next_attempt_wall_us;
}

static bool put_rcpt(struct buf *b, const struct spool_state *st, size_t index)
{
	const struct rcpt_state *r = &st->rcpt[index];

	if (!has_story(st, r))
		return true;
	return kv_puti(b, "rcpt", (int64_t)index) && kv_puts(b, "status", rcpt_status_name(r->status)) &&
	       put_time(b, "when", r->when_wall_us) && put_count(b, "tries", r->tries, 0) &&
	       put_rcpt_next(b, st, r) && put_flag(b, "reported", r->reported) &&
	       put_text(b, "upstream", r->upstream) && put_text(b, "remote", r->remote) &&
	       put_text(b, "reply", r->reply) && buf_addc(b, '\n');
}

static bool put_event(struct buf *b, const struct spool_event *ev)
{
	return kv_puts(b, "event", ev->what) && put_time(b, "when", ev->when_wall_us) &&
	       put_count(b, "times", ev->times, 1) && put_count(b, "rcpts", ev->rcpts, 0) &&
	       put_text(b, "by", ev->by) && put_text(b, "upstream", ev->upstream) &&
	       put_text(b, "remote", ev->remote) && put_text(b, "text", ev->text) && buf_addc(b, '\n');
}

bool spool_state_format(const struct spool_state *st, struct buf *b)
{
	bool ok;

	ok = buf_adds(b, MAGIC) && kv_puti(b, "tries", st->tries) &&
	     kv_puti(b, "left", (int64_t)spool_state_count(st, RCPT_PENDING)) &&
	     put_time(b, "next", st->next_attempt_wall_us) && put_time(b, "last", st->last_attempt_wall_us) &&
	     put_flag(b, "held", st->held) && put_flag(b, "released", st->released) &&
	     (!st->report_id.text[0] || kv_puts(b, "report", st->report_id.text)) &&
	     put_flag(b, "uncertain", st->uncertain) && put_flag(b, "warned", st->warned) &&
	     put_text(b, "route", st->route) && put_text(b, "hold_reason", st->hold_reason) &&
	     buf_addc(b, '\n');
	for (size_t i = 0; ok && i < st->rcpt_count; i++)
		ok = put_rcpt(b, st, i);
	for (size_t i = 0; ok && i < st->event_count; i++)
		ok = put_event(b, &st->event[i]);
	if (!ok)
		return false;
	return checksum_seal(b);
}

/* ---- reading --------------------------------------------------------------- */

static bool parse_status(const char *text, enum rcpt_status *status)
{
	for (int i = RCPT_PENDING; i <= RCPT_EXPIRED; i++) {
		if (strcmp(text, rcpt_status_name((enum rcpt_status)i)) == 0) {
			*status = (enum rcpt_status)i;
			return true;
		}
	}
	return false;
}

static bool parse_text(char **field, const struct kv_pair *pair)
{
	free(*field);
	*field = mem_strndup(pair->value, pair->len);
	return true;
}

static bool parse_flag(bool *flag, const struct kv_pair *pair)
{
	return *flag = strcmp(pair->value, "yes") == 0;
}

static bool parse_count(uint64_t max, uint64_t *n, const struct kv_pair *pair)
{
	return num_parse_u64(pair->value, pair->len, max, n);
}

static bool parse_unsigned(unsigned *field, const struct kv_pair *pair)
{
	uint64_t n;

	if (!parse_count(UINT32_MAX, &n, pair))
		return false;
	*field = (unsigned)n;
	return true;
}

/* What the line being read is about. */
struct line_object {
	struct spool_state *st;
	struct rcpt_state *rcpt;
	struct spool_event *event;
	size_t left; /* as the first line has it */
};

/* A pair of the line about the message. */
static bool parse_message_pair(struct line_object *o, const struct kv_pair *pair)
{
	struct spool_state *st = o->st;
	uint64_t n;

	if (strcmp(pair->key, "tries") == 0)
		return parse_unsigned(&st->tries, pair);
	if (strcmp(pair->key, "left") == 0) {
		if (!parse_count(SIZE_MAX / 2, &n, pair))
			return false;
		o->left = (size_t)n;
		return true;
	}
	if (strcmp(pair->key, "next") == 0)
		return clock_parse_utc(pair->value, &st->next_attempt_wall_us);
	if (strcmp(pair->key, "last") == 0)
		return clock_parse_utc(pair->value, &st->last_attempt_wall_us);
	if (strcmp(pair->key, "held") == 0)
		return parse_flag(&st->held, pair);
	if (strcmp(pair->key, "released") == 0)
		return parse_flag(&st->released, pair);
	if (strcmp(pair->key, "report") == 0) {
		if (!spool_id_is_valid(pair->value))
			return false;
		strcpy(st->report_id.text, pair->value);
		return true;
	}
	if (strcmp(pair->key, "uncertain") == 0)
		return parse_flag(&st->uncertain, pair);
	if (strcmp(pair->key, "warned") == 0)
		return parse_flag(&st->warned, pair);
	if (strcmp(pair->key, "route") == 0)
		return parse_text(&st->route, pair);
	return strcmp(pair->key, "hold_reason") == 0 && parse_text(&st->hold_reason, pair);
}

/* A pair of a recipient's line, behind rcpt=. */
static bool parse_rcpt_pair(struct rcpt_state *r, const struct kv_pair *pair)
{
	if (strcmp(pair->key, "status") == 0)
		return parse_status(pair->value, &r->status);
	if (strcmp(pair->key, "when") == 0)
		return clock_parse_utc(pair->value, &r->when_wall_us);
	if (strcmp(pair->key, "tries") == 0)
		return parse_unsigned(&r->tries, pair);
	if (strcmp(pair->key, "next") == 0)
		return clock_parse_utc(pair->value, &r->next_wall_us);
	if (strcmp(pair->key, "reported") == 0)
		return parse_flag(&r->reported, pair);
	if (strcmp(pair->key, "upstream") == 0)
		return parse_text(&r->upstream, pair);
	if (strcmp(pair->key, "remote") == 0)
		return parse_text(&r->remote, pair);
	return strcmp(pair->key, "reply") == 0 && parse_text(&r->reply, pair);
}

/* A pair of an event's line, behind event=. */
static bool parse_event_pair(struct spool_event *ev, const struct kv_pair *pair)
{
	uint64_t n;

	if (strcmp(pair->key, "when") == 0)
		return clock_parse_utc(pair->value, &ev->when_wall_us);
	if (strcmp(pair->key, "times") == 0)
		return parse_unsigned(&ev->times, pair);
	if (strcmp(pair->key, "rcpts") == 0) {
		if (!parse_count(SIZE_MAX / 2, &n, pair))
			return false;
		ev->rcpts = (size_t)n;
		return true;
	}
	if (strcmp(pair->key, "by") == 0)
		return parse_text(&ev->by, pair);
	if (strcmp(pair->key, "upstream") == 0)
		return parse_text(&ev->upstream, pair);
	if (strcmp(pair->key, "remote") == 0)
		return parse_text(&ev->remote, pair);
	return strcmp(pair->key, "text") == 0 && parse_text(&ev->text, pair);
}

/* The first pair of a line may say that it is about a recipient or an event. */
static bool begin_object(struct line_object *o, const struct kv_pair *pair, bool *taken)
{
	uint64_t index;

	*taken = true;
	if (strcmp(pair->key, "rcpt") == 0) {
		if (!parse_count(UINT32_MAX, &index, pair) || index >= o->st->rcpt_count)
			return false;
		o->rcpt = &o->st->rcpt[index];
	} else if (strcmp(pair->key, "event") == 0) {
		if (o->st->event_count == SPOOL_EVENTS_MAX)
			return false;
		o->event = spool_state_new_event(o->st);
		o->event->times = 1;
		return parse_text(&o->event->what, pair);
	} else {
		*taken = false;
	}
	return true;
}

static bool parse_line(struct line_object *o, char *line, char *newline)
{
	struct kv_pair pair;
	enum kv_result r;
	bool first = true;

	o->rcpt = NULL;
	o->event = NULL;
	while ((r = kv_next(&line, newline, &pair)) == KV_PAIR) {
		bool taken = false;

		if (first && !begin_object(o, &pair, &taken))
			return false;
		first = false;
		if (taken)
			continue;
		if (o->rcpt    ? !parse_rcpt_pair(o->rcpt, &pair)
		    : o->event ? !parse_event_pair(o->event, &pair)
			       : !parse_message_pair(o, &pair))
			return false;
	}
	return r == KV_END;
}

/* What put_rcpt leaves out, and what 0.1 (which wrote no `left`) did not know: there all were tried together. */
static void complete_recipients(struct spool_state *st, bool by_old_version)
{
	for (size_t i = 0; i < st->rcpt_count; i++) {
		struct rcpt_state *r = &st->rcpt[i];

		if (by_old_version && r->status == RCPT_PENDING && r->tries == 0)
			r->tries = st->tries;
		if (r->status != RCPT_PENDING)
			r->next_wall_us = 0;
		else if (r->next_wall_us == 0)
			r->next_wall_us = st->next_attempt_wall_us;
		else if (r->next_wall_us == 1)
			r->next_wall_us = 0;
	}
}

/* The text says what is so now. */
static void forget_hold(struct spool_state *st)
{
	st->held = false;
	free(st->hold_reason);
	st->hold_reason = NULL;
}

/*
 * What the text does not say of the hold is as the envelope has it: a state that was written by who did not know
 * of it, or by hand, releases nothing.
 */
static void keep_born_hold(struct spool_state *st)
{
	if (st->born_hold && !st->released && !st->held)
		spool_state_hold(st, st->born_hold);
}

bool spool_state_parse(struct spool_state *st, char *text, size_t len)
{
	struct line_object object = { .st = st, .left = SPOOL_LEFT_UNKNOWN };
	char *line, *end;

	if (len < sizeof(MAGIC) - 1 + CHECKSUM_SEAL_LEN || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0 ||
	    !checksum_is_sealed(text, len))
		return false;
	end = text + len - CHECKSUM_SEAL_LEN;
	forget_hold(st);
	for (line = text + sizeof(MAGIC) - 1; line < end;) {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		if (!newline || !parse_line(&object, line, newline))
			return false;
		line = newline + 1;
	}
	complete_recipients(st, object.left == SPOOL_LEFT_UNKNOWN);
	keep_born_hold(st);
	return true;
}

bool spool_state_parse_head(struct spool_state_head *head, char *text, size_t len)
{
	struct spool_state st = { 0 };
	struct line_object object = { .st = &st, .left = SPOOL_LEFT_UNKNOWN };
	char *line = text + sizeof(MAGIC) - 1, *newline;
	bool ok;

	if (len < sizeof(MAGIC) || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0)
		return false;
	newline = memchr(line, '\n', (size_t)(text + len - line));
	if (!newline) /* a long reason at its end is cut off: what counts stands before it */
		newline = strstr(line, " hold_reason=");
	if (!newline)
		return false;
	ok = parse_line(&object, line, newline) && !object.event;
	*head = (struct spool_state_head){ .next_wall_us = st.next_attempt_wall_us,
					   .held = st.held,
					   .left = object.left,
					   .report_wanted = st.report_id.text[0] != '\0' };
	spool_state_release(&st);
	return ok;
}
