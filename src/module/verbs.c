/* SPDX-License-Identifier: ISC */
/* What a module adds to the session when it opens: verbs, and lines of EHLO. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "module/module_internal.h"
#include "smtp/extension.h"

static int fail(struct module *m, const char *what, const char *name)
{
	if (m->server.has_error) /* the first is the reason of the others, mostly */
		return -1;
	err_set(&m->server.error, "%.60s: %s", name ? name : "(null)", what);
	m->server.has_error = true;
	return -1;
}

static bool is_word(const char *text, size_t len, size_t most)
{
	for (size_t i = 0; i < len; i++)
		if (!isascii(text[i]) || !(isalnum(text[i]) || (i > 0 && text[i] == '-')))
			return false;
	return len > 0 && len <= most;
}

static bool is_printable(const char *text, size_t most)
{
	size_t len = 0;

	for (; text[len]; len++)
		if (text[len] < ' ' || text[len] > '~' || len >= most)
			return false;
	return true;
}

struct module_verb *module_find_verb(struct module *m, const char *name, size_t len)
{
	for (size_t i = 0; i < m->verb_count; i++)
		if (strlen(m->verb[i].name) == len && strncasecmp(m->verb[i].name, name, len) == 0)
			return &m->verb[i];
	return NULL;
}

/* The rules of a command of the module's own, as the session's table has them. */
static void make_command(struct module_verb *v, unsigned flags)
{
	unsigned states = flags & POSTHOUSE_VERB_NOT_IN_TRANSACTION ? COMMAND_GREETED : COMMAND_AFTER_HELLO;

	v->verb = (struct command_verb){
		.name = v->name,
		.states = states | (flags & POSTHOUSE_VERB_BEFORE_HELO ? COMMAND_START : 0),
		.out_of_order = "not inside a transaction",
		.argument = flags & POSTHOUSE_VERB_NO_ARGUMENT      ? COMMAND_NO_ARGUMENT
			    : flags & POSTHOUSE_VERB_NEEDS_ARGUMENT ? COMMAND_NEEDS_ARGUMENT
								    : COMMAND_MAY_ARGUMENT,
		.syntax = v->syntax,
		.flags = COMMAND_HOOKED | COMMAND_ANSWERED |
			 (flags & POSTHOUSE_VERB_IN_CLEAR ? (unsigned)COMMAND_IN_CLEAR : 0),
	};
}

int module_add_verb(struct module *m, const char *name, const char *syntax, unsigned flags,
		    posthouse_verb_function *run)
{
	const struct command_verb *known;
	struct module_verb *v;
	size_t len;

	if (!name || !run || (syntax && !is_printable(syntax, sizeof(v->syntax) - 1)))
		return fail(m,
			    "add_verb() needs a name, a function, and a syntax of at most 79 printable "
			    "characters",
			    name);
	len = strnlen(name, sizeof(v->name));
	if (!is_word(name, len, sizeof(v->name) - 1))
		return fail(m, "a verb is a word of at most 19 letters and digits", name);
	known = command_find(name, len);
	if (known && !(known->flags & COMMAND_HOOKED))
		return fail(m, "this verb cannot have a function in a module", name);
	if (module_find_verb(m, name, len))
		return fail(m, "this verb was added already", name);
	if (m->verb_count == MODULE_VERBS_MAX)
		return fail(m, "there are too many verbs", name);
	v = &m->verb[m->verb_count++];
	v->run = run;
	v->moment = flags & POSTHOUSE_VERB_FIRST ? HOOK_FIRST : HOOK_IN_ORDER;
	strcpy(v->function, "smtp_");
	for (size_t i = 0; i < len; i++)
		v->name[i] = v->function[5 + i] = (char)toupper((unsigned char)name[i]);
	snprintf(v->syntax, sizeof(v->syntax), "%s", syntax ? syntax : name);
	v->added = !known;
	if (v->added)
		make_command(v, flags);
	return 0;
}

int module_add_keyword(struct module *m, struct buf *to, const char *line)
{
	size_t word = line ? strcspn(line, " ") : 0;

	if (!line || !is_word(line, word, 32) || !is_printable(line, MODULE_KEYWORDS_MAX))
		return fail(m,
			    "a line of EHLO is a keyword of letters and digits, and parameters of printable "
			    "characters",
			    line);
	for (int x = 0; x < SMTP_EXTENSION_COUNT; x++)
		if (strlen(smtp_extension_names[x]) == word &&
		    strncasecmp(smtp_extension_names[x], line, word) == 0)
			return fail(m, "this extension is the service's own to announce", line);
	if (to->len + 1 + strlen(line) > MODULE_KEYWORDS_MAX || !buf_addf(to, "\n%s", line))
		return fail(m, "there is no room for this line of EHLO", line);
	return 0;
}
