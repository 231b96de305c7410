/* SPDX-License-Identifier: ISC */
/* See route.h. */
#include "manage/route.h"

#include <string.h>
#include <strings.h>

static bool domain_matches(const char *pattern, const char *value)
{
	const char *domain = strrchr(value, '@');
	size_t len, wanted = strlen(pattern);

	if (!domain)
		return false;
	len = strlen(++domain);
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

static bool is_domain(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_[]:") == strlen(text);
}

int route_pattern_check(enum route_field field, const char *pattern, struct err *e)
{
	const char *at = strrchr(pattern, '@');

	if (strcmp(pattern, "*") == 0 || (field == ROUTE_SENDER && strcmp(pattern, "<>") == 0))
		return 0;
	if (at && at > pattern && at[1] && !strpbrk(pattern, " \t<>") && (strncmp(pattern, "*@", 2) != 0 || is_domain(at + 1)))
		return 0;
	if (!at && (field == ROUTE_AUTH_USER ? *pattern != '\0' : is_domain(pattern)))
		return 0;
	err_set(e, "\"%s\": not an address, *@domain, domain, .domain%s", pattern,
		field == ROUTE_SENDER ? ", <> or *" : field == ROUTE_AUTH_USER ? ", name or *" : " or *");
	return -1;
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
	for (size_t i = 0; i < routes->rule_count; i++) {
		const struct route_rule *rule = &routes->rule[i];

		if (field_matches(rule, ROUTE_SENDER, env->sender) &&
		    field_matches(rule, ROUTE_RECIPIENT, env->rcpt[rcpt].address) &&
		    field_matches(rule, ROUTE_AUTH_USER, env->auth_user))
			return rule->upstream;
	}
	return routes->fallback;
}
