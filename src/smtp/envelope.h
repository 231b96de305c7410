/* SPDX-License-Identifier: ISC */
/*
 * The envelope of one message: what the session learnt, what the handler
 * gets, what the spool keeps, what the upstream is told. A plain value with
 * owned strings; nothing here does I/O.
 */
#ifndef SMTP_ENVELOPE_H
#define SMTP_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/deliver_by.h"

#define ENVELOPE_ID_MAX 32 /* with the NUL */

enum envelope_body { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME }; /* RFC 6152 2, RFC 3030 3 */
#define ENVELOPE_BODY_COUNT (BODY_BINARYMIME + 1)
extern const char *const envelope_body_names[ENVELOPE_BODY_COUNT]; /* as MAIL says them */

struct envelope_rcpt {
	char *address; /* mailbox without brackets; owned */
	char *orcpt; /* RFC 3461 4.2: "rfc822;xtext" as received, NULL when absent; owned */
	unsigned notify; /* RFC 3461 4.1, ENVELOPE_NOTIFY_*; 0 when absent */
};

enum envelope_ret { RET_UNSET, RET_FULL, RET_HDRS }; /* RFC 3461 4.3 */

enum { ENVELOPE_NOTIFY_NEVER = 1, ENVELOPE_NOTIFY_SUCCESS = 2, ENVELOPE_NOTIFY_FAILURE = 4, ENVELOPE_NOTIFY_DELAY = 8 };
#define ENVELOPE_NOTIFY_COUNT 4
extern const struct envelope_notify_name {
	unsigned flag;
	const char *name; /* as RCPT says it */
} envelope_notify_names[ENVELOPE_NOTIFY_COUNT];

/*
 * One entry for what was asked for twice: who asked for any notification gets it. 0 means failures, and
 * delays if we care to tell of them (RFC 3461 4.1).
 */
unsigned envelope_notify_merge(unsigned a, unsigned b);

struct envelope {
	char id[ENVELOPE_ID_MAX]; /* queue id, "" until a handler gives one */
	int64_t arrived_wall_us; /* when the transaction began */
	char *sender; /* reverse-path without brackets, "" for <>; NULL: no MAIL yet; owned */
	struct envelope_rcpt *rcpt; /* owned */
	size_t rcpt_count;
	size_t rcpt_cap;
	enum envelope_body body;
	bool smtputf8; /* MAIL said SMTPUTF8 (RFC 6531 3.4) */
	bool requiretls; /* MAIL said REQUIRETLS (RFC 8689): only over TLS that is verified */
	struct deliver_by by; /* RFC 2852: MAIL said BY= */
	enum envelope_ret ret; /* what a report is to return */
	char *envid; /* RFC 3461 4.4: xtext as received, NULL when absent; owned */
	char *auth_user; /* who the client logged in as, NULL: nobody; owned */
	char *hold; /* why it is to wait for an operator's release before anything is sent, NULL: it is not; owned */
	uint64_t declared_size_bytes; /* SIZE= of MAIL (RFC 1870), 0 when absent */
	/* the raw parameters, upper case, separated by one space, as smtpd's mail_options and rcpt_options
	 * (the latter of the last RCPT); NULL when there were none; not kept in the spool; owned */
	char *mail_options;
	char *rcpt_options;
	/*
	 * the client has no leave to relay, so there will be no recipient: nothing of it is said to others.
	 * Not kept in the spool
	 */
	bool stays_here;
	/* where it came from; all owned, never NULL after envelope_init */
	char *peer; /* "192.0.2.1:4711", "[2001:db8::1]:4711", "unix:uid=1000,pid=42" */
	char *helo; /* as the client said it, "" before */
	char *protocol; /* RFC 3848: SMTP, ESMTP, ESMTPS, UTF8SMTP ... */
	char *listener; /* name of the listener it came in by */
	/*
	 * What protected its way here, as IANA names it ("TLS_AES_128_GCM_SHA256"); NULL: nothing. Not kept
	 * in the spool
	 */
	char *tls_cipher;
};

void envelope_init(struct envelope *env);
void envelope_release(struct envelope *env);
/* Forgets sender, recipients and parameters; keeps peer, helo, protocol, listener and auth_user (RSET). */
void envelope_reset(struct envelope *env);
/* Replaces one of the owned strings. */
void envelope_set(char **field, const char *text, size_t len);
/*
 * Copies the address; the caller enforces the recipient limit. Returns the new entry (valid until the next
 * add).
 */
struct envelope_rcpt *envelope_add_rcpt(struct envelope *env, const char *address, size_t len);

#endif
