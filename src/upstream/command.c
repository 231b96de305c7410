/* SPDX-License-Identifier: ISC */
/* See command.h. */
#include "upstream/command.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"
#include "smtp/extension.h"
#include "smtp/xtext.h"

static const char *rcpt_address(const struct upstream_txn *t, size_t i)
{
	ASSERT(t->rcpt[i] < t->env->rcpt_count);
	return t->env->rcpt[t->rcpt[i]].address;
}

/* One octet below ' ' in an address could end the command and begin another. */
static bool is_writable(const char *address)
{
	size_t len = strlen(address);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)address[i] < ' ' || address[i] == 0x7f)
			return false;
	return len <= COMMAND_ADDRESS_MAX;
}

static bool addresses_are(bool (*test)(const char *address), const struct upstream_txn *t)
{
	if (!test(t->env->sender))
		return false;
	for (size_t i = 0; i < t->rcpt_count; i++)
		if (!test(rcpt_address(t, i)))
			return false;
	return true;
}

/* A report rather goes without than not at all (RFC 8689 5): its content is a header at most. */
static bool needs_requiretls(const struct upstream_txn *t)
{
	return t->env->requiretls && t->env->sender[0];
}

static bool is_binary(const struct upstream_txn *t)
{
	return t->env->body == BODY_BINARYMIME;
}

static bool can_binary(const struct upstream_features *f, const struct upstream_settings *settings)
{
	return f->chunking && f->binarymime && settings->chunking != UPSTREAM_CHUNKING_NEVER;
}

/* RFC 5321 2.2.1: what was not announced is not used. *reply is worded for the first that is missing. */
static bool has_all(const struct upstream_features *f, const struct upstream_more *more,
		    struct smtp_reply *reply)
{
	for (unsigned x = 0; x < SMTP_EXTENSION_COUNT; x++) {
		if (!(more->needs & ~f->announced & SMTP_EXTENSION_BIT(x)))
			continue;
		smtp_reply_set(reply, 550, "5.7.0", "The server offers no %s", smtp_extension_names[x]);
		return false;
	}
	if (f->esmtp || (!more->mail && !more->rcpt))
		return true;
	smtp_reply_set(reply, 550, "5.7.0", "The server knows HELO only, and no options of MAIL and RCPT");
	return false;
}

/*
 * RFC 2852 4.1: with R only who promises to keep the time may get it, and it must still be there; with N
 * anybody may. LMTP delivers, so nothing is left to be promised.
 */
static bool keeps_time(const struct upstream_features *f, const struct upstream_settings *settings,
		       const struct deliver_by *by, struct smtp_reply *reply)
{
	int64_t left;

	if (by->mode != DELIVER_BY_RETURN)
		return true;
	left = deliver_by_seconds(by, clock_wall_us());
	if (left <= 0)
		smtp_reply_set(reply, 550, "5.4.7", "The time by which it was to be delivered is over");
	else if (!f->deliverby && !settings->lmtp)
		smtp_reply_set(
			reply, 550, "5.3.3",
			"It is to be delivered in time or returned, and the server offers no DELIVERBY");
	else if (f->deliverby && left < (int64_t)f->deliverby_min_s)
		smtp_reply_set(reply, 550, "5.4.7",
			       "It is to be delivered within %lld s, the server promises %llu at best",
			       (long long)left, (unsigned long long)f->deliverby_min_s);
	else
		return true;
	return false;
}

bool command_can_take(const struct upstream_features *f, const struct upstream_settings *settings,
		      const struct upstream_txn *t, struct smtp_reply *reply)
{
	ASSERT(t->env->sender && t->rcpt_count > 0);
	if (!addresses_are(is_writable, t)) {
		smtp_reply_set(reply, 553, "5.1.3", "An address is too long or holds control characters");
		return false;
	}
	if (t->more && !has_all(f, t->more, reply))
		return false;
	if (f->size_limit_bytes > 0 && t->content_bytes > f->size_limit_bytes) {
		smtp_reply_set(reply, 552, "5.3.4",
			       "The message has %llu bytes, the server takes at most %llu",
			       (unsigned long long)t->content_bytes, (unsigned long long)f->size_limit_bytes);
		return false;
	}
	if (is_binary(t) && !can_binary(f, settings)) {
		/* RFC 3030 3: it is to be returned, as nobody here converts it */
		smtp_reply_set(reply, 554, "5.6.3", "The message is BINARYMIME, and %s",
			       f->chunking && f->binarymime ? "chunking = never does not let it go"
							    : "the server does not take that");
		return false;
	}
	if (!is_binary(t) && t->has_eightbit && !f->eightbitmime &&
	    settings->eightbit == UPSTREAM_EIGHTBIT_STRICT) {
		smtp_reply_set(reply, 554, "5.6.3",
			       "The message has 8-bit content and the server offers no 8BITMIME");
		return false;
	}
	if (!keeps_time(f, settings, &t->env->by, reply))
		return false;
	if (needs_requiretls(t) && !upstream_can_requiretls(f)) {
		/* RFC 8689 4.2.1 */
		smtp_reply_set(reply, 550, "5.7.30", "REQUIRETLS support required: %s",
			       f->requiretls ? "the session is not encrypted with a server that was verified"
					     : "the server does not announce it");
		return false;
	}
	if (!f->smtputf8 && !addresses_are(text_is_ascii, t)) {
		smtp_reply_set(reply, 550, "5.6.7",
			       "An address is not ASCII and the server offers no SMTPUTF8");
		return false;
	}
	return true;
}

/* What is left of the time at this moment; a second may have gone since it was found to be enough. */
static int put_by(char *out, size_t room, const struct deliver_by *by)
{
	struct deliver_by at_least = *by;
	int64_t now_us = clock_wall_us();
	char text[DELIVER_BY_TEXT_MAX];

	if (by->mode == DELIVER_BY_RETURN && deliver_by_seconds(by, now_us) < 1)
		at_least.wall_us = now_us + 1000000;
	return snprintf(out, room, " BY=%s", deliver_by_format(&at_least, now_us, text));
}

/* Only what needs it is marked: the mark may make a hop behind the upstream bounce it (RFC 6531 3.2). */
static bool says_smtputf8(const struct upstream_features *f, const struct upstream_txn *t)
{
	return f->smtputf8 && ((t->env->smtputf8 && t->has_eightbit) || !addresses_are(text_is_ascii, t) ||
			       (t->more && t->more->needs & SMTP_EXTENSION_BIT(SMTP_SMTPUTF8)));
}

/* Behind what stands in out; returns what it added. */
static int add_more(char out[COMMAND_MAX], int at, const char *more)
{
	if (!more)
		return 0;
	ASSERT(strlen(more) <= UPSTREAM_MORE_MAX && text_is_printable_ascii(more));
	return snprintf(out + at, COMMAND_MAX - (size_t)at, " %s", more);
}

size_t command_mail(char out[COMMAND_MAX], const struct upstream_features *f, const struct upstream_txn *t)
{
	char size[32] = "";
	bool eightbit = f->eightbitmime && (t->has_eightbit || t->env->body == BODY_8BITMIME);
	uint64_t bytes = t->more && t->more->size_bytes ? t->more->size_bytes : t->content_bytes;
	int n;

	ASSERT(is_writable(t->env->sender));
	if (f->size && bytes > 0) /* 0: not known yet (the handler proxy) */
		snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)bytes);
	n = snprintf(out, COMMAND_MAX, "MAIL FROM:<%s>%s%s%s%s", t->env->sender, size,
		     is_binary(t) ? " BODY=BINARYMIME"
		     : eightbit   ? " BODY=8BITMIME"
				  : "",
		     says_smtputf8(f, t) ? " SMTPUTF8" : "",
		     t->env->requiretls && upstream_can_requiretls(f) ? " REQUIRETLS" : "");
	if (f->deliverby && t->env->by.mode != DELIVER_BY_NONE)
		n += put_by(out + n, COMMAND_MAX - (size_t)n, &t->env->by);
	if (f->dsn && t->env->ret != RET_UNSET)
		n += snprintf(out + n, COMMAND_MAX - (size_t)n, " RET=%s",
			      t->env->ret == RET_FULL ? "FULL" : "HDRS");
	/* the spool may hold one that did not come through our session */
	if (f->dsn && t->env->envid && xtext_is_envid(t->env->envid, strlen(t->env->envid)))
		n += snprintf(out + n, COMMAND_MAX - (size_t)n, " ENVID=%s", t->env->envid);
	n += add_more(out, n, t->more ? t->more->mail : NULL);
	ASSERT(n > 0 && n < COMMAND_MAX - 2);
	return (size_t)n;
}

/* RFC 3461 4.1; NULL when it was not said */
static const char *notify_text(unsigned notify)
{
	static const char *const lists[] = {
		"SUCCESS",       "FAILURE",       "SUCCESS,FAILURE",      "DELAY",
		"SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"
	};
	unsigned list = notify >> 1 & 7; /* SUCCESS 1, FAILURE 2, DELAY 4 */

	_Static_assert(ENVELOPE_NOTIFY_SUCCESS == 2 && ENVELOPE_NOTIFY_FAILURE == 4 &&
			       ENVELOPE_NOTIFY_DELAY == 8,
		       "the order of the lists");
	if (notify & ENVELOPE_NOTIFY_NEVER)
		return "NEVER";
	return list > 0 ? lists[list - 1] : NULL;
}

/* MAIL said SMTPUTF8: as says_smtputf8, without a look at the other recipients, who may be many. */
static bool may_hold_utf8(const struct upstream_features *f, const struct upstream_txn *t,
			  const struct envelope_rcpt *rcpt)
{
	return f->smtputf8 && ((t->env->smtputf8 && t->has_eightbit) || !text_is_ascii(t->env->sender) ||
			       !text_is_ascii(rcpt->address));
}

size_t command_rcpt(char out[COMMAND_MAX], const struct upstream_features *f, const struct upstream_txn *t,
		    size_t i)
{
	const struct envelope_rcpt *rcpt = &t->env->rcpt[t->rcpt[i]];
	const char *notify = notify_text(rcpt->notify);
	int n;

	ASSERT(i < t->rcpt_count && is_writable(rcpt_address(t, i)));
	n = snprintf(out, COMMAND_MAX, "RCPT TO:<%s>", rcpt_address(t, i));
	if (f->dsn && notify)
		n += snprintf(out + n, COMMAND_MAX - (size_t)n, " NOTIFY=%s", notify);
	/* as it came (RFC 3461 5.2.1); none is made up where there was none */
	if (f->dsn && rcpt->orcpt &&
	    xtext_is_orcpt(rcpt->orcpt, strlen(rcpt->orcpt), may_hold_utf8(f, t, rcpt)))
		n += snprintf(out + n, COMMAND_MAX - (size_t)n, " ORCPT=%s", rcpt->orcpt);
	n += add_more(out, n, t->more ? t->more->rcpt : NULL);
	ASSERT(n > 0 && n < COMMAND_MAX - 2);
	return (size_t)n;
}
