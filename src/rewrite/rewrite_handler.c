/* SPDX-License-Identifier: ISC */
/* See rewrite_handler.h. */
#include "rewrite/rewrite_handler.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "rewrite/header_filter.h"
#include "rewrite/rewrite_log.h"
#include "smtp/rcpt_set.h"
#include "smtp/xtext.h"

/* A recipient of the client's envelope and one of ours that it became. */
struct link {
	size_t client, inner;
};

struct rewrite_handler {
	struct handler handler;
	struct handler_ops ops; /* the next one's name and whether it relays, and our calls */
	struct handler *next;
	const struct rewrite_rules *rules;

	bool open; /* the next one has a transaction */
	struct envelope
		inner; /* sender and recipients are ours, everything else is borrowed from the session's */
	struct rcpt_set seen; /* of inner */
	struct link *link; /* owned */
	size_t link_count, link_cap;

	bool has_bcc; /* always_bcc is one of inner's recipients, and of no other's making */
	bool filtering;
	struct header_filter filter;
	struct smtp_reply *reply; /* of the call in which the filter writes */
};

static struct rewrite_handler *self(struct handler *h)
{
	return (struct rewrite_handler *)h;
}

/* ---- the envelope behind ------------------------------------------------------------- */

/* What the session changed since the last call comes along, also what is added to the envelope one day. */
static void borrow(struct rewrite_handler *r, const struct envelope *env)
{
	struct envelope own = r->inner;

	r->inner = *env;
	r->inner.sender = own.sender;
	r->inner.rcpt = own.rcpt;
	r->inner.rcpt_count = own.rcpt_count;
	r->inner.rcpt_cap = own.rcpt_cap;
}

static void drop_last(struct rewrite_handler *r)
{
	struct envelope_rcpt *last = &r->inner.rcpt[--r->inner.rcpt_count];

	free(last->address);
	free(last->orcpt);
}

/* Nothing of this message stays. */
static void forget(struct rewrite_handler *r)
{
	while (r->inner.rcpt_count > 0)
		drop_last(r);
	free(r->inner.rcpt);
	free(r->inner.sender);
	free(r->link);
	rcpt_set_release(&r->seen);
	if (r->filtering)
		header_filter_release(&r->filter);
	memset(&r->inner, 0, sizeof(r->inner));
	r->link = NULL;
	r->link_count = r->link_cap = 0;
	r->filtering = r->open = r->has_bcc = false;
}

static void add_link(struct rewrite_handler *r, size_t client, size_t inner)
{
	if (r->link_count == r->link_cap) {
		r->link_cap = r->link_cap ? 2 * r->link_cap : 4;
		r->link = mem_resize(r->link, r->link_cap, sizeof(*r->link));
	}
	r->link[r->link_count++] = (struct link){ client, inner };
}

static enum handler_verdict refuse(struct smtp_reply *reply, int code, const char *enhanced, const char *text)
{
	smtp_reply_set(reply, code, enhanced, "%s", text);
	return HANDLER_REFUSE;
}

static enum handler_verdict refuse_invalid(const struct rewrite_handler *r, const char *what,
					   const char *address, const char *why, struct smtp_reply *reply)
{
	rewrite_log_failed(&r->inner, what, address, why);
	return refuse(reply, 451, "4.3.0", "Error: an address cannot be rewritten; try again later");
}

/* ---- notifications ---------------------------------------------------------------------- */

/* "rfc822;" and the address as the client said it; NULL: it cannot be said so, or nobody asks for it. */
static char *original_recipient(const struct rewrite_handler *r, const char *address)
{
	char *text, *orcpt;

	if (!r->ops.facts->relays)
		return NULL;
	for (const char *p = address; *p; p++)
		if ((unsigned char)*p >= 0x80) /* RFC 6533 3 has a type of its own for those */
			return NULL;
	text = xtext_encode(address);
	orcpt = mem_printf("rfc822;%s", text);
	free(text);
	if (strlen(orcpt) > XTEXT_ORCPT_MAX) {
		free(orcpt);
		return NULL;
	}
	return orcpt;
}

static void set_notification(const struct rewrite_handler *r, const struct envelope_rcpt *client,
			     struct envelope_rcpt *inner, bool first)
{
	if (r->rules->redirect_all) {
		/* nobody outside is to hear of a rehearsal */
		inner->notify = ENVELOPE_NOTIFY_NEVER;
		return;
	}
	inner->notify = first ? client->notify : envelope_notify_merge(inner->notify, client->notify);
	if (inner->orcpt)
		return;
	if (client->orcpt)
		inner->orcpt = mem_strdup(client->orcpt);
	else if (strcmp(client->address, inner->address) != 0)
		inner->orcpt = original_recipient(r, client->address);
}

/* A client may have named one again and asked for more: what counts is what stands when the content comes. */
static void settle_notifications(struct rewrite_handler *r, const struct envelope *env)
{
	bool *met = mem_array(r->inner.rcpt_count + 1, sizeof(*met));

	for (size_t i = 0; i < r->link_count; i++) {
		const struct link *l = &r->link[i];
		struct envelope_rcpt *inner = &r->inner.rcpt[l->inner];

		if (!met[l->inner]) {
			free(inner->orcpt);
			inner->orcpt = NULL;
		}
		set_notification(r, &env->rcpt[l->client], inner, !met[l->inner]);
		met[l->inner] = true;
	}
	free(met);
}

/* ---- MAIL and RCPT ------------------------------------------------------------------------ */

static enum handler_verdict rewrite_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct rewrite_handler *r = self(h);
	char sender[SMTP_PATH_MAX];
	const char *why;

	ASSERT(!r->open);
	borrow(r, env);
	if (rewrite_address(r->rules, REWRITE_SENDER, env->sender, env->smtputf8, sender, &why) ==
	    REWRITE_INVALID)
		return refuse_invalid(r, "from", env->sender, why, reply);
	r->inner.sender = mem_strdup(sender);
	r->open = true;
	return r->next->ops->mail(r->next, &r->inner, reply);
}

/* One recipient of ours for one of the client's; client NULL: for none. */
static enum handler_verdict add_recipient(struct rewrite_handler *r, const struct envelope *env,
					  const struct envelope_rcpt *client, const char *address,
					  struct smtp_reply *reply)
{
	struct envelope_rcpt *known = rcpt_set_find(&r->seen, &r->inner, address);
	enum handler_verdict verdict;

	if (!known) {
		struct envelope_rcpt *added = envelope_add_rcpt(&r->inner, address, strlen(address));

		if (client)
			set_notification(r, client, added, true);
		else
			added->notify = ENVELOPE_NOTIFY_NEVER;
		verdict = r->next->ops->rcpt(r->next, &r->inner, reply);
		if (verdict == HANDLER_REFUSE) {
			drop_last(r);
			return verdict;
		}
		rcpt_set_add_last(&r->seen, &r->inner);
		known = &r->inner.rcpt[r->inner.rcpt_count - 1];
	}
	if (client)
		add_link(r, (size_t)(client - env->rcpt), (size_t)(known - r->inner.rcpt));
	return HANDLER_ACCEPT;
}

static size_t count_new(const struct rewrite_handler *r, const struct rewrite_targets *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++)
		n += !rcpt_set_find(&r->seen, &r->inner, t->address[i]);
	return n;
}

static enum handler_verdict add_targets(struct rewrite_handler *r, const struct envelope *env,
					const struct rewrite_targets *t, struct smtp_reply *reply)
{
	const struct envelope_rcpt *client = &env->rcpt[env->rcpt_count - 1];
	size_t links = r->link_count;

	if (r->inner.rcpt_count + count_new(r, t) > r->rules->max_recipients)
		return refuse(reply, 452, "4.5.3", "Error: too many recipients");
	for (size_t i = 0; i < t->count; i++) {
		struct smtp_reply one = { .code = 0 };

		if (add_recipient(r, env, client, t->address[i], &one) == HANDLER_REFUSE) {
			*reply = one;
			/* the session forgets the recipient: what was taken for it belongs to nobody */
			r->link_count = links;
			return HANDLER_REFUSE;
		}
		if (t->count == 1)
			*reply = one;
	}
	return HANDLER_ACCEPT;
}

static enum handler_verdict rewrite_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct rewrite_handler *r = self(h);
	const char *address = env->rcpt[env->rcpt_count - 1].address, *why = "";
	struct rewrite_targets t = { 0 };
	enum handler_verdict verdict = HANDLER_REFUSE;

	borrow(r, env);
	if (r->rules->redirect_all)
		return add_recipient(r, env, &env->rcpt[env->rcpt_count - 1], r->rules->redirect_all, reply);
	switch (rewrite_recipient(r->rules, address, env->smtputf8, &t, &why)) {
	case REWRITE_SAME:
	case REWRITE_CHANGED:
		verdict = add_targets(r, env, &t, reply);
		break;
	case REWRITE_INVALID:
		verdict = refuse_invalid(r, "to", address, why, reply);
		break;
	case REWRITE_TOO_MANY:
		verdict = refuse(reply, 452, "4.5.3", "Error: too many recipients");
		break;
	}
	rewrite_targets_release(&t);
	return verdict;
}

/* ---- the content ---------------------------------------------------------------------------- */

static bool filter_put(void *ctx, const char *data, size_t len)
{
	struct rewrite_handler *r = ctx;

	return r->next->ops->data_chunk(r->next, data, len, r->reply) == HANDLER_ACCEPT;
}

static enum handler_verdict filter_verdict(const struct rewrite_handler *r, enum filter_result result,
					   struct smtp_reply *reply)
{
	switch (result) {
	case FILTER_OK:
		return HANDLER_ACCEPT;
	case FILTER_STOPPED:
		return HANDLER_REFUSE; /* the next one has filled the reply */
	case FILTER_INVALID:
		rewrite_log_failed(&r->inner, "header", NULL, r->filter.why.text);
		return refuse(reply, 451, "4.3.0",
			      "Error: an address of the header cannot be rewritten; try again later");
	}
	return HANDLER_REFUSE;
}

/* A copy for the archive. Not of reports: when the archive's own comes back it would be copied again and
 * again. */
static enum handler_verdict add_bcc(struct rewrite_handler *r, const struct envelope *env,
				    struct smtp_reply *reply)
{
	size_t before = r->inner.rcpt_count;

	if (!r->rules->always_bcc || r->rules->redirect_all || !r->inner.sender[0])
		return HANDLER_ACCEPT;
	if (add_recipient(r, env, NULL, r->rules->always_bcc, reply) == HANDLER_ACCEPT) {
		r->has_bcc = r->inner.rcpt_count > before;
		reply->code = 0;
		return HANDLER_ACCEPT;
	}
	/* no fault of the message: it waits until the copy can be made */
	rewrite_log_failed(&r->inner, "always_bcc", r->rules->always_bcc, reply->text);
	return refuse(reply, 451, "4.3.0",
		      "Error: the message cannot be copied as is required; try again later");
}

/* Who it was for, when all of it goes to one. */
static enum handler_verdict put_original_recipients(struct rewrite_handler *r, const struct envelope *env,
						    struct smtp_reply *reply)
{
	enum handler_verdict verdict = HANDLER_ACCEPT;
	struct buf line;

	buf_init(&line, SMTP_PATH_MAX + 30);
	for (size_t i = 0; r->rules->redirect_all && i < env->rcpt_count && verdict == HANDLER_ACCEPT; i++) {
		buf_clear(&line);
		buf_addf(&line, "X-Original-To: %s\r\n", env->rcpt[i].address);
		verdict = r->next->ops->data_chunk(r->next, line.data, line.len, reply);
	}
	buf_release(&line);
	return verdict;
}

static enum handler_verdict rewrite_data_begin(struct handler *h, struct envelope *env,
					       struct smtp_reply *reply)
{
	struct rewrite_handler *r = self(h);
	enum handler_verdict verdict;

	borrow(r, env);
	settle_notifications(r, env);
	if (add_bcc(r, env, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	verdict = r->next->ops->data_begin(r->next, &r->inner, reply);
	memcpy(env->id, r->inner.id, sizeof(env->id));
	if (verdict == HANDLER_REFUSE)
		return verdict;
	if (rewrite_touches_header(r->rules)) {
		header_filter_init(&r->filter, r->rules, env->smtputf8, filter_put, r);
		r->filtering = true;
	}
	return put_original_recipients(r, env, reply);
}

static enum handler_verdict rewrite_data_chunk(struct handler *h, const char *data, size_t len,
					       struct smtp_reply *reply)
{
	struct rewrite_handler *r = self(h);

	if (!r->filtering)
		return r->next->ops->data_chunk(r->next, data, len, reply);
	r->reply = reply;
	return filter_verdict(r, header_filter_feed(&r->filter, data, len), reply);
}

/* Once the message is accepted: under which addresses it goes on, so that the log finds it by both. */
static void log_changes(const struct rewrite_handler *r, const struct envelope *env)
{
	rewrite_log_sender(&r->inner, env->sender);
	for (size_t i = 0; i < r->link_count; i++)
		rewrite_log_recipient(&r->inner, env->rcpt[r->link[i].client].address,
				      r->inner.rcpt[r->link[i].inner].address);
	if (r->has_bcc)
		rewrite_log_recipient(&r->inner, NULL, r->rules->always_bcc);
	if (r->filtering)
		rewrite_log_header(&r->inner, &r->filter);
}

static enum handler_verdict rewrite_data_end(struct handler *h, struct envelope *env,
					     struct smtp_reply *reply)
{
	struct rewrite_handler *r = self(h);
	enum handler_verdict verdict = HANDLER_ACCEPT;

	borrow(r, env);
	r->reply = reply;
	if (r->filtering)
		verdict = filter_verdict(r, header_filter_finish(&r->filter), reply);
	if (verdict == HANDLER_REFUSE) {
		r->next->ops->abort(r->next);
	} else {
		verdict = r->next->ops->data_end(r->next, &r->inner, reply);
		memcpy(env->id, r->inner.id, sizeof(env->id));
		if (verdict == HANDLER_ACCEPT)
			log_changes(r, env);
	}
	forget(r);
	return verdict;
}

static void rewrite_abort(struct handler *h)
{
	struct rewrite_handler *r = self(h);

	if (r->open)
		r->next->ops->abort(r->next);
	forget(r);
}

static void rewrite_close(struct handler *h)
{
	struct rewrite_handler *r = self(h);

	forget(r);
	r->next->ops->close(r->next);
	free(r);
}

static void rewrite_narrow(struct handler *h, struct handler_offer *offer)
{
	struct rewrite_handler *r = self(h);

	r->next->ops->narrow(r->next, offer);
}

static int64_t rewrite_idle(struct handler *h)
{
	struct rewrite_handler *r = self(h);

	return r->next->ops->idle(r->next);
}

struct handler *rewrite_handler_open(struct handler *next, const struct rewrite_rules *rules)
{
	struct rewrite_handler *r = mem_alloc(sizeof(*r));

	r->ops = *next->ops;
	if (r->ops.narrow)
		r->ops.narrow = rewrite_narrow;
	if (r->ops.idle)
		r->ops.idle = rewrite_idle;
	r->ops.mail = rewrite_mail;
	r->ops.rcpt = rewrite_rcpt;
	r->ops.data_begin = rewrite_data_begin;
	r->ops.data_chunk = rewrite_data_chunk;
	r->ops.data_end = rewrite_data_end;
	r->ops.abort = rewrite_abort;
	r->ops.close = rewrite_close;
	r->handler.ops = &r->ops;
	r->next = next;
	r->rules = rules;
	rcpt_set_init(&r->seen);
	return &r->handler;
}
