/* SPDX-License-Identifier: ISC */
/*
 * Where something listens or is reached, as written in the configuration:
 *   "host:port"   "[2001:db8::1]:25"   "192.0.2.1"   ":25"   "unix:/run/posthouse/submit"
 * Pure: names are not looked up here.
 */
#ifndef BASE_ENDPOINT_H
#define BASE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum endpoint_kind { ENDPOINT_TCP, ENDPOINT_UNIX };

struct endpoint {
	enum endpoint_kind kind;
	char host[256]; /* TCP: name or address without brackets; "" means every address */
	uint16_t port; /* TCP: 0 asks the system to choose one when listening */
	char path[108]; /* UNIX: absolute path, as long as a sockaddr_un takes */
};

/* A missing port becomes default_port; with default_port < 0 a missing port is an error. */
int endpoint_parse(const char *text, int default_port, struct endpoint *out, struct err *e);

/* An address to listen on is no address to connect to when it means all of them: those become loopback's. */
void endpoint_make_reachable(struct endpoint *ep);

#define ENDPOINT_TEXT_MAX 300
/* The notation above, canonical, into out (ENDPOINT_TEXT_MAX bytes); returns out. */
const char *endpoint_format(const struct endpoint *ep, char out[ENDPOINT_TEXT_MAX]);

#endif
