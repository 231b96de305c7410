/* SPDX-License-Identifier: ISC */
/*
 * An HTTP server for a few who ask now and then (monitor/request.h). Strangers may reach it: there are at most
 * SERVER_CONNECTIONS_MAX connections, and when one more comes the one that has been asking for longest goes;
 * a request and its answer have a deadline each, however slowly their octets come. So who is slow is in
 * nobody's way.
 */
#ifndef MONITOR_SERVER_H
#define MONITOR_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "monitor/request.h"

struct event_base;
struct server;

#define SERVER_CONNECTIONS_MAX 16
#define SERVER_DEADLINE_MS 10000 /* of a request, and again of its answer */

struct server_ops {
	/* Whether this client (a connected socket) may ask; else it hears 403. */
	bool (*may_ask)(void *ctx, int fd);
	/* Fills body and *content_type (constant); the status. */
	int (*answer)(void *ctx, const struct monitor_request *request, struct buf *body,
		      const char **content_type);
	void (*answered)(void *ctx, int status); /* also what it answered by itself */
	void *ctx;
};

struct server *server_new(struct event_base *base, const struct server_ops *ops, int deadline_ms);
/* A listening socket, non-blocking; it stays the caller's. */
void server_listen(struct server *s, int fd);
/*
 * Another process accepts from here on: those who have been accepted are answered, if they ask within a second,
 * and done() is called, once, when nobody is left.
 */
void server_retire(struct server *s, void (*done)(void *ctx), void *ctx);
void server_free(struct server *s); /* NULL: nothing */

#endif
