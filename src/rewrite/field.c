/* SPDX-License-Identifier: ISC */
/* See field.h. */
#include "rewrite/field.h"

#include <string.h>
#include <strings.h>

#include "smtp/header.h"

#define LINE_MAX_OCTETS 998 /* RFC 5322 2.1.1, without CRLF */
#define FOLD_FROM 78 /* a shorter beginning of a line is not worth it, and could be white space only */

static const char *const sender_fields[] = { "From",        "Sender",        "Reply-To",
					     "Resent-From", "Resent-Sender", "Resent-Reply-To" };

static bool is_name(const char *name, size_t len, const char *wanted)
{
	return strlen(wanted) == len && strncasecmp(name, wanted, len) == 0;
}

bool field_names_sender(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(sender_fields) / sizeof(sender_fields[0]); i++)
		if (is_name(name, len, sender_fields[i]))
			return true;
	return false;
}

bool field_is_removed(const struct rewrite_rules *r, const char *name, size_t len)
{
	for (size_t i = 0; i < r->remove_count; i++) {
		size_t wanted = strlen(r->remove[i]);

		if (r->remove[i][wanted - 1] == '*' && len >= wanted - 1 &&
		    strncasecmp(name, r->remove[i], wanted - 1) == 0)
			return true;
		if (is_name(name, len, r->remove[i]))
			return true;
	}
	return false;
}

struct rewriting {
	const struct rewrite_rules *rules;
	bool utf8;
	const char *value, *end;
	const char *copied; /* the value up to here is in out */
	struct buf *out;
	bool changed, invalid;
};

/* Octets of the last line of out, and of the value's line from at to its end. */
static size_t line_so_far(const struct buf *out)
{
	const char *newline = memrchr(out->data, '\n', out->len);

	return newline ? (size_t)(out->data + out->len - newline - 1) : out->len;
}

static size_t rest_of_line(const char *at, const char *end)
{
	const char *newline = memchr(at, '\r', (size_t)(end - at));

	return (size_t)((newline ? newline : end) - at);
}

/* A longer address must not make a line that others refuse: then it begins the next one (CFWS may stand
 * there). */
static bool put_address(struct rewriting *w, const char *address, const char *behind)
{
	size_t so_far = line_so_far(w->out);

	if (so_far > FOLD_FROM && so_far + strlen(address) + rest_of_line(behind, w->end) > LINE_MAX_OCTETS &&
	    !buf_adds(w->out, "\r\n "))
		return false;
	return buf_adds(w->out, address);
}

static bool take_address(void *ctx, const struct listed_address *listed, struct err *e)
{
	struct rewriting *w = ctx;
	const char *at = w->value + listed->at, *why = NULL;
	char out[SMTP_PATH_MAX];

	switch (rewrite_address(w->rules, REWRITE_HEADER, listed->address, w->utf8, out, &why)) {
	case REWRITE_SAME:
		return true;
	case REWRITE_CHANGED:
		if (buf_add(w->out, w->copied, (size_t)(at - w->copied)) &&
		    put_address(w, out, at + listed->len)) {
			w->copied = at + listed->len;
			w->changed = true;
			return true;
		}
		err_set(e, "the field gets too long");
		break;
	case REWRITE_INVALID:
	case REWRITE_TOO_MANY:
		err_set(e, "%.100s cannot be rewritten: %s", listed->address, why);
		break;
	}
	w->invalid = true;
	return false;
}

/* "X-Original-From: " and the old value */
static bool add_original(const struct header_field *f, struct buf *out)
{
	bool long_line = f->name_len + 12 + rest_of_line(f->value, f->value + f->value_len) > LINE_MAX_OCTETS;

	return buf_adds(out, "X-Original-") && buf_add(out, f->name, f->name_len) && buf_addc(out, ':') &&
	       (!long_line || buf_adds(out, "\r\n ")) && buf_add(out, f->value, f->value_len);
}

enum field_outcome field_rewrite(const struct rewrite_rules *r, const char *field, size_t len, bool utf8,
				 struct buf *out, struct err *e)
{
	const char *at = field, *end = field + len;
	struct header_field f;
	struct rewriting w = { .rules = r, .utf8 = utf8, .out = out };
	size_t before = out->len;
	bool readable;

	if (!header_next(&at, end, &f) || at != end) {
		err_set(e, "no header field");
		return FIELD_UNREADABLE;
	}
	w.value = w.copied = f.value;
	w.end = end;
	/* what stands before the value comes first, as lines are measured in out */
	if (!buf_add(out, field, (size_t)(f.value - field))) {
		err_set(e, "the field gets too long");
		return FIELD_INVALID;
	}
	readable = header_address_list(f.value, f.value_len, take_address, &w, e) == 0;
	if (!readable || !w.changed) {
		if (out->len > before)
			out->data[out->len = before] = '\0';
		if (w.invalid)
			return FIELD_INVALID;
		return readable ? FIELD_SAME : FIELD_UNREADABLE;
	}
	if (buf_add(out, w.copied, (size_t)(end - w.copied)) && (!r->keep_original || add_original(&f, out)))
		return FIELD_CHANGED;
	err_set(e, "the field gets too long");
	return FIELD_INVALID;
}
