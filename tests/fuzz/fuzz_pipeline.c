/* SPDX-License-Identifier: ISC */
/*
 * An upstream that answers anything. The first line of the input is its EHLO
 * keywords, separated by commas, and "LMTP" and "BDAT" for what we are to speak; then each line is a reply, before which some
 * of the output gets through: an octet '!' lets one byte pass, anything else
 * all. Promise: every transaction that was taken ends once; nothing but a 2yz
 * to a final dot that was sent counts as delivered; commands are whole lines.
 */
#include <string.h>

#include "fake_txn.h"
#include "fuzz.h"
#include "upstream/features.h"
#include "upstream/pipeline.h"

#define TXNS 4

struct state {
	struct fake_txn *txn[TXNS];
	size_t given;
	size_t dots_put; /* final dots, and BDATs, that were put out */
	size_t replies;
};

static struct upstream_txn *next(void *ctx)
{
	struct state *s = ctx;

	return s->given < TXNS ? &s->txn[s->given++]->txn : NULL;
}

static void command(void *ctx, const char *line, size_t len)
{
	struct state *s = ctx;

	ASSERT(!memchr(line, '\r', len) && !memchr(line, '\n', len));
	s->dots_put += (len == 1 && line[0] == '.') || (len > 5 && memcmp(line, "BDAT ", 5) == 0);
}

static const struct pipeline_ops ops = { .next = next, .command = command };

static size_t line_length(const char *data, size_t size)
{
	const char *lf = memchr(data, '\n', size);

	return lf ? (size_t)(lf - data) + 1 : size;
}

static bool is_word(const char *data, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(data, word, len) == 0;
}

static void read_features(struct upstream_features *f, struct upstream_settings *settings, const char *data, size_t len)
{
	while (len > 0) {
		const char *comma = memchr(data, ',', len);
		size_t n = comma ? (size_t)(comma - data) : len;

		upstream_features_note(f, data, n, 0);
		settings->lmtp = settings->lmtp || is_word(data, n, "LMTP");
		if (is_word(data, n, "BDAT"))
			settings->chunking = UPSTREAM_CHUNKING_ALWAYS;
		n += comma != NULL;
		data += n;
		len -= n;
	}
}

static void let_pass(struct pipeline *p, bool one)
{
	const char *data;
	size_t n;

	while (pipeline_fill(p) == PIPELINE_GO_ON && (n = pipeline_output(p, &data)) > 0) {
		pipeline_sent(p, one ? 1 : n);
		if (one)
			break;
	}
}

static void check(const struct state *s)
{
	size_t delivered = 0, finals = 0;

	for (size_t i = 0; i < TXNS; i++) {
		const struct upstream_outcome *o = &s->txn[i]->outcome;

		ASSERT(s->txn[i]->done == (i < s->given));
		for (size_t r = 0; r < s->txn[i]->txn.rcpt_count; r++)
			finals += s->txn[i]->final[r] != 0;
		if (i >= s->given || o->how != UPSTREAM_ANSWERED || o->reply.code >= 400)
			continue;
		ASSERT(o->phase == UPSTREAM_FINAL_DOT && o->reply.code / 100 == 2);
		delivered++;
	}
	/* MAIL, RCPT and the content at least */
	ASSERT(delivered <= s->dots_put && delivered * 3 <= s->replies && finals <= s->replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static const char *const contents[TXNS] = { "A\r\n", ".\r\n..", "", "\xc3\xa9\r\n" };
	static struct smtp_reply_parser parser;
	struct upstream_features features = { 0 };
	const char *data = (const char *)input;
	size_t used, first = size ? line_length(data, size) : 0;
	struct state s = { 0 };
	struct upstream_settings settings = { .eightbit = UPSTREAM_EIGHTBIT_PASS, .pipelining = true };
	struct pipeline p;

	read_features(&features, &settings, data, first ? first - 1 : 0);
	for (size_t i = 0; i < TXNS; i++)
		s.txn[i] = fake_new("m", i + 1, contents[i], strlen(contents[i]));
	smtp_reply_parser_init(&parser);
	pipeline_init(&p, &features, &settings, &ops, &s);
	for (size_t at = first; at < size && !p.over; at += used) {
		let_pass(&p, data[at] == '!');
		at += data[at] == '!';
		switch (smtp_reply_parse(&parser, data + at, line_length(data + at, size - at), &used)) {
		case SMTP_REPLY_MORE:
			break;
		case SMTP_REPLY_DONE:
			s.replies++;
			pipeline_reply(&p, &parser.reply);
			break;
		case SMTP_REPLY_BAD:
			pipeline_lost(&p, false, parser.why);
			break;
		}
	}
	pipeline_lost(&p, false, "the end");
	pipeline_end(&p);
	check(&s);
	pipeline_release(&p);
	for (size_t i = 0; i < TXNS; i++)
		fake_free(s.txn[i]);
	return 0;
}
