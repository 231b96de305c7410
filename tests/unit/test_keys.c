/* SPDX-License-Identifier: ISC */
/* The key process and who asks it: what is signed (pure), the vault, handshakes of all kinds, faults of both sides. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "keys/client.h"
#include "keys/provider.h"
#include "keys/server.h"
#include "keys/statement.h"
#include "keys/use.h"
#include "keys/vault.h"
#include "unit.h"

/* ---- what a TLS server signs ---------------------------------------------------------------- */

#define CONTEXT "TLS 1.3, server CertificateVerify"

static size_t verify_of(unsigned char *out, size_t hash)
{
	memset(out, ' ', 64);
	memcpy(out + 64, CONTEXT, sizeof(CONTEXT));
	memset(out + 64 + sizeof(CONTEXT), 7, hash);
	return 64 + sizeof(CONTEXT) + hash;
}

static size_t ecdhe_of(unsigned char *out, size_t point)
{
	memset(out, 9, 64 + 4 + point);
	out[64] = 3;
	out[65] = 0;
	out[66] = point == 32 ? 29 : point == 56 ? 30 : point == 65 ? 23 : point == 97 ? 24 : 25;
	out[67] = (unsigned char)point;
	if (out[66] < 29)
		out[68] = 4;
	return 64 + 4 + point;
}

static size_t dhe_of(unsigned char *out, size_t prime)
{
	unsigned char *at = out + 64;

	memset(out, 0xf1, 64 + 2 + prime + 3 + 2 + prime);
	*at++ = (unsigned char)(prime >> 8);
	*at++ = (unsigned char)prime;
	at += prime;
	*at++ = 0;
	*at++ = 1;
	*at++ = 2;
	*at++ = (unsigned char)(prime >> 8);
	*at++ = (unsigned char)prime;
	return (size_t)(at - out) + prime;
}

START_TEST(statements_of_a_server)
{
	unsigned char s[KEYS_DATA_MAX];
	size_t len;

	for (size_t hash = 0; hash < 70; hash++) {
		len = verify_of(s, hash);
		ck_assert_int_eq(keys_statement_of(s, len),
				 hash == 32 || hash == 48 ? KEYS_STATEMENT_VERIFY : KEYS_STATEMENT_NONE);
	}
	for (size_t point = 1; point < 256; point++) {
		len = ecdhe_of(s, point);
		ck_assert_int_eq(keys_statement_of(s, len),
				 point == 32 || point == 56 || point == 65 || point == 97 || point == 133 ?
					 KEYS_STATEMENT_EXCHANGE :
					 KEYS_STATEMENT_NONE);
		ck_assert_int_eq(keys_statement_of(s, len - 1), KEYS_STATEMENT_NONE);
		ck_assert_int_eq(keys_statement_of(s, len + 1), KEYS_STATEMENT_NONE);
	}
	for (size_t prime = 128; prime <= 1024; prime *= 2) {
		len = dhe_of(s, prime);
		for (size_t cut = 0; cut < len; cut++)
			ck_assert_int_eq(keys_statement_of(s, cut), KEYS_STATEMENT_NONE);
		ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_EXCHANGE);
		ck_assert_int_eq(keys_statement_of(s, len + 1), KEYS_STATEMENT_NONE);
	}
}
END_TEST

START_TEST(statements_of_others)
{
	static const char client[] = "TLS 1.3, client CertificateVerify";
	unsigned char s[KEYS_DATA_MAX];
	size_t len;

	for (size_t at = 0; at < 64 + sizeof(CONTEXT); at++) {
		len = verify_of(s, 32);
		s[at] ^= 1;
		ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	}
	len = verify_of(s, 32);
	memcpy(s + 64, client, sizeof(client));
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	len = ecdhe_of(s, 32);
	s[64] = 1; /* explicit_prime: gone since RFC 8422 */
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	s[64] = 3;
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_EXCHANGE);
	s[66] = 31; /* no curve in use */
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	len = ecdhe_of(s, 65);
	s[68] = 2; /* compressed */
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	len = dhe_of(s, 128);
	s[64 + 2 + 128 + 2] = 3; /* a generator of no group */
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	len = dhe_of(s, 128);
	s[66] = 0; /* a small prime with zeros before it */
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	len = dhe_of(s, 64);
	ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
	/* a certificate, a token, a digest, nothing */
	memset(s, 0x30, sizeof(s));
	ck_assert_int_eq(keys_statement_of(s, 900), KEYS_STATEMENT_NONE);
	memcpy(s, "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJtZSJ9", 38);
	ck_assert_int_eq(keys_statement_of(s, 400), KEYS_STATEMENT_NONE);
	for (len = 0; len <= 64; len++)
		ck_assert_int_eq(keys_statement_of(s, len), KEYS_STATEMENT_NONE);
}
END_TEST

/* ---- keys, a vault of them, the process ------------------------------------------------------------ */

enum { RSA_KEY, RSA_LEGACY, P256_KEY, EC384_KEY, ED_KEY, PSS_KEY, ED448_KEY, EC_MODERN, KEYS };

static const unsigned may[KEYS] = {
	[RSA_KEY] = VAULT_MAY_EXCHANGE,
	[RSA_LEGACY] = VAULT_MAY_EXCHANGE | VAULT_MAY_OLD | VAULT_MAY_DECRYPT,
	[P256_KEY] = VAULT_MAY_EXCHANGE | VAULT_MAY_OLD,
	[EC384_KEY] = VAULT_MAY_EXCHANGE,
	[ED_KEY] = VAULT_MAY_EXCHANGE,
	[PSS_KEY] = VAULT_MAY_EXCHANGE,
	[ED448_KEY] = VAULT_MAY_EXCHANGE,
	[EC_MODERN] = 0,
};

static EVP_PKEY *real[KEYS], *public_half[KEYS];
static int vault_fd, line[2], control_line[2];
static struct control own_control;
static pid_t process;
static _Atomic bool *ready;

static EVP_PKEY *new_pss(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY *key = NULL;

	ck_assert_int_eq(EVP_PKEY_keygen_init(ctx), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048), 1);
	ck_assert_int_eq(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *public_of(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	const unsigned char *at;
	int len = i2d_PUBKEY(key, &der);
	EVP_PKEY *public;

	ck_assert_int_gt(len, 0);
	at = der;
	public = d2i_PUBKEY(NULL, &at, len);
	OPENSSL_free(der);
	return public;
}

static void keys_are_made(void)
{
	struct err e;

	real[RSA_KEY] = EVP_RSA_gen(2048);
	real[RSA_LEGACY] = EVP_RSA_gen(2048);
	real[P256_KEY] = EVP_EC_gen("P-256");
	real[EC384_KEY] = EVP_EC_gen("P-384");
	real[ED_KEY] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	real[PSS_KEY] = new_pss();
	real[ED448_KEY] = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	real[EC_MODERN] = EVP_EC_gen("P-256");
	vault_fd = vault_new(&e);
	ck_assert_int_ge(vault_fd, 0);
	for (int i = 0; i < KEYS; i++) {
		ck_assert_msg(vault_put(vault_fd, real[i], may[i], &e) == 0, "%s", e.text);
		public_half[i] = public_of(real[i]);
	}
	ck_assert_int_eq(vault_seal(vault_fd, &e), 0);
}

static void keys_are_freed(void)
{
	for (int i = 0; i < KEYS; i++) {
		EVP_PKEY_free(real[i]);
		EVP_PKEY_free(public_half[i]);
	}
	close(vault_fd);
}

static _Noreturn void be_the_process(unsigned max_clients)
{
	struct control control;
	struct keys_server_config config = { .line_fd = line[0], .control = &control, .max_clients = max_clients,
					     .threads = 2, .ready = ready };
	struct vault vault;
	struct err e;
	int r;

	close(line[1]);
	close(control_line[1]);
	control_init(&control, control_line[0], 1000);
	if (vault_read(&vault, vault_fd, &e) < 0)
		_exit(3);
	config.vault = &vault;
	r = keys_server_run(&config, &e);
	vault_release(&vault);
	_exit(r < 0 ? 1 : 0);
}

static void start_process(unsigned max_clients)
{
	atomic_store(ready, false);
	process = fork();
	if (process == 0)
		be_the_process(max_clients);
	ck_assert_int_gt(process, 0);
	while (!atomic_load(ready))
		poll(NULL, 0, 1);
}

static int end_of_process(void)
{
	int status;

	ck_assert_int_eq(waitpid(process, &status, 0), process);
	process = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void kill_process(void)
{
	kill(process, SIGKILL);
	ck_assert_int_eq(end_of_process(), -SIGKILL);
}

static void lines_open(void)
{
	ready = mmap(NULL, sizeof(*ready), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(ready, MAP_FAILED);
	ck_assert_int_eq(descriptors_request_line(line), 0);
	ck_assert_int_eq(control_pair(control_line), 0);
	control_init(&own_control, -1, 0);
	keys_client_use(line[1], NULL);
}

static void world_begin(void)
{
	lines_open();
	start_process(10);
}

static void world_end(void)
{
	keys_client_use(-1, NULL);
	if (process)
		kill_process();
	close(line[0]);
	close(line[1]);
	close(control_line[0]);
	close(control_line[1]);
	munmap(ready, sizeof(*ready));
}

/* ---- requests by hand ---------------------------------------------------------------------------------- */

static bool ask(int key, enum keys_scheme scheme, enum keys_digest digest, const unsigned char *data, size_t len,
		struct keys_answer *answer)
{
	struct keys_request r = { .key = (uint32_t)key, .scheme = scheme, .digest = digest, .len = (uint32_t)len };

	memcpy(r.data, data, len);
	return keys_client_ask(&r, answer);
}

static bool verifies(int key, const char *digest, bool pss, const unsigned char *data, size_t len,
		     const struct keys_answer *a)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how;
	bool good;

	ck_assert_int_eq(EVP_DigestVerifyInit_ex(ctx, &how, digest, NULL, NULL, real[key], NULL), 1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST);
	}
	good = EVP_DigestVerify(ctx, a->data, a->len, data, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

START_TEST(signatures_are_good)
{
	static const struct {
		int key;
		enum keys_scheme scheme;
		enum keys_digest digest;
		const char *name;
		bool old; /* not for TLS 1.3 */
	} rows[] = {
		{ RSA_KEY, KEYS_RSA_PSS, KEYS_SHA256, "SHA256", false },
		{ RSA_KEY, KEYS_RSA_PSS, KEYS_SHA512, "SHA512", false },
		{ RSA_KEY, KEYS_RSA_PKCS1, KEYS_SHA384, "SHA384", true },
		{ RSA_LEGACY, KEYS_RSA_PKCS1, KEYS_MD5_SHA1, "MD5-SHA1", true },
		{ PSS_KEY, KEYS_RSA_PSS, KEYS_SHA256, "SHA256", false },
		{ P256_KEY, KEYS_ECDSA, KEYS_SHA256, "SHA256", false },
		{ P256_KEY, KEYS_ECDSA, KEYS_SHA1, "SHA1", true },
		{ EC384_KEY, KEYS_ECDSA, KEYS_SHA384, "SHA384", false },
		{ ED_KEY, KEYS_EDDSA, KEYS_NO_DIGEST, NULL, false },
		{ ED448_KEY, KEYS_EDDSA, KEYS_NO_DIGEST, NULL, false },
	};
	unsigned char s[KEYS_DATA_MAX];
	struct keys_answer a;
	size_t len;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool pss = rows[i].scheme == KEYS_RSA_PSS;

		len = ecdhe_of(s, 65);
		ck_assert_msg(ask(rows[i].key, rows[i].scheme, rows[i].digest, s, len, &a), "row %zu", i);
		ck_assert_msg(verifies(rows[i].key, rows[i].name, pss, s, len, &a), "row %zu", i);
		ck_assert_ptr_null(keys_client_trouble());
		s[3] ^= 1;
		ck_assert(!verifies(rows[i].key, rows[i].name, pss, s, len, &a));
		len = verify_of(s, 48);
		ck_assert_msg(ask(rows[i].key, rows[i].scheme, rows[i].digest, s, len, &a) == !rows[i].old, "row %zu", i);
		ck_assert(rows[i].old || verifies(rows[i].key, rows[i].name, pss, s, len, &a));
	}
	len = dhe_of(s, 1024);
	ck_assert(ask(RSA_KEY, KEYS_RSA_PSS, KEYS_SHA256, s, len, &a));
	len = verify_of(s, 32);
	ck_assert(ask(EC_MODERN, KEYS_ECDSA, KEYS_SHA256, s, len, &a));
}
END_TEST

START_TEST(what_is_refused)
{
	unsigned char s[KEYS_DATA_MAX], digest[32] = { 1 };
	struct keys_answer a;
	size_t len = ecdhe_of(s, 65);

	ck_assert(!ask(RSA_KEY, KEYS_RSA_PKCS1, KEYS_MD5_SHA1, s, len, &a)); /* not the legacy profile */
	ck_assert_str_eq(keys_client_trouble(), "the key process refused to use the private key for that");
	ck_assert(!ask(RSA_KEY, KEYS_RSA_PKCS1, KEYS_SHA1, s, len, &a));
	ck_assert(!ask(RSA_KEY, KEYS_RSA_PKCS1, KEYS_NO_DIGEST, s, len, &a));
	ck_assert(!ask(RSA_KEY, KEYS_ECDSA, KEYS_SHA256, s, len, &a)); /* another kind of key */
	ck_assert(!ask(P256_KEY, KEYS_RSA_PKCS1, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(PSS_KEY, KEYS_RSA_PKCS1, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(ED_KEY, KEYS_EDDSA, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(EC_MODERN, KEYS_ECDSA, KEYS_SHA256, s, len, &a)); /* TLS 1.3 alone */
	ck_assert(!ask(KEYS, KEYS_ECDSA, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(-1, KEYS_ECDSA, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(P256_KEY, KEYS_SCHEMES, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(P256_KEY, (enum keys_scheme)-1, KEYS_SHA256, s, len, &a));
	ck_assert(!ask(P256_KEY, KEYS_ECDSA, KEYS_DIGESTS, s, len, &a));
	ck_assert(!ask(P256_KEY, KEYS_ECDSA, KEYS_SHA256, digest, sizeof(digest), &a)); /* anything at all */
	ck_assert(!ask(P256_KEY, KEYS_ECDSA, KEYS_SHA256, digest, 0, &a));
	ck_assert(!ask(RSA_KEY, KEYS_RSA_DECRYPT, KEYS_NO_DIGEST, s, 256, &a)); /* not the legacy profile */
	ck_assert(!ask(P256_KEY, KEYS_RSA_DECRYPT, KEYS_NO_DIGEST, s, 256, &a));
	ck_assert(ask(P256_KEY, KEYS_ECDSA, KEYS_SHA256, s, len, &a)); /* and still there */
}
END_TEST

static size_t encrypt(int key, const unsigned char *data, size_t len, unsigned char *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(real[key], NULL);
	size_t out_len = 512;

	ck_assert_int_eq(EVP_PKEY_encrypt_init(ctx), 1);
	EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING);
	ck_assert_int_eq(EVP_PKEY_encrypt(ctx, out, &out_len, data, len), 1);
	EVP_PKEY_CTX_free(ctx);
	return out_len;
}

START_TEST(a_premaster_secret_and_nothing_else)
{
	struct keys_request r = { .key = RSA_LEGACY, .scheme = KEYS_RSA_DECRYPT, .client_version = 0x303,
				  .negotiated_version = 0x303 };
	unsigned char secret[48] = { 3, 3, 42, 1, 2, 3 };
	struct keys_answer a;

	r.len = (uint32_t)encrypt(RSA_LEGACY, secret, sizeof(secret), r.data);
	ck_assert(keys_client_ask(&r, &a));
	ck_assert_uint_eq(a.len, 48);
	ck_assert_mem_eq(a.data, secret, 48);
	/* of another length, another version, or badly padded: 48 octets that are not it, and no word of a failure */
	r.len = (uint32_t)encrypt(RSA_LEGACY, secret, 20, r.data);
	ck_assert(keys_client_ask(&r, &a));
	ck_assert_uint_eq(a.len, 48);
	ck_assert_mem_ne(a.data, secret, 20);
	secret[1] = 2;
	r.len = (uint32_t)encrypt(RSA_LEGACY, secret, sizeof(secret), r.data);
	ck_assert(keys_client_ask(&r, &a));
	ck_assert_mem_ne(a.data, secret, 48);
	memset(r.data, 1, 256);
	ck_assert(keys_client_ask(&r, &a));
	ck_assert_uint_eq(a.len, 48);
}
END_TEST

/* ---- handshakes ------------------------------------------------------------------------------------------- */

static X509 *certificate_of(int key)
{
	EVP_PKEY *issuer = key == PSS_KEY || key == RSA_KEY ? real[P256_KEY] : real[key];
	X509 *cert = X509_new();

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), key + 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, public_half[key]);
	ck_assert_int_gt(X509_sign(cert, issuer,
				   EVP_PKEY_is_a(issuer, "ED25519") || EVP_PKEY_is_a(issuer, "ED448") ? NULL : EVP_sha256()),
			 0);
	return cert;
}

/* A handshake in memory; returns whether it came about, and leaves the names of what was used. */
static bool shake_hands(int key, int version, const char *ciphers, const char *signature, char *used, size_t cap)
{
	SSL_CTX *sctx = SSL_CTX_new(TLS_server_method()), *cctx = SSL_CTX_new(TLS_client_method());
	struct err e;
	EVP_PKEY *handle = keys_provider_key(public_half[key], (uint32_t)key, &e);
	X509 *cert = certificate_of(key);
	BIO *one, *other;
	SSL *server, *client;
	bool done = false;

	ck_assert_msg(handle != NULL, "%s", e.text);
	SSL_CTX_set_dh_auto(sctx, 1);
	SSL_CTX_set_cipher_list(sctx, "ALL:@SECLEVEL=0");
	SSL_CTX_set_cipher_list(cctx, ciphers ? ciphers : "ALL:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(sctx, TLS1_VERSION);
	SSL_CTX_set_min_proto_version(cctx, version);
	SSL_CTX_set_max_proto_version(cctx, version);
	if (signature)
		ck_assert_int_eq(SSL_CTX_set1_sigalgs_list(cctx, signature), 1);
	ck_assert_int_eq(SSL_CTX_use_cert_and_key(sctx, cert, handle, NULL, 1), 1);
	server = SSL_new(sctx);
	client = SSL_new(cctx);
	BIO_new_bio_pair(&one, 0, &other, 0);
	SSL_set_bio(server, one, one);
	SSL_set_bio(client, other, other);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 10 && !done; i++) {
		int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

		done = c == 1 && s == 1;
	}
	if (used)
		snprintf(used, cap, "%s %s", SSL_get_version(client), SSL_get_cipher_name(client));
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(sctx);
	SSL_CTX_free(cctx);
	X509_free(cert);
	EVP_PKEY_free(handle);
	ERR_clear_error();
	return done;
}

START_TEST(handshakes)
{
	static const struct {
		int key, version;
		const char *ciphers, *signature, *used;
	} rows[] = {
		{ P256_KEY, TLS1_3_VERSION, NULL, NULL, "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ EC384_KEY, TLS1_3_VERSION, NULL, "ECDSA+SHA384", "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ EC_MODERN, TLS1_3_VERSION, NULL, NULL, "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ RSA_KEY, TLS1_3_VERSION, NULL, NULL, "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ RSA_KEY, TLS1_3_VERSION, NULL, "rsa_pss_rsae_sha512", "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ PSS_KEY, TLS1_3_VERSION, NULL, "rsa_pss_pss_sha256", "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ ED_KEY, TLS1_3_VERSION, NULL, "ed25519", "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ ED448_KEY, TLS1_3_VERSION, NULL, "ed448", "TLSv1.3 TLS_AES_256_GCM_SHA384" },
		{ P256_KEY, TLS1_2_VERSION, NULL, NULL, "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384" },
		{ ED_KEY, TLS1_2_VERSION, NULL, NULL, "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384" },
		{ RSA_KEY, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", "RSA+SHA256", "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256" },
		{ RSA_KEY, TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", "rsa_pss_rsae_sha256",
		  "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256" },
		{ RSA_KEY, TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", NULL, "TLSv1.2 DHE-RSA-AES128-GCM-SHA256" },
		{ RSA_LEGACY, TLS1_2_VERSION, "AES128-SHA:@SECLEVEL=0", NULL, "TLSv1.2 AES128-SHA" },
		{ RSA_LEGACY, TLS1_1_VERSION, "ECDHE-RSA-AES128-SHA:@SECLEVEL=0", NULL, "TLSv1.1 ECDHE-RSA-AES128-SHA" },
		{ RSA_LEGACY, TLS1_VERSION, "DHE-RSA-AES128-SHA:@SECLEVEL=0", NULL, "TLSv1 DHE-RSA-AES128-SHA" },
		{ RSA_LEGACY, TLS1_VERSION, "AES128-SHA:@SECLEVEL=0", NULL, "TLSv1 AES128-SHA" },
		{ P256_KEY, TLS1_VERSION, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", NULL, "TLSv1 ECDHE-ECDSA-AES128-SHA" },
		/* what the profile does not have */
		{ EC_MODERN, TLS1_2_VERSION, NULL, NULL, NULL },
		{ RSA_KEY, TLS1_2_VERSION, "AES128-SHA:@SECLEVEL=0", NULL, NULL },
		{ RSA_KEY, TLS1_VERSION, "ECDHE-RSA-AES128-SHA:@SECLEVEL=0", NULL, NULL },
	};
	char used[100];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool done = shake_hands(rows[i].key, rows[i].version, rows[i].ciphers, rows[i].signature, used, sizeof(used));

		ck_assert_msg(done == (rows[i].used != NULL), "row %zu: %s, %s", i, used, keys_client_trouble());
		if (rows[i].used)
			ck_assert_str_eq(used, rows[i].used);
	}
}
END_TEST

/* The others are as they were: a key of OpenSSL's own signs by itself, whatever there is beside it. */
START_TEST(nobody_else_meets_the_provider)
{
	struct err e;
	EVP_PKEY *handle = keys_provider_key(public_half[P256_KEY], P256_KEY, &e), *fresh;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[200];
	size_t len = sizeof(sig);

	keys_client_use(-1, NULL);
	fresh = EVP_EC_gen("P-256");
	ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, fresh, NULL), 1);
	ck_assert_int_eq(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"x", 1), 1);
	EVP_MD_CTX_reset(ctx);
	len = sizeof(sig);
	ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, handle, NULL), 1);
	ck_assert_int_ne(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"x", 1), 1);
	ck_assert_str_eq(keys_client_trouble(), "the key process cannot be reached");
	ck_assert_int_eq(EVP_PKEY_eq(handle, public_half[P256_KEY]), 1);
	ck_assert_int_eq(EVP_PKEY_eq(public_half[P256_KEY], handle), 1);
	ck_assert_int_ne(EVP_PKEY_eq(handle, public_half[EC_MODERN]), 1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(fresh);
	EVP_PKEY_free(handle);
}
END_TEST

/* ---- faults -------------------------------------------------------------------------------------------------- */

START_TEST(a_killed_process_is_followed_by_another)
{
	for (int i = 0; i < 5; i++) {
		ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0));
		kill_process();
		start_process(10);
	}
	ck_assert(shake_hands(RSA_KEY, TLS1_2_VERSION, NULL, NULL, NULL, 0));
}
END_TEST

/* Asked while there is none: the question waits for the next one. */
START_TEST(a_question_waits)
{
	pid_t asker;
	int status;

	kill_process();
	asker = fork();
	if (asker == 0)
		_exit(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0) ? 0 : 1);
	poll(NULL, 0, 50); /* most of the time it has asked by then; if not, it is answered all the same */
	start_process(10);
	ck_assert_int_eq(waitpid(asker, &status, 0), asker);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_stop_ends_the_wait)
{
	int own_line[2];
	struct keys_answer a;
	unsigned char s[KEYS_DATA_MAX];
	size_t len = verify_of(s, 32);

	kill_process();
	ck_assert_int_eq(control_pair(own_line), 0);
	control_init(&own_control, own_line[0], 1000);
	keys_client_use(line[1], &own_control);
	ck_assert_int_eq(write(own_line[1], "s", 1), 1);
	ck_assert(!ask(P256_KEY, KEYS_ECDSA, KEYS_SHA256, s, len, &a));
	ck_assert(own_control.stopping);
	keys_client_use(-1, NULL);
	close(own_line[0]);
	close(own_line[1]);
}
END_TEST

/* A connection by hand, to say what a worker of ours would not. */
static int connect_by_hand(const void *hello, size_t len, bool seqpacket)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, (seqpacket ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(descriptors_send(line[1], hello, len, &pair[1], 1), 0);
	close(pair[1]);
	return pair[0];
}

static bool is_closed(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char c[sizeof(struct keys_answer)];

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	return recv(fd, c, sizeof(c), MSG_DONTWAIT) <= 0;
}

START_TEST(lying_workers)
{
	struct keys_hello hello = { .version = KEYS_VERSION };
	struct keys_request r = { .version = KEYS_VERSION, .key = P256_KEY, .scheme = KEYS_ECDSA, .digest = KEYS_SHA256 };
	const size_t head = offsetof(struct keys_request, data);
	static char big[sizeof(struct keys_request) + 1000];
	struct keys_answer a;
	int fd, other[4];

	fd = connect_by_hand("x", 1, true);
	ck_assert(is_closed(fd));
	close(fd);
	hello.version++;
	fd = connect_by_hand(&hello, sizeof(hello), true);
	ck_assert(is_closed(fd));
	close(fd);
	hello.version--;
	fd = connect_by_hand(&hello, sizeof(hello), false);
	ck_assert(is_closed(fd));
	close(fd);
	ck_assert_int_eq(descriptors_send(line[1], &hello, sizeof(hello), NULL, 0), 0); /* no descriptor */
	for (int i = 0; i < 4; i++)
		other[i] = fcntl(0, F_DUPFD, 0);
	ck_assert_int_eq(descriptors_send(line[1], &hello, sizeof(hello), other, 4), 0); /* too many */
	for (int i = 0; i < 4; i++)
		close(other[i]);

	r.len = (uint32_t)ecdhe_of(r.data, 65);
	fd = connect_by_hand(&hello, sizeof(hello), true);
	for (size_t len = 1; len < head + r.len + 3; len++) { /* cut and longer: an answer, and only one is good */
		ck_assert_int_eq(send(fd, &r, len, 0), (ssize_t)len);
		ck_assert_int_gt(recv(fd, &a, sizeof(a), 0), 0);
		ck_assert_int_eq(a.result, len == head + r.len ? KEYS_DONE : KEYS_REFUSED);
	}
	memcpy(big, &r, head);
	ck_assert_int_eq(send(fd, big, sizeof(big), 0), (ssize_t)sizeof(big));
	ck_assert_int_gt(recv(fd, &a, sizeof(a), 0), 0);
	ck_assert_int_eq(a.result, KEYS_REFUSED);
	r.len = UINT32_MAX;
	ck_assert_int_eq(send(fd, &r, head, 0), (ssize_t)head);
	ck_assert_int_gt(recv(fd, &a, sizeof(a), 0), 0);
	ck_assert_int_eq(a.result, KEYS_REFUSED);
	close(fd);
	ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0));
}
END_TEST

/* Asks and never reads: closed, not waited for. Meanwhile others are answered. */
START_TEST(who_does_not_read)
{
	struct keys_hello hello = { .version = KEYS_VERSION };
	struct keys_request r = { .version = KEYS_VERSION, .key = P256_KEY, .scheme = KEYS_ECDSA, .digest = KEYS_SHA256 };
	size_t len = offsetof(struct keys_request, data);
	int fd = connect_by_hand(&hello, sizeof(hello), true), asked = 0, status;
	pid_t other;

	r.len = (uint32_t)ecdhe_of(r.data, 65);
	len += r.len;
	while (send(fd, &r, len, MSG_NOSIGNAL) == (ssize_t)len)
		ck_assert_int_lt(++asked, 1000000);
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	close(fd);
	other = fork();
	if (other == 0)
		_exit(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0) ? 0 : 1);
	ck_assert_int_eq(waitpid(other, &status, 0), other);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A process has one connection, and all of them together as many as there is room for: the others come back. */
START_TEST(connections_are_bounded)
{
	enum { CHILDREN = 25 };
	struct keys_hello hello = { .version = KEYS_VERSION };
	int first = connect_by_hand(&hello, sizeof(hello), true), second, go[2];
	pid_t child[CHILDREN];

	second = connect_by_hand(&hello, sizeof(hello), true);
	ck_assert(is_closed(first));
	close(first);
	ck_assert_int_eq(pipe(go), 0);
	for (int i = 0; i < CHILDREN; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			char c;
			bool good = shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0);

			/* with its connection open until all have had theirs; then once more */
			close(go[1]);
			good = read(go[0], &c, 1) == 0 && good;
			_exit(good && shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0) ? 0 : 1);
		}
	}
	close(go[0]);
	ck_assert(is_closed(second)); /* it was quiet for longest */
	close(second);
	close(go[1]);
	for (int i = 0; i < CHILDREN; i++) {
		int status;

		ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
		ck_assert_int_eq(status, 0);
	}
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------------------------- */

START_TEST(an_old_one_serves_until_nobody_can_ask)
{
	ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0));
	ck_assert_int_eq(write(control_line[1], "o", 1), 1);
	ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0));
	close(line[0]); /* the master's copies of the line; line[1] is in use for new connections until here */
	close(line[1]);
	line[0] = line[1] = -1;
	ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0)); /* by the connection that is there */
	ck_assert_int_eq(waitpid(process, NULL, WNOHANG), 0);
	keys_client_use(-1, NULL); /* and now it is gone */
	ck_assert_int_eq(end_of_process(), 0);
}
END_TEST

START_TEST(a_stop_ends_it)
{
	ck_assert_int_eq(write(control_line[1], "s", 1), 1);
	ck_assert_int_eq(end_of_process(), 0);
}
END_TEST

/* Within the grace a handshake under way gets what it needs, and no worker can hold the process beyond it. */
START_TEST(a_stop_ends_it_with_a_connection_too)
{
	int64_t began;

	ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0));
	began = clock_mono_ms();
	ck_assert_int_eq(write(control_line[1], "s", 1), 1);
	ck_assert(shake_hands(P256_KEY, TLS1_3_VERSION, NULL, NULL, NULL, 0));
	ck_assert_int_eq(end_of_process(), 0);
	ck_assert_int_ge(clock_mono_ms() - began, 900);
}
END_TEST

START_TEST(a_line_that_was_shut_down_is_a_failure)
{
	ck_assert_int_eq(shutdown(line[1], SHUT_WR), 0);
	ck_assert_int_eq(end_of_process(), 1);
}
END_TEST

START_TEST(a_damaged_vault)
{
	unsigned char data[300] = { 0 };
	struct vault v;
	struct err e;
	int fd;

	for (size_t len = 0; len < sizeof(data); len += 7) {
		memset(data, (int)len, sizeof(data));
		fd = vault_new(&e);
		ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
		ck_assert_int_eq(vault_read(&v, fd, &e), -1);
		close(fd);
	}
	ck_assert_int_lt(write(vault_fd, data, 1), 0); /* sealed */
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_lt(ftruncate(vault_fd, 0), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keys");
	TCase *tc = tcase_create("pure");

	tcase_add_test(tc, statements_of_a_server);
	tcase_add_test(tc, statements_of_others);
	suite_add_tcase(s, tc);
	tc = tcase_create("process");
	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, keys_are_made, keys_are_freed);
	tcase_add_checked_fixture(tc, world_begin, world_end);
	tcase_add_test(tc, signatures_are_good);
	tcase_add_test(tc, what_is_refused);
	tcase_add_test(tc, a_premaster_secret_and_nothing_else);
	tcase_add_test(tc, handshakes);
	tcase_add_test(tc, nobody_else_meets_the_provider);
	tcase_add_test(tc, a_killed_process_is_followed_by_another);
	tcase_add_test(tc, a_question_waits);
	tcase_add_test(tc, a_stop_ends_the_wait);
	tcase_add_test(tc, lying_workers);
	tcase_add_test(tc, who_does_not_read);
	tcase_add_test(tc, connections_are_bounded);
	tcase_add_test(tc, an_old_one_serves_until_nobody_can_ask);
	tcase_add_test(tc, a_stop_ends_it);
	tcase_add_test(tc, a_stop_ends_it_with_a_connection_too);
	tcase_add_test(tc, a_line_that_was_shut_down_is_a_failure);
	tcase_add_test(tc, a_damaged_vault);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
