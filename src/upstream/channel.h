/* SPDX-License-Identifier: ISC */
/*
 * The beginning of a connection, by libcurl: resolve, connect, greeting,
 * EHLO, STARTTLS or implicit TLS with verification, AUTH; then bytes in and
 * out. options.c sets libcurl's options, reason.c words its verdicts, tls.c
 * watches the handshake.
 *
 * libcurl speaks; we listen: every line of both sides passes here, so that
 * the features, the refusing reply and the point where it stood are known
 * when libcurl only says "login denied".
 */
#ifndef UPSTREAM_CHANNEL_H
#define UPSTREAM_CHANNEL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "smtp/reply.h"
#include "upstream/bearer.h"
#include "upstream/tls.h"
#include "upstream/upstream.h"

#define CHANNEL_LINES_MAX 1000 /* of all replies of a session's start */

struct channel_trace {
	/* NULL: nobody wants it. No CRLF; printable ASCII only; secrets masked. */
	void (*line)(void *ctx, bool from_upstream, const char *text, size_t len);
	/* The same with CRLF and whatever octets; secrets masked. NULL: nobody wants it. */
	void (*wire)(void *ctx, bool from_upstream, const char *data, size_t len);
	void *ctx;
};

struct channel {
	CURL *easy;
	const struct upstream_settings *settings;
	enum upstream_tls tls; /* the settings', or less after a failed opportunistic try */
	struct channel_trace trace;
	struct buf heard; /* a line received for trace.wire, its end yet to come */
	struct upstream_features features;
	/*
	 * "192.0.2.1:25", "[2001:db8::1]:25", "unix:/run/..."; behind a proxy the name we gave it; "" before
	 */
	char remote[ENDPOINT_TEXT_MAX];
	char via[ENDPOINT_TEXT_MAX]; /* the proxy's address; "": none */
	struct tls_watch watch;
	/* the dialogue so far */
	enum upstream_phase
		step; /* what the last command of ours belongs to; UPSTREAM_GREETING before the first */
	bool said_ehlo; /* it was EHLO */
	bool answered; /* it has its reply */
	bool secret; /* the next line of ours answers a 334 */
	char challenge[BEARER_REASON_MAX]; /* why a token is refused, as far as it was said; "": it was not */
	unsigned lines; /* received, of all replies */
	curl_socket_t socket; /* the last one opened, while it is open */
	bool tried; /* one was opened */
	bool tcp_was_up; /* it was connected when libcurl closed it */
	struct err bind_error; /* it could not be bound to the address to connect from; text "": it was */
	struct smtp_reply_parser parser; /* holds the last reply */
	char error[CURL_ERROR_SIZE];
};

/* private_data comes back with CURLINFO_PRIVATE. The easy handle is the caller's to add to a multi handle. */
int channel_open(struct channel *s, const struct upstream_settings *settings, enum upstream_tls tls,
		 struct channel_trace trace, void *private_data, struct err *e);
/* The easy handle must have left its multi handle. What was learnt stays. */
void channel_close(struct channel *s);
/* After channel_close: forgets what was learnt. */
void channel_release(struct channel *s);

/* Resolved, connected and, with implicit TLS, encrypted: the greeting's time begins. */
bool channel_is_connected(const struct channel *s);
/* There is a TCP connection, to the server or a proxy. */
bool channel_tcp_is_up(const struct channel *s);
/*
 * libcurl is done. 0: features and remote are known and channel_write and
 * channel_recv work. -1: *why says at which step and in whose words it failed.
 */
int channel_conclude(struct channel *s, CURLcode result, struct upstream_outcome *why);
/*
 * The session failed with *why in a TLS handshake that was only a try, and
 * going on in the clear gives no more away: it can be opened again with
 * UPSTREAM_TLS_NONE.
 */
bool channel_may_go_plain(const struct channel *s, const struct upstream_outcome *why);
/* It took too long: where it stands. */
void channel_timed_out(struct channel *s, int64_t after_ms, struct upstream_outcome *why);

/* The socket to watch, once finished. */
curl_socket_t channel_socket(const struct channel *s);

enum channel_io {
	CHANNEL_IO_OK, /* *n bytes; 0 received: the upstream closed the connection */
	CHANNEL_IO_AGAIN, /* would block. A blocked send must be repeated with the same bytes at the same address */
	CHANNEL_IO_FAILED /* e says why */
};
enum channel_io channel_write(struct channel *s, const char *data, size_t len, size_t *n, struct err *e);
enum channel_io channel_recv(struct channel *s, char *data, size_t cap, size_t *n, struct err *e);

/* Pass a command, a line of a reply, or a reply line by line to the trace. */
void channel_trace_line(const struct channel_trace *t, const char *line, size_t len);
void channel_trace_command(const struct channel_trace *t, const char *line, size_t len);
void channel_trace_reply(const struct channel_trace *t, const struct smtp_reply *reply);

#endif
