/* SPDX-License-Identifier: ISC */
/* See filter_handler.h. Runs in a worker. */
#include "handler/filter_handler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "handler/content_file.h"
#include "handler/program_reply.h"
#include "handler/program_run.h"

struct filter_handler {
	struct handler handler;
	struct handler_ops ops; /* the next one's name and what it takes, and our calls */
	struct handler *next;
	const struct program_line *line;
	struct content_file content; /* the client's */
	struct content_file made; /* the program's */
};

static struct filter_handler *self(struct handler *h)
{
	return (struct filter_handler *)h;
}

static void clear(struct filter_handler *f)
{
	content_file_clear(&f->content);
	content_file_clear(&f->made);
}

static void filter_narrow(struct handler *h, struct handler_offer *offer)
{
	struct filter_handler *f = self(h);

	if (f->next->ops->narrow)
		f->next->ops->narrow(f->next, offer);
}

static int64_t filter_idle(struct handler *h)
{
	struct filter_handler *f = self(h);

	return f->next->ops->idle(f->next);
}

static enum handler_verdict filter_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct filter_handler *f = self(h);

	if (program_run_mail(&f->line->setting[PROGRAM_FILTER], env, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	return f->next->ops->mail(f->next, env, reply);
}

static enum handler_verdict filter_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct filter_handler *f = self(h);

	if (program_run_rcpt(&f->line->setting[PROGRAM_FILTER], env, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	return f->next->ops->rcpt(f->next, env, reply);
}

static enum handler_verdict filter_data_begin(struct handler *h, struct envelope *env,
					      struct smtp_reply *reply)
{
	(void)env;
	return content_file_begin(&self(h)->content, reply);
}

static enum handler_verdict filter_data_chunk(struct handler *h, const char *data, size_t len,
					      struct smtp_reply *reply)
{
	return content_file_put(&self(h)->content, data, len, reply);
}

/* ---- the end of data ------------------------------------------------------------------- */

/* The program's message is in `made`, or the reply says why not. */
static enum handler_verdict filter(struct filter_handler *f, const struct envelope *env,
				   struct smtp_reply *reply)
{
	struct program_outcome outcome;

	if (content_file_end(&f->content, reply) == HANDLER_REFUSE ||
	    content_file_begin(&f->made, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	program_run_message(f->line, PROGRAM_FILTER, env, &f->content, &f->made, &outcome);
	if (outcome.end == PROGRAM_EXITED && outcome.status == 0 && outcome.output_octets > 0) {
		f->made.size = outcome.output_octets;
		return HANDLER_ACCEPT;
	}
	if (outcome.end == PROGRAM_EXITED && outcome.status == 0) {
		/* a message that vanished is an accident and no decision: that would have a status */
		log_msg(LOG_LEVEL_ERROR, "filter_failed",
			"filter_command wrote nothing and ended with status 0");
		outcome.end = PROGRAM_FAILED;
	}
	return program_reply(&outcome, reply);
}

static enum handler_verdict read_failed(int os_error, struct smtp_reply *reply)
{
	log_msg(LOG_LEVEL_ERROR, "filter_failed", "the output of filter_command cannot be read: %s",
		strerror(os_error));
	smtp_reply_set(reply, 451, "4.3.0", "Error: message could not be stored");
	return HANDLER_REFUSE;
}

/*
 * As the session does with what clients send: a content that begins with white space must not go on with the
 * trace fields that are put before it.
 */
static enum handler_verdict pass_piece(struct filter_handler *f, bool first, const char *data, size_t len,
				       struct smtp_reply *reply)
{
	if (first && f->ops.facts->relays && (data[0] == ' ' || data[0] == '\t') &&
	    f->next->ops->data_chunk(f->next, "\r\n", 2, reply) == HANDLER_REFUSE)
		return HANDLER_REFUSE;
	return f->next->ops->data_chunk(f->next, data, len, reply);
}

static enum handler_verdict pass_on(struct filter_handler *f, struct envelope *env, struct smtp_reply *reply)
{
	enum handler_verdict verdict = f->next->ops->data_begin(f->next, env, reply);
	char data[32 << 10];

	for (uint64_t at = 0; verdict == HANDLER_ACCEPT && at < f->made.size;) {
		uint64_t left = f->made.size - at;
		ssize_t n =
			pread(f->made.fd, data, left < sizeof(data) ? (size_t)left : sizeof(data), (off_t)at);

		if (n <= 0)
			return read_failed(n < 0 ? errno : EIO, reply);
		verdict = pass_piece(f, at == 0, data, (size_t)n, reply);
		at += (uint64_t)n;
	}
	return verdict;
}

static enum handler_verdict filter_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct filter_handler *f = self(h);
	enum handler_verdict verdict = filter(f, env, reply);

	if (verdict == HANDLER_ACCEPT)
		verdict = pass_on(f, env, reply);
	if (verdict == HANDLER_ACCEPT)
		verdict = f->next->ops->data_end(f->next, env, reply);
	else
		f->next->ops->abort(f->next);
	clear(f);
	return verdict;
}

static void filter_abort(struct handler *h)
{
	struct filter_handler *f = self(h);

	clear(f);
	f->next->ops->abort(f->next);
}

static void filter_close(struct handler *h)
{
	struct filter_handler *f = self(h);

	f->next->ops->close(f->next);
	content_file_close(&f->content);
	content_file_close(&f->made);
	free(f);
}

struct handler *filter_handler_open(struct handler *next, const struct program_line *line)
{
	struct filter_handler *f = mem_alloc(sizeof(*f));

	f->ops = *next->ops;
	/* lines of a program: what has none cannot pass */
	f->ops.extensions &= ~SMTP_EXTENSION_BIT(SMTP_BINARYMIME);
	f->ops.narrow = filter_narrow;
	f->ops.mail = filter_mail;
	f->ops.rcpt = filter_rcpt;
	f->ops.data_begin = filter_data_begin;
	f->ops.data_chunk = filter_data_chunk;
	f->ops.data_end = filter_data_end;
	f->ops.abort = filter_abort;
	f->ops.close = filter_close;
	if (f->ops.idle)
		f->ops.idle = filter_idle;
	f->handler.ops = &f->ops;
	f->next = next;
	f->line = line;
	content_file_init(&f->content);
	content_file_init(&f->made);
	return &f->handler;
}
