/* SPDX-License-Identifier: ISC */
/*
 * One request to a web service (a token endpoint, token introspection) and its
 * answer, by libcurl: on the event loop of the SMTP client, or blocking. For
 * secrets: https with verification, or http to this machine; no redirect is
 * followed, nothing is taken from the environment, nothing is kept between
 * requests, an answer is small or refused.
 */
#ifndef UPSTREAM_HTTP_H
#define UPSTREAM_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct upstream;

#define HTTP_ANSWER_MAX (64 << 10) /* octets of a body, where the request does not say */

struct http_request {
	const char *url; /* as url_check (base/url.h) wants it; anything else fails */
	const char *form; /* body of a POST, application/x-www-form-urlencoded; NULL: GET */
	const char *user, *password; /* Basic authentication; user NULL: none, password NULL: empty */
	const char *bearer; /* token for the Authorization header; NULL: none */
	const char *ca_file; /* PEM, instead of the system's; NULL: the system's */
	const char *proxy, *proxy_user, *proxy_password; /* "socks5h://host:port", "http://..."; NULL: none */
	int64_t timeout_ms; /* for all of it */
	size_t answer_max; /* octets of a body; 0: HTTP_ANSWER_MAX */
};

struct http_answer {
	long status;
	struct buf body; /* whatever its type is said to be; may hold secrets */
};

/*
 * Blocks. -1 and e (it begins with the URL): no whole answer came. Any status is an answer. Ignores SIGPIPE
 * from then on.
 */
int http_perform(const struct http_request *request, struct http_answer *answer, struct err *e);
void http_answer_release(struct http_answer *answer); /* overwrites it */

/* Exactly one is not NULL; both are gone when it returns. */
typedef void http_done(void *ctx, const struct http_answer *answer, const struct err *e);

/*
 * The same on the event loop: done comes from there, never from inside this call. The request is copied.
 * Every call must have ended, or been cancelled, before upstream_close.
 */
struct http_call *http_begin(struct upstream *u, const struct http_request *request, http_done *done, void *ctx);
void http_cancel(struct http_call *call); /* done does not come */

#endif
