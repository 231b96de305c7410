/* SPDX-License-Identifier: ISC */
/* See lists.h. Sorted arrays of names: made seldom, asked often. */
#include "mailman/lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/kv.h"
#include "base/text.h"

#define EXTENSION '+' /* what Mailman writes between a sub-address and its token; its verp_delimiter */

struct name {
	char *text; /* in small letters; owned */
	char *value; /* NULL: none; owned */
};

struct table {
	struct name *item; /* owned */
	size_t count, cap;
};

struct lists {
	enum lists_kind kind;
	struct table names, domains; /* a domain's value is the host of its lists */
	size_t bytes;
	bool sealed;
};

/* runners/lmtp.py of Mailman 3 */
static const char *const subaddresses[] = { "bounces", "confirm", "join",      "leave",
					    "owner",   "request", "subscribe", "unsubscribe" };

struct lists *lists_new(enum lists_kind kind)
{
	struct lists *l = mem_alloc(sizeof(*l));

	l->kind = kind;
	return l;
}

static void table_release(struct table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->item[i].text);
		free(t->item[i].value);
	}
	free(t->item);
}

void lists_free(struct lists *l)
{
	if (!l)
		return;
	table_release(&l->names);
	table_release(&l->domains);
	free(l);
}

/* ---- adding ------------------------------------------------------------------------------- */

static char small(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* What can stand in a name without being mistaken for something else in a log or a file. */
static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 127)
			return false;
	return len > 0 && len < LISTS_NAME_MAX;
}

static bool table_add(struct lists *l, struct table *t, const char *text, size_t len, const char *value)
{
	size_t bytes = sizeof(struct name) + len + 1 + (value ? strlen(value) + 1 : 0);
	struct name *n;

	ASSERT(!l->sealed);
	if (!is_name(text, len) || l->bytes + bytes > LISTS_BYTES_MAX)
		return false;
	l->bytes += bytes;
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->item = mem_resize(t->item, t->cap, sizeof(*t->item));
	}
	n = &t->item[t->count++];
	n->text = mem_strndup(text, len);
	for (char *c = n->text; *c; c++)
		*c = small(*c);
	n->value = mem_strdup_or_null(value);
	return true;
}

bool lists_add_domain(struct lists *l, const char *domain, size_t len, const char *host)
{
	return !memchr(domain, '@', len) && (!host || is_name(host, strlen(host))) &&
	       table_add(l, &l->domains, domain, len, host);
}

/* Many names have one domain, and mostly the same as the one before. */
static bool add_domain_of_name(struct lists *l, const char *domain, size_t len)
{
	const struct table *t = &l->domains;
	const char *last = t->count > 0 ? t->item[t->count - 1].text : "";

	if (strlen(last) == len && strncasecmp(last, domain, len) == 0)
		return true;
	return lists_add_domain(l, domain, len, NULL);
}

bool lists_add(struct lists *l, const char *name, size_t len, const char *value)
{
	const char *at = len > 0 ? memrchr(name, '@', len) : NULL;

	if (at && (at == name || at == name + len - 1))
		return false;
	if (!table_add(l, &l->names, name, len, value))
		return false;
	return !at || add_domain_of_name(l, at + 1, len - (size_t)(at + 1 - name));
}

static int compare(const void *a, const void *b)
{
	const struct name *one = a, *other = b;
	int r = strcmp(one->text, other->text);

	/* of domains: the one that says more comes first, and stays */
	return r ? r : (one->value == NULL) - (other->value == NULL);
}

/* Sorts, and leaves one of each. */
static void table_seal(struct table *t)
{
	size_t kept = 0;

	if (t->count > 0)
		qsort(t->item, t->count, sizeof(*t->item), compare);
	for (size_t i = 0; i < t->count; i++) {
		if (kept > 0 && strcmp(t->item[kept - 1].text, t->item[i].text) == 0) {
			free(t->item[i].text);
			free(t->item[i].value);
		} else {
			t->item[kept++] = t->item[i];
		}
	}
	t->count = kept;
}

void lists_seal(struct lists *l)
{
	table_seal(&l->names);
	table_seal(&l->domains);
	l->sealed = true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static const struct name *table_find(const struct table *t, const char *text)
{
	struct name key = { (char *)(uintptr_t)text, NULL };
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = strcmp(key.text, t->item[middle].text);

		if (r == 0)
			return &t->item[middle];
		if (r < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* By local@host, or the local part alone. */
static const struct name *find_name(const struct lists *l, const char *local, size_t local_len,
				    const char *host)
{
	char text[2 * LISTS_NAME_MAX];
	const struct name *n;

	memcpy(text, local, local_len);
	text[local_len] = '@';
	strcpy(text + local_len + 1, host);
	n = table_find(&l->names, text);
	if (n)
		return n;
	text[local_len] = '\0';
	return table_find(&l->names, text);
}

/* The length of what stands before the dash of a sub-address; 0: it has none. */
static size_t list_part(const char *local, size_t len)
{
	for (size_t i = 0; i < sizeof(subaddresses) / sizeof(*subaddresses); i++) {
		size_t sub = strlen(subaddresses[i]);

		if (len > sub + 1 && local[len - sub - 1] == '-' &&
		    memcmp(local + len - sub, subaddresses[i], sub) == 0)
			return len - sub - 1;
	}
	return 0;
}

enum lists_found lists_find(const struct lists *l, const char *address, const char **value)
{
	char text[LISTS_NAME_MAX], *at, *extension;
	const struct name *domain, *found;
	const char *host;
	size_t len;

	ASSERT(l->sealed);
	if (value)
		*value = NULL;
	if (strlen(address) >= sizeof(text))
		return LISTS_FOREIGN;
	for (len = 0; address[len]; len++)
		text[len] = small(address[len]);
	text[len] = '\0';
	at = strrchr(text, '@');
	domain = at && at > text ? table_find(&l->domains, at + 1) : NULL;
	if (!domain)
		return LISTS_FOREIGN;
	*at = '\0';
	/* list+anything is the list, list-confirm+token a sub-address of it */
	extension = strchr(text, EXTENSION);
	len = extension ? (size_t)(extension - text) : (size_t)(at - text);
	host = domain->value ? domain->value : domain->text;
	/* a list may be named like a sub-address of another, and then it is that list */
	found = len > 0 ? find_name(l, text, len, host) : NULL;
	if (!found && l->kind == LISTS_OF_LISTS && (len = list_part(text, len)) > 0)
		found = find_name(l, text, len, host);
	if (found && value)
		*value = found->value;
	return found ? LISTS_LIST : LISTS_NONE;
}

static bool knows_domains(const struct lists *l)
{
	return l && l->domains.count > 0;
}

enum lists_answer lists_ask(const struct lists_known *k, const char *address, int64_t arrived_wall_us)
{
	const struct lists *all[] = { k->listed, k->mapped, k->configured };
	bool is_foreign = true, knows_any = k->listed != NULL;

	if (k->listed && lists_find(k->listed, address, NULL) == LISTS_LIST)
		return LISTS_YES;
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		knows_any = knows_any || knows_domains(all[i]);
		is_foreign = is_foreign && (!all[i] || lists_find(all[i], address, NULL) == LISTS_FOREIGN);
	}
	if (is_foreign)
		return knows_any ? LISTS_NO : LISTS_UNKNOWN;
	if (k->listed && k->listed_wall_us > arrived_wall_us)
		return LISTS_NO;
	if (k->mapped && lists_find(k->mapped, address, NULL) == LISTS_LIST)
		return LISTS_YES;
	return LISTS_UNKNOWN;
}

/* ---- what is in it ------------------------------------------------------------------------------- */

size_t lists_count(const struct lists *l)
{
	return l->names.count;
}

size_t lists_domain_count(const struct lists *l)
{
	return l->domains.count;
}

const char *lists_domain(const struct lists *l, size_t i)
{
	return l->domains.item[i].text;
}

static bool table_equal(const struct table *a, const struct table *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->item[i].text, b->item[i].text) != 0 ||
		    !text_same(a->item[i].value, b->item[i].value))
			return false;
	return true;
}

bool lists_equal(const struct lists *a, const struct lists *b)
{
	static const struct lists empty;

	a = a ? a : &empty;
	b = b ? b : &empty;
	return table_equal(&a->names, &b->names) && table_equal(&a->domains, &b->domains);
}

static bool write_table(const struct table *t, struct buf *b, const char *key, const char *value_key)
{
	for (size_t i = 0; i < t->count; i++)
		if (!kv_puts(b, key, t->item[i].text) ||
		    (t->item[i].value && !kv_puts(b, value_key, t->item[i].value)) || !buf_addc(b, '\n'))
			return false;
	return true;
}

bool lists_write(const struct lists *l, struct buf *b)
{
	return write_table(&l->domains, b, "domain", "host") && write_table(&l->names, b, "list", "value");
}

bool lists_read_line(struct lists *l, char *line, char *end)
{
	struct kv_pair name, value = { 0 };

	if (kv_next(&line, end, &name) != KV_PAIR)
		return false;
	if (line < end && kv_next(&line, end, &value) != KV_PAIR)
		return false;
	if (value.value && strlen(value.value) != value.len)
		return false;
	if (strcmp(name.key, "domain") == 0)
		return lists_add_domain(l, name.value, name.len, value.value);
	return strcmp(name.key, "list") == 0 && lists_add(l, name.value, name.len, value.value);
}
