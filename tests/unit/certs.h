/* SPDX-License-Identifier: ISC */
/*
 * Certificates made when a test runs, so that none in the tree can expire:
 * an authority, and what it signed for 127.0.0.1 and others. In memory, but
 * for the authority's PEM file, which is what a client is configured with.
 */
#ifndef TESTS_CERTS_H
#define TESTS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

enum cert { CERT_GOOD, CERT_WRONG_NAME, CERT_EXPIRED, CERT_UNKNOWN_CA, CERT_COUNT };

static struct {
	EVP_PKEY *key;
	X509 *x509;
} certs[CERT_COUNT];
static char certs_ca_file[64];

static inline void certs_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ASSERT(ext && X509_add_ext(cert, ext, -1));
	X509_EXTENSION_free(ext);
}

static inline X509 *certs_make(EVP_PKEY *key, const char *name, const char *alt, long ends_s, X509 *issuer,
			       EVP_PKEY *issuer_key)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
	X509_gmtime_adj(X509_getm_notAfter(cert), ends_s);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
	certs_extend(cert, issuer ? issuer : cert, NID_basic_constraints,
		     issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (alt)
		certs_extend(cert, issuer, NID_subject_alt_name, alt);
	ASSERT(X509_sign(cert, issuer_key, EVP_sha256()));
	return cert;
}

static inline void certs_open(void)
{
	static const struct {
		const char *alt;
		long ends_s;
		int ca;
	} wanted[CERT_COUNT] = {
		[CERT_GOOD] = { "IP:127.0.0.1,DNS:localhost", 7200, 0 },
		[CERT_WRONG_NAME] = { "DNS:other.example", 7200, 0 },
		[CERT_EXPIRED] = { "IP:127.0.0.1,DNS:localhost", -3600, 0 },
		[CERT_UNKNOWN_CA] = { "IP:127.0.0.1,DNS:localhost", 7200, 1 },
	};
	EVP_PKEY *ca_key[2];
	X509 *ca[2];
	FILE *file;
	int fd;

	for (int i = 0; i < 2; i++) {
		ca_key[i] = EVP_EC_gen("P-256");
		ca[i] = certs_make(ca_key[i], i ? "another authority" : "the authority", NULL, 7200, NULL,
				   ca_key[i]);
	}
	for (int i = 0; i < CERT_COUNT; i++) {
		certs[i].key = EVP_EC_gen("P-256");
		certs[i].x509 = certs_make(certs[i].key, "a server", wanted[i].alt, wanted[i].ends_s,
					   ca[wanted[i].ca], ca_key[wanted[i].ca]);
	}
	strcpy(certs_ca_file, "/tmp/posthouse-ca-XXXXXX");
	fd = mkstemp(certs_ca_file);
	ASSERT(fd >= 0);
	file = fdopen(fd, "w");
	ASSERT(PEM_write_X509(file, ca[0]) && fclose(file) == 0);
	for (int i = 0; i < 2; i++) {
		EVP_PKEY_free(ca_key[i]);
		X509_free(ca[i]);
	}
}

static inline void certs_close(void)
{
	unlink(certs_ca_file);
	for (int i = 0; i < CERT_COUNT; i++) {
		EVP_PKEY_free(certs[i].key);
		X509_free(certs[i].x509);
	}
}

#endif
