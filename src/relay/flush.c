/* SPDX-License-Identifier: ISC */
/* See flush.h. */
#include "relay/flush.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "smtp/path.h"

#define PAUSE_LEAST_MS 10000
#define PAUSE_MOST_MS 600000

static const char letters[] = { [FLUSH_DOMAIN] = 'd', [FLUSH_SUBDOMAINS] = 's', [FLUSH_UPSTREAM] = 'u' };

static bool is_name(enum flush_kind kind, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= FLUSH_NAME_MAX)
		return false;
	switch (kind) {
	case FLUSH_UPSTREAM: /* which there are the relay knows; here only what is no line of the pipe is none */
		return !strpbrk(name, "\r\n");
	case FLUSH_DOMAIN:
		if (smtp_is_address_literal(name, len))
			return true;
		break;
	case FLUSH_SUBDOMAINS:
		break;
	}
	return smtp_is_domain(name, len);
}

size_t flush_line(char out[FLUSH_LINE_MAX], enum flush_kind kind, const char *name)
{
	return is_name(kind, name) ? (size_t)snprintf(out, FLUSH_LINE_MAX, "!%c %s\n", letters[kind], name)
				   : 0;
}

bool flush_parse(const char *line, size_t len, struct flush *out)
{
	const char *letter;

	if (len < 4 || len - 3 >= FLUSH_NAME_MAX || line[0] != '!' || line[2] != ' ' ||
	    memchr(line, '\0', len))
		return false;
	letter = memchr(letters, line[1], sizeof(letters));
	if (!letter)
		return false;
	out->kind = (enum flush_kind)(letter - letters);
	memcpy(out->name, line + 3, len - 3);
	out->name[len - 3] = '\0';
	return is_name(out->kind, out->name);
}

static bool is_same(const struct flush *a, const struct flush *b)
{
	return a->kind == b->kind &&
	       (a->kind == FLUSH_UPSTREAM ? strcmp(a->name, b->name) : strcasecmp(a->name, b->name)) == 0;
}

bool flushes_add(struct flushes *f, const struct flush *one)
{
	for (size_t i = 0; i < f->count; i++)
		if (is_same(&f->item[i], one))
			return true;
	if (f->count == FLUSHES_MAX)
		return false;
	f->item[f->count++] = *one;
	return true;
}

static bool is_within(const char *domain, const char *above)
{
	size_t len = strlen(domain), n = strlen(above);

	return len > n && domain[len - n - 1] == '.' && strcasecmp(domain + len - n, above) == 0;
}

bool flushes_want_address(const struct flushes *f, const char *address)
{
	const char *domain = smtp_address_domain(address);

	for (size_t i = 0; i < f->count && domain; i++) {
		const struct flush *one = &f->item[i];

		if (one->kind != FLUSH_UPSTREAM &&
		    (strcasecmp(one->name, domain) == 0 ||
		     (one->kind == FLUSH_SUBDOMAINS && is_within(domain, one->name))))
			return true;
	}
	return false;
}

bool flushes_want_upstream(const struct flushes *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->item[i].kind == FLUSH_UPSTREAM && strcmp(f->item[i].name, name) == 0)
			return true;
	return false;
}

int64_t flush_pause_ms(int64_t took_ms)
{
	int64_t pause = took_ms < PAUSE_MOST_MS ? 9 * took_ms : PAUSE_MOST_MS;

	return pause < PAUSE_LEAST_MS ? PAUSE_LEAST_MS : pause > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause;
}
