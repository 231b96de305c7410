/* SPDX-License-Identifier: ISC */
/* The names in a certificate, and which of them a client asks for (RFC 6125, RFC 6066 3). */
#ifndef LISTENER_TLS_NAMES_H
#define LISTENER_TLS_NAMES_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#define TLS_NAMES_MAX 200 /* of a certificate; a client's may have more, which count for nothing */
#define TLS_NAME_MAX 255 /* octets of one */

struct tls_names {
	char **name; /* lower case, printable ASCII; owned */
	size_t count;
};

/*
 * DNS names, and with mail also mail addresses, among the subject's alternative names; where there are none of
 * either, the common name. What is not printable ASCII is left out: it names nobody.
 */
void tls_names_of(const X509 *cert, bool with_mail, struct tls_names *names);
void tls_names_release(struct tls_names *names);

enum tls_match { TLS_MATCH_NONE, TLS_MATCH_WILDCARD, TLS_MATCH_EXACT };
/* Whether one of the names is that host; "*.example.org" is any one label in front of example.org. */
enum tls_match tls_names_match(const struct tls_names *names, const char *host);

/* Letters, digits, hyphens, dots and underscores, not too long: what a client may ask for. Copied in lower case. */
bool tls_host_name(const char *text, char host[TLS_NAME_MAX + 1]);

#endif
