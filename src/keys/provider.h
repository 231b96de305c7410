/* SPDX-License-Identifier: ISC */
/*
 * Private keys that are somewhere else, to OpenSSL: an EVP_PKEY that knows the
 * public half and the number of its private one, and has the key process
 * (client.h) sign and decrypt. libssl uses it like any other.
 *
 * It is a provider in a library context of its own. OpenSSL finds it by the
 * key; whatever has no such key never meets it, and the other providers and
 * the operator's openssl.cnf are what they are without it.
 */
#ifndef KEYS_PROVIDER_H
#define KEYS_PROVIDER_H

#include <openssl/evp.h>
#include <stdint.h>

#include "base/err.h"

/* To be freed with EVP_PKEY_free. RSA, RSA-PSS, EC, Ed25519, Ed448. NULL: e says why, without the name of a file. */
EVP_PKEY *keys_provider_key(const EVP_PKEY *public_key, uint32_t number, struct err *e);

#endif
