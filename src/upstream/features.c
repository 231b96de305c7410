/* SPDX-License-Identifier: ISC */
/* See features.h. */
#include "upstream/features.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

/* Keywords are compared without regard to case (RFC 5321 2.4). */
static const struct {
	const char *keyword;
	size_t member; /* a bool of struct upstream_features */
} keywords[] = {
	{ "PIPELINING", offsetof(struct upstream_features, pipelining) }, /* RFC 2920 */
	{ "8BITMIME", offsetof(struct upstream_features, eightbitmime) }, /* RFC 6152 */
	{ "SMTPUTF8", offsetof(struct upstream_features, smtputf8) }, /* RFC 6531 */
	{ "CHUNKING", offsetof(struct upstream_features, chunking) }, /* RFC 3030 */
	{ "DSN", offsetof(struct upstream_features, dsn) }, /* RFC 3461 */
	{ "STARTTLS", offsetof(struct upstream_features, starttls) }, /* RFC 3207 */
	{ "ENHANCEDSTATUSCODES", offsetof(struct upstream_features, enhancedstatuscodes) }, /* RFC 2034 */
	{ "SIZE", offsetof(struct upstream_features, size) }, /* RFC 1870 */
	{ "REQUIRETLS", offsetof(struct upstream_features, requiretls) }, /* RFC 8689 */
};

/* A configured name or a pinned key are what RFC 8689 4.2.1 wants of DNSSEC or MTA-STS: nobody could forge them. */
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

void upstream_features_note(struct upstream_features *f, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	size_t word = space ? (size_t)(space - line) : len;

	note_auth(f, line, len);
	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
		if (word != strlen(keywords[i].keyword) || strncasecmp(line, keywords[i].keyword, word) != 0)
			continue;
		*(bool *)((char *)f + keywords[i].member) = true;
		/* no number, or one that is none: no limit is known; the upstream will say so when it minds */
		if (keywords[i].member == offsetof(struct upstream_features, size) &&
		    (!space || !num_parse_u64(space + 1, len - word - 1, UINT64_MAX, &f->size_limit_bytes)))
			f->size_limit_bytes = 0;
	}
}
