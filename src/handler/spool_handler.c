/* SPDX-License-Identifier: ISC */
/*
 * The handler "spool", the default: each message is committed to the spool
 * before its 250, and the relay is told. Runs in a worker, which may create
 * files in the spool and nothing else there.
 */
#include "handler/spool_handler.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "smtp/received.h"
#include "spool/spool.h"
#include "spool/txn.h"

struct spool_handler {
	struct handler handler;
	struct handler_setup setup;
	struct spool_txn *txn; /* NULL: none open */
};

static enum handler_verdict refuse(enum spool_result result, const struct err *e, struct smtp_reply *reply)
{
	/* the client hears a class of trouble, the operator the reason */
	log_msg(LOG_LEVEL_ERROR, "spool_error", "%s", e->text);
	if (result == SPOOL_FULL)
		smtp_reply_set(reply, 452, "4.3.1", "Insufficient system storage");
	else
		smtp_reply_set(reply, 451, "4.3.0", "Message could not be stored safely; try again later");
	return HANDLER_REFUSE;
}

static enum handler_verdict spool_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct spool_handler *sh = (struct spool_handler *)h;
	uint64_t free_bytes;
	struct err e;

	/* better refused now than after 30 MB; when the question fails the write will tell */
	if (spool_free_bytes(sh->setup.spool, &free_bytes, &e) == 0 &&
	    free_bytes < sh->setup.min_free_bytes + env->declared_size_bytes) {
		err_set(&e, "%s: %llu bytes free, below min_free and what the message declares", sh->setup.spool->path,
			(unsigned long long)free_bytes);
		return refuse(SPOOL_FULL, &e, reply);
	}
	return HANDLER_ACCEPT;
}

static enum handler_verdict spool_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	(void)h;
	(void)env;
	(void)reply;
	return HANDLER_ACCEPT;
}

static enum handler_verdict spool_data_chunk(struct handler *h, const char *data, size_t len,
					     struct smtp_reply *reply)
{
	struct spool_handler *sh = (struct spool_handler *)h;
	enum spool_result result;
	struct err e;

	result = spool_txn_write(sh->txn, data, len, &e);
	return result == SPOOL_OK ? HANDLER_ACCEPT : refuse(result, &e, reply);
}

static enum handler_verdict spool_data_begin(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct spool_handler *sh = (struct spool_handler *)h;
	enum handler_verdict verdict;
	struct buf received;

	ASSERT(!sh->txn);
	sh->txn = spool_txn_begin(sh->setup.spool, env);
	buf_init(&received, SMTP_RECEIVED_MAX);
	ASSERT(smtp_received_write(&received, env, sh->setup.hostname, clock_wall_us(), sh->setup.show_user));
	verdict = spool_data_chunk(h, received.data, received.len, reply);
	buf_release(&received);
	return verdict;
}

static enum handler_verdict spool_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct spool_handler *sh = (struct spool_handler *)h;
	struct spool_txn *txn = sh->txn;
	enum spool_result result;
	struct err e;

	sh->txn = NULL;
	result = spool_txn_commit(txn, &e);
	if (result != SPOOL_OK)
		return refuse(result, &e, reply);
	sh->setup.spooled(sh->setup.spooled_ctx, env);
	return HANDLER_ACCEPT;
}

static void spool_abort(struct handler *h)
{
	struct spool_handler *sh = (struct spool_handler *)h;

	spool_txn_abort(sh->txn);
	sh->txn = NULL;
}

static void spool_close_handler(struct handler *h)
{
	free(h);
}

/* What the two names of this handler have in common. */
#define SPOOL_OPS                                                                                            \
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_DSN) |                     \
		      SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) | SMTP_EXTENSION_BIT(SMTP_REQUIRETLS) |              \
		      SMTP_EXTENSION_BIT(SMTP_CHUNKING) | SMTP_EXTENSION_BIT(SMTP_BINARYMIME) |              \
		      SMTP_EXTENSION_BIT(SMTP_DELIVERBY),                                                    \
	.mail = spool_mail, .rcpt = spool_rcpt, .data_begin = spool_data_begin,                              \
	.data_chunk = spool_data_chunk, .data_end = spool_data_end, .abort = spool_abort,                    \
	.close = spool_close_handler

static const struct handler_ops spool_ops = { .facts = &handler_facts[HANDLER_SPOOL], SPOOL_OPS };
/*
 * Who of the recipients is a list is asked by the relay, at each attempt (manage/route.h): here it is mail
 * like any other.
 */
static const struct handler_ops mailman_ops = { .facts = &handler_facts[HANDLER_MAILMAN], SPOOL_OPS };

static struct handler *open_as(const struct handler_ops *ops, const struct handler_setup *setup)
{
	struct spool_handler *sh = mem_alloc(sizeof(*sh));

	ASSERT(setup->spool && setup->spooled);
	sh->handler.ops = ops;
	sh->setup = *setup;
	return &sh->handler;
}

static struct handler *spool_handler_open(const struct handler_setup *setup, struct err *e)
{
	(void)e;
	return open_as(&spool_ops, setup);
}

static struct handler *mailman_handler_open(const struct handler_setup *setup, struct err *e)
{
	(void)e;
	return open_as(&mailman_ops, setup);
}

const struct handler_kind handler_spool = { &spool_ops, spool_handler_open };
const struct handler_kind handler_mailman = { &mailman_ops, mailman_handler_open };
