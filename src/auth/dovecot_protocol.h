/* SPDX-License-Identifier: ISC */
/*
 * The words of Dovecot's authentication protocol, version 1 (Dovecot's
 * documentation, "Auth Protocol"), the client's side: lines of parameters
 * between tabs, which are escaped with \001. Pure; dovecot.c moves the bytes.
 */
#ifndef AUTH_DOVECOT_PROTOCOL_H
#define AUTH_DOVECOT_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/backend.h"
#include "base/buf.h"
#include "base/err.h"

#define DOVECOT_LINE_MAX 65536 /* octets; Dovecot's own limit is 16384 */
#define DOVECOT_HANDSHAKE_LINES_MAX 1000
#define DOVECOT_MECHANISMS_MAX 2048 /* octets of their names with blanks */
#define DOVECOT_FIELDS_MAX 64 /* what stands behind is not looked at */

/* A line in its fields; they point into it, unescaped. */
struct dovecot_line {
	size_t count; /* 1 at least */
	char *field[DOVECOT_FIELDS_MAX];
};

/* Splits it in place; without its newline, NUL ended. */
void dovecot_split(char *line, struct dovecot_line *out);
/* Appends a parameter's text, escaped. */
void dovecot_escape(struct buf *out, const char *text);

/* ---- the handshake */

enum dovecot_step { DOVECOT_MORE, DOVECOT_DONE, DOVECOT_BAD };

struct dovecot_handshake {
	bool version_seen;
	size_t lines;
	struct buf mechanisms; /* that can be passed on, separated by blanks */
};

void dovecot_handshake_init(struct dovecot_handshake *h);
void dovecot_handshake_release(struct dovecot_handshake *h);
/* A line of the server's; it is changed. BAD: e says why. */
enum dovecot_step dovecot_handshake_line(struct dovecot_handshake *h, char *line, struct err *e);
bool dovecot_handshake_offers(const struct dovecot_handshake *h, const char *mechanism);
/* What the client says first. id: unlike that of any other connection. */
void dovecot_greet(struct buf *out, unsigned id);

/* ---- an exchange; its id is always 1 */

/* base64, with nothing in it that could end a line; "" is. */
bool dovecot_is_base64(const char *text);
/* initial: base64, NULL: none. mechanism is one of the handshake's. */
void dovecot_begin(struct buf *out, const struct auth_client *client, const char *mechanism,
		   const char *initial);
void dovecot_continue(struct buf *out, const char *answer);

enum dovecot_reply_kind {
	DOVECOT_REPLY_OTHER, /* of another request, or of a kind that is new: to be passed over */
	DOVECOT_REPLY_CONT, /* challenge */
	DOVECOT_REPLY_OK, /* user */
	DOVECOT_REPLY_FAIL, /* e: why; the client's doing */
	DOVECOT_REPLY_TEMPORARY, /* e: why; Dovecot could not tell */
	DOVECOT_REPLY_BAD /* e: not this protocol */
};
struct dovecot_reply {
	enum dovecot_reply_kind kind;
	const char *challenge; /* into the line */
	char user[AUTH_USER_MAX];
};
void dovecot_reply_parse(char *line, struct dovecot_reply *out, struct err *e);

#endif
