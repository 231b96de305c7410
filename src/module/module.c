/* SPDX-License-Identifier: ISC */
/* See module.h: the life of a module, and the frame around each call of its functions. */
#include "module/module.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "module/module_internal.h"
#include "session/input.h"

void module_enter(struct module *m, const char *function)
{
	const struct module_guard *guard = m->settings->guard;

	ASSERT(!m->function);
	m->function = function;
	m->channel.reply.code = 0;
	m->channel.has_argument = false;
	if (guard)
		guard->enter(guard->ctx, m->desc.name, function);
}

void module_leave(struct module *m)
{
	const struct module_guard *guard = m->settings->guard;

	m->function = NULL;
	m->channel.verb = NULL;
	if (guard)
		guard->leave(guard->ctx);
}

static bool nonsense(struct module *m, const char *function, struct smtp_reply *reply, const char *what,
		     int number)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "module_fault");
	log_str(&line, "module", m->desc.name);
	log_str(&line, "function", function);
	log_str(&line, "reason", what);
	log_int(&line, "value", number);
	log_end(&line);
	smtp_reply_set(reply, 421, "4.3.0", "%s Error: a part of this service failed", m->settings->hostname);
	return false;
}

bool module_passes(struct module *m, const char *function, int returned, enum module_answer allowed,
		   struct smtp_reply *reply)
{
	const struct smtp_reply *said = &m->channel.reply;

	if (returned == POSTHOUSE_PASS)
		return true;
	if (returned != POSTHOUSE_REPLY)
		return nonsense(m, function, reply, "it returned neither POSTHOUSE_PASS nor POSTHOUSE_REPLY",
				returned);
	if (said->code == 0)
		return nonsense(m, function, reply,
				"it returned POSTHOUSE_REPLY and set no reply that can be sent", 0);
	if (allowed == MODULE_NOTHING)
		return nonsense(m, function, reply, "this cannot be answered by a module", said->code);
	if (allowed == MODULE_REFUSAL && said->code < 400)
		return nonsense(m, function, reply, "this can only be refused by a module", said->code);
	*reply = *said;
	return false;
}

static void make_argv(struct module *m)
{
	const struct module_settings *s = m->settings;

	m->argv = mem_array(s->argument_count + 1, sizeof(*m->argv));
	for (size_t i = 0; i < s->argument_count; i++)
		m->argv[i] = s->argument[i];
}

static int call_open(struct module *m, struct err *e)
{
	int returned;

	m->server.opening = true;
	module_enter(m, "open");
	returned =
		m->desc.open(&module_api, &m->server, (int)m->settings->argument_count, m->argv, &m->state);
	module_leave(m);
	m->server.opening = false;
	if (returned == 0 && !m->server.has_error)
		return 0;
	if (m->server.has_error)
		*e = m->server.error;
	else
		err_set(e, "its open() returned %d and did not say why", returned);
	err_prefix(e, "%s: module \"%s\"", m->settings->path, m->desc.name);
	return -1;
}

struct module *module_open(const struct module_settings *settings, struct err *e)
{
	struct module *m = mem_alloc(sizeof(*m));

	m->settings = settings;
	m->thread = pthread_self();
	m->conn_fd = -1;
	m->server.module = m->channel.module = m;
	m->hooks.ops = &module_hooks_ops;
	buf_init(&m->keywords, MODULE_KEYWORDS_MAX);
	buf_init(&m->channel.keywords, MODULE_KEYWORDS_MAX);
	buf_init(&m->channel.argument, INPUT_LINE_MAX);
	buf_init(&m->channel.line, INPUT_AUTH_LINE_MAX);
	make_argv(m);
	if (module_load(m, e) == 0 && call_open(m, e) == 0) {
		m->processor.process = module_process;
		m->processor.content = m->desc.flags & POSTHOUSE_MODULE_NO_DATA ? PROCESSOR_NONE
				       : m->desc.flags & POSTHOUSE_MODULE_CRLF  ? PROCESSOR_CRLF
										: PROCESSOR_SMTPD;
		return m;
	}
	m->desc.close = NULL; /* it did not open */
	module_close(m);
	return NULL;
}

void module_close(struct module *m)
{
	if (!m)
		return;
	if (m->desc.close) {
		module_enter(m, "close");
		m->desc.close(m->state);
		module_leave(m);
	}
	module_unload(m);
	buf_release(&m->keywords);
	buf_release(&m->channel.keywords);
	buf_release(&m->channel.argument);
	buf_release(&m->channel.line);
	free(m->argv);
	free(m);
}

struct session_hooks *module_hooks(struct module *m)
{
	return &m->hooks;
}

struct handler_processor *module_processor(struct module *m)
{
	return m->desc.process_message ? &m->processor : NULL;
}

void module_connected(struct module *m, int fd)
{
	m->conn_fd = fd;
}
