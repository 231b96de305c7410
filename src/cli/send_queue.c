/* SPDX-License-Identifier: ISC */
/*
 * See send_queue.h. What stands between a client and the spool (who may relay,
 * limits, tables, rewriting, aliases) is not asked: who may write to the
 * spool needs no permission. What keeps the spool sound is: size, loops, NUL.
 */
#include "cli/send_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "cli/settings.h"
#include "smtp/date.h"
#include "spool/txn.h"
#include "submit/transmit.h"

#define BLOCK (64u << 10)

enum cli_status send_queue_open(struct send_queue *q, struct cli *cli)
{
	char *path, *handler = cli_spoolless(cli);
	struct config cfg;
	struct err e;
	int r;

	if (handler) {
		cli_error("handler \"%s\" has no spool: nobody would send what is put there; send it without "
			  "--queue",
			  handler);
		free(handler);
		return CLI_UNREACHABLE;
	}
	if (settings_config(cli->config_file, &cfg, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	q->size_limit_bytes = cfg.data_size_limit_bytes;
	q->min_free_bytes = cfg.min_free_bytes;
	q->max_received = cfg.max_received;
	q->hostname = mem_strdup(cfg.hostname);
	r = cli_spool_path(cli, &path);
	if (r == 0) {
		/* as what the relay makes: its user owns it, whoever of the two we are, and can read it */
		r = spool_open(&q->spool, path, SPOOL_MANAGE, cfg.spool_sync, &e);
		if (r < 0)
			cli_error(
				"%s: %s", e.text,
				e.os_error == EACCES || e.os_error == EPERM
					? "only root and the spool's user may; all others send to the daemon"
					: "name another one with --spool or --config");
		free(path);
	}
	config_release(&cfg);
	if (r < 0) {
		free(q->hostname);
		q->hostname = NULL;
		return CLI_UNREACHABLE;
	}
	news_init(&q->news, cli, q->spool.path);
	return CLI_DONE;
}

enum cli_status send_queue_close(struct send_queue *q)
{
	bool failed;

	news_tell(&q->news);
	failed = q->news.failed;
	news_release(&q->news);
	spool_close(&q->spool);
	free(q->hostname);
	return failed ? CLI_UNREACHABLE : CLI_DONE;
}

/* What the session and the handler refuse of a client. */
static enum cli_status check(struct send_queue *q, const struct submission *s, struct err *e)
{
	uint64_t free_bytes;

	if (q->size_limit_bytes > 0 && s->content_bytes > q->size_limit_bytes) {
		err_set(e, "larger than data_size_limit, %llu octets",
			(unsigned long long)q->size_limit_bytes);
		return CLI_NOTHING;
	}
	if (s->has_nul) {
		err_set(e, "holds a NUL octet, which mail cannot");
		return CLI_NOTHING;
	}
	if (q->max_received > 0 && s->received > q->max_received) { /* RFC 5321 6.3 */
		err_set(e, "went round in circles: it has %u Received fields", s->received);
		return CLI_NOTHING;
	}
	if (spool_free_bytes(&q->spool, &free_bytes, e) < 0)
		return CLI_UNREACHABLE;
	if (free_bytes >= q->min_free_bytes + s->content_bytes)
		return CLI_DONE;
	err_set(e, "%s: %llu bytes free, below min_free and the message's size", q->spool.path,
		(unsigned long long)free_bytes);
	return CLI_LATER;
}

/* Where it came from; as for a client of the unix socket. */
static void set_origin(struct envelope *env)
{
	char peer[64];

	snprintf(peer, sizeof(peer), "unix:uid=%lu,pid=%lu", (unsigned long)getuid(),
		 (unsigned long)getpid());
	envelope_set(&env->peer, peer, strlen(peer));
	envelope_set(&env->listener, "send", 4);
	env->arrived_wall_us = clock_wall_us();
}

static enum spool_result copy(struct spool_txn *t, const struct submission *s, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	enum spool_result r = SPOOL_OK;

	for (uint64_t at = 0; r == SPOOL_OK && at < s->content_bytes;) {
		ssize_t n = submission_pread(s, at, block, BLOCK, e);

		r = n < 0 ? SPOOL_FAILED : spool_txn_write(t, block, (size_t)n, e);
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(block);
	return r;
}

static enum spool_result commit(struct send_queue *q, struct submission *s, struct err *e)
{
	struct spool_txn *t = spool_txn_begin(&q->spool, &s->env);
	char date[SMTP_DATE_MAX];
	enum spool_result r;
	struct buf trace;

	/*
	 * RFC 5321 4.4 is about SMTP; who brings mail in another way leaves a trace too, so that loops are
	 * seen
	 */
	buf_init(&trace, 1024);
	ASSERT(buf_addf(&trace, "Received: by %s (Posthouse, from uid %lu)\r\n\tid %s; %s\r\n", q->hostname,
			(unsigned long)getuid(), s->env.id, smtp_date_format(s->env.arrived_wall_us, date)));
	r = spool_txn_write(t, trace.data, trace.len, e);
	buf_release(&trace);
	if (r == SPOOL_OK)
		r = copy(t, s, e);
	if (r == SPOOL_OK)
		return spool_txn_commit(t, e);
	spool_txn_abort(t);
	return r;
}

static void complain(const char *name, const struct err *e)
{
	if (name)
		cli_error("%s: %s", name, e->text);
	else
		cli_error("%s", e->text);
}

static void say(const struct send_queue *q, const char *name, const char *id)
{
	struct buf shown;

	buf_init(&shown, 64u << 10);
	if (name) {
		term_escapes(&q->news.cli->out, name, &shown);
		buf_adds(&shown, ": ");
	}
	printf("%squeued as %s\n", shown.data, id);
	buf_release(&shown);
}

enum cli_status send_queue_message(struct send_queue *q, struct submission *s, const char *name)
{
	struct err e;
	enum cli_status status = check(q, s, &e);

	if (status == CLI_DONE) {
		set_origin(&s->env);
		switch (commit(q, s, &e)) {
		case SPOOL_OK:
			break;
		case SPOOL_FULL:
			status = CLI_LATER;
			break;
		case SPOOL_FAILED:
			status = CLI_UNREACHABLE;
			break;
		}
	}
	if (status != CLI_DONE) {
		complain(name, &e);
		return status;
	}
	news_add(&q->news, s->env.id);
	say(q, name, s->env.id);
	return CLI_DONE;
}
