/* SPDX-License-Identifier: ISC */
/*
 * See submit.h: the content. It goes in one pass through three stages: line
 * ends, header (kept in memory, up to its ceiling), temporary file.
 */
#include "submit/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "smtp/date.h"
#include "spool/id.h"
#include "submit/header.h"

#define BLOCK (64u << 10)

bool crlf_convert(bool *after_cr, const char *data, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		bool ok = true;

		if (data[i] == '\r')
			ok = buf_add(out, "\r\n", 2);
		else if (data[i] != '\n')
			ok = buf_addc(out, data[i]);
		else if (!*after_cr)
			ok = buf_add(out, "\r\n", 2);
		if (!ok)
			return false;
		*after_cr = data[i] == '\r';
	}
	return true;
}

/* ---- the temporary file ------------------------------------------------------ */

static int open_temporary(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char *name;
	int fd;

	if (!dir || dir[0] != '/')
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) { /* not every file system has O_TMPFILE */
		name = mem_printf("%s/posthouse.XXXXXX", dir);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
		free(name);
	}
	if (fd < 0)
		err_set_os(e, errno, "%s: cannot make a temporary file (TMPDIR names another place)", dir);
	return fd;
}

/* Writes content and learns what the upstream wants to know about it. */
struct writer {
	struct submission *s;
	struct buf pending;
	bool at_line_start;
};

static int writer_flush(struct writer *w, struct err *e)
{
	size_t done = 0;

	while (done < w->pending.len) {
		ssize_t n = write(w->s->fd, w->pending.data + done, w->pending.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "temporary file: cannot write the message");
			return -1;
		}
		done += (size_t)n;
	}
	buf_clear(&w->pending);
	return 0;
}

static int writer_add(struct writer *w, const char *data, size_t len, struct err *e)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)data[i] >= 0x80)
			w->s->has_eightbit = true;
		if (w->at_line_start && data[i] == '.')
			w->s->has_dot_lines = true;
		w->at_line_start = data[i] == '\n';
	}
	w->s->content_bytes += len;
	while (len > 0) {
		size_t room = w->pending.ceiling - w->pending.len;
		size_t n = len < room ? len : room;

		buf_add(&w->pending, data, n);
		data += n;
		len -= n;
		if (w->pending.len == w->pending.ceiling && writer_flush(w, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- the header ---------------------------------------------------------------- */

/* What came in, CRLF ended, with the header's end looked for line by line. */
struct intake {
	struct buf text; /* all until the header's end is known */
	size_t seen; /* octets of whole lines that were looked at: the header so far */
	bool header_ended;
	size_t body; /* where the body begins in text */
};

/* The message may begin with the line that mbox puts before it. */
static bool is_mbox_line(const struct intake *in, const char *line, size_t len)
{
	return line == in->text.data && len > 5 && memcmp(line, "From ", 5) == 0;
}

static void look_for_header_end(struct intake *in, bool input_ended)
{
	while (!in->header_ended) {
		const char *line = in->text.data + in->seen;
		size_t left = in->text.len - in->seen;
		const char *newline = memchr(line, '\n', left);
		size_t len = newline ? (size_t)(newline + 1 - line) : left;

		if (!newline && !input_ended)
			return;
		if (is_mbox_line(in, line, len)) {
			buf_consume(&in->text, len);
			continue;
		}
		if (len == 2 && line[0] == '\r') {
			in->header_ended = true;
			in->body = in->seen + 2;
		} else if (len > 0 && (header_is_field_line(line, len) ||
				       (in->seen > 0 && (line[0] == ' ' || line[0] == '\t')))) {
			in->seen += len;
		} else { /* a message without a header, or the input's end */
			in->header_ended = true;
			in->body = in->seen;
		}
	}
}

/* Reads until the header is whole. On return more says whether the input goes on. */
static enum submit_result read_header(struct intake *in, int in_fd, bool *after_cr, bool *more, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	enum submit_result r = SUBMIT_OK;

	*more = true;
	while (r == SUBMIT_OK && !in->header_ended && *more) {
		ssize_t n = read(in_fd, block, BLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "cannot read the message");
			r = SUBMIT_FAILED;
		} else if (!crlf_convert(after_cr, block, (size_t)n, &in->text)) {
			err_set(e, "the message's header is larger than %u octets", SUBMIT_HEADER_MAX);
			r = SUBMIT_INVALID;
		} else {
			*more = n > 0;
			/* the last line may lack its end */
			if (n == 0 && in->text.len > 0 && in->text.data[in->text.len - 1] != '\n')
				buf_add(&in->text, "\r\n", 2);
			look_for_header_end(in, !*more);
		}
	}
	free(block);
	return r;
}

static bool has_field(const struct buf *header, const char *name)
{
	const char *at = header->data, *end = header->data + header->len;
	struct header_field f;

	while (header_next(&at, end, &f))
		if (header_is(&f, name))
			return true;
	return false;
}

/* RFC 6409 8: a submission server, and so one who stands in for it, may add what RFC 5322 3.6 asks for. */
static bool add_missing(const struct buf *header, const struct envelope *env, const char *hostname,
			struct buf *out)
{
	char date[SMTP_DATE_MAX];
	struct spool_id id;
	bool ok = true;

	if (!has_field(header, "Date"))
		ok = buf_addf(out, "Date: %s\r\n", smtp_date_format(clock_wall_us(), date));
	if (ok && !has_field(header, "Message-ID")) {
		spool_id_new(&id);
		ok = buf_addf(out, "Message-ID: <%s@%s>\r\n", id.text, hostname);
	}
	if (ok && !has_field(header, "From") && env->sender[0])
		ok = buf_addf(out, "From: <%s>\r\n", env->sender);
	return ok;
}

/* Header without Bcc, what is added, and the empty line. */
static int write_header(struct writer *w, const struct buf *header, const struct submit_options *options,
			struct err *e)
{
	const char *at = header->data, *end = header->data + header->len;
	struct header_field f;
	struct buf added;
	int r = 0;

	buf_init(&added, BLOCK);
	while (r == 0 && header_next(&at, end, &f))
		if (!options->read_recipients || !header_is(&f, "Bcc"))
			r = writer_add(w, f.name, f.raw_len, e);
	if (r == 0 && options->add_headers && !add_missing(header, &w->s->env, options->hostname, &added)) {
		err_set(e, "the header fields to be added are too long");
		r = -1;
	}
	if (r == 0)
		r = writer_add(w, added.data, added.len, e);
	buf_release(&added);
	return r;
}

/* ---- all of it ------------------------------------------------------------------- */

static int copy_body(struct writer *w, int in_fd, bool *after_cr, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	struct buf converted;
	int r = 0;

	buf_init(&converted, 2 * BLOCK + 2);
	for (;;) {
		ssize_t n = read(in_fd, block, BLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "cannot read the message");
			r = -1;
		}
		if (n <= 0)
			break;
		buf_clear(&converted);
		crlf_convert(after_cr, block, (size_t)n, &converted);
		r = writer_add(w, converted.data, converted.len, e);
		if (r < 0)
			break;
	}
	if (r == 0 && !w->at_line_start)
		r = writer_add(w, "\r\n", 2, e);
	buf_release(&converted);
	free(block);
	return r;
}

static enum submit_result write_content(struct submission *s, struct intake *in, int in_fd, bool *after_cr,
					bool more, const struct submit_options *options, struct err *e)
{
	struct writer w = { .s = s, .at_line_start = true };
	enum submit_result result = SUBMIT_FAILED;
	struct buf header;
	bool separate;

	buf_init(&w.pending, BLOCK);
	buf_init(&header, SUBMIT_HEADER_MAX);
	buf_add(&header, in->text.data, in->seen);
	if (envelope_from_header(&s->env, &header, options, e) < 0) {
		result = SUBMIT_INVALID;
		goto out;
	}
	s->fd = open_temporary(e);
	if (s->fd < 0 || write_header(&w, &header, options, e) < 0)
		goto out;
	/* the empty line: as it was, or where a header now stands before a body that had none */
	separate = in->body > in->seen || (s->content_bytes > 0 && in->text.len > in->body);
	if ((separate && writer_add(&w, "\r\n", 2, e) < 0) ||
	    writer_add(&w, in->text.data + in->body, in->text.len - in->body, e) < 0 ||
	    (more && copy_body(&w, in_fd, after_cr, e) < 0) || writer_flush(&w, e) < 0)
		goto out;
	s->env.body = s->has_eightbit ? BODY_8BITMIME : BODY_7BIT;
	result = SUBMIT_OK;
out:
	buf_release(&header);
	buf_release(&w.pending);
	return result;
}

enum submit_result submission_read(struct submission *s, int in_fd, const struct submit_options *options,
				   struct err *e)
{
	struct intake in = { 0 };
	enum submit_result r;
	bool after_cr = false, more;

	memset(s, 0, sizeof(*s));
	s->fd = -1;
	envelope_init(&s->env);
	buf_init(&in.text, SUBMIT_HEADER_MAX);
	r = read_header(&in, in_fd, &after_cr, &more, e);
	if (r == SUBMIT_OK)
		r = write_content(s, &in, in_fd, &after_cr, more, options, e);
	buf_release(&in.text);
	if (r != SUBMIT_OK)
		submission_release(s);
	return r;
}

void submission_release(struct submission *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	envelope_release(&s->env);
}
