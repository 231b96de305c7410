/* SPDX-License-Identifier: ISC */
/* See lookup.h. */
#include "cli/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "spool/recover.h"

void id_list_init(struct id_list *list)
{
	memset(list, 0, sizeof(*list));
}

void id_list_release(struct id_list *list)
{
	free(list->id);
	id_list_init(list);
}

void id_list_get(const struct id_list *list, size_t i, struct spool_id *out)
{
	memcpy(out->text, list->id[i], SPOOL_ID_LEN);
	out->text[SPOOL_ID_LEN] = '\0';
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, SPOOL_ID_LEN);
}

bool id_list_has(const struct id_list *list, const char *id)
{
	return list->count > 0 && bsearch(id, list->id, list->count, SPOOL_ID_LEN, compare);
}

void id_list_add(struct id_list *list, const char *id)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 1024;
		list->id = mem_resize(list->id, list->cap, SPOOL_ID_LEN);
	}
	memcpy(list->id[list->count++], id, SPOOL_ID_LEN);
}

/* What a person may have meant by a character that no id has. */
static char canonical(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	switch (c) {
	case 'o':
		return '0';
	case 'i':
	case 'l':
		return '1';
	default:
		return c;
	}
}

bool id_prefix_parse(const char *typed, struct id_prefix *out)
{
	char whole[SPOOL_ID_LEN + 1] = "0000000000000000";
	size_t len = strlen(typed);

	if (len == 0 || len > SPOOL_ID_LEN)
		return false;
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < len; i++)
		out->text[i] = canonical(typed[i]);
	out->len = len;
	/* valid is what makes a valid id when it is filled up */
	memcpy(whole, out->text, len);
	return spool_id_is_valid(whole);
}

bool id_prefix_matches(const struct id_prefix *p, const char *id)
{
	return memcmp(p->text, id, p->len) == 0;
}

bool id_prefix_is_whole(const struct id_prefix *p)
{
	return p->len == SPOOL_ID_LEN;
}

bool id_prefixes_match(struct id_prefix *prefix, size_t count, const char *id)
{
	bool found = count == 0;

	for (size_t i = 0; i < count; i++) {
		if (!id_prefix_matches(&prefix[i], id))
			continue;
		prefix[i].matches++;
		found = true;
	}
	return found;
}

struct selection {
	struct id_list *list;
	struct id_prefix *prefix;
	size_t count;
};

static void select_id(void *ctx, const char *id)
{
	struct selection *sel = ctx;

	if (id_prefixes_match(sel->prefix, sel->count, id))
		id_list_add(sel->list, id);
}

void id_list_sort(struct id_list *list)
{
	size_t kept = 0;

	if (list->count == 0)
		return;
	qsort(list->id, list->count, SPOOL_ID_LEN, compare);
	/* a directory that changes while it is read may give a name twice */
	for (size_t i = 1; i < list->count; i++)
		if (memcmp(list->id[kept], list->id[i], SPOOL_ID_LEN) != 0 && ++kept != i)
			memcpy(list->id[kept], list->id[i], SPOOL_ID_LEN);
	list->count = kept + 1;
}

int id_list_scan(struct id_list *list, const struct spool *s, struct id_prefix *prefix, size_t count,
		 struct err *e)
{
	struct selection sel = { list, prefix, count };

	if (spool_scan(s, select_id, NULL, &sel, e) < 0)
		return -1;
	id_list_sort(list);
	return 0;
}

int id_list_scan_states(struct id_list *list, const struct spool *s, struct err *e)
{
	struct selection sel = { list, NULL, 0 };

	if (spool_scan_states(s, select_id, &sel, e) < 0)
		return -1;
	id_list_sort(list);
	return 0;
}
