/* SPDX-License-Identifier: ISC */
/* See dovecot_protocol.h. */
#include "auth/dovecot_protocol.h"

#include <string.h>

#define REQUEST_ID "1"

/* ---- lines --------------------------------------------------------------------------- */

/*
 * What stands behind \001. A NUL ('0') cannot be in our texts: it becomes another control, which is_user
 * refuses. For LF the documentation has 'l', Dovecot's code 'n'.
 */
static char meaning(char c)
{
	switch (c) {
	case '0':
	case '1':
		return '\001';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case 'n':
	case 'l':
		return '\n';
	}
	return c;
}

/* In place. */
static void unescape(char *field)
{
	char *to = field;

	for (const char *from = field; *from; from++) {
		char c = *from;

		if (c == '\001') {
			c = *++from;
			if (!c)
				break;
			c = meaning(c);
		}
		*to++ = c;
	}
	*to = '\0';
}

void dovecot_split(char *line, struct dovecot_line *out)
{
	out->count = 0;
	while (line && out->count < DOVECOT_FIELDS_MAX) {
		char *tab = strchr(line, '\t');

		if (tab)
			*tab = '\0';
		unescape(line);
		out->field[out->count++] = line;
		line = tab ? tab + 1 : NULL;
	}
}

void dovecot_escape(struct buf *out, const char *text)
{
	static const char special[] = "\001\t\r\n", letter[] = "1trn";

	for (; *text; text++) {
		const char *at = strchr(special, *text);

		if (at) {
			buf_addc(out, '\001');
			buf_addc(out, letter[at - special]);
		} else {
			buf_addc(out, *text);
		}
	}
}

/* The value of "key=value" among the optional parameters, "" of "key" alone; NULL: not there. */
static const char *parameter(const struct dovecot_line *l, size_t from, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = from; i < l->count; i++) {
		if (strncmp(l->field[i], key, len) != 0)
			continue;
		if (l->field[i][len] == '=')
			return l->field[i] + len + 1;
		if (l->field[i][len] == '\0')
			return l->field[i] + len;
	}
	return NULL;
}

/* ---- the handshake ----------------------------------------------------------------------- */

void dovecot_handshake_init(struct dovecot_handshake *h)
{
	memset(h, 0, sizeof(*h));
	buf_init(&h->mechanisms, DOVECOT_MECHANISMS_MAX);
}

void dovecot_handshake_release(struct dovecot_handshake *h)
{
	buf_release(&h->mechanisms);
}

/* RFC 4422 3.1; it goes into a line of EHLO. */
static bool is_mechanism(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 20 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

/*
 * Not passed on: anonymous ones, those that Dovecot keeps to itself, EXTERNAL and the -PLUS variants: they
 * need the client's certificate or the channel binding, which this protocol does not carry.
 */
static bool can_be_offered(const struct dovecot_line *l)
{
	const char *name = l->count > 1 ? l->field[1] : "";
	size_t len = strlen(name);

	return is_mechanism(name) && !parameter(l, 2, "anonymous") && !parameter(l, 2, "private") &&
	       strcmp(name, "ANONYMOUS") != 0 && strcmp(name, "EXTERNAL") != 0 &&
	       !(len > 5 && strcmp(name + len - 5, "-PLUS") == 0);
}

bool dovecot_handshake_offers(const struct dovecot_handshake *h, const char *mechanism)
{
	size_t len = strlen(mechanism);
	const char *at = h->mechanisms.data;

	if (!is_mechanism(mechanism))
		return false;
	while ((at = strstr(at, mechanism))) {
		if ((at == h->mechanisms.data || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
			return true;
		at++;
	}
	return false;
}

static void add_mechanism(struct dovecot_handshake *h, const struct dovecot_line *l)
{
	if (!can_be_offered(l) || dovecot_handshake_offers(h, l->field[1]) ||
	    h->mechanisms.len + strlen(l->field[1]) + 1 > DOVECOT_MECHANISMS_MAX)
		return;
	if (h->mechanisms.len > 0)
		buf_addc(&h->mechanisms, ' ');
	buf_adds(&h->mechanisms, l->field[1]);
}

/* The major version must be ours, the minor one is of no importance. */
static enum dovecot_step check_version(struct dovecot_handshake *h, const struct dovecot_line *l,
				       struct err *e)
{
	if (l->count < 2 || strcmp(l->field[1], "1") != 0) {
		err_set(e, "it speaks version %.20s of the protocol, and not 1",
			l->count < 2 ? "(none)" : l->field[1]);
		return DOVECOT_BAD;
	}
	h->version_seen = true;
	return DOVECOT_MORE;
}

enum dovecot_step dovecot_handshake_line(struct dovecot_handshake *h, char *line, struct err *e)
{
	struct dovecot_line l;

	dovecot_split(line, &l);
	if (++h->lines > DOVECOT_HANDSHAKE_LINES_MAX) {
		err_set(e, "its handshake does not end");
		return DOVECOT_BAD;
	}
	if (strcmp(l.field[0], "VERSION") == 0)
		return check_version(h, &l, e);
	if (!h->version_seen) {
		err_set(e, "it does not begin with a version: not Dovecot's socket for clients");
		return DOVECOT_BAD;
	}
	if (strcmp(l.field[0], "DONE") == 0)
		return DOVECOT_DONE;
	/* auth-master and userdb sockets begin with a version too, and never say DONE */
	if (strcmp(l.field[0], "MECH") == 0)
		add_mechanism(h, &l);
	return DOVECOT_MORE; /* SPID, CUID, COOKIE and whatever comes yet */
}

void dovecot_greet(struct buf *out, unsigned id)
{
	buf_addf(out, "VERSION\t1\t2\nCPID\t%u\n", id);
}

/* ---- an exchange -------------------------------------------------------------------------- */

bool dovecot_is_base64(const char *text)
{
	return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")] ==
	       '\0';
}

void dovecot_begin(struct buf *out, const struct auth_client *client, const char *mechanism,
		   const char *initial)
{
	bool local = strcmp(client->address, "unix") == 0;

	buf_addf(out, "AUTH\t" REQUEST_ID "\t%s\tservice=smtp\tnologin", mechanism);
	if (client->tls || local)
		buf_adds(out, "\tsecured");
	if (!local && strcmp(client->address, "unknown") != 0) {
		buf_adds(out, "\trip=");
		dovecot_escape(out, client->address);
	}
	if (initial) /* it must be the last one */
		buf_addf(out, "\tresp=%s", initial);
	buf_addc(out, '\n');
}

void dovecot_continue(struct buf *out, const char *answer)
{
	buf_addf(out, "CONT\t" REQUEST_ID "\t%s\n", answer);
}

/* Controls in a name would be a trap for whoever prints it. */
static bool is_user(const char *user)
{
	size_t len = strlen(user);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)user[i] < ' ' || user[i] == 0x7f)
			return false;
	return len > 0 && len < AUTH_USER_MAX;
}

static void take_ok(const struct dovecot_line *l, struct dovecot_reply *out, struct err *e)
{
	const char *user = parameter(l, 2, "user");

	if (!user || !is_user(user)) {
		err_set(e, "its answer names no user, or one that cannot be used");
		return;
	}
	memcpy(out->user, user, strlen(user) + 1);
	out->kind = DOVECOT_REPLY_OK;
}

static void take_fail(const struct dovecot_line *l, struct dovecot_reply *out, struct err *e)
{
	const char *reason = parameter(l, 2, "reason"), *code = parameter(l, 2, "code");
	bool temporary = parameter(l, 2, "temp") || (code && strcmp(code, "temp_fail") == 0);

	out->kind = temporary ? DOVECOT_REPLY_TEMPORARY : DOVECOT_REPLY_FAIL;
	if (reason || code)
		err_set(e, "%.300s", reason ? reason : code);
	else if (parameter(l, 2, "user_disabled"))
		err_set(e, "the user is disabled");
	else if (parameter(l, 2, "pass_expired"))
		err_set(e, "the password has expired");
	else if (parameter(l, 2, "authz"))
		err_set(e, "not allowed to act as that user");
	else if (temporary)
		err_set(e, "an internal failure of Dovecot, of which its log tells");
	else
		err_set(e, "wrong password or unknown user");
}

void dovecot_reply_parse(char *line, struct dovecot_reply *out, struct err *e)
{
	struct dovecot_line l;

	memset(out, 0, sizeof(*out));
	dovecot_split(line, &l);
	out->kind = DOVECOT_REPLY_OTHER;
	if (l.count < 2 || strcmp(l.field[1], REQUEST_ID) != 0)
		return;
	if (strcmp(l.field[0], "FAIL") == 0) {
		take_fail(&l, out, e);
		return;
	}
	if (strcmp(l.field[0], "OK") == 0) {
		out->kind = DOVECOT_REPLY_BAD;
		take_ok(&l, out, e);
		return;
	}
	if (strcmp(l.field[0], "CONT") != 0)
		return;
	out->challenge = l.count > 2 ? l.field[2] : "";
	out->kind = dovecot_is_base64(out->challenge) ? DOVECOT_REPLY_CONT : DOVECOT_REPLY_BAD;
	if (out->kind == DOVECOT_REPLY_BAD)
		err_set(e, "its challenge is not base64");
}
