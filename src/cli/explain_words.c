/* SPDX-License-Identifier: ISC */
/* See explain_words.h. */
#include "cli/explain_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/outcome.h"

/* ---- replies --------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

void reply_codes_read(const char *reply, struct reply_codes *out)
{
	unsigned cls, subject, detail;
	int used = 0;

	memset(out, 0, sizeof(*out));
	if (!(reply[0] >= '2' && reply[0] <= '5' && is_digit(reply[1]) && is_digit(reply[2]) &&
	      (reply[3] == ' ' || reply[3] == '\0')))
		return;
	out->code = (reply[0] - '0') * 100 + (reply[1] - '0') * 10 + (reply[2] - '0');
	/* class "." subject "." detail, of one and up to three digits (RFC 3463 2) */
	if (reply[3] == '\0' || sscanf(reply + 4, "%1u.%3u.%3u%n", &cls, &subject, &detail, &used) != 3 ||
	    (reply[4 + used] != ' ' && reply[4 + used] != '\0'))
		return;
	if (cls != 2 && cls != 4 && cls != 5)
		return;
	out->cls = cls;
	out->subject = subject;
	out->detail = detail;
}

const char *explain_because(const struct reply_codes *codes)
{
	/* the state does not keep to which command it was; all of a transaction but its end are alike */
	enum upstream_phase phase = codes->code < 400 ? UPSTREAM_FINAL_DOT : UPSTREAM_RCPT;

	for (unsigned i = 0; codes->code > 0 && i < outcome_rule_count; i++) {
		const struct outcome_rule *r = &outcome_rules[i];

		if (r->how == UPSTREAM_ANSWERED && phase >= r->first && phase <= r->last &&
		    codes->code >= r->code_first && codes->code <= r->code_last)
			return r->because;
	}
	return NULL;
}

/* RFC 3463 3 and the IANA registry of enhanced status codes (RFC 5248): subject * 100 + detail */
static const struct {
	unsigned number;
	const char *text;
} details[] = {
	{ 101, "there is no mailbox of that name at the destination" },
	{ 102, "the recipient's domain does not exist or does not take mail" },
	{ 103, "the recipient's address is not well formed" },
	{ 104, "the recipient's address means more than one mailbox" },
	{ 105, "the recipient's address is valid" },
	{ 106, "the mailbox has moved and nobody says where to" },
	{ 107, "the sender's address is not well formed" },
	{ 108, "the sender's domain does not exist or does not take mail" },
	{ 109, "the message was handed to a system that sends no reports" },
	{ 110, "the recipient's domain says that it takes no mail (null MX)" },
	{ 201, "the mailbox is disabled" },
	{ 202, "the recipient's mailbox is full" },
	{ 203, "the message is longer than this mailbox allows" },
	{ 204, "a mailing list could not be expanded" },
	{ 300, "something about the destination's mail system" },
	{ 301, "the destination's storage is full" },
	{ 302, "the destination takes no mail at present" },
	{ 303, "the destination cannot do what the message needs" },
	{ 304, "the message is larger than the destination takes" },
	{ 305, "the destination is not configured properly" },
	{ 401, "the next host did not answer" },
	{ 402, "the connection broke or could not be used" },
	{ 403, "a directory or name server failed" },
	{ 404, "the mail cannot be routed" },
	{ 405, "the mail system has too much to do" },
	{ 406, "the mail went round in a loop" },
	{ 407, "the message was not delivered in time" },
	{ 500, "something about the mail protocol" },
	{ 501, "a command was not expected there" },
	{ 502, "a command has a syntax error" },
	{ 503, "it has too many recipients for one transaction" },
	{ 504, "a command's argument is wrong" },
	{ 505, "the protocol's version is wrong" },
	{ 506, "authentication data is too long" },
	{ 601, "the kind of content is not supported" },
	{ 602, "the content would have to be converted, which is forbidden" },
	{ 603, "the content would have to be converted, which is not supported" },
	{ 604, "the content was converted with a loss" },
	{ 605, "the content could not be converted" },
	{ 607, "the addresses need SMTPUTF8, which is not supported there" },
	{ 609, "the message needs SMTPUTF8, which is not supported there" },
	{ 700, "it is refused by a rule of policy or security" },
	{ 701, "delivery is not authorised: a rule of policy, often against spam" },
	{ 702, "the sender may not send to this mailing list" },
	{ 703, "a security conversion is required and not possible" },
	{ 704, "the security features are not supported" },
	{ 705, "a cryptographic failure" },
	{ 706, "the cryptographic algorithm is not supported" },
	{ 707, "the message was changed on its way" },
	{ 708, "the credentials that we log in with are wrong" },
	{ 709, "the way of logging in is too weak" },
	{ 710, "encryption is needed" },
	{ 711, "encryption is required for this way of logging in" },
	{ 713, "the account that we log in with is disabled" },
	{ 714, "a trust relation is required" },
	{ 720, "no DKIM signature passed" },
	{ 721, "no acceptable DKIM signature was found" },
	{ 723, "SPF says that we may not send for the sender's domain" },
	{ 725, "our address has no matching reverse name" },
	{ 726, "several checks of the sender's authenticity failed" },
	{ 727, "the sender's address is refused because its domain takes no mail" },
	{ 728, "too many of this kind of mail came at a time" },
};

static const char *const subjects[] = {
	"something not further described", "the address", "the mailbox",
	"the destination's mail system",   "the network or routing", "the mail protocol",
	"the message's content",	   "security or policy",
};

const char *explain_detail(const struct reply_codes *codes)
{
	for (size_t i = 0; codes->cls && i < sizeof(details) / sizeof(details[0]); i++)
		if (details[i].number == codes->subject * 100 + codes->detail && codes->detail < 100)
			return details[i].text;
	return NULL;
}

const char *explain_subject(const struct reply_codes *codes)
{
	if (!codes->cls || codes->subject >= sizeof(subjects) / sizeof(subjects[0]))
		return NULL;
	return subjects[codes->subject];
}

/* ---- times -------------------------------------------------------------------------- */

void explain_time(int64_t ms, struct buf *out)
{
	static const struct {
		int64_t from_s, unit_s;
		const char *word;
	} units[] = { { 172800, 86400, "day" }, { 7200, 3600, "hour" }, { 120, 60, "minute" }, { 0, 1, "second" } };
	int64_t s = ms < 0 ? 0 : ms / 1000, n;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (s < units[i].from_s)
			continue;
		n = s / units[i].unit_s;
		buf_addf(out, "%" PRId64 " %s%s", n, units[i].word, n == 1 ? "" : "s");
		return;
	}
}

/* ---- events ------------------------------------------------------------------------- */

/* "2 recipients were ..." or "it was ...", and what stands before the event's text */
static const struct {
	const char *what, *done, *label;
} events[] = {
	{ "deferred", "put off", ": " },
	{ "delivered", "taken", ": " },
	{ "failed", "refused for good", ": " },
	{ "uncertain", "sent whole, and no answer came", ": " },
	{ "expired", "given up", ": " },
	{ "held", "held", ", because: " },
	{ "released", "released", ": " },
	{ "retried", "made due at once", ": " },
	{ "bounced", "returned to the sender", ", because: " },
	{ "requeued", "queued anew", ": " },
	{ "rerouted", "given another route", ": " },
	{ "warned", "reported as delayed", ": " },
	{ "reported", "reported as failed", ": " },
	{ "relayed", "reported as relayed", ": " },
};

/* What to put before its text. */
static const char *add_what(const struct spool_event *ev, const struct term *term, struct buf *out)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (strcmp(ev->what, events[i].what) != 0)
			continue;
		if (ev->rcpts > 0)
			buf_addf(out, "%zu recipient%s %s ", ev->rcpts, ev->rcpts == 1 ? "" : "s",
				 ev->rcpts == 1 ? "was" : "were");
		else
			buf_adds(out, "it was ");
		buf_adds(out, events[i].done);
		return events[i].label;
	}
	buf_adds(out, "event \"");
	term_escapes(term, ev->what, out);
	buf_adds(out, "\"");
	if (ev->rcpts > 0)
		buf_addf(out, ", about %zu recipient%s", ev->rcpts, ev->rcpts == 1 ? "" : "s");
	return ": ";
}

void explain_event(const struct spool_event *ev, const struct term *term, struct buf *out)
{
	const char *label = add_what(ev, term, out);

	if (ev->by) {
		buf_adds(out, " by an operator (");
		term_escapes(term, ev->by, out);
		buf_addc(out, ')');
	}
	if (ev->upstream) {
		buf_adds(out, strcmp(ev->what, "rerouted") == 0 ? " to upstream " : " by upstream ");
		term_escapes(term, ev->upstream, out);
	}
	if (ev->remote) {
		buf_adds(out, " (");
		term_escapes(term, ev->remote, out);
		buf_addc(out, ')');
	}
	if (ev->times > 1)
		buf_addf(out, ", %u times in a row", ev->times);
	if (ev->text) {
		buf_adds(out, label);
		term_escapes(term, ev->text, out);
	}
}
