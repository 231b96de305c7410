/* SPDX-License-Identifier: ISC */
/*
 * Certificates and private keys of all listeners, read and checked by a child
 * that ends at once. This process gets the certificates; the keys are left in
 * a vault (keys/vault.h), of which it holds the descriptor, for the key
 * process. So neither the master nor what is forked from it ever has a key in
 * its memory. Runs in the master, the child as root if that was started so.
 */
#ifndef LISTENER_TLS_PAIRS_H
#define LISTENER_TLS_PAIRS_H

#include <stddef.h>

#include "base/err.h"
#include "listener/tls.h"

/* By index of the settings; those with cert_count 0 have none. NULL: e names listener, file, what is wrong, what to do. */
struct tls_pairs *tls_pairs_read(const struct tls_settings *settings, size_t count, struct err *e);
/* With the vault. NULL is allowed. */
void tls_pairs_free(struct tls_pairs *pairs);

/* The vault's descriptor, which stays theirs; -1: closed. */
int tls_pairs_vault(const struct tls_pairs *pairs);
/* In a child that must not have the keys, before it does anything else. */
void tls_pairs_close_vault(struct tls_pairs *pairs);

#endif
