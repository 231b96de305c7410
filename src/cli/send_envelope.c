/* SPDX-License-Identifier: ISC */
/* See send_envelope.h. */
#include "cli/send_envelope.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"
#include "smtp/deliver_by.h"
#include "smtp/extension.h"
#include "smtp/xtext.h"

enum {
	OPT_RET = ARGS_LONG_ONLY + 200, /* this segment has the keys up to ARGS_LONG_ONLY + 299 */
	OPT_ENVID,
	OPT_NOTIFY,
	OPT_ORCPT,
	OPT_SIZE,
	OPT_BODY_TYPE,
	OPT_SMTPUTF8,
	OPT_DELIVER_BY,
	OPT_REQUIRETLS,
	OPT_MAIL_OPTION,
	OPT_RCPT_OPTION
};

const struct args_option send_envelope_options[] = {
	{ "ret", OPT_RET, "PART", "a report returns the full message, or hdrs (DSN)" },
	{ "envid", OPT_ENVID, "ID", "what a report calls the message (DSN)" },
	{ "notify", OPT_NOTIFY, "EVENTS", "never, or of success,failure,delay (DSN)" },
	{ "orcpt", OPT_ORCPT, "ADDRESS", "who the recipient was at first (DSN)" },
	{ "size", OPT_SIZE, "OCTETS", "say this size, not the true one" },
	{ "body-type", OPT_BODY_TYPE, "BODY", "7bit, 8bitmime or binarymime, instead of by content" },
	{ "smtputf8", OPT_SMTPUTF8, NULL, "demand SMTPUTF8, also for ASCII addresses" },
	{ "deliver-by", OPT_DELIVER_BY, "BY", "SECONDS;R or ;N, and T to trace it (DELIVERBY)" },
	{ "requiretls", OPT_REQUIRETLS, NULL, "only over verified TLS, all the way (REQUIRETLS)" },
	{ "mail-option", OPT_MAIL_OPTION, "WORD", "another option of MAIL, as it is; repeatable" },
	{ "rcpt-option", OPT_RCPT_OPTION, "WORD", "another option of every RCPT; repeatable" },
	ARGS_OPTIONS_END,
};

#define NEEDS(name) SMTP_EXTENSION_BIT(SMTP_##name)

void send_envelope_init(struct send_envelope *e)
{
	*e = (struct send_envelope){ 0 };
	buf_init(&e->mail, UPSTREAM_MORE_MAX);
	buf_init(&e->rcpt, UPSTREAM_MORE_MAX);
}

void send_envelope_release(struct send_envelope *e)
{
	free(e->envid);
	free(e->orcpt);
	buf_release(&e->mail);
	buf_release(&e->rcpt);
}

/* ---- values; each returns NULL, or what was expected ------------------------------- */

static const char *take_ret(struct send_envelope *e, const char *value)
{
	e->ret = strcasecmp(value, "full") == 0   ? RET_FULL
		 : strcasecmp(value, "hdrs") == 0 ? RET_HDRS
						  : RET_UNSET;
	e->more.needs |= NEEDS(DSN);
	return e->ret == RET_UNSET ? "expected full or hdrs" : NULL;
}

static const char *take_envid(struct send_envelope *e, const char *value)
{
	free(e->envid);
	e->envid = xtext_encode(value);
	e->more.needs |= NEEDS(DSN);
	return xtext_is_envid(e->envid, strlen(e->envid)) ? NULL
							  : "expected up to 100 printable ASCII characters";
}

static unsigned notify_flag(const char *word)
{
	for (size_t i = 0; i < ENVELOPE_NOTIFY_COUNT; i++)
		if (strcasecmp(word, envelope_notify_names[i].name) == 0)
			return envelope_notify_names[i].flag;
	return 0;
}

static const char *take_notify(struct send_envelope *e, const char *value)
{
	char *copy = mem_strdup(value), *rest = copy, *word;
	bool good = true;

	e->notify = 0;
	while ((word = strsep(&rest, ","))) {
		unsigned flag = notify_flag(word);

		good = good && flag != 0;
		e->notify |= flag;
	}
	free(copy);
	e->more.needs |= NEEDS(DSN);
	/* RFC 3461 4.1: NEVER stands alone */
	if ((e->notify & ENVELOPE_NOTIFY_NEVER) && e->notify != ENVELOPE_NOTIFY_NEVER)
		good = false;
	return good ? NULL : "expected never, or a list of success, failure, delay";
}

/* "ADDRESS" is rfc822's; "TYPE;ADDRESS" says which it is. */
static const char *take_orcpt(struct send_envelope *e, const char *value)
{
	const char *semicolon = strchr(value, ';'), *address = semicolon ? semicolon + 1 : value;
	char *text = xtext_encode(address);

	free(e->orcpt);
	e->orcpt = semicolon ? mem_printf("%.*s;%s", (int)(semicolon - value), value, text)
			     : mem_printf("rfc822;%s", text);
	free(text);
	e->more.needs |= NEEDS(DSN);
	return address[0] && xtext_is_orcpt(e->orcpt, strlen(e->orcpt), false) ? NULL
									       : "expected an ASCII address";
}

static const char *take_size(struct send_envelope *e, const char *value)
{
	e->more.needs |= NEEDS(SIZE);
	return num_parse_u64(value, strlen(value), UINT64_MAX, &e->more.size_bytes) && e->more.size_bytes > 0
		       ? NULL
		       : "expected a number of octets";
}

static const char *take_body_type(struct send_envelope *e, const char *value)
{
	for (unsigned i = 0; i < ENVELOPE_BODY_COUNT; i++) {
		if (strcasecmp(value, envelope_body_names[i]) != 0)
			continue;
		e->body = (enum envelope_body)i;
		e->has_body = true;
		if (e->body != BODY_7BIT)
			e->more.needs |= e->body == BODY_8BITMIME ? NEEDS(8BITMIME)
								  : NEEDS(BINARYMIME) | NEEDS(CHUNKING);
		return NULL;
	}
	return "expected 7bit, 8bitmime or binarymime";
}

static const char *take_deliver_by(struct send_envelope *e, const char *value)
{
	struct deliver_by by;
	const char *why;

	e->deliver_by = value;
	e->more.needs |= NEEDS(DELIVERBY);
	return deliver_by_parse(value, strlen(value), clock_wall_us(), &by, &why) == 0 ? NULL : why;
}

/* Those that have an option of their own: the word said twice would be an error to the server. */
static bool has_own_option(const char *word)
{
	static const char *const words[] = { "SIZE", "BODY",       "SMTPUTF8", "RET",  "ENVID",
					     "BY",   "REQUIRETLS", "NOTIFY",   "ORCPT" };
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (len == strlen(words[i]) && strncasecmp(word, words[i], len) == 0)
			return true;
	return false;
}

/* One more word; anything that could not be an esmtp-param (RFC 5321 4.1.2) is none. */
static const char *add_option(struct buf *list, const char *value)
{
	if (value[0] == '\0' || strchr(value, ' ') || !text_is_printable_ascii(value))
		return "expected one word of printable ASCII";
	if (has_own_option(value))
		return "there is an option of its own for it, or it is said by itself";
	if ((list->len > 0 && !buf_addc(list, ' ')) || !buf_adds(list, value))
		return "all of them together are too long";
	return NULL;
}

static const char *take(struct send_envelope *e, int key, const char *value)
{
	switch (key) {
	case OPT_RET:
		return take_ret(e, value);
	case OPT_ENVID:
		return take_envid(e, value);
	case OPT_NOTIFY:
		return take_notify(e, value);
	case OPT_ORCPT:
		return take_orcpt(e, value);
	case OPT_SIZE:
		return take_size(e, value);
	case OPT_BODY_TYPE:
		return take_body_type(e, value);
	case OPT_SMTPUTF8:
		e->smtputf8 = true;
		e->more.needs |= NEEDS(SMTPUTF8);
		return NULL;
	case OPT_DELIVER_BY:
		return take_deliver_by(e, value);
	case OPT_REQUIRETLS:
		e->requiretls = true;
		e->more.needs |= NEEDS(REQUIRETLS);
		return NULL;
	case OPT_MAIL_OPTION:
		return add_option(&e->mail, value);
	case OPT_RCPT_OPTION:
		return add_option(&e->rcpt, value);
	}
	assert_failed("an option without a meaning", __FILE__, __LINE__);
}

bool send_envelope_take(struct send_envelope *e, struct cli *cli, int key, const char *value,
			enum cli_status *status)
{
	const char *why;

	*status = CLI_DONE;
	if (key < OPT_RET || key > OPT_RCPT_OPTION)
		return false;
	why = take(e, key, value);
	if (why)
		*status = cli_usage_error(cli, "--%s %s: %s", send_envelope_options[key - OPT_RET].name,
					  value, why);
	return true;
}

/* ---- to a message ---------------------------------------------------------------------- */

void send_envelope_settle(struct send_envelope *e)
{
	e->more.mail = e->mail.len > 0 ? e->mail.data : NULL;
	e->more.rcpt = e->rcpt.len > 0 ? e->rcpt.data : NULL;
}

static void apply_to_recipient(const struct send_envelope *e, struct envelope_rcpt *rcpt)
{
	if (e->notify)
		rcpt->notify = e->notify;
	if (e->orcpt)
		envelope_set(&rcpt->orcpt, e->orcpt, strlen(e->orcpt));
}

enum cli_status send_envelope_apply(const struct send_envelope *e, const struct cli *cli,
				    struct envelope *env, bool has_eightbit)
{
	const char *why;

	if (e->orcpt && env->rcpt_count > 1)
		return cli_usage_error(cli, "--orcpt is of one recipient, and the message has %zu",
				       env->rcpt_count);
	if (e->has_body && e->body == BODY_7BIT && has_eightbit)
		return cli_usage_error(cli, "--body-type 7bit: the message has octets beyond that");
	if (e->ret != RET_UNSET)
		env->ret = e->ret;
	if (e->envid)
		envelope_set(&env->envid, e->envid, strlen(e->envid));
	if (e->has_body)
		env->body = e->body;
	if (e->deliver_by &&
	    deliver_by_parse(e->deliver_by, strlen(e->deliver_by), clock_wall_us(), &env->by, &why) < 0)
		return cli_usage_error(cli, "--deliver-by %s: %s", e->deliver_by, why);
	env->requiretls |= e->requiretls;
	env->smtputf8 |= e->smtputf8;
	for (size_t i = 0; i < env->rcpt_count; i++)
		apply_to_recipient(e, &env->rcpt[i]);
	return CLI_DONE;
}
