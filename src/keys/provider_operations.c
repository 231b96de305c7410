/* SPDX-License-Identifier: ISC */
/*
 * What libssl does with the keys of provider.c in a handshake: signs, and
 * decrypts a premaster secret. Each is one question to the key process. Runs
 * in a worker. Functions are as provider-signature(7) and
 * provider-asym_cipher(7) have them; those that TLS does not use are not here.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <string.h>
#include <strings.h>

#include "keys/client.h"
#include "keys/provider_internal.h"

#define PREMASTER_LEN 48 /* RFC 5246 7.4.7.1 */

/* A signature, or a decryption, under way. */
struct operation {
	const struct provider_key *key; /* OpenSSL keeps it as long as this */
	enum keys_scheme scheme;
	enum keys_digest digest;
	unsigned client_version, negotiated_version;
};

static struct operation *operation_new(enum keys_scheme scheme)
{
	struct operation *o = OPENSSL_zalloc(sizeof(*o));

	if (o)
		o->scheme = scheme;
	return o;
}

static void operation_free(void *ctx)
{
	OPENSSL_free(ctx);
}

/* The answer to a question with that data; false: there is none. At most cap octets into out. */
static bool ask(const struct operation *o, const unsigned char *data, size_t len, unsigned char *out,
		size_t cap, size_t *out_len)
{
	struct keys_request request = { .key = o->key->number,
					.scheme = o->scheme,
					.digest = o->digest,
					.client_version = (uint16_t)o->client_version,
					.negotiated_version = (uint16_t)o->negotiated_version,
					.len = (uint32_t)len };
	struct keys_answer answer;
	bool good;

	if (len > sizeof(request.data))
		return false;
	memcpy(request.data, data, len);
	good = keys_client_ask(&request, &answer) && answer.len <= cap;
	if (good) {
		memcpy(out, answer.data, answer.len);
		*out_len = answer.len;
	}
	OPENSSL_cleanse(&answer, sizeof(answer)); /* it may be a premaster secret */
	return good;
}

/* ---- parameters -------------------------------------------------------------------------------- */

/* OpenSSL passes some as a number and some as a word. word NULL: there is none for it. */
static bool says(const OSSL_PARAM *p, int number, const char *word)
{
	const char *text = NULL;
	int n;

	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		return word && OSSL_PARAM_get_utf8_string_ptr(p, &text) && strcasecmp(text, word) == 0;
	return OSSL_PARAM_get_int(p, &n) && n == number;
}

static const struct {
	int nid;
	enum keys_digest digest;
} digests[] = {
	{ NID_md5_sha1, KEYS_MD5_SHA1 }, { NID_sha1, KEYS_SHA1 },     { NID_sha224, KEYS_SHA224 },
	{ NID_sha256, KEYS_SHA256 },     { NID_sha384, KEYS_SHA384 }, { NID_sha512, KEYS_SHA512 },
};

static bool set_digest(struct operation *o, const char *name)
{
	const EVP_MD *md = EVP_get_digestbyname(name);

	for (size_t i = 0; md && i < sizeof(digests) / sizeof(digests[0]); i++)
		if (digests[i].nid == EVP_MD_get_type(md)) {
			o->digest = digests[i].digest;
			return true;
		}
	return false;
}

/* RFC 8446 4.2.3 knows no other salt than one as long as the digest. */
static bool salt_is_usual(const OSSL_PARAM *p)
{
	return says(p, RSA_PSS_SALTLEN_DIGEST, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST);
}

static int rsa_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct operation *o = ctx;
	const OSSL_PARAM *padding, *salt, *digest;
	const char *name = NULL;

	if (!params)
		return 1;
	padding = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	salt = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	digest = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	if (padding && says(padding, RSA_PKCS1_PADDING, OSSL_PKEY_RSA_PAD_MODE_PKCSV15))
		o->scheme = KEYS_RSA_PKCS1;
	else if (padding && says(padding, RSA_PKCS1_PSS_PADDING, OSSL_PKEY_RSA_PAD_MODE_PSS))
		o->scheme = KEYS_RSA_PSS;
	else if (padding)
		return 0;
	if (digest) { /* the same one, or none */
		struct operation other = { .digest = KEYS_NO_DIGEST };

		if (!OSSL_PARAM_get_utf8_string_ptr(digest, &name) || !set_digest(&other, name) ||
		    other.digest != o->digest)
			return 0;
	}
	return !salt || salt_is_usual(salt);
}

static const OSSL_PARAM *rsa_settable_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL),
		OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0), OSSL_PARAM_END
	};

	(void)ctx;
	(void)provctx;
	return settable;
}

/* ---- signatures ---------------------------------------------------------------------------------- */

static void *rsa_new(void *provctx, const char *properties)
{
	(void)provctx;
	(void)properties;
	return operation_new(KEYS_RSA_PKCS1);
}

static void *ecdsa_new(void *provctx, const char *properties)
{
	(void)provctx;
	(void)properties;
	return operation_new(KEYS_ECDSA);
}

static void *eddsa_new(void *provctx, const char *properties)
{
	(void)provctx;
	(void)properties;
	return operation_new(KEYS_EDDSA);
}

static int sign_init(void *ctx, const char *digest, void *keydata, const OSSL_PARAM params[])
{
	const struct provider_key *key = keydata;
	struct operation *o = ctx;

	if (key)
		o->key = key;
	if (!o->key || !o->key->has_private)
		return 0;
	if (o->scheme == KEYS_EDDSA)
		return !digest || !digest[0];
	if (strcmp(o->key->type, "RSA-PSS") == 0)
		o->scheme = KEYS_RSA_PSS;
	if (!digest || !set_digest(o, digest))
		return 0;
	return o->scheme == KEYS_ECDSA || rsa_set_params(o, params);
}

/* sig NULL: how much room it takes at most. */
static int sign(void *ctx, unsigned char *sig, size_t *sig_len, size_t cap, const unsigned char *data,
		size_t len)
{
	const struct operation *o = ctx;

	if (sig)
		return ask(o, data, len, sig, cap, sig_len);
	*sig_len = (size_t)EVP_PKEY_get_size(o->key->public_half);
	return 1;
}

#define SIGNATURE_FUNCTIONS(id)                                                                              \
	{ OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))id##_new },                                            \
		{ OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))operation_free },                             \
		{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))sign_init },                         \
	{                                                                                                    \
		OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))sign                                        \
	}

const OSSL_DISPATCH provider_rsa_signature[] = {
	SIGNATURE_FUNCTIONS(rsa),
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))rsa_set_params },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))rsa_settable_params },
	{ 0, NULL },
};

const OSSL_DISPATCH provider_ecdsa_signature[] = { SIGNATURE_FUNCTIONS(ecdsa), { 0, NULL } };
const OSSL_DISPATCH provider_eddsa_signature[] = { SIGNATURE_FUNCTIONS(eddsa), { 0, NULL } };

/* ---- the key exchange by RSA ------------------------------------------------------------------------ */

static void *cipher_new(void *provctx)
{
	(void)provctx;
	return operation_new(KEYS_RSA_DECRYPT);
}

/* Only as TLS does it: any other padding would make it a way to read what was never meant for TLS. */
static int cipher_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct operation *o = ctx;
	const OSSL_PARAM *padding, *client, *negotiated;

	if (!params)
		return 1;
	padding = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE);
	client = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION);
	negotiated = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION);
	return (!padding || says(padding, RSA_PKCS1_WITH_TLS_PADDING, NULL)) &&
	       (!client || OSSL_PARAM_get_uint(client, &o->client_version)) &&
	       (!negotiated || OSSL_PARAM_get_uint(negotiated, &o->negotiated_version));
}

static const OSSL_PARAM *cipher_settable_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, NULL),
		OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, NULL),
		OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, NULL), OSSL_PARAM_END
	};

	(void)ctx;
	(void)provctx;
	return settable;
}

static int decrypt_init(void *ctx, void *keydata, const OSSL_PARAM params[])
{
	struct operation *o = ctx;

	o->key = keydata;
	return o->key && o->key->has_private && cipher_set_params(o, params);
}

static int decrypt(void *ctx, unsigned char *out, size_t *out_len, size_t cap, const unsigned char *in,
		   size_t len)
{
	if (out)
		return ask(ctx, in, len, out, cap, out_len);
	*out_len = PREMASTER_LEN;
	return 1;
}

const OSSL_DISPATCH provider_rsa_cipher[] = {
	{ OSSL_FUNC_ASYM_CIPHER_NEWCTX, (void (*)(void))cipher_new },
	{ OSSL_FUNC_ASYM_CIPHER_FREECTX, (void (*)(void))operation_free },
	{ OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, (void (*)(void))decrypt_init },
	{ OSSL_FUNC_ASYM_CIPHER_DECRYPT, (void (*)(void))decrypt },
	{ OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, (void (*)(void))cipher_set_params },
	{ OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))cipher_settable_params },
	{ 0, NULL },
};
