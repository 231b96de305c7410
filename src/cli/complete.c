/* SPDX-License-Identifier: ISC */
/* See complete.h. Reads the spool and the configuration file, with the rights of who types. */
#include "cli/complete.h"

#include <stdio.h>
#include <string.h>

#include "auth/users_file.h"
#include "base/assert.h"
#include "cli/access.h"
#include "cli/criteria.h"
#include "cli/listing.h"
#include "cli/lookup.h"
#include "cli/select.h"
#include "cli/settings.h"
#include "cli/transcript.h"
#include "cli/verbs.h"
#include "smtp/extension.h"
#include "upstream/upstream.h"
#include "config/remote.h"

/* Where the line stands at its last word. */
struct line {
	struct cli *cli;
	const struct cli_verb *verb; /* NULL: not said yet */
	bool unknown_verb;
	const struct args_option *waiting; /* the option whose value comes next */
	bool only_operands; /* behind "--" */
	int operands; /* of the verb, before the last word */
	const char *typed; /* the last word, without what stands in `before` */
	char before[64]; /* "--spool=": what each candidate begins with */
};

#define TABLES_MAX 16

static size_t option_tables(const struct cli_verb *verb, const struct args_option *table[TABLES_MAX])
{
	size_t count = 0;

	if (verb && verb->options)
		table[count++] = verb->options;
	for (const struct args_segment *s = verb ? verb->segments : NULL; s && s->title; s++) {
		ASSERT(count < TABLES_MAX - 4); /* those below */
		table[count++] = s->options;
	}
	if (verb && verb->selects) {
		table[count++] = criterion_options;
		table[count++] = select_options;
	}
	if (verb && verb->changes)
		table[count++] = select_change_options;
	table[count++] = cli_common_options;
	return count;
}

/* Nothing in it may move the terminal, or look like more than one candidate. */
static void put_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f ? '?' : *text);
}

static void candidate(const struct line *l, const char *word, const char *description)
{
	if (strncmp(word, l->typed, strlen(l->typed)) != 0)
		return;
	put_text(l->before);
	put_text(word);
	if (description && *description) {
		putchar('\t');
		put_text(description);
	}
	putchar('\n');
}

/* ---- values ------------------------------------------------------------------------ */

static void put_files(const struct line *l)
{
	(void)l;
	puts(":files");
}

static void put_folders(const struct line *l)
{
	(void)l;
	puts(":dirs");
}

static void put_verbs(const struct line *l)
{
	for (size_t i = 0; i < verb_count; i++)
		candidate(l, verb_table[i].name, verb_table[i].summary);
}

static void put_ids(const struct line *l)
{
	struct id_prefix prefix = { .len = 0 };
	struct id_list list;
	struct spool spool = { 0 };
	struct err e;

	if (l->typed[0] && !id_prefix_parse(l->typed, &prefix))
		return;
	if (access_open(l->cli, &spool) != 0)
		return;
	id_list_init(&list);
	if (access_ids(l->cli, &spool, &prefix, l->typed[0] ? 1 : 0, &list, &e) == 0) {
		for (size_t i = 0; i < list.count && i < COMPLETE_IDS_MAX; i++) {
			struct spool_id id;
			struct listing m;

			id_list_get(&list, i, &id);
			if (!access_message(l->cli, &spool, id.text, &m))
				continue;
			if (!listing_is_readable(&m))
				candidate(l, id.text, condition_name(m.condition));
			else
				candidate(l, id.text, m.msg.env.sender[0] ? m.msg.env.sender : "<>");
			listing_close(&m);
		}
	}
	id_list_release(&list);
	access_close(l->cli, &spool);
}

static void put_upstreams(const struct line *l)
{
	char text[ENDPOINT_TEXT_MAX];
	struct config cfg;
	struct err e;

	if (settings_config(l->cli->config_file, &cfg, &e) < 0)
		return;
	for (size_t i = 0; i < cfg.upstream_count; i++)
		candidate(l, cfg.upstream[i].name,
			  cfg.upstream[i].remoteaddr_count > 0
				  ? config_remote_format(&cfg.upstream[i].remoteaddr[0], text)
				  : "");
	config_release(&cfg);
}

/* Names in the users file, of who may read it. */
static void put_users(const struct line *l)
{
	struct users_cursor at = { 0 };
	struct users_file f;
	char name[AUTH_USER_MAX];
	struct config cfg;
	struct err e;

	if (l->operands == 0 || settings_config(l->cli->config_file, &cfg, &e) < 0)
		return;
	if (cfg.auth_users_file && users_file_read(&f, cfg.auth_users_file, &e) == 0) {
		while (users_file_next(&f, &at)) {
			snprintf(name, sizeof(name), "%.*s",
				 (int)(at.name_len < sizeof(name) ? at.name_len : sizeof(name) - 1), at.name);
			candidate(l, name, NULL);
		}
		users_file_release(&f);
	}
	config_release(&cfg);
}

static void put_conditions(const struct line *l)
{
	for (int c = 0; c < CONDITION_COUNT; c++)
		candidate(l, condition_name((enum condition)c), NULL);
}

static void put_mechanisms(const struct line *l)
{
	static const char *const names[] = { UPSTREAM_MECHANISM_NAMES };

	for (size_t i = 0; i < UPSTREAM_MECHANISM_COUNT; i++)
		candidate(l, names[i], NULL);
}

static void put_extensions(const struct line *l)
{
	for (size_t i = 0; i < SMTP_EXTENSION_COUNT; i++)
		candidate(l, smtp_extension_names[i], NULL);
}

/* What the usage text calls a value, and what it can be. All other values are for the person to think of. */
static const struct {
	const char *name;
	void (*put)(const struct line *l); /* NULL: the words */
	const char *words[5];
} values[] = {
	{ "FILE", put_files, { NULL } },
	{ "PATH", put_files, { NULL } },
	{ "DIR", put_folders, { NULL } },
	{ "ID", put_ids, { NULL } },
	{ "VERB", put_verbs, { NULL } },
	{ "USER", put_users, { NULL } },
	{ "UPSTREAM", put_upstreams, { NULL } },
	{ "STATE", put_conditions, { NULL } },
	{ "SCHEME", NULL, { "yescrypt", "sha512crypt", "bcrypt" } },
	{ "FORMAT", NULL, { "eml", "mbox", "spool" } },
	{ "KIND", NULL, { "eml", "mbox", "maildir" } },
	{ "ENCODING", NULL, { "auto", "7bit", "8bit", "quoted-printable", "base64" } },
	{ "WHEN", NULL, { "auto", "always", "never" } },
	{ "KEY", NULL, { "domain", "sender", "sender-domain", "upstream", "reason" } },
	{ "MODE", NULL, { "none", "opportunistic", "required", "implicit" } },
	{ "HOW", NULL, { "ca", "pin", "none" } },
	{ "VERSION", NULL, { "auto", "1.0", "1.1", "1.2", "1.3" } },
	{ "WHETHER", NULL, { "needed", "always", "never" } },
	{ "FAMILY", NULL, { "any", "ipv4", "ipv6" } },
	{ "STYLE", NULL, { TRANSCRIPT_STYLE_NAMES } },
	{ "MECHANISM", put_mechanisms, { NULL } },
	{ "EXTENSION", put_extensions, { NULL } },
	{ "PART", NULL, { "full", "hdrs" } },
	{ "EVENTS", NULL, { "never", "success", "failure", "delay" } },
	{ "BODY", NULL, { "7bit", "8bitmime", "binarymime" } },
};

/* Every word in capitals of "[ID-PREFIX...]", "FILE", "DIR|FILE" ... that is the name of a value. */
static void put_values(const struct line *l, const char *usage)
{
	for (const char *at = usage; *at;) {
		size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		for (size_t i = 0; len > 0 && i < sizeof(values) / sizeof(values[0]); i++) {
			if (strlen(values[i].name) != len || memcmp(values[i].name, at, len) != 0)
				continue;
			if (values[i].put)
				values[i].put(l);
			for (size_t w = 0; w < 5 && values[i].words[w]; w++)
				candidate(l, values[i].words[w], NULL);
		}
		at += len;
		at += strcspn(at, "[ |"); /* "ID-PREFIX" is an ID, whatever stands behind the hyphen */
		at += strspn(at, "[ |");
	}
}

/* "add|remove [USER]": what is in small letters is said as it is, and first. */
static void put_words(const struct line *l, const char *usage)
{
	char word[32];

	for (const char *at = usage; l->operands == 0 && *at; at++) {
		size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz");

		if (len > 0 && len < sizeof(word)) {
			snprintf(word, sizeof(word), "%.*s", (int)len, at);
			candidate(l, word, NULL);
		}
		at += len;
		if (!*at)
			break;
	}
}

static void put_value(const struct line *l, const struct args_option *o)
{
	/* NAME is what many values are called */
	put_values(l, strcmp(o->name, "upstream") == 0 ? "UPSTREAM" : o->value);
}

/* ---- the words before --------------------------------------------------------------- */

/* The option of that name, or the only one that begins so, as getopt has it. */
static const struct args_option *find_long(const struct cli_verb *verb, const char *name, size_t len)
{
	const struct args_option *table[TABLES_MAX], *found = NULL;
	size_t count = option_tables(verb, table), near = 0;

	for (size_t i = 0; i < count; i++) {
		for (const struct args_option *o = table[i]; o->name; o++) {
			if (strncmp(o->name, name, len) != 0)
				continue;
			if (strlen(o->name) == len)
				return o;
			found = o;
			near++;
		}
	}
	return near == 1 ? found : NULL;
}

static const struct args_option *find_letter(const struct cli_verb *verb, char letter)
{
	const struct args_option *table[TABLES_MAX];
	size_t count = option_tables(verb, table);

	for (size_t i = 0; i < count; i++)
		for (const struct args_option *o = table[i]; o->name; o++)
			if (o->key == letter)
				return o;
	return NULL;
}

/* The value of an option that tells where to look. */
static void take_value(struct line *l, const struct args_option *o, const char *value)
{
	if (find_long(NULL, "config", 6) == o)
		l->cli->config_file = value;
	else if (find_long(NULL, "spool", 5) == o)
		l->cli->spool_path = value;
}

static void take_long(struct line *l, const char *word)
{
	size_t len = strcspn(word + 2, "=");
	const struct args_option *o = find_long(l->verb, word + 2, len);

	if (!o || !o->value)
		return;
	if (word[2 + len])
		take_value(l, o, word + 2 + len + 1);
	else
		l->waiting = o;
}

static void take_letters(struct line *l, const char *word)
{
	for (const char *c = word + 1; *c; c++) {
		const struct args_option *o = find_letter(l->verb, *c);

		if (o && o->value) {
			if (!c[1])
				l->waiting = o;
			return;
		}
	}
}

static void take_word(struct line *l, const char *word)
{
	if (l->waiting && strcmp(word, "=") == 0) /* bash cuts --spool=DIR in three */
		return;
	if (l->waiting) {
		take_value(l, l->waiting, word);
		l->waiting = NULL;
	} else if (l->only_operands || word[0] != '-' || !word[1]) {
		l->operands += l->verb != NULL;
		if (!l->verb) {
			l->verb = verb_find(word);
			l->unknown_verb = !l->verb;
		}
	} else if (strcmp(word, "--") == 0) {
		l->only_operands = true;
	} else if (word[1] == '-') {
		take_long(l, word);
	} else {
		take_letters(l, word);
	}
}

/* ---- the last one -------------------------------------------------------------------- */

static void put_options(const struct line *l)
{
	const struct args_option *table[TABLES_MAX];
	size_t count = option_tables(l->verb, table);
	char word[64];

	for (size_t i = 0; i < count; i++) {
		for (const struct args_option *o = table[i]; o->name; o++) {
			snprintf(word, sizeof(word), "--%s", o->name);
			candidate(l, word, o->help);
		}
	}
}

/* "--name=val": the name is to stand in front of each candidate. */
static bool split_value(struct line *l)
{
	const char *sign = strchr(l->typed, '=');
	size_t len;

	if (l->only_operands || strncmp(l->typed, "--", 2) != 0 || !sign)
		return false;
	len = (size_t)(sign + 1 - l->typed);
	l->waiting = find_long(l->verb, l->typed + 2, len - 3);
	if (!l->waiting || !l->waiting->value || len >= sizeof(l->before))
		return true;
	memcpy(l->before, l->typed, len);
	l->before[len] = '\0';
	l->typed += len;
	put_value(l, l->waiting);
	return true;
}

enum cli_status complete_words(struct cli *cli, char **words, int count)
{
	struct line l = { .cli = cli, .typed = count > 0 ? words[count - 1] : "" };

	for (int i = 0; i + 1 < count && !l.unknown_verb; i++)
		take_word(&l, words[i]);
	if (l.unknown_verb)
		return cli_finish_output(CLI_DONE);
	if (l.waiting) {
		if (strcmp(l.typed, "=") == 0)
			l.typed = "";
		put_value(&l, l.waiting);
	} else if (!split_value(&l)) {
		if (l.typed[0] == '-' && !l.only_operands)
			put_options(&l);
		else if (!l.verb)
			put_verbs(&l);
		else {
			put_words(&l, l.verb->operands);
			put_values(&l, l.verb->operands);
		}
	}
	return cli_finish_output(CLI_DONE);
}
