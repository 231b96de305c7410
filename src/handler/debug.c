/* SPDX-License-Identifier: ISC */
/*
 * See debug.h. The format is that of Python 3.11's smtpd.DebuggingServer, to
 * the octet; tests/unit/test_debug.c compares the two. Runs in a worker.
 *
 * The content waits in a file without a name until its end has come, so that
 * memory does not grow with it and a message that is broken off is never
 * printed. Then it is printed under a lock that all workers respect, so that
 * two messages never mix.
 */
#include "handler/debug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/pyrepr.h"
#include "base/sink.h"
#include "base/utf8.h"
#include "handler/content_file.h"
#include "smtp/received.h"

struct debug {
	struct handler handler;
	bool as_text; /* decode_data */
	struct content_file content;
};

/* ---- the content, read back ---------------------------------------------- */

/* A piece of the file at a time. */
struct window {
	int file;
	off_t size; /* of the content that is printed */
	off_t base;
	size_t len;
	bool failed;
	char data[8192];
};

/* The octet at an offset below size; after a failure 0. */
static char octet_at(struct window *w, off_t offset)
{
	if (offset < w->base || offset >= w->base + (off_t)w->len) {
		ssize_t n = w->failed ? 0 : pread(w->file, w->data, sizeof(w->data), offset);

		if (n <= 0) {
			w->failed = true;
			return '\0';
		}
		w->base = offset;
		w->len = (size_t)n;
	}
	return w->data[offset - w->base];
}

/* The character at an offset: its octets and code; 1, and *code UINT32_MAX, when it is malformed. */
static size_t code_at(struct window *w, off_t offset, uint32_t *code)
{
	char text[4];
	size_t len = 0, used;

	while (len < sizeof(text) && offset + (off_t)len < w->size) {
		text[len] = octet_at(w, offset + (off_t)len);
		if (++len == 1 && (unsigned char)text[0] < 0x80)
			break;
	}
	used = utf8_decode(text, len, code);
	if (used == 0)
		*code = UINT32_MAX;
	return used ? used : 1;
}

/* Where bytes.splitlines() and str.splitlines() end a line, besides CRLF */
static bool ends_line(uint32_t code, bool as_text)
{
	if (code == '\n' || code == '\r')
		return true;
	return as_text && (code == 0x0b || code == 0x0c || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
			   code == 0x2028 || code == 0x2029);
}

struct line {
	off_t start, end; /* without its line end */
	off_t next;
	struct pyrepr_quotes quotes; /* in it; only for bytes */
};

static void find_line(struct window *w, off_t start, bool as_text, struct line *line)
{
	memset(line, 0, sizeof(*line));
	line->start = line->end = start;
	while (line->end < w->size && !w->failed) {
		uint32_t code = (unsigned char)octet_at(w, line->end);
		size_t n = as_text ? code_at(w, line->end, &code) : 1;

		if (ends_line(code, as_text)) {
			line->next = line->end + (off_t)n;
			if (code == '\r' && line->next < w->size && octet_at(w, line->next) == '\n')
				line->next++;
			return;
		}
		pyrepr_look(&line->quotes, (char)code);
		line->end += (off_t)n;
	}
	line->next = line->end;
}

/* ---- printing -------------------------------------------------------------- */

static void print_bytes(struct sink *out, struct window *w, const struct line *line)
{
	char quote = pyrepr_quote(&line->quotes);

	sink_puts(out, "b");
	sink_put(out, &quote, 1);
	for (off_t at = line->start; at < line->end; at++)
		pyrepr_put(out, octet_at(w, at), quote);
	sink_put(out, &quote, 1);
	sink_puts(out, "\n");
}

/*
 * As it is, except what is not UTF-8 (smtpd would end the session), and on a
 * terminal control characters: a message must not move the reader's cursor.
 */
static void print_text(struct sink *out, struct window *w, const struct line *line, bool terminal)
{
	for (off_t at = line->start; at < line->end;) {
		uint32_t code;
		size_t n = code_at(w, at, &code);
		bool control = (code < 0x20 && code != '\t') || (code >= 0x7f && code < 0xa0);

		for (size_t i = 0; i < n; i++, at++) {
			char o = octet_at(w, at);

			if (code != UINT32_MAX && !(control && terminal))
				sink_put(out, &o, 1);
			else
				pyrepr_put(out, o, '\0');
		}
	}
	sink_puts(out, "\n");
}

static void print_peer(struct sink *out, const char *peer, bool as_text)
{
	char address[SMTP_PEER_ADDRESS_MAX];

	smtp_peer_address(peer, address);
	sink_puts(out, as_text ? "X-Peer: " : "b'X-Peer: ");
	sink_puts(out, address);
	sink_puts(out, as_text ? "\n" : "'\n");
}

/* "mail options: ['BODY=8BITMIME', 'SIZE=33']": Python's list of strings */
static void print_options(struct sink *out, const char *title, const char *options, const char *end)
{
	const char *separator = "";

	if (!options)
		return;
	sink_puts(out, title);
	sink_puts(out, "[");
	while (*options) {
		size_t len = strcspn(options, " ");

		sink_puts(out, separator);
		pyrepr_put_text(out, options, len);
		separator = ", ";
		options += len + (options[len] == ' ');
	}
	sink_puts(out, "]");
	sink_puts(out, end);
}

static void print_message(struct sink *out, const struct debug *d, struct window *w,
			  const struct envelope *env)
{
	bool in_header = true, terminal = isatty(out->fd);
	struct line line;

	sink_puts(out, "---------- MESSAGE FOLLOWS ----------\n");
	if (!d->as_text) {
		print_options(out, "mail options: ", env->mail_options, "\n");
		print_options(out, "rcpt options: ", env->rcpt_options, "\n\n");
	}
	for (off_t at = 0; at < w->size && !w->failed && !out->os_error; at = line.next) {
		find_line(w, at, d->as_text, &line);
		if (in_header && line.start == line.end) {
			print_peer(out, env->peer, d->as_text);
			in_header = false;
		}
		if (d->as_text)
			print_text(out, w, &line, terminal);
		else
			print_bytes(out, w, &line);
	}
	sink_puts(out, "------------ END MESSAGE ------------\n");
}

/* Excludes the other workers; a standard output that cannot be locked is used without. */
static void lock_output(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	while (fcntl(fd, F_SETLKW, &lock) != 0 && errno == EINTR)
		;
}

static int print(struct debug *d, const struct envelope *env)
{
	struct window w = { .file = d->content.fd, .size = (off_t)d->content.size };
	struct sink out;
	char tail[2];
	int rc;

	/* smtpd cuts the content before the CRLF that belongs to the end of data */
	if (w.size >= 2 && pread(w.file, tail, 2, w.size - 2) == 2 && memcmp(tail, "\r\n", 2) == 0)
		w.size -= 2;
	sink_init(&out, STDOUT_FILENO);
	lock_output(out.fd, F_WRLCK);
	print_message(&out, d, &w, env);
	rc = sink_flush(&out);
	lock_output(out.fd, F_UNLCK);
	return w.failed ? -1 : rc;
}

/* ---- the handler ------------------------------------------------------------ */

static enum handler_verdict debug_accept(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	(void)h;
	(void)env;
	(void)reply;
	return HANDLER_ACCEPT;
}

static enum handler_verdict debug_data_begin(struct handler *h, struct envelope *env,
					     struct smtp_reply *reply)
{
	(void)env;
	return content_file_begin(&((struct debug *)h)->content, reply);
}

static enum handler_verdict debug_data_chunk(struct handler *h, const char *data, size_t len,
					     struct smtp_reply *reply)
{
	return content_file_put(&((struct debug *)h)->content, data, len, reply);
}

static void debug_abort(struct handler *h)
{
	content_file_clear(&((struct debug *)h)->content);
}

static enum handler_verdict debug_data_end(struct handler *h, struct envelope *env, struct smtp_reply *reply)
{
	struct debug *d = (struct debug *)h;
	enum handler_verdict verdict = content_file_end(&d->content, reply);

	if (verdict == HANDLER_ACCEPT && print(d, env) != 0) {
		smtp_reply_set(reply, 451, "4.3.0", "Error: message could not be printed");
		verdict = HANDLER_REFUSE;
	}
	debug_abort(h);
	return verdict;
}

static void debug_close(struct handler *h)
{
	content_file_close(&((struct debug *)h)->content);
	free(h);
}

static const struct handler_ops debug_ops = {
	.facts = &handler_facts[HANDLER_DEBUG],
	.extensions = SMTP_EXTENSION_BIT(SMTP_8BITMIME) | SMTP_EXTENSION_BIT(SMTP_SMTPUTF8),
	.mail = debug_accept,
	.rcpt = debug_accept,
	.data_begin = debug_data_begin,
	.data_chunk = debug_data_chunk,
	.data_end = debug_data_end,
	.abort = debug_abort,
	.close = debug_close,
};

static struct handler *debug_open(const struct handler_setup *setup, struct err *e)
{
	struct debug *d = mem_alloc(sizeof(*d));

	(void)e;
	d->handler.ops = &debug_ops;
	d->as_text = setup->decode_data;
	content_file_init(&d->content);
	return &d->handler;
}

const struct handler_kind handler_debug = { .ops = &debug_ops, .open = debug_open };
