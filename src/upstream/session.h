/* SPDX-License-Identifier: ISC */
/*
 * The beginning of a connection, by libcurl: resolve, connect, greeting,
 * EHLO, STARTTLS or implicit TLS with verification, AUTH; then bytes in and
 * out. The only file that sets libcurl's options and reads its verdicts.
 *
 * libcurl speaks; we listen: every line of both sides passes here, so that
 * the features, the refusing reply and the point where it stood are known
 * when libcurl only says "login denied".
 */
#ifndef UPSTREAM_SESSION_H
#define UPSTREAM_SESSION_H

#include <curl/curl.h>
#include <stdbool.h>

#include "smtp/reply.h"
#include "upstream/upstream.h"

struct session_trace {
	/* NULL: nobody wants it. No CRLF; printable ASCII only; secrets masked. */
	void (*line)(void *ctx, bool from_upstream, const char *text, size_t len);
	void *ctx;
};

struct session {
	CURL *easy;
	const struct upstream_settings *settings;
	struct session_trace trace;
	struct upstream_features features;
	char remote[80]; /* "192.0.2.1:25", "[2001:db8::1]:25"; "" before */
	/* the dialogue so far */
	enum upstream_phase step; /* what the last command of ours belongs to; UPSTREAM_GREETING before the first */
	bool said_ehlo; /* it was EHLO */
	bool answered; /* it has its reply */
	bool secret; /* the next line of ours answers a 334 */
	unsigned lines; /* received, of all replies */
	curl_socket_t socket; /* the last one opened, while it is open */
	bool tried; /* one was opened */
	bool tcp_was_up; /* it was connected when libcurl closed it */
	struct smtp_reply_parser parser; /* holds the last reply */
	char error[CURL_ERROR_SIZE];
};

/* private_data comes back with CURLINFO_PRIVATE. The easy handle is the caller's to add to a multi handle. */
int session_open(struct session *s, const struct upstream_settings *settings, struct session_trace trace,
		 void *private_data, struct err *e);
/* The easy handle must have left its multi handle. */
void session_close(struct session *s);

/* Resolved, connected and, with implicit TLS, encrypted: the greeting's time begins. */
bool session_is_connected(const struct session *s);
/*
 * libcurl is done. 0: features and remote are known and session_write and
 * session_recv work. -1: *why says at which step and in whose words it failed.
 */
int session_conclude(struct session *s, CURLcode result, struct upstream_outcome *why);
/* It took too long: where it stands. */
void session_timed_out(struct session *s, int64_t after_ms, struct upstream_outcome *why);

/* The socket to watch, once finished. */
curl_socket_t session_socket(const struct session *s);

enum session_io {
	SESSION_IO_OK, /* *n bytes; 0 received: the upstream closed the connection */
	SESSION_IO_AGAIN, /* would block. A blocked send must be repeated with the same bytes at the same address */
	SESSION_IO_FAILED /* e says why */
};
enum session_io session_write(struct session *s, const char *data, size_t len, size_t *n, struct err *e);
enum session_io session_recv(struct session *s, char *data, size_t cap, size_t *n, struct err *e);

/* Passes a reply to the trace, line by line. */
void session_trace_reply(const struct session_trace *t, const struct smtp_reply *reply);

#endif
