/* SPDX-License-Identifier: ISC */
/* See proxy_words.h. */
#include "handler/proxy_words.h"

#include <string.h>

#include "upstream/outcome.h"

enum handler_verdict proxy_put_off(struct smtp_reply *reply, const char *enhanced, const char *text)
{
	smtp_reply_set(reply, 451, enhanced, "%s", text);
	return HANDLER_REFUSE;
}

/*
 * RFC 2034 4, which our EHLO promised: a code in front of each text. The least that can be said where there
 * is none.
 */
static void add_enhanced(struct smtp_reply *reply)
{
	if (!reply->enhanced[0]) {
		memcpy(reply->enhanced, "?.0.0", 6);
		reply->enhanced[0] = (char)('0' + reply->code / 100);
	}
}

/* A temporary answer that is not for the client as it stands: the same words behind another code. */
static void make_it_ours(struct smtp_reply *reply)
{
	reply->code = 451;
	if (reply->enhanced[0] != '4')
		strcpy(reply->enhanced, "4.3.0");
}

enum handler_verdict proxy_refuse(const struct upstream_outcome *o, struct smtp_reply *reply)
{
	enum verdict verdict = outcome_decide(o).verdict;

	if (verdict == VERDICT_UNCERTAIN)
		return proxy_put_off(
			reply, "4.4.2",
			"The next server did not answer at the end of the message; try again later");
	if (o->how != UPSTREAM_ANSWERED)
		return proxy_put_off(reply, "4.4.2",
				     "The connection to the next server was lost; try again later");
	if (o->reply.code < 400)
		return proxy_put_off(reply, "4.3.0", "The next server gave an answer that makes no sense");
	*reply = o->reply;
	if (verdict != VERDICT_FAILED && (reply->code >= 500 || reply->code == 421))
		make_it_ours(reply);
	add_enhanced(reply);
	return HANDLER_REFUSE;
}

bool proxy_is_accepted(const struct upstream_outcome *o, int class)
{
	return o->how == UPSTREAM_ANSWERED && o->reply.code / 100 == class;
}

enum handler_verdict proxy_accept(const struct upstream_outcome *o, struct smtp_reply *reply)
{
	*reply = o->reply;
	add_enhanced(reply);
	return HANDLER_ACCEPT;
}
