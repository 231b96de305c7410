/* SPDX-License-Identifier: ISC */
/*
 * See path.h. A recursive-descent reader: each read_*() follows one rule of
 * the grammar, which stands above it, moves the cursor behind what it took
 * and returns true, or leaves a phrase in why and returns false.
 *
 * What gets through consists of printable ASCII and well-formed UTF-8 without
 * C1 controls only, so an address can be written into a command, a header
 * field or a log line without forging another one.
 */
#include "smtp/path.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

struct cursor {
	const char *p, *end;
	bool utf8_ok; /* non-ASCII may stand where RFC 6531 3.3 allows it */
	bool non_ascii; /* there was some */
	const char *why;
};

static bool fail(struct cursor *c, const char *why)
{
	c->why = why;
	return false;
}

static bool at(const struct cursor *c, char octet)
{
	return c->p < c->end && *c->p == octet;
}

static bool is_let_dig(char o)
{
	return (o >= 'a' && o <= 'z') || (o >= 'A' && o <= 'Z') || (o >= '0' && o <= '9');
}

/* atext of RFC 5322 3.2.3, the ASCII part */
static bool is_atext(char o)
{
	return is_let_dig(o) || (o != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", o));
}

enum octets { OCTETS_NONE, OCTETS_TAKEN, OCTETS_BAD };

/* UTF8-non-ascii (RFC 6531 3.3, RFC 3629 4): one character, without the C1 controls U+0080..U+009F. */
static enum octets read_non_ascii(struct cursor *c)
{
	uint32_t code;
	size_t n;

	if (c->p == c->end || (unsigned char)*c->p < 0x80)
		return OCTETS_NONE;
	n = c->utf8_ok ? utf8_decode(c->p, (size_t)(c->end - c->p), &code) : 0;
	if (n == 0 || code < 0xa0) {
		c->why = c->utf8_ok ? "malformed UTF-8" : "non-ASCII characters are not allowed";
		return OCTETS_BAD;
	}
	c->p += n;
	c->non_ascii = true;
	return OCTETS_TAKEN;
}

/* Atom = 1*atext;  atext =/ UTF8-non-ascii */
static bool read_atom(struct cursor *c)
{
	const char *start = c->p;
	enum octets more = OCTETS_TAKEN;

	while (more == OCTETS_TAKEN) {
		while (c->p < c->end && is_atext(*c->p))
			c->p++;
		more = read_non_ascii(c);
	}
	if (more == OCTETS_BAD)
		return false;
	if (c->p == start)
		return fail(c, c->p == c->end || *c->p == '@' || *c->p == '>'
				       ? "local part is empty or ends with a dot"
				       : "bad character in local part");
	return true;
}

/* Dot-string = Atom *("." Atom) */
static bool read_dot_string(struct cursor *c)
{
	if (at(c, '.'))
		return fail(c, "local part begins with a dot");
	for (;;) {
		if (!read_atom(c))
			return false;
		if (!at(c, '.'))
			return true;
		c->p++;
		if (at(c, '.'))
			return fail(c, "local part has two dots in a row");
	}
}

/*
 * Quoted-string   = DQUOTE *QcontentSMTP DQUOTE
 * QcontentSMTP    = qtextSMTP / quoted-pairSMTP
 * quoted-pairSMTP = %d92 %d32-126
 * qtextSMTP       = %d32-33 / %d35-91 / %d93-126 / UTF8-non-ascii
 */
static bool read_quoted_string(struct cursor *c)
{
	c->p++;
	while (c->p < c->end && *c->p != '"') {
		bool pair = *c->p == '\\';

		if (pair && ++c->p == c->end)
			break;
		if (*c->p >= 0x20 && *c->p < 0x7f) {
			c->p++;
			continue;
		}
		switch (pair ? OCTETS_NONE : read_non_ascii(c)) {
		case OCTETS_TAKEN:
			break;
		case OCTETS_NONE:
			return fail(c, "bad character in quoted local part");
		case OCTETS_BAD:
			return false;
		}
	}
	if (c->p == c->end)
		return fail(c, "quoted local part has no end");
	c->p++;
	return true;
}

/* Local-part = Dot-string / Quoted-string */
static bool read_local_part(struct cursor *c)
{
	return at(c, '"') ? read_quoted_string(c) : read_dot_string(c);
}

/*
 * Domain     = sub-domain *("." sub-domain)
 * sub-domain = Let-dig [Ldh-str] / U-label
 *
 * '_' counts as a letter: host names in use have it. DNS's 63 octets a label
 * (RFC 1035 2.3.4) bind the ASCII form only.
 */
static bool read_domain(struct cursor *c)
{
	const char *start = c->p;

	for (;;) {
		const char *label = c->p;
		bool wide_before = c->non_ascii;
		enum octets more = OCTETS_TAKEN;

		c->non_ascii = false;
		while (more == OCTETS_TAKEN) {
			while (c->p < c->end && (is_let_dig(*c->p) || *c->p == '-' || *c->p == '_'))
				c->p++;
			more = read_non_ascii(c);
		}
		if (more == OCTETS_BAD)
			return false;
		if (c->p == label)
			return fail(c, label == start ? "domain is empty or has a bad character"
						      : "domain has an empty label or a bad character");
		if (label[0] == '-' || c->p[-1] == '-')
			return fail(c, "domain label begins or ends with a hyphen");
		if (!c->non_ascii && c->p - label > 63)
			return fail(c, "domain label is longer than 63 octets");
		c->non_ascii = c->non_ascii || wide_before;
		if (!at(c, '.'))
			break;
		c->p++;
	}
	if (c->p - start > SMTP_DOMAIN_MAX)
		return fail(c, "domain is longer than 255 octets");
	return true;
}

static bool is_ip(int family, const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN + 1];
	unsigned char address[16];

	/* inet_pton would stop at a NUL and never see what is behind it */
	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(family, copy, address) == 1;
}

/*
 * address-literal = "[" ( IPv4 / "IPv6:" IPv6-addr / Standardized-tag ":" 1*dcontent ) "]"
 * Standardized-tag = Ldh-str
 * dcontent         = %d33-90 / %d94-126
 */
static bool is_literal_content(const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	size_t tag_len;

	if (!colon)
		return is_ip(AF_INET, text, len);
	tag_len = (size_t)(colon - text);
	if (tag_len == 4 && strncasecmp(text, "IPv6", 4) == 0)
		return is_ip(AF_INET6, colon + 1, len - tag_len - 1);
	if (tag_len == 0 || tag_len + 1 == len || !is_let_dig(colon[-1]))
		return false;
	for (size_t i = 0; i < tag_len; i++)
		if (!is_let_dig(text[i]) && text[i] != '-')
			return false;
	for (size_t i = tag_len + 1; i < len; i++)
		if (text[i] < 33 || text[i] > 126 || (text[i] > 90 && text[i] < 94))
			return false;
	return true;
}

static bool read_literal(struct cursor *c)
{
	const char *close = memchr(c->p, ']', (size_t)(c->end - c->p));

	if (!close || !is_literal_content(c->p + 1, (size_t)(close - c->p - 1)))
		return fail(c, "bad address literal");
	if (close + 1 - c->p > SMTP_DOMAIN_MAX)
		return fail(c, "address literal is longer than 255 octets");
	c->p = close + 1;
	return true;
}

/*
 * A-d-l = At-domain *( "," At-domain );  At-domain = "@" Domain
 * The route ends with ":". What is in it does not matter any more.
 */
static bool read_route(struct cursor *c)
{
	bool wide_before = c->non_ascii;

	while (at(c, '@')) {
		c->p++;
		if (!read_domain(c))
			return false;
		if (at(c, ':')) {
			c->p++;
			c->non_ascii = wide_before;
			return true;
		}
		if (!at(c, ','))
			break;
		c->p++;
	}
	return fail(c, "bad source route");
}

static bool is_postmaster(const char *text, size_t len)
{
	return len == 10 && strncasecmp(text, "postmaster", 10) == 0;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ), or "Postmaster" alone */
static bool read_mailbox(struct cursor *c, unsigned flags, struct smtp_path *out)
{
	const char *start = c->p;

	if (c->p == c->end || *c->p == ' ')
		return fail(c, "address is empty");
	if (!read_local_part(c))
		return false;
	out->local_len = (size_t)(c->p - start);
	if (at(c, '@')) {
		c->p++;
		if (!(at(c, '[') ? read_literal(c) : read_domain(c)))
			return false;
	} else if (c->p < c->end && *c->p != '>' && *c->p != ' ') {
		return fail(c, "bad character in local part");
	} else if (!(flags & SMTP_PATH_UNQUALIFIED_OK) &&
		   !((flags & SMTP_PATH_POSTMASTER_OK) && is_postmaster(start, out->local_len))) {
		return fail(c, "domain is missing");
	}
	if (c->p - start > SMTP_PATH_MAX - 2)
		return fail(c, "path is longer than 256 octets");
	memcpy(out->address, start, (size_t)(c->p - start));
	out->address[c->p - start] = '\0';
	return true;
}

static bool read_path(struct cursor *c, unsigned flags, struct smtp_path *out)
{
	const char *start = c->p;

	if (!at(c, '<')) {
		if (!read_mailbox(c, flags, out))
			return false;
		return c->p == c->end || *c->p == ' ' || fail(c, "bad character after the address");
	}
	c->p++;
	if (at(c, '>')) {
		if (!(flags & SMTP_PATH_NULL_OK))
			return fail(c, "address is empty");
	} else {
		if (at(c, '@') && !read_route(c))
			return false;
		if (!read_mailbox(c, flags, out))
			return false;
		if (!at(c, '>'))
			return fail(c, c->p == c->end ? "'>' is missing" : "bad character after the address");
	}
	c->p++;
	if (c->p - start > SMTP_PATH_MAX)
		return fail(c, "path is longer than 256 octets");
	return true;
}

int smtp_path_parse(const char *text, size_t len, unsigned flags, struct smtp_path *out, size_t *used,
		    const char **why)
{
	struct cursor c = { .p = text, .end = text + len, .utf8_ok = flags & SMTP_PATH_UTF8_OK };

	out->address[0] = '\0';
	out->local_len = 0;
	out->needs_smtputf8 = false;
	if (!read_path(&c, flags, out)) {
		*why = c.why;
		return -1;
	}
	out->needs_smtputf8 = c.non_ascii;
	*used = (size_t)(c.p - text);
	return 0;
}

const char *smtp_address_domain(const char *address)
{
	bool quoted = false;

	for (const char *p = address; *p; p++) {
		if (quoted && *p == '\\' && p[1])
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '@' && !quoted)
			return p + 1;
	}
	return NULL;
}

bool smtp_is_domain(const char *text, size_t len)
{
	struct cursor c = { .p = text, .end = text + len };

	return read_domain(&c) && c.p == c.end;
}

bool smtp_is_address_literal(const char *text, size_t len)
{
	struct cursor c = { .p = text, .end = text + len };

	return at(&c, '[') && read_literal(&c) && c.p == c.end;
}
