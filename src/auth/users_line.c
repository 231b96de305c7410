/* SPDX-License-Identifier: ISC */
/* See users_line.h. */
#include "auth/users_line.h"

#include <string.h>

#include "auth/prep.h"

#define EXTRA_FIELDS 7 /* colons in front of them */
#define OUR_FIELD "posthouse_credential="

struct piece {
	const char *at;
	size_t len;
};

/*
 * The n-th field; the last one, extra fields, goes to the end of the line, colons and all. at is NULL: not
 * there.
 */
static struct piece field_of(const char *line, size_t len, unsigned n)
{
	const char *end = line + len;
	struct piece field = { line, len };
	const char *colon;

	for (unsigned i = 0; i < n; i++) {
		colon = memchr(field.at, ':', (size_t)(end - field.at));
		if (!colon)
			return (struct piece){ NULL, 0 };
		field.at = colon + 1;
		field.len = (size_t)(end - field.at);
	}
	colon = n < EXTRA_FIELDS && field.len > 0 ? memchr(field.at, ':', field.len) : NULL;
	if (colon)
		field.len = (size_t)(colon - field.at);
	return field;
}

/* The next of the extra fields; at is NULL behind the last one. */
static struct piece next_extra(struct piece *rest)
{
	struct piece one;
	const char *blank;

	while (rest->len > 0 && *rest->at == ' ')
		rest->at++, rest->len--;
	if (rest->len == 0)
		return (struct piece){ NULL, 0 };
	blank = memchr(rest->at, ' ', rest->len);
	one = (struct piece){ rest->at, blank ? (size_t)(blank - rest->at) : rest->len };
	rest->at += one.len;
	rest->len -= one.len;
	return one;
}

static bool begins(struct piece p, const char *word)
{
	return p.len >= strlen(word) && memcmp(p.at, word, strlen(word)) == 0;
}

bool users_line_name(const char *line, size_t len, const char **name, size_t *name_len)
{
	struct piece field;

	if (len == 0 || line[0] == '#' || strspn(line, " \t") >= len)
		return false;
	field = field_of(line, len, 0);
	*name = field.at;
	*name_len = field.len;
	return true;
}

static int parse_name(struct piece field, struct users_entry *u, struct err *e)
{
	char name[AUTH_USER_MAX];

	if (field.len >= sizeof(name)) {
		err_set(e, "the name is longer than %d octets", AUTH_USER_MAX - 1);
		return -1;
	}
	memcpy(name, field.at, field.len);
	name[field.len] = '\0';
	if (prep_name(name, PREP_STORE, u->name, e) == 0)
		return 0;
	err_prefix(e, "the name cannot be used");
	return -1;
}

static int add_credential(struct users_entry *u, struct piece value, struct err *e)
{
	if (u->count == USERS_CREDENTIALS_MAX) {
		err_set(e, "more than %d credentials", USERS_CREDENTIALS_MAX);
		return -1;
	}
	if (credential_parse(&u->credential[u->count], value.at, value.len, e) < 0)
		return -1;
	u->count++;
	return 0;
}

/* The key of an extra field, of which the value may be anything. */
static int unknown_extra(struct piece field, struct err *e)
{
	size_t len = 0;

	while (len < field.len && len < 40 &&
	       ((field.at[len] >= 'a' && field.at[len] <= 'z') || field.at[len] == '_'))
		len++;
	err_set(e, "the extra field \"%.*s\" is not known, and might mean that the user may not log in",
		(int)len, field.at);
	return -1;
}

/* Dovecot's fields that restrict a login and are not known here (allow_nets ...) must not be passed over. */
static int parse_extra(struct users_entry *u, struct piece field, struct err *e)
{
	if (begins(field, OUR_FIELD)) {
		size_t skip = strlen(OUR_FIELD);

		return add_credential(u, (struct piece){ field.at + skip, field.len - skip }, e);
	}
	if (begins(field, "userdb_")) /* of mailboxes; no concern of ours */
		return 0;
	if (begins(field, "nologin") && (field.len == 7 || field.at[7] == '=')) {
		u->nologin = true;
		return 0;
	}
	return unknown_extra(field, e);
}

int users_line_parse(const char *line, size_t len, struct users_entry *u, struct err *e)
{
	struct piece rest, field;

	memset(u, 0, sizeof(*u));
	if (len > USERS_LINE_MAX) {
		err_set(e, "the line is longer than %d octets", USERS_LINE_MAX);
		return -1;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
			err_set(e, "the line holds a %s",
				line[i] == '\r' ? "carriage return" : "control character");
			return -1;
		}
	}
	if (parse_name(field_of(line, len, 0), u, e) < 0)
		return -1;
	field = field_of(line, len, 1);
	if (!field.at)
		field.at = line; /* no colon, no password */
	if (add_credential(u, field, e) < 0)
		goto bad;
	rest = field_of(line, len, EXTRA_FIELDS);
	if (!rest.at)
		return 0;
	while ((field = next_extra(&rest)).at)
		if (parse_extra(u, field, e) < 0)
			goto bad;
	return 0;
bad:
	users_entry_cleanse(u);
	return -1;
}

const char *users_entry_locked(const struct users_entry *u)
{
	if (u->nologin)
		return "nologin";
	for (size_t i = 0; i < u->count; i++)
		if (u->credential[i].locked)
			return "locked";
	return NULL;
}

const struct credential *users_entry_find(const struct users_entry *u, enum credential_kind kind)
{
	for (size_t i = 0; i < u->count; i++)
		if (u->credential[i].kind == kind)
			return &u->credential[i];
	return NULL;
}

void users_entry_cleanse(struct users_entry *u)
{
	explicit_bzero(u, sizeof(*u));
}

void users_line_write(const char *name, const struct credential *credentials, size_t count, const char *old,
		      size_t old_len, struct buf *out)
{
	struct piece rest = { NULL, 0 }, field;
	const char *between = ":";

	buf_adds(out, name);
	buf_addc(out, ':');
	credential_format(&credentials[0], out);
	for (unsigned i = 2; i < EXTRA_FIELDS && old; i++) {
		field = field_of(old, old_len, i);
		if (!field.at && count == 1)
			return;
		buf_addc(out, ':');
		if (field.at)
			buf_add(out, field.at, field.len);
	}
	if (!old && count > 1)
		buf_adds(out, ":::::");
	for (size_t i = 1; i < count; i++) {
		buf_addf(out, "%s%s", between, OUR_FIELD);
		credential_format(&credentials[i], out);
		between = " ";
	}
	if (old)
		rest = field_of(old, old_len, EXTRA_FIELDS);
	while (rest.at && (field = next_extra(&rest)).at) {
		if (begins(field, OUR_FIELD))
			continue;
		buf_adds(out, between);
		buf_add(out, field.at, field.len);
		between = " ";
	}
}
