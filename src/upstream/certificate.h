/* SPDX-License-Identifier: ISC */
/*
 * Certificates and keys as text and from text: what a server's says, and
 * whether ours can be used. libcrypto only; pure.
 */
#ifndef UPSTREAM_CERTIFICATE_H
#define UPSTREAM_CERTIFICATE_H

#include <openssl/x509.h>

#include "base/buf.h"
#include "base/err.h"
#include "upstream/upstream.h"

void certificate_describe(X509 *cert, struct upstream_certificate *out);
/* Appends ", valid from DATE to DATE" (UTC). */
void certificate_add_validity(const struct upstream_certificate *c, struct buf *out);

/*
 * A client certificate: PEM, and its private key, which is not encrypted and
 * belongs to it. The key may stand beside the certificate. -1: e says what
 * is wrong with which.
 */
int certificate_check_pair(const struct upstream_blob *cert, const struct upstream_blob *key, struct err *e);

#endif
