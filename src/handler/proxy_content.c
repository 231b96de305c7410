/* SPDX-License-Identifier: ISC */
/* See proxy_internal.h: the content on its way to the upstream, with our trace fields, and its answer. */
#include "handler/proxy_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "spool/id.h"
#include "upstream/outcome.h"

/* ---- log ------------------------------------------------------------------------------- */

static void log_outcome(const struct proxy *p, enum log_level level, const char *event,
			const struct envelope *env, const struct smtp_reply *reply)
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

/* ---- content ---------------------------------------------------------------------------- */

static enum handler_verdict send_chunk(struct proxy *p, struct smtp_reply *reply)
{
	struct upstream_outcome o;

	talk_chunk(p->to->talk, p->chunk.data, p->chunk.len, false, &o);
	buf_clear(&p->chunk);
	return proxy_is_accepted(&o, 2) && talk_is_open(p->to->talk) ? HANDLER_ACCEPT
								     : proxy_refuse_and_look(p, &o, reply);
}

static enum handler_verdict pass_on_in_chunks(struct proxy *p, const char *data, size_t len,
					      struct smtp_reply *reply)
{
	while (len > 0) {
		size_t room = PROXY_CHUNK_BYTES - p->chunk.len, n = len < room ? len : room;

		if (room == 0) {
			if (send_chunk(p, reply) == HANDLER_REFUSE)
				return HANDLER_REFUSE;
			continue;
		}
		buf_add(&p->chunk, data, n);
		data += n;
		len -= n;
	}
	return HANDLER_ACCEPT;
}

/* Sent on, or the transaction is over and the reply is filled. */
static enum handler_verdict pass_on(struct proxy *p, const char *data, size_t len, struct smtp_reply *reply)
{
	struct upstream_outcome o;

	if (p->binary)
		return pass_on_in_chunks(p, data, len, reply);
	if (talk_content(p->to->talk, data, len, &o) == 0)
		return HANDLER_ACCEPT;
	return proxy_refuse_and_look(p, &o, reply);
}

static void make_peer_field(struct proxy *p, const struct envelope *env)
{
	char address[SMTP_PEER_ADDRESS_MAX];

	snprintf(p->peer_field, sizeof(p->peer_field), "X-Peer: %s\r\n",
		 smtp_peer_address(env->peer, address));
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

enum handler_verdict proxy_data_begin(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	struct upstream_outcome o;
	struct spool_id id;

	if (p->state != PROXY_OPEN)
		return proxy_put_off(reply, "4.4.2",
				     "The connection to the next server was lost; try again later");
	p->binary = env->body == BODY_BINARYMIME;
	buf_clear(&p->chunk);
	if (!p->binary) {
		talk_command(p->to->talk, UPSTREAM_DATA, "DATA", 4, &o);
		if (!proxy_is_accepted(&o, 3))
			return proxy_refuse_and_look(p, &o, reply);
	}
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

enum handler_verdict proxy_data_chunk(struct handler *h, const char *data, size_t len,
				      struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	size_t header = p->peer_field_is_due ? blank_line_find(&p->blank_line, data, len) : len;

	if (!p->binary && must_be_seven_bit(p->to) && has_eightbit(data, len)) {
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

enum handler_verdict proxy_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct proxy *p = (struct proxy *)h;
	enum handler_verdict verdict = HANDLER_ACCEPT;
	struct upstream_outcome o;

	if (p->peer_field_is_due)
		verdict = add_peer_field_at_end(p, reply);
	if (verdict == HANDLER_ACCEPT) {
		if (p->binary)
			talk_chunk(p->to->talk, p->chunk.data, p->chunk.len, true, &o);
		else
			talk_content_end(p->to->talk, &o);
		if (proxy_is_accepted(&o, 2)) {
			log_outcome(p, LOG_LEVEL_INFO, "delivered", env, &o.reply);
			verdict = proxy_accept(&o, reply);
		} else {
			if (outcome_decide(&o).verdict == VERDICT_UNCERTAIN)
				log_outcome(p, LOG_LEVEL_WARNING, "uncertain", env, &o.reply);
			verdict = proxy_refuse_and_look(p, &o, reply);
		}
	}
	if (p->state == PROXY_CONTENT)
		proxy_line_rest(p->to, false);
	proxy_forget(p);
	return verdict;
}
