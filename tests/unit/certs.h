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
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

enum cert {
	CERT_GOOD,
	CERT_WRONG_NAME,
	CERT_EXPIRED,
	CERT_UNKNOWN_CA,
	CERT_NOT_YET,
	CERT_SELF_SIGNED,
	CERT_SMALL_KEY, /* RSA 1024 */
	CERT_SHA1, /* by the authority, with SHA-1 */
	CERT_MD5,
	CERT_CLIENT, /* for us */
	CERT_CLIENT_UNKNOWN, /* of an authority that servers do not know */
	CERT_COUNT
};

static struct {
	EVP_PKEY *key;
	X509 *x509;
} certs[CERT_COUNT];
static char certs_ca_file[64];
static X509 *certs_ca; /* the authority */

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

static inline X509 *certs_make(EVP_PKEY *key, const char *name, const char *alt, long begins_s, long ends_s,
			       X509 *issuer, EVP_PKEY *issuer_key, const EVP_MD *md)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(cert), begins_s);
	X509_gmtime_adj(X509_getm_notAfter(cert), ends_s);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
	certs_extend(cert, issuer ? issuer : cert, NID_basic_constraints,
		     issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (alt)
		certs_extend(cert, issuer ? issuer : cert, NID_subject_alt_name, alt);
	ASSERT(X509_sign(cert, issuer_key, md));
	return cert;
}

/* PEM; freed by the caller */
static inline char *certs_pem(enum cert cert, bool with_cert, bool with_key, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long len;

	if (with_cert)
		ASSERT(PEM_write_bio_X509(bio, certs[cert].x509));
	if (with_key)
		ASSERT(PEM_write_bio_PrivateKey(bio, certs[cert].key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0,
						NULL, (void *)(uintptr_t)passphrase));
	len = BIO_get_mem_data(bio, &data);
	text = strndup(data, (size_t)len);
	BIO_free(bio);
	return text;
}

#define SERVER "IP:127.0.0.1,DNS:localhost"

static inline void certs_open(void)
{
	static const struct {
		const char *name, *alt;
		long begins_s, ends_s;
		int ca; /* -1: itself */
	} wanted[CERT_COUNT] = {
		[CERT_GOOD] = { "a server", SERVER, -7200, 7200, 0 },
		[CERT_WRONG_NAME] = { "a server", "DNS:other.example", -7200, 7200, 0 },
		[CERT_EXPIRED] = { "a server", SERVER, -7200, -3600, 0 },
		[CERT_UNKNOWN_CA] = { "a server", SERVER, -7200, 7200, 1 },
		[CERT_NOT_YET] = { "a server", SERVER, 3600, 7200, 0 },
		[CERT_SELF_SIGNED] = { "a server", SERVER, -7200, 7200, -1 },
		[CERT_SMALL_KEY] = { "a server", SERVER, -7200, 7200, 0 },
		[CERT_SHA1] = { "a server", SERVER, -7200, 7200, 0 },
		[CERT_MD5] = { "a server", SERVER, -7200, 7200, 0 },
		[CERT_CLIENT] = { "relay.example.org", NULL, -7200, 7200, 0 },
		[CERT_CLIENT_UNKNOWN] = { "relay.example.org", NULL, -7200, 7200, 1 },
	};
	EVP_PKEY *ca_key[2];
	X509 *ca[2];
	FILE *file;
	int fd;

	for (int i = 0; i < 2; i++) {
		ca_key[i] = i ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048); /* there is no ECDSA with MD5 */
		ca[i] = certs_make(ca_key[i], i ? "another authority" : "the authority", NULL, -7200, 7200, NULL,
				   ca_key[i], EVP_sha256());
	}
	for (int i = 0; i < CERT_COUNT; i++) {
		X509 *issuer = wanted[i].ca < 0 ? NULL : ca[wanted[i].ca];

		certs[i].key = i == CERT_SMALL_KEY ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256");
		certs[i].x509 = certs_make(certs[i].key, wanted[i].name, wanted[i].alt, wanted[i].begins_s,
					   wanted[i].ends_s, issuer, issuer ? ca_key[wanted[i].ca] : certs[i].key,
					   i == CERT_SHA1 ? EVP_sha1() : i == CERT_MD5 ? EVP_md5() : EVP_sha256());
	}
	strcpy(certs_ca_file, "/tmp/posthouse-ca-XXXXXX");
	fd = mkstemp(certs_ca_file);
	ASSERT(fd >= 0);
	file = fdopen(fd, "w");
	ASSERT(PEM_write_X509(file, ca[0]) && fclose(file) == 0);
	certs_ca = ca[0];
	X509_free(ca[1]);
	for (int i = 0; i < 2; i++)
		EVP_PKEY_free(ca_key[i]);
}

static inline void certs_close(void)
{
	unlink(certs_ca_file);
	X509_free(certs_ca);
	for (int i = 0; i < CERT_COUNT; i++) {
		EVP_PKEY_free(certs[i].key);
		X509_free(certs[i].x509);
	}
}

#endif
