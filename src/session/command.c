/* SPDX-License-Identifier: ISC */
/* See command.h. */
#include "session/command.h"

#include <string.h>
#include <strings.h>

#include "smtp/extension.h"

#define BIT(x) SMTP_EXTENSION_BIT(SMTP_##x)
#define NO_ARG COMMAND_NO_ARGUMENT
#define MAY_ARG COMMAND_MAY_ARGUMENT
#define NEEDS_ARG COMMAND_NEEDS_ARGUMENT
#define BEFORE_CONTENT (COMMAND_MAIL | COMMAND_RCPT)
#define TAKES_PATH (COMMAND_PARAMETERS | COMMAND_LISTED | COMMAND_GATHERS | COMMAND_HOOKED)
#define LISTED COMMAND_LISTED
#define GATHERS COMMAND_GATHERS
#define CLEAR COMMAND_IN_CLEAR
#define HOOKED COMMAND_HOOKED
#define ANSWERED (COMMAND_HOOKED | COMMAND_ANSWERED)
#define WATCHED (COMMAND_HOOKED | COMMAND_WATCHED)

const struct command_verb command_verbs[] = {
	/* name, function, states, out of order, argument, syntax, flags, extension */
	{ "EHLO", verb_ehlo, COMMAND_ANY, NULL, NEEDS_ARG, "EHLO hostname", LISTED | CLEAR | HOOKED, 0 },
	{ "HELO", verb_helo, COMMAND_ANY, NULL, NEEDS_ARG, "HELO hostname", LISTED | CLEAR | HOOKED, 0 },
	{ "STARTTLS", verb_starttls, COMMAND_START | COMMAND_GREETED, "no STARTTLS inside a transaction",
	  NO_ARG, "STARTTLS", CLEAR | HOOKED, BIT(STARTTLS) },
	{ "AUTH", verb_auth, COMMAND_GREETED, "no AUTH inside a transaction", NEEDS_ARG,
	  "AUTH mechanism [initial-response]", COMMAND_SECRET | HOOKED, BIT(AUTH) },
	{ "XCLIENT", verb_xclient, COMMAND_START | COMMAND_GREETED, "no XCLIENT inside a transaction",
	  NEEDS_ARG, "XCLIENT attribute=value ...", CLEAR | COMMAND_OF_PROXY | WATCHED, BIT(XCLIENT) },
	{ "MAIL", verb_mail, COMMAND_GREETED, "nested MAIL command", NEEDS_ARG, "MAIL FROM: <address>",
	  TAKES_PATH, 0 },
	{ "RCPT", verb_rcpt, BEFORE_CONTENT, "need MAIL command", NEEDS_ARG, "RCPT TO: <address>",
	  TAKES_PATH | COMMAND_BRINGS_MAIL, 0 },
	/* MAIL without RCPT is allowed here because the reply depends on why there is none */
	{ "DATA", verb_data, BEFORE_CONTENT, "need RCPT command", NO_ARG, "DATA", LISTED | HOOKED, 0 },
	{ "BDAT", verb_bdat, COMMAND_TRANSACTION, "need RCPT command", MAY_ARG, "BDAT octets [LAST]",
	  COMMAND_OCTETS | COMMAND_ANNOUNCED | COMMAND_BRINGS_MAIL | HOOKED, BIT(CHUNKING) },
	{ "RSET", verb_rset, COMMAND_ANY, NULL, NO_ARG, "RSET", LISTED | GATHERS | CLEAR | WATCHED, 0 },
	{ "NOOP", verb_noop, COMMAND_ANY, NULL, MAY_ARG, "NOOP", LISTED | CLEAR | ANSWERED, 0 },
	{ "QUIT", verb_quit, COMMAND_ANY, NULL, MAY_ARG, "QUIT", LISTED | CLEAR | WATCHED, 0 },
	{ "VRFY", verb_vrfy, COMMAND_ANY, NULL, NEEDS_ARG, "VRFY <address>", LISTED | ANSWERED, BIT(VRFY) },
	{ "EXPN", verb_expn, COMMAND_ANY, NULL, MAY_ARG, "EXPN <list>", ANSWERED, BIT(EXPN) },
	{ "HELP", verb_help, COMMAND_ANY, NULL, MAY_ARG, "HELP [command]", ANSWERED, BIT(HELP) },
	{ "ETRN", verb_etrn, COMMAND_GREETED, "no ETRN inside a transaction", NEEDS_ARG, "ETRN [@|#]node",
	  COMMAND_ANNOUNCED | HOOKED, BIT(ETRN) },
	{ "PROXY", verb_proxy, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	/* a web browser that was sent here to post commands (verb_misc.c) */
	{ "GET", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "POST", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "PUT", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "HEAD", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "DELETE", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "OPTIONS", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "PATCH", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "TRACE", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "CONNECT", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ "PRI", verb_http, COMMAND_ANY, NULL, MAY_ARG, NULL, CLEAR, 0 },
	{ NULL, NULL, 0, NULL, NO_ARG, NULL, 0, 0 },
};

const struct command_verb *command_find(const char *name, size_t len)
{
	for (const struct command_verb *v = command_verbs; v->name; v++)
		if (strlen(v->name) == len && strncasecmp(v->name, name, len) == 0)
			return v;
	return NULL;
}

static bool is_blank(char o)
{
	return o == ' ' || o == '\t';
}

bool command_parse(const char *line, size_t len, struct command *out)
{
	const char *end = line + len, *space;

	/* RFC 5321 4.1.1: trailing blanks should be tolerated */
	while (end > line && is_blank(end[-1]))
		end--;
	space = memchr(line, ' ', (size_t)(end - line));
	out->name = line;
	out->name_len = (size_t)((space ? space : end) - line);
	out->arg = space ? space : end;
	while (out->arg < end && is_blank(*out->arg))
		out->arg++;
	out->arg_len = (size_t)(end - out->arg);
	out->verb = command_find(out->name, out->name_len);
	return out->name_len > 0;
}
