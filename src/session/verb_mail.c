/* SPDX-License-Identifier: ISC */
/*
 * MAIL (RFC 5321 4.1.1.2) and its parameters: SIZE (RFC 1870), BODY (RFC 6152, 3030), SMTPUTF8 (RFC 6531), BY
 * (RFC 2852), and those of dsn.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "session/dsn.h"
#include "session/path_argument.h"
#include "session/session_internal.h"
#include "smtp/xtext.h"

/* Each takes one parameter into the envelope, or replies and returns false. */

static bool take_size(struct session *s, const struct smtp_param *p)
{
	uint64_t limit = session_size_limit(s), size;

	/* RFC 1870 6.1: 1*20DIGIT */
	if (!p->value || p->value_len > 20 || strspn(p->value, "0123456789") < p->value_len) {
		session_reply_syntax(s, command_find("MAIL", 4), "SIZE takes a number");
		return false;
	}
	if (!num_parse_u64(p->value, p->value_len, UINT64_MAX, &size) || (limit > 0 && size > limit)) {
		session_reply(s, 552, "5.3.4", "Error: message size exceeds fixed maximum message size");
		return false;
	}
	s->env.declared_size_bytes = size;
	return true;
}

static bool take_body(struct session *s, const struct smtp_param *p)
{
	bool eightbit = session_offers(s, SMTP_8BITMIME), binary = session_offers(s, SMTP_BINARYMIME);

	if (eightbit && smtp_param_value_is(p, "8BITMIME")) {
		s->env.body = BODY_8BITMIME;
	} else if (binary && smtp_param_value_is(p, "BINARYMIME")) { /* RFC 3030 3 */
		s->env.body = BODY_BINARYMIME;
	} else if (!smtp_param_value_is(p, "7BIT")) {
		session_reply(s, 501, "5.5.4", "Error: BODY can only be one of 7BIT%s%s",
			      eightbit ? ", 8BITMIME" : "", binary ? ", BINARYMIME" : "");
		return false;
	}
	return true;
}

static bool take_smtputf8(struct session *s, const struct smtp_param *p)
{
	if (p->value) {
		session_reply(s, 501, "5.5.4", "Error: SMTPUTF8 takes no arguments");
		return false;
	}
	s->env.smtputf8 = true;
	return true;
}

/*
 * RFC 4954 5: who the message came from in the eyes of the client. It is checked and not kept: nobody behind
 * us has a reason to believe it.
 */
static bool take_auth(struct session *s, const struct smtp_param *p)
{
	char address[XTEXT_ORCPT_MAX]; /* as long as RFC 4954 allows, too */

	/* "<>" is xtext as well */
	if (p->value && xtext_decode(p->value, p->value_len, address, sizeof(address)) > 0)
		return true;
	session_reply_syntax(s, command_find("MAIL", 4), "AUTH takes an address as xtext, or <>");
	return false;
}

/* RFC 8689 2 */
static bool take_requiretls(struct session *s, const struct smtp_param *p)
{
	if (p->value) {
		session_reply(s, 501, "5.5.4", "Error: REQUIRETLS takes no arguments");
		return false;
	}
	s->env.requiretls = true;
	return true;
}

/* RFC 2852 4 */
static bool take_by(struct session *s, const struct smtp_param *p)
{
	int64_t now = clock_wall_us();
	const char *why = "BY takes a time and a mode";

	if (!p->value || deliver_by_parse(p->value, p->value_len, now, &s->env.by, &why) < 0) {
		session_reply_syntax(s, command_find("MAIL", 4), why);
		return false;
	}
	/* only who would rather have it back than late is told beforehand that it will be late */
	if (s->env.by.mode == DELIVER_BY_RETURN &&
	    deliver_by_seconds(&s->env.by, now) < s->cfg->deliver_by_minimum_ms / 1000) {
		session_reply(s, 550, "5.4.7",
			      "Error: %" PRId64 " seconds are the shortest time to deliver by",
			      s->cfg->deliver_by_minimum_ms / 1000);
		return false;
	}
	return true;
}

static const struct {
	const char *keyword;
	enum smtp_extension extension;
	bool (*take)(struct session *s, const struct smtp_param *p);
} known[] = {
	{ "SIZE", SMTP_SIZE, take_size },       { "BODY", SMTP_8BITMIME, take_body },
	{ "BODY", SMTP_BINARYMIME, take_body }, { "SMTPUTF8", SMTP_SMTPUTF8, take_smtputf8 },
	{ "AUTH", SMTP_AUTH, take_auth },       { "REQUIRETLS", SMTP_REQUIRETLS, take_requiretls },
	{ "RET", SMTP_DSN, dsn_take_ret },      { "ENVID", SMTP_DSN, dsn_take_envid },
	{ "BY", SMTP_DELIVERBY, take_by },
};

static bool take_parameter(struct session *s, const struct smtp_param *p)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (smtp_param_is(p, known[i].keyword) && session_offers(s, known[i].extension))
			return known[i].take(s, p);
	session_reply(s, 555, "5.5.4", "MAIL FROM parameters not recognized or not implemented");
	return false;
}

/* RFC 3848, and RFC 6531 4.3: "ESMTPSA" is one with TLS and AUTH. */
static void set_protocol(struct session *s)
{
	const struct session_tls *tls = session_tls(s);
	char name[16];

	snprintf(name, sizeof(name), "%s%s%s",
		 s->env.smtputf8 ? "UTF8SMTP"
		 : s->extended   ? "ESMTP"
				 : "SMTP",
		 s->extended && tls ? "S" : "", s->env.auth_user ? "A" : "");
	envelope_set(&s->env.protocol, name, strlen(name));
	if (tls && tls->cipher)
		envelope_set(&s->env.tls_cipher, tls->cipher, strlen(tls->cipher));
}

/* Path and parameters into the envelope; false when it was refused. */
static bool take_sender(struct session *s, const char *arg, size_t len)
{
	struct path_argument mail;

	if (!path_argument_read(s, "MAIL", "FROM:", arg, len, SMTP_PATH_NULL_OK, &mail))
		return false;
	for (size_t i = 0; i < mail.params.count; i++)
		if (!take_parameter(s, &mail.params.item[i]))
			return false;
	if (mail.path.needs_smtputf8 && !s->env.smtputf8) {
		session_reply(s, 553, "5.6.7", "Error: a non-ASCII address needs SMTPUTF8");
		return false;
	}
	envelope_set(&s->env.sender, mail.path.address, strlen(mail.path.address));
	s->env.mail_options = smtp_params_text(&mail.params);
	set_protocol(s);
	s->env.arrived_wall_us = clock_wall_us();
	return true;
}

static bool policy_passes(struct session *s)
{
	struct session_client client = session_client(s);
	struct session_policy *policy = s->cfg->policy;
	struct smtp_reply reply = { .code = 0 };

	return !policy ||
	       session_policy_passes(s, policy->ops->mail(policy, &client, &s->env, &reply), &reply);
}

void verb_mail(struct session *s, const char *arg, size_t len)
{
	struct smtp_reply reply = { .code = 0 };
	enum handler_verdict verdict;

	if (s->cfg->max_transactions > 0 && s->messages >= s->cfg->max_transactions) {
		session_reply(s, 421, "4.7.0", "%s Error: too many messages in one session",
			      s->cfg->hostname);
		return;
	}
	if (s->cfg->auth == SESSION_AUTH_REQUIRED && !s->env.auth_user) {
		session_reply(s, 530, "5.7.0", "Authentication required");
		return;
	}
	if (!take_sender(s, arg, len) || !policy_passes(s)) {
		envelope_reset(&s->env);
		return;
	}
	s->env.stays_here = s->handler->ops->facts->relays && !session_may_relay(s);
	session_begin_transaction(s);
	verdict = s->handler->ops->mail(s->handler, &s->env, &reply);
	if (!session_send_verdict(s, verdict, &reply, "2.1.0", "OK"))
		session_end_transaction(s, false);
}
