/* SPDX-License-Identifier: ISC */
/* See use.h. Runs in the key process. What comes in is a worker's, and to be taken for a stranger's. */
#include "keys/use.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "keys/statement.h"

/* ---- what is allowed ------------------------------------------------------------------------- */

static const struct {
	const char *name; /* of OpenSSL */
	unsigned may; /* what it takes in a ServerKeyExchange; in CertificateVerify only those with modern */
	bool modern;
} digests[KEYS_DIGESTS] = {
	[KEYS_NO_DIGEST] = { NULL, VAULT_MAY_EXCHANGE, true },
	[KEYS_MD5_SHA1] = { "MD5-SHA1", VAULT_MAY_OLD, false },
	[KEYS_SHA1] = { "SHA1", VAULT_MAY_OLD, false },
	[KEYS_SHA224] = { "SHA224", VAULT_MAY_EXCHANGE, false },
	[KEYS_SHA256] = { "SHA256", VAULT_MAY_EXCHANGE, true },
	[KEYS_SHA384] = { "SHA384", VAULT_MAY_EXCHANGE, true },
	[KEYS_SHA512] = { "SHA512", VAULT_MAY_EXCHANGE, true },
};

static const struct {
	const char *type[2]; /* of keys; NULL: no more */
	bool has_digest;
	bool modern; /* in CertificateVerify */
} schemes[KEYS_SCHEMES] = {
	[KEYS_RSA_PKCS1] = { { "RSA" }, true, false },
	[KEYS_RSA_PSS] = { { "RSA", "RSA-PSS" }, true, true },
	[KEYS_ECDSA] = { { "EC" }, true, true },
	[KEYS_EDDSA] = { { "ED25519", "ED448" }, false, true },
	[KEYS_RSA_DECRYPT] = { { "RSA" }, false, false },
};

static bool fits(const EVP_PKEY *key, uint32_t scheme)
{
	for (int i = 0; i < 2; i++)
		if (schemes[scheme].type[i] && EVP_PKEY_is_a(key, schemes[scheme].type[i]))
			return true;
	return false;
}

static bool may_sign(const struct vault_key *key, const struct keys_request *r)
{
	switch (keys_statement_of(r->data, r->len)) {
	case KEYS_STATEMENT_NONE:
		return false;
	case KEYS_STATEMENT_VERIFY:
		return schemes[r->scheme].modern && digests[r->digest].modern;
	case KEYS_STATEMENT_EXCHANGE:
		break;
	}
	return key->may & digests[r->digest].may;
}

static bool is_allowed(const struct vault *v, const struct keys_request *r, size_t len)
{
	const size_t head = offsetof(struct keys_request, data);

	if (len < head || r->version != KEYS_VERSION || r->len > KEYS_DATA_MAX || len != head + r->len ||
	    r->key >= v->count || r->scheme >= KEYS_SCHEMES || r->digest >= KEYS_DIGESTS ||
	    !fits(v->item[r->key].key, r->scheme) ||
	    schemes[r->scheme].has_digest != (r->digest != KEYS_NO_DIGEST))
		return false;
	if (r->scheme == KEYS_RSA_DECRYPT)
		return v->item[r->key].may & VAULT_MAY_DECRYPT;
	return may_sign(&v->item[r->key], r);
}

/* ---- what is done ------------------------------------------------------------------------------ */

static bool sign(EVP_PKEY *key, const struct keys_request *r, unsigned char *out, size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL; /* belongs to ctx */
	bool good =
		ctx && EVP_DigestSignInit_ex(ctx, &how, digests[r->digest].name, NULL, NULL, key, NULL) == 1;

	if (good && r->scheme == KEYS_RSA_PSS)
		good = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) > 0;
	good = good && EVP_DigestSign(ctx, out, len, r->data, r->len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/*
 * With the padding that TLS has: what is not well padded gives a random premaster secret, and nobody learns
 * that it was not (RFC 5246 7.4.7.1).
 */
static bool decrypt(EVP_PKEY *key, const struct keys_request *r, unsigned char *out, size_t *len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	unsigned client = r->client_version, negotiated = r->negotiated_version;
	const OSSL_PARAM versions[] = {
		OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &client),
		OSSL_PARAM_construct_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, &negotiated),
		OSSL_PARAM_construct_end(),
	};
	bool good = ctx && EVP_PKEY_decrypt_init(ctx) > 0 &&
		    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_WITH_TLS_PADDING) > 0 &&
		    EVP_PKEY_CTX_set_params(ctx, versions) > 0 &&
		    EVP_PKEY_decrypt(ctx, out, len, r->data, r->len) > 0;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

void keys_use(const struct vault *v, const struct keys_request *request, size_t len,
	      struct keys_answer *answer)
{
	size_t out_len = sizeof(answer->data);
	EVP_PKEY *key;
	bool good;

	answer->version = KEYS_VERSION;
	answer->result = KEYS_REFUSED;
	answer->len = 0;
	if (!is_allowed(v, request, len))
		return;
	key = v->item[request->key].key;
	good = request->scheme == KEYS_RSA_DECRYPT ? decrypt(key, request, answer->data, &out_len)
						   : sign(key, request, answer->data, &out_len);
	answer->result = good ? KEYS_DONE : KEYS_FAILED;
	answer->len = good ? (uint32_t)out_len : 0;
	ERR_clear_error();
}
