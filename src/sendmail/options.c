/* SPDX-License-Identifier: ISC */
/* See options.h. */
#include "sendmail/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */

const struct sendmail_letter sendmail_letters[] = {
	{ 'A', "X", "ignored (which configuration file Sendmail would read)" },
	{ 'B', "BODY", "7BIT or 8BITMIME" },
	{ 'b', "MODE", "m submit (default), p mailq, s SMTP on standard input, i newaliases" },
	{ 'C', "FILE", "configuration file" },
	{ 'c', NULL, "ignored" },
	{ 'e', "X", "as -oe" },
	{ 'F', "NAME", "full name, for a From field that is missing" },
	{ 'f', "ADDRESS", "envelope sender" },
	{ 'G', NULL, "gateway: no field is added to the header" },
	{ 'h', "N", "ignored (hop count)" },
	{ 'I', NULL, "newaliases" },
	{ 'i', NULL, "a line with only a dot does not end the message" },
	{ 'L', "LABEL", "ignored (log label)" },
	{ 'M', "X", "ignored (macro)" },
	{ 'm', NULL, "ignored (me too)" },
	{ 'N', "WHEN", "never, or a list of success, failure, delay: what is to be reported" },
	{ 'n', NULL, "ignored (no aliases)" },
	{ 'O', "OPTION=VALUE", "ignored" },
	{ 'o', "X", "i as -i; eq: no messages, only the exit status; others ignored" },
	{ 'p', "PROTOCOL", "ignored" },
	{ 'q', "X", "alone: try all queued messages now; I ID: this one; R SITE: those to SITE; TIME: ignored" },
	{ 'R', "WHAT", "full or hdrs: how much of the message a report returns" },
	{ 'r', "ADDRESS", "as -f" },
	{ 't', NULL, "recipients also from To, Cc and Bcc" },
	{ 'U', NULL, "ignored (initial submission)" },
	{ 'V', "ENVID", "envelope identifier for reports" },
	{ 'v', NULL, "show the SMTP dialogue on standard error" },
	{ 'X', "FILE", "ignored (log file); V (VERP) is refused" },
	{ 'x', NULL, "ignored" },
};
const size_t sendmail_letter_count = sizeof(sendmail_letters) / sizeof(sendmail_letters[0]);

const char *sendmail_program_name(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	if (slash && slash[1])
		return slash + 1;
	return argv0 && argv0[0] ? argv0 : "sendmail";
}

static enum sendmail_mode mode_of_name(const char *name)
{
	if (strcmp(name, "mailq") == 0)
		return SENDMAIL_QUEUE;
	return strcmp(name, "newaliases") == 0 ? SENDMAIL_ALIASES : SENDMAIL_SUBMIT;
}

/* ---- values -------------------------------------------------------------------- */

struct parse {
	struct sendmail_options *o;
	sendmail_warn *warn;
	void *ctx;
};

static void warn(const struct parse *p, const char *what, const char *value)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: '%.100s' -- ignored", what, value);
	p->warn(p->ctx, text);
}

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* never, or words of a list (RFC 3461 4.1); 0: neither */
static unsigned parse_notify(const char *text)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = { { "success", ENVELOPE_NOTIFY_SUCCESS },
		      { "failure", ENVELOPE_NOTIFY_FAILURE },
		      { "delay", ENVELOPE_NOTIFY_DELAY } };
	unsigned notify = 0;

	if (strcasecmp(text, "never") == 0)
		return ENVELOPE_NOTIFY_NEVER;
	while (*text) {
		size_t len = strcspn(text, ", \t"), i = 0;

		while (len > 0 && i < 3 && !is_word(text, len, words[i].word))
			i++;
		if (i == 3)
			return 0;
		if (len > 0)
			notify |= words[i].bit;
		text += len + strspn(text + len, ", \t");
	}
	return notify;
}

static void take_notify(const struct parse *p, const char *value)
{
	unsigned notify = parse_notify(value);

	if (notify)
		p->o->notify = notify;
	else
		warn(p, "bad -N option value", value);
}

static void take_ret(const struct parse *p, const char *value)
{
	if (strcasecmp(value, "full") == 0)
		p->o->ret = RET_FULL;
	else if (strcasecmp(value, "hdrs") == 0)
		p->o->ret = RET_HDRS;
	else
		warn(p, "bad -R option value", value);
}

static void take_envid(const struct parse *p, const char *value)
{
	for (const char *c = value; *c; c++) {
		if (*c < ' ' || *c >= 0x7f) {
			warn(p, "bad -V option value", "not printable");
			return;
		}
	}
	if (strlen(value) > ENVID_MAX || value[0] == '\0')
		warn(p, "bad -V option value", value);
	else
		p->o->envid = value;
}

static int take_body(const struct parse *p, const char *value, struct err *e)
{
	if (strcasecmp(value, "8BITMIME") == 0) {
		p->o->body = BODY_8BITMIME;
	} else if (strcasecmp(value, "7BIT") == 0) {
		p->o->body = BODY_7BIT;
	} else {
		err_set(e, "-B option needs 8BITMIME or 7BIT");
		return -1;
	}
	return 0;
}

static int take_mode(const struct parse *p, const char *value, struct err *e)
{
	switch (value[0]) {
	case 'm':
		p->o->mode = SENDMAIL_SUBMIT;
		return 0;
	case 'p':
		p->o->mode = SENDMAIL_QUEUE;
		return 0;
	case 's':
		p->o->mode = SENDMAIL_SMTP;
		return 0;
	case 'i':
		p->o->mode = SENDMAIL_ALIASES;
		return 0;
	case 'd':
	case 'l':
		err_set(e, "-b%c: the daemon is posthoused(8): start that", value[0]);
		return -1;
	case 'h':
	case 'H':
		err_set(e, "-b%c: there is no host status here; posthouse status shows the upstreams", value[0]);
		return -1;
	case 'v':
		err_set(e, "-bv is not supported: addresses are not verified here, the smarthost does that");
		return -1;
	case 't':
		err_set(e, "-bt is not supported: addresses are not rewritten here");
		return -1;
	default:
		err_set(e, "unsupported: -b%.1s", value);
		return -1;
	}
}

static int take_queue(const struct parse *p, const char *value, struct err *e)
{
	struct sendmail_options *o = p->o;

	o->mode = SENDMAIL_FLUSH;
	switch (value[0]) {
	case '\0':
		return 0;
	case 'I':
		o->flush_id = value + 1;
		if (value[1])
			return 0;
		err_set(e, "specify: -qIqueueid");
		return -1;
	case 'R':
		o->flush_site = value + 1;
		if (value[1])
			return 0;
		err_set(e, "specify: -qRsitename");
		return -1;
	default:
		if (value[0] >= '0' && value[0] <= '9') {
			o->mode = SENDMAIL_NOTHING;
			return 0;
		}
		err_set(e, "-q%.1s is not implemented", value);
		return -1;
	}
}

/* -o X and, as older programs write it, -e X: only "i" and "eq" mean something to us */
static void take_old_option(const struct parse *p, const char *value)
{
	if (value[0] == 'i' && value[1] == '\0')
		p->o->dot_is_text = true;
	else if (strcmp(value, "eq") == 0)
		p->o->quiet = true;
}

static int take(const struct parse *p, char letter, const char *value, struct err *e)
{
	struct sendmail_options *o = p->o;

	switch (letter) {
	case 'B':
		return take_body(p, value, e);
	case 'b':
		return take_mode(p, value, e);
	case 'C':
		o->config_file = value;
		return 0;
	case 'e':
		o->quiet = strcmp(value, "q") == 0;
		return 0;
	case 'F':
		o->full_name = value;
		return 0;
	case 'f':
	case 'r':
		o->sender = value;
		return 0;
	case 'G':
		o->gateway = true;
		return 0;
	case 'I':
		o->mode = SENDMAIL_ALIASES;
		return 0;
	case 'i':
		o->dot_is_text = true;
		return 0;
	case 'N':
		take_notify(p, value);
		return 0;
	case 'o':
		take_old_option(p, value);
		return 0;
	case 'q':
		return take_queue(p, value, e);
	case 'R':
		take_ret(p, value);
		return 0;
	case 't':
		o->read_recipients = true;
		return 0;
	case 'V':
		take_envid(p, value);
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'X':
		if (value[0] != 'V')
			return 0;
		err_set(e, "-XV (VERP) is not supported");
		return -1;
	default: /* the table says that it is ignored */
		return 0;
	}
}

/* ---- the words of the command line ---------------------------------------------- */

static const struct sendmail_letter *find(char letter)
{
	for (size_t i = 0; i < sendmail_letter_count; i++)
		if (sendmail_letters[i].letter == letter)
			return &sendmail_letters[i];
	return NULL;
}

/* A word that begins with '-'. *next is the word that a value may be, and is moved behind it. */
static int take_word(const struct parse *p, const char *word, char ***next, struct err *e)
{
	/* the one whose value can be missing: only what stands in the same word is its value */
	if (strcmp(word, "-q") == 0)
		return take(p, 'q', "", e);
	for (const char *c = word + 1; *c; c++) {
		const struct sendmail_letter *l = find(*c);
		const char *value = c + 1;

		if (!l && *c == '-' && c == word + 1) {
			err_set(e, "options of this command are single letters (-C FILE names the "
				   "configuration), but for --help and --version");
			return -1;
		}
		if (!l) {
			err_set(e, "-%c: there is no such option", *c >= ' ' && *c < 0x7f ? *c : '?');
			return -1;
		}
		if (!l->value) {
			if (take(p, *c, NULL, e) < 0)
				return -1;
			continue;
		}
		if (*value == '\0') {
			value = **next;
			if (!value) {
				err_set(e, "-%c: its value is missing", *c);
				return -1;
			}
			(*next)++;
		}
		return take(p, *c, value, e);
	}
	return 0;
}

/* What would be silently left undone is an error, as in Postfix. */
static int check(const struct sendmail_options *o, struct err *e)
{
	if (o->read_recipients && o->mode != SENDMAIL_SUBMIT) {
		err_set(e, "-t can be used only in delivery mode");
		return -1;
	}
	if (o->mode == SENDMAIL_FLUSH && (o->flush_id || o->flush_site) && o->operand_count > 0) {
		err_set(e, "%s requires no recipient", o->flush_id ? "flush queue_id" : "flush site");
		return -1;
	}
	return 0;
}

int sendmail_options_parse(struct sendmail_options *o, int argc, char **argv, sendmail_warn *warn_, void *ctx,
			   struct err *e)
{
	/* cppcheck-suppress ctuuninitvar ; only its address is taken, and it is filled below */
	struct parse p = { o, warn_, ctx };
	char **next = argv + (argc > 0);
	bool only_operands = false;

	*o = (struct sendmail_options){ .mode = mode_of_name(sendmail_program_name(argc > 0 ? argv[0] : NULL)) };
	o->operand = mem_array((size_t)argc + 1, sizeof(*o->operand));
	while (*next) {
		char *word = *next++;

		if (!only_operands && strcmp(word, "--") == 0) {
			only_operands = true;
		} else if (!only_operands && strcmp(word, "--help") == 0) {
			o->mode = SENDMAIL_HELP;
			return 0;
		} else if (!only_operands && strcmp(word, "--version") == 0) {
			o->mode = SENDMAIL_VERSION;
			return 0;
		} else if (only_operands || word[0] != '-' || word[1] == '\0') {
			o->operand[o->operand_count++] = word;
		} else if (take_word(&p, word, &next, e) < 0) {
			return -1;
		}
	}
	return check(o, e);
}

void sendmail_options_release(struct sendmail_options *o)
{
	free(o->operand);
	o->operand = NULL;
}
