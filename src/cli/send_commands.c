/* SPDX-License-Identifier: ISC */
/* See send_commands.h. */
#include "cli/send_commands.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/send_report.h"
#include "upstream/talk.h"

enum {
	OPT_FEATURES = ARGS_LONG_ONLY + 300, /* this segment has the keys up to ARGS_LONG_ONLY + 399 */
	OPT_HAS_EXTENSION,
	OPT_VRFY,
	OPT_EXPN,
	OPT_HELP_VERB,
	OPT_NOOP,
	OPT_COMMAND
};

const struct args_option send_commands_options[] = {
	{ "features", OPT_FEATURES, NULL, "list the extensions the server announces" },
	{ "has-extension", OPT_HAS_EXTENSION, "EXTENSION", "status 0 when it announces that one, else 1" },
	{ "vrfy", OPT_VRFY, "ADDRESS", "ask for an address: VRFY" },
	{ "expn", OPT_EXPN, "LIST", "ask who is on a list: EXPN" },
	{ "help-verb", OPT_HELP_VERB, NULL, "ask for help: HELP" },
	{ "noop", OPT_NOOP, NULL, "ask for nothing: NOOP" },
	{ "command", OPT_COMMAND, "LINE", "say any command, but for those of a message" },
	ARGS_OPTIONS_END,
};

#define COMMANDS_MAX 1000
#define REPLY_MAX (512u << 10) /* octets kept of a reply */

/* ---- what may be said ------------------------------------------------------------- */

static bool is_word(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(line, word, n) == 0 && (line[n] == '\0' || line[n] == ' ' || line[n] == '\t');
}

const char *send_command_unsafe(const char *line)
{
	static const char *const content[] = { "DATA", "BDAT" }, *const start[] = { "STARTTLS", "AUTH" };

	if (!isalpha((unsigned char)line[0]))
		return "a command begins with a letter";
	if (strpbrk(line, "\r\n"))
		return "a command is one line";
	for (size_t i = 0; i < 2; i++) {
		if (is_word(line, content[i]))
			return "it would begin the content of a message: give one instead";
		if (is_word(line, start[i]))
			return "it belongs to the session's start: --tls, --user";
	}
	return is_word(line, "QUIT") ? "it is said at the end" : NULL;
}

bool send_commands_take(struct send_commands *c, struct cli *cli, int key, const char *value,
			enum cli_status *status)
{
	bool address = key == OPT_VRFY || key == OPT_EXPN;
	const char *why = NULL;

	*status = CLI_DONE;
	if (key < OPT_FEATURES || key > OPT_COMMAND)
		return false;
	if (c->count == COMMANDS_MAX)
		why = "more than 1000 commands";
	else if (key == OPT_COMMAND)
		why = send_command_unsafe(value);
	else if (address && (value[0] == '\0' || strpbrk(value, "\r\n")))
		why = "expected an address or a name";
	if (why) {
		*status =
			cli_usage_error(cli, "--%s: %s", send_commands_options[key - OPT_FEATURES].name, why);
		return true;
	}
	c->command = mem_resize(c->command, c->count + 1, sizeof(*c->command));
	c->command[c->count++] = (struct send_command){ key, value };
	return true;
}

void send_commands_release(struct send_commands *c)
{
	free(c->command);
}

/* ---- the session -------------------------------------------------------------------- */

struct session {
	struct talk *talk;
	const char *server;
	struct transcript *transcript;
	struct buf reply; /* the lines that answer the last command, with their line ends */
	struct buf features; /* of the last EHLO: a keyword line each, '\n' behind it */
	bool said_ehlo; /* it was the last command */
};

/* Keyword lines: the reply's, without codes and without its first line. */
static void note_features(struct session *s, const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	if (len < 4 || strncmp(line, "250", 3) != 0 || s->reply.len == 0)
		return;
	buf_add(&s->features, line + 4, len - 4);
	buf_addc(&s->features, '\n');
}

static void on_wire(void *ctx, bool from_server, const char *data, size_t len)
{
	struct session *s = ctx;

	transcript_wire(s->transcript, from_server, data, len);
	if (from_server) {
		if (s->said_ehlo)
			note_features(s, data, len);
		buf_add(&s->reply, data, len);
		return;
	}
	s->said_ehlo = is_word(data, "EHLO") || is_word(data, "LHLO");
	if (s->said_ehlo || is_word(data, "HELO"))
		buf_clear(&s->features);
	buf_clear(&s->reply);
}

/* Line by line, escaped for who reads it. */
static void print_lines(const char *text, size_t len)
{
	struct term out;
	struct buf shown;

	term_init(&out, STDOUT_FILENO);
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at, next = at + n + 1;

		while (n > 0 && text[at + n - 1] == '\r')
			n--;
		buf_init(&shown, 4 * n + 1);
		term_escape(&out, text + at, n, TERM_KEEP_TABS, &shown);
		puts(shown.data);
		buf_release(&shown);
		at = next;
	}
}

/* ---- one after the other -------------------------------------------------------------- */

/* "AUTH=LOGIN", of servers older than RFC 2554, is AUTH. */
static size_t keyword_length(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && (isalnum((unsigned char)line[n]) || line[n] == '-'))
		n++;
	return n;
}

static bool has_parameter(const char *line, size_t len, const char *wanted)
{
	size_t n = strlen(wanted);

	for (size_t i = 0; i + n <= len; i++)
		if (strncasecmp(line + i, wanted, n) == 0 &&
		    (i == 0 || line[i - 1] == ' ' || line[i - 1] == '=') &&
		    (i + n == len || line[i + n] == ' '))
			return true;
	return false;
}

bool send_has_extension(const char *lines, const char *wanted)
{
	size_t wanted_len = strcspn(wanted, " ");
	const char *parameter = wanted[wanted_len] ? wanted + wanted_len + 1 : NULL;

	for (const char *line = lines; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n"), n = keyword_length(line, len);

		if (n == 0 || n != wanted_len || strncasecmp(line, wanted, n) != 0)
			continue;
		if (!parameter || has_parameter(line + n, len - n, parameter))
			return true;
	}
	return false;
}

static enum cli_status features(struct session *s)
{
	if (!talk_features(s->talk)->esmtp)
		cli_error("%s: it knows no extensions (it took only HELO)", s->server);
	print_lines(s->features.data, s->features.len);
	return CLI_DONE;
}

static enum cli_status say(struct session *s, const char *verb, const char *value)
{
	struct upstream_outcome o;
	bool nothing = talk_commandf(s->talk, UPSTREAM_IDLE, &o, "%s%s%s", verb, verb[0] && value ? " " : "",
				     value ? value : "") < 0;

	if (!nothing) {
		print_lines(s->reply.data, s->reply.len);
		return send_reply_status(&o.reply);
	}
	cli_error("%s: %s: %s", s->server, value ? value : verb, o.reply.text);
	return o.how == UPSTREAM_UNSUPPORTED ? CLI_USAGE : CLI_UNREACHABLE;
}

static enum cli_status one(struct session *s, const struct send_command *c)
{
	switch (c->option) {
	case OPT_FEATURES:
		return features(s);
	case OPT_HAS_EXTENSION:
		return send_has_extension(s->features.data, c->value) ? CLI_DONE : CLI_NOTHING;
	case OPT_VRFY:
		return say(s, "VRFY", c->value);
	case OPT_EXPN:
		return say(s, "EXPN", c->value);
	case OPT_HELP_VERB:
		return say(s, "HELP", NULL);
	case OPT_NOOP:
		return say(s, "NOOP", NULL);
	default:
		return say(s, "", c->value);
	}
}

/* A refusal for good outweighs one for now; a broken connection both. */
static enum cli_status worse(enum cli_status a, enum cli_status b)
{
	static const enum cli_status order[] = { CLI_UNREACHABLE, CLI_USAGE, CLI_NOTHING, CLI_LATER };

	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return CLI_DONE;
}

static enum cli_status all(struct session *s, const struct send_commands *c)
{
	enum cli_status worst = CLI_DONE;

	for (size_t i = 0; i < c->count; i++) {
		worst = worse(worst, one(s, &c->command[i]));
		if (talk_is_open(s->talk) || i + 1 == c->count)
			continue;
		if (worst != CLI_UNREACHABLE)
			cli_error("%s: the server left before all was asked", s->server);
		return CLI_UNREACHABLE;
	}
	return worst;
}

static void tell_session(const struct session *s)
{
	struct upstream_tls_info tls;

	transcript_session(s->transcript, talk_remote(s->talk), talk_via(s->talk),
			   talk_tls(s->talk, &tls) ? &tls : NULL);
}

enum cli_status send_commands_run(const struct send_commands *c, const struct upstream_settings *settings,
				  struct transcript *transcript)
{
	struct session s = { .server = settings->name, .transcript = transcript };
	const struct talk_options options = { .wire = on_wire, .ctx = &s };
	struct upstream_outcome why;
	enum cli_status status;

	buf_init(&s.reply, REPLY_MAX);
	buf_init(&s.features, REPLY_MAX);
	s.talk = talk_new(settings, &options);
	if (talk_connect(s.talk, &why) == 0) {
		tell_session(&s);
		status = all(&s, c);
		(void)talk_quit(s.talk, NULL);
	} else {
		struct send_report r;

		send_report_init(&r, settings->name, NULL, 0);
		send_report_closed(&r, &why, false);
		status = send_report_status(&r);
	}
	talk_free(s.talk);
	buf_release(&s.reply);
	buf_release(&s.features);
	return status;
}
