/* SPDX-License-Identifier: ISC */
/* Why a handshake failed, in words that tell an operator whose fault it is. Nothing of a stranger is in them. */
#include "listener/tls_internal.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

static const struct {
	int reason;
	const char *words;
} known[] = {
	{ SSL_R_HTTP_REQUEST, "the client speaks HTTP" },
	{ SSL_R_HTTPS_PROXY_REQUEST, "the client speaks HTTP" },
	{ SSL_R_WRONG_VERSION_NUMBER, "what the client sent is not TLS" },
	{ SSL_R_UNKNOWN_PROTOCOL, "what the client sent is not TLS" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "the client's versions of TLS are too old for tls_profile" },
	{ SSL_R_VERSION_TOO_LOW, "the client's versions of TLS are too old for tls_profile" },
	{ SSL_R_NO_SHARED_CIPHER, "the client has no cipher that tls_profile and our keys allow" },
	{ SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, "the client has no signature algorithm for our keys" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "the client has no signature algorithm for our keys" },
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
	  "the client has no certificate, and tls_client_cert = required" },
	{ SSL_R_UNEXPECTED_EOF_WHILE_READING, "the client hung up" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the client does not trust who signed our certificate" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the client does not accept our certificate" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the client does not accept our certificate" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client says that our certificate has expired" },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "the client cannot handle our certificate" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the client has no version of TLS in common with us" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the client has nothing in common with us" },
	{ SSL_R_EXCESSIVE_MESSAGE_SIZE, "the client's part of the handshake is too large" },
};

static const char *words_for(unsigned long why)
{
	if (ERR_GET_LIB(why) != ERR_LIB_SSL)
		return NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].reason == ERR_GET_REASON(why))
			return known[i].words;
	return NULL;
}

static const char *version_name(int version)
{
	switch (version) {
	case SSL3_VERSION:
		return "SSL 3";
	case TLS1_VERSION:
		return "TLS 1.0";
	case TLS1_1_VERSION:
		return "TLS 1.1";
	case TLS1_2_VERSION:
		return "TLS 1.2";
	default:
		return "something else";
	}
}

void tls_reason(const SSL *ssl, struct err *e)
{
	unsigned long why = ERR_peek_last_error();
	const char *words = words_for(why), *openssl = ERR_reason_error_string(why);
	long verdict = SSL_get_verify_result(ssl);

	if (ERR_GET_LIB(why) == ERR_LIB_SSL && ERR_GET_REASON(why) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		err_set(e, "the client's certificate: %s", X509_verify_cert_error_string(verdict));
	else if (ERR_GET_REASON(why) == SSL_R_UNSUPPORTED_PROTOCOL && words)
		err_set(e, "%s (it says %s)", words, version_name(SSL_client_version(ssl)));
	else if (words)
		err_set(e, "%s", words);
	else
		err_set(e, "%s", openssl ? openssl : "the handshake failed");
	ERR_clear_error();
}
