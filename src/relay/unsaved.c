/* SPDX-License-Identifier: ISC */
/*
 * What the disk would not take when the relay ends: the next relay of this service gets it by an anonymous file
 * that the master keeps (relay.h, unsaved_fd), so that a new configuration or executable on a full disk does not
 * send again what was sent. When the service ends, or the relay in disorder, the log is all that knows.
 *
 * A record each: a line "ID LENGTH SUCCESS RELAYED COUNT", the places of COUNT recipients that may have to be told
 * of (attempt.h, tell_...), and LENGTH octets, the text of the state.
 */
#include "relay/relay_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"

#define LEFT_MAX (1u << 30)

/* ---- leaving it ----------------------------------------------------------------- */

static bool add_record(struct buf *left, const struct attempt *a)
{
	size_t count = a->tell_success || a->tell_relayed ? a->txn.rcpt_count : 0;
	struct buf text;
	struct err e;
	bool fits;

	if (spool_state_text(&a->state, a->rules->spool, a->message.env.id, &text, &e) < 0)
		return false;
	fits = buf_addf(left, "%s %zu %d %d %zu\n", a->message.env.id, text.len, a->tell_success,
			a->tell_relayed, count);
	for (size_t i = 0; i < count && fits; i++)
		fits = buf_addf(left, "%zu\n", a->rcpt[i]);
	fits = fits && buf_add(left, text.data, text.len);
	buf_release(&text);
	return fits;
}

/* Half of it is nothing. */
static bool write_records(int fd, const struct buf *left)
{
	if (ftruncate(fd, 0) == 0 && pwrite(fd, left->data, left->len, 0) == (ssize_t)left->len)
		return true;
	(void)!ftruncate(fd, 0);
	return false;
}

/* True: the next relay gets all of them. */
static bool leave_to_next(const struct relay *r)
{
	struct buf left;
	bool good = r->setup->unsaved_fd >= 0 && !r->setup->control->stopping;

	if (!good)
		return false;
	buf_init(&left, LEFT_MAX);
	for (const struct attempt *a = r->unsaved; a && good; a = a->next)
		good = add_record(&left, a);
	good = good && write_records(r->setup->unsaved_fd, &left);
	buf_release(&left);
	return good;
}

static void forget(struct attempt *a)
{
	operate_free_orders(a->orders);
	attempt_free(a);
}

void unsaved_leave(struct relay *r)
{
	struct attempt *still = NULL;
	struct err why = { .text = "" }; /* of the last one: it is the same disk */
	bool is_left;

	/* the disk has one more chance */
	while (r->unsaved) {
		struct attempt *a = r->unsaved;
		enum attempt_saved saved;

		r->unsaved = a->next;
		if (operate_attempt_removed(r, a))
			continue;
		saved = attempt_save(a, &why);
		if (saved != ATTEMPT_UNSAVED) {
			relay_place_saved(r, a, saved); /* and the orders that waited for it */
			continue;
		}
		a->next = still;
		still = a;
	}
	r->unsaved = still;
	is_left = !still || leave_to_next(r);
	if (!is_left)
		err_prefix(&why, "its deliveries could not be recorded and may be repeated after the next start");
	while (r->unsaved) {
		struct attempt *a = r->unsaved;

		r->unsaved = a->next;
		if (!is_left)
			relay_log_unsaved(a, &why);
		forget(a);
	}
}

/* ---- taking it -------------------------------------------------------------------- */

struct record {
	char id[SPOOL_ID_LEN + 1];
	size_t len, count;
	int tell_success, tell_relayed;
	size_t *rcpt; /* owned */
	char *text; /* in what was read */
};

static char *take_line(char **at, char *end)
{
	char *line = *at, *newline = memchr(line, '\n', (size_t)(end - line));

	if (!newline)
		return NULL;
	*newline = '\0';
	*at = newline + 1;
	return line;
}

/* False: there is no more. */
static bool take_record(struct record *one, char **at, char *end)
{
	char *line = take_line(at, end);

	*one = (struct record){ .id = "" };
	if (!line ||
	    sscanf(line, "%16s %zu %d %d %zu", one->id, &one->len, &one->tell_success, &one->tell_relayed,
		   &one->count) != 5 ||
	    !spool_id_is_valid(one->id) || one->count > (size_t)(end - *at))
		return false;
	one->rcpt = mem_array(one->count + 1, sizeof(*one->rcpt));
	for (size_t i = 0; i < one->count; i++) {
		line = take_line(at, end);
		if (!line || sscanf(line, "%zu", &one->rcpt[i]) != 1)
			return false;
	}
	if (one->len > (size_t)(end - *at))
		return false;
	one->text = *at;
	*at += one->len;
	return true;
}

/* The state as it should be on the disk, and whom to tell; false: it does not fit the message. */
static bool put_into(struct attempt *a, struct record *one)
{
	char *text = mem_strndup(one->text, one->len);
	bool good;

	spool_state_release(&a->state);
	spool_state_init_for(&a->state, &a->message.env);
	good = spool_state_parse(&a->state, text, one->len);
	free(text);
	for (size_t i = 0; i < one->count; i++)
		good = good && one->rcpt[i] < a->state.rcpt_count;
	if (!good)
		return false;
	a->rcpt = one->rcpt;
	one->rcpt = NULL;
	a->txn.rcpt_count = one->count;
	a->tell_success = one->tell_success;
	a->tell_relayed = one->tell_relayed;
	a->is_changed = true;
	return true;
}

static void take_one(struct relay *r, struct record *one)
{
	enum attempt_open opened;
	struct attempt *a;

	if (!queue_add(&r->queue, one->id, relay_first_lane(r), 0, 0) || !queue_take_id(&r->queue, one->id))
		return;
	sweep_note(r, one->id);
	opened = attempt_load(&a, &r->rules, one->id, false);
	if (opened != ATTEMPT_READY) {
		relay_replace_opened(r, one->id, opened, a, relay_first_lane(r));
		return;
	}
	/* there may be thousands: not with a descriptor each */
	spool_message_close_file(&a->message);
	if (put_into(a, one)) {
		relay_settle(r, a);
		return;
	}
	log_msg(LOG_LEVEL_ERROR, "spool_error",
		"%s: what the relay before this one left of it cannot be read", one->id);
	attempt_free(a);
	queue_forget(&r->queue, one->id); /* it is listed with all others */
}

void unsaved_take(struct relay *r)
{
	int fd = r->setup->unsaved_fd;
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	struct record one;
	char *text, *at;

	if (size <= 0)
		return;
	text = mem_alloc((size_t)size + 1);
	if (pread(fd, text, (size_t)size, 0) == size) {
		at = text;
		while (take_record(&one, &at, text + size)) {
			take_one(r, &one);
			free(one.rcpt);
		}
		free(one.rcpt); /* of a record that is none */
	}
	free(text);
	(void)!ftruncate(fd, 0);
}
