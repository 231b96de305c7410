/* SPDX-License-Identifier: ISC */
/*
 * See exec_handler.h. Runs in a worker, which only asks: the program process
 * runs the program (program/protocol.h). The content waits in a file until its
 * end has come, so no program ever sees a part of a message.
 */
#include "handler/exec_handler.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "handler/content_file.h"
#include "handler/program_reply.h"
#include "handler/program_run.h"

struct exec_handler {
	struct handler handler;
	const struct program_line *line;
	struct content_file content;
};

static struct exec_handler *self(struct handler *h)
{
	return (struct exec_handler *)h;
}

static const struct program_setting *setting(struct handler *h)
{
	return &self(h)->line->setting[PROGRAM_EXEC];
}

static enum handler_verdict exec_mail(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	return program_run_mail(setting(h), env, reply);
}

static enum handler_verdict exec_rcpt(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	return program_run_rcpt(setting(h), env, reply);
}

static enum handler_verdict exec_data_begin(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	(void)env;
	return content_file_begin(&self(h)->content, reply);
}

static enum handler_verdict exec_data_chunk(struct handler *h, const char *data, size_t len,
					    struct smtp_reply *reply)
{
	return content_file_put(&self(h)->content, data, len, reply);
}

static enum handler_verdict exec_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct exec_handler *x = self(h);
	enum handler_verdict verdict = content_file_end(&x->content, reply);
	struct program_outcome outcome;

	if (verdict == HANDLER_ACCEPT) {
		program_run_message(x->line, PROGRAM_EXEC, env, &x->content, NULL, &outcome);
		verdict = program_reply(&outcome, reply);
	}
	content_file_clear(&x->content);
	return verdict;
}

static void exec_abort(struct handler *h)
{
	content_file_clear(&self(h)->content);
}

static void exec_close(struct handler *h)
{
	content_file_close(&self(h)->content);
	free(h);
}

static const struct handler_ops exec_ops = {
	.facts = &handler_facts[HANDLER_EXEC],
	/*
	 * no DSN and DELIVERBY, whose promises a program does not keep; no BINARYMIME, as its lines are
	 * converted
	 */
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) |
		      SMTP_EXTENSION_BIT(SMTP_CHUNKING),
	.mail = exec_mail,
	.rcpt = exec_rcpt,
	.data_begin = exec_data_begin,
	.data_chunk = exec_data_chunk,
	.data_end = exec_data_end,
	.abort = exec_abort,
	.close = exec_close,
};

static struct handler *exec_open(const struct handler_setup *setup, struct err *e)
{
	struct exec_handler *x = mem_alloc(sizeof(*x));

	(void)e;
	ASSERT(setup->program && setup->program->setting[PROGRAM_EXEC].word_count > 0);
	x->handler.ops = &exec_ops;
	x->line = setup->program;
	content_file_init(&x->content);
	return &x->handler;
}

const struct handler_kind handler_exec = { &exec_ops, exec_open };
