/* SPDX-License-Identifier: ISC */
/* See dsn.h. */
#include "session/dsn.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "session/session_internal.h"
#include "smtp/xtext.h"

static bool refuse(struct session *s, const char *what)
{
	session_reply(s, 501, "5.5.4", "Error: %s", what);
	return false;
}

/* RFC 3461 4.3 */
bool dsn_take_ret(struct session *s, const struct smtp_param *p)
{
	if (smtp_param_value_is(p, "FULL"))
		s->env.ret = RET_FULL;
	else if (smtp_param_value_is(p, "HDRS"))
		s->env.ret = RET_HDRS;
	else
		return refuse(s, "RET can only be one of FULL, HDRS");
	return true;
}

/* RFC 3461 4.4 */
bool dsn_take_envid(struct session *s, const struct smtp_param *p)
{
	if (!p->value || !xtext_is_envid(p->value, p->value_len))
		return refuse(s, "ENVID takes xtext of at most 100 printable characters");
	envelope_set(&s->env.envid, p->value, p->value_len);
	return true;
}

static bool is_word(const char *word, const char *text, size_t len)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* RFC 3461 4.1: "NEVER" / 1#notify-list-element, NEVER alone */
static bool parse_notify(const char *value, size_t len, unsigned *notify)
{
	const char *end = value + len;

	*notify = 0;
	for (;;) {
		const char *comma = memchr(value, ',', (size_t)(end - value));
		size_t n = (size_t)((comma ? comma : end) - value), i = 0;

		while (i < ENVELOPE_NOTIFY_COUNT && !is_word(envelope_notify_names[i].name, value, n))
			i++;
		if (i == ENVELOPE_NOTIFY_COUNT)
			return false;
		*notify |= envelope_notify_names[i].flag;
		if (!comma)
			break;
		value = comma + 1;
	}
	return *notify == ENVELOPE_NOTIFY_NEVER || !(*notify & ENVELOPE_NOTIFY_NEVER);
}

static bool take_notify(struct session *s, const struct smtp_param *p, struct envelope_rcpt *rcpt)
{
	if (!p->value || !parse_notify(p->value, p->value_len, &rcpt->notify))
		return refuse(s, "NOTIFY can only be NEVER, or some of SUCCESS, FAILURE, DELAY");
	return true;
}

/* RFC 3461 4.2, RFC 6533 3 */
static bool take_orcpt(struct session *s, const struct smtp_param *p, struct envelope_rcpt *rcpt)
{
	if (!p->value || !xtext_is_orcpt(p->value, p->value_len, s->env.smtputf8))
		return refuse(s, "ORCPT takes a type, a semicolon and an address in xtext");
	envelope_set(&rcpt->orcpt, p->value, p->value_len);
	return true;
}

static const struct {
	const char *keyword;
	bool (*take)(struct session *s, const struct smtp_param *p, struct envelope_rcpt *rcpt);
} known[] = {
	{ "NOTIFY", take_notify },
	{ "ORCPT", take_orcpt },
};

static bool take_rcpt_parameter(struct session *s, const struct smtp_param *p, struct envelope_rcpt *rcpt)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known) && session_offers(s, SMTP_DSN); i++)
		if (smtp_param_is(p, known[i].keyword))
			return known[i].take(s, p, rcpt);
	session_reply(s, 555, "5.5.4", "RCPT TO parameters not recognized or not implemented");
	return false;
}

bool dsn_take_rcpt(struct session *s, const struct smtp_params *params, struct envelope_rcpt *rcpt)
{
	for (size_t i = 0; i < params->count; i++)
		if (!take_rcpt_parameter(s, &params->item[i], rcpt))
			return false;
	return true;
}

void dsn_merge(struct envelope_rcpt *rcpt, struct envelope_rcpt *again)
{
	rcpt->notify = envelope_notify_merge(rcpt->notify, again->notify);
	if (!rcpt->orcpt) {
		rcpt->orcpt = again->orcpt;
		again->orcpt = NULL;
	}
}
