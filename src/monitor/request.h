/* SPDX-License-Identifier: ISC */
/*
 * As much of HTTP (RFC 9112) as those need who ask for figures: GET and HEAD, a path, one answer a connection.
 * libevent's evhttp knows no ceiling for connections and no deadline for a request as a whole, which is what
 * an open port needs most. Pure.
 */
#ifndef MONITOR_REQUEST_H
#define MONITOR_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define MONITOR_REQUEST_MAX 8192 /* octets of request line and header */
#define MONITOR_PATH_MAX 64 /* longer ones are none of ours */

struct monitor_request {
	bool head; /* HEAD: no body is wanted */
	bool prefers_plain; /* Accept names text/plain, and not OpenMetrics */
	char path[MONITOR_PATH_MAX]; /* without what follows '?'; "" when it is too long to be one of ours */
};

/*
 * What has come so far: 0, the header is not complete; 200, it is a request; else the status to answer with
 * (400, 405, 431).
 */
int monitor_request_parse(const char *data, size_t len, struct monitor_request *out);

/* Appends status line, header and, unless head, the body. */
void monitor_answer(struct buf *out, int status, const char *content_type, const char *body, size_t body_len,
		    bool head);

#endif
