/* SPDX-License-Identifier: ISC */
/* See header.h: address lists (RFC 5322 3.4, 4.4). */
#include <string.h>

#include "base/buf.h"
#include "smtp/header.h"

#define TEXT_MAX 4096 /* of one display name or address */
#define COMMENT_DEPTH_MAX 100

/* One list being read. An address is either what stands in brackets, or all that stands there. */
struct reader {
	const char *p, *end;
	struct buf plain, angle;
	bool in_angle, had_angle;
	bool space; /* white space was passed since the last octet */
	bool words; /* more than one word: in plain a display name, no address */
	const char *begin; /* of the value */
	const char *first, *last; /* where the address stands: its first octet, and behind its last one */
	bool (*each)(void *ctx, const struct listed_address *listed, struct err *e);
	void *ctx;
};

static int bad(struct err *e, const char *what)
{
	err_set(e, "%s", what);
	return -1;
}

bool address_is_safe(const char *address)
{
	bool quoted = false;

	if (strlen(address) > ADDRESS_MAX)
		return false;
	for (const char *p = address; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
		if (quoted && *p == '\\' && p[1]) {
			p++;
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				return false;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!quoted && strchr("<> ,;()", *p)) {
			return false;
		}
	}
	return !quoted;
}

/* An address is complete (or an empty element of the list, RFC 5322 4.4, which is skipped). */
static int finish(struct reader *r, struct err *e)
{
	const char *address = r->had_angle ? r->angle.data : r->plain.data;

	if (r->had_angle && address[0] == '@') { /* obs-route: "@a,@b:" */
		const char *colon = strchr(address, ':');

		if (!colon)
			return bad(e, "a source route without its end");
		address = colon + 1;
	}
	if (r->had_angle || r->plain.len > 0) {
		if (!r->had_angle && r->words) {
			err_set(e, "\"%.60s\" is no address", address);
			return -1;
		}
		if (!address_is_safe(address)) {
			err_set(e, "\"%.60s\" cannot be an address", address);
			return -1;
		}
		if (!r->each(r->ctx,
			     &(struct listed_address){ address, (size_t)(r->first - r->begin),
						       (size_t)(r->last - r->first) },
			     e))
			return -1;
	}
	buf_clear(&r->plain);
	buf_clear(&r->angle);
	r->had_angle = r->space = r->words = false;
	r->first = r->last = NULL;
	return 0;
}

static int add(struct reader *r, const char *text, size_t len, struct err *e)
{
	struct buf *to = r->in_angle ? &r->angle : &r->plain;

	/* "a @ b . c" is one word to RFC 5322 4.4, "John Doe" is two */
	if (r->space && to->len > 0 && !strchr(".@", to->data[to->len - 1]) && !strchr(".@", text[0]))
		r->words = true;
	r->space = false;
	if (to->len == 0)
		r->first = r->p;
	r->last = r->p + len;
	return buf_add(to, text, len) ? 0 : bad(e, "an address is too long");
}

/* The quoted string or domain literal at p, closing character included; 0 when that is missing. */
static size_t delimited_length(const char *p, const char *end, char close)
{
	for (const char *q = p + 1; q < end; q++) {
		if (*q == '\\' && q + 1 < end)
			q++;
		else if (*q == close)
			return (size_t)(q + 1 - p);
	}
	return 0;
}

static size_t comment_length(const char *p, const char *end)
{
	unsigned depth = 0;

	for (const char *q = p; q < end; q++) {
		if (*q == '\\' && q + 1 < end)
			q++;
		else if (*q == '(' && ++depth > COMMENT_DEPTH_MAX)
			return 0;
		else if (*q == ')' && --depth == 0)
			return (size_t)(q + 1 - p);
	}
	return 0;
}

/* Takes one token; the number of octets is added to r->p. */
static int take(struct reader *r, struct err *e)
{
	char c = *r->p;
	size_t n = 1;

	switch (c) {
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		r->space = true;
		break;
	case '(':
		n = comment_length(r->p, r->end);
		if (n == 0)
			return bad(e, "a comment without its end");
		r->space = true;
		break;
	case '"':
	case '[':
		n = delimited_length(r->p, r->end, c == '"' ? '"' : ']');
		if (n == 0)
			return bad(e, c == '"' ? "a quoted string without its end"
					       : "a literal without its end");
		if (add(r, r->p, n, e) < 0)
			return -1;
		break;
	case '<':
		if (r->in_angle || r->had_angle)
			return bad(e, "a '<' where none can be");
		r->in_angle = r->had_angle = true;
		r->space = r->words = false;
		r->first = r->last = r->p + 1; /* "<>" is one too */
		break;
	case '>':
		if (!r->in_angle)
			return bad(e, "a '>' where none can be");
		if (r->words)
			return bad(e, "a space in an address");
		r->in_angle = false;
		break;
	case ',':
	case ';': /* of a group */
		if (!r->in_angle) {
			if (finish(r, e) < 0)
				return -1;
			break;
		}
		if (c == ';' || add(r, ",", 1, e) < 0)
			return bad(e, "a list where one address was expected");
		break;
	case ':':
		if (!r->in_angle) { /* what came before was the name of a group */
			buf_clear(&r->plain);
			r->space = r->words = false;
			break;
		}
		if (add(r, ":", 1, e) < 0)
			return -1;
		break;
	default:
		if (add(r, r->p, 1, e) < 0)
			return -1;
	}
	r->p += n;
	return 0;
}

int header_address_list(const char *value, size_t len,
			bool (*each)(void *ctx, const struct listed_address *listed, struct err *e),
			void *ctx, struct err *e)
{
	struct reader r = { .p = value, .end = value + len, .begin = value, .each = each, .ctx = ctx };
	int result = 0;

	buf_init(&r.plain, TEXT_MAX);
	buf_init(&r.angle, TEXT_MAX);
	while (result == 0 && r.p < r.end)
		result = *r.p ? take(&r, e) : bad(e, "a NUL octet");
	if (result == 0 && r.in_angle)
		result = bad(e, "a '<' without its '>'");
	if (result == 0)
		result = finish(&r, e);
	buf_release(&r.plain);
	buf_release(&r.angle);
	return result;
}

/* For those who only want the addresses. */
struct plain_each {
	bool (*each)(void *ctx, const char *address, struct err *e);
	void *ctx;
};

static bool pass_address(void *ctx, const struct listed_address *listed, struct err *e)
{
	const struct plain_each *p = ctx;

	return p->each(p->ctx, listed->address, e);
}

int header_addresses(const char *value, size_t len,
		     bool (*each)(void *ctx, const char *address, struct err *e), void *ctx, struct err *e)
{
	struct plain_each p = { each, ctx };

	return header_address_list(value, len, pass_address, &p, e);
}
