/* SPDX-License-Identifier: ISC */
/*
 * How OpenSSL issues session tickets and takes them back, with the keys of
 * tls_tickets.h. A ticket has in it what is known of the client, its
 * certificate included, so the worker that gets it needs nothing else.
 */
#include "listener/tls_internal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"

#define IV_LEN 16 /* of AES-CBC */

static bool set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->hmac, sizeof(key->hmac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* Returns as SSL_CTX_set_tlsext_ticket_key_evp_cb has it: 1, 2: and a new ticket is due, 0: no ticket, -1 */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, int issue)
{
	const struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct tls_ticket_key key;
	int result = 0;

	switch (tls_tickets_find(server->tickets, issue ? NULL : name, &key)) {
	case TLS_TICKET_UNKNOWN:
		return 0;
	case TLS_TICKET_CURRENT:
		/* from TLS 1.3 on a ticket is of use once (RFC 8446 C.4), so another is due each time */
		result = SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
		break;
	case TLS_TICKET_OLD:
		result = 2;
		break;
	}
	if (issue) {
		memcpy(name, key.name, sizeof(key.name));
		if (RAND_bytes(iv, IV_LEN) != 1)
			result = -1;
	}
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv, issue) != 1 ||
	    !set_mac(mac, &key))
		result = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	return result;
}

/*
 * A client that proved who it is when the session began need not prove it
 * again to resume it. So that lasts no longer than its certificate, and not
 * longer than one ticket: for those who have a certificate there is no new one
 * on resumption, or a ticket that was stolen once would do for ever.
 */
static SSL_TICKET_RETURN ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
				       size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	const X509 *cert;

	(void)name;
	(void)name_len;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	cert = SSL_SESSION_get0_peer(session);
	if (!cert)
		return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
	if (tls_certificate_ends_wall_us(cert) <= clock_wall_us())
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	SSL_set_num_tickets(ssl, 0);
	return SSL_TICKET_RETURN_USE;
}

void tls_tickets_use(SSL_CTX *ctx, const struct tls_server *server)
{
	int64_t seconds;

	if (!server->tickets) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
		return;
	}
	seconds = tls_tickets_lifetime_ms(server->tickets) / 1000;
	SSL_CTX_set_timeout(ctx, seconds > 0 ? (long)seconds : 1);
	/* one: mail clients come back one by one, and each ticket costs */
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
	SSL_CTX_set_session_ticket_cb(ctx, NULL, ticket_opened, NULL);
}
