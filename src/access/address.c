/* SPDX-License-Identifier: ISC */
/* See address.h. */
#include "access/address.h"

#include <stdio.h>
#include <string.h>

#include "smtp/path.h"
#include "smtp/pattern.h"

_Static_assert(ADDRESS_KEY_MAX > SMTP_PATH_MAX + 2, "every address fits");

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

void address_take(struct address *a, const char *address)
{
	const char *domain = smtp_address_domain(address),
		   *end = domain ? domain - 1 : address + strlen(address);
	bool quoted = end - address >= 2 && address[0] == '"' && end[-1] == '"';
	size_t n = 0;

	for (const char *c = address + quoted; c < end - quoted && n < ADDRESS_KEY_MAX / 2; c++) {
		if (quoted && *c == '\\' && c + 1 < end - 1)
			c++;
		a->text[n++] = lower(*c);
	}
	a->local_len = n;
	a->domain = NULL;
	if (domain) {
		a->text[n++] = '@';
		a->domain = a->text + n;
		for (const char *c = domain; *c && n < ADDRESS_KEY_MAX - 1; c++)
			a->text[n++] = lower(*c);
	}
	a->text[n] = '\0';
}

static bool put(char key[ADDRESS_KEY_MAX], const char *text)
{
	snprintf(key, ADDRESS_KEY_MAX, "%s", text);
	return true;
}

/* The domain itself, then what follows each dot, the dot included. A literal has no parts. */
static const char *domain_part(const struct address *a, unsigned index)
{
	const char *at = a->domain;

	if (!at || index == 0 || at[0] == '[')
		return index == 0 ? at : NULL;
	for (; at && index > 0; index--)
		at = strchr(at + 1, '.');
	return at;
}

enum { STEP_WHOLE, STEP_DOMAIN, STEP_LOCAL = 1000, STEP_ANY, STEP_END };

bool address_next_key(const struct address *a, unsigned *step, char key[ADDRESS_KEY_MAX])
{
	const char *part;

	if (*step == STEP_WHOLE) {
		*step = STEP_DOMAIN;
		if (a->text[0] == '\0') {
			*step = STEP_ANY;
			return put(key, "<>");
		}
		if (a->domain)
			return put(key, a->text);
	}
	if (*step < STEP_LOCAL) {
		part = domain_part(a, *step - STEP_DOMAIN);
		++*step;
		if (part)
			return put(key, part);
		*step = STEP_LOCAL;
	}
	if (*step == STEP_LOCAL) {
		*step = STEP_ANY;
		snprintf(key, ADDRESS_KEY_MAX, "%.*s@", (int)a->local_len, a->text);
		return true;
	}
	if (*step == STEP_ANY) {
		*step = STEP_END;
		return put(key, "*");
	}
	return false;
}

static int no_pattern(const char *pattern, bool null_ok, struct err *e)
{
	err_set(e, "\"%s\" is no pattern: write user@domain, domain, .domain (its subdomains), user@,%s or *",
		pattern, null_ok ? " <>" : "");
	return -1;
}

/* user@: the local part of an address. */
static bool is_local(const char *pattern)
{
	char address[ADDRESS_KEY_MAX];

	return snprintf(address, sizeof(address), "%sx", pattern) < SMTP_PATH_MAX &&
	       pattern_is_address(address);
}

int address_pattern_key(const char *pattern, bool null_ok, char key[ADDRESS_KEY_MAX], struct err *e)
{
	size_t len = strlen(pattern);
	struct address a;

	if (len >= SMTP_PATH_MAX)
		return no_pattern("(longer than an address)", null_ok, e);
	if (strcmp(pattern, "*") == 0 || (null_ok && strcmp(pattern, "<>") == 0)) {
		put(key, pattern);
		return 0;
	}
	pattern += strncmp(pattern, "*@", 2) == 0 ? 2 : pattern[0] == '@';
	if (strchr(pattern, '@')) {
		if (!(pattern[strlen(pattern) - 1] == '@' ? is_local(pattern) : pattern_is_address(pattern)))
			return no_pattern(pattern, null_ok, e);
		address_take(&a, pattern);
		put(key, a.text);
		return 0;
	}
	if (!pattern_is_domain(pattern))
		return no_pattern(pattern, null_ok, e);
	for (len = 0; pattern[len]; len++)
		key[len] = lower(pattern[len]);
	key[len] = '\0';
	return 0;
}
