/* SPDX-License-Identifier: ISC */
/* See transcript.h. */
#include "transcript.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/num.h"
#include "fake_handler.h"
#include "fake_policy.h"
#include "unit.h"

/* the file is the name of the test case */
#define bad(line, fmt, ...) ck_abort_msg("line %u: " fmt, line, ##__VA_ARGS__)

static enum session_flush no_queue(void *ctx, enum session_flush_of what, const char *name)
{
	(void)ctx;
	return what == SESSION_FLUSH_UPSTREAM && strcmp(name, "default") != 0 ? SESSION_FLUSH_NO_SUCH :
										SESSION_FLUSH_NOTHING;
}

void transcript_default_config(struct session_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->hostname = "relay.example.org";
	cfg->data_size_limit_bytes = 33554432;
	cfg->max_recipients = 1000;
	cfg->max_received = 50;
	cfg->max_errors = 100;
	cfg->policy = &fake_policy_open;
	cfg->flush = no_queue;
}

/* ---- reading a file --------------------------------------------------------- */

/* Names with a blank between them. */
static unsigned extension_set(unsigned line, const char *names)
{
	unsigned set = 0;

	while (*names) {
		size_t len = strcspn(names, " ");
		unsigned x = 0;

		while (x < SMTP_EXTENSION_COUNT && (strlen(smtp_extension_names[x]) != len ||
						    memcmp(smtp_extension_names[x], names, len) != 0))
			x++;
		if (x == SMTP_EXTENSION_COUNT)
			bad(line, "unknown extension in %s", names);
		set |= SMTP_EXTENSION_BIT(x);
		names += len + (names[len] == ' ');
	}
	return set;
}

static void set(struct transcript *t, unsigned line, const char *key, const char *value)
{
	struct session_config *cfg = &t->cfg;
	uint64_t number = 0;
	bool yes = false;

	if (!num_parse_u64(value, strlen(value), UINT32_MAX, &number))
		num_parse_bool(value, &yes);
	if (strcmp(key, "data_size_limit") == 0)
		cfg->data_size_limit_bytes = number;
	else if (strcmp(key, "max_recipients") == 0)
		cfg->max_recipients = number;
	else if (strcmp(key, "max_received") == 0)
		cfg->max_received = (unsigned)number;
	else if (strcmp(key, "max_errors") == 0)
		cfg->max_errors = (unsigned)number;
	else if (strcmp(key, "max_transactions") == 0)
		cfg->max_transactions = (unsigned)number;
	else if (strcmp(key, "bare_newline") == 0)
		cfg->bare_newline =
			strcmp(value, "normalize") == 0 ? BARE_NEWLINE_NORMALIZE : BARE_NEWLINE_REJECT;
	else if (strcmp(key, "enable_smtputf8") == 0)
		cfg->enable_smtputf8 = yes;
	else if (strcmp(key, "vrfy_table") == 0)
		cfg->verifies = yes; /* fake_policy.c has it */
	else if (strcmp(key, "deliver_by_minimum") == 0)
		cfg->deliver_by_minimum_ms = (int64_t)number * 1000;
	else if (strcmp(key, "enable_binarymime") == 0)
		cfg->enable_binarymime = yes;
	else if (strcmp(key, "default_domain") == 0)
		cfg->unqualified_addresses = true; /* the handler that adds it is not here */
	else if (strcmp(key, "discard_ehlo_keywords") == 0)
		cfg->discard = extension_set(line, value);
	else if (strcmp(key, "decode_data") == 0)
		cfg->decode_data = yes;
	else if (strcmp(key, "peer") == 0)
		t->cfg.policy = strcmp(value, "stranger") == 0 ? &fake_policy_closed : &fake_policy_open;
	else
		bad(line, "unknown setting %s", key);
}

/* One escape at p (behind the backslash), its octets appended; returns what is behind it, NULL if it is none. */
static const char *unescape(struct buf *out, const char *p)
{
	static const char names[] = "rnt\\0", values[] = "\r\n\t\\\0";
	const char *name = *p ? strchr(names, *p) : NULL;
	unsigned octet, times;
	int n = 0;

	if (name)
		return buf_addc(out, values[name - names]) ? p + 1 : NULL;
	if (sscanf(p, "x%2x%n", &octet, &n) == 1 && n == 3)
		return buf_addc(out, (char)octet) ? p + 3 : NULL;
	if (sscanf(p, "{%u*%n", &times, &n) == 1 && n > 0 && strchr(p + n, '}')) {
		size_t len = strcspn(p + n, "}");

		while (times-- > 0)
			buf_add(out, p + n, len);
		return p + n + len + 1;
	}
	return NULL;
}

static void add_step(struct transcript *t, unsigned line, enum transcript_kind kind, const char *text,
		     bool escapes, const char *end)
{
	struct transcript_step *step;
	struct buf b;

	buf_init(&b, 1 << 24);
	while (*text) {
		const char *next = text + 1;

		if (escapes && *text == '\\')
			next = unescape(&b, text + 1);
		else
			buf_addc(&b, *text);
		if (!next)
			bad(line, "bad escape");
		text = next;
	}
	buf_adds(&b, end);
	t->step = mem_resize(t->step, t->count + 1, sizeof(*t->step));
	step = &t->step[t->count++];
	step->kind = kind;
	step->line = line;
	step->len = b.len;
	step->text = mem_alloc(b.len + 1);
	memcpy(step->text, b.data, b.len);
	buf_release(&b);
}

static void read_line(struct transcript *t, unsigned line, char *text)
{
	char key[64], value[256];
	const char *rest = strlen(text) > 3 ? text + 3 : "";

	if (text[0] == '#' || text[0] == '\0')
		return;
	if (sscanf(text, "set %63s %255[^\n]", key, value) == 2)
		set(t, line, key, value);
	else if (strcmp(text, "C!") == 0)
		add_step(t, line, TRANSCRIPT_CLIENT_CLOSES, "", false, "");
	else if (strcmp(text, "S!") == 0)
		add_step(t, line, TRANSCRIPT_SERVER_CLOSES, "", false, "");
	else if (text[2] && text[2] != ' ')
		bad(line, "a space is missing");
	else if (strncmp(text, "C:", 2) == 0)
		add_step(t, line, TRANSCRIPT_CLIENT, rest, true, "\r\n");
	else if (strncmp(text, "C|", 2) == 0)
		add_step(t, line, TRANSCRIPT_CLIENT, rest, true, "");
	else if (strncmp(text, "S:", 2) == 0)
		add_step(t, line, TRANSCRIPT_SERVER, rest, false, "");
	else if (strcmp(text, "M:") == 0)
		add_step(t, line, TRANSCRIPT_CONTENT, "", true, "\r\n");
	else if (strncmp(text, "M:", 2) == 0)
		add_step(t, line, TRANSCRIPT_CONTENT, rest, true, "\r\n");
	else
		bad(line, "not a step: %s", text);
}

void transcript_load(struct transcript *t, const char *file)
{
	FILE *f = fopen(file, "r");
	char *text = NULL;
	size_t cap = 0;
	unsigned line = 0;
	ssize_t n;

	memset(t, 0, sizeof(*t));
	t->file = file;
	transcript_default_config(&t->cfg);
	ck_assert_msg(f, "%s cannot be read", file);
	while ((n = getline(&text, &cap, f)) > 0) {
		if (text[n - 1] == '\n')
			text[n - 1] = '\0';
		read_line(t, ++line, text);
	}
	free(text);
	fclose(f);
	ck_assert_msg(t->count > 0, "%s is empty", file);
}

void transcript_release(struct transcript *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->step[i].text);
	free(t->step);
	memset(t, 0, sizeof(*t));
}

/* ---- playing ------------------------------------------------------------------ */

struct play {
	const struct transcript *t;
	struct fake_handler handler;
	struct fake_io io;
	struct buf sent; /* the group under way */
	size_t next; /* step */
	size_t seen; /* of io.out */
	bool closed; /* by the server */
};

static void expect_reply(struct play *p, const struct transcript_step *step)
{
	const char *got = p->io.out.data + p->seen;
	const char *end = strstr(got, "\r\n");
	size_t want = step->len;
	bool open_end = want >= 3 && strcmp(step->text + want - 3, "...") == 0;

	if (!end)
		bad(step->line, "no reply, expected: %s", step->text);
	p->seen += (size_t)(end + 2 - got);
	want -= open_end ? 3 : 0;
	if ((size_t)(end - got) < want || (!open_end && (size_t)(end - got) > want) ||
	    memcmp(got, step->text, want) != 0)
		bad(step->line, "expected: %s\n# got:      %.*s", step->text, (int)(end - got), got);
}

/* All content lines in a row; "M:" alone is a message without a line. */
static void expect_content(struct play *p)
{
	const struct transcript_step *step = &p->t->step[p->next];
	struct buf want;
	size_t lines = 0;

	buf_init(&want, 1 << 24);
	for (; p->next < p->t->count && p->t->step[p->next].kind == TRANSCRIPT_CONTENT; p->next++, lines++)
		buf_add(&want, p->t->step[p->next].text, p->t->step[p->next].len);
	if (lines == 1 && step->len == 2)
		buf_clear(&want);
	if (want.len != p->handler.content.len || memcmp(want.data, p->handler.content.data, want.len) != 0)
		bad(step->line, "content expected:\n%s\n# got:\n%s", want.data, p->handler.content.data);
	buf_release(&want);
}

/* Goes on to the next thing that the client does; false when it does nothing any more. */
static bool go_on(struct play *p)
{
	for (; p->next < p->t->count; p->next++) {
		const struct transcript_step *step = &p->t->step[p->next];

		switch (step->kind) {
		case TRANSCRIPT_CLIENT:
		case TRANSCRIPT_CLIENT_CLOSES:
			if (p->seen != p->io.out.len)
				bad(step->line, "before this unexpected: %s", p->io.out.data + p->seen);
			return step->kind == TRANSCRIPT_CLIENT;
		case TRANSCRIPT_SERVER:
			expect_reply(p, step);
			break;
		case TRANSCRIPT_SERVER_CLOSES:
			if (!p->closed)
				bad(step->line, "the session is still open");
			break;
		case TRANSCRIPT_CONTENT:
			expect_content(p);
			p->next--;
			break;
		}
	}
	return false;
}

static bool send_more(struct fake_io *io, void *ctx)
{
	struct play *p = ctx;

	if (!go_on(p))
		return false;
	buf_clear(&p->sent);
	for (; p->next < p->t->count && p->t->step[p->next].kind == TRANSCRIPT_CLIENT; p->next++)
		buf_add(&p->sent, p->t->step[p->next].text, p->t->step[p->next].len);
	io->data = p->sent.data;
	io->len = p->sent.len;
	return true;
}

void transcript_play(const struct transcript *t, enum fake_cut cut, unsigned seed)
{
	struct session_peer peer = { .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "default" };
	struct play p = { .t = t };

	fake_handler_init(&p.handler, true);
	p.handler.id = seed % 2 ? "0m4x7f3q9zkab1cd" : NULL;
	fake_io_init(&p.io, "", 0, cut);
	p.io.seed = seed;
	p.io.more = send_more;
	p.io.ctx = &p;
	buf_init(&p.sent, 1 << 24);
	session_run(&t->cfg, &peer, &p.io.io, &p.handler.handler, NULL);
	p.closed = true;
	if (p.next < t->count && t->step[p.next].kind == TRANSCRIPT_CLIENT_CLOSES)
		p.next++;
	if (go_on(&p))
		bad(t->step[p.next].line, "the session is over already");
	if (p.seen != p.io.out.len)
		bad(t->step[t->count - 1].line, "behind the end unexpected: %s", p.io.out.data + p.seen);
	buf_release(&p.sent);
	fake_io_release(&p.io);
	fake_handler_release(&p.handler);
}
