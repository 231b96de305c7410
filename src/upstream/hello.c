/* SPDX-License-Identifier: ISC */
/* See hello.h. */
#include "upstream/hello.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "upstream/features.h"

void hello_init(struct hello *h, struct upstream_features *features, const struct upstream_settings *settings)
{
	memset(h, 0, sizeof(*h));
	h->features = features;
	h->settings = settings;
	smtp_reply_parser_init(&h->parser);
}

static enum hello_result on_reply(struct hello *h)
{
	const struct smtp_reply *reply = &h->parser.reply;
	int n;

	if (h->greeted ? reply->code != 250 : reply->code != 220)
		return HELLO_REFUSED;
	if (h->greeted) {
		h->features->esmtp = true;
		return HELLO_DONE;
	}
	h->greeted = true;
	n = snprintf(h->out, sizeof(h->out), "LHLO %s\r\n", h->settings->hostname);
	ASSERT(n > 0 && n < (int)sizeof(h->out));
	h->out_len = (size_t)n;
	return HELLO_LINE;
}

enum hello_result hello_take(struct hello *h, const char *data, size_t len, size_t *used)
{
	const char *lf = memchr(data, '\n', len);
	struct smtp_reply_parser *p = &h->parser;
	enum smtp_reply_event event;

	if (h->greeted && h->out_from < h->out_len) {
		snprintf(p->why, sizeof(p->why), "the server goes on behind its greeting");
		*used = 0;
		return HELLO_BROKEN;
	}
	event = smtp_reply_parse(p, data, lf ? (size_t)(lf - data) + 1 : len, used);
	if (event == SMTP_REPLY_BAD)
		return HELLO_BROKEN;
	if (!lf)
		return HELLO_MORE;
	/* the first line of the answer to LHLO is the server's name */
	if (h->greeted && p->lines > 1 && p->taken_len > 4)
		upstream_features_note(h->features, p->line + 4, p->taken_len - 4, h->settings->discard);
	return event == SMTP_REPLY_DONE ? on_reply(h) : HELLO_LINE;
}
