/* SPDX-License-Identifier: ISC */
/*
 * How a worker asks the auth process (client.c) and how it answers (server.c,
 * exchange.c).
 *
 * 1. The master makes one SOCK_SEQPACKET pair at the start, which outlives
 *    both sides. Workers write to it, the auth process reads; nothing goes the
 *    other way. For an exchange a worker makes a SOCK_SEQPACKET pair of its own
 *    and sends one end of it (SCM_RIGHTS) with a struct auth_request. This
 *    fixed structure is all that the auth process itself reads of a worker: it
 *    says whose failures are counted. A request that is not of this form is
 *    closed, and nothing more.
 *
 * 2. In the new pair each message is one packet of at most
 *    AUTH_MESSAGE_MAX octets in the notation of base/kv.h. Worker, to the child
 *    that was forked for it:
 *
 *      mechanism=PLAIN [initial=BASE64] tls=0|1 plus=0|1 [binding_type=NAME binding=HEX]
 *      response=BASE64                      (the client's, to each challenge)
 *
 *    plus: a mechanism with channel binding was offered, so that a client which
 *    believes it was not is being lied to (RFC 5802 6). Child, then auth process:
 *
 *      challenge=BASE64                     (another response is awaited)
 *      result=ok user=NAME
 *      result=failed|malformed|no_mechanism|temporary|banned
 *
 *    A result is the last message. The end of file instead of one means that
 *    the process died: temporary. When the worker closes its end the child is
 *    killed.
 */
#ifndef AUTH_PROTOCOL_H
#define AUTH_PROTOCOL_H

#include <stdint.h>

#define AUTH_MESSAGE_MAX 16384 /* a line of RFC 4954 4 is 12288 */
#define AUTH_ANSWER_MS 30000 /* what one answer may take to be found; 454 beyond */
/* What a worker waits for an answer: the time to find it, and what a failure is held back for */
#define AUTH_WAIT_MS (AUTH_ANSWER_MS + AUTH_DELAY_MAX_MS)
#define AUTH_DELAY_MAX_MS 60000

#define AUTH_REQUEST_VERSION 1

enum auth_family { AUTH_FAMILY_UNIX, AUTH_FAMILY_IPV4, AUTH_FAMILY_IPV6, AUTH_FAMILY_UNKNOWN };

/*
 * Whose attempt it is. Without an address: zeroes, and AUTH_FAMILY_UNIX for a local socket, AUTH_FAMILY_UNKNOWN for whom
 * a proxy does not know (they count as one).
 */
struct auth_address {
	uint32_t family; /* enum auth_family */
	unsigned char octets[16]; /* network order; IPv4: the first four, the others 0 */
};

struct auth_request {
	uint32_t version;
	struct auth_address client;
};

#endif
