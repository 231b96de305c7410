/* SPDX-License-Identifier: ISC */
/*
 * What a TLS server signs with the key of its certificate. Pure. The key
 * process signs nothing else, so who took over a worker can make itself out
 * to be this server while it has that worker, and cannot have a certificate,
 * a mail or a token signed that is of use behind it.
 */
#ifndef KEYS_STATEMENT_H
#define KEYS_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

enum keys_statement {
	KEYS_STATEMENT_NONE, /* nothing that a TLS server would sign */
	KEYS_STATEMENT_VERIFY, /* CertificateVerify of TLS 1.3 (RFC 8446 4.4.3) */
	KEYS_STATEMENT_EXCHANGE /* ServerKeyExchange before (RFC 5246 7.4.3, RFC 8422 5.4) */
};

enum keys_statement keys_statement_of(const unsigned char *data, size_t len);

#endif
