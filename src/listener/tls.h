/* SPDX-License-Identifier: ISC */
/*
 * TLS of a listener, server side, with OpenSSL: certificates by name, versions
 * and ciphers by profile, clients' certificates, session tickets.
 *
 * Made by the master before it forks; the workers inherit it and make the
 * streams of their clients with it (listener/stream.h). The private keys are
 * not in it but in the key process (tls_pairs.h), unless files are read
 * without one. Nothing changes in it later: new files mean a new one.
 */
#ifndef LISTENER_TLS_H
#define LISTENER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "listener/tls_tickets.h"

enum tls_profile {
	TLS_PROFILE_MODERN, /* TLS 1.3 alone */
	TLS_PROFILE_INTERMEDIATE, /* TLS 1.2 and up; Mozilla's list of ciphers of that name */
	TLS_PROFILE_LEGACY /* TLS 1.0 and up, what is not broken outright: for devices that cannot do better */
};

/*
 * ASK: a client need not have one, and one that is not signed by client_ca is no reason to send it away:
 * it is just not verified. REQUIRED: only clients with one that is signed by client_ca.
 */
enum tls_client_cert { TLS_CLIENT_CERT_NONE, TLS_CLIENT_CERT_ASK, TLS_CLIENT_CERT_REQUIRED };

struct tls_settings {
	const char *listener; /* its name: sessions of one are not resumed with another */
	/* Pairs by position: files with a certificate and its chain, and with its key. */
	char *const *cert;
	size_t cert_count;
	char *const *key;
	size_t key_count; /* 0: the keys are in the files of cert */
	/* where they have been read (tls_pairs.h); NULL: read here, keys included */
	const struct tls_pairs *pairs;
	size_t pairs_index; /* in there */
	enum tls_profile profile;
	const char *client_ca; /* file; NULL: none */
	enum tls_client_cert client_cert;
	struct tls_tickets *tickets; /* NULL: no resumption; outlives the server */
	bool in_date; /* a certificate that has expired, or is not valid yet, is refused */
};

struct tls_server;
struct tls_pairs;

/* Reads and checks all files. NULL: e names the file, what is wrong and what to do. Copies what it needs. */
struct tls_server *tls_server_new(const struct tls_settings *settings, struct err *e);
/* Overwrites the keys. NULL is allowed. */
void tls_server_free(struct tls_server *server);

/* A certificate in use, for warnings. */
struct tls_certificate {
	const char *file;
	const char *names; /* "mail.example.org, *.example.net" */
	const char *key_type; /* "RSA", "EC" */
	int64_t begins_wall_us, ends_wall_us;
};
/* By index; false behind the last one. The strings live as long as the server. */
bool tls_server_certificate(const struct tls_server *server, size_t index, struct tls_certificate *out);

#endif
