/* SPDX-License-Identifier: ISC */
/* See reason.h. What is said here of libcurl was read in its 7.88 and tried with it. */
#include "upstream/reason.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "upstream/options.h"

/* ---- where it stands ------------------------------------------------------------------ */

enum upstream_phase reason_phase_now(const struct channel *s)
{
	if (channel_is_connected(s))
		return s->step;
	if (!s->tried)
		return UPSTREAM_RESOLVE;
	if (s->settings->proxy && !s->watch.began)
		return UPSTREAM_CONNECT;
	return s->tcp_was_up || channel_tcp_is_up(s) ? UPSTREAM_TLS_HANDSHAKE : UPSTREAM_CONNECT;
}

static const char *waiting_for(const struct channel *s, enum upstream_phase phase)
{
	switch (phase) {
	case UPSTREAM_RESOLVE:
		return "resolving the name";
	case UPSTREAM_CONNECT:
		if (s->settings->proxy && (s->tcp_was_up || channel_tcp_is_up(s)))
			return "the proxy to connect us";
		return s->settings->proxy ? "connecting to the proxy" : "connecting";
	case UPSTREAM_TLS_HANDSHAKE:
		return s->features.tls ? "the TLS handshake" : "the reply to STARTTLS";
	case UPSTREAM_AUTH:
		return "the reply to AUTH";
	default:
		return s->lines == 0 ? "the greeting" : "the reply to EHLO";
	}
}

void reason_set(struct upstream_outcome *why, enum upstream_phase phase, const char *text)
{
	why->how = UPSTREAM_NO_ANSWER;
	why->phase = phase;
	smtp_reply_set(&why->reply, 0, "", "%s", text);
}

void reason_timed_out(const struct channel *s, int64_t after_ms, struct upstream_outcome *why)
{
	why->how = UPSTREAM_NO_ANSWER;
	why->phase = reason_phase_now(s);
	smtp_reply_set(&why->reply, 0, "", "timed out after %lld.%03d s waiting for: %s",
		       (long long)(after_ms / 1000), (int)(after_ms % 1000), waiting_for(s, why->phase));
}

static bool is_lost_connection(CURLcode result)
{
	return result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR || result == CURLE_GOT_NOTHING;
}

/* The proxy's fault, or its refusal: nothing of the server was seen */
static bool is_of_proxy(const struct channel *s)
{
	return s->settings->proxy && !channel_is_connected(s) && !s->watch.began;
}

static enum upstream_phase failed_phase(const struct channel *s, CURLcode result)
{
	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return UPSTREAM_RESOLVE;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_PROXY:
		return UPSTREAM_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_USE_SSL_FAILED:
		return UPSTREAM_TLS_HANDSHAKE;
	case CURLE_LOGIN_DENIED:
		return UPSTREAM_AUTH;
	default:
		/* TLS 1.3 lets a server refuse our certificate when we take the handshake for complete */
		if (is_lost_connection(result) && s->watch.alert != 0)
			return UPSTREAM_TLS_HANDSHAKE;
		return reason_phase_now(s);
	}
}

/* ---- in words: the way there ---------------------------------------------------------- */

static const struct {
	CURLproxycode code;
	const char *text;
} proxy_reasons[] = {
	{ CURLPX_REPLY_GENERAL_SERVER_FAILURE, "it has a general failure" },
	{ CURLPX_REPLY_NOT_ALLOWED, "its rules do not allow the connection" },
	{ CURLPX_REPLY_NETWORK_UNREACHABLE, "the network is unreachable from there" },
	{ CURLPX_REPLY_HOST_UNREACHABLE, "the host is unreachable from there" },
	{ CURLPX_REPLY_CONNECTION_REFUSED, "the connection was refused there" },
	{ CURLPX_REPLY_TTL_EXPIRED, "the connection timed out there (TTL expired)" },
	{ CURLPX_REPLY_COMMAND_NOT_SUPPORTED, "it does not know the command" },
	{ CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED, "it does not take addresses of this kind" },
	{ CURLPX_REQUEST_FAILED, "it refused the connection, or could not make it" },
	{ CURLPX_NO_AUTH, "it takes no way of authentication that we have: see proxy_user" },
	{ CURLPX_UNKNOWN_MODE, "it wants a kind of authentication that we do not have" },
	{ CURLPX_USER_REJECTED, "it refused proxy_user or its password" },
	{ CURLPX_CLOSED, "it closed the connection" },
	{ CURLPX_BAD_VERSION, "what it says is not the protocol of the configured kind of proxy" },
	{ CURLPX_RESOLVE_HOST,
	  "the server's name could not be resolved (socks5h:// leaves that to the proxy)" },
	{ CURLPX_IDENTD, "it wants an answer from identd on this machine" },
	{ CURLPX_IDENTD_DIFFER, "it refused proxy_user" },
};

static const char *socks_reason(const struct channel *s)
{
	long code = CURLPX_OK;

	curl_easy_getinfo(s->easy, CURLINFO_PROXY_ERROR, &code);
	for (size_t i = 0; i < sizeof(proxy_reasons) / sizeof(*proxy_reasons); i++)
		if ((long)proxy_reasons[i].code == code)
			return proxy_reasons[i].text;
	return NULL;
}

static bool say_connect(const struct channel *s, CURLcode result, const char *words, struct buf *out)
{
	long os_error = 0;

	if (result != CURLE_COULDNT_CONNECT && result != CURLE_INTERFACE_FAILED)
		return false;
	if (s->bind_error.text[0])
		return buf_adds(out, s->bind_error.text);
	curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os_error);
	if (s->settings->remote.kind == ENDPOINT_UNIX)
		/* libcurl tells of a host and a port, which are ours to please it */
		return buf_addf(out, "cannot connect: %s", strerror(os_error ? (int)os_error : ECONNREFUSED));
	return buf_addf(out, os_error ? "%s: %s" : "%s", words, strerror((int)os_error));
}

static bool say_proxy(const struct channel *s, CURLcode result, const char *words, struct buf *out)
{
	const char *socks = socks_reason(s);
	long code = 0;

	if (!is_of_proxy(s))
		return false;
	if (result == CURLE_COULDNT_CONNECT && !socks)
		return buf_addf(out, "proxy %s: ", s->settings->proxy) && say_connect(s, result, words, out);
	curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &code);
	if (code == 407)
		return buf_addf(out, "proxy %s: it refused proxy_user or its password, or wants one (407)",
				s->settings->proxy);
	if (code >= 300)
		return buf_addf(out, "proxy %s: it answered %ld to CONNECT", s->settings->proxy, code);
	if (socks)
		return buf_addf(out, "proxy %s: %s", s->settings->proxy, socks);
	if (is_lost_connection(result))
		return buf_addf(out, "proxy %s: it closed the connection (%s)", s->settings->proxy, words);
	return buf_addf(out, "proxy %s: %s", s->settings->proxy, words);
}

/* ---- in words: the session ---------------------------------------------------------------- */

static bool say_dialogue(const struct channel *s, CURLcode result, struct buf *out)
{
	if (s->parser.why[0])
		return buf_adds(out, s->parser.why);
	if (s->lines > CHANNEL_LINES_MAX)
		return buf_adds(out, "the server does not stop talking");
	if (result == CURLE_USE_SSL_FAILED && s->answered && !s->features.starttls)
		return buf_adds(out, "the server offers no STARTTLS, and TLS is required");
	if (result == CURLE_WEIRD_SERVER_REPLY && s->step == UPSTREAM_TLS_HANDSHAKE)
		return buf_adds(out,
				"more than one reply to STARTTLS: someone may be in between (RFC 3207 6)");
	return false;
}

static bool say_no_mechanism(const struct channel *s, struct buf *out)
{
	char wanted[OPTIONS_MECHANISMS_TEXT_MAX];

	options_mechanisms_text(options_mechanisms(s->settings), wanted);
	if (!s->features.auth[0])
		return buf_addf(out, "the server offers no AUTH%s, and we are to log in (with %s)",
				s->features.starttls && !s->features.tls ? " without TLS" : "", wanted);
	return buf_addf(out,
			"no AUTH mechanism in common: the server offers %s; we may use %s (auth_mechanisms)",
			s->features.auth, wanted);
}

static bool starts_with(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

static bool say_lost(const struct channel *s, CURLcode result, const char *words, struct buf *out)
{
	const char *waited = waiting_for(s, reason_phase_now(s));

	if (!is_lost_connection(result))
		return false;
	if (starts_with(words, "response reading failed"))
		/* the end of the stream; the errno that libcurl adds is of something else */
		return buf_addf(out, "the server closed the connection instead of sending %s", waited);
	return buf_addf(out, "connection lost waiting for %s (%s)", waited, words);
}

/* libcurl's words, where we have no better ones */
static void describe(const struct channel *s, CURLcode result, struct buf *out)
{
	const char *words = s->error[0] ? s->error : curl_easy_strerror(result);

	if (say_proxy(s, result, words, out) || say_connect(s, result, words, out) ||
	    say_dialogue(s, result, out) || tls_explain(&s->watch, result, words, out) ||
	    say_lost(s, result, words, out))
		return;
	if (result == CURLE_LOGIN_DENIED && s->step != UPSTREAM_AUTH && say_no_mechanism(s, out))
		return;
	buf_adds(out, words);
}

void reason_no_auth(const struct channel *s, struct upstream_outcome *why)
{
	struct buf text;

	buf_init(&text, SMTP_REPLY_TEXT_MAX - 1);
	say_no_mechanism(s, &text);
	reason_set(why, UPSTREAM_AUTH, text.data);
	buf_release(&text);
}

void reason_failed(const struct channel *s, CURLcode result, struct upstream_outcome *why)
{
	const struct smtp_reply *last = &s->parser.reply;
	struct buf text;

	if (result == CURLE_OPERATION_TIMEDOUT) {
		reason_timed_out(s, s->settings->connect_timeout_ms, why);
		return;
	}
	why->phase = failed_phase(s, result);
	if (result == CURLE_LOGIN_DENIED && s->settings->bearer && last->code == 334) {
		/* XOAUTH2: libcurl does not wait for the 535 that follows the reason */
		why->how = UPSTREAM_ANSWERED;
		smtp_reply_set(&why->reply, 535, "", "the token was refused");
		bearer_explain(&why->reply, s->challenge);
		return;
	}
	if (s->parser.complete && last->code >= 400 && (s->answered || last->code == 421)) {
		why->how = UPSTREAM_ANSWERED;
		why->reply = *last;
		if (why->phase == UPSTREAM_AUTH)
			bearer_explain(&why->reply, s->challenge);
		return;
	}
	buf_init(&text, SMTP_REPLY_TEXT_MAX * 2);
	describe(s, result, &text);
	reason_set(why, why->phase, text.data);
	buf_release(&text);
}
