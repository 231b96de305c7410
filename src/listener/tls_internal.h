/* SPDX-License-Identifier: ISC */
/* What the files of listener/ that know OpenSSL's SSL API share. Nobody outside of the folder includes this. */
#ifndef LISTENER_TLS_INTERNAL_H
#define LISTENER_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "listener/tls.h"
#include "listener/tls_files.h"

struct tls_server {
	SSL_CTX *ctx; /* with the pairs for who asks for no name that we have */
	struct tls_pair *pair; /* owned */
	size_t pair_count;
	bool keys_are_apart; /* the pairs' keys only stand for those of the key process */
	enum tls_client_cert client_cert;
	bool has_client_ca;
	struct tls_tickets *tickets; /* not owned; NULL: none */
};

/* Why SSL_do_handshake() failed, from OpenSSL's queue of errors, which it empties; in words for operators. */
void tls_reason(const SSL *ssl, struct err *e);

/* One pair of those that were read apart, with what stands for its key. */
int tls_pairs_get(const struct tls_pairs *pairs, size_t index, size_t position, const char *cert_file,
		  struct tls_pair *pair, struct err *e);

/* The ticket callbacks of a context, whose app data is the server. */
void tls_tickets_use(SSL_CTX *ctx, const struct tls_server *server);

#endif
