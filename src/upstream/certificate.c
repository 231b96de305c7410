/* SPDX-License-Identifier: ISC */
/* See certificate.h. */
#include "upstream/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

/* ---- what a certificate says ------------------------------------------------------------- */

/* What a stranger wrote, as printable ASCII. */
static void copy_text(char *out, size_t cap, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool printable = c >= ' ' && c < 0x7f;

		if (n + (printable ? 1 : 4) >= cap)
			break;
		n += (size_t)snprintf(out + n, cap - n, printable ? "%c" : "\\x%02x", c);
	}
	out[n] = '\0';
}

static void describe_name(const X509_NAME *name, char *out, size_t cap)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;

	ASSERT(bio);
	X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
	len = BIO_get_mem_data(bio, &data);
	copy_text(out, cap, data, len > 0 ? (size_t)len : 0);
	BIO_free(bio);
}

static void add_name(struct upstream_certificate *c, const char *text, size_t len)
{
	size_t at = strlen(c->names);

	if (at > 0 && at + 2 < sizeof(c->names))
		at += (size_t)snprintf(c->names + at, sizeof(c->names) - at, ", ");
	copy_text(c->names + at, sizeof(c->names) - at, text, len);
}

static void add_address(struct upstream_certificate *c, const ASN1_OCTET_STRING *address)
{
	char text[INET6_ADDRSTRLEN];
	int len = ASN1_STRING_length(address);

	if ((len == 4 || len == 16) &&
	    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof(text)))
		add_name(c, text, strlen(text));
}

static void describe_names(X509 *cert, struct upstream_certificate *c)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			add_name(c, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
				 (size_t)ASN1_STRING_length(name->d.dNSName));
		else if (name->type == GEN_IPADD)
			add_address(c, name->d.iPAddress);
	}
	GENERAL_NAMES_free(names);
}

static int64_t wall_us(const ASN1_TIME *at)
{
	struct tm tm;

	return at && ASN1_TIME_to_tm(at, &tm) ? (int64_t)timegm(&tm) * 1000000 : 0;
}

static void describe_key(X509 *cert, struct upstream_certificate *c)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	char curve[40];

	if (!key)
		snprintf(c->key, sizeof(c->key), "unknown");
	else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
		 EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1)
		snprintf(c->key, sizeof(c->key), "EC %s", strcmp(curve, "prime256v1") == 0 ? "P-256" : curve);
	else
		snprintf(c->key, sizeof(c->key), "%s %d", OBJ_nid2sn(EVP_PKEY_get_base_id(key)),
			 EVP_PKEY_get_bits(key));
	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
		snprintf(c->key, sizeof(c->key), "RSA %d", EVP_PKEY_get_bits(key));
}

/* As CURLOPT_PINNEDPUBLICKEY has it: base64 of SHA-256 of the SubjectPublicKeyInfo. */
static void describe_pin(X509 *cert, struct upstream_certificate *c)
{
	unsigned char *spki = NULL, hash[SHA256_DIGEST_LENGTH], text[64];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);

	if (len <= 0)
		return;
	SHA256(spki, (size_t)len, hash);
	EVP_EncodeBlock(text, hash, sizeof(hash));
	snprintf(c->pin, sizeof(c->pin), "sha256//%s", (char *)text);
	OPENSSL_free(spki);
}

void certificate_describe(X509 *cert, struct upstream_certificate *c)
{
	memset(c, 0, sizeof(*c));
	describe_name(X509_get_subject_name(cert), c->subject, sizeof(c->subject));
	describe_name(X509_get_issuer_name(cert), c->issuer, sizeof(c->issuer));
	describe_names(cert, c);
	describe_key(cert, c);
	describe_pin(cert, c);
	snprintf(c->signature, sizeof(c->signature), "%s", OBJ_nid2sn(X509_get_signature_nid(cert)));
	c->not_before_wall_us = wall_us(X509_get0_notBefore(cert));
	c->not_after_wall_us = wall_us(X509_get0_notAfter(cert));
	ERR_clear_error(); /* nobody else is to find ours */
}

static void add_date(int64_t wall, struct buf *out)
{
	time_t at = (time_t)(wall / 1000000);
	struct tm tm;
	char text[40];

	if (gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_adds(out, text);
}

void certificate_add_validity(const struct upstream_certificate *c, struct buf *out)
{
	buf_adds(out, ", valid from ");
	add_date(c->not_before_wall_us, out);
	buf_adds(out, " to ");
	add_date(c->not_after_wall_us, out);
	buf_adds(out, " UTC");
}

/* ---- ours ---------------------------------------------------------------------------------- */

/* An encrypted key would be asked for at a terminal that a daemon does not have. */
static int no_passphrase(char *text, int cap, int writing, void *asked)
{
	(void)text;
	(void)cap;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static X509 *read_certificate(const struct upstream_blob *cert)
{
	BIO *bio = BIO_new_mem_buf(cert->data, (int)cert->len);
	X509 *x509;

	ASSERT(bio);
	x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	return x509;
}

static EVP_PKEY *read_key(const struct upstream_blob *key, bool *encrypted)
{
	BIO *bio = BIO_new_mem_buf(key->data, (int)key->len);
	EVP_PKEY *pkey;

	ASSERT(bio);
	*encrypted = false;
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, encrypted);
	BIO_free(bio);
	return pkey;
}

int certificate_check_pair(const struct upstream_blob *cert, const struct upstream_blob *key, struct err *e)
{
	const char *name = key->len > 0 ? "tls_key" : "tls_cert";
	X509 *x509 = read_certificate(cert);
	bool encrypted;
	EVP_PKEY *pkey = read_key(key->len > 0 ? key : cert, &encrypted);
	int result = -1;

	if (!x509)
		err_set(e, "tls_cert: there is no certificate (PEM) in it");
	else if (encrypted)
		err_set(e,
			"%s: the private key is encrypted: store it without passphrase, readable by its "
			"owner",
			name);
	else if (!pkey && key->len == 0)
		err_set(e, "tls_cert: there is no private key (PEM) in it, and no tls_key");
	else if (!pkey)
		err_set(e, "tls_key: there is no private key (PEM) in it");
	else if (X509_check_private_key(x509, pkey) != 1)
		err_set(e, "%s: the private key does not belong to the certificate of tls_cert", name);
	else
		result = 0;
	X509_free(x509);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return result;
}
