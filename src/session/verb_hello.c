/* SPDX-License-Identifier: ISC */
/* HELO and EHLO (RFC 5321 4.1.1.1) and what EHLO announces. */
#include <inttypes.h>
#include <string.h>

#include "session/dsn.h"
#include "session/session_internal.h"
#include "smtp/path.h"

static bool always(const struct session *s)
{
	(void)s;
	return true;
}

/* smtpd: content that is going to be decoded is not promised to pass as it is */
static bool not_decoded(const struct session *s)
{
	return !s->cfg->decode_data;
}

static bool smtputf8(const struct session *s)
{
	return s->cfg->enable_smtputf8;
}

static void add_size(const struct session *s, struct buf *out)
{
	if (s->cfg->data_size_limit_bytes > 0)
		buf_addf(out, " %" PRIu64, s->cfg->data_size_limit_bytes);
}

static void add_mechanisms(const struct session *s, struct buf *out)
{
	buf_addc(out, ' ');
	auth_mechanisms(s, out);
}

static const struct {
	const char *keyword;
	bool (*offered)(const struct session *s);
	void (*parameters)(const struct session *s, struct buf *out); /* NULL: none */
} extensions[] = {
	{ "PIPELINING", always, NULL }, /* RFC 2920 */
	{ "SIZE", always, add_size }, /* RFC 1870, with the limit behind it if there is one */
	{ "STARTTLS", starttls_is_offered, NULL }, /* RFC 3207 */
	{ "AUTH", auth_is_offered, add_mechanisms }, /* RFC 4954 */
	{ "XCLIENT", xclient_is_offered, xclient_attributes },
	{ "8BITMIME", not_decoded, NULL }, /* RFC 6152 */
	{ "ENHANCEDSTATUSCODES", always, NULL }, /* RFC 2034 */
	{ "DSN", dsn_is_offered, NULL }, /* RFC 3461 */
	{ "SMTPUTF8", smtputf8, NULL }, /* RFC 6531 */
	{ "REQUIRETLS", requiretls_is_offered, NULL }, /* RFC 8689 */
	{ "HELP", always, NULL },
};

/*
 * A name is not refused for not being a domain: clients say all kinds of
 * things here, RFC 5321 4.1.4 forbids to refuse mail for it, and the trace
 * header makes it safe. Only what is no text at all is.
 */
static bool is_name(const char *arg, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)arg[i] < ' ' || arg[i] == 0x7f)
			return false;
	return len <= SMTP_DOMAIN_MAX;
}

/*
 * A second greeting is a RSET with a new name (RFC 5321 4.1.4). smtpd answers
 * it with 503, but clients that try EHLO again after a failure, and all of
 * them after STARTTLS, are entitled to it.
 */
static bool greet(struct session *s, const char *arg, size_t len, bool extended)
{
	if (!is_name(arg, len)) {
		session_reply_syntax(s, command_find(extended ? "EHLO" : "HELO", 4), NULL);
		return false;
	}
	session_end_transaction(s, false);
	envelope_set(&s->env.helo, arg, len);
	s->extended = extended;
	s->state = COMMAND_GREETED;
	return true;
}

void verb_helo(struct session *s, const char *arg, size_t len)
{
	if (greet(s, arg, len, false))
		session_reply(s, 250, NULL, "%s", s->cfg->hostname);
}

void verb_ehlo(struct session *s, const char *arg, size_t len)
{
	struct buf text;

	if (!greet(s, arg, len, true))
		return;
	buf_init(&text, SMTP_REPLY_TEXT_MAX - 1);
	buf_adds(&text, s->cfg->hostname);
	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
		if (!extensions[i].offered(s))
			continue;
		buf_addf(&text, "\n%s", extensions[i].keyword);
		if (extensions[i].parameters)
			extensions[i].parameters(s, &text);
	}
	session_reply(s, 250, NULL, "%s", text.data);
	buf_release(&text);
	s->in.line_max = !s->env.auth_user && auth_is_offered(s) ? INPUT_AUTH_LINE_MAX : INPUT_LINE_MAX;
}
