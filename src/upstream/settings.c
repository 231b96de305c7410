/* SPDX-License-Identifier: ISC */
/*
 * Whether settings can work at all on this machine: what libcurl was built
 * with, and what the files named in them hold. At the start and for
 * posthoused -t, so that it is no surprise of the first connection.
 */
#include <curl/curl.h>
#include <string.h>

#include "upstream/certificate.h"
#include "upstream/options.h"
#include "upstream/upstream.h"

int64_t upstream_timeout_ms(const struct upstream_settings *s, enum upstream_phase phase)
{
	switch (phase) {
	case UPSTREAM_RESOLVE:
	case UPSTREAM_CONNECT:
	case UPSTREAM_TLS_HANDSHAKE:
		return s->connect_timeout_ms;
	case UPSTREAM_GREETING:
	case UPSTREAM_AUTH:
		return s->greeting_timeout_ms;
	case UPSTREAM_MAIL:
	case UPSTREAM_RCPT:
		return s->command_timeout_ms;
	case UPSTREAM_DATA:
		return s->data_timeout_ms;
	case UPSTREAM_CONTENT:
		return s->block_timeout_ms;
	case UPSTREAM_FINAL_DOT:
		return s->final_timeout_ms;
	case UPSTREAM_IDLE:
		break;
	}
	return s->idle_timeout_ms;
}

/* libcurl names what it was built with; mechanisms it does by itself are in no list. */
static bool libcurl_has(const char *feature)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	for (const char *const *name = info->feature_names; name && *name; name++)
		if (strcmp(*name, feature) == 0)
			return true;
	return false;
}

static int check_mechanisms(const struct upstream_settings *settings, struct err *e)
{
	const unsigned scram = 1u << UPSTREAM_SCRAM_SHA_1 | 1u << UPSTREAM_SCRAM_SHA_256;
	char text[OPTIONS_MECHANISMS_TEXT_MAX];

	if (!(settings->mechanisms & scram) || libcurl_has("gsasl"))
		return 0;
	err_set(e,
		"auth_mechanisms: this machine's libcurl (%s) was built without GNU SASL and cannot do %s; "
		"under TLS, PLAIN is as good",
		curl_version_info(CURLVERSION_NOW)->version,
		options_mechanisms_text(settings->mechanisms & scram, text));
	return -1;
}

static int check_tls(const struct upstream_settings *settings, struct err *e)
{
	const char *ssl = curl_version_info(CURLVERSION_NOW)->ssl_version;

	if (settings->tls != UPSTREAM_TLS_NONE && (!ssl || strncmp(ssl, "OpenSSL/", 8) != 0)) {
		err_set(e, "tls: this machine's libcurl uses %s for TLS; the one with OpenSSL is needed",
			ssl ? ssl : "nothing");
		return -1;
	}
	return settings->tls_cert.len > 0 ? certificate_check_pair(&settings->tls_cert, &settings->tls_key, e)
					  : 0;
}

int upstream_settings_check(const struct upstream_settings *settings, struct err *e)
{
	return check_mechanisms(settings, e) == 0 && check_tls(settings, e) == 0 ? 0 : -1;
}
