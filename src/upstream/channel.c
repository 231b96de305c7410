/* SPDX-License-Identifier: ISC */
/* See channel.h. What is said here of libcurl was read in its 7.88 and tried with it. */
#include "upstream/channel.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "upstream/features.h"

#define LINES_MAX 1000 /* of all replies of a session's start */
/* libcurl's own deadline for the greeting and what follows stands behind ours, as a fallback */
#define FALLBACK_MS 60000

/* Mechanisms that want a password. Not GSSAPI and NTLM, which libcurl would prefer and which may block. */
#define LOGIN_OPTIONS                                                                                        \
	"AUTH=PLAIN;AUTH=LOGIN;AUTH=CRAM-MD5;AUTH=DIGEST-MD5;AUTH=SCRAM-SHA-1;AUTH=SCRAM-SHA-256"

/* ---- what both sides say ------------------------------------------------------ */

void channel_trace_command(const struct channel_trace *t, const char *text, size_t len)
{
	char line[SMTP_REPLY_LINE_MAX];

	if (!t->line)
		return;
	if (len > sizeof(line))
		len = sizeof(line);
	for (size_t i = 0; i < len; i++)
		line[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	t->line(t->ctx, false, line, len);
}

void channel_trace_reply(const struct channel_trace *t, const struct smtp_reply *reply)
{
	struct buf b;
	size_t from = 0;

	if (!t->line)
		return;
	/* each of at most SMTP_REPLY_LINES_MAX lines gets a code, an enhanced code and CRLF */
	buf_init(&b, sizeof(reply->text) + SMTP_REPLY_LINES_MAX * (sizeof(reply->enhanced) + 8));
	ASSERT(smtp_reply_write(reply, &b));
	for (size_t i = 0; i + 1 < b.len; i++) {
		if (b.data[i] != '\r' || b.data[i + 1] != '\n')
			continue;
		t->line(t->ctx, true, b.data + from, i - from);
		from = i + 2;
	}
	buf_release(&b);
}

static bool starts_with(const char *line, size_t len, const char *word)
{
	return len >= strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

/* A command of libcurl's, without CRLF. */
static void on_command(struct channel *s, const char *line, size_t len)
{
	bool ehlo = starts_with(line, len, "EHLO "), helo = starts_with(line, len, "HELO ");

	if (s->secret || starts_with(line, len, "AUTH ")) {
		const char *space = s->secret ? NULL : memchr(line + 5, ' ', len - 5);
		char masked[64];
		int shown = s->secret ? 0 : (int)(space ? space - line : (ptrdiff_t)len);

		/* only the mechanism is shown, and what answers a challenge not at all */
		snprintf(masked, sizeof(masked), "%.*s%s", shown > 40 ? 40 : shown, line,
			 s->secret ? "***"
			 : space   ? " ***"
				   : "");
		channel_trace_command(&s->trace, masked, strlen(masked));
		s->step = UPSTREAM_AUTH;
	} else {
		channel_trace_command(&s->trace, line, len);
		s->step = starts_with(line, len, "STARTTLS") ? UPSTREAM_TLS_HANDSHAKE : UPSTREAM_GREETING;
	}
	if (ehlo || helo) /* only the last EHLO counts (RFC 3207 4.2) */
		s->features = (struct upstream_features){ .tls = s->features.tls };
	s->said_ehlo = ehlo;
	s->answered = false;
}

static void on_reply(struct channel *s)
{
	const struct smtp_reply *reply = &s->parser.reply;

	channel_trace_reply(&s->trace, reply);
	s->answered = true;
	s->secret = reply->code == 334;
	if (s->step == UPSTREAM_TLS_HANDSHAKE && reply->code == 220)
		s->features.tls = true; /* or the session fails */
	if (s->said_ehlo && s->step == UPSTREAM_GREETING)
		s->features.esmtp = reply->code / 100 == 2;
}

static int on_debug(CURL *easy, curl_infotype type, char *data, size_t len, void *ctx)
{
	(void)easy;
	if (type == CURLINFO_HEADER_OUT && len >= 2)
		on_command(ctx, data, len - 2);
	return 0;
}

/* One line of a reply, with its line end. Returning less than size * count ends the transfer. */
static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
	struct channel *s = ctx;
	size_t len = size * count, used, text = len;

	if (++s->lines > LINES_MAX)
		return 0;
	while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r'))
		text--;
	for (size_t at = 0; at < len; at += used) {
		enum smtp_reply_event event = smtp_reply_parse(&s->parser, line + at, len - at, &used);

		if (event == SMTP_REPLY_BAD)
			return 0;
		if (s->said_ehlo && s->step == UPSTREAM_GREETING && s->parser.lines > 1 && text > 4)
			upstream_features_note(&s->features, line + 4, text - 4);
		if (event == SMTP_REPLY_DONE)
			on_reply(s);
	}
	return len;
}

/* ---- set-up -------------------------------------------------------------------- */

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct channel *s = ctx;

	(void)purpose;
	s->socket = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	s->tried = true;
	return s->socket;
}

static bool tcp_is_up(curl_socket_t fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return fd != CURL_SOCKET_BAD && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

static int on_close_socket(void *ctx, curl_socket_t fd)
{
	struct channel *s = ctx;

	if (fd == s->socket) {
		s->tcp_was_up = tcp_is_up(fd);
		s->socket = CURL_SOCKET_BAD;
	}
	return close(fd);
}

static int make_url(const struct upstream_settings *settings, enum upstream_tls tls, char **url,
		    struct err *e)
{
	char host[sizeof(settings->remote.host) + 2], port[8];
	const char *scheme = tls == UPSTREAM_TLS_IMPLICIT ? "smtps" : "smtp";
	CURLU *u = curl_url();
	CURLUcode rc;

	if (settings->remote.kind == ENDPOINT_UNIX) { /* libcurl wants a name and a port all the same */
		strcpy(host, "localhost");
		strcpy(port, "25");
	} else {
		snprintf(host, sizeof(host), strchr(settings->remote.host, ':') ? "[%s]" : "%s",
			 settings->remote.host);
		snprintf(port, sizeof(port), "%u", (unsigned)settings->remote.port);
	}
	if ((rc = curl_url_set(u, CURLUPART_SCHEME, scheme, 0)) != CURLUE_OK ||
	    (rc = curl_url_set(u, CURLUPART_HOST, host, 0)) != CURLUE_OK ||
	    (rc = curl_url_set(u, CURLUPART_PORT, port, 0)) != CURLUE_OK ||
	    /* the name for EHLO */
	    (rc = curl_url_set(u, CURLUPART_PATH, settings->hostname, CURLU_URLENCODE)) != CURLUE_OK ||
	    (rc = curl_url_get(u, CURLUPART_URL, url, 0)) != CURLUE_OK)
		err_set(e, "upstream \"%s\": %s port %s cannot be reached by libcurl: %s", settings->name,
			host, port, curl_url_strerror(rc));
	curl_url_cleanup(u);
	return rc == CURLUE_OK ? 0 : -1;
}

static bool set_long(CURL *easy, CURLoption option, long value)
{
	return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

static bool set_pointer(CURL *easy, CURLoption option, const void *value)
{
	return curl_easy_setopt(easy, option, value) == CURLE_OK;
}

/* libcurl counts milliseconds in an int; these are fallbacks, so 24 days will do */
static long within_int(int64_t ms)
{
	return ms < INT_MAX ? (long)ms : INT_MAX;
}

static bool set_tls(CURL *easy, enum upstream_tls tls, const char *ca_file)
{
	static const long use[] = {
		[UPSTREAM_TLS_NONE] = CURLUSESSL_NONE,
		[UPSTREAM_TLS_OPPORTUNISTIC] = CURLUSESSL_TRY,
		[UPSTREAM_TLS_REQUIRED] = CURLUSESSL_ALL,
		[UPSTREAM_TLS_IMPLICIT] = CURLUSESSL_ALL,
	};
	bool verify = tls == UPSTREAM_TLS_REQUIRED || tls == UPSTREAM_TLS_IMPLICIT;

	if (!set_long(easy, CURLOPT_USE_SSL, use[tls]) || !set_long(easy, CURLOPT_SSL_VERIFYPEER, verify) ||
	    !set_long(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2 : 0))
		return false;
	if (verify && !set_long(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2))
		return false;
	/* a CA file is trusted instead of the system's folder, not besides it */
	return !ca_file ||
	       (set_pointer(easy, CURLOPT_CAINFO, ca_file) && set_pointer(easy, CURLOPT_CAPATH, NULL));
}

static bool set_options(struct channel *s, const char *url, void *private_data)
{
	const struct upstream_settings *settings = s->settings;
	CURL *easy = s->easy;

	return set_pointer(easy, CURLOPT_URL, url) && set_long(easy, CURLOPT_CONNECT_ONLY, 1) &&
	       (settings->remote.kind != ENDPOINT_UNIX ||
		set_pointer(easy, CURLOPT_UNIX_SOCKET_PATH, settings->remote.path)) &&
	       set_pointer(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") &&
	       set_pointer(easy, CURLOPT_PRIVATE, private_data) &&
	       set_pointer(easy, CURLOPT_ERRORBUFFER, s->error) && set_long(easy, CURLOPT_FRESH_CONNECT, 1) &&
	       set_long(easy, CURLOPT_TCP_KEEPALIVE, 1) &&
	       /* the environment of a daemon is no configuration: no proxy from there, no ~/.netrc */
	       set_pointer(easy, CURLOPT_PROXY, "") && set_long(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED) &&
	       /* no signal handlers; upstream_open ignores SIGPIPE once for all */
	       set_long(easy, CURLOPT_NOSIGNAL, 1) &&
	       /* do not wait for a resolver thread when a connection is given up */
	       set_long(easy, CURLOPT_QUICK_EXIT, 1) &&
	       /* behind our own deadline, but not far: it also decides how long one of several addresses is tried */
	       set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, within_int(settings->connect_timeout_ms + 1000)) &&
	       set_long(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT,
			within_int(settings->greeting_timeout_ms + FALLBACK_MS) / 1000) &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
	       set_pointer(easy, CURLOPT_OPENSOCKETDATA, s) &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) == CURLE_OK &&
	       set_pointer(easy, CURLOPT_CLOSESOCKETDATA, s) &&
	       curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       set_pointer(easy, CURLOPT_HEADERDATA, s) &&
	       curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug) == CURLE_OK &&
	       set_pointer(easy, CURLOPT_DEBUGDATA, s) && set_long(easy, CURLOPT_VERBOSE, 1) &&
	       set_tls(easy, s->tls, settings->tls_ca_file) &&
	       (!settings->user || (set_pointer(easy, CURLOPT_USERNAME, settings->user) &&
				    set_pointer(easy, CURLOPT_PASSWORD, settings->password) &&
				    set_pointer(easy, CURLOPT_LOGIN_OPTIONS, LOGIN_OPTIONS) &&
				    set_long(easy, CURLOPT_SASL_IR, 1)));
}

int channel_open(struct channel *s, const struct upstream_settings *settings, enum upstream_tls tls,
		 struct channel_trace t, void *private_data, struct err *e)
{
	char *url = NULL;
	bool set;

	memset(s, 0, sizeof(*s));
	s->settings = settings;
	s->tls = tls;
	s->trace = t;
	s->step = UPSTREAM_GREETING;
	s->socket = CURL_SOCKET_BAD;
	s->features.tls = tls == UPSTREAM_TLS_IMPLICIT;
	smtp_reply_parser_init(&s->parser);
	if (make_url(settings, tls, &url, e) != 0)
		return -1;
	s->easy = curl_easy_init();
	ASSERT(s->easy);
	set = set_options(s, url, private_data);
	curl_free(url);
	if (set)
		return 0;
	err_set(e, "upstream \"%s\": libcurl refuses an option (%s)", settings->name, curl_version());
	channel_close(s);
	return -1;
}

void channel_close(struct channel *s)
{
	if (s->easy)
		curl_easy_cleanup(s->easy);
	s->easy = NULL;
}

/* ---- how it went ----------------------------------------------------------------- */

bool channel_is_connected(const struct channel *s)
{
	curl_off_t connect_us = 0;

	/* set when the TCP connection, and with implicit TLS its handshake, is complete */
	if (curl_easy_getinfo(s->easy, CURLINFO_CONNECT_TIME_T, &connect_us) != CURLE_OK || connect_us == 0)
		return s->lines > 0;
	/* libcurl counts greeting to AUTH as connecting, too; from here on our deadline is another one */
	set_long(
		s->easy, CURLOPT_CONNECTTIMEOUT_MS,
		within_int(s->settings->connect_timeout_ms + s->settings->greeting_timeout_ms + FALLBACK_MS));
	return true;
}

static enum upstream_phase phase_now(const struct channel *s)
{
	if (channel_is_connected(s))
		return s->step;
	if (!s->tried)
		return UPSTREAM_RESOLVE;
	return s->tcp_was_up || tcp_is_up(s->socket) ? UPSTREAM_TLS_HANDSHAKE : UPSTREAM_CONNECT;
}

static const char *waiting_for(const struct channel *s, enum upstream_phase phase)
{
	switch (phase) {
	case UPSTREAM_RESOLVE:
		return "resolving the name";
	case UPSTREAM_CONNECT:
		return "connecting";
	case UPSTREAM_TLS_HANDSHAKE:
		return s->features.tls ? "the TLS handshake" : "the reply to STARTTLS";
	case UPSTREAM_AUTH:
		return "the reply to AUTH";
	default:
		return s->lines == 0 ? "the greeting" : "the reply to EHLO";
	}
}

void channel_timed_out(struct channel *s, int64_t after_ms, struct upstream_outcome *why)
{
	why->how = UPSTREAM_NO_ANSWER;
	why->phase = phase_now(s);
	smtp_reply_set(&why->reply, 0, "", "timed out after %lld.%03d s waiting for: %s",
		       (long long)(after_ms / 1000), (int)(after_ms % 1000), waiting_for(s, why->phase));
}

static enum upstream_phase failed_phase(const struct channel *s, CURLcode result)
{
	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return UPSTREAM_RESOLVE;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED:
		return UPSTREAM_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
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
		return phase_now(s);
	}
}

/* libcurl's words, and the system's where libcurl leaves them out */
static void describe(const struct channel *s, CURLcode result, char *text, size_t cap)
{
	const char *words = s->error[0] ? s->error : curl_easy_strerror(result);
	long os_error = 0;

	curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os_error);
	if (result == CURLE_COULDNT_CONNECT && s->settings->remote.kind == ENDPOINT_UNIX)
		/* libcurl tells of a host and a port, which are ours to please it */
		snprintf(text, cap, "cannot connect: %s", strerror(os_error ? (int)os_error : ECONNREFUSED));
	else if (result == CURLE_COULDNT_CONNECT && os_error != 0)
		snprintf(text, cap, "%s: %s", words, strerror((int)os_error));
	else if (s->parser.why[0])
		snprintf(text, cap, "%s", s->parser.why);
	else if (s->lines > LINES_MAX)
		snprintf(text, cap, "the server does not stop talking");
	else if (result == CURLE_USE_SSL_FAILED && s->answered && !s->features.starttls)
		snprintf(text, cap, "the server offers no STARTTLS, and TLS is required");
	else if (result == CURLE_WEIRD_SERVER_REPLY && s->step == UPSTREAM_TLS_HANDSHAKE)
		snprintf(text, cap,
			 "more than one reply to STARTTLS: someone may be in between (RFC 3207 6)");
	else if (result == CURLE_RECV_ERROR && starts_with(words, strlen(words), "response reading failed"))
		/* the end of the stream; the errno that libcurl adds is of something else */
		snprintf(text, cap, "the server closed the connection instead of sending %s",
			 waiting_for(s, phase_now(s)));
	else if (result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR || result == CURLE_GOT_NOTHING)
		snprintf(text, cap, "connection lost waiting for %s (%s)", waiting_for(s, phase_now(s)),
			 words);
	else
		snprintf(text, cap, "%s", words);
}

static void note_remote(struct channel *s)
{
	const char *ip = NULL;
	long port = 0;

	if (s->settings->remote.kind == ENDPOINT_UNIX)
		endpoint_format(&s->settings->remote, s->remote);
	else if (curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip && ip[0] &&
	    curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_PORT, &port) == CURLE_OK)
		snprintf(s->remote, sizeof(s->remote), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
}

static int refuse(struct upstream_outcome *why, enum upstream_phase phase, const char *text)
{
	why->how = UPSTREAM_NO_ANSWER;
	why->phase = phase;
	smtp_reply_set(&why->reply, 0, "", "%s", text);
	return -1;
}

static int failed(struct channel *s, CURLcode result, struct upstream_outcome *why)
{
	const struct smtp_reply *last = &s->parser.reply;
	char text[SMTP_REPLY_TEXT_MAX];

	if (result == CURLE_OPERATION_TIMEDOUT) {
		channel_timed_out(s, s->settings->connect_timeout_ms, why);
		return -1;
	}
	why->phase = failed_phase(s, result);
	if (s->parser.complete && last->code >= 400 && (s->answered || last->code == 421)) {
		why->how = UPSTREAM_ANSWERED;
		why->reply = *last;
		return -1;
	}
	describe(s, result, text, sizeof(text));
	return refuse(why, why->phase, text);
}

int channel_conclude(struct channel *s, CURLcode result, struct upstream_outcome *why)
{
	long code = 0;

	note_remote(s);
	if (result != CURLE_OK)
		return failed(s, result, why);
	/* libcurl goes on without AUTH where none is offered; an operator who gave a user does not */
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &code);
	if (s->settings->user && code != 235)
		return refuse(why, UPSTREAM_AUTH, "a user is configured, but the server offers no AUTH");
	if (s->tls >= UPSTREAM_TLS_REQUIRED && !s->features.tls)
		return refuse(why, UPSTREAM_TLS_HANDSHAKE,
			      "TLS is required, but the session is not encrypted");
	s->socket = CURL_SOCKET_BAD;
	if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &s->socket) != CURLE_OK ||
	    s->socket == CURL_SOCKET_BAD)
		return refuse(why, UPSTREAM_GREETING,
			      "the server closed the connection after the session began");
	set_long(s->easy, CURLOPT_VERBOSE, 0); /* from here on the lines are ours */
	return 0;
}

bool channel_may_go_plain(const struct channel *s, const struct upstream_outcome *why)
{
	/* a password that was to be encrypted is not sent in the clear because someone broke the handshake */
	return s->tls == UPSTREAM_TLS_OPPORTUNISTIC && why->phase == UPSTREAM_TLS_HANDSHAKE &&
	       !s->settings->user;
}

/* ---- bytes ------------------------------------------------------------------------ */

curl_socket_t channel_socket(const struct channel *s)
{
	return s->socket;
}

static enum channel_io io_result(struct channel *s, CURLcode result, const char *what, struct err *e)
{
	if (result == CURLE_OK)
		return CHANNEL_IO_OK;
	if (result == CURLE_AGAIN)
		return CHANNEL_IO_AGAIN;
	err_set(e, "%s: %s", what, s->error[0] ? s->error : curl_easy_strerror(result));
	return CHANNEL_IO_FAILED;
}

enum channel_io channel_write(struct channel *s, const char *data, size_t len, size_t *n, struct err *e)
{
	s->error[0] = '\0';
	*n = 0;
	return io_result(s, curl_easy_send(s->easy, data, len, n), "sending failed", e);
}

enum channel_io channel_recv(struct channel *s, char *data, size_t cap, size_t *n, struct err *e)
{
	s->error[0] = '\0';
	*n = 0;
	return io_result(s, curl_easy_recv(s->easy, data, cap, n), "receiving failed", e);
}
