/* SPDX-License-Identifier: ISC */
/* See channel.h. What is said here of libcurl was read in its 7.88 and tried with it. */
#include "upstream/channel.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "upstream/features.h"
#include "upstream/options.h"
#include "upstream/reason.h"
#include "upstream/source.h"

/* ---- what both sides say ------------------------------------------------------ */

static void trace(const struct channel_trace *t, bool from_upstream, const char *text, size_t len)
{
	char line[SMTP_REPLY_LINE_MAX];

	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	if (t->wire && !from_upstream) { /* what is received comes there by itself (wire_received) */
		memcpy(line, text, len);
		memcpy(line + len, "\r\n", 2);
		t->wire(t->ctx, false, line, len + 2);
	}
	if (!t->line)
		return;
	for (size_t i = 0; i < len; i++)
		line[i] = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '?';
	t->line(t->ctx, from_upstream, line, len);
}

void channel_trace_line(const struct channel_trace *t, const char *line, size_t len)
{
	trace(t, true, line, len);
}

void channel_trace_command(const struct channel_trace *t, const char *line, size_t len)
{
	trace(t, false, line, len);
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

/* Line by line, however it was cut. */
static void wire_received(struct channel *s, const char *data, size_t len)
{
	for (size_t i = 0; s->trace.wire && i < len; i++) {
		buf_addc(&s->heard, data[i]);
		if (data[i] != '\n' && s->heard.len < SMTP_REPLY_LINE_MAX)
			continue;
		s->trace.wire(s->trace.ctx, true, s->heard.data, s->heard.len);
		buf_clear(&s->heard);
	}
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
	if (ehlo || helo) { /* only the last EHLO counts (RFC 3207 4.2) */
		s->features = (struct upstream_features){ .tls = s->features.tls };
		if (s->features.tls)
			tls_note_session(&s->watch, s->easy, &s->features);
	}
	s->said_ehlo = ehlo;
	s->answered = false;
}

static void on_reply(struct channel *s)
{
	const struct smtp_reply *reply = &s->parser.reply;

	channel_trace_reply(&s->trace, reply);
	s->answered = true;
	s->secret = reply->code == 334;
	if (s->secret && s->settings->bearer)
		bearer_read_challenge(reply->text, s->challenge);
	if (s->step == UPSTREAM_TLS_HANDSHAKE && reply->code == 220)
		s->features.tls = true; /* or the session fails */
	if (s->said_ehlo && s->step == UPSTREAM_GREETING)
		s->features.esmtp = reply->code / 100 == 2;
}

static int on_debug(CURL *easy, curl_infotype type, char *data, size_t len, void *ctx)
{
	struct channel *s = ctx;

	(void)easy;
	/* what a proxy is told (CONNECT, with a password) is no command */
	if (type == CURLINFO_HEADER_OUT && len >= 2 && !(s->lines == 0 && starts_with(data, len, "CONNECT ")))
		on_command(s, data, len - 2);
	return 0;
}

/* One line of a reply, with its line end. Returning less than size * count ends the transfer. */
static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
	struct channel *s = ctx;
	size_t len = size * count, used, text = len;

	if (++s->lines > CHANNEL_LINES_MAX)
		return 0;
	wire_received(s, line, len);
	while (text > 0 && (line[text - 1] == '\n' || line[text - 1] == '\r'))
		text--;
	for (size_t at = 0; at < len; at += used) {
		enum smtp_reply_event event = smtp_reply_parse(&s->parser, line + at, len - at, &used);

		if (event == SMTP_REPLY_BAD)
			return 0;
		if (s->said_ehlo && s->step == UPSTREAM_GREETING && s->parser.lines > 1 && text > 4)
			upstream_features_note(&s->features, line + 4, text - 4, s->settings->discard);
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
	s->tried = true;
	s->socket = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (s->socket == CURL_SOCKET_BAD ||
	    source_bind(s->socket, address->family, s->settings, &s->bind_error) == 0)
		return s->socket;
	close(s->socket);
	return s->socket = CURL_SOCKET_BAD;
}

/*
 * LMTP: connected, and encrypted where that comes first. Later libcurl has no way any more to look at the
 * session.
 */
static int on_connected(void *ctx, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct channel *s = ctx;

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	if (s->settings->lmtp && s->features.tls)
		tls_note_session(&s->watch, s->easy, &s->features);
	return CURL_PREREQFUNC_OK;
}

static bool tcp_is_up(curl_socket_t fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return fd != CURL_SOCKET_BAD && getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

bool channel_tcp_is_up(const struct channel *s)
{
	return tcp_is_up(s->socket);
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
	/* of LMTP it knows nothing: with HTTP it only connects, and says not a word (CURLOPT_CONNECT_ONLY) */
	static const char *const schemes[2][2] = { { "smtp", "smtps" }, { "http", "https" } };
	const char *scheme = schemes[settings->lmtp][tls == UPSTREAM_TLS_IMPLICIT];
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

/* What libcurl calls back. */
static bool set_callbacks(struct channel *s, const char *url, void *private_data)
{
	CURL *easy = s->easy;

	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, private_data) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->error) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, s) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, s) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, s) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERDATA, s) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_DEBUGDATA, s) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L) == CURLE_OK;
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
	buf_init(&s->heard, SMTP_REPLY_LINE_MAX);
	if (make_url(settings, tls, &url, e) != 0)
		return -1;
	s->easy = curl_easy_init();
	ASSERT(s->easy);
	set = set_callbacks(s, url, private_data) && options_set(s->easy, settings, tls) &&
	      tls_watch(&s->watch, s->easy, settings, tls);
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

void channel_release(struct channel *s)
{
	tls_release(&s->watch);
	buf_release(&s->heard);
}

/* ---- how it went ----------------------------------------------------------------- */

bool channel_is_connected(const struct channel *s)
{
	curl_off_t connect_us = 0;

	/* set when the TCP connection, and with implicit TLS its handshake, is complete */
	if (curl_easy_getinfo(s->easy, CURLINFO_CONNECT_TIME_T, &connect_us) != CURLE_OK || connect_us == 0)
		return s->lines > 0;
	options_set_connected(s->easy, s->settings);
	return true;
}

static void note_remote(struct channel *s)
{
	const char *ip = NULL;
	long port = 0;
	char *to = s->settings->proxy ? s->via : s->remote;

	if (s->settings->remote.kind == ENDPOINT_UNIX) {
		endpoint_format(&s->settings->remote, s->remote);
		return;
	}
	if (s->settings->proxy)
		endpoint_format(&s->settings->remote, s->remote);
	if (curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip && ip[0] &&
	    curl_easy_getinfo(s->easy, CURLINFO_PRIMARY_PORT, &port) == CURLE_OK)
		snprintf(to, sizeof(s->remote), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
}

void channel_timed_out(struct channel *s, int64_t after_ms, struct upstream_outcome *why)
{
	reason_timed_out(s, after_ms, why);
}

static int refuse(struct upstream_outcome *why, enum upstream_phase phase, const char *text)
{
	reason_set(why, phase, text);
	return -1;
}

int channel_conclude(struct channel *s, CURLcode result, struct upstream_outcome *why)
{
	long code = 0;

	note_remote(s);
	if (result != CURLE_OK) {
		reason_failed(s, result, why);
		return -1;
	}
	/* libcurl goes on without AUTH where none is offered; an operator who gave a user does not */
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &code);
	if (options_want_auth(s->settings) && code != 235) {
		reason_no_auth(s, why);
		return -1;
	}
	if (s->tls >= UPSTREAM_TLS_REQUIRED && !s->features.tls)
		return refuse(why, UPSTREAM_TLS_HANDSHAKE,
			      "TLS is required, but the session is not encrypted");
	s->socket = CURL_SOCKET_BAD;
	if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &s->socket) != CURLE_OK ||
	    s->socket == CURL_SOCKET_BAD)
		return refuse(why, UPSTREAM_GREETING,
			      "the server closed the connection after the session began");
	curl_easy_setopt(s->easy, CURLOPT_VERBOSE, 0L); /* from here on the lines are ours */
	return 0;
}

bool channel_may_go_plain(const struct channel *s, const struct upstream_outcome *why)
{
	/* a password that was to be encrypted is not sent in the clear because someone broke the handshake */
	return s->tls == UPSTREAM_TLS_OPPORTUNISTIC && why->phase == UPSTREAM_TLS_HANDSHAKE &&
	       !options_want_auth(s->settings);
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
	enum channel_io io;

	s->error[0] = '\0';
	*n = 0;
	if ((io = io_result(s, curl_easy_recv(s->easy, data, cap, n), "receiving failed", e)) ==
	    CHANNEL_IO_OK)
		wire_received(s, data, *n);
	return io;
}
