/* SPDX-License-Identifier: ISC */
/*
 * Our own health check of a worker (monitor/probe.h asks): a session like any other, but that it is no
 * client's: nothing counts it, logs it or limits it, no filter and no module sees it, and MAIL is answered by
 * whether a message could be begun in the spool. Only the monitor has the other end of the line it comes by.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/worker_internal.h"
#include "spool/txn.h"

#define PROBE_TIMEOUT_MS 5000 /* the other side is as near as can be */

struct probe_handler {
	struct handler handler;
	struct worker *worker;
};

static enum handler_verdict refuse(const char *what, struct smtp_reply *reply)
{
	log_msg(LOG_LEVEL_ERROR, "spool_error", "health check: %s", what);
	smtp_reply_set(reply, 452, "4.3.1", "No message could be begun");
	return HANDLER_REFUSE;
}

static enum handler_verdict on_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct worker *w = ((struct probe_handler *)h)->worker;
	uint64_t free_bytes, least = w->service->cfg->min_free_bytes;
	struct err e;

	(void)env;
	if (!w->service->has_relay)
		return HANDLER_ACCEPT;
	if (spool_free_bytes(&w->spool, &free_bytes, &e) == 0 && free_bytes < least) {
		err_set(&e, "%s: %llu bytes free, below min_free", w->spool.path,
			(unsigned long long)free_bytes);
		return refuse(e.text, reply);
	}
	return spool_try(&w->spool, &e) == SPOOL_OK ? HANDLER_ACCEPT : refuse(e.text, reply);
}

/* It asks for no more than MAIL; whatever else is said there does nothing. */
static enum handler_verdict no_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	(void)h;
	(void)env;
	smtp_reply_set(reply, 550, "5.7.1", "This is a health check");
	return HANDLER_REFUSE;
}

static enum handler_verdict no_chunk(struct handler *h, const char *data, size_t len,
				     struct smtp_reply *reply)
{
	(void)data;
	(void)len;
	return no_rcpt(h, NULL, reply);
}

static void nothing(struct handler *h)
{
	(void)h;
}

static const struct handler_ops ops = {
	.facts = &handler_facts[HANDLER_DEBUG],
	.mail = on_mail,
	.rcpt = no_rcpt,
	.data_begin = no_rcpt,
	.data_chunk = no_chunk,
	.data_end = no_rcpt,
	.abort = nothing,
	.close = nothing,
};

static enum policy_verdict pass(struct session_policy *p, const struct session_client *client,
				struct envelope *env, struct smtp_reply *reply)
{
	(void)p;
	(void)client;
	(void)env;
	(void)reply;
	return POLICY_PASS;
}

static bool no(struct session_policy *p, const struct session_client *client)
{
	(void)p;
	(void)client;
	return false;
}

void worker_answer_probe(struct worker *w, int fd)
{
	static const struct session_policy_ops policy_ops = { .mail = pass, .rcpt = pass, .may_relay = no };
	const struct session_peer peer = { .text = "monitor", .address = "monitor", .listener = "monitor" };
	const struct session_events events = { .ctx = NULL };
	struct session_policy policy = { &policy_ops };
	struct probe_handler handler = { { &ops }, w };
	struct session_config session = {
		.hostname = w->service->cfg->hostname,
		.max_recipients = 1,
		.max_errors = 3,
		.policy = &policy,
		.command_timeout_ms = PROBE_TIMEOUT_MS,
		.data_timeout_ms = PROBE_TIMEOUT_MS,
		.message_timeout_ms = PROBE_TIMEOUT_MS,
		.session_timeout_ms = PROBE_TIMEOUT_MS,
	};

	stream_init(&w->stream, fd, &w->start->control);
	(void)session_run(&session, &peer, &w->stream.io, &handler.handler, &events);
	stream_close(&w->stream);
	close(fd);
}
