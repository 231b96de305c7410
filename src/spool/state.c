/* SPDX-License-Identifier: ISC */
/*
 * state/ID. Runs in the relay, or in a CLI that holds the spool lock.
 *
 * Format:
 *   posthouse-state/1 LF
 *   tries=N left=N [next=TIME] [last=TIME] [held=yes] [released=yes] [report=ID] [uncertain=yes] [warned=yes] [route=...] [hold_reason=...] LF
 *   rcpt=INDEX status=... [when=TIME] [tries=N] [next=TIME] [reported=yes] [upstream=...] [remote=...] [reply=...] LF
 *                                only for recipients with a story; next only when it is not the message's
 *   event=WORD when=TIME [times=N] [rcpts=N] [by=...] [upstream=...] [remote=...] [text=...] LF    oldest first
 *   xxh3=HHHHHHHHHHHHHHHH LF                                            over everything before this line
 *
 * Replacing it: write state/ID.new, fsync it, rename it to state/ID, fsync it again
 * (the second makes the new name durable, as in txn.c). A crash after any of
 * them leaves the old state or the new one, and at most an ID.new that the next
 * start removes. A state that only postpones (nothing delivered, failed or
 * held) skips both syncs: lost or torn, it costs an early retry (or a hold that
 * was released is back) and nothing else, and a queue of ten thousand deferrals
 * does not wait for the disk.
 */
#include "spool/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/kv.h"
#include "base/num.h"
#include "base/text.h"
#include "spool/checksum.h"
#include "spool/file.h"
#include "spool/id.h"
#include "spool/sys.h"

#define MAGIC "posthouse-state/1\n"
#define STATE_MAX (128u << 20) /* 50,000 recipients with a reply of 2 kB each */

static const char *const status_names[] = { "pending", "delivered", "failed", "expired" };

const char *rcpt_status_name(enum rcpt_status status)
{
	return status_names[status];
}

/* As at first; takes born_hold. */
static void begin(struct spool_state *st, size_t rcpt_count, char *born_hold)
{
	memset(st, 0, sizeof(*st));
	st->rcpt = mem_array(rcpt_count, sizeof(*st->rcpt));
	st->rcpt_count = rcpt_count;
	st->born_hold = born_hold;
	st->held = born_hold;
	st->hold_reason = mem_strdup_or_null(born_hold);
}

void spool_state_init(struct spool_state *st, size_t rcpt_count)
{
	begin(st, rcpt_count, NULL);
}

void spool_state_init_for(struct spool_state *st, const struct envelope *env)
{
	begin(st, env->rcpt_count, mem_strdup_or_null(env->hold));
}

static void event_release(struct spool_event *ev)
{
	free(ev->what);
	free(ev->upstream);
	free(ev->remote);
	free(ev->text);
	free(ev->by);
}

void spool_state_release(struct spool_state *st)
{
	for (size_t i = 0; i < st->rcpt_count; i++) {
		free(st->rcpt[i].upstream);
		free(st->rcpt[i].remote);
		free(st->rcpt[i].reply);
	}
	for (size_t i = 0; i < st->event_count; i++)
		event_release(&st->event[i]);
	free(st->rcpt);
	free(st->event);
	free(st->route);
	free(st->hold_reason);
	free(st->born_hold);
	memset(st, 0, sizeof(*st));
}

void spool_state_hold(struct spool_state *st, const char *reason)
{
	char *old = st->hold_reason;

	st->held = true;
	st->hold_reason = mem_strdup_or_null(reason);
	free(old);
}

void spool_state_let_go(struct spool_state *st)
{
	st->held = false;
	free(st->hold_reason);
	st->hold_reason = NULL;
	st->released = st->born_hold;
}

void rcpt_state_set(struct rcpt_state *r, enum rcpt_status status, int64_t wall_us, const char *upstream,
		    const char *remote, const char *reply)
{
	struct rcpt_state old = *r;

	r->status = status;
	r->when_wall_us = wall_us;
	r->upstream = mem_strdup_or_null(upstream);
	r->remote = mem_strdup_or_null(remote);
	r->reply = mem_strdup_or_null(reply);
	free(old.upstream);
	free(old.remote);
	free(old.reply);
}

void spool_state_follow(struct spool_state *st)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < st->rcpt_count; i++)
		if (st->rcpt[i].status == RCPT_PENDING && st->rcpt[i].next_wall_us < next)
			next = st->rcpt[i].next_wall_us;
	st->next_attempt_wall_us = next == INT64_MAX ? 0 : next;
}

/* ---- what happened ------------------------------------------------------------ */

static bool same_event(const struct spool_event *a, const struct spool_event *b)
{
	return a->rcpts == b->rcpts && text_same(a->what, b->what) && text_same(a->upstream, b->upstream) &&
	       text_same(a->remote, b->remote) && text_same(a->text, b->text) && text_same(a->by, b->by);
}

/*
 * Among the latest ones of its kind: two recipients that are put off with different words would otherwise take two
 * places at each try, and drive out all that happened before.
 */
static struct spool_event *find_same_event(struct spool_state *st, const struct spool_event *event)
{
	for (size_t i = st->event_count; i > 0 && text_same(st->event[i - 1].what, event->what); i--)
		if (same_event(&st->event[i - 1], event))
			return &st->event[i - 1];
	return NULL;
}

static void move_to_end(struct spool_state *st, struct spool_event *ev)
{
	struct spool_event moved = *ev, *end = st->event + st->event_count;

	memmove(ev, ev + 1, (size_t)(end - ev - 1) * sizeof(*ev));
	end[-1] = moved;
}

/* A new last one, to be filled; the second oldest goes when there are too many. */
static struct spool_event *push_event(struct spool_state *st)
{
	if (!st->event)
		st->event = mem_array(SPOOL_EVENTS_MAX, sizeof(*st->event));
	if (st->event_count == SPOOL_EVENTS_MAX) {
		event_release(&st->event[1]);
		memmove(&st->event[1], &st->event[2], (SPOOL_EVENTS_MAX - 2) * sizeof(*st->event));
		st->event_count--;
	}
	memset(&st->event[st->event_count], 0, sizeof(*st->event));
	return &st->event[st->event_count++];
}

void spool_state_add_event(struct spool_state *st, const struct spool_event *event)
{
	struct spool_event *last = find_same_event(st, event);

	if (last) {
		move_to_end(st, last);
		last = &st->event[st->event_count - 1];
		last->times += last->times < UINT32_MAX;
		last->when_wall_us = event->when_wall_us;
		return;
	}
	last = push_event(st);
	*last = (struct spool_event){ .when_wall_us = event->when_wall_us, .times = 1, .rcpts = event->rcpts,
				      .what = mem_strdup_or_null(event->what), .upstream = mem_strdup_or_null(event->upstream),
				      .remote = mem_strdup_or_null(event->remote), .text = mem_strdup_or_null(event->text),
				      .by = mem_strdup_or_null(event->by) };
}

size_t spool_state_count(const struct spool_state *st, enum rcpt_status status)
{
	size_t n = 0;

	for (size_t i = 0; i < st->rcpt_count; i++)
		n += st->rcpt[i].status == status;
	return n;
}

bool spool_state_is_finished(const struct spool_state *st)
{
	for (size_t i = 0; i < st->rcpt_count; i++)
		if (st->rcpt[i].status != RCPT_DELIVERED &&
		    (st->rcpt[i].status == RCPT_PENDING || !st->rcpt[i].reported))
			return false;
	return true;
}

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
	return r->status != RCPT_PENDING || r->when_wall_us > 0 || r->tries > 0 || r->reported || r->upstream ||
	       r->remote || r->reply || r->next_wall_us != st->next_attempt_wall_us;
}

static bool put_rcpt(struct buf *b, const struct spool_state *st, size_t index)
{
	const struct rcpt_state *r = &st->rcpt[index];

	if (!has_story(st, r))
		return true;
	return kv_puti(b, "rcpt", (int64_t)index) && kv_puts(b, "status", status_names[r->status]) &&
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

/* Does it hold anything that a power cut must not take back? */
bool spool_state_must_last(const struct spool_state *st)
{
	return st->held || st->released || st->route || st->report_id.text[0] ||
	       spool_state_count(st, RCPT_PENDING) != st->rcpt_count;
}

int spool_state_text(const struct spool_state *st, const struct spool *s, const char *id, struct buf *text,
		     struct err *e)
{
	buf_init(text, STATE_MAX);
	if (spool_state_format(st, text))
		return 0;
	err_set(e, "%s/state/%s: the state would be larger than %u octets", s->path, id, STATE_MAX);
	buf_release(text);
	return -1;
}

int spool_state_save(const struct spool_state *st, const struct spool *s, const char *id, struct err *e)
{
	struct buf text;
	int r;

	if (spool_state_text(st, s, id, &text, e) < 0)
		return -1;
	r = spool_file_replace(s, spool_place_state(s), id, text.data, text.len, spool_state_must_last(st), e);
	buf_release(&text);
	return r;
}

/* ---- reading --------------------------------------------------------------- */

static bool parse_status(const char *text, enum rcpt_status *status)
{
	for (unsigned i = 0; i < sizeof(status_names) / sizeof(*status_names); i++) {
		if (strcmp(text, status_names[i]) == 0) {
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
		o->event = push_event(o->st);
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
		if (o->rcpt ? !parse_rcpt_pair(o->rcpt, &pair) :
		    o->event ? !parse_event_pair(o->event, &pair) :
			       !parse_message_pair(o, &pair))
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
 * What the text does not say of the hold is as the envelope has it: a state that was written by who did not know of it, or by
 * hand, releases nothing.
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

/* What was read; text is freed. */
static enum spool_read take_text(struct spool_state *st, const struct spool *s, const char *id, enum spool_read r,
				 char *text, size_t len, struct err *e)
{
	size_t count = st->rcpt_count;

	if (r == SPOOL_READ_OK && !spool_state_parse(st, text, len)) {
		/* half a state is no state: all as at first */
		char *born_hold = st->born_hold;

		st->born_hold = NULL;
		spool_state_release(st);
		begin(st, count, born_hold);
		err_set(e, "%s/state/%s: torn or damaged", s->path, id);
		r = SPOOL_READ_CORRUPT;
	}
	free(text);
	return r;
}

enum spool_read spool_state_load_from(struct spool_state *st, const struct spool *s, const char *id, int fd,
				      struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	enum spool_read r;

	if (fd < 0)
		return SPOOL_READ_OK;
	r = spool_file_read_from(s, spool_place_state(s), id, fd, STATE_MAX, &text, &len, e);
	return take_text(st, s, id, r, text, len, e);
}

enum spool_read spool_state_load(struct spool_state *st, const struct spool *s, const char *id, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	enum spool_read r = spool_file_read(s, spool_place_state(s), id, STATE_MAX, &text, &len, e);

	if (r == SPOOL_READ_GONE)
		return SPOOL_READ_OK;
	return take_text(st, s, id, r, text, len, e);
}

bool spool_state_peek(struct spool_state_head *head, const struct spool *s, const char *id)
{
	struct spool_state st = { 0 };
	struct line_object object = { .st = &st, .left = SPOOL_LEFT_UNKNOWN };
	char text[1024], *line = text + sizeof(MAGIC) - 1, *newline, *last;
	int fd = sys_open(s->state_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	ssize_t n = fd < 0 ? -1 : sys_pread(fd, text, sizeof(text) - 1, 0);
	bool ok;

	if (fd >= 0)
		sys_close(fd);
	if (n < (ssize_t)sizeof(MAGIC) || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0)
		return false;
	newline = memchr(line, '\n', (size_t)(text + n - line));
	if (!newline) { /* a long reason at its end is cut off: what counts stands before it */
		text[n] = '\0';
		last = strstr(line, " hold_reason=");
		if (!last)
			return false;
		newline = last;
	}
	ok = parse_line(&object, line, newline) && !object.event;
	*head = (struct spool_state_head){ .next_wall_us = st.next_attempt_wall_us, .held = st.held,
					   .left = object.left, .report_wanted = st.report_id.text[0] != '\0' };
	spool_state_release(&st);
	return ok;
}

/* ---- the end of a message --------------------------------------------------- */

/*
 * Does the state that is on the disk hold anything that a power cut must not take back? Looks for the
 * words of spool_state_must_last without understanding them; when in doubt (the words may also stand in a
 * reply, the file may be unreadable) yes, which costs a sync.
 */
static bool saved_state_must_last(const struct spool *s, const char *id)
{
	static const char *const words[] = { " status=delivered", " status=failed", " status=expired",
					     " held=yes",         " released=yes",  " route=",
					     " report=" };
	char text[16 << 10];
	int fd = sys_open(s->state_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	ssize_t n;

	if (fd < 0)
		return errno != ENOENT;
	n = sys_pread(fd, text, sizeof(text), 0);
	sys_close(fd);
	for (size_t i = 0; n >= 0 && i < sizeof(words) / sizeof(*words); i++)
		if (memmem(text, (size_t)n, words[i], strlen(words[i])))
			return true;
	return n < 0 || n == sizeof(text);
}

int spool_remove(const struct spool *s, const char *id, struct err *e)
{
	if (sys_unlink(s->queue_fd, id) < 0 && errno != ENOENT) {
		err_set_os(e, errno, "%s/queue/%s: cannot remove this message", s->path, id);
		return -1;
	}
	/* where names are not kept in order, a power cut could undo the first removal and keep the second:
	 * the message would be back and have forgotten who already got it */
	if (s->keep_order && saved_state_must_last(s, id) && sys_fsync(s->queue_fd) < 0) {
		err_set_os(e, errno, "%s/queue: cannot sync this directory", s->path);
		return -1;
	}
	if (sys_unlink(s->state_fd, id) < 0 && errno != ENOENT) {
		err_set_os(e, errno, "%s/state/%s: cannot remove this state", s->path, id);
		return -1;
	}
	return 0;
}
