/* SPDX-License-Identifier: ISC */
/*
 * See owners.h. The keys of the table are "user NUL pattern", "user" alone for
 * who has a line, and the name in lower case behind FOLDED, whose value is the user. Loaded in the master, asked in workers.
 */
#include "access/owners.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "access/address.h"

#define USER_MAX 256 /* octets of a user's name, with the NUL */
#define KEY_MAX (USER_MAX + ADDRESS_KEY_MAX)

/* Stands for %u where an address is wanted: no local part of a client can hold it. */
#define SELF "\001"

/* In front of a name in lower case: no user's name begins so (a line of the file could not). */
#define FOLDED '\002'

static size_t folded_key(const char *user, char key[USER_MAX + 1])
{
	size_t n = 0;

	key[n++] = FOLDED;
	for (; *user; user++)
		key[n++] = *user >= 'A' && *user <= 'Z' ? (char)(*user - 'A' + 'a') : *user;
	return n;
}

static size_t owner_key(const char *user, const char *pattern, char key[KEY_MAX])
{
	size_t user_len = strlen(user), len = strlen(pattern);

	memcpy(key, user, user_len + 1);
	memcpy(key + user_len + 1, pattern, len);
	return user_len + 1 + len;
}

/* %u and %u@domain, as keys; the others as in the other tables. 0; -1: it was told what is wrong. */
static int pattern_key(struct lines *l, const char *pattern, char key[ADDRESS_KEY_MAX])
{
	struct err e;

	if (strcmp(pattern, "%u") == 0) {
		strcpy(key, SELF);
		return 0;
	}
	if (strncmp(pattern, "%u@", 3) == 0) {
		char plain[ADDRESS_KEY_MAX];

		snprintf(plain, sizeof(plain), "u@%s", pattern + 3);
		if (address_pattern_key(plain, false, key, &e) == 0 && key[2] != '\0') {
			key[0] = SELF[0];
			return 0;
		}
	} else if (address_pattern_key(pattern, false, key, &e) == 0) {
		return 0;
	}
	lines_error(l,
		    "\"%s\" is no pattern: write user@domain, domain, .domain (its subdomains), user@, *, "
		    "%%u (the "
		    "user's name is the address) or %%u@domain",
		    pattern);
	return -1;
}

static bool take_line(struct owners *o, struct lines *l, char *at)
{
	const char *user = lines_word(&at), *pattern;
	const struct table_entry *other;
	char address[ADDRESS_KEY_MAX], key[KEY_MAX];
	size_t len = strlen(user);

	if (len >= USER_MAX) {
		lines_error(l, "the user's name is longer than %d octets", USER_MAX - 1);
		return true;
	}
	if (!*at)
		lines_error(l, "user \"%s\": a pattern of addresses is missing behind the name", user);
	if (table_add(&o->table, user, len, 0, l->line, "", 0, &other) == TABLE_FULL ||
	    table_add(&o->table, key, folded_key(user, key), 0, l->line, user, len, &other) == TABLE_FULL)
		goto full;
	while ((pattern = lines_word(&at))) {
		if (pattern_key(l, pattern, address) < 0)
			continue;
		if (table_add(&o->table, key, owner_key(user, address, key), 0, l->line, "", 0, &other) ==
		    TABLE_FULL)
			goto full;
	}
	return true;
full:
	lines_error(l, "the table is too large: %u patterns and %u octets are the most", TABLE_ENTRIES_MAX,
		    TABLE_BYTES_MAX);
	return false;
}

static int load(struct owners *o, struct lines *l)
{
	char *at;

	table_init(&o->table);
	while (l->file && (at = lines_next(l)) && take_line(o, l, at))
		;
	table_finish(&o->table);
	return lines_close(l);
}

int owners_load(struct owners *o, const char *path, access_report *report, void *ctx)
{
	struct lines l;

	(void)lines_open(&l, path, report, ctx);
	return load(o, &l);
}

int owners_load_from(struct owners *o, const char *path, FILE *file, access_report *report, void *ctx)
{
	struct lines l;

	lines_use(&l, path, file, report, ctx);
	return load(o, &l);
}

void owners_release(struct owners *o)
{
	table_release(&o->table);
}

static bool has(const struct owners *o, const char *owner, const char *pattern)
{
	char key[KEY_MAX];

	return table_find(&o->table, key, owner_key(owner, pattern, key)) != NULL;
}

/* %u and %u@domain */
static bool is_own(const struct owners *o, const char *owner, const char *user, const struct address *a)
{
	char key[ADDRESS_KEY_MAX];

	if (strcasecmp(a->text, user) == 0 && has(o, owner, SELF))
		return true;
	if (!a->domain || strlen(user) != a->local_len || strncasecmp(a->text, user, a->local_len) != 0)
		return false;
	snprintf(key, sizeof(key), SELF "@%s", a->domain);
	return has(o, owner, key);
}

/*
 * Whose lines count. Who knows the users (PAM with LDAP, a proxy) may take BOB for bob: writing the name in another way must not
 * lead past the lines of bob to those of *.
 */
static const char *owner_of(const struct owners *o, const char *user)
{
	const struct table_entry *e;
	char key[USER_MAX + 1];

	if (table_find(&o->table, user, strlen(user)))
		return user;
	e = table_find(&o->table, key, folded_key(user, key));
	return e ? table_value(&o->table, e) : "*";
}

bool owners_permit(const struct owners *o, const char *user, const char *sender)
{
	char key[ADDRESS_KEY_MAX];
	const char *owner;
	struct address a;
	unsigned step = 0;

	if (!*sender)
		return true;
	if (strlen(user) >= USER_MAX)
		return false;
	owner = owner_of(o, user);
	address_take(&a, sender);
	if (is_own(o, owner, user, &a))
		return true;
	while (address_next_key(&a, &step, key))
		if (has(o, owner, key))
			return true;
	return false;
}
