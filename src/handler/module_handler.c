/* SPDX-License-Identifier: ISC */
/* See module_handler.h. Runs in a worker. */
#include "handler/module_handler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "base/sink.h"

struct module_handler {
	struct handler handler;
	struct handler_processor *processor;
	bool decode_data;
	int file; /* the content; -1 until the first message */
	size_t size; /* octets put into it */
	bool cr; /* the last octet was a CR that is not written yet */
	bool lf; /* and before that, or else the last: an LF that is not written yet */
	struct sink to_file;
};

static enum handler_verdict module_accept(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	(void)h;
	(void)env;
	(void)reply;
	return HANDLER_ACCEPT;
}

static enum handler_verdict refuse(const char *what, int os_error, struct smtp_reply *reply)
{
	log_msg(LOG_LEVEL_ERROR, "module_error", "the content cannot be %s: %s", what, strerror(os_error));
	smtp_reply_set(reply, os_error == ENOSPC || os_error == EDQUOT ? 452 : 451,
		       os_error == ENOSPC || os_error == EDQUOT ? "4.3.1" : "4.3.0",
		       "Error: message could not be stored");
	return HANDLER_REFUSE;
}

static enum handler_verdict module_data_begin(struct handler *h, struct envelope *env,
					      struct smtp_reply *reply)
{
	struct module_handler *m = (struct module_handler *)h;

	(void)env;
	if (m->processor->content == PROCESSOR_NONE)
		return HANDLER_ACCEPT;
	if (m->file < 0)
		m->file = file_open_unnamed();
	if (m->file < 0 || lseek(m->file, 0, SEEK_SET) != 0 || ftruncate(m->file, 0) != 0)
		return refuse("stored", errno, reply);
	m->size = 0;
	m->cr = m->lf = false;
	sink_init(&m->to_file, m->file);
	return HANDLER_ACCEPT;
}

static void put(struct module_handler *m, const char *data, size_t len)
{
	sink_put(&m->to_file, data, len);
	m->size += len;
}

/* An LF waits until something follows it: the last one of a message is not part of smtpd's data. */
static void put_waiting(struct module_handler *m)
{
	if (m->lf)
		put(m, "\n", 1);
	m->lf = false;
}

static void put_lines(struct module_handler *m, const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end) {
		const char *stop = data;

		if (m->cr && *data == '\n') {
			m->cr = false;
			put_waiting(m);
			m->lf = true;
			data++;
			continue;
		}
		put_waiting(m);
		if (m->cr)
			put(m, "\r", 1);
		m->cr = *data == '\r';
		if (m->cr) {
			data++;
			continue;
		}
		stop = memchr(data, '\r', (size_t)(end - data));
		stop = stop ? stop : end;
		put(m, data, (size_t)(stop - data));
		data = stop;
	}
}

static enum handler_verdict module_data_chunk(struct handler *h, const char *data, size_t len,
					      struct smtp_reply *reply)
{
	struct module_handler *m = (struct module_handler *)h;

	switch (m->processor->content) {
	case PROCESSOR_SMTPD:
		put_lines(m, data, len);
		break;
	case PROCESSOR_CRLF:
		put(m, data, len);
		break;
	case PROCESSOR_NONE:
		return HANDLER_ACCEPT;
	}
	return m->to_file.os_error ? refuse("stored", m->to_file.os_error, reply) : HANDLER_ACCEPT;
}

/* Gives the space back; what is left in the sink is dropped by the next data_begin. */
static void module_abort(struct handler *h)
{
	struct module_handler *m = (struct module_handler *)h;

	if (m->file >= 0 && ftruncate(m->file, 0) != 0) {
		close(m->file);
		m->file = -1;
	}
}

static bool is_utf8(const char *text, size_t len)
{
	while (len > 0) {
		uint32_t code;
		size_t used = (unsigned char)*text < 0x80 ? 1 : utf8_decode(text, len, &code);

		if (used == 0)
			return false;
		text += used;
		len -= used;
	}
	return true;
}

static enum handler_verdict process(struct module_handler *m, const struct envelope *env, const char *content,
				    size_t len, struct smtp_reply *reply)
{
	/* smtpd's decode() raises here, and the session is over */
	if (m->decode_data && content && !is_utf8(content, len)) {
		smtp_reply_set(reply, 554, "5.6.0", "Error: message is not UTF-8");
		return HANDLER_REFUSE;
	}
	return m->processor->process(m->processor, env, content, len, reply);
}

static enum handler_verdict map_and_process(struct module_handler *m, const struct envelope *env,
					    struct smtp_reply *reply)
{
	enum handler_verdict verdict;
	void *content;

	if (m->cr) {
		put_waiting(m);
		put(m, "\r", 1);
	}
	sink_put(&m->to_file, "", 1);
	if (sink_flush(&m->to_file) != 0)
		return refuse("stored", m->to_file.os_error, reply);
	content = mmap(NULL, m->size + 1, PROT_READ, MAP_PRIVATE, m->file, 0);
	if (content == MAP_FAILED)
		return refuse("read", errno, reply);
	verdict = process(m, env, content, m->size, reply);
	munmap(content, m->size + 1);
	return verdict;
}

static enum handler_verdict module_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct module_handler *m = (struct module_handler *)h;
	enum handler_verdict verdict;

	verdict = m->processor->content == PROCESSOR_NONE ? process(m, env, NULL, 0, reply)
							  : map_and_process(m, env, reply);
	module_abort(h);
	return verdict;
}

static void module_close(struct handler *h)
{
	struct module_handler *m = (struct module_handler *)h;

	if (m->file >= 0)
		close(m->file);
	free(m);
}

static const struct handler_ops module_ops = {
	.facts = &handler_facts[HANDLER_MODULE],
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_SMTPUTF8) |
		      SMTP_EXTENSION_BIT(SMTP_CHUNKING),
	.mail = module_accept,
	.rcpt = module_accept,
	.data_begin = module_data_begin,
	.data_chunk = module_data_chunk,
	.data_end = module_data_end,
	.abort = module_abort,
	.close = module_close,
};

static struct handler *module_open(const struct handler_setup *setup, struct err *e)
{
	struct module_handler *m;

	if (!setup->processor) {
		err_set(e,
			"handler \"module\": no module is loaded, set module to the path of a shared object");
		return NULL;
	}
	m = mem_alloc(sizeof(*m));
	m->handler.ops = &module_ops;
	m->processor = setup->processor;
	m->decode_data = setup->decode_data;
	m->file = -1;
	return &m->handler;
}

const struct handler_kind handler_module = { .ops = &module_ops, .open = module_open };
