/* SPDX-License-Identifier: ISC */
/*
 * What a Mailman, or who sits in its place, may say of its lists. The first octet chooses: 'l' and 'd' pages of the REST
 * API (lists, domains), 'm' a map of Mailman 3 or 2; an address ended by NUL is asked for, the rest is the text.
 * Promise: an error, or a set that answers, which written and read again is the same set; no name of it can be
 * mistaken for two.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mailman/lists.h"
#include "mailman/map.h"
#include "mailman/rest.h"

static void check_again(const struct lists *l, enum lists_kind kind)
{
	struct lists *again = lists_new(kind);
	struct buf text;

	buf_init(&text, 1 << 24);
	ASSERT(lists_write(l, &text));
	for (char *line = text.data, *end = line + text.len, *newline; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		ASSERT(newline && lists_read_line(again, line, newline));
	}
	lists_seal(again);
	ASSERT(lists_equal(l, again));
	lists_free(again);
	buf_release(&text);
}

static void check_domains(const struct lists *l)
{
	for (size_t i = 0; i < lists_domain_count(l); i++) {
		const char *domain = lists_domain(l, i);

		ASSERT(*domain && strlen(domain) < LISTS_NAME_MAX);
		for (const char *c = domain; *c; c++)
			ASSERT((unsigned char)*c > ' ' && *c != 0x7f && *c != '@' && !(*c >= 'A' && *c <= 'Z'));
	}
}

static void check(const struct lists *l, enum lists_kind kind, const char *address)
{
	struct lists_known known = { .listed = l, .listed_wall_us = 2 };
	enum lists_found found = lists_find(l, address, NULL);

	/* no recipient of Mailman's is ever another's, and the other way round */
	ASSERT((lists_ask(&known, address, 1) == LISTS_YES) == (found == LISTS_LIST));
	ASSERT(lists_ask(&known, address, 3) != LISTS_NO || found == LISTS_FOREIGN);
	check_domains(l);
	check_again(l, kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *address = (const char *)data + 1, *nul = size > 1 ? memchr(address, '\0', size - 1) : NULL;
	enum lists_kind kind = size > 0 && data[0] == 'm' ? LISTS_OF_ADDRESSES : LISTS_OF_LISTS;
	struct rest_page page;
	struct lists *l;
	struct err e;
	size_t len;
	int r;

	if (!nul)
		return 0;
	len = size - (size_t)(nul + 1 - (const char *)data);
	l = lists_new(kind);
	if (data[0] == 'm')
		r = map_read(l, nul + 1, len, &e);
	else
		r = rest_read(l, data[0] == 'd' ? REST_DOMAINS : REST_LISTS, 200, nul + 1, len, &page, &e);
	ASSERT(r == 0 || e.text[0]);
	ASSERT(r < 0 || data[0] == 'm' || (page.count <= REST_PAGE && page.total <= REST_TOTAL_MAX));
	lists_seal(l);
	if (r == 0)
		check(l, kind, address);
	lists_free(l);
	return 0;
}
