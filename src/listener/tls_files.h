/* SPDX-License-Identifier: ISC */
/*
 * Certificates and keys from PEM files, checked so that whatever is wrong is
 * told when they are loaded and not by the first client: with the file and
 * what to do about it. Runs in a child of the master that ends at once
 * (tls_pairs.h), as root if it was started so.
 */
#ifndef LISTENER_TLS_FILES_H
#define LISTENER_TLS_FILES_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "listener/tls_names.h"

/* A certificate with its chain and key. */
struct tls_pair {
	char *file; /* of the certificate; owned */
	X509 *cert;
	STACK_OF(X509) *chain; /* what the certificate is signed by, in order; may be empty */
	EVP_PKEY *key; /* or what stands for it (keys/provider.h) */
	int key_type; /* EVP_PKEY_RSA, EVP_PKEY_EC ... */
	struct tls_names names;
	char *names_text; /* of them, for people; owned */
	int64_t begins_wall_us, ends_wall_us;
};

/* key_file NULL: the key is in cert_file, too. in_date: one that has expired, or is not valid yet, is refused. */
int tls_pair_load(struct tls_pair *pair, const char *cert_file, const char *key_file, bool in_date, struct err *e);
/* The same of what was read by somebody else: the certificate and its chain, at least one; the key. Takes both over. */
void tls_pair_take(struct tls_pair *pair, const char *cert_file, STACK_OF(X509) * certs, EVP_PKEY *key);
/* Overwrites the key. Also for one that is all zero. */
void tls_pair_release(struct tls_pair *pair);

/* The certificates in a file, at least one: to be freed with sk_X509_pop_free(certs, X509_free). NULL on failure. */
STACK_OF(X509) *tls_certificates_read(const char *file, struct err *e);

/* The end of a certificate; INT64_MAX when it says none that can be read. */
int64_t tls_certificate_ends_wall_us(const X509 *cert);

#endif
