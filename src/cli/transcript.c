/* SPDX-License-Identifier: ISC */
/*
 * See transcript.h. smtplib says of some replies what they answer ("data:",
 * "connect:"), and commands may be pipelined: so what is asked for is
 * remembered, a letter each, until its reply is complete.
 */
#include "cli/transcript.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/transcript_python.h"

#define EXPECTED_MAX (1u << 20)
#define TEXT_MAX (256u << 10) /* of one reply */

#define FOR_GREETING 'g'
#define FOR_RCPT 'r'
#define FOR_DATA 'd'
#define FOR_CONTENT '.'
#define FOR_ANOTHER 'c'

bool transcript_style_parse(const char *name, enum transcript_style *out)
{
	static const char *const names[] = { TRANSCRIPT_STYLE_NAMES };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(name, names[i]) != 0)
			continue;
		*out = (enum transcript_style)(TRANSCRIPT_PLAIN + i);
		return true;
	}
	return false;
}

void transcript_init(struct transcript *t, enum transcript_style style, bool lmtp)
{
	memset(t, 0, sizeof(*t));
	t->style = style;
	t->lmtp = lmtp;
	term_init(&t->err, STDERR_FILENO);
	t->began_mono_ms = clock_mono_ms();
	buf_init(&t->expected, EXPECTED_MAX);
	buf_init(&t->text, TEXT_MAX);
}

void transcript_release(struct transcript *t)
{
	buf_release(&t->expected);
	buf_release(&t->text);
}

static bool is_python(const struct transcript *t)
{
	return t->style == TRANSCRIPT_PYTHON || t->style == TRANSCRIPT_PYTHON_TIMES;
}

/* ---- what answers what ---------------------------------------------------------- */

static bool is_verb(const char *line, size_t len, const char *verb)
{
	size_t n = strlen(verb);

	return len > n && strncasecmp(line, verb, n) == 0 && isspace((unsigned char)line[n]);
}

static void expect(struct transcript *t, const char *line, size_t len)
{
	char what = is_verb(line, len, "DATA")   ? FOR_DATA
		    : is_verb(line, len, ".")    ? FOR_CONTENT
		    : is_verb(line, len, "RCPT") ? FOR_RCPT
						 : FOR_ANOTHER;

	if (t->expected_at == t->expected.len) {
		buf_clear(&t->expected);
		t->expected_at = 0;
	}
	buf_addc(&t->expected, what);
}

/* What the reply that is complete answers. */
static char answered(struct transcript *t, int code)
{
	char what = t->expected_at < t->expected.len ? t->expected.data[t->expected_at] : FOR_ANOTHER;

	if (what == FOR_RCPT)
		t->accepted += code / 100 == 2;
	if (what != FOR_CONTENT && what != FOR_RCPT && what != FOR_DATA)
		t->accepted = 0;
	if (what == FOR_CONTENT && t->lmtp && t->accepted > 1)
		t->accepted--; /* RFC 2033 4.2: there are more to come */
	else if (t->expected_at < t->expected.len)
		t->expected_at++;
	return what;
}

/* ---- smtplib's style ------------------------------------------------------------- */

/* As smtplib's getreply: the code of the last line, and all texts without white space around them. */
static int read_reply(struct transcript *t, const char *line, size_t len, bool *complete)
{
	size_t from = len < 4 ? len : 4, to = len;
	int code = -1;

	if (len >= 3 && isdigit((unsigned char)line[0]) && isdigit((unsigned char)line[1]) &&
	    isdigit((unsigned char)line[2]))
		code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
	while (from < to && memchr(" \t\r\n", line[from], 4))
		from++;
	while (to > from && memchr(" \t\r\n", line[to - 1], 4))
		to--;
	buf_add(&t->text, line + from, to - from);
	*complete = code < 0 || len < 4 || line[3] != '-';
	if (!*complete)
		buf_addc(&t->text, '\n');
	return code;
}

static void python_heard(struct transcript *t, const struct python *p, const char *line, size_t len)
{
	bool complete;
	int code = read_reply(t, line, len, &complete);

	python_reply_line(p, line, len);
	if (!complete)
		return;
	python_reply(p, code, t->text.data, t->text.len);
	switch (answered(t, code)) {
	case FOR_GREETING:
		python_connected(p, t->text.data, t->text.len);
		break;
	case FOR_DATA:
	case FOR_CONTENT:
		python_data(p, code, t->text.data, t->text.len);
		break;
	}
	buf_clear(&t->text);
}

static void python_wire(struct transcript *t, bool from_server, const char *data, size_t len)
{
	struct sink out;
	struct python p = { &out, &t->err, t->style == TRANSCRIPT_PYTHON_TIMES };

	sink_init(&out, STDERR_FILENO);
	if (from_server) {
		python_heard(t, &p, data, len);
	} else {
		expect(t, data, len);
		if (is_verb(data, len, ".") && t->content)
			python_send_content(&p, t->content);
		else
			python_send(&p, data, len);
	}
	(void)sink_flush(&out); /* there is nowhere to complain */
}

/* ---- for people -------------------------------------------------------------------- */

static void put_line(const struct transcript *t, const char *who, const char *text, size_t len)
{
	struct buf line;

	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	buf_init(&line, 64 << 10);
	if (t->style == TRANSCRIPT_TIMES)
		buf_addf(&line, "%8.3f ", (double)(clock_mono_ms() - t->began_mono_ms) / 1000);
	buf_adds(&line, who);
	term_escape(&t->err, text, len, TERM_KEEP_TABS, &line);
	if (t->style == TRANSCRIPT_TIMES && t->content && strcmp(who, "C: ") == 0 && len == 1 &&
	    text[0] == '.')
		buf_addf(&line, "   (after %llu octets of content)",
			 (unsigned long long)t->content->content_bytes);
	buf_addc(&line, '\n');
	fwrite(line.data, 1, line.len, stderr);
	buf_release(&line);
}

void transcript_line(bool from_server, const char *text, size_t len)
{
	struct transcript t = { .style = TRANSCRIPT_PLAIN };

	term_init(&t.err, STDERR_FILENO);
	put_line(&t, from_server ? "S: " : "C: ", text, len);
}

/* ---- what is told -------------------------------------------------------------------- */

void transcript_connecting(struct transcript *t, const struct endpoint *to, bool tls, const char *source)
{
	char text[ENDPOINT_TEXT_MAX];

	buf_clear(&t->expected);
	buf_clear(&t->text);
	t->expected_at = t->accepted = 0;
	buf_addc(&t->expected, FOR_GREETING);
	if (t->style == TRANSCRIPT_TIMES) {
		endpoint_format(to, text);
		put_line(t, "== ", text, strlen(text));
	} else if (is_python(t) && to->kind == ENDPOINT_TCP) { /* smtplib says nothing of a unix socket */
		struct sink out;
		struct python p = { &out, &t->err, t->style == TRANSCRIPT_PYTHON_TIMES };

		sink_init(&out, STDERR_FILENO);
		python_connect_to(&p, tls, to->host, to->port, source);
		(void)sink_flush(&out);
	}
}

void transcript_wire(struct transcript *t, bool from_server, const char *data, size_t len)
{
	switch (t->style) {
	case TRANSCRIPT_NONE:
		break;
	case TRANSCRIPT_PLAIN:
	case TRANSCRIPT_TIMES:
		put_line(t, from_server ? "S: " : "C: ", data, len);
		break;
	case TRANSCRIPT_PYTHON:
	case TRANSCRIPT_PYTHON_TIMES:
		python_wire(t, from_server, data, len);
		break;
	}
}

void transcript_session(struct transcript *t, const char *remote, const char *via,
			const struct upstream_tls_info *tls)
{
	struct buf text;

	if (t->style != TRANSCRIPT_TIMES)
		return;
	buf_init(&text, 4096);
	buf_addf(&text, "session with %s", remote);
	if (via[0])
		buf_addf(&text, " by way of %s", via);
	if (tls)
		buf_addf(&text, ", %s %s, verified: %s", tls->version, tls->cipher,
			 upstream_verified_name(tls->verified));
	put_line(t, "== ", text.data, text.len);
	buf_release(&text);
}
