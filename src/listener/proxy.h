/* SPDX-License-Identifier: ISC */
/*
 * The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a
 * load balancer tells in front of everything else whose connection it passes
 * on. To be believed only from peers that the configuration names.
 */
#ifndef LISTENER_PROXY_H
#define LISTENER_PROXY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/control.h"
#include "base/err.h"
#include "session/io.h"

#define PROXY_V1_MAX 107 /* octets of a version 1 header with its CRLF (2.1) */
#define PROXY_HEADER_MAX 4096 /* of version 2: its TLVs are not used, and not waited for without end */

enum proxy_said {
	PROXY_CLIENT, /* the connection is of that client */
	PROXY_ITSELF /* of the proxy itself (LOCAL: a health check), or it does not know (UNKNOWN, UNSPEC) */
};

/*
 * Pure. The octets so far: how many more are certainly part of the header (at least one), so reading them
 * takes nothing of what follows it; 0: the header is complete and well formed; -1 and e: it is none.
 */
int proxy_wants(const unsigned char *data, size_t len, struct err *e);
/* Pure. What a complete header says. A mapped IPv4 address becomes an IPv4 one. -1 and e: it is malformed. */
int proxy_parse(const unsigned char *data, size_t len, enum proxy_said *said, struct sockaddr_storage *client,
		struct err *e);

/* Reads the header from the connection, and nothing behind it. Blocks until the deadline. Not IO_OK: e says why. */
enum io_result proxy_read(int fd, struct control *control, int64_t deadline_mono_ms, enum proxy_said *said,
			  struct sockaddr_storage *client, struct err *e);

#endif
