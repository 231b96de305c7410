/* SPDX-License-Identifier: ISC */
/* See aliases.h: from the text of a file to the table, or to errors that say where and why. Pure. */
#include "rewrite/aliases.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "rewrite/aliases_internal.h"
#include "smtp/path.h"

#define ERRORS_MAX 20
#define LINE_MAX_OCTETS (1u << 20) /* of one alias with its continuations */

struct parser {
	const char *file;
	struct aliases *a;
	size_t expansion_max;
	unsigned errors;
	unsigned line; /* where the alias that is read begins */
	aliases_report *report;
	void *ctx;
};

static void fail(struct parser *p, unsigned line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail(struct parser *p, unsigned line, const char *fmt, ...)
{
	char what[512], text[1024];
	va_list ap;

	if (++p->errors > ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	/* whose file this is, their terminal */
	for (char *c = what; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	snprintf(text, sizeof(text), "%s:%u: %s", p->file, line, what);
	p->report(p->ctx, text);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* ---- one address on the right side ------------------------------------------------------- */

/* What aliases(5) has and a relay cannot do; NULL: nothing of it. */
static const char *not_supported(const char *item)
{
	const char *inner = item + (*item == '"');

	if (*inner == '|')
		return "a command";
	if (*inner == '/')
		return "a file";
	if (strncasecmp(inner, ":include:", 9) == 0)
		return ":include:";
	return *inner == ':' ? "a special address" : NULL;
}

static void add_target(struct parser *p, struct alias *alias, const char *item)
{
	const char *why = "something stands behind the address", *unsupported = not_supported(item);
	bool final = *item == '\\';
	struct alias_target *t;
	struct smtp_path path;
	size_t len, used;

	if (unsupported) {
		fail(p, p->line,
		     "alias \"%s\": \"%.100s\" is %s: posthouse relays mail, it delivers nothing on this "
		     "machine; name a mail address",
		     alias->name, item, unsupported);
		return;
	}
	item += final;
	len = strlen(item);
	if (smtp_path_parse(item, len, SMTP_PATH_UTF8_OK | SMTP_PATH_UNQUALIFIED_OK, &path, &used, &why) !=
		    0 ||
	    used != len) {
		fail(p, p->line, "alias \"%s\": \"%.100s\" is no address: %s", alias->name, item, why);
		return;
	}
	alias->target = mem_resize(alias->target, alias->target_count + 1, sizeof(*alias->target));
	t = &alias->target[alias->target_count++];
	*t = (struct alias_target){ .address = mem_strdup(path.address),
				    .final = final,
				    .alias = ALIAS_NONE };
}

/* The list behind the colon; text is changed. Commas in quotes are not those of the list. */
static void read_targets(struct parser *p, struct alias *alias, char *text)
{
	unsigned before = p->errors;

	while (*text) {
		char *end = text, *next;
		bool quoted = false;

		for (; *end && (quoted || *end != ','); end++) {
			if (quoted && *end == '\\' && end[1])
				end++;
			else if (*end == '"')
				quoted = !quoted;
		}
		if (quoted) {
			fail(p, p->line, "alias \"%s\": a quote has no end", alias->name);
			return;
		}
		next = *end ? end + 1 : end;
		while (is_blank(*text))
			text++;
		while (end > text && is_blank(end[-1]))
			end--;
		*end = '\0';
		if (*text)
			add_target(p, alias, text);
		text = next;
	}
	if (alias->target_count == 0 && p->errors == before)
		fail(p, p->line, "alias \"%s\" leads nowhere: name an address behind the colon", alias->name);
}

/* ---- one alias -------------------------------------------------------------------------------- */

/* The name before the colon, quotes taken away, in lower case; text moves behind the colon. NULL: it was
 * refused. */
static char *read_name(struct parser *p, char **text)
{
	char *from = *text, *to = *text, *name = *text;
	bool quoted = *from == '"';

	for (from += quoted; *from && *from != (quoted ? '"' : ':'); from++) {
		if (quoted && *from == '\\' && from[1])
			from++;
		*to++ = *from >= 'A' && *from <= 'Z' ? (char)(*from + 'a' - 'A') : *from;
	}
	if (quoted && *from == '"')
		from++;
	while (is_blank(*from))
		from++;
	if (*from != ':') {
		fail(p, p->line, "no alias: write \"name: address, ...\"");
		return NULL;
	}
	*text = from + 1;
	while (!quoted && to > name && is_blank(to[-1]))
		to--;
	*to = '\0';
	if (to == name)
		fail(p, p->line, "an alias has no name");
	else if (!quoted && strpbrk(name, " \t\"\\,<>()"))
		fail(p, p->line, "\"%.100s\" is no name of an alias: put it in quotes", name);
	else if (!quoted && strchr(name, '@'))
		fail(p, p->line,
		     "\"%.100s\": an alias has no domain; use a section rewrite for whole addresses", name);
	else if (to - name >= SMTP_PATH_MAX)
		fail(p, p->line, "the name of an alias is longer than %d octets", SMTP_PATH_MAX - 1);
	else
		return name;
	return NULL;
}

static void read_alias(struct parser *p, char *text)
{
	struct aliases *a = p->a;
	char *name = read_name(p, &text);
	struct alias *alias;

	if (!name)
		return;
	if (a->count == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 64;
		a->alias = mem_resize(a->alias, a->cap, sizeof(*a->alias));
	}
	alias = &a->alias[a->count++];
	memset(alias, 0, sizeof(*alias));
	alias->name = mem_strdup(name);
	alias->line = p->line;
	read_targets(p, alias, text);
}

/* ---- lines -------------------------------------------------------------------------------------- */

static void finish_line(struct parser *p, struct buf *logical)
{
	if (logical->len > 0)
		read_alias(p, logical->data);
	buf_clear(logical);
}

static void read_lines(struct parser *p, const char *text, size_t len)
{
	const char *end = text + len, *next;
	struct buf logical;
	unsigned line = 1;

	buf_init(&logical, LINE_MAX_OCTETS);
	for (; text < end; text = next, line++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end, *begin = text;

		next = newline ? newline + 1 : end;
		while (begin < stop && is_blank(*begin))
			begin++;
		if (begin == stop || *begin == '#')
			continue;
		if (begin == text) {
			finish_line(p, &logical);
			p->line = line;
		}
		if (memchr(begin, '\0', (size_t)(stop - begin)))
			fail(p, line, "a NUL octet");
		else if (begin > text && logical.len == 0)
			fail(p, line,
			     "a line that begins with a space goes on with an alias, and none is before it");
		else if (!buf_add(&logical, text, (size_t)(stop - text)))
			fail(p, line, "an alias is longer than %u octets", LINE_MAX_OCTETS);
	}
	finish_line(p, &logical);
	buf_release(&logical);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct alias *one = a, *other = b;
	int order = strcasecmp(one->name, other->name);

	return order ? order : (one->line > other->line) - (one->line < other->line);
}

static void find_duplicates(struct parser *p)
{
	const struct aliases *a = p->a;

	for (size_t i = 1; i < a->count; i++)
		if (strcasecmp(a->alias[i - 1].name, a->alias[i].name) == 0)
			fail(p, a->alias[i].line, "alias \"%s\" stands twice, before on line %u",
			     a->alias[i].name, a->alias[i - 1].line);
}

/* Which targets are aliases themselves. */
static void link_targets(struct aliases *a)
{
	char name[SMTP_PATH_MAX];

	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < a->alias[i].target_count; k++) {
			struct alias_target *t = &a->alias[i].target[k];

			if (!t->final && aliases_local_name(a, t->address, name))
				t->alias = aliases_find(a, name);
		}
}

/*
 * Depth first, every alias once: its depth is that of its deepest target plus one. level is how far down we
 * are, which bounds the recursion. False after an error below, which is told once.
 */
static bool measure(struct parser *p, struct alias *one, unsigned level)
{
	unsigned deepest = 0;
	bool ok = true;

	one->on_path = true;
	for (size_t i = 0; ok && i < one->target_count; i++) {
		size_t index = one->target[i].alias;
		struct alias *below = index == ALIAS_NONE ? NULL : &p->a->alias[index];

		if (!below)
			continue;
		if (below->on_path) {
			fail(p, one->line, "alias \"%s\" leads back to itself by \"%s\"%s", below->name,
			     one->name,
			     below == one ? ": write a backslash before the name to mean the address" : "");
			ok = false;
		} else if (below->depth == 0 && level < ALIASES_DEPTH_MAX) {
			ok = measure(p, below, level + 1);
		}
		if (ok && below->depth == 0)
			deepest = ALIASES_DEPTH_MAX;
		else if (ok && below->depth > deepest)
			deepest = below->depth;
	}
	one->on_path = false;
	one->depth = deepest + 1;
	if (ok && one->depth > ALIASES_DEPTH_MAX) {
		fail(p, one->line, "alias \"%s\" leads to aliases more than %d deep", one->name,
		     ALIASES_DEPTH_MAX);
		ok = false;
	}
	return ok;
}

static bool find_loops(struct parser *p)
{
	for (size_t i = 0; i < p->a->count; i++)
		if (p->a->alias[i].depth == 0 && !measure(p, &p->a->alias[i], 1))
			return false;
	return true;
}

struct counter {
	size_t count, most;
};

static bool count_one(void *ctx, const char *address)
{
	struct counter *c = ctx;

	(void)address;
	return ++c->count <= c->most;
}

/* Better known now than by each message for it. */
static void find_too_large(struct parser *p)
{
	for (size_t i = 0; i < p->a->count; i++) {
		const struct alias *one = &p->a->alias[i];
		struct counter c = { 0, p->expansion_max };

		aliases_expand_at(p->a, i, count_one, &c);
		if (c.count > c.most)
			fail(p, one->line, "alias \"%s\" leads to more than %zu addresses (max_recipients)",
			     one->name, c.most);
	}
}

struct aliases *aliases_parse(const char *file, const char *text, size_t len,
			      const struct aliases_setup *setup, aliases_report *report, void *ctx)
{
	struct aliases *a = mem_alloc(sizeof(*a));
	struct parser p = {
		.file = file, .a = a, .expansion_max = setup->expansion_max, .report = report, .ctx = ctx
	};

	a->domain = mem_array(setup->domain_count + 1, sizeof(*a->domain));
	for (; a->domain_count < setup->domain_count; a->domain_count++)
		a->domain[a->domain_count] = mem_strdup(setup->domain[a->domain_count]);
	read_lines(&p, text, len);
	if (a->count > 0)
		qsort(a->alias, a->count, sizeof(*a->alias), by_name);
	find_duplicates(&p);
	if (p.errors == 0) {
		link_targets(a);
		if (find_loops(&p))
			find_too_large(&p);
	}
	if (p.errors == 0)
		return a;
	aliases_free(a);
	return NULL;
}
