/* SPDX-License-Identifier: ISC */
/* See rules.h. */
#include "rewrite/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "manage/route.h"

/* ---- what is there to do ----------------------------------------------------------- */

bool rewrite_adds_domain(const struct rewrite_rules *r)
{
	return r->default_domain || r->aliases;
}

bool rewrite_touches_header(const struct rewrite_rules *r)
{
	return r->headers || r->remove_count > 0;
}

bool rewrite_is_wanted(const struct rewrite_rules *r)
{
	return rewrite_adds_domain(r) || rewrite_touches_header(r) || r->masquerade_count > 0 ||
	       r->rule_count > 0 || r->always_bcc || r->redirect_all;
}

/* ---- one address --------------------------------------------------------------------- */

static bool is_address(const char *text, unsigned flags, const char **why)
{
	struct smtp_path path;
	size_t len = strlen(text), used;

	*why = "bad character in address";
	return smtp_path_parse(text, len, flags, &path, &used, why) == 0 && used == len;
}

int rewrite_target_check(const char *to, struct err *e)
{
	const char *why, *at = to[0] == '*' ? to + 1 : to;
	char address[SMTP_PATH_MAX + 2];

	if (strlen(to) > SMTP_PATH_MAX) {
		err_set(e, "\"%.60s...\" is too long", to);
		return -1;
	}
	snprintf(address, sizeof(address), "%s%s", at[0] == '@' ? "x" : "", at[0] == '@' ? at : to);
	if (address[0] != '<' && is_address(address, SMTP_PATH_UTF8_OK, &why))
		return 0;
	err_set(e, "\"%s\" is no address to rewrite to (user@domain, or *@domain to keep the local part): %s",
		to, address[0] == '<' ? "write it without brackets" : why);
	return -1;
}

/* Both work on addresses of any length: what is too long is found when all is done. */
#define WORK_MAX (3 * SMTP_PATH_MAX)

static void set_domain(char work[WORK_MAX], const char *domain)
{
	const char *old = smtp_address_domain(work);
	size_t local_len = old ? (size_t)(old - 1 - work) : strlen(work);

	snprintf(work + local_len, WORK_MAX - local_len, "@%s", domain);
}

static const struct rewrite_rule *find_rule(const struct rewrite_rules *r, enum rewrite_use use,
					    const char *address)
{
	for (size_t i = 0; i < r->rule_count; i++) {
		const struct rewrite_rule *rule = &r->rule[i];

		for (size_t k = 0; (rule->apply & 1u << use) && k < rule->match_count; k++)
			if (route_pattern_matches(ROUTE_RECIPIENT, rule->match[k], address))
				return rule;
	}
	return NULL;
}

static void apply_rule(const struct rewrite_rule *rule, char work[WORK_MAX])
{
	const char *to = rule->to[0] == '*' && rule->to[1] == '@' ? rule->to + 1 : rule->to;

	if (to[0] == '@')
		set_domain(work, to + 1);
	else
		snprintf(work, WORK_MAX, "%s", to);
}

static bool is_unmasked(const struct rewrite_rules *r, const char *address, size_t local_len)
{
	for (size_t i = 0; i < r->unmasked_count; i++)
		if (strlen(r->unmasked[i]) == local_len &&
		    strncasecmp(r->unmasked[i], address, local_len) == 0)
			return true;
	return false;
}

static void masquerade(const struct rewrite_rules *r, char work[WORK_MAX])
{
	const char *domain = smtp_address_domain(work);
	size_t len = domain ? strlen(domain) : 0;

	if (!domain || is_unmasked(r, work, (size_t)(domain - 1 - work)))
		return;
	for (size_t i = 0; i < r->masquerade_count; i++) {
		const char *outer = r->masquerade[i];
		size_t outer_len = strlen(outer);

		if (strcasecmp(domain, outer) == 0)
			return;
		if (len > outer_len && domain[len - outer_len - 1] == '.' &&
		    strcasecmp(domain + len - outer_len, outer) == 0) {
			set_domain(work, outer);
			return;
		}
	}
}

/* The domain for an address without one; NULL: it stays so. */
static const char *added_domain(const struct rewrite_rules *r, enum rewrite_use use)
{
	if (r->default_domain)
		return r->default_domain;
	/* in the envelope an address that was no alias must still lead somewhere; a header may stay as it is
	 */
	return r->aliases && use != REWRITE_HEADER ? r->hostname : NULL;
}

enum rewrite_outcome rewrite_address(const struct rewrite_rules *r, enum rewrite_use use, const char *address,
				     bool utf8, char out[SMTP_PATH_MAX], const char **why)
{
	const unsigned flags = utf8 ? SMTP_PATH_UTF8_OK : 0;
	const struct rewrite_rule *rule;
	char work[WORK_MAX];
	const char *ignored;

	snprintf(out, SMTP_PATH_MAX, "%s", address);
	if (!address[0] || strlen(address) >= SMTP_PATH_MAX)
		return REWRITE_SAME;
	strcpy(work, address);
	if (!smtp_address_domain(work) && added_domain(r, use))
		set_domain(work, added_domain(r, use));
	rule = find_rule(r, use, work);
	if (rule)
		apply_rule(rule, work);
	else if (use != REWRITE_RECIPIENT)
		masquerade(r, work);
	if (strcmp(work, address) == 0)
		return REWRITE_SAME;
	if (is_address(work, flags, why)) {
		strcpy(out, work);
		return REWRITE_CHANGED;
	}
	return is_address(address, flags | SMTP_PATH_UNQUALIFIED_OK, &ignored) ? REWRITE_INVALID
									       : REWRITE_SAME;
}

/* ---- recipients -------------------------------------------------------------------------- */

void rewrite_targets_release(struct rewrite_targets *t)
{
	free(t->address);
	memset(t, 0, sizeof(*t));
}

struct expansion {
	const struct rewrite_rules *rules;
	bool utf8;
	struct rewrite_targets *targets;
	enum rewrite_outcome outcome;
	const char **why;
};

static bool is_listed(const struct rewrite_targets *t, const char *address)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->address[i], address) == 0)
			return true;
	return false;
}

/* One address that an alias led to, or the recipient itself. */
static bool add_target(void *ctx, const char *address)
{
	struct expansion *x = ctx;
	struct rewrite_targets *t = x->targets;
	char out[SMTP_PATH_MAX];

	switch (rewrite_address(x->rules, REWRITE_RECIPIENT, address, x->utf8, out, x->why)) {
	case REWRITE_SAME:
		/* the aliases file may hold what this message cannot: UTF-8 */
		if (x->outcome == REWRITE_CHANGED &&
		    !is_address(out, (x->utf8 ? SMTP_PATH_UTF8_OK : 0) | SMTP_PATH_UNQUALIFIED_OK, x->why)) {
			x->outcome = REWRITE_INVALID;
			return false;
		}
		break;
	case REWRITE_CHANGED:
		x->outcome = REWRITE_CHANGED;
		break;
	case REWRITE_INVALID:
	case REWRITE_TOO_MANY:
		x->outcome = REWRITE_INVALID;
		return false;
	}
	if (is_listed(t, out))
		return true;
	if (t->count >= x->rules->max_recipients) {
		x->outcome = REWRITE_TOO_MANY;
		return false;
	}
	if (t->count == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 1;
		t->address = mem_resize(t->address, t->cap, sizeof(*t->address));
	}
	strcpy(t->address[t->count++], out);
	return true;
}

enum rewrite_outcome rewrite_recipient(const struct rewrite_rules *r, const char *address, bool utf8,
				       struct rewrite_targets *t, const char **why)
{
	struct expansion x = {
		.rules = r, .utf8 = utf8, .targets = t, .outcome = REWRITE_CHANGED, .why = why
	};

	if (r->aliases && aliases_expand(r->aliases, address, add_target, &x))
		return x.outcome;
	x.outcome = REWRITE_SAME;
	(void)add_target(&x, address);
	return x.outcome;
}
