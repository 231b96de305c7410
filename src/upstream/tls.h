/* SPDX-License-Identifier: ISC */
/*
 * What libcurl does not tell of a TLS handshake: which certificate was wrong
 * and why, the alert the server sent, that it asked for a certificate of
 * ours; and, when it is complete, version, cipher and chain. The only file
 * here that knows OpenSSL's SSL API; libcurl makes the handshake.
 */
#ifndef UPSTREAM_TLS_H
#define UPSTREAM_TLS_H

#include <curl/curl.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/buf.h"
#include "upstream/upstream.h"

/* Of one connection. All zero before tls_watch; tls_release ends it. */
struct tls_watch {
	bool verify; /* the certificate, or a pinned key, is to be right */
	enum upstream_verify how;
	bool old; /* versions before 1.2 are allowed: what comes with them is, too */
	const char *host; /* the settings' */
	bool began; /* a handshake */
	bool has_certificate; /* of ours */
	bool certificate_asked; /* the server asked for one of ours, and there is none that it would take */
	int alert; /* the last one from the server; 0: none (close_notify does not count) */
	int error, error_depth; /* X509_V_ERR_* of the first certificate that was not accepted, and its place */
	X509 *error_cert; /* that one; owned */
	STACK_OF(X509) *chain; /* as the server sent it; owned; NULL: none came */
	char version[16], cipher[64]; /* "" before the handshake is complete */
};

/* False: this libcurl does not let us. Must stay where it is until the easy handle is gone. */
bool tls_watch(struct tls_watch *w, CURL *easy, const struct upstream_settings *settings, enum upstream_tls tls);
/* The handshake is complete and libcurl has the connection in hand (inside its callbacks). */
void tls_note_session(struct tls_watch *w, CURL *easy, struct upstream_features *f);
void tls_release(struct tls_watch *w);

/* Why the handshake failed, where that can be said better than in libcurl's words: false, nothing added. */
bool tls_explain(const struct tls_watch *w, CURLcode result, const char *words, struct buf *out);
/* False: there was no handshake, or nothing came of it. */
bool tls_info(const struct tls_watch *w, struct upstream_tls_info *info);

#endif
