/* SPDX-License-Identifier: ISC */
/* See header_filter.h. A state machine over octets; whole lines are looked for where nothing is to be
 * decided. */
#include "rewrite/header_filter.h"

#include <string.h>

#include "rewrite/field.h"

enum place {
	LINE_START, /* of a line of the header */
	NAME, /* in what may be the name of a field */
	NAME_SPACE, /* behind it: obsolete syntax has space before the colon (RFC 5322 4.5) */
	FIELD, /* behind the colon, and in continued lines */
	BODY
};

enum action {
	PASS, /* as it comes */
	DROP,
	HOLD /* until it is whole, then rewrite it */
};

void header_filter_init(struct header_filter *f, const struct rewrite_rules *rules, bool utf8,
			bool (*put)(void *ctx, const char *data, size_t len), void *ctx)
{
	memset(f, 0, sizeof(*f));
	f->rules = rules;
	f->utf8 = utf8;
	f->put = put;
	f->ctx = ctx;
	f->state = LINE_START;
	f->action = PASS;
	buf_init(&f->held, FILTER_FIELD_MAX);
}

void header_filter_release(struct header_filter *f)
{
	buf_release(&f->held);
}

static enum filter_result put(struct header_filter *f, const char *data, size_t len)
{
	return len == 0 || f->put(f->ctx, data, len) ? FILTER_OK : FILTER_STOPPED;
}

static enum filter_result put_held(struct header_filter *f)
{
	enum filter_result r = put(f, f->held.data, f->held.len);

	buf_clear(&f->held);
	return r;
}

static void skip(struct header_filter *f, const struct err *e)
{
	const char *colon = memchr(f->held.data, ':', f->held.len);

	if (f->skipped++ == 0) {
		f->why = *e;
		err_prefix(&f->why, "%.*s", (int)(colon ? colon - f->held.data : 0), f->held.data);
	}
}

static enum filter_result rewrite_held(struct header_filter *f)
{
	enum filter_result result = FILTER_OK;
	struct buf out;
	struct err e;

	buf_init(&out, FILTER_OUT_MAX);
	switch (field_rewrite(f->rules, f->held.data, f->held.len, f->utf8, &out, &e)) {
	case FIELD_CHANGED:
		f->rewritten++;
		buf_clear(&f->held);
		result = put(f, out.data, out.len);
		break;
	case FIELD_UNREADABLE:
		skip(f, &e);
		result = put_held(f);
		break;
	case FIELD_SAME:
		result = put_held(f);
		break;
	case FIELD_INVALID:
		f->why = e;
		result = FILTER_INVALID;
		break;
	}
	buf_release(&out);
	return result;
}

/* The field before this line is whole. */
static enum filter_result end_field(struct header_filter *f)
{
	bool hold = f->in_field && f->action == HOLD;

	f->in_field = false;
	f->action = PASS;
	return hold ? rewrite_held(f) : FILTER_OK;
}

/* False: that is more than we hold. What was held is passed on. */
static bool hold(struct header_filter *f, const char *data, size_t len, enum filter_result *r)
{
	struct err e;

	*r = FILTER_OK;
	if (buf_add(&f->held, data, len))
		return true;
	err_set(&e, "a field of more than %u octets is not looked at", FILTER_FIELD_MAX);
	skip(f, &e);
	*r = put_held(f);
	return false;
}

/* The name is known: what becomes of the field. */
static enum filter_result decide(struct header_filter *f)
{
	size_t len = f->held.len - 1;

	while (len > 0 && (f->held.data[len - 1] == ' ' || f->held.data[len - 1] == '\t'))
		len--;
	f->in_field = true;
	f->state = FIELD;
	if (field_is_removed(f->rules, f->held.data, len)) {
		f->action = DROP;
		f->removed++;
		buf_clear(&f->held);
		return FILTER_OK;
	}
	if (f->rules->headers && field_names_sender(f->held.data, len)) {
		f->action = HOLD;
		return FILTER_OK;
	}
	f->action = PASS;
	return put_held(f);
}

static bool is_name_octet(char c)
{
	return c > ' ' && c < 0x7f && c != ':'; /* ftext, RFC 5322 2.2 */
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first octet of a line. */
static enum filter_result take_first(struct header_filter *f, char c)
{
	enum filter_result r;

	if (is_blank(c) && f->in_field) {
		f->state = FIELD;
		return FILTER_OK; /* and is taken there */
	}
	r = end_field(f);
	if (r != FILTER_OK)
		return r;
	/* the empty line, or one that cannot be a field: here the header ends */
	f->state = is_name_octet(c) ? NAME : BODY;
	return FILTER_OK;
}

/* What is held was no field: here the header ends. */
static enum filter_result begin_body(struct header_filter *f)
{
	f->state = BODY;
	return put_held(f);
}

/* An octet of what may be a name; *used: whether it was taken. */
static enum filter_result keep_octet(struct header_filter *f, char c, bool *used)
{
	enum filter_result r;

	*used = hold(f, &c, 1, &r);
	if (!*used)
		f->state = BODY; /* a name of that size is none */
	return r;
}

/* One octet where something is to be decided; *used: whether it was taken. */
static enum filter_result take_octet(struct header_filter *f, char c, bool *used)
{
	enum filter_result r;

	*used = false;
	switch ((enum place)f->state) {
	case LINE_START:
		r = take_first(f, c);
		return r == FILTER_OK && f->state == NAME ? keep_octet(f, c, used) : r;
	case NAME:
	case NAME_SPACE:
		if (c == ':') {
			r = keep_octet(f, c, used);
			return r == FILTER_OK && *used ? decide(f) : r;
		}
		if (!is_blank(c) && (!is_name_octet(c) || f->state == NAME_SPACE))
			break;
		f->state = is_blank(c) ? NAME_SPACE : NAME;
		return keep_octet(f, c, used);
	case FIELD:
	case BODY:
		break;
	}
	return begin_body(f);
}

/* The rest of a line of a field, as far as it is here. */
static enum filter_result take_line(struct header_filter *f, const char *data, size_t len)
{
	enum filter_result r;

	if (data[len - 1] == '\n')
		f->state = LINE_START;
	if (f->action == DROP || (f->action == HOLD && hold(f, data, len, &r)))
		return FILTER_OK;
	if (f->action == PASS)
		return put(f, data, len);
	f->action = PASS;
	return r == FILTER_OK ? put(f, data, len) : r;
}

enum filter_result header_filter_feed(struct header_filter *f, const char *data, size_t len)
{
	const char *end = data + len;
	enum filter_result r = FILTER_OK;

	while (r == FILTER_OK && data < end && f->state != BODY) {
		bool used;

		if (f->state == FIELD) {
			const char *newline = memchr(data, '\n', (size_t)(end - data));
			size_t n = (size_t)((newline ? newline + 1 : end) - data);

			r = take_line(f, data, n);
			data += n;
			continue;
		}
		r = take_octet(f, *data, &used);
		data += used;
	}
	if (r != FILTER_OK)
		return r;
	return put(f, data, (size_t)(end - data));
}

enum filter_result header_filter_finish(struct header_filter *f)
{
	enum filter_result r = end_field(f);

	return r == FILTER_OK ? put_held(f) : r;
}
