/* SPDX-License-Identifier: ISC */
/* See tls_names.h. */
#include "listener/tls_names.h"

#include <openssl/asn1.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A NUL inside is how certificates were made to look like others. */
static void add(struct tls_names *names, const ASN1_STRING *value)
{
	const unsigned char *text = ASN1_STRING_get0_data(value);
	int len = ASN1_STRING_length(value);
	char *copy;

	if (len <= 0 || len > TLS_NAME_MAX || names->count == TLS_NAMES_MAX)
		return;
	for (int i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return;
	copy = mem_strndup((const char *)text, (size_t)len);
	for (int i = 0; i < len; i++)
		copy[i] = lower(copy[i]);
	names->name = mem_resize(names->name, names->count + 1, sizeof(*names->name));
	names->name[names->count++] = copy;
}

/* Returns whether there was any of a kind that counts: then the common name does not (RFC 6125 6.4.4). */
static bool add_alternatives(const X509 *cert, bool with_mail, struct tls_names *names)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool any = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);

		if (n->type == GEN_DNS || (with_mail && n->type == GEN_EMAIL)) {
			add(names, n->d.ia5);
			any = true;
		}
	}
	GENERAL_NAMES_free(all);
	return any;
}

void tls_names_of(const X509 *cert, bool with_mail, struct tls_names *names)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at;

	*names = (struct tls_names){ 0 };
	if (add_alternatives(cert, with_mail, names))
		return;
	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at >= 0)
		add(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

void tls_names_release(struct tls_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
	*names = (struct tls_names){ 0 };
}

static bool matches_wildcard(const char *pattern, const char *host)
{
	const char *dot = strchr(host, '.');

	return pattern[0] == '*' && pattern[1] == '.' && strchr(pattern + 2, '.') && dot && dot > host &&
	       strcasecmp(pattern + 1, dot) == 0;
}

enum tls_match tls_names_match(const struct tls_names *names, const char *host)
{
	enum tls_match best = TLS_MATCH_NONE;

	for (size_t i = 0; i < names->count; i++) {
		if (strcasecmp(names->name[i], host) == 0)
			return TLS_MATCH_EXACT;
		if (matches_wildcard(names->name[i], host))
			best = TLS_MATCH_WILDCARD;
	}
	return best;
}

bool tls_host_name(const char *text, char host[TLS_NAME_MAX + 1])
{
	size_t len = strlen(text);

	if (len == 0 || len > TLS_NAME_MAX)
		return false;
	for (size_t i = 0; i <= len; i++)
		host[i] = lower(text[i]);
	return strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") == len;
}
