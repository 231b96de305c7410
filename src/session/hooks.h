/* SPDX-License-Identifier: ISC */
/*
 * Where foreign code may take part in a dialogue: smtpd's channel_class, whose subclasses define smtp_MAIL
 * and the others anew. Implemented by module/ and by a fake in the tests. The session trusts what stands here
 * of replies: who implements it lets nothing through that a module must not say.
 *
 * One dialogue at a time, always in this order:
 *
 *   begin      a client is there, nothing was said yet; again after STARTTLS and XCLIENT, when everything
 *              said before counts no more
 *   find       a command that the session does not know
 *   command    of those whose flags say so (session/command.h): before the session's own checks, and once more when
 *              they passed and the command's turn has come. Of the BDAT that would begin a message: of BDAT, and then
 *              of DATA, so that who knows only DATA need not know that there are two ways to say it (RFC 3030)
 *   replied    each reply, as it goes out
 *   announce   EHLO is being answered
 *   end        before each further begin, and at the end of the session
 */
#ifndef SESSION_HOOKS_H
#define SESSION_HOOKS_H

#include "base/buf.h"
#include "session/command.h"
#include "session/policy.h"
#include "session/session.h"
#include "smtp/reply.h"

enum hook_verdict {
	HOOK_PASS, /* the session goes on with its own */
	/*
	 * The reply is filled and takes the place of the command: 400 and above, or 200 to 299 as well where
	 * the verb's flags have COMMAND_ANSWERED; 421 ends the session.
	 */
	HOOK_REPLY
};

enum hook_moment {
	HOOK_FIRST, /* nothing was checked but that the command is known and allowed without TLS */
	HOOK_IN_ORDER /* it is allowed in this state and has an argument if it needs one: the verb itself is
			 next */
};

struct session_hooks;

struct session_hooks_ops {
	/* s is for session_look(), until end. A refusal (400 and above) goes out instead of the greeting. */
	enum hook_verdict (*begin)(struct session_hooks *h, const struct session *s,
				   struct smtp_reply *reply);
	/* A verb of its own, whose run is NULL; NULL: it does not know it either. Lives as long as the hooks.
	 */
	const struct command_verb *(*find)(struct session_hooks *h, const char *name, size_t len);
	/*
	 * May put another argument in place of *arg (HOOK_PASS; without CR, LF and NUL; lives until the next
	 * call). Not empty where the verb needs one, none at all where it takes none. Of a secret verb *arg
	 * is the first word alone, and stays as it is; so does that of BDAT. A refusal of BDAT, or of DATA in
	 * its place, is the end of the transaction: the rest of the content may be on its way (RFC 3030 2).
	 */
	enum hook_verdict (*command)(struct session_hooks *h, const struct command_verb *verb,
				     enum hook_moment moment, const char **arg, size_t *len,
				     struct smtp_reply *reply);
	/* verb: "" for the greeting, "?" for what is no command */
	void (*replied)(struct session_hooks *h, const char *verb, const struct smtp_reply *reply);
	/* Appends lines to the answer to EHLO, "\n" in front of each. */
	void (*announce)(struct session_hooks *h, struct buf *out);
	void (*end)(struct session_hooks *h);
};

struct session_hooks { /* embedded as first member */
	const struct session_hooks_ops *ops;
};

/* The dialogue as it is at the moment of the call; what is in it does not outlive the next command. */
struct session_view {
	struct session_client client;
	const struct session_config *cfg;
	const struct envelope *env; /* sender NULL: no transaction */
	bool extended; /* EHLO, not HELO */
	const char *verb; /* of the command under way, or of the last one; "" before the first */
	const char *line; /* the same, whole; of a secret verb what may be seen of it; "." in the content */
	size_t line_len;
};
void session_look(const struct session *s, struct session_view *view);

#endif
