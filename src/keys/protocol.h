/* SPDX-License-Identifier: ISC */
/*
 * How a worker has a private key used (client.c), and how the process that
 * holds the keys answers (server.c).
 *
 * 1. The master makes one SOCK_SEQPACKET pair for a set of keys, which
 *    outlives both sides. Workers write to it, the key process reads; nothing
 *    goes the other way. A worker that needs a key makes a pair of its own and
 *    sends one end of it (SCM_RIGHTS) with a struct keys_hello. It is kept for
 *    the worker's life, as a handshake should not cost a socket.
 *
 * 2. In the new pair one struct keys_request, cut behind its data, is answered
 *    by one struct keys_answer, cut behind its data; the next request comes
 *    after that. Who does otherwise, or does not read, is closed.
 *
 * What is to be signed comes as a whole and not as a digest, so that the key
 * process can look at it (statement.h): it signs what servers sign in a TLS
 * handshake and nothing else.
 */
#ifndef KEYS_PROTOCOL_H
#define KEYS_PROTOCOL_H

#include <stdint.h>

#define KEYS_VERSION 1
#define KEYS_DATA_MAX 4096 /* of a request: the parameters of DHE with 8192 bits are half of that */
#define KEYS_ANSWER_MAX 2048 /* RSA with 16384 bits, which is all that OpenSSL does */
#define KEYS_WAIT_MS 10000 /* what a worker waits, a restart of the key process included */

enum keys_scheme {
	KEYS_RSA_PKCS1, /* a signature of RSA PKCS#1 1.5 */
	KEYS_RSA_PSS, /* salt as long as the digest (RFC 8446 4.2.3) */
	KEYS_ECDSA,
	KEYS_EDDSA, /* without a digest */
	KEYS_RSA_DECRYPT, /* the premaster secret of a key exchange (RFC 5246 7.4.7.1) */
	KEYS_SCHEMES
};

enum keys_digest {
	KEYS_NO_DIGEST,
	KEYS_MD5_SHA1, /* before TLS 1.2 */
	KEYS_SHA1,
	KEYS_SHA224,
	KEYS_SHA256,
	KEYS_SHA384,
	KEYS_SHA512,
	KEYS_DIGESTS
};

enum keys_result {
	KEYS_DONE,
	KEYS_REFUSED, /* not a request, or not what this key is for */
	KEYS_FAILED /* OpenSSL cannot */
};

struct keys_hello {
	uint32_t version;
};

struct keys_request {
	uint32_t version;
	uint32_t key; /* its number in the vault (vault.h) */
	uint32_t scheme; /* enum keys_scheme */
	uint32_t digest; /* enum keys_digest */
	uint16_t client_version, negotiated_version; /* of TLS; for KEYS_RSA_DECRYPT, else 0 */
	uint32_t len;
	unsigned char data[KEYS_DATA_MAX];
};

struct keys_answer {
	uint32_t version;
	uint32_t result; /* enum keys_result */
	uint32_t len; /* 0 unless done */
	unsigned char data[KEYS_ANSWER_MAX];
};

#endif
