/* SPDX-License-Identifier: ISC */
/* See features.h. */
#include "upstream/features.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "smtp/extension.h"

/* Keywords are compared without regard to case (RFC 5321 2.4). */
static const struct {
	enum smtp_extension extension;
	size_t member; /* a bool of struct upstream_features */
} keywords[] = {
	{ SMTP_PIPELINING, offsetof(struct upstream_features, pipelining) },
	{ SMTP_8BITMIME, offsetof(struct upstream_features, eightbitmime) },
	{ SMTP_SMTPUTF8, offsetof(struct upstream_features, smtputf8) },
	{ SMTP_CHUNKING, offsetof(struct upstream_features, chunking) },
	{ SMTP_BINARYMIME, offsetof(struct upstream_features, binarymime) },
	{ SMTP_DSN, offsetof(struct upstream_features, dsn) },
	{ SMTP_STARTTLS, offsetof(struct upstream_features, starttls) },
	{ SMTP_ENHANCEDSTATUSCODES, offsetof(struct upstream_features, enhancedstatuscodes) },
	{ SMTP_SIZE, offsetof(struct upstream_features, size) },
	{ SMTP_DELIVERBY, offsetof(struct upstream_features, deliverby) },
	{ SMTP_REQUIRETLS, offsetof(struct upstream_features, requiretls) },
};

/*
 * A configured name or a pinned key are what RFC 8689 4.2.1 wants of DNSSEC or MTA-STS: nobody could forge
 * them.
 */
bool upstream_can_requiretls(const struct upstream_features *f)
{
	return f->requiretls && f->verified != UPSTREAM_NOT_VERIFIED;
}

/* AUTH SP mechanism *(SP mechanism) (RFC 4954 3), printable */
static void note_auth(struct upstream_features *f, const char *line, size_t len)
{
	size_t n = 0;

	if (len < 5 || strncasecmp(line, "AUTH ", 5) != 0)
		return;
	for (size_t i = 5; i < len && n + 1 < sizeof(f->auth); i++)
		f->auth[n++] = line[i] >= ' ' && line[i] < 0x7f ? line[i] : '?';
	f->auth[n] = '\0';
}

static bool is_keyword(const char *line, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(line, name, len) == 0;
}

/* LIMITS 1*( SP name "=" value ) (RFC 9422 4); what is not known, or no number, is skipped */
static void note_limits(struct upstream_features *f, const char *text, size_t len)
{
	const struct {
		const char *name;
		unsigned *limit;
	} limits[] = { { "RCPTMAX", &f->rcptmax },
		       { "MAILMAX", &f->mailmax },
		       { "RCPTDOMAINMAX", &f->rcptdomainmax } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		*limits[i].limit = 0;
	for (const char *at = text, *end = text + len; at < end;) {
		const char *space = memchr(at, ' ', (size_t)(end - at)), *stop = space ? space : end;
		const char *equals = memchr(at, '=', (size_t)(stop - at));
		uint64_t n;

		for (size_t i = 0; equals && i < sizeof(limits) / sizeof(*limits); i++)
			if (is_keyword(at, (size_t)(equals - at), limits[i].name) &&
			    num_parse_u64(equals + 1, (size_t)(stop - equals - 1), UINT32_MAX, &n))
				*limits[i].limit = (unsigned)n;
		at = stop + 1;
	}
}

void upstream_features_note(struct upstream_features *f, const char *line, size_t len, unsigned discard)
{
	const char *space = memchr(line, ' ', len);
	size_t word = space ? (size_t)(space - line) : len;

	note_auth(f, line, len);
	for (unsigned x = 0; x < SMTP_EXTENSION_COUNT; x++)
		if (is_keyword(line, word, smtp_extension_names[x]))
			f->announced |= SMTP_EXTENSION_BIT(x) & ~discard;
	if (is_keyword(line, word, "LIMITS") && !(discard & SMTP_EXTENSION_BIT(SMTP_LIMITS)))
		note_limits(f, line + word, len - word);
	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
		const char *name = smtp_extension_names[keywords[i].extension];

		if (!is_keyword(line, word, name) || (discard & SMTP_EXTENSION_BIT(keywords[i].extension)))
			continue;
		*(bool *)((char *)f + keywords[i].member) = true;
		/* RFC 2852 2: without a number, or with 0, any time will do */
		if (keywords[i].extension == SMTP_DELIVERBY &&
		    (!space ||
		     !num_parse_u64(space + 1, len - word - 1, DELIVER_BY_SECONDS_MAX, &f->deliverby_min_s)))
			f->deliverby_min_s = 0;
		/*
		 * no number, or one that is none: no limit is known; the upstream will say so when it minds
		 */
		if (keywords[i].extension == SMTP_SIZE &&
		    (!space || !num_parse_u64(space + 1, len - word - 1, UINT64_MAX, &f->size_limit_bytes)))
			f->size_limit_bytes = 0;
	}
}
