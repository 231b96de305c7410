/* SPDX-License-Identifier: ISC */
/* See criteria.h. */
#include "cli/criteria.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"

#define AGE_MAX_MS INT64_C(3155760000000) /* a hundred years */
#define TRIES_MAX UINT32_MAX

#define OPTION(kind, name, value, help) [kind] = { name, CRITERION_KEY + kind, value, help }

const struct args_option criterion_options[] = {
	OPTION(CRITERION_FROM, "from", "PATTERN", "the sender: address, domain, .domain, <>, a*z"),
	OPTION(CRITERION_TO, "to", "PATTERN", "a recipient that has not got it"),
	OPTION(CRITERION_DOMAIN, "domain", "DOMAIN", "the domain of such a recipient; * in it is anything"),
	OPTION(CRITERION_UPSTREAM, "upstream", "NAME", "where it goes now, or was last tried"),
	OPTION(CRITERION_STATE, "state", "STATE", "queued, deferred, held, failed ...; or A,B"),
	OPTION(CRITERION_OLDER, "older", "TIME", "came more than TIME ago: 30m, 2h, 5d"),
	OPTION(CRITERION_YOUNGER, "younger", "TIME", "came less than TIME ago"),
	OPTION(CRITERION_LARGER, "larger", "SIZE", "more octets than SIZE: 4096, 100k, 5M"),
	OPTION(CRITERION_SMALLER, "smaller", "SIZE", "fewer octets than SIZE"),
	OPTION(CRITERION_TRIES, "tries", "N", "attempts so far: N, N+ (or more), N-M"),
	OPTION(CRITERION_ERROR, "error", "TEXT", "the last reply holds TEXT, or matches /REGEX/"),
	ARGS_OPTIONS_END,
};

/* ---- values ------------------------------------------------------------------ */

static int parse_pattern(struct criterion *one, const char *value, struct err *e)
{
	enum route_field field = one->kind == CRITERION_FROM ? ROUTE_SENDER : ROUTE_RECIPIENT;

	if (strchr(value, '*'))
		return 0;
	return route_pattern_check(field, value, e);
}

static int parse_domain(struct criterion *one, const char *value, struct err *e)
{
	(void)one;
	if (value[0] && !strpbrk(value, "@<> \t"))
		return 0;
	err_set(e, "\"%s\": not a domain", value);
	return -1;
}

static int parse_name(struct criterion *one, const char *value, struct err *e)
{
	(void)one;
	if (value[0])
		return 0;
	err_set(e, "the name is empty");
	return -1;
}

static int condition_find(const char *name, size_t len)
{
	for (int c = 0; c < CONDITION_COUNT; c++) {
		const char *known = condition_name((enum condition)c);

		if (strlen(known) == len && strncasecmp(known, name, len) == 0)
			return c;
	}
	return -1;
}

static int parse_state(struct criterion *one, const char *value, struct err *e)
{
	const char *at = value;

	for (;;) {
		size_t len = strcspn(at, ",");
		int c = condition_find(at, len);

		if (c < 0) {
			err_set(e, "\"%.*s\": not one of queued, deferred, held, failed, delivered, corrupt, unreadable",
				(int)len, at);
			return -1;
		}
		one->least |= UINT64_C(1) << c;
		if (at[len] == '\0')
			return 0;
		at += len + 1;
	}
}

static int parse_age(struct criterion *one, const char *value, struct err *e)
{
	int64_t ms;

	if (!num_parse_duration(value, AGE_MAX_MS, &ms)) {
		err_set(e, "\"%s\": not a time like 30s, 15m, 2h or 5d", value);
		return -1;
	}
	one->least = (uint64_t)ms;
	return 0;
}

static int parse_size(struct criterion *one, const char *value, struct err *e)
{
	if (num_parse_size(value, INT64_MAX, &one->least))
		return 0;
	err_set(e, "\"%s\": not a size like 4096, 100k or 5M", value);
	return -1;
}

static int parse_tries(struct criterion *one, const char *value, struct err *e)
{
	size_t digits = strspn(value, "0123456789");
	const char *rest = value + digits;
	bool ok = num_parse_u64(value, digits, TRIES_MAX, &one->least);

	if (*rest == '\0')
		one->most = one->least;
	else if (strcmp(rest, "+") == 0)
		one->most = TRIES_MAX;
	else
		ok = ok && *rest == '-' && num_parse_u64(rest + 1, strlen(rest + 1), TRIES_MAX, &one->most) &&
		     one->least <= one->most;
	if (ok)
		return 0;
	err_set(e, "\"%s\": not a number N, N+ or N-M", value);
	return -1;
}

static int parse_error(struct criterion *one, const char *value, struct err *e)
{
	size_t len = strlen(value);
	char *text, why[128];
	int r;

	if (len == 0) {
		err_set(e, "the text is empty");
		return -1;
	}
	if (len < 3 || value[0] != '/' || value[len - 1] != '/')
		return 0;
	text = mem_strndup(value + 1, len - 2);
	one->regex = mem_alloc(sizeof(*one->regex));
	r = regcomp(one->regex, text, REG_EXTENDED | REG_ICASE | REG_NOSUB);
	free(text);
	if (r == 0)
		return 0;
	regerror(r, one->regex, why, sizeof(why));
	err_set(e, "\"%s\": not a regular expression: %s", value, why);
	free(one->regex);
	one->regex = NULL;
	return -1;
}

/* ---- messages ------------------------------------------------------------------ */

/* Both without regard to case, as addresses are compared. */
static bool glob_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *again = text;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			again = text;
		} else if (strncasecmp(pattern, text, 1) == 0) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++again;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

bool pattern_matches(enum route_field field, const char *pattern, const char *address)
{
	const char *domain;

	if (!strchr(pattern, '*'))
		return route_pattern_matches(field, pattern, address);
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strchr(pattern, '@'))
		return glob_matches(pattern, address);
	domain = strrchr(address, '@');
	return domain && glob_matches(pattern, domain + 1);
}

static bool matches_from(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	return pattern_matches(ROUTE_SENDER, one->text, l->msg.env.sender);
}

/* As far as is known: before the state was read it may be any. */
static bool rcpt_is_undelivered(const struct listing *l, size_t i)
{
	return !l->state.rcpt || l->state.rcpt[i].status != RCPT_DELIVERED;
}

static bool matches_to(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	for (size_t i = 0; i < l->msg.env.rcpt_count; i++)
		if (pattern_matches(ROUTE_RECIPIENT, one->text, l->msg.env.rcpt[i].address) &&
		    rcpt_is_undelivered(l, i))
			return true;
	return false;
}

static bool matches_upstream(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	for (size_t i = 0; i < l->state.rcpt_count; i++) {
		const struct rcpt_state *r = &l->state.rcpt[i];
		size_t goes;

		if (r->status == RCPT_DELIVERED)
			continue;
		if (r->upstream && strcmp(r->upstream, one->text) == 0)
			return true;
		if (!c->routes || r->status != RCPT_PENDING)
			continue;
		goes = route_find(c->routes, &l->msg.env, i, l->state.route);
		if (goes < c->routes->upstream_count && strcmp(c->routes->upstream_name[goes], one->text) == 0)
			return true;
	}
	return false;
}

static bool matches_state(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	return (one->least >> l->condition & 1) != 0;
}

/*
 * Since it arrived, as queue shows it. An id is made behind that: when the content comes, or when a message from
 * another spool gets a new one. So before the file is read, and for one that cannot be, this is the least it can be.
 */
static int64_t age_ms(const struct criteria *c, const struct listing *l)
{
	bool is_known = listing_is_readable(l) && l->msg.env.arrived_wall_us > 0;

	return (c->now_wall_us - (is_known ? l->msg.env.arrived_wall_us : spool_id_wall_us(l->id.text))) / 1000;
}

static bool matches_older(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	return age_ms(c, l) > (int64_t)one->least;
}

static bool matches_younger(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	return age_ms(c, l) < (int64_t)one->least;
}

static bool matches_larger(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	return l->msg.content_bytes > one->least;
}

static bool matches_smaller(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	return l->msg.content_bytes < one->least;
}

static bool matches_tries(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	return l->state.tries >= one->least && l->state.tries <= one->most;
}

static bool error_matches(const struct criterion *one, const char *reply)
{
	if (!reply)
		return false;
	if (one->regex)
		return regexec(one->regex, reply, 0, NULL, 0) == 0;
	return strcasestr(reply, one->text) != NULL;
}

static bool matches_error(const struct criteria *c, const struct criterion *one, const struct listing *l)
{
	(void)c;
	for (size_t i = 0; i < l->state.rcpt_count; i++)
		if (l->state.rcpt[i].status != RCPT_DELIVERED && error_matches(one, l->state.rcpt[i].reply))
			return true;
	return false;
}

enum { NEEDS_ENVELOPE = 1, EARLIER_TOO = 2 };

static const struct {
	int (*parse)(struct criterion *one, const char *value, struct err *e);
	enum criterion_phase phase;
	/* EARLIER_TOO: asked in the phase before, too, where the answer "no" is certain */
	unsigned flags;
	bool (*matches)(const struct criteria *c, const struct criterion *one, const struct listing *l);
} kinds[CRITERION_COUNT] = {
	[CRITERION_FROM] = { parse_pattern, PHASE_MESSAGE, NEEDS_ENVELOPE, matches_from },
	[CRITERION_TO] = { parse_pattern, PHASE_STATE, NEEDS_ENVELOPE | EARLIER_TOO, matches_to },
	[CRITERION_DOMAIN] = { parse_domain, PHASE_STATE, NEEDS_ENVELOPE | EARLIER_TOO, matches_to },
	[CRITERION_UPSTREAM] = { parse_name, PHASE_STATE, NEEDS_ENVELOPE, matches_upstream },
	[CRITERION_STATE] = { parse_state, PHASE_STATE, 0, matches_state },
	[CRITERION_OLDER] = { parse_age, PHASE_MESSAGE, 0, matches_older },
	[CRITERION_YOUNGER] = { parse_age, PHASE_MESSAGE, EARLIER_TOO, matches_younger },
	[CRITERION_LARGER] = { parse_size, PHASE_MESSAGE, NEEDS_ENVELOPE, matches_larger },
	[CRITERION_SMALLER] = { parse_size, PHASE_MESSAGE, NEEDS_ENVELOPE, matches_smaller },
	[CRITERION_TRIES] = { parse_tries, PHASE_STATE, NEEDS_ENVELOPE, matches_tries },
	[CRITERION_ERROR] = { parse_error, PHASE_STATE, NEEDS_ENVELOPE, matches_error },
};

/* ---- all of them ------------------------------------------------------------------ */

void criteria_init(struct criteria *c)
{
	memset(c, 0, sizeof(*c));
	c->now_wall_us = clock_wall_us();
}

void criteria_release(struct criteria *c)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->item[i].regex)
			regfree(c->item[i].regex);
		free(c->item[i].regex);
	}
	free(c->item);
	memset(c, 0, sizeof(*c));
}

int criteria_add(struct criteria *c, enum criterion_kind kind, const char *value, struct err *e)
{
	struct criterion one = { .kind = kind, .text = value };

	if (strlen(value) > CRITERION_TEXT_MAX) {
		err_set(e, "longer than %d octets", CRITERION_TEXT_MAX);
		return -1;
	}
	if (kinds[kind].parse(&one, value, e) < 0)
		return -1;
	c->item = mem_resize(c->item, c->count + 1, sizeof(*c->item));
	c->item[c->count++] = one;
	c->kinds |= 1u << kind;
	return 0;
}

bool criteria_has(const struct criteria *c, enum criterion_kind kind)
{
	return (c->kinds >> kind & 1) != 0;
}

enum criterion_phase criteria_last_phase(const struct criteria *c)
{
	enum criterion_phase last = PHASE_ID;

	for (size_t i = 0; i < c->count; i++)
		if (kinds[c->item[i].kind].phase > last)
			last = kinds[c->item[i].kind].phase;
	return last;
}

static bool is_asked(enum criterion_kind kind, enum criterion_phase phase)
{
	return kinds[kind].phase == phase ||
	       (kinds[kind].phase == phase + 1 && (kinds[kind].flags & EARLIER_TOO) != 0);
}

/* One value of those given for an option is enough. */
static bool kind_matches(const struct criteria *c, enum criterion_kind kind, const struct listing *l)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->item[i].kind == kind && kinds[kind].matches(c, &c->item[i], l))
			return true;
	return false;
}

bool criteria_match(const struct criteria *c, enum criterion_phase phase, const struct listing *l)
{
	for (unsigned k = 0; k < CRITERION_COUNT; k++) {
		enum criterion_kind kind = (enum criterion_kind)k;

		if (!criteria_has(c, kind) || !is_asked(kind, phase))
			continue;
		if ((kinds[kind].flags & NEEDS_ENVELOPE) && !listing_is_readable(l))
			return false;
		if (!kind_matches(c, kind, l))
			return false;
	}
	return true;
}
