/* SPDX-License-Identifier: ISC */
/*
 * See proxy_handler.h; proxy_line.h has the connection. Runs in a worker, and
 * blocks as long as the upstream takes, within the upstream's deadlines.
 *
 * One transaction, one upstream: the routes choose it at MAIL where they only
 * ask for the sender, else at the first recipient, and then MAIL is said
 * there. A recipient of another upstream is put off with 452, which clients
 * know from long lists: they send the rest again by itself (RFC 5321
 * 4.5.3.1.10).
 */
#include "handler/proxy_handler.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "handler/proxy_internal.h"
#include "upstream/command.h"

enum handler_verdict proxy_refuse_and_look(struct proxy *p, const struct upstream_outcome *o,
					   struct smtp_reply *reply)
{
	if (!talk_is_open(p->to->talk) || o->reply.code / 100 < 4) {
		proxy_line_drop(p->to, NULL);
		p->state = PROXY_BROKEN;
	}
	return proxy_refuse(o, reply);
}

void proxy_forget(struct proxy *p)
{
	p->state = PROXY_NOTHING;
	p->to = NULL;
	buf_release(&p->chunk);
}

/* ---- MAIL and RCPT --------------------------------------------------------------------- */

/*
 * The transaction as far as what makes commands of it must know it: the sender and the last recipient, before
 * there is one nobody.
 */
struct view {
	struct envelope env;
	struct envelope_rcpt nobody;
	size_t rcpt;
	struct upstream_txn txn;
};

static const struct upstream_txn *look_at(struct view *v, const struct envelope *env)
{
	static char no_address[] = "";

	v->env = *env;
	v->nobody = (struct envelope_rcpt){ .address = no_address };
	v->env.rcpt = env->rcpt_count > 0 ? &env->rcpt[env->rcpt_count - 1] : &v->nobody;
	v->env.rcpt_count = 1;
	v->rcpt = 0;
	v->txn = (struct upstream_txn){
		.env = &v->env,
		.rcpt = &v->rcpt,
		.rcpt_count = 1,
		.content_bytes =
			env->declared_size_bytes > 0 ? env->declared_size_bytes + PROXY_ADDED_MAX : 0,
		.has_eightbit = env->body == BODY_8BITMIME || env->smtputf8,
	};
	return &v->txn;
}

/*
 * What was offered at EHLO may be gone with the connection it was offered for: the client is to ask anew. Not
 * for what rewriting adds on its own, whether the upstream has DSN or not (ORCPT, NEVER for a copy): where it
 * has none it is left out (RFC 3461 5.2.2).
 */
static bool keeps_promises(const struct upstream_features *f, const struct envelope *one)
{
	if (!f->deliverby && one->by.mode != DELIVER_BY_NONE)
		return false;
	return f->dsn || (one->ret == RET_UNSET && !one->envid &&
			  !(one->rcpt->notify & ~(unsigned)ENVELOPE_NOTIFY_NEVER));
}

/* Whether the upstream can take it at all. False: the reply is filled. */
static bool can_take(const struct proxy_line *to, const struct upstream_txn *t, struct smtp_reply *reply)
{
	const struct upstream_features *f = talk_features(to->talk);

	if (!keeps_promises(f, t->env)) {
		proxy_put_off(reply, "4.3.0", "The next server has lost an extension; try again later");
		return false;
	}
	return command_can_take(f, &to->upstream->remote[to->at].settings, t, reply);
}

static bool mail_once(struct proxy_line *to, const struct upstream_txn *t, struct upstream_outcome *o)
{
	char line[COMMAND_MAX];
	size_t len = command_mail(line, talk_features(to->talk), t);

	to->messages++;
	talk_command(to->talk, UPSTREAM_MAIL, line, len, o);
	return talk_is_open(to->talk) && o->reply.code / 100 != 3;
}

/*
 * MAIL with `to`. Nothing was asked of the upstream before, so a connection that fails here is replaced: one
 * that was kept without further ado, a fresh one by that to another address.
 */
static enum handler_verdict begin_upstream(struct proxy *p, struct proxy_line *to, const struct envelope *env,
					   struct smtp_reply *reply)
{
	struct upstream_outcome o;
	struct view v;

	look_at(&v, env);
	for (size_t tries = 0; tries <= to->upstream->remote_count; tries++) {
		if (proxy_line_ready(to, &o) < 0)
			return proxy_put_off(reply, "4.4.1",
					     "The next server cannot be reached now; try again later");
		if (!can_take(to, &v.txn, reply))
			return HANDLER_REFUSE;
		if (!mail_once(to, &v.txn, &o)) {
			proxy_line_drop(to, to->reused ? NULL : &o);
			continue;
		}
		if (!proxy_is_accepted(&o, 2)) {
			proxy_line_rest(to, false);
			return proxy_refuse(&o, reply);
		}
		p->to = to;
		p->state = PROXY_OPEN;
		p->recipients = 0;
		proxy_line_worked(to);
		return proxy_accept(&o, reply);
	}
	return proxy_refuse(&o, reply);
}

/* Without a recipient only for routes that do not ask for one. */
static struct proxy_line *line_for(const struct proxy *p, const struct envelope *env)
{
	struct view v;

	look_at(&v, env);
	return &p->line[route_find(p->setup->routes, &v.env, 0, NULL)];
}

static bool routes_ask_for_recipients(const struct routes *r)
{
	for (size_t i = 0; i < r->rule_count; i++)
		if (r->rule[i].pattern_count[ROUTE_RECIPIENT] > 0)
			return true;
	return false;
}

static enum handler_verdict proxy_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;

	ASSERT(p->state == PROXY_NOTHING);
	p->to = NULL;
	/* a stranger, who will be refused each recipient, has nothing to say to the upstream */
	if (env->stays_here || routes_ask_for_recipients(p->setup->routes))
		return HANDLER_ACCEPT;
	return begin_upstream(p, line_for(p, env), env, reply);
}

static enum handler_verdict say_rcpt(struct proxy *p, const struct envelope *env, struct smtp_reply *reply)
{
	struct upstream_outcome o;
	char line[COMMAND_MAX];
	struct view v;
	size_t len;

	if (!can_take(p->to, look_at(&v, env), reply))
		return HANDLER_REFUSE;
	len = command_rcpt(line, talk_features(p->to->talk), &v.txn, 0);
	talk_command(p->to->talk, UPSTREAM_RCPT, line, len, &o);
	if (!proxy_is_accepted(&o, 2) || !talk_is_open(p->to->talk))
		return proxy_refuse_and_look(p, &o, reply);
	p->recipients++;
	return proxy_accept(&o, reply);
}

static enum handler_verdict proxy_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	struct proxy_line *to = line_for(p, env);

	if (p->state == PROXY_BROKEN)
		return proxy_put_off(reply, "4.4.2",
				     "The connection to the next server was lost; try again later");
	if (p->state == PROXY_OPEN && to != p->to) {
		smtp_reply_set(reply, 452, "4.5.3",
			       "This recipient goes another way; send it a copy of its own");
		return HANDLER_REFUSE;
	}
	if (p->state == PROXY_NOTHING && begin_upstream(p, to, env, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	if (to->upstream->recipients_per_message > 0 &&
	    p->recipients >= to->upstream->recipients_per_message) {
		smtp_reply_set(reply, 452, "4.5.3", "Too many recipients for the next server");
		return HANDLER_REFUSE;
	}
	return say_rcpt(p, env, reply);
}

/*
 * A message that is broken off must never get its final dot; one that was not begun ends with RSET
 * (proxy_line_ready).
 */
static void proxy_abort(struct handler *h)
{
	struct proxy *p = (struct proxy *)h;

	if (p->state == PROXY_CONTENT)
		proxy_line_drop(p->to, NULL);
	else if (p->state == PROXY_OPEN)
		proxy_line_rest(p->to, true);
	proxy_forget(p);
}

/* ---- sessions ------------------------------------------------------------------------------ */

static unsigned announced(const struct upstream_features *f)
{
	/* what comes in chunks goes on with DATA, but for what cannot */
	return SMTP_EXTENSION_BIT(SMTP_CHUNKING) | (f->eightbitmime ? SMTP_EXTENSION_BIT(SMTP_8BITMIME) : 0) |
	       (f->chunking && f->binarymime ? SMTP_EXTENSION_BIT(SMTP_BINARYMIME) : 0) |
	       (f->deliverby ? SMTP_EXTENSION_BIT(SMTP_DELIVERBY) : 0) |
	       (f->dsn ? SMTP_EXTENSION_BIT(SMTP_DSN) : 0) |
	       (f->smtputf8 ? SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) : 0) |
	       (upstream_can_requiretls(f) ? SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) : 0);
}

/* What our trace fields need is kept back. */
static void narrow_size(struct handler_offer *offer, uint64_t theirs)
{
	if (theirs > 2 * PROXY_ADDED_MAX)
		theirs -= PROXY_ADDED_MAX;
	if (theirs > 0 && (offer->size_limit_bytes == 0 || theirs < offer->size_limit_bytes))
		offer->size_limit_bytes = theirs;
}

/*
 * What all upstreams have. One that is down takes nothing out: mail for it gets 451 now, while a client that
 * misses an extension might give its message up.
 */
static void proxy_narrow(struct handler *h, struct handler_offer *offer)
{
	struct proxy *p = (struct proxy *)h;

	for (size_t i = 0; i < p->setup->upstream_count; i++) {
		const struct upstream_features *f = proxy_line_features(&p->line[i]);

		if (!f)
			continue;
		offer->extensions &= announced(f);
		narrow_size(offer, f->size_limit_bytes);
	}
}

static int64_t proxy_idle(struct handler *h)
{
	struct proxy *p = (struct proxy *)h;
	int64_t next = CLOCK_NEVER;

	for (size_t i = 0; i < p->setup->upstream_count; i++) {
		int64_t ends = proxy_line_idle(&p->line[i]);

		next = ends < next ? ends : next;
	}
	return next;
}

static void proxy_close(struct handler *h)
{
	struct proxy *p = (struct proxy *)h;

	for (size_t i = 0; i < p->setup->upstream_count; i++)
		proxy_line_release(&p->line[i]);
	buf_release(&p->chunk);
	free(p->line);
	free(p);
}

static const struct handler_ops proxy_ops = {
	.facts = &handler_facts[HANDLER_PROXY],
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_DSN) |
		      SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) | SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) |
		      SMTP_EXTENSION_BIT(SMTP_CHUNKING) | SMTP_EXTENSION_BIT(SMTP_BINARYMIME) |
		      SMTP_EXTENSION_BIT(SMTP_DELIVERBY),
	.narrow = proxy_narrow,
	.mail = proxy_mail,
	.rcpt = proxy_rcpt,
	.data_begin = proxy_data_begin,
	.data_chunk = proxy_data_chunk,
	.data_end = proxy_data_end,
	.abort = proxy_abort,
	.close = proxy_close,
	.idle = proxy_idle,
};

static struct handler *proxy_open(const struct handler_setup *setup, struct err *e)
{
	struct proxy *p = mem_alloc(sizeof(*p));

	(void)e;
	ASSERT(setup->proxy && setup->proxy->upstream_count > 0);
	p->handler.ops = &proxy_ops;
	p->setup = setup->proxy;
	p->hostname = setup->hostname;
	p->show_user = setup->show_user;
	buf_init(&p->chunk, PROXY_CHUNK_BYTES);
	p->line = mem_array(p->setup->upstream_count, sizeof(*p->line));
	for (size_t i = 0; i < p->setup->upstream_count; i++)
		proxy_line_init(&p->line[i], p->setup, &p->setup->upstream[i]);
	return &p->handler;
}

const struct handler_kind handler_proxy = { &proxy_ops, proxy_open };
