/* SPDX-License-Identifier: ISC */
/* See tls.h: contexts. Made in the master, used in the workers. */
#include "listener/tls.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "listener/tls_internal.h"
#include "listener/tls_pairs.h"

/* ---- profiles ------------------------------------------------------------------------- */

/* https://wiki.mozilla.org/Security/Server_Side_TLS 5.7; those of TLS 1.3 are OpenSSL's own three in each. */
#define INTERMEDIATE_CIPHERS                                                                                 \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"           \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"             \
	"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"

/* The "old" list. Without SECLEVEL=0 OpenSSL 3 has no TLS before 1.2, as that signs with SHA-1. */
#define LEGACY_CIPHERS                                                                                       \
	INTERMEDIATE_CIPHERS                                                                                 \
	":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"    \
	"ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:"     \
	"DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:DHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA:"                 \
	"AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:"             \
	"DES-CBC3-SHA:@SECLEVEL=0"

static const struct profile {
	int least_version;
	const char *ciphers; /* before TLS 1.3; NULL: none are used */
	bool ours_first; /* the order of the list counts, not the client's: there are poor ones in it */
} profiles[] = {
	[TLS_PROFILE_MODERN] = { TLS1_3_VERSION, NULL, false },
	[TLS_PROFILE_INTERMEDIATE] = { TLS1_2_VERSION, INTERMEDIATE_CIPHERS, false },
	[TLS_PROFILE_LEGACY] = { TLS1_VERSION, LEGACY_CIPHERS, true },
};

/* The operator's openssl.cnf has had its say in SSL_CTX_new; what is said here counts. */
static int apply_profile(SSL_CTX *ctx, const struct profile *p, struct err *e)
{
	if (SSL_CTX_set_min_proto_version(ctx, p->least_version) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, 0) != 1 ||
	    (p->ciphers && SSL_CTX_set_cipher_list(ctx, p->ciphers) != 1)) {
		err_set(e, "this OpenSSL cannot do what tls_profile asks for");
		return -1;
	}
	if (p->ours_first)
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	return 0;
}

/* ---- certificates: which for whom -------------------------------------------------------- */

#define TYPES_MAX 8 /* of keys */

struct selection {
	const struct tls_pair *pair[TYPES_MAX];
	size_t count;
};

static void select_pair(struct selection *s, const struct tls_pair *pair)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->pair[i]->key_type == pair->key_type)
			return;
	if (s->count < TYPES_MAX)
		s->pair[s->count++] = pair;
}

/* Of each type of key the first with that very name, else the first with a wildcard for it. */
static struct selection select_for(const struct tls_server *server, const char *host)
{
	struct selection s = { .count = 0 };

	for (enum tls_match least = TLS_MATCH_EXACT; least > TLS_MATCH_NONE; least--)
		for (size_t i = 0; i < server->pair_count; i++)
			if (tls_names_match(&server->pair[i].names, host) >= least)
				select_pair(&s, &server->pair[i]);
	return s;
}

/* Who asks for no name, or for one we do not have, is taken to have asked for the first name of the first pair. */
static struct selection select_default(const struct tls_server *server)
{
	const struct tls_pair *first = &server->pair[0];
	struct selection s = { .count = 0 };

	if (first->names.count > 0)
		s = select_for(server, first->names.name[0]);
	if (s.count == 0)
		select_pair(&s, first);
	return s;
}

static bool same_selection(const struct selection *a, const struct selection *b)
{
	return a->count == b->count && memcmp(a->pair, b->pair, a->count * sizeof(a->pair[0])) == 0;
}

/* Called when a full handshake needs a certificate, not for resumed sessions. */
static int choose_certificate(SSL *ssl, void *arg)
{
	const struct tls_server *server = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct selection usual, wanted;
	char host[TLS_NAME_MAX + 1];

	if (server->pair_count == 1 || !asked || !tls_host_name(asked, host))
		return 1;
	usual = select_default(server);
	wanted = select_for(server, host);
	if (wanted.count == 0 || same_selection(&usual, &wanted))
		return 1;
	SSL_certs_clear(ssl);
	for (size_t i = 0; i < wanted.count; i++)
		if (SSL_use_cert_and_key(ssl, wanted.pair[i]->cert, wanted.pair[i]->key,
					 wanted.pair[i]->chain, 1) != 1)
			return 0;
	return 1;
}

/* Whatever name: it is noted in the session and acknowledged. Choosing is for choose_certificate. */
static int note_server_name(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int refused(const struct tls_pair *pair, struct err *e)
{
	err_set(e, "%s: OpenSSL refuses the certificate: %s: have one made with a stronger key or signature",
		pair->file, ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	return -1;
}

/* Those for everybody stay in the context. The others are tried out, as an unfit one is to be told now. */
static int use_pairs(struct tls_server *server, struct err *e)
{
	struct selection usual = select_default(server);
	SSL *trial = SSL_new(server->ctx);
	int result = 0;

	ERR_clear_error();
	for (size_t i = 0; i < server->pair_count && result == 0; i++) {
		const struct tls_pair *p = &server->pair[i];

		if (SSL_use_cert_and_key(trial, p->cert, p->key, p->chain, 1) != 1)
			result = refused(p, e);
	}
	SSL_free(trial);
	for (size_t i = 0; i < usual.count && result == 0; i++) {
		const struct tls_pair *p = usual.pair[i];

		if (SSL_CTX_use_cert_and_key(server->ctx, p->cert, p->key, p->chain, 1) != 1)
			result = refused(p, e);
	}
	SSL_CTX_set_cert_cb(server->ctx, choose_certificate, server);
	SSL_CTX_set_tlsext_servername_callback(server->ctx, note_server_name);
	return result;
}

static int load_pairs(struct tls_server *server, const struct tls_settings *settings, struct err *e)
{
	server->pair = mem_array(settings->cert_count, sizeof(*server->pair));
	for (size_t i = 0; i < settings->cert_count; i++) {
		const char *key_file = settings->key_count ? settings->key[i] : NULL;
		int result = settings->pairs ? tls_pairs_get(settings->pairs, settings->pairs_index, i,
							     settings->cert[i], &server->pair[i], e)
					     : tls_pair_load(&server->pair[i], settings->cert[i], key_file,
							     settings->in_date, e);

		if (result < 0)
			return -1;
		server->pair_count++;
	}
	server->keys_are_apart = settings->pairs;
	return 0;
}

/* ---- clients' certificates ------------------------------------------------------------------ */

/*
 * ASK: the handshake goes on whatever the certificate is worth; the result says what it is worth, and is kept in
 * the session. The error is never lost on the way, as it could be with a callback for each certificate.
 */
static int judge_client(X509_STORE_CTX *store, void *arg)
{
	const struct tls_server *server = arg;
	int good = server->has_client_ca ? X509_verify_cert(store) : 0;

	if (good == 1)
		return 1;
	if (X509_STORE_CTX_get_error(store) == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	return server->client_cert == TLS_CLIENT_CERT_ASK;
}

/* Also into the context that sessions are bound to: with another authority nobody comes back unseen. */
static int trust_authorities(SSL_CTX *ctx, const char *file, EVP_MD_CTX *digest, struct err *e)
{
	STACK_OF(X509) *certs = tls_certificates_read(file, e);
	int result = 0;

	if (!certs)
		return -1;
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *ca = sk_X509_value(certs, i);
		unsigned char fingerprint[EVP_MAX_MD_SIZE];
		unsigned len = 0;

		if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) != 1 ||
		    SSL_CTX_add_client_CA(ctx, ca) != 1 ||
		    X509_digest(ca, EVP_sha256(), fingerprint, &len) != 1 ||
		    EVP_DigestUpdate(digest, fingerprint, len) != 1) {
			err_set(e, "%s: OpenSSL cannot take certificate %d in it", file, i + 1);
			result = -1;
			break;
		}
	}
	sk_X509_pop_free(certs, X509_free);
	return result;
}

/* A session can be resumed where it could have begun: with the same listener, and the same clients admitted. */
static int judge_clients(struct tls_server *server, const struct tls_settings *settings, struct err *e)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char id[EVP_MAX_MD_SIZE], how = (unsigned char)settings->client_cert;
	unsigned len = 0;
	int result = -1;

	if (EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 || EVP_DigestUpdate(digest, &how, 1) != 1 ||
	    EVP_DigestUpdate(digest, settings->listener, strlen(settings->listener) + 1) != 1)
		err_set(e, "OpenSSL has no SHA-256");
	else if (settings->client_ca && trust_authorities(server->ctx, settings->client_ca, digest, e) < 0)
		;
	else if (EVP_DigestFinal_ex(digest, id, &len) != 1 ||
		 SSL_CTX_set_session_id_context(server->ctx, id, len) != 1)
		err_set(e, "OpenSSL cannot name the sessions of a listener");
	else
		result = 0;
	EVP_MD_CTX_free(digest);
	server->has_client_ca = settings->client_ca != NULL;
	server->client_cert = settings->client_cert;
	switch (settings->client_cert) {
	case TLS_CLIENT_CERT_NONE:
		return result;
	case TLS_CLIENT_CERT_ASK:
		SSL_CTX_set_verify(server->ctx, SSL_VERIFY_PEER, NULL);
		break;
	case TLS_CLIENT_CERT_REQUIRED:
		SSL_CTX_set_verify(server->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		break;
	}
	SSL_CTX_set_cert_verify_callback(server->ctx, judge_client, server);
	return result;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static void set_behaviour(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/*
	 * An idle client's buffers are given back. No AUTO_RETRY: whoever sends records without content must come
	 * by our deadline (stream_tls.c).
	 */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

/* Each side says what it has to say, until both are done; false when they never are. */
static bool shake_hands(SSL *server, SSL *client)
{
	for (int turn = 0; turn < 10; turn++) {
		int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

		if (c == 1 && s == 1)
			return true;
	}
	return false;
}

/* A pair for nothing else than warming up: where the keys are apart nobody here can sign for the real ones. */
static void use_throwaway(SSL *server)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	if (key && cert && X509_set_version(cert, X509_VERSION_3) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), 0) &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), 3600) && X509_set_pubkey(cert, key) == 1 &&
	    X509_sign(cert, key, EVP_sha256()) > 0) {
		SSL_certs_clear(server);
		SSL_use_cert_and_key(server, cert, key, NULL, 1);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* OpenSSL looks up how to sign with each of the keys that are apart. */
static void warm_up_keys(const struct tls_server *server)
{
	for (size_t i = 0; i < server->pair_count; i++) {
		(void)EVP_PKEY_digestsign_supports_digest(server->pair[i].key, NULL, "SHA256", NULL);
		(void)EVP_PKEY_digestsign_supports_digest(server->pair[i].key, NULL, NULL, NULL);
	}
}

/*
 * A handshake with ourselves, in memory. OpenSSL makes much of what it needs when it first needs it; made here it is
 * shared by all workers, and not made by each. It does not matter whether it succeeds.
 */
static void warm_up(const struct tls_server *tls)
{
	SSL_CTX *client_ctx = SSL_CTX_new(TLS_client_method());
	SSL *server = SSL_new(tls->ctx), *client = client_ctx ? SSL_new(client_ctx) : NULL;
	BIO *one = NULL, *other = NULL;
	char c;

	if (server && client && BIO_new_bio_pair(&one, 0, &other, 0) == 1) {
		SSL_set_verify(server, SSL_VERIFY_NONE, NULL);
		SSL_set_bio(server, one, one);
		SSL_set_bio(client, other, other);
		SSL_set_accept_state(server);
		SSL_set_connect_state(client);
		if (tls->keys_are_apart)
			use_throwaway(server);
		if (shake_hands(server, client)) {
			SSL_write(client, "", 1);
			SSL_read(server, &c, 1);
			SSL_write(server, "", 1);
			SSL_read(client, &c, 1);
		}
	}
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(client_ctx);
	if (tls->keys_are_apart)
		warm_up_keys(tls);
	ERR_clear_error();
}

struct tls_server *tls_server_new(const struct tls_settings *settings, struct err *e)
{
	struct tls_server *server = mem_alloc(sizeof(*server));

	server->tickets = settings->tickets;
	server->ctx = SSL_CTX_new(TLS_server_method());
	if (!server->ctx) {
		err_set(e, "OpenSSL cannot make a TLS server: %s",
			ERR_reason_error_string(ERR_peek_last_error()));
		goto failed;
	}
	SSL_CTX_set_app_data(server->ctx, server);
	set_behaviour(server->ctx);
	if (apply_profile(server->ctx, &profiles[settings->profile], e) < 0 ||
	    load_pairs(server, settings, e) < 0 || use_pairs(server, e) < 0 ||
	    judge_clients(server, settings, e) < 0)
		goto failed;
	tls_tickets_use(server->ctx, server);
	warm_up(server);
	return server;
failed:
	ERR_clear_error();
	tls_server_free(server);
	return NULL;
}

void tls_server_free(struct tls_server *server)
{
	if (!server)
		return;
	SSL_CTX_free(server->ctx);
	for (size_t i = 0; i < server->pair_count; i++)
		tls_pair_release(&server->pair[i]);
	free(server->pair);
	free(server);
}

bool tls_server_certificate(const struct tls_server *server, size_t index, struct tls_certificate *out)
{
	const struct tls_pair *pair;

	if (index >= server->pair_count)
		return false;
	pair = &server->pair[index];
	*out = (struct tls_certificate){ .file = pair->file,
					 .names = pair->names_text,
					 .key_type = OBJ_nid2sn(pair->key_type),
					 .begins_wall_us = pair->begins_wall_us,
					 .ends_wall_us = pair->ends_wall_us };
	return true;
}
