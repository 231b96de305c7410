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
 *
 * What the upstream says of a command is said to the client in its own words,
 * but for what would be untrue in our mouth: 421 (we do not leave), 530 and
 * 534 to 538 (it is our credentials that it wants), and what makes no sense:
 * these are 451, as relay/outcome.c knows them.
 */
#include "handler/proxy_handler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "handler/blank_line.h"
#include "handler/proxy_line.h"
#include "relay/outcome.h"
#include "smtp/received.h"
#include "spool/id.h"
#include "upstream/command.h"

#define PEER_FIELD_MAX (SMTP_PEER_ADDRESS_MAX + 16)
#define ADDED_MAX (SMTP_RECEIVED_MAX + PEER_FIELD_MAX) /* octets that we add to a message, at most */

enum proxy_state {
	PROXY_NOTHING, /* no transaction, or MAIL was not said upstream yet */
	PROXY_OPEN, /* MAIL was accepted upstream */
	PROXY_CONTENT, /* 354 */
	PROXY_BROKEN /* the connection was lost with the transaction */
};

struct proxy {
	struct handler handler;
	const struct proxy_setup *setup;
	const char *hostname; /* for Received */
	bool show_user;
	struct proxy_line *line; /* by upstream; owned */
	enum proxy_state state;
	struct proxy_line *to; /* the upstream of the transaction; NULL: not chosen yet */
	unsigned recipients; /* accepted there */
	/* the content */
	bool peer_field_is_due; /* X-Peer goes in front of the empty line */
	struct blank_line blank_line;
	char peer_field[PEER_FIELD_MAX];
};

static bool routes_ask_for_recipients(const struct routes *r)
{
	for (size_t i = 0; i < r->rule_count; i++)
		if (r->rule[i].pattern_count[ROUTE_RECIPIENT] > 0)
			return true;
	return false;
}

/* ---- words ------------------------------------------------------------------------------ */

static enum handler_verdict put_off(struct smtp_reply *reply, const char *enhanced, const char *text)
{
	smtp_reply_set(reply, 451, enhanced, "%s", text);
	return HANDLER_REFUSE;
}

/* RFC 2034 4, which our EHLO promised: a code in front of each text. The least that can be said where there is none. */
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

/* What the upstream refused, for the client. */
static enum handler_verdict refuse(const struct upstream_outcome *o, struct smtp_reply *reply)
{
	enum verdict verdict = outcome_decide(o).verdict;

	if (verdict == VERDICT_UNCERTAIN)
		return put_off(reply, "4.4.2", "The next server did not answer at the end of the message; try again later");
	if (o->how != UPSTREAM_ANSWERED)
		return put_off(reply, "4.4.2", "The connection to the next server was lost; try again later");
	if (o->reply.code < 400)
		return put_off(reply, "4.3.0", "The next server gave an answer that makes no sense");
	*reply = o->reply;
	if (verdict != VERDICT_FAILED && (reply->code >= 500 || reply->code == 421))
		make_it_ours(reply);
	add_enhanced(reply);
	return HANDLER_REFUSE;
}

static bool is_accepted(const struct upstream_outcome *o, int class)
{
	return o->how == UPSTREAM_ANSWERED && o->reply.code / 100 == class;
}

static enum handler_verdict accept(const struct upstream_outcome *o, struct smtp_reply *reply)
{
	*reply = o->reply;
	add_enhanced(reply);
	return HANDLER_ACCEPT;
}

/* The connection may have ended with the answer, or be of no use after it. */
static enum handler_verdict refuse_and_look(struct proxy *p, const struct upstream_outcome *o, struct smtp_reply *reply)
{
	if (!talk_is_open(p->to->talk) || o->reply.code / 100 < 4) {
		proxy_line_drop(p->to, NULL);
		p->state = PROXY_BROKEN;
	}
	return refuse(o, reply);
}

/* ---- log ------------------------------------------------------------------------------- */

static void log_outcome(const struct proxy *p, enum log_level level, const char *event, const struct envelope *env,
			const struct smtp_reply *reply)
{
	const struct upstream_features *f = talk_features(p->to->talk);
	struct buf oneline;

	buf_init(&oneline, 2 * SMTP_REPLY_TEXT_MAX);
	smtp_reply_oneline(reply, &oneline);
	for (size_t i = 0; i < env->rcpt_count; i++) {
		struct log_line line;

		log_begin(&line, level, event);
		log_str(&line, "id", env->id);
		log_str(&line, "from", env->sender);
		log_str(&line, "to", env->rcpt[i].address);
		log_str(&line, "upstream", p->to->upstream->name);
		log_str(&line, "remote", talk_remote(p->to->talk));
		log_str(&line, "via", talk_via(p->to->talk)[0] ? talk_via(p->to->talk) : NULL);
		if (f->tls_version[0]) {
			log_str(&line, "tls", f->tls_version);
			log_str(&line, "verified", upstream_verified_name(f->verified));
		}
		log_seconds(&line, "delay", (clock_wall_us() - env->arrived_wall_us) / 1000);
		log_str(&line, "reply", oneline.data);
		log_end(&line);
	}
	buf_release(&oneline);
}

/* ---- MAIL and RCPT --------------------------------------------------------------------- */

/*
 * The transaction as far as what makes commands of it must know it: the sender and the last recipient, before there
 * is one nobody.
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
		.content_bytes = env->declared_size_bytes > 0 ? env->declared_size_bytes + ADDED_MAX : 0,
		.has_eightbit = env->body == BODY_8BITMIME || env->smtputf8,
	};
	return &v->txn;
}

/* What was offered at EHLO may be gone with the connection it was offered for: the client is to ask anew. */
static bool keeps_promises(const struct upstream_features *f, const struct envelope *one)
{
	return f->dsn || (one->ret == RET_UNSET && !one->envid && !one->rcpt->notify && !one->rcpt->orcpt);
}

/* Whether the upstream can take it at all. False: the reply is filled. */
static bool can_take(const struct proxy_line *to, const struct upstream_txn *t, struct smtp_reply *reply)
{
	const struct upstream_features *f = talk_features(to->talk);

	if (!keeps_promises(f, t->env)) {
		put_off(reply, "4.3.0", "The next server takes no DSN any more; try again later");
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
 * MAIL with `to`. Nothing was asked of the upstream before, so a connection that fails here is replaced: one that was
 * kept without further ado, a fresh one by that to another address.
 */
static enum handler_verdict begin_upstream(struct proxy *p, struct proxy_line *to, const struct envelope *env,
					   struct smtp_reply *reply)
{
	struct upstream_outcome o;
	struct view v;

	look_at(&v, env);
	for (size_t tries = 0; tries <= to->upstream->remote_count; tries++) {
		if (proxy_line_ready(to, &o) < 0)
			return put_off(reply, "4.4.1", "The next server cannot be reached now; try again later");
		if (!can_take(to, &v.txn, reply))
			return HANDLER_REFUSE;
		if (!mail_once(to, &v.txn, &o)) {
			proxy_line_drop(to, to->reused ? NULL : &o);
			continue;
		}
		if (!is_accepted(&o, 2)) {
			proxy_line_rest(to, false);
			return refuse(&o, reply);
		}
		p->to = to;
		p->state = PROXY_OPEN;
		p->recipients = 0;
		proxy_line_worked(to);
		return accept(&o, reply);
	}
	return refuse(&o, reply);
}

/* Without a recipient only for routes that do not ask for one. */
static struct proxy_line *line_for(const struct proxy *p, const struct envelope *env)
{
	struct view v;

	look_at(&v, env);
	return &p->line[route_find(p->setup->routes, &v.env, 0, NULL)];
}

static enum handler_verdict proxy_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;

	ASSERT(p->state == PROXY_NOTHING);
	p->to = NULL;
	if (routes_ask_for_recipients(p->setup->routes))
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
	if (!is_accepted(&o, 2) || !talk_is_open(p->to->talk))
		return refuse_and_look(p, &o, reply);
	p->recipients++;
	return accept(&o, reply);
}

static enum handler_verdict proxy_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	struct proxy_line *to = line_for(p, env);

	if (p->state == PROXY_BROKEN)
		return put_off(reply, "4.4.2", "The connection to the next server was lost; try again later");
	if (p->state == PROXY_OPEN && to != p->to) {
		smtp_reply_set(reply, 452, "4.5.3", "This recipient goes another way; send it a copy of its own");
		return HANDLER_REFUSE;
	}
	if (p->state == PROXY_NOTHING && begin_upstream(p, to, env, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	if (to->upstream->recipients_per_message > 0 && p->recipients >= to->upstream->recipients_per_message) {
		smtp_reply_set(reply, 452, "4.5.3", "Too many recipients for the next server");
		return HANDLER_REFUSE;
	}
	return say_rcpt(p, env, reply);
}

/* ---- the content ------------------------------------------------------------------------- */

/* Sent on, or the transaction is over and the reply is filled. */
static enum handler_verdict pass_on(struct proxy *p, const char *data, size_t len, struct smtp_reply *reply)
{
	struct upstream_outcome o;

	if (talk_content(p->to->talk, data, len, &o) == 0)
		return HANDLER_ACCEPT;
	return refuse_and_look(p, &o, reply);
}

static void make_peer_field(struct proxy *p, const struct envelope *env)
{
	char address[SMTP_PEER_ADDRESS_MAX];

	snprintf(p->peer_field, sizeof(p->peer_field), "X-Peer: %s\r\n", smtp_peer_address(env->peer, address));
	p->peer_field_is_due = true;
	p->blank_line = (struct blank_line){ .inside = false };
}

static enum handler_verdict add_trace(struct proxy *p, const struct envelope *env, struct smtp_reply *reply)
{
	enum handler_verdict verdict;
	struct buf received;

	buf_init(&received, SMTP_RECEIVED_MAX);
	ASSERT(smtp_received_write(&received, env, p->hostname, clock_wall_us(), p->show_user));
	verdict = pass_on(p, received.data, received.len, reply);
	buf_release(&received);
	return verdict;
}

static enum handler_verdict proxy_data_begin(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	struct upstream_outcome o;
	struct spool_id id;

	if (p->state != PROXY_OPEN)
		return put_off(reply, "4.4.2", "The connection to the next server was lost; try again later");
	talk_command(p->to->talk, UPSTREAM_DATA, "DATA", 4, &o);
	if (!is_accepted(&o, 3))
		return refuse_and_look(p, &o, reply);
	p->state = PROXY_CONTENT;
	spool_id_new(&id); /* nobody keeps anything under it, but trace fields and log lines name it */
	memcpy(env->id, id.text, sizeof(id.text));
	p->peer_field_is_due = false;
	if (p->setup->x_peer)
		make_peer_field(p, env);
	return add_trace(p, env, reply);
}

static bool has_eightbit(const char *data, size_t len)
{
	unsigned char all = 0;

	for (size_t i = 0; i < len; i++)
		all |= (unsigned char)data[i];
	return all & 0x80;
}

/* RFC 6152 3: content that was not declared, to an upstream that does not take it */
static bool must_be_seven_bit(const struct proxy_line *to)
{
	return !talk_features(to->talk)->eightbitmime &&
	       to->upstream->remote[to->at].settings.eightbit == UPSTREAM_EIGHTBIT_STRICT;
}

static enum handler_verdict proxy_data_chunk(struct handler *h, const char *data, size_t len, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	size_t header = p->peer_field_is_due ? blank_line_find(&p->blank_line, data, len) : len;

	if (must_be_seven_bit(p->to) && has_eightbit(data, len)) {
		smtp_reply_set(reply, 554, "5.6.3",
			       "The message has 8-bit content and the next server offers no 8BITMIME");
		return HANDLER_REFUSE;
	}
	if (header == len)
		return pass_on(p, data, len, reply);
	p->peer_field_is_due = false;
	if (header > 0 && pass_on(p, data, header, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	if (pass_on(p, p->peer_field, strlen(p->peer_field), reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	return pass_on(p, data + header, len - header, reply);
}

/* smtpd puts it at the end of a message without an empty line; there it goes behind a line end of its own. */
static enum handler_verdict add_peer_field_at_end(struct proxy *p, struct smtp_reply *reply)
{
	if (p->blank_line.inside && pass_on(p, "\r\n", 2, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	return pass_on(p, p->peer_field, strlen(p->peer_field), reply);
}

static enum handler_verdict proxy_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	enum handler_verdict verdict = HANDLER_ACCEPT;
	struct upstream_outcome o;

	if (p->peer_field_is_due)
		verdict = add_peer_field_at_end(p, reply);
	if (verdict == HANDLER_ACCEPT) {
		talk_content_end(p->to->talk, &o);
		if (is_accepted(&o, 2)) {
			log_outcome(p, LOG_LEVEL_INFO, "delivered", env, &o.reply);
			verdict = accept(&o, reply);
		} else {
			if (outcome_decide(&o).verdict == VERDICT_UNCERTAIN)
				log_outcome(p, LOG_LEVEL_WARNING, "uncertain", env, &o.reply);
			verdict = refuse_and_look(p, &o, reply);
		}
	}
	if (p->state == PROXY_CONTENT)
		proxy_line_rest(p->to, false);
	p->state = PROXY_NOTHING;
	p->to = NULL;
	return verdict;
}

/* A message that is broken off must never get its final dot; one that was not begun ends with RSET (proxy_line_ready). */
static void proxy_abort(struct handler *h)
{
	struct proxy *p = (struct proxy *)h;

	if (p->state == PROXY_CONTENT)
		proxy_line_drop(p->to, NULL);
	else if (p->state == PROXY_OPEN)
		proxy_line_rest(p->to, true);
	p->state = PROXY_NOTHING;
	p->to = NULL;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static unsigned announced(const struct upstream_features *f)
{
	/* what comes in chunks goes on with DATA */
	return SMTP_EXTENSION_BIT(SMTP_CHUNKING) |
	       (f->eightbitmime ? SMTP_EXTENSION_BIT(SMTP_8BITMIME) : 0) |
	       (f->dsn ? SMTP_EXTENSION_BIT(SMTP_DSN) : 0) |
	       (f->smtputf8 ? SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) : 0) |
	       (upstream_can_requiretls(f) ? SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) : 0);
}

/* What our trace fields need is kept back. */
static void narrow_size(struct handler_offer *offer, uint64_t theirs)
{
	if (theirs > 2 * ADDED_MAX)
		theirs -= ADDED_MAX;
	if (theirs > 0 && (offer->size_limit_bytes == 0 || theirs < offer->size_limit_bytes))
		offer->size_limit_bytes = theirs;
}

/*
 * What all upstreams have. One that is down takes nothing out: mail for it gets 451 now, while a client that misses
 * an extension might give its message up.
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
	free(p->line);
	free(p);
}

static const struct handler_ops proxy_ops = {
	.name = "proxy",
	.smtpd_class = "PureProxy",
	.relays = true,
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_DSN) |
		      SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) | SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) |
		      SMTP_EXTENSION_BIT(SMTP_CHUNKING),
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
	p->line = mem_array(p->setup->upstream_count, sizeof(*p->line));
	for (size_t i = 0; i < p->setup->upstream_count; i++)
		proxy_line_init(&p->line[i], p->setup, &p->setup->upstream[i]);
	return &p->handler;
}

const struct handler_kind handler_proxy = { &proxy_ops, proxy_open };
