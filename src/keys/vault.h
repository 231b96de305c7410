/* SPDX-License-Identifier: ISC */
/*
 * Private keys in a file without a name, in memory. A child that ends at once
 * reads and checks the key files and puts them in (listener/tls_pairs.c); the
 * key process takes them out. The master only holds the descriptor, so it
 * never has a key in its memory, and a key process that died is followed by
 * one with the very keys that were checked, whatever is in the files by then.
 */
#ifndef KEYS_VAULT_H
#define KEYS_VAULT_H

#include <openssl/evp.h>
#include <stdint.h>

#include "base/err.h"

#define VAULT_KEYS_MAX 1000
#define VAULT_BYTES_MAX (16 << 20)

/* What a key may be used for, besides CertificateVerify of TLS 1.3: as the tls_profile of its listener has it. */
#define VAULT_MAY_EXCHANGE 1u /* TLS 1.2, digests of the SHA-2 family */
#define VAULT_MAY_OLD 2u /* TLS 1.0 and up: MD5 with SHA-1, SHA-1 */
#define VAULT_MAY_DECRYPT 4u /* key exchange by RSA */

/* A descriptor to be closed, CLOEXEC. Each fork has it: who must not have the keys closes it. */
int vault_new(struct err *e);
/* Appends; the first key is number 0. */
int vault_put(int fd, const EVP_PKEY *key, unsigned may, struct err *e);
/* Nothing more can be put in, by nobody. */
int vault_seal(int fd, struct err *e);

struct vault_key {
	EVP_PKEY *key;
	unsigned may;
};

struct vault {
	struct vault_key *item; /* by number; owned */
	size_t count;
};

int vault_read(struct vault *v, int fd, struct err *e);
void vault_release(struct vault *v);

#endif
