/* SPDX-License-Identifier: ISC */
/*
 * What the upstream announces (RFC 5321 4.1.1.1), keyword by keyword, and what that means for the mail that
 * is relayed there; then what it does not announce and should. See remote.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "doctor/remote.h"
#include "smtp/extension.h"

struct keyword {
	const char *name;
	/* What to say when it is there; NULL: read() does. */
	const char *meaning;
	void (*read)(const struct doctor_remote *d, const char *parameters, struct findings *f);
	/* When it is not; NULL: nothing to say. */
	void (*absent)(const struct doctor_remote *d, struct findings *f);
	bool by_session; /* without a spool, clients are offered it only where the upstream has it */
};

static void read_size(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	uint64_t limit, ours = d->cfg->data_size_limit_bytes;
	char text[16], its[16];

	if (!num_parse_u64(parameters, strlen(parameters), UINT64_MAX, &limit))
		limit = 0; /* RFC 1870 4: none is said */
	num_format_size(limit, its, sizeof(its));
	num_format_size(ours, text, sizeof(text));
	if (limit == 0) {
		finding_add(f, FINDING_OK, "SIZE: no fixed limit");
	} else if (!config_has_spool(d->cfg)) {
		finding_add(f, FINDING_OK,
			    "SIZE: messages up to %s; clients are told the smaller of that and %s "
			    "(data_size_limit)",
			    its, text);
	} else if (limit >= ours) {
		finding_add(f, FINDING_OK, "SIZE: messages up to %s; data_size_limit (%s) keeps within", its,
			    text);
	} else {
		finding_add(f, FINDING_WARNING,
			    "SIZE: messages up to %s, but clients may send %s (data_size_limit): what is "
			    "between is taken, and then returned to its sender",
			    its, text);
		finding_advise(f, "data_size_limit = %" PRIu64 ", or a route to another upstream", limit);
	}
}

static void no_size(const struct doctor_remote *d, struct findings *f)
{
	(void)d;
	finding_add(f, FINDING_OK,
		    "without SIZE: a message that is too large is refused only when all of it was sent");
}

static void read_utf8(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	(void)parameters;
	finding_add(f, FINDING_OK, "SMTPUTF8: addresses beyond ASCII%s",
		    d->cfg->enable_smtputf8 ? "" : "; clients are not offered it (enable_smtputf8 = no)");
}

static void no_utf8(const struct doctor_remote *d, struct findings *f)
{
	if (!d->cfg->enable_smtputf8)
		return;
	finding_add(f, FINDING_WARNING,
		    "without SMTPUTF8: clients may send addresses beyond ASCII (enable_smtputf8), which are "
		    "then returned");
	finding_advise(f, "enable_smtputf8 = no, or a route to another upstream");
}

static void no_8bitmime(const struct doctor_remote *d, struct findings *f)
{
	bool strict = d->upstream->eight_bit == UPSTREAM_EIGHTBIT_STRICT;

	finding_add(f, strict ? FINDING_WARNING : FINDING_OK,
		    "without 8BITMIME: content with 8-bit octets is %s",
		    strict ? "returned to its sender (eight_bit = strict)"
			   : "sent all the same (eight_bit = pass)");
	if (strict)
		finding_advise(f, "eight_bit = pass, as nearly every server takes it");
}

static void read_pipelining(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	(void)parameters;
	finding_add(f, FINDING_OK,
		    d->upstream->pipelining
			    ? "PIPELINING: commands go in groups, a message costs one round trip"
			    : "PIPELINING: not used (pipelining = no)");
}

static void no_pipelining(const struct doctor_remote *d, struct findings *f)
{
	if (d->upstream->pipelining)
		finding_add(f, FINDING_OK,
			    "without PIPELINING: each command waits for its answer, a message costs four "
			    "round trips and more");
}

static void no_dsn(const struct doctor_remote *d, struct findings *f)
{
	(void)d;
	finding_add(f, FINDING_OK,
		    "without DSN: who asks for a report of success is told \"relayed\" by Posthouse");
}

/* The mechanisms are read by check_auth, with what is configured. */
static void read_auth(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	finding_add(f, FINDING_OK, "AUTH: %s%s", parameters,
		    d->upstream->user ? "" : "; no user is configured");
}

/* RFC 9422: what it announces is kept, whatever is configured. */
static void read_limits(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	bool discarded = d->upstream->discard_ehlo_keywords & SMTP_EXTENSION_BIT(SMTP_LIMITS);

	finding_add(f, FINDING_OK, "LIMITS: %s; %s", parameters,
		    discarded ? "not heeded (discard_ehlo_keywords)" : "they are kept");
}

static void read_chunking(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	static const char *const uses[] = {
		[UPSTREAM_CHUNKING_NEEDED] = "for BODY=BINARYMIME only (chunking = needed)",
		[UPSTREAM_CHUNKING_ALWAYS] = "for every message (chunking = always)",
		[UPSTREAM_CHUNKING_NEVER] = "not used (chunking = never)",
	};

	(void)parameters;
	if (!config_has_spool(d->cfg)) {
		finding_add(f, FINDING_OK, "CHUNKING: content in counted pieces, for BODY=BINARYMIME only");
		return;
	}
	finding_add(f, FINDING_OK, "CHUNKING: content in counted pieces, %s", uses[d->upstream->chunking]);
}

static void no_chunking(const struct doctor_remote *d, struct findings *f)
{
	if (d->upstream->chunking == UPSTREAM_CHUNKING_ALWAYS)
		finding_add(f, FINDING_OK,
			    "without CHUNKING: content goes with DATA, though chunking = always");
}

static void no_binarymime(const struct doctor_remote *d, struct findings *f)
{
	if (!d->cfg->enable_binarymime)
		return;
	finding_add(f, FINDING_WARNING,
		    "without BINARYMIME: clients are offered it (enable_binarymime), and what they send so "
		    "is returned");
	finding_advise(f, "enable_binarymime = no, or a route to another upstream");
}

static void read_deliverby(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	(void)d;
	finding_add(f, FINDING_OK, "DELIVERBY: times to deliver by (BY=) are passed on%s%s%s",
		    *parameters ? ", from " : "", parameters, *parameters ? " seconds on" : "");
}

static void no_deliverby(const struct doctor_remote *d, struct findings *f)
{
	if (d->remote->lmtp)
		return;
	finding_add(
		f, FINDING_OK,
		"without DELIVERBY: mail that is to be delivered in time or returned (BY=...;R) is returned");
}

static void read_starttls(const struct doctor_remote *d, const char *parameters, struct findings *f)
{
	(void)parameters;
	/* after TLS it must not be offered again (RFC 3207 4.2) */
	if (d->dialogue.features.tls)
		finding_add(f, FINDING_OK, "STARTTLS: offered again inside of TLS, which does no harm");
	else
		finding_add(f, FINDING_OK, "STARTTLS: the session can be encrypted%s",
			    d->upstream->tls == UPSTREAM_TLS_NONE ? "; not used (tls = none)" : "");
}

static const struct keyword keywords[] = {
	{ "SIZE", NULL, read_size, no_size, false }, /* RFC 1870 */
	{ "PIPELINING", NULL, read_pipelining, no_pipelining, false }, /* RFC 2920 */
	{ "8BITMIME", "content with 8-bit octets goes as it is", NULL, no_8bitmime, true }, /* RFC 6152 */
	{ "SMTPUTF8", NULL, read_utf8, no_utf8, true }, /* RFC 6531 */
	{ "DSN", "NOTIFY, ORCPT, RET and ENVID of clients are passed on", NULL, no_dsn, true }, /* RFC 3461 */
	{ "ENHANCEDSTATUSCODES", "its replies carry codes as 5.1.1, which reports pass on", NULL, NULL,
	  false }, /* RFC 2034 */
	{ "STARTTLS", NULL, read_starttls, NULL, false }, /* RFC 3207; its absence is check_tls's */
	{ "AUTH", NULL, read_auth, NULL, false }, /* RFC 4954 */
	{ "REQUIRETLS", "mail that must stay encrypted all the way can go there", NULL, NULL,
	  false }, /* RFC 8689 */
	{ "LIMITS", NULL, read_limits, NULL, false }, /* RFC 9422 */
	{ "CHUNKING", NULL, read_chunking, no_chunking, false }, /* RFC 3030 */
	{ "BINARYMIME", "content that is not made of lines can go there", NULL, no_binarymime,
	  true }, /* RFC 3030 */
	{ "DELIVERBY", NULL, read_deliverby, no_deliverby, true }, /* RFC 2852 */
	{ "MT-PRIORITY", "not used", NULL, NULL, false }, /* RFC 6710 */
	{ "FUTURERELEASE", "not used", NULL, NULL, false }, /* RFC 4865 */
	{ "BURL", "not used", NULL, NULL, false }, /* RFC 4468 */
	{ "SUBMITTER", "not used", NULL, NULL, false }, /* RFC 4405 */
	{ "CHECKPOINT", "not used", NULL, NULL, false }, /* RFC 1845 */
	{ "ETRN", "for mail that waits there; not used", NULL, NULL, false }, /* RFC 1985 */
	{ "HELP", "for people", NULL, NULL, false },
	{ "EXPN", "for people", NULL, NULL, false },
	{ "VRFY", "for people", NULL, NULL, false },
	{ "NO-SOLICITING", "it wants no advertising", NULL, NULL, false }, /* RFC 3865 */
	{ "XCLIENT", "Postfix's; not used towards upstreams", NULL, NULL, false },
	{ "XFORWARD", "Postfix's; not used", NULL, NULL, false },
};
#define KEYWORDS (sizeof(keywords) / sizeof(keywords[0]))

static void tell_absent(const struct doctor_remote *d, const struct keyword *k, struct findings *f)
{
	if (k->by_session && !config_has_spool(d->cfg))
		finding_add(f, FINDING_OK, "without %s: clients are not offered it", k->name);
	else if (k->absent)
		k->absent(d, f);
}

static void read_line(const struct doctor_remote *d, const char *line, struct findings *f)
{
	size_t len = strcspn(line, " =");
	const char *parameters = line[len] ? line + len + 1 : "";

	for (size_t i = 0; i < KEYWORDS; i++) {
		const struct keyword *k = &keywords[i];

		if (len != strlen(k->name) || strncasecmp(line, k->name, len) != 0)
			continue;
		if (k->read)
			k->read(d, parameters, f);
		else
			finding_add(f, FINDING_OK, "%s: %s", k->name, k->meaning);
		return;
	}
	finding_add(f, FINDING_OK, "%s: not known to Posthouse, not used", line);
}

void check_ehlo(void *subject, struct findings *f)
{
	const struct doctor_remote *d = subject;
	const struct dialogue *g = &d->dialogue;
	const char *line;
	struct buf why;
	size_t len = 0;

	/* inside of TLS if there is to be any: what was announced before may be anybody's (RFC 3207 4.2) */
	if (!dialogue_said_hello(g) || (!g->ready && g->why.phase == UPSTREAM_TLS_HANDSHAKE)) {
		finding_add(f, FINDING_SKIPPED, "not reached: tls failed");
		return;
	}
	if (!g->features.esmtp && !dialogue_keyword(g, false, 0) && !g->ready) {
		finding_add(f, FINDING_FAILED, "%s", doctor_remote_why(d, &why));
		buf_release(&why);
		finding_advise(f, "hostname = \"%s\" was said in EHLO: does it take that name?",
			       d->cfg->hostname);
		return;
	}
	if (!g->features.esmtp && g->ready) {
		finding_add(
			f, FINDING_WARNING,
			"it knows no EHLO, only HELO: no encryption, no AUTH, no sizes, no 8-bit content");
		finding_advise(f, "a firewall that rewrites SMTP (\"fixup\", \"inspect esmtp\") does that "
				  "too: switch it off");
		return;
	}
	for (size_t i = 0; (line = dialogue_keyword(g, false, i)); i++) {
		read_line(d, line, f);
		len += strlen(line) + 1;
	}
	/* the client keeps so much of a reply's text: what is missing may have stood behind that */
	if (len > SMTP_REPLY_TEXT_MAX - SMTP_REPLY_TEXT_MAX / 8) {
		finding_add(f, FINDING_OK, "it announces more than is looked at here");
		return;
	}
	for (size_t i = 0; i < KEYWORDS; i++)
		if (!dialogue_announced(g, false, keywords[i].name))
			tell_absent(d, &keywords[i], f);
}
