/* SPDX-License-Identifier: ISC */
/* See tls.h. Runs in the relay and in the tools that talk to an upstream, inside libcurl's callbacks. */
#include "upstream/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "upstream/certificate.h"

#define LEVEL_OLD 0 /* OpenSSL 3 does TLS 1.0 and 1.1 at this security level only */
#define LEVEL 2 /* 112 bits: RSA of 2048, no SHA-1 (SP 800-57); a system that demands more is not overruled */

static int watch_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	ASSERT(index >= 0);
	return index;
}

static struct tls_watch *watch_of(const SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), watch_index());
}

static void keep_chain(struct tls_watch *w, STACK_OF(X509) * chain)
{
	if (!chain || sk_X509_num(chain) == 0)
		return;
	sk_X509_pop_free(w->chain, X509_free);
	w->chain = X509_chain_up_ref(chain);
	ASSERT(w->chain);
}

/* For each certificate of the chain, also where nothing is required. Decides nothing. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	struct tls_watch *w =
		watch_of(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));

	if (!w->chain)
		keep_chain(w, X509_STORE_CTX_get0_untrusted(store));
	if (!ok && w->error == X509_V_OK) {
		w->error = X509_STORE_CTX_get_error(store);
		w->error_depth = X509_STORE_CTX_get_error_depth(store);
		w->error_cert = X509_STORE_CTX_get_current_cert(store);
		if (w->error_cert)
			X509_up_ref(w->error_cert);
	}
	return ok;
}

static void on_info(const SSL *ssl, int where, int value)
{
	struct tls_watch *w = watch_of(ssl);

	if (where & SSL_CB_HANDSHAKE_START)
		w->began = true;
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		w->alert = value & 0xff;
}

/* It asked for a certificate, and there is none that fits. */
static int on_certificate_wanted(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	(void)cert;
	(void)key;
	watch_of(ssl)->certificate_asked = true;
	return 0; /* go on without */
}

static CURLcode on_ssl_ctx(CURL *easy, void *ssl_ctx, void *watch)
{
	struct tls_watch *w = watch;
	SSL_CTX *ctx = ssl_ctx;

	(void)easy;
	SSL_CTX_set_ex_data(ctx, watch_index(), w);
	SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), on_verify);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_client_cert_cb(ctx, on_certificate_wanted);
	if (!w->verify || w->old)
		SSL_CTX_set_security_level(ctx, LEVEL_OLD);
	else if (SSL_CTX_get_security_level(ctx) < LEVEL)
		SSL_CTX_set_security_level(ctx, LEVEL);
	return CURLE_OK;
}

bool tls_watch(struct tls_watch *w, CURL *easy, const struct upstream_settings *settings,
	       enum upstream_tls tls)
{
	w->verify = tls == UPSTREAM_TLS_REQUIRED || tls == UPSTREAM_TLS_IMPLICIT;
	w->how = settings->tls_verify;
	w->old = settings->tls_min_version == UPSTREAM_TLS_MIN_1_0 ||
		 settings->tls_min_version == UPSTREAM_TLS_MIN_1_1;
	w->host = settings->remote.host;
	w->has_certificate = settings->tls_cert.len > 0;
	if (tls == UPSTREAM_TLS_NONE)
		return true;
	return curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, w) == CURLE_OK;
}

void tls_release(struct tls_watch *w)
{
	X509_free(w->error_cert);
	sk_X509_pop_free(w->chain, X509_free);
	memset(w, 0, sizeof(*w));
}

static enum upstream_verified verified(const struct tls_watch *w)
{
	/* libcurl ends the session otherwise */
	if (!w->verify || !w->version[0])
		return UPSTREAM_NOT_VERIFIED;
	switch (w->how) {
	case UPSTREAM_VERIFY_CA:
		return UPSTREAM_VERIFIED_CA;
	case UPSTREAM_VERIFY_PIN:
		return UPSTREAM_VERIFIED_PIN;
	case UPSTREAM_VERIFY_NONE:
		break;
	}
	return UPSTREAM_NOT_VERIFIED;
}

void tls_note_session(struct tls_watch *w, CURL *easy, struct upstream_features *f)
{
	struct curl_tlssessioninfo *session = NULL;
	const SSL *ssl;

	if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || !session ||
	    session->backend != CURLSSLBACKEND_OPENSSL || !session->internals)
		return;
	ssl = session->internals;
	snprintf(w->version, sizeof(w->version), "%s", SSL_get_version(ssl));
	snprintf(w->cipher, sizeof(w->cipher), "%s", SSL_get_cipher_name(ssl));
	keep_chain(w, SSL_get_peer_cert_chain(ssl)); /* a session that is resumed verifies nothing anew */
	memcpy(f->tls_version, w->version, sizeof(f->tls_version));
	f->verified = verified(w);
}

/* ---- in words -------------------------------------------------------------------------- */

static void describe_certificate(X509 *cert, int depth, struct buf *out)
{
	struct upstream_certificate c;

	certificate_describe(cert, &c);
	buf_addf(out, depth == 0 ? " (the server's certificate" : " (certificate %d of its chain", depth + 1);
	buf_addf(out, ": subject %s, issuer %s, key %s", c.subject, c.issuer, c.key);
	certificate_add_validity(&c, out);
	buf_adds(out, ")");
}

static bool explain_verification(const struct tls_watch *w, struct buf *out)
{
	if (w->error == X509_V_OK)
		return false;
	buf_addf(out, "certificate not accepted: %s", X509_verify_cert_error_string(w->error));
	if (w->error_cert)
		describe_certificate(w->error_cert, w->error_depth, out);
	return true;
}

static bool explain_name(const struct tls_watch *w, struct buf *out)
{
	struct upstream_certificate c;

	if (!w->chain)
		return false;
	certificate_describe(sk_X509_value(w->chain, 0), &c);
	/* RFC 6125 6.4.4: the subject's common name counts only where there are no names */
	buf_addf(out, "certificate not accepted: it is for %s%s, not for the host name '%s'",
		 c.names[0] ? "" : "subject ", c.names[0] ? c.names : c.subject, w->host);
	return true;
}

static bool explain_pin(const struct tls_watch *w, struct buf *out)
{
	struct upstream_certificate c;

	if (!w->chain)
		return false;
	certificate_describe(sk_X509_value(w->chain, 0), &c);
	buf_addf(out, "the server's key is not one of tls_pin: it is %s", c.pin);
	return true;
}

static bool explain_alert(const struct tls_watch *w, struct buf *out)
{
	if (w->alert == 0)
		return false;
	buf_addf(out, "the server refused the TLS handshake: alert \"%s\"",
		 SSL_alert_desc_string_long(w->alert));
	if (w->alert == SSL_AD_PROTOCOL_VERSION)
		buf_adds(out,
			 " (it speaks no version of TLS that tls_min_version allows, or only newer ones)");
	else if (w->certificate_asked)
		buf_adds(out, w->has_certificate
				      ? " (it wants another client certificate than that of tls_cert)"
				      : " (it wants a client certificate: tls_cert)");
	else if (w->has_certificate)
		buf_adds(out, " (it was shown the client certificate of tls_cert)");
	return true;
}

/*
 * OpenSSL's words in libcurl's: "error:0A000102:SSL routines::unsupported protocol", "OpenSSL/3.0.1:
 * error:..."
 */
static bool explain_error(const char *words, struct buf *out)
{
	const char *error = strstr(words, "error:"), *reason = error ? strstr(error, "::") : NULL;

	if (!reason)
		return false;
	buf_addf(out, "the TLS handshake failed: %s", reason + 2);
	if (strcmp(reason + 2, "unsupported protocol") == 0)
		buf_adds(out, " (the server's version of TLS is older than tls_min_version)");
	else if (strcmp(reason + 2, "wrong version number") == 0)
		buf_adds(out, " (the server does not speak TLS here)");
	return true;
}

bool tls_explain(const struct tls_watch *w, CURLcode result, const char *words, struct buf *out)
{
	if (!w->began)
		return false;
	if (result == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
		return explain_pin(w, out);
	if (result == CURLE_PEER_FAILED_VERIFICATION)
		return explain_verification(w, out) || explain_name(w, out);
	return explain_alert(w, out) || explain_error(words, out);
}

bool tls_info(const struct tls_watch *w, struct upstream_tls_info *info)
{
	memset(info, 0, sizeof(*info));
	if (!w->version[0] && !w->chain)
		return false;
	memcpy(info->version, w->version, sizeof(info->version));
	memcpy(info->cipher, w->cipher, sizeof(info->cipher));
	info->verified = verified(w);
	for (int i = 0; w->chain && i < sk_X509_num(w->chain) && i < UPSTREAM_CHAIN_MAX; i++)
		certificate_describe(sk_X509_value(w->chain, i), &info->chain[info->chain_count++]);
	return true;
}
