/* SPDX-License-Identifier: ISC */
/* See tls_files.h. */
#include "listener/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "config/secret.h"

#define FILE_MAX (4 << 20) /* bytes: a bundle of all authorities there are is a quarter of a megabyte */
#define CERTIFICATES_MAX 1000 /* of a file */
#define CHAIN_MAX 10

/* ---- a file's bytes ---------------------------------------------------------------- */

struct text {
	char *data; /* owned; overwritten when released */
	size_t len;
	struct stat st; /* of the file */
};

static void text_release(struct text *t)
{
	if (t->data)
		OPENSSL_cleanse(t->data, t->len);
	free(t->data);
	*t = (struct text){ 0 };
}

static int read_all(int fd, const char *file, struct text *t, struct err *e)
{
	size_t size = (size_t)t->st.st_size;

	t->data = mem_alloc(size + 1);
	if (file_read_all(fd, t->data, size, &t->len) == 0)
		return 0;
	err_set_os(e, errno, "%s", file);
	return -1;
}

static int read_file(const char *file, struct text *t, struct err *e)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result = -1;

	*t = (struct text){ 0 };
	if (fd < 0 || fstat(fd, &t->st) < 0)
		err_set_os(e, errno, "%s", file);
	else if (!S_ISREG(t->st.st_mode))
		err_set(e, "%s is not a regular file", file);
	else if (t->st.st_size == 0)
		err_set(e, "%s is empty", file);
	else if (t->st.st_size > FILE_MAX)
		err_set(e, "%s is longer than %d bytes", file, FILE_MAX);
	else
		result = read_all(fd, file, t, e);
	if (fd >= 0)
		close(fd);
	if (result < 0)
		text_release(t);
	return result;
}

/* ---- certificates --------------------------------------------------------------------- */

static STACK_OF(X509) * parse_certificates(const char *file, const struct text *text, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
	STACK_OF(X509) *certs = sk_X509_new_null();
	unsigned long why;
	X509 *cert;

	ERR_clear_error();
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) && sk_X509_num(certs) < CERTIFICATES_MAX)
		sk_X509_push(certs, cert);
	X509_free(cert);
	BIO_free(bio);
	why = ERR_peek_last_error();
	ERR_clear_error();
	if (cert)
		err_set(e, "%s has more than %d certificates", file, CERTIFICATES_MAX);
	else if (ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
		err_set(e, "%s: certificate %d in it cannot be read: it is damaged or cut off", file,
			sk_X509_num(certs) + 1);
	else if (sk_X509_num(certs) == 0)
		err_set(e, "%s has no certificate in PEM form (-----BEGIN CERTIFICATE-----)", file);
	else
		return certs;
	sk_X509_pop_free(certs, X509_free);
	return NULL;
}

STACK_OF(X509) * tls_certificates_read(const char *file, struct err *e)
{
	STACK_OF(X509) *certs = NULL;
	struct text text;

	if (read_file(file, &text, e) == 0)
		certs = parse_certificates(file, &text, e);
	text_release(&text);
	return certs;
}

static int64_t wall_us_of(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000000 : INT64_MAX;
}

int64_t tls_certificate_ends_wall_us(const X509 *cert)
{
	return wall_us_of(X509_get0_notAfter(cert));
}

static int check_dates(const char *file, const X509 *cert, struct err *e)
{
	int64_t begins = wall_us_of(X509_get0_notBefore(cert)), ends = tls_certificate_ends_wall_us(cert);
	char text[CLOCK_UTC_MAX];

	if (ends <= clock_wall_us()) {
		err_set(e, "%s: the certificate expired at %s: renew it", file, clock_format_utc(ends, text));
		return -1;
	}
	if (begins != INT64_MAX && begins > clock_wall_us()) {
		err_set(e, "%s: the certificate is not valid before %s: is the clock of this machine right?",
			file, clock_format_utc(begins, text));
		return -1;
	}
	return 0;
}

/* RFC 8446 4.4.2: each certificate signs the one before it; old clients look no further. */
static int check_chain(const char *file, STACK_OF(X509) * certs, struct err *e)
{
	if (sk_X509_num(certs) > CHAIN_MAX) {
		err_set(e, "%s has %d certificates: a chain of more than %d is none", file,
			sk_X509_num(certs), CHAIN_MAX);
		return -1;
	}
	for (int i = 1; i < sk_X509_num(certs); i++) {
		if (X509_check_issued(sk_X509_value(certs, i), sk_X509_value(certs, i - 1)) == X509_V_OK)
			continue;
		err_set(e,
			"%s: certificate %d in it does not sign certificate %d: the order is the server's "
			"own first, "
			"then the one that signs it, and so on",
			file, i + 1, i);
		return -1;
	}
	return 0;
}

/* ---- keys --------------------------------------------------------------------------------- */

static const char key_mark[] = "PRIVATE KEY-----";

/* There is nobody to ask. */
static int no_passphrase(char *buf, int size, int for_writing, void *was_asked)
{
	(void)buf;
	(void)size;
	(void)for_writing;
	*(bool *)was_asked = true;
	return -1;
}

static EVP_PKEY *parse_key(const char *file, bool own_file, const struct text *text, struct err *e)
{
	bool encrypted = false;
	EVP_PKEY *key;
	BIO *bio;

	/* a file of certificates alone may well be readable */
	if (own_file || memmem(text->data, text->len, key_mark, sizeof(key_mark) - 1))
		if (secret_check_file("private key", file, &text->st, e) < 0)
			return NULL;
	bio = BIO_new_mem_buf(text->data, (int)text->len);
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	ERR_clear_error();
	if (key)
		return key;
	if (encrypted)
		err_set(e,
			"%s: the private key is encrypted: write it without a passphrase (openssl pkey -in "
			"OLD -out NEW) "
			"and let nobody else read it",
			file);
	else if (!own_file && !memmem(text->data, text->len, key_mark, sizeof(key_mark) - 1))
		err_set(e, "%s has no private key in it: set tls_key to the file with the key", file);
	else
		err_set(e, "%s has no private key that can be read (PEM, -----BEGIN PRIVATE KEY-----)", file);
	return NULL;
}

static int check_match(const char *cert_file, const char *key_file, STACK_OF(X509) * certs, EVP_PKEY *key,
		       struct err *e)
{
	int at = 0;

	while (at < sk_X509_num(certs) && X509_check_private_key(sk_X509_value(certs, at), key) != 1)
		at++;
	ERR_clear_error();
	if (at == 0)
		return 0;
	if (at < sk_X509_num(certs))
		err_set(e,
			"%s: the server's own certificate is number %d in it and must be the first, then the "
			"one that "
			"signs it, and so on",
			cert_file, at + 1);
	else
		err_set(e,
			"the private key in %s does not belong to the certificate in %s: put a pair that was "
			"made "
			"together there",
			key_file, cert_file);
	return -1;
}

/* ---- both ------------------------------------------------------------------------------------ */

static char *names_text(const struct tls_names *names)
{
	struct buf text;
	char *copy;

	buf_init(&text, 400);
	for (size_t i = 0; i < names->count; i++)
		if (!buf_addf(&text, "%s%s", i ? ", " : "", names->name[i]))
			break;
	copy = mem_strdup(text.data);
	buf_release(&text);
	return copy;
}

void tls_pair_take(struct tls_pair *pair, const char *file, STACK_OF(X509) * certs, EVP_PKEY *key)
{
	memset(pair, 0, sizeof(*pair));
	pair->file = mem_strdup(file);
	pair->cert = sk_X509_shift(certs);
	pair->chain = certs;
	pair->key = key;
	pair->key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(pair->cert));
	pair->begins_wall_us = wall_us_of(X509_get0_notBefore(pair->cert));
	pair->ends_wall_us = tls_certificate_ends_wall_us(pair->cert);
	tls_names_of(pair->cert, false, &pair->names);
	pair->names_text = names_text(&pair->names);
}

int tls_pair_load(struct tls_pair *pair, const char *cert_file, const char *key_file, bool in_date,
		  struct err *e)
{
	struct text cert_text = { 0 }, key_text = { 0 };
	STACK_OF(X509) *certs = NULL;
	EVP_PKEY *key = NULL;
	int result = -1;

	memset(pair, 0, sizeof(*pair));
	if (read_file(cert_file, &cert_text, e) < 0)
		goto out;
	certs = parse_certificates(cert_file, &cert_text, e);
	if (!certs || (key_file && read_file(key_file, &key_text, e) < 0))
		goto out;
	key = parse_key(key_file ? key_file : cert_file, key_file, key_file ? &key_text : &cert_text, e);
	if (!key || check_match(cert_file, key_file ? key_file : cert_file, certs, key, e) < 0 ||
	    (in_date && check_dates(cert_file, sk_X509_value(certs, 0), e) < 0) ||
	    check_chain(cert_file, certs, e) < 0)
		goto out;
	tls_pair_take(pair, cert_file, certs, key);
	result = 0;
out:
	text_release(&cert_text);
	text_release(&key_text);
	if (result < 0) {
		sk_X509_pop_free(certs, X509_free);
		EVP_PKEY_free(key);
	}
	return result;
}

void tls_pair_release(struct tls_pair *pair)
{
	free(pair->file);
	free(pair->names_text);
	X509_free(pair->cert);
	sk_X509_pop_free(pair->chain, X509_free);
	EVP_PKEY_free(pair->key);
	tls_names_release(&pair->names);
	memset(pair, 0, sizeof(*pair));
}
