/* SPDX-License-Identifier: ISC */
/* See route.h. */
#include "manage/route.h"

#include <string.h>
#include <strings.h>

#include "smtp/path.h"
#include "smtp/pattern.h"

static bool domain_matches(const char *pattern, const char *value)
{
	const char *domain = smtp_address_domain(value);
	size_t len, wanted = strlen(pattern);

	if (!domain)
		return false;
	len = strlen(domain);
	if (pattern[0] == '.')
		return len > wanted && strcasecmp(domain + len - wanted, pattern) == 0;
	return strcasecmp(domain, pattern) == 0;
}

bool route_pattern_matches(enum route_field field, const char *pattern, const char *value)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strcmp(pattern, "<>") == 0)
		return field == ROUTE_SENDER && value[0] == '\0';
	if (strncmp(pattern, "*@", 2) == 0)
		return domain_matches(pattern + 2, value);
	if (strchr(pattern, '@'))
		return strcasecmp(pattern, value) == 0;
	if (field == ROUTE_AUTH_USER)
		return strcmp(pattern, value) == 0;
	return domain_matches(pattern, value);
}

static bool is_pattern(enum route_field field, const char *pattern)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strcmp(pattern, "<>") == 0)
		return field == ROUTE_SENDER;
	if (strncmp(pattern, "*@", 2) == 0)
		return pattern_is_domain(pattern + 2);
	if (strchr(pattern, '@'))
		return pattern_is_address(pattern);
	if (field == ROUTE_AUTH_USER)
		return pattern[0] != '\0' && !strchr(pattern, '*');
	return pattern_is_domain(pattern);
}

int route_pattern_check(enum route_field field, const char *pattern, struct err *e)
{
	static const char *const allowed[ROUTE_FIELDS] = {
		[ROUTE_SENDER] = "user@domain, *@domain, domain, .domain (its subdomains), <> or *",
		[ROUTE_RECIPIENT] = "user@domain, *@domain, domain, .domain (its subdomains) or *",
		[ROUTE_AUTH_USER] = "name, user@domain, *@domain or *",
	};

	if (is_pattern(field, pattern))
		return 0;
	err_set(e, "\"%s\" is no pattern: write %s", pattern, allowed[field]);
	return -1;
}

/*
 * The domain a pattern is about: "example.org" of *@example.org and example.org; NULL: it is not about one.
 */
static const char *pattern_domain(enum route_field field, const char *pattern)
{
	if (strncmp(pattern, "*@", 2) == 0)
		return pattern + 2;
	if (field == ROUTE_AUTH_USER || strcmp(pattern, "*") == 0 || strcmp(pattern, "<>") == 0 ||
	    strchr(pattern, '@'))
		return NULL;
	return pattern;
}

/* Whether a matches all that b does. */
static bool pattern_covers(enum route_field field, const char *a, const char *b)
{
	const char *in_a = pattern_domain(field, a), *in_b = pattern_domain(field, b);
	size_t len_a, len_b;

	if (strcmp(a, "*") == 0)
		return true;
	if (!in_b) /* b is one value, which a matches or not; or "*" */
		return strcmp(b, "*") != 0 && route_pattern_matches(field, a, strcmp(b, "<>") == 0 ? "" : b);
	if (!in_a)
		return false;
	if (strcasecmp(in_a, in_b) == 0)
		return true;
	len_a = strlen(in_a);
	len_b = strlen(in_b);
	return in_a[0] == '.' && len_b > len_a && strcasecmp(in_b + len_b - len_a, in_a) == 0;
}

static bool list_covers(enum route_field field, const struct route_rule *a, const struct route_rule *b)
{
	if (a->pattern_count[field] == 0)
		return true;
	for (size_t i = 0; i < a->pattern_count[field]; i++)
		/* "*" is everything, but as auth_user not those who did not log in */
		if (b->pattern_count[field] == 0 && field != ROUTE_AUTH_USER &&
		    strcmp(a->pattern[field][i], "*") == 0)
			return true;
	for (size_t i = 0; i < b->pattern_count[field]; i++) {
		bool covered = false;

		for (size_t k = 0; k < a->pattern_count[field] && !covered; k++)
			covered = pattern_covers(field, a->pattern[field][k], b->pattern[field][i]);
		if (!covered)
			return false;
	}
	return b->pattern_count[field] > 0;
}

bool route_rule_covers(const struct route_rule *a, const struct route_rule *b)
{
	for (int field = 0; field < ROUTE_FIELDS; field++)
		if (!list_covers((enum route_field)field, a, b))
			return false;
	return true;
}

static bool field_matches(const struct route_rule *rule, enum route_field field, const char *value)
{
	if (rule->pattern_count[field] == 0)
		return true;
	for (size_t i = 0; value && i < rule->pattern_count[field]; i++)
		if (route_pattern_matches(field, rule->pattern[field][i], value))
			return true;
	return false;
}

size_t route_find(const struct routes *routes, const struct envelope *env, size_t rcpt, const char *chosen)
{
	for (size_t i = 0; chosen && i < routes->upstream_count; i++)
		if (strcmp(routes->upstream_name[i], chosen) == 0)
			return i;
	if (routes->lists) {
		switch (routes->lists->ask(routes->lists->ctx, env->rcpt[rcpt].address,
					   env->arrived_wall_us)) {
		case ROUTE_LISTED_YES:
			return routes->lists->upstream;
		case ROUTE_LISTED_UNKNOWN:
			return routes->upstream_count;
		case ROUTE_LISTED_NO:
			break;
		}
	}
	for (size_t i = 0; i < routes->rule_count; i++) {
		const struct route_rule *rule = &routes->rule[i];

		if (field_matches(rule, ROUTE_SENDER, env->sender) &&
		    field_matches(rule, ROUTE_RECIPIENT, env->rcpt[rcpt].address) &&
		    field_matches(rule, ROUTE_AUTH_USER, env->auth_user))
			return rule->upstream;
	}
	return routes->fallback;
}
