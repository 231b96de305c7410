/* SPDX-License-Identifier: ISC */
/* See options.h. What is said here of libcurl was read in its 7.88 and tried with it. */
#include "upstream/options.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

/* libcurl's own deadline for the greeting and what follows stands behind ours, as a fallback */
#define FALLBACK_MS 60000

#define MECHANISM(name) (1u << UPSTREAM_##name)

static const char *const mechanism_names[UPSTREAM_MECHANISM_COUNT] = { UPSTREAM_MECHANISM_NAMES };

/* Not GSSAPI and NTLM, which libcurl would prefer and which may block. */
static const unsigned with_password = MECHANISM(PLAIN) | MECHANISM(LOGIN) | MECHANISM(CRAM_MD5) |
				      MECHANISM(DIGEST_MD5) | MECHANISM(SCRAM_SHA_1) |
				      MECHANISM(SCRAM_SHA_256);

static const unsigned with_bearer = MECHANISM(XOAUTH2) | MECHANISM(OAUTHBEARER);

unsigned options_mechanisms(const struct upstream_settings *settings)
{
	if (settings->mechanisms)
		return settings->mechanisms;
	return settings->bearer ? with_bearer : with_password;
}

/* EXTERNAL needs no name: the certificate says who we are (RFC 4422 A) */
bool options_want_auth(const struct upstream_settings *settings)
{
	return settings->user || settings->mechanisms & MECHANISM(EXTERNAL);
}

bool options_verify(enum upstream_tls tls)
{
	return tls == UPSTREAM_TLS_REQUIRED || tls == UPSTREAM_TLS_IMPLICIT;
}

static void join_mechanisms(unsigned mechanisms, const char *before, const char *between, struct buf *out)
{
	for (unsigned i = 0; i < UPSTREAM_MECHANISM_COUNT; i++)
		if (mechanisms & 1u << i)
			buf_addf(out, "%s%s%s", out->len > 0 ? between : "", before, mechanism_names[i]);
}

const char *options_mechanisms_text(unsigned mechanisms, char out[OPTIONS_MECHANISMS_TEXT_MAX])
{
	struct buf b;

	buf_init(&b, OPTIONS_MECHANISMS_TEXT_MAX - 1);
	join_mechanisms(mechanisms, "", " ", &b);
	memcpy(out, b.data, b.len + 1);
	buf_release(&b);
	return out;
}

/* ---- the pieces ------------------------------------------------------------------ */

static bool set_long(CURL *easy, CURLoption option, long value)
{
	return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

static bool set_pointer(CURL *easy, CURLoption option, const void *value)
{
	return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

/* For the text options that are NULL when unset */
static bool set_text(CURL *easy, CURLoption option, const char *value)
{
	return !value || set_pointer(easy, option, value);
}

/* libcurl counts milliseconds in an int; these are fallbacks, so 24 days will do */
static long within_int(int64_t ms)
{
	return ms < INT_MAX ? (long)ms : INT_MAX;
}

static bool set_time_limits(CURL *easy, const struct upstream_settings *settings)
{
	/* behind our own deadline, but not far: it also decides how long one of several addresses is tried */
	return set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, within_int(settings->connect_timeout_ms + 1000)) &&
	       set_long(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT,
			within_int(settings->greeting_timeout_ms + FALLBACK_MS) / 1000);
}

bool options_set_connected(CURL *easy, const struct upstream_settings *settings)
{
	/* libcurl counts greeting to AUTH as connecting, too; from here on our deadline is another one */
	return set_long(
		easy, CURLOPT_CONNECTTIMEOUT_MS,
		within_int(settings->connect_timeout_ms + settings->greeting_timeout_ms + FALLBACK_MS));
}

/*
 * The addresses a name may have: what was asked for, or what the address to
 * connect from allows, so that nothing leaves by another one.
 */
static long families(const struct upstream_settings *settings)
{
	if (settings->family == UPSTREAM_FAMILY_IPV4 || (settings->source_ipv4 && !settings->source_ipv6))
		return CURL_IPRESOLVE_V4;
	if (settings->family == UPSTREAM_FAMILY_IPV6 || (settings->source_ipv6 && !settings->source_ipv4))
		return CURL_IPRESOLVE_V6;
	return CURL_IPRESOLVE_WHATEVER;
}

static bool set_way(CURL *easy, const struct upstream_settings *settings)
{
	if (settings->remote.kind == ENDPOINT_UNIX)
		return set_pointer(easy, CURLOPT_PROXY, "") &&
		       set_pointer(easy, CURLOPT_UNIX_SOCKET_PATH, settings->remote.path);
	/* the environment of a daemon is no configuration: no proxy from there, nor exceptions */
	return set_pointer(easy, CURLOPT_PROXY, settings->proxy ? settings->proxy : "") &&
	       set_pointer(easy, CURLOPT_NOPROXY, "") && set_long(easy, CURLOPT_HTTPPROXYTUNNEL, 1) &&
	       /* or what the proxy says would be taken for the server's words */
	       set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1) &&
	       set_long(easy, CURLOPT_PROXYAUTH, CURLAUTH_BASIC) &&
	       set_long(easy, CURLOPT_SOCKS5_AUTH, CURLAUTH_BASIC) &&
	       set_text(easy, CURLOPT_PROXYUSERNAME, settings->proxy_user) &&
	       set_text(easy, CURLOPT_PROXYPASSWORD, settings->proxy_password) &&
	       set_long(easy, CURLOPT_IPRESOLVE, families(settings));
}

static bool set_session(CURL *easy, bool lmtp)
{
	return set_pointer(easy, CURLOPT_PROTOCOLS_STR, lmtp ? "http,https" : "smtp,smtps") &&
	       /* what is spoken inside of TLS is not HTTP, and nobody shall take it for that */
	       set_long(easy, CURLOPT_SSL_ENABLE_ALPN, !lmtp) && set_long(easy, CURLOPT_CONNECT_ONLY, 1) &&
	       set_long(easy, CURLOPT_FRESH_CONNECT, 1) && set_long(easy, CURLOPT_TCP_KEEPALIVE, 1) &&
	       set_long(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED) &&
	       /* no signal handlers; upstream_open ignores SIGPIPE once for all */
	       set_long(easy, CURLOPT_NOSIGNAL, 1) &&
	       /* do not wait for a resolver thread when a connection is given up */
	       set_long(easy, CURLOPT_QUICK_EXIT, 1);
}

/* ---- TLS ---------------------------------------------------------------------------- */

static long least_version(const struct upstream_settings *settings, bool verify)
{
	switch (settings->tls_min_version) {
	case UPSTREAM_TLS_MIN_AUTO:
		break;
	case UPSTREAM_TLS_MIN_1_0:
		return CURL_SSLVERSION_TLSv1_0;
	case UPSTREAM_TLS_MIN_1_1:
		return CURL_SSLVERSION_TLSv1_1;
	case UPSTREAM_TLS_MIN_1_2:
		return CURL_SSLVERSION_TLSv1_2;
	case UPSTREAM_TLS_MIN_1_3:
		return CURL_SSLVERSION_TLSv1_3;
	}
	/* where it is a mere try, old TLS is better than none (RFC 7435 3) */
	return verify ? CURL_SSLVERSION_TLSv1_2 : CURL_SSLVERSION_TLSv1_0;
}

static bool set_blob(CURL *easy, CURLoption option, const struct upstream_blob *b)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)b->data,
				  .len = b->len,
				  .flags = CURL_BLOB_NOCOPY };

	return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool set_certificate(CURL *easy, const struct upstream_settings *settings)
{
	const struct upstream_blob *cert = &settings->tls_cert;

	if (cert->len == 0)
		return true;
	return set_blob(easy, CURLOPT_SSLCERT_BLOB, cert) &&
	       set_blob(easy, CURLOPT_SSLKEY_BLOB, settings->tls_key.len > 0 ? &settings->tls_key : cert);
}

static bool set_tls(CURL *easy, const struct upstream_settings *settings, enum upstream_tls tls)
{
	static const long use[] = {
		[UPSTREAM_TLS_NONE] = CURLUSESSL_NONE,
		[UPSTREAM_TLS_OPPORTUNISTIC] = CURLUSESSL_TRY,
		[UPSTREAM_TLS_REQUIRED] = CURLUSESSL_ALL,
		[UPSTREAM_TLS_IMPLICIT] = CURLUSESSL_ALL,
	};
	bool verify = options_verify(tls), verify_ca = verify && settings->tls_verify == UPSTREAM_VERIFY_CA;

	return set_long(easy, CURLOPT_USE_SSL, use[tls]) &&
	       set_long(easy, CURLOPT_SSL_VERIFYPEER, verify_ca) &&
	       set_long(easy, CURLOPT_SSL_VERIFYHOST, verify_ca ? 2 : 0) &&
	       set_long(easy, CURLOPT_SSLVERSION, least_version(settings, verify)) &&
	       set_text(easy, CURLOPT_PINNEDPUBLICKEY, verify ? settings->tls_pin : NULL) &&
	       set_certificate(easy, settings) &&
	       /* a CA file is trusted instead of the system's folder, not besides it */
	       (!settings->tls_ca_file || (set_pointer(easy, CURLOPT_CAINFO, settings->tls_ca_file) &&
					   set_pointer(easy, CURLOPT_CAPATH, NULL)));
}

/* ---- AUTH ----------------------------------------------------------------------------- */

static bool set_mechanisms(CURL *easy, unsigned mechanisms)
{
	struct buf b;
	bool set;

	buf_init(&b, 512);
	join_mechanisms(mechanisms, "AUTH=", ";", &b);
	set = set_pointer(easy, CURLOPT_LOGIN_OPTIONS, b.data);
	buf_release(&b);
	return set;
}

static bool set_auth(CURL *easy, const struct upstream_settings *settings)
{
	if (!options_want_auth(settings))
		return true;
	return set_text(easy, CURLOPT_USERNAME, settings->user) &&
	       set_text(easy, CURLOPT_PASSWORD, settings->password) &&
	       set_text(easy, CURLOPT_XOAUTH2_BEARER,
			settings->bearer ? settings->bearer(settings->bearer_ctx) : NULL) &&
	       set_mechanisms(easy, options_mechanisms(settings)) && set_long(easy, CURLOPT_SASL_IR, 1);
}

bool options_set(CURL *easy, const struct upstream_settings *settings, enum upstream_tls tls)
{
	return set_session(easy, settings->lmtp) && set_time_limits(easy, settings) &&
	       set_way(easy, settings) && set_tls(easy, settings, tls) && set_auth(easy, settings);
}
