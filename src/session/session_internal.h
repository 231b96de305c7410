/* SPDX-License-Identifier: ISC */
/*
 * What the files of session/ share: the state of one session and the few
 * things that a verb does with it. Nobody outside of the folder includes this.
 */
#ifndef SESSION_SESSION_INTERNAL_H
#define SESSION_SESSION_INTERNAL_H

#include "base/buf.h"
#include "session/command.h"
#include "session/hooks.h"
#include "session/input.h"
#include "session/intake.h"
#include "smtp/rcpt_set.h"
#include "session/session.h"

struct session {
	const struct session_config *cfg;
	const struct session_peer *peer;
	struct session_io *io;
	struct handler *handler;
	const struct session_events *events;

	enum command_state state;
	bool extended; /* EHLO, not HELO */
	struct handler_offer offer; /* what the handler takes, as it said at EHLO */
	struct envelope env; /* of the transaction, if one is open */
	struct rcpt_set rcpts;
	bool rcpt_refused; /* a recipient of this transaction was refused */
	struct intake intake; /* of DATA, or in COMMAND_BDAT */
	bool chunks_refused; /* the last command was a BDAT, and was refused: more of them may be on their way */
	unsigned errors; /* since the last accepted message */
	unsigned commands; /* the same, as session_config.max_commands counts */
	unsigned messages; /* that came to their end of data */

	/* the client that a proxy told of: s->peer points to told_peer then */
	struct session_peer told_peer;
	char told_address[64], told_text[80];
	bool xclient_told, proxy_done; /* and then another command came: from here on it may be the client that speaks */

	/* the command under way, for events */
	const char *verb;
	const char *line;
	size_t line_len;
	char shown[64]; /* instead of a line with a secret in it */
	bool hidden; /* the line is one of those */
	bool secret_may_follow; /* a client that was refused AUTH may say the rest of it all the same */

	struct input in;
	struct buf out; /* replies not yet written (RFC 2920 3.2) */
	int64_t session_deadline; /* monotonic milliseconds */
	int64_t message_deadline; /* CLOCK_NEVER while no transaction is open */

	bool hooks_begun; /* they were told of this client */
	bool over;
	enum session_end end; /* valid when over */
};

/* The session ends after the current command; the first reason counts. */
void session_finish(struct session *s, enum session_end end);

/*
 * Queues a reply. One of 400 and above is a refusal: it is told to the
 * owner, and a 5yz uses up the error budget; 421 ends the session.
 */
void session_send(struct session *s, const struct smtp_reply *reply);
void session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same without being told or counted: to what follows from a refusal that was. */
void session_queue(struct session *s, const struct smtp_reply *reply);
/* 421 and the end: the reason stands in the reply. */
void session_hang_up(struct session *s, enum session_end end, const char *enhanced, const char *why);
void session_shed(struct session *s); /* the same, where the client has to go for others */
/* 501 with the syntax of the verb; and why, when not NULL */
void session_reply_syntax(struct session *s, const struct command_verb *verb, const char *why);
void session_set_syntax(const struct session *s, const struct command_verb *verb, const char *why,
			struct smtp_reply *out);

/*
 * Writes the queued replies, then waits for more input; deadline is for this
 * wait alone, those of session and message apply too. False when the session
 * is over: the client was told why, if it is still there.
 */
bool session_fill(struct session *s, int64_t deadline_mono_ms);
int64_t session_deadline_in(int64_t timeout_ms); /* a deadline from now; 0 or less: never */

/* The handler was told of a sender: a transaction is open. */
void session_begin_transaction(struct session *s);
/* Forgets the transaction, if there is one; told_handler: data_end or abort was called already. */
void session_end_transaction(struct session *s, bool told_handler);

/* One more of the commands that bring no message nearer. */
void session_spend_command(struct session *s);

/* Whether there is anybody to send content to; else the refusal. */
bool session_wants_content(const struct session *s, struct smtp_reply *refusal);

/* Writes what is queued; false when the session is over. */
bool session_flush(struct session *s);
bool session_flush_by(struct session *s, int64_t deadline_mono_ms);
void session_trace(const struct session *s, bool from_client, const char *text, size_t len);

/* The client as policy and authenticator see it. */
struct session_client session_client(const struct session *s);
/* Whether the policy lets it send to others at all; without a policy nobody may. */
bool session_may_relay(const struct session *s);
/* NULL: in the clear */
const struct session_tls *session_tls(const struct session *s);
/* Sends the refusal; returns whether the policy let it pass. */
bool session_policy_passes(struct session *s, enum policy_verdict verdict, const struct smtp_reply *reply);
/* The client starts anew as if it had just connected (RFC 3207 4.2): no name, no user, no transaction. */
void session_start_over(struct session *s);

/* The client is that user, if the policy lets it; else it was told why not, and is nobody. */
bool session_become_user(struct session *s, const char *user);

/*
 * extensions.c: whether the extension may be used now: switched on, possible on this connection and with this
 * handler. What EHLO announces, and what its commands and parameters ask.
 */
bool session_offers(const struct session *s, enum smtp_extension x);
bool session_offers_any(const struct session *s, unsigned set);
/* Whether there is such a command in this session (verb may be NULL); if not, it is unknown like any word. */
bool session_knows(const struct session *s, const struct command_verb *verb);
/* Asks the handler what it takes (EHLO). */
void session_ask_handler(struct session *s);
/* The largest message, as announced with SIZE; 0: no limit */
uint64_t session_size_limit(const struct session *s);
/* Appends a line for each extension that is offered, "\n" in front. */
void session_announce(const struct session *s, struct buf *out);

/* The octets that follow a BDAT are read and dropped, then the refusal goes out. */
void bdat_refuse(struct session *s, const char *arg, size_t len, const struct smtp_reply *refusal);
/*
 * The same where a hook refused it: the transaction ends, for the rest of the content may be on its way (RFC
 * 3030 2).
 */
void bdat_veto(struct session *s, const char *arg, size_t len, const struct smtp_reply *refusal);
/* Where the next command begins is not known: the end. */
void bdat_lost(struct session *s);

bool xclient_is_offered(const struct session *s);
void xclient_attributes(const struct session *s, struct buf *out);
/* What AUTH would be announced with: mechanisms, separated by blanks; nothing: it is not. */
void auth_mechanisms(const struct session *s, struct buf *out);
bool auth_is_offered(const struct session *s);
/* Whether STARTTLS would be answered with 220. */
bool starttls_is_offered(const struct session *s);
bool requiretls_is_possible(const struct session *s);

/*
 * hook_points.c: what is asked of session/hooks.h. Each does nothing, and lets pass, where there are no
 * hooks.
 */
/* A client is there. False: it was sent away. */
bool hooks_begin(struct session *s);
void hooks_end(struct session *s);
/* The same for who starts anew (session_start_over). */
bool hooks_begin_anew(struct session *s);
/* The session's own verb of that name, else one of the hooks; NULL: there is none. */
const struct command_verb *hooks_find(const struct session *s, const char *name, size_t len);
/* True: a hook answered the command. Else the argument may be another one now. */
bool hooks_take(struct session *s, const struct command_verb *verb, enum hook_moment moment, const char **arg,
		size_t *len);
void hooks_replied(const struct session *s, const struct smtp_reply *reply);
void hooks_announce(const struct session *s, struct buf *out);

/*
 * A verdict as it goes to the client: the handler's own reply, if it gave
 * one, or these words for HANDLER_ACCEPT. Returns whether it was accepted.
 */
bool session_send_verdict(struct session *s, enum handler_verdict verdict, const struct smtp_reply *reply,
			  const char *enhanced, const char *words);

#endif
