/* SPDX-License-Identifier: ISC */
/*
 * The trace header field that a relay puts in front of what it takes in
 * (RFC 5321 4.4), and who it names there. Pure.
 */
#ifndef SMTP_RECEIVED_H
#define SMTP_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "smtp/envelope.h"

#define SMTP_RECEIVED_MAX 2048 /* octets at most, whatever the client said */

/*
 * Appends "Received: from HELO ([address]) [(authenticated as USER)] by hostname with PROTOCOL id ID
 * [for <recipient>] [tls CIPHER]; date", folded, CRLF ended. The user only with show_user: it is somebody's login. "for" only with exactly one
 * recipient (RFC 5321 7.2: more would tell each of the others). Octets of the client's HELO that
 * and of the user that could end or bend the field become '?'. False (and nothing is added) when
 * out's ceiling would be passed.
 */
bool smtp_received_write(struct buf *out, const struct envelope *env, const char *hostname, int64_t wall_us,
			 bool show_user);

#define SMTP_PEER_ADDRESS_MAX 64
/* The address in envelope.peer without port and brackets, "unix" for a local one, into out; returns out. */
const char *smtp_peer_address(const char *peer, char out[SMTP_PEER_ADDRESS_MAX]);

#endif
