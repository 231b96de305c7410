/* SPDX-License-Identifier: ISC */
/* See transcript_python.h. */
#include "cli/transcript_python.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/pyrepr.h"
#include "submit/transmit.h"

static void put_number(struct sink *out, unsigned long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", n);
	sink_puts(out, text);
}

/* str(datetime.datetime.now().time()), which leaves microseconds out when they are none */
static void begin(const struct python *p, const char *what)
{
	int64_t now = clock_wall_us();
	time_t seconds = (time_t)(now / 1000000);
	char text[40], fraction[16] = "";
	struct tm tm;

	if (p->times) {
		localtime_r(&seconds, &tm);
		if (now % 1000000 != 0)
			snprintf(fraction, sizeof(fraction), ".%06d", (int)(now % 1000000));
		snprintf(text, sizeof(text), "%02d:%02d:%02d%s ", tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
		sink_puts(p->out, text);
	}
	sink_puts(p->out, what);
}

static void put_bytes(const struct python *p, const char *data, size_t len)
{
	sink_puts(p->out, "b");
	pyrepr_put_text(p->out, data, len);
}

/* A character of a str beyond ASCII; text is UTF-8. Returns its octets. */
static size_t put_character(const struct python *p, const char *text, size_t len)
{
	uint32_t code;
	char escaped[16];
	size_t n;

	if (term_shows(p->term, text, len, &code, &n)) {
		sink_put(p->out, text, n);
		return n;
	}
	if (n == 0) /* no UTF-8: nothing Python would have sent */
		snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)*text);
	else if (code <= 0xff)
		snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned)code);
	else if (code <= 0xffff)
		snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)code);
	else
		snprintf(escaped, sizeof(escaped), "\\U%08x", (unsigned)code);
	sink_puts(p->out, escaped);
	return n > 0 ? n : 1;
}

/* repr() of a str */
static void put_str(const struct python *p, const char *text, size_t len)
{
	struct pyrepr_quotes quotes = { 0, 0 };
	char quote;

	for (size_t i = 0; i < len; i++)
		pyrepr_look(&quotes, text[i]);
	quote = pyrepr_quote(&quotes);
	sink_put(p->out, &quote, 1);
	for (size_t i = 0; i < len;) {
		if ((unsigned char)text[i] < 0x80)
			pyrepr_put(p->out, text[i++], quote);
		else
			i += put_character(p, text + i, len - i);
	}
	sink_put(p->out, &quote, 1);
}

void python_connect_to(const struct python *p, bool tls, const char *host, unsigned port, const char *source)
{
	/* SMTP_SSL says it in its own words first */
	for (int said = tls ? 0 : 1; said < 2; said++) {
		begin(p, said == 0 ? "connect: (" : "connect: to (");
		put_str(p, host, strlen(host));
		sink_puts(p->out, ", ");
		put_number(p->out, port);
		sink_puts(p->out, said == 0 ? ")\n" : ") ");
	}
	if (source) {
		sink_puts(p->out, "(");
		put_str(p, source, strlen(source));
		sink_puts(p->out, ", 0)");
	} else {
		sink_puts(p->out, "None");
	}
	sink_puts(p->out, "\n");
}

void python_send(const struct python *p, const char *line, size_t len)
{
	begin(p, "send: ");
	put_str(p, line, len);
	sink_puts(p->out, "\n");
}

/* Its octets, one piece after the other: looked at first, for they decide which quotes stand around them. */
static void each_piece(const struct submission *content,
		       void (*take)(void *ctx, const char *data, size_t len), void *ctx)
{
	char data[8192];
	struct err e;
	ssize_t n;

	for (uint64_t at = 0; at < content->content_bytes; at += (uint64_t)n) {
		uint64_t left = content->content_bytes - at;

		n = submission_pread(content, at, data, left < sizeof(data) ? (size_t)left : sizeof(data),
				     &e);
		if (n < 0)
			return; /* who sends it meets the same, and says so */
		take(ctx, data, (size_t)n);
	}
}

static void look(void *ctx, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		pyrepr_look(ctx, data[i]);
}

struct stuffer {
	struct sink *out;
	char quote, last;
};

static void put_stuffed(void *ctx, const char *data, size_t len)
{
	struct stuffer *s = ctx;

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '.' && s->last == '\n')
			sink_puts(s->out, ".");
		pyrepr_put(s->out, data[i], s->quote);
		s->last = data[i];
	}
}

void python_send_content(const struct python *p, const struct submission *content)
{
	struct pyrepr_quotes quotes = { 0, 0 };
	struct stuffer s = { .out = p->out, .last = '\n' };

	each_piece(content, look, &quotes);
	s.quote = pyrepr_quote(&quotes);
	begin(p, "send: b");
	sink_put(p->out, &s.quote, 1);
	each_piece(content, put_stuffed, &s);
	sink_puts(p->out, s.last == '\n' ? ".\\r\\n" : "\\r\\n.\\r\\n");
	sink_put(p->out, &s.quote, 1);
	sink_puts(p->out, "\n");
}

/* A line: what it begins with, the octets as Python has them, what it ends with. */
static void put_line(const struct python *p, const char *begun, const char *text, size_t len, const char *end)
{
	begin(p, begun);
	put_bytes(p, text, len);
	sink_puts(p->out, end);
}

void python_reply_line(const struct python *p, const char *line, size_t len)
{
	put_line(p, "reply: ", line, len, "\n");
}

void python_reply(const struct python *p, int code, const char *text, size_t len)
{
	char begun[48];

	snprintf(begun, sizeof(begun), "reply: retcode (%d); Msg: ", code);
	put_line(p, begun, text, len, "\n");
}

void python_connected(const struct python *p, const char *text, size_t len)
{
	put_line(p, "connect: ", text, len, "\n");
}

void python_data(const struct python *p, int code, const char *text, size_t len)
{
	char begun[32];

	snprintf(begun, sizeof(begun), "data: (%d, ", code);
	put_line(p, begun, text, len, ")\n");
}
