/* SPDX-License-Identifier: ISC */
/*
 * The SMTP commands (RFC 5321 4.1.1) as one table: it drives the dispatch,
 * the order in which they may come (4.1.4), HELP, and a test that tries each
 * command in each state. The functions stand in verb_*.c.
 */
#ifndef SESSION_COMMAND_H
#define SESSION_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct session;

/* Where in the protocol a session is. Bits, so that a verb can name several. */
enum command_state {
	COMMAND_START = 1, /* no HELO or EHLO yet */
	COMMAND_GREETED = 2, /* no transaction */
	COMMAND_MAIL = 4, /* a sender */
	COMMAND_RCPT = 8, /* a sender and at least one recipient */
	COMMAND_BDAT = 16 /* some of the content, but not the last of it */
};
#define COMMAND_TRANSACTION (COMMAND_MAIL | COMMAND_RCPT | COMMAND_BDAT)
#define COMMAND_ANY (COMMAND_START | COMMAND_GREETED | COMMAND_TRANSACTION)
#define COMMAND_AFTER_HELLO (COMMAND_GREETED | COMMAND_TRANSACTION)

enum command_argument { COMMAND_NO_ARGUMENT, COMMAND_MAY_ARGUMENT, COMMAND_NEEDS_ARGUMENT };

enum command_flag {
	COMMAND_PARAMETERS = 1, /* after EHLO, " [SP <mail-parameters>]" belongs to the syntax */
	COMMAND_LISTED =
		2, /* in HELP's list of commands, which is smtpd's; the others while they are announced */
	COMMAND_GATHERS = 4, /* its reply may wait for those of the next commands (RFC 2920 3.2) */
	COMMAND_IN_CLEAR = 8, /* allowed before TLS where that is required (RFC 3207 4) */
	COMMAND_SECRET = 16, /* its argument is not for logs */
	COMMAND_OF_PROXY = 32, /* said by a proxy of its client, not by clients */
	/* What hooks.h may do; without one of these they are not asked. */
	COMMAND_HOOKED = 64, /* may refuse it */
	COMMAND_ANSWERED =
		128, /* with COMMAND_HOOKED: may answer it in any way; it changes nothing in the session */
	COMMAND_WATCHED = 256, /* with COMMAND_HOOKED: may only see it */
	COMMAND_ANNOUNCED = 1024, /* unknown where it was not announced */
	/*
	 * As many octets as its argument says follow, whatever it is answered (RFC 3030 2): a refusal reads
	 * them first, and nobody may put another argument in its place.
	 */
	COMMAND_OCTETS = 512,
	COMMAND_BRINGS_MAIL =
		2048 /* as many as a message wants: not counted (max_commands) where it is accepted */
};

struct command_verb {
	const char *name;
	void (*run)(struct session *s, const char *arg, size_t len); /* NULL: a verb of the hooks, who answer it */
	unsigned states; /* in which it is allowed; not HELO in START is always "send HELO first" */
	const char *out_of_order; /* the 503 in the other states; NULL when there are none */
	enum command_argument argument;
	const char *syntax; /* for HELP and 501; NULL: not a command one could use */
	unsigned flags; /* enum command_flag */
	/*
	 * SMTP_EXTENSION_BIT: unknown when that one is switched off; 0: never. More than is announced is
	 * obeyed.
	 */
	unsigned extension;
};

/* Ended by one whose name is NULL. */
extern const struct command_verb command_verbs[];

/* A command line taken apart. */
struct command {
	const struct command_verb *verb; /* NULL: there is no such command */
	const char *name; /* inside the line, as the client wrote it */
	size_t name_len;
	const char *arg; /* inside the line, without blanks at its ends */
	size_t arg_len;
};

/* The line without CRLF. False when there is no command word at its start. */
bool command_parse(const char *line, size_t len, struct command *out);
/* By name, without regard to case; NULL when there is none. */
const struct command_verb *command_find(const char *name, size_t len);

void verb_helo(struct session *s, const char *arg, size_t len);
void verb_ehlo(struct session *s, const char *arg, size_t len);
void verb_starttls(struct session *s, const char *arg, size_t len);
void verb_auth(struct session *s, const char *arg, size_t len);
void verb_xclient(struct session *s, const char *arg, size_t len);
void verb_mail(struct session *s, const char *arg, size_t len);
void verb_rcpt(struct session *s, const char *arg, size_t len);
void verb_bdat(struct session *s, const char *arg, size_t len);
void verb_etrn(struct session *s, const char *arg, size_t len);
void verb_data(struct session *s, const char *arg, size_t len);
void verb_rset(struct session *s, const char *arg, size_t len);
void verb_noop(struct session *s, const char *arg, size_t len);
void verb_quit(struct session *s, const char *arg, size_t len);
void verb_vrfy(struct session *s, const char *arg, size_t len);
void verb_expn(struct session *s, const char *arg, size_t len);
void verb_help(struct session *s, const char *arg, size_t len);
void verb_proxy(struct session *s, const char *arg, size_t len);
void verb_http(struct session *s, const char *arg, size_t len);

#endif
