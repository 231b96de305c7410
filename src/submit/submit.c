/* SPDX-License-Identifier: ISC */
/*
 * See submit.h: the content. It goes in one pass through three stages: line
 * ends and the closing dot, header (kept in memory, up to its ceiling),
 * temporary file.
 */
#include "submit/submit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "smtp/date.h"
#include "smtp/header.h"
#include "spool/id.h"

#define BLOCK (64u << 10)

bool crlf_convert(bool *after_cr, const char *data, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len;) {
		size_t run = i;
		bool ok = true;

		while (run < len && data[run] != '\r' && data[run] != '\n')
			run++;
		if (run > i) {
			ok = buf_add(out, data + i, run - i);
			*after_cr = false;
			i = run;
		} else {
			if (data[i] == '\r' || !*after_cr)
				ok = buf_add(out, "\r\n", 2);
			*after_cr = data[i++] == '\r';
		}
		if (!ok)
			return false;
	}
	return true;
}

bool dot_filter(enum dot_seen *seen, const char *data, size_t len, struct buf *out)
{
	static const char *const held[] = {
		[DOT_LINE_START] = "", [DOT_DOT] = ".", [DOT_CR] = ".\r", [DOT_INSIDE] = ""
	};

	for (size_t i = 0; i < len; i++) {
		if (*seen == DOT_LINE_START && data[i] == '.') {
			*seen = DOT_DOT;
		} else if (*seen == DOT_DOT && data[i] == '\r') {
			*seen = DOT_CR;
		} else if (*seen == DOT_CR && data[i] == '\n') {
			return true;
		} else {
			buf_adds(out, held[*seen]);
			buf_addc(out, data[i]);
			*seen = data[i] == '\n' ? DOT_LINE_START : DOT_INSIDE;
		}
	}
	return false;
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
	if (len > 0) {
		unsigned char high = 0;

		w->s->has_dot_lines |= (w->at_line_start && data[0] == '.') || memmem(data, len, "\n.", 2);
		w->s->has_nul |= memchr(data, '\0', len) != NULL;
		for (size_t i = 0; i < len; i++) /* as plain as this so that it is done in vectors */
			high |= (unsigned char)data[i];
		w->s->has_eightbit |= high >= 0x80;
		w->at_line_start = data[len - 1] == '\n';
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
	size_t quoted = 0;

	if (line != in->text.data)
		return false;
	while (quoted < len && line[quoted] == '>')
		quoted++;
	return len - quoted > 5 && memcmp(line + quoted, "From ", 5) == 0;
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

static bool has_field(const struct buf *header, const char *name)
{
	const char *at = header->data, *end = header->data + header->len;
	struct header_field f;

	while (header_next(&at, end, &f))
		if (header_is(&f, name))
			return true;
	return false;
}

static bool has_resent_field(const struct buf *header, const char *resent, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "%s%s", resent, name);
	return has_field(header, full);
}

/* RFC 5322 3.6.6: fields of who sent it again stand before the author's, which stay as they are */
static const char *resent_prefix(const struct buf *header, const struct submit_options *options)
{
	static const char *const names[] = { "Bcc",        "Cc",       "Date",   "From",
					     "Message-ID", "Reply-To", "Sender", "To" };

	for (size_t i = 0;
	     (options->sendmail_rules || options->read_recipients) && i < sizeof(names) / sizeof(names[0]);
	     i++)
		if (has_resent_field(header, "Resent-", names[i]))
			return "Resent-";
	return "";
}

static bool add_from(const struct envelope *env, const struct submit_options *options, struct buf *out)
{
	/* a null sender is a program that reports; it still has a name (RFC 5322 3.6.2 wants an author) */
	if (!env->sender[0])
		return !options->sendmail_rules || buf_addf(out, "MAILER-DAEMON@%s\r\n", options->hostname);
	if (!options->full_name || !options->full_name[0])
		return buf_addf(out, "<%s>\r\n", env->sender);
	return phrase_write(options->full_name, out) && buf_addf(out, " <%s>\r\n", env->sender);
}

/* RFC 6409 8: a submission server, and so one who stands in for it, may add what RFC 5322 3.6 asks for. */
static bool add_missing(const struct buf *header, const struct envelope *env,
			const struct submit_options *options, struct buf *out)
{
	const char *resent = resent_prefix(header, options);
	char date[SMTP_DATE_MAX];
	struct spool_id id;
	bool ok = true;

	if (!has_resent_field(header, resent, "Date"))
		ok = buf_addf(out, "%sDate: %s\r\n", resent, smtp_date_format(clock_wall_us(), date));
	if (ok && !has_resent_field(header, resent, "Message-ID")) {
		spool_id_new(&id);
		ok = buf_addf(out, "%sMessage-ID: <%s@%s>\r\n", resent, id.text, options->hostname);
	}
	if (ok && !has_resent_field(header, resent, "From") && (env->sender[0] || options->sendmail_rules))
		ok = buf_addf(out, "%sFrom: ", resent) && add_from(env, options, out);
	return ok;
}

static bool is_taken_out(const struct header_field *f, const struct submit_options *options)
{
	static const char *const always[] = { "Bcc", "Resent-Bcc", "Content-Length", "Return-Path" };

	if (!options->sendmail_rules)
		return options->read_recipients && (header_is(f, "Bcc") || header_is(f, "Resent-Bcc"));
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (header_is(f, always[i]))
			return true;
	return false;
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
	while (r == 0 && header_next(&at, end, &f)) {
		w->s->received += header_is(&f, "Received");
		if (!is_taken_out(&f, options))
			r = writer_add(w, f.name, f.raw_len, e);
	}
	if (r == 0 && options->add_headers && !add_missing(header, &w->s->env, options, &added)) {
		err_set(e, "the header fields to be added are too long");
		r = -1;
	}
	if (r == 0)
		r = writer_add(w, added.data, added.len, e);
	buf_release(&added);
	return r;
}

/* ---- all of it ------------------------------------------------------------------- */

struct submission_txn {
	struct submission *s;
	struct submit_options options;
	/* what comes in, a piece at a time */
	bool after_cr, ended;
	enum dot_seen dot;
	struct buf converted, text; /* the present piece, line ends made CRLF, up to the closing dot */
	struct intake in;
	struct writer w;
	enum submit_result result;
	struct err e;
};

struct submission_txn *submission_begin(struct submission *s, const struct submit_options *options)
{
	struct submission_txn *t = mem_alloc(sizeof(*t));

	memset(s, 0, sizeof(*s));
	s->fd = -1;
	envelope_init(&s->env);
	t->s = s;
	t->options = *options;
	t->w = (struct writer){ .s = s, .at_line_start = true };
	buf_init(&t->w.pending, BLOCK);
	buf_init(&t->converted, 2 * BLOCK);
	buf_init(&t->text, 2 * BLOCK + 2);
	buf_init(&t->in.text, SUBMIT_HEADER_MAX);
	return t;
}

static void txn_free(struct submission_txn *t)
{
	buf_release(&t->w.pending);
	buf_release(&t->converted);
	buf_release(&t->text);
	buf_release(&t->in.text);
	free(t);
}

/* The header is whole: the envelope, the temporary file, and what came of the body so far. */
static enum submit_result begin_content(struct submission_txn *t)
{
	const struct intake *in = &t->in;
	enum submit_result result;
	struct buf header;
	bool separate;

	buf_init(&header, SUBMIT_HEADER_MAX);
	buf_add(&header, in->text.data, in->seen);
	result = envelope_from_header(&t->s->env, &header, &t->options, &t->e);
	if (result != SUBMIT_OK)
		goto out;
	result = SUBMIT_FAILED;
	t->s->fd = open_temporary(&t->e);
	if (t->s->fd < 0 || write_header(&t->w, &header, &t->options, &t->e) < 0)
		goto out;
	/* the empty line: as it was, or where a header now stands before a body that had none */
	separate = in->body > in->seen || (t->s->content_bytes > 0 && in->text.len > in->body);
	if ((separate && writer_add(&t->w, "\r\n", 2, &t->e) < 0) ||
	    writer_add(&t->w, in->text.data + in->body, in->text.len - in->body, &t->e) < 0)
		goto out;
	result = SUBMIT_OK;
out:
	buf_release(&header);
	return result;
}

/* Canonical text behind what came before. last: there will be no more. */
static enum submit_result take_text(struct submission_txn *t, const struct buf *text, bool last)
{
	struct intake *in = &t->in;

	if (in->header_ended)
		return writer_add(&t->w, text->data, text->len, &t->e) < 0 ? SUBMIT_FAILED : SUBMIT_OK;
	if (!buf_add(&in->text, text->data, text->len)) {
		err_set(&t->e, "the message's header is larger than %u octets", SUBMIT_HEADER_MAX);
		return SUBMIT_INVALID;
	}
	/* the last line may lack its end */
	if (last && in->text.len > 0 && in->text.data[in->text.len - 1] != '\n')
		buf_add(&in->text, "\r\n", 2);
	look_for_header_end(in, last);
	return in->header_ended ? begin_content(t) : SUBMIT_OK;
}

bool submission_write(struct submission_txn *t, const char *data, size_t len)
{
	while (len > 0 && t->result == SUBMIT_OK && !t->ended) {
		size_t n = len < BLOCK ? len : BLOCK;

		buf_clear(&t->text);
		buf_clear(&t->converted);
		crlf_convert(&t->after_cr, data, n, &t->converted);
		if (t->options.dot_ends)
			t->ended = dot_filter(&t->dot, t->converted.data, t->converted.len, &t->text);
		t->result = take_text(t, t->options.dot_ends ? &t->text : &t->converted, false);
		data += n;
		len -= n;
	}
	return t->result == SUBMIT_OK && !t->ended;
}

enum submit_result submission_commit(struct submission_txn *t, struct err *e)
{
	enum submit_result result;

	/* a last line that is only a dot without its end was held back, and is left out */
	if (t->result == SUBMIT_OK && !t->in.header_ended) {
		buf_clear(&t->text);
		t->result = take_text(t, &t->text, true);
	}
	if (t->result == SUBMIT_OK && ((!t->w.at_line_start && writer_add(&t->w, "\r\n", 2, &t->e) < 0) ||
				       writer_flush(&t->w, &t->e) < 0))
		t->result = SUBMIT_FAILED;
	t->s->env.body = t->s->has_eightbit ? BODY_8BITMIME : BODY_7BIT;
	result = t->result;
	if (result == SUBMIT_OK) {
		txn_free(t);
	} else {
		*e = t->e;
		submission_abort(t);
	}
	return result;
}

void submission_abort(struct submission_txn *t)
{
	if (!t)
		return;
	submission_release(t->s);
	txn_free(t);
}

enum submit_result submission_read(struct submission *s, int in_fd, const struct submit_options *options,
				   struct err *e)
{
	struct submission_txn *t = submission_begin(s, options);
	char *block = mem_alloc(BLOCK);
	ssize_t n;

	do {
		n = read(in_fd, block, BLOCK);
	} while ((n < 0 && errno == EINTR) || (n > 0 && submission_write(t, block, (size_t)n)));
	if (n < 0)
		err_set_os(e, errno, "cannot read the message");
	free(block);
	if (n >= 0)
		return submission_commit(t, e);
	submission_abort(t);
	return SUBMIT_FAILED;
}

void submission_release(struct submission *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	envelope_release(&s->env);
}
