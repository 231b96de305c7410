/* SPDX-License-Identifier: ISC */
/*
 * See provider.h: key management; what is done with the keys stands in
 * provider_operations.c. Runs in the master (which makes the keys) and in the
 * workers. Functions are as provider-keymgmt(7) has them.
 */
#include "keys/provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "keys/provider_internal.h"

#define NAME "posthouse"

/* What a key is made of here: the public half as DER, the number of the private one. */
#define PARAM_PUBLIC NAME "-public"
#define PARAM_NUMBER NAME "-number"

/* ---- keys --------------------------------------------------------------------------------- */

static void *key_new(const char *type)
{
	struct provider_key *key = OPENSSL_zalloc(sizeof(*key));

	if (key)
		key->type = type;
	return key;
}

static void key_free(void *keydata)
{
	struct provider_key *key = keydata;

	if (key)
		EVP_PKEY_free(key->public_half);
	OPENSSL_free(key);
}

static int key_has(const void *keydata, int selection)
{
	const struct provider_key *key = keydata;

	if (!key || !key->public_half)
		return 0;
	return !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || key->has_private;
}

static int key_match(const void *one, const void *other, int selection)
{
	const struct provider_key *a = one, *b = other;

	(void)selection; /* nobody compares private halves */
	return a->public_half && b->public_half && EVP_PKEY_eq(a->public_half, b->public_half) == 1;
}

static int import_ours(struct provider_key *key, const OSSL_PARAM *der, const OSSL_PARAM *number)
{
	const unsigned char *data;
	const void *octets;
	size_t len;

	if (!OSSL_PARAM_get_octet_string_ptr(der, &octets, &len) ||
	    !OSSL_PARAM_get_uint32(number, &key->number))
		return 0;
	data = octets;
	key->public_half = d2i_PUBKEY(NULL, &data, (long)len);
	key->has_private = key->public_half != NULL;
	return key->has_private;
}

/* A public key of another provider, which is to be compared with one of ours. */
static int import_public(struct provider_key *key, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
	int result =
		ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
		EVP_PKEY_fromdata(ctx, &key->public_half, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) == 1;

	EVP_PKEY_CTX_free(ctx);
	return result;
}

static int key_import(void *keydata, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *der = OSSL_PARAM_locate_const(params, PARAM_PUBLIC),
			 *number = OSSL_PARAM_locate_const(params, PARAM_NUMBER);
	struct provider_key *key = keydata;

	if (key->public_half)
		return 0;
	if (der && number)
		return import_ours(key, der, number);
	return selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY && import_public(key, params);
}

/* Failing for the private half is what makes OpenSSL come to us for a signature. */
static int key_export(void *keydata, int selection, OSSL_CALLBACK *callback, void *ctx)
{
	const struct provider_key *key = keydata;
	OSSL_PARAM *params = NULL;
	int result;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY || !key->public_half ||
	    EVP_PKEY_todata(key->public_half, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	result = callback(params, ctx);
	OSSL_PARAM_free(params);
	return result;
}

static const OSSL_PARAM *key_types(int selection)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(PARAM_PUBLIC, NULL, 0),
					    OSSL_PARAM_uint32(PARAM_NUMBER, NULL), OSSL_PARAM_END };

	(void)selection;
	return types;
}

static int key_get_params(void *keydata, OSSL_PARAM params[])
{
	const struct provider_key *key = keydata;

	return key->public_half && EVP_PKEY_get_params(key->public_half, params) == 1;
}

static const OSSL_PARAM *key_gettable_params(void *provctx)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_END
	};

	(void)provctx;
	return gettable;
}

/* ---- types of keys -------------------------------------------------------------------------- */

/* What differs: how a key of the type begins, and what is done with it. */
#define KEY_TYPE(id, name, operation)                                                                        \
	static void *id##_new(void *provctx)                                                                 \
	{                                                                                                    \
		(void)provctx;                                                                               \
		return key_new(name);                                                                        \
	}                                                                                                    \
	static const char *id##_operation(int operation_id)                                                  \
	{                                                                                                    \
		(void)operation_id;                                                                          \
		return operation;                                                                            \
	}                                                                                                    \
	static const OSSL_DISPATCH id##_keys[] = {                                                           \
		{ OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))id##_new },                                         \
		{ OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free },                                        \
		{ OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))key_has },                                          \
		{ OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))key_match },                                      \
		{ OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))key_import },                                    \
		{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))key_types },                               \
		{ OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))key_export },                                    \
		{ OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))key_types },                               \
		{ OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))key_get_params },                            \
		{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))key_gettable_params },                  \
		{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))id##_operation },                  \
		{ 0, NULL }                                                                                  \
	};

KEY_TYPE(rsa, "RSA", "RSA")
KEY_TYPE(pss, "RSA-PSS", "RSA")
KEY_TYPE(ec, "EC", "ECDSA")
KEY_TYPE(ed25519, "ED25519", "ED25519")
KEY_TYPE(ed448, "ED448", "ED448")

#define ALGORITHM(names, functions)                                                                          \
	{                                                                                                    \
		names, "provider=" NAME, functions, NULL                                                     \
	}
#define ALGORITHM_END                                                                                        \
	{                                                                                                    \
		NULL, NULL, NULL, NULL                                                                       \
	}

/* The names are OpenSSL's own, so that its TLS knows what kind of certificate a key is for. */
static const OSSL_ALGORITHM keys[] = {
	ALGORITHM("RSA:rsaEncryption:1.2.840.113549.1.1.1", rsa_keys),
	ALGORITHM("RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", pss_keys),
	ALGORITHM("EC:id-ecPublicKey:1.2.840.10045.2.1", ec_keys),
	ALGORITHM("ED25519:1.3.101.112", ed25519_keys),
	ALGORITHM("ED448:1.3.101.113", ed448_keys),
	ALGORITHM_END,
};

static const OSSL_ALGORITHM signatures[] = {
	ALGORITHM("RSA:rsaEncryption:1.2.840.113549.1.1.1", provider_rsa_signature),
	ALGORITHM("ECDSA", provider_ecdsa_signature),
	ALGORITHM("ED25519:1.3.101.112", provider_eddsa_signature),
	ALGORITHM("ED448:1.3.101.113", provider_eddsa_signature),
	ALGORITHM_END,
};

static const OSSL_ALGORITHM ciphers[] = {
	ALGORITHM("RSA:rsaEncryption:1.2.840.113549.1.1.1", provider_rsa_cipher),
	ALGORITHM_END,
};

/* ---- the provider ----------------------------------------------------------------------------- */

static const OSSL_ALGORITHM *query(void *provctx, int operation_id, int *no_cache)
{
	(void)provctx;
	*no_cache = 0;
	switch (operation_id) {
	case OSSL_OP_KEYMGMT:
		return keys;
	case OSSL_OP_SIGNATURE:
		return signatures;
	case OSSL_OP_ASYM_CIPHER:
		return ciphers;
	default: /* OpenSSL asks for many more */
		return NULL;
	}
}

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
		void **provctx)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
		{ 0, NULL },
	};

	(void)in;
	*out = functions;
	*provctx = (void *)handle; /* nothing is kept; OpenSSL wants to see something */
	return 1;
}

/* Once for the life of the process: keys of it may be anywhere. */
static OSSL_LIB_CTX *context(void)
{
	static OSSL_LIB_CTX *libctx;

	if (libctx)
		return libctx;
	libctx = OSSL_LIB_CTX_new();
	if (libctx &&
	    (OSSL_PROVIDER_add_builtin(libctx, NAME, init) != 1 || !OSSL_PROVIDER_load(libctx, NAME))) {
		OSSL_LIB_CTX_free(libctx);
		libctx = NULL;
	}
	return libctx;
}

static EVP_PKEY *make_key(const char *type, unsigned char *der, size_t len, uint32_t number)
{
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(PARAM_PUBLIC, der, len),
				OSSL_PARAM_construct_uint32(PARAM_NUMBER, &number),
				OSSL_PARAM_construct_end() };
	OSSL_LIB_CTX *libctx = context();
	EVP_PKEY_CTX *ctx = libctx ? EVP_PKEY_CTX_new_from_name(libctx, type, NULL) : NULL;
	EVP_PKEY *key = NULL;

	if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *keys_provider_key(const EVP_PKEY *public_key, uint32_t number, struct err *e)
{
	const char *type = EVP_PKEY_get0_type_name(public_key);
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(public_key, &der);
	EVP_PKEY *key = type && len > 0 ? make_key(type, der, (size_t)len, number) : NULL;

	OPENSSL_free(der);
	if (!key)
		err_set(e, "keys of the type %s cannot be used: take RSA, EC or Ed25519",
			type ? type : "unknown");
	ERR_clear_error();
	return key;
}
