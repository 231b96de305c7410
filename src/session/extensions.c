/* SPDX-License-Identifier: ISC */
/*
 * Which extensions this session has: what EHLO announces and what commands and parameters ask before they are
 * obeyed are one table.
 */
#include <inttypes.h>

#include "session/session_internal.h"

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

static bool smtputf8_is_enabled(const struct session *s)
{
	return s->cfg->enable_smtputf8;
}

static bool queues(const struct session *s)
{
	return s->cfg->flush;
}

/*
 * RFC 5321 3.5.2: EXPN is announced where it is supported. VRFY always is; it is announced where it tells
 * something.
 */
static bool verifies(const struct session *s)
{
	return s->cfg->verifies;
}

/*
 * RFC 3030 3: only with CHUNKING. Most upstreams lack it, so it is offered only where somebody says that ours
 * has it.
 */
static bool binarymime_is_possible(const struct session *s)
{
	return s->cfg->enable_binarymime && session_offers(s, SMTP_CHUNKING);
}

static void add_size(const struct session *s, struct buf *out)
{
	uint64_t limit = session_size_limit(s);

	if (limit > 0)
		buf_addf(out, " %" PRIu64, limit);
}

/* RFC 2852 2 */
static void add_minimum(const struct session *s, struct buf *out)
{
	if (s->cfg->deliver_by_minimum_ms >= 1000)
		buf_addf(out, " %" PRId64, s->cfg->deliver_by_minimum_ms / 1000);
}

/* RFC 9422 4: what would be answered with 452 and 421 */
static void add_limits(const struct session *s, struct buf *out)
{
	if (s->cfg->max_transactions > 0)
		buf_addf(out, " MAILMAX=%u", s->cfg->max_transactions);
	buf_addf(out, " RCPTMAX=%zu", s->cfg->max_recipients);
}

static void add_mechanisms(const struct session *s, struct buf *out)
{
	buf_addc(out, ' ');
	auth_mechanisms(s, out);
}

/* A matter of where the mail goes: struct handler_offer */
#define OF_HANDLER true

static const struct {
	bool of_handler;
	bool (*possible)(const struct session *s); /* NULL: this session has no such thing */
	void (*parameters)(const struct session *s, struct buf *out); /* NULL: none */
} extensions[SMTP_EXTENSION_COUNT] = {
	[SMTP_PIPELINING] = { .possible = always },
	[SMTP_SIZE] = { .possible = always, .parameters = add_size },
	[SMTP_STARTTLS] = { .possible = starttls_is_offered },
	[SMTP_AUTH] = { .possible = auth_is_offered, .parameters = add_mechanisms },
	[SMTP_XCLIENT] = { .possible = xclient_is_offered, .parameters = xclient_attributes },
	[SMTP_ETRN] = { .possible = queues },
	[SMTP_8BITMIME] = { OF_HANDLER, .possible = not_decoded },
	[SMTP_ENHANCEDSTATUSCODES] = { .possible = always },
	[SMTP_DSN] = { OF_HANDLER, .possible = always },
	[SMTP_SMTPUTF8] = { OF_HANDLER, .possible = smtputf8_is_enabled },
	[SMTP_REQUIRETLS] = { OF_HANDLER, .possible = requiretls_is_possible },
	[SMTP_CHUNKING] = { OF_HANDLER, .possible = not_decoded },
	[SMTP_BINARYMIME] = { OF_HANDLER, .possible = binarymime_is_possible },
	[SMTP_DELIVERBY] = { OF_HANDLER, .possible = always, .parameters = add_minimum },
	[SMTP_LIMITS] = { .possible = always, .parameters = add_limits },
	[SMTP_VRFY] = { .possible = verifies },
	[SMTP_EXPN] = { .possible = verifies },
	[SMTP_HELP] = { .possible = always },
};

bool session_offers(const struct session *s, enum smtp_extension x)
{
	unsigned bit = SMTP_EXTENSION_BIT(x);

	return extensions[x].possible && !(s->cfg->discard & bit) &&
	       (!extensions[x].of_handler || (s->offer.extensions & bit)) && extensions[x].possible(s);
}

bool session_offers_any(const struct session *s, unsigned set)
{
	for (unsigned x = 0; x < SMTP_EXTENSION_COUNT; x++)
		if ((set & SMTP_EXTENSION_BIT(x)) && session_offers(s, x))
			return true;
	return false;
}

void session_ask_handler(struct session *s)
{
	const struct handler_ops *ops = s->handler->ops;

	s->offer = (struct handler_offer){ .extensions = ops->extensions };
	if (ops->narrow)
		ops->narrow(s->handler, &s->offer);
}

uint64_t session_size_limit(const struct session *s)
{
	uint64_t ours = s->cfg->data_size_limit_bytes, theirs = s->offer.size_limit_bytes;

	return ours == 0 || (theirs > 0 && theirs < ours) ? theirs : ours;
}

void session_announce(const struct session *s, struct buf *out)
{
	for (unsigned x = 0; x < SMTP_EXTENSION_COUNT; x++) {
		if (!session_offers(s, x))
			continue;
		buf_addf(out, "\n%s", smtp_extension_names[x]);
		if (extensions[x].parameters)
			extensions[x].parameters(s, out);
	}
}
