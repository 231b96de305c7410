/* SPDX-License-Identifier: ISC */
/*
 * Reverse-path and forward-path of MAIL and RCPT (RFC 5321 4.1.2, RFC 6531
 * 3.3, RFC 5321 4.1.3 for literals). Pure.
 *
 *   Path    = "<" [ A-d-l ":" ] Mailbox ">"
 *   Mailbox = Local-part "@" ( Domain / address-literal )
 *
 * A source route (A-d-l) is checked and stripped (RFC 5321 appendix C). The
 * brackets may be missing, as smtpd's and sendmail's clients leave them out.
 *
 * Limits: a path of 256 octets and a domain of 255 (4.5.3.1.2, .3). The 64
 * octets of 4.5.3.1.1 are a size every server must take, not one it must
 * refuse to pass; senders that encode the recipient (VERP) pass it daily, so
 * the local part is only bounded by the path.
 */
#ifndef SMTP_PATH_H
#define SMTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define SMTP_PATH_MAX 256 /* octets with the brackets */
#define SMTP_DOMAIN_MAX 255

struct smtp_path {
	char address[SMTP_PATH_MAX]; /* mailbox without brackets and route, as sent; "" for <> */
	size_t local_len; /* octets of address before the '@' */
	bool needs_smtputf8; /* holds non-ASCII (well-formed UTF-8) */
};

enum smtp_path_flags {
	SMTP_PATH_NULL_OK = 1, /* "<>" (MAIL, RFC 5321 4.5.5) */
	SMTP_PATH_POSTMASTER_OK = 2, /* "<Postmaster>" without a domain (RCPT, RFC 5321 4.1.1.3) */
	SMTP_PATH_UNQUALIFIED_OK = 8, /* a local part alone: its domain is added later (rewrite/) */
	SMTP_PATH_UTF8_OK = 4 /* non-ASCII allowed (SMTPUTF8 in effect or to be checked by the caller) */
};

/*
 * Reads a path at the start of text (no leading space). On success *used is
 * the number of octets it took and 0 is returned. On failure -1 and *why is
 * a constant phrase for the 501 reply ("local part is empty", ...).
 */
int smtp_path_parse(const char *text, size_t len, unsigned flags, struct smtp_path *out, size_t *used,
		    const char **why);

/* What stands behind the '@' of a mailbox; NULL: no domain. A quoted local part may hold an '@' of its own. */
const char *smtp_address_domain(const char *address);

/* A name for EHLO/HELO (RFC 5321 4.1.1.1): a domain or an address literal. Lenient with '_', as clients are. */
bool smtp_is_domain(const char *text, size_t len);
bool smtp_is_address_literal(const char *text, size_t len);

#endif
