/* SPDX-License-Identifier: ISC */
/* See outcome.h. */
#include "upstream/outcome.h"

#include "base/assert.h"

#define ANY 0, 999
#define TRANSACTION UPSTREAM_MAIL, UPSTREAM_FINAL_DOT
#define SESSION UPSTREAM_RESOLVE, UPSTREAM_AUTH
#define ALL UPSTREAM_RESOLVE, UPSTREAM_IDLE

const struct outcome_rule outcome_rules[] = {
	{ UPSTREAM_ANSWERED,
	  UPSTREAM_FINAL_DOT,
	  UPSTREAM_FINAL_DOT,
	  200,
	  299,
	  { VERDICT_DELIVERED, false },
	  "a positive answer to the end of data hands over responsibility (RFC 5321 4.2.5)" },
	{ UPSTREAM_ANSWERED,
	  SESSION,
	  ANY,
	  { VERDICT_UNTOUCHED, true },
	  "greeting, EHLO, STARTTLS and AUTH say nothing about a message" },
	{ UPSTREAM_ANSWERED,
	  TRANSACTION,
	  530,
	  530,
	  { VERDICT_DEFERRED, true },
	  "authentication or STARTTLS required (RFC 4954 6): our configuration is wrong, not the mail" },
	{ UPSTREAM_ANSWERED,
	  TRANSACTION,
	  534,
	  538,
	  { VERDICT_DEFERRED, true },
	  "authentication trouble (RFC 4954 6): our configuration is wrong, not the mail" },
	{ UPSTREAM_ANSWERED,
	  TRANSACTION,
	  500,
	  599,
	  { VERDICT_FAILED, false },
	  "a permanent answer to MAIL, RCPT, DATA or the end of data (RFC 5321 4.2.1)" },
	{ UPSTREAM_ANSWERED,
	  TRANSACTION,
	  400,
	  499,
	  { VERDICT_DEFERRED, false },
	  "a temporary answer (RFC 5321 4.2.1)" },
	{ UPSTREAM_ANSWERED,
	  ALL,
	  ANY,
	  { VERDICT_DEFERRED, true },
	  "an answer that makes no sense here: the upstream is not well" },
	{ UPSTREAM_NO_ANSWER, SESSION, ANY, { VERDICT_UNTOUCHED, true }, "no session came about" },
	{ UPSTREAM_NO_ANSWER,
	  UPSTREAM_MAIL,
	  UPSTREAM_CONTENT,
	  ANY,
	  { VERDICT_DEFERRED, false },
	  "the connection ended before the final dot: the upstream must not deliver (RFC 5321 4.1.1.4)" },
	{ UPSTREAM_NO_ANSWER,
	  UPSTREAM_FINAL_DOT,
	  UPSTREAM_FINAL_DOT,
	  ANY,
	  { VERDICT_UNCERTAIN, false },
	  "the message went out whole and no answer came: it may have been delivered" },
	{ UPSTREAM_NO_ANSWER, ALL, ANY, { VERDICT_UNTOUCHED, false }, "an idle connection ended" },
	{ UPSTREAM_UNSUPPORTED,
	  ALL,
	  400,
	  499,
	  { VERDICT_DEFERRED, false },
	  "this address cannot take the message, and another of the upstream may (RFC 8689 4.2.1)" },
	{ UPSTREAM_UNSUPPORTED,
	  ALL,
	  ANY,
	  { VERDICT_FAILED, false },
	  "this upstream cannot take the message: size, 8-bit content, UTF-8 addresses, REQUIRETLS (RFC "
	  "1870, 6152, 6531, 8689)" },
	{ UPSTREAM_SOURCE_FAILED,
	  ALL,
	  ANY,
	  { VERDICT_DEFERRED, false },
	  "our own disk did not give the content" },
	{ UPSTREAM_NOT_STARTED,
	  ALL,
	  ANY,
	  { VERDICT_UNTOUCHED, false },
	  "the connection ended before this message was begun" },
};
const unsigned outcome_rule_count = sizeof(outcome_rules) / sizeof(*outcome_rules);

struct decision outcome_decide(const struct upstream_outcome *outcome)
{
	for (unsigned i = 0; i < outcome_rule_count; i++) {
		const struct outcome_rule *r = &outcome_rules[i];

		if (outcome->how == r->how && outcome->phase >= r->first && outcome->phase <= r->last &&
		    outcome->reply.code >= r->code_first && outcome->reply.code <= r->code_last)
			return r->decision;
	}
	ASSERT(false); /* every outcome has a rule: the test walks them all */
	return (struct decision){ VERDICT_DEFERRED, true };
}
