/* SPDX-License-Identifier: ISC */
/* See program_reply.h. */
#include "handler/program_reply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "program/exit.h"

#define TEXT_MAX 480 /* of a line: RFC 5321 4.5.3.1.5 gives a reply 512 octets */

/* The first line of the output, without its end and blanks there. */
static void first_line(const struct program_outcome *o, char line[TEXT_MAX + 1])
{
	size_t len = strcspn(o->text, "\r\n");

	if (len > TEXT_MAX)
		len = TEXT_MAX;
	while (len > 0 && isspace((unsigned char)o->text[len - 1]))
		len--;
	memcpy(line, o->text, len);
	line[len] = '\0';
}

/* "550 " or "550-": the reply to the end of data is a 2yz, 4yz or 5yz. 0: the line says none. */
static int code_of(const char *line)
{
	static const char first[] = "245";

	if (!line[0] || !strchr(first, line[0]) || !isdigit((unsigned char)line[1]) ||
	    !isdigit((unsigned char)line[2]) || (line[3] && line[3] != ' ' && line[3] != '-'))
		return 0;
	return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}

/* RFC 3463 2: class "." subject "." detail, of the reply's class. The octets of it; 0: there is none. */
static size_t enhanced_of(const char *text, int code)
{
	size_t subject, detail;

	if (text[0] != '0' + code / 100 || text[1] != '.')
		return 0;
	subject = strspn(text + 2, "0123456789");
	if (subject < 1 || subject > 3 || text[2 + subject] != '.')
		return 0;
	detail = strspn(text + 3 + subject, "0123456789");
	if (detail < 1 || detail > 3 || (text[3 + subject + detail] && text[3 + subject + detail] != ' '))
		return 0;
	return 3 + subject + detail;
}

/* What the program itself says. `exit` has what it leaves out. */
static void set_own(const char *line, int code, const struct program_exit *exit, struct smtp_reply *reply)
{
	const char *text = line + 3 + (line[3] != '\0');
	char enhanced[12];
	size_t len = enhanced_of(text, code);

	if (len > 0)
		snprintf(enhanced, sizeof(enhanced), "%.*s", (int)len, text);
	else if (exit->code / 100 == code / 100)
		snprintf(enhanced, sizeof(enhanced), "%s", exit->enhanced);
	else
		snprintf(enhanced, sizeof(enhanced), "%d.0.0", code / 100);
	text += len;
	text += strspn(text, " ");
	if (!*text)
		text = exit->code / 100 == code / 100 ? exit->text
		       : code < 300                   ? "OK"
						      : "Error: the message is not accepted";
	smtp_reply_set(reply, code, enhanced, "%s", text);
}

static void set_from_exit(const struct program_outcome *o, struct smtp_reply *reply)
{
	const struct program_exit *exit = program_exit_of(o->status);
	char line[TEXT_MAX + 1];
	int code;

	first_line(o, line);
	code = code_of(line);
	if (code > 0 && (o->status == 0 || code >= 400))
		set_own(line, code, exit, reply);
	else
		smtp_reply_set(reply, exit->code, exit->enhanced, "%s",
			       code == 0 && line[0] ? line : exit->text);
}

enum handler_verdict program_reply(const struct program_outcome *o, struct smtp_reply *reply)
{
	const struct program_exit *trouble = program_exit_of(-1);

	switch (o->end) {
	case PROGRAM_EXITED:
		set_from_exit(o, reply);
		break;
	case PROGRAM_REFUSED:
		/* it would be the same each time */
		smtp_reply_set(reply, 554, "5.3.0",
			       "Error: the message's envelope cannot be given to a program");
		break;
	case PROGRAM_KILLED:
	case PROGRAM_TIMED_OUT:
	case PROGRAM_FAILED:
	case PROGRAM_TOO_MUCH:
	case PROGRAM_BAD_OUTPUT:
	case PROGRAM_LOST:
		smtp_reply_set(reply, trouble->code, trouble->enhanced, "%s", trouble->text);
		break;
	}
	return smtp_reply_is_positive(reply) ? HANDLER_ACCEPT : HANDLER_REFUSE;
}
