/* SPDX-License-Identifier: ISC */
/* What provider.c and provider_operations.c share. */
#ifndef KEYS_PROVIDER_INTERNAL_H
#define KEYS_PROVIDER_INTERNAL_H

#include <openssl/core.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

struct provider_key {
	const char *type; /* as OpenSSL names it */
	EVP_PKEY *public_half; /* of OpenSSL's own provider; owned */
	bool has_private; /* somewhere, by number */
	uint32_t number;
};

extern const OSSL_DISPATCH provider_rsa_signature[], provider_ecdsa_signature[], provider_eddsa_signature[],
	provider_rsa_cipher[];

#endif
