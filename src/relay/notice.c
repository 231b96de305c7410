/* SPDX-License-Identifier: ISC */
/* See notice.h; the writing side, relay_notify and relay_ask_flush, runs in workers. */
#include "relay/notice.h"

#include <string.h>
#include <unistd.h>

#include "relay/relay.h"

#define URGENT '!'

void notice_reader_init(struct notice_reader *r)
{
	r->rest_len = 0;
}

/* Whether the line is an ID, with `more` octets behind it. */
static bool is_id(struct notice_reader *r, size_t more)
{
	if (r->rest_len != SPOOL_ID_LEN + more || (more > 0 && r->rest[SPOOL_ID_LEN] != URGENT))
		return false;
	r->rest[SPOOL_ID_LEN] = '\0';
	return spool_id_is_valid(r->rest);
}

static void take_line(struct notice_reader *r, const struct notice_ops *ops, void *ctx)
{
	struct flush one;

	/* one that filled the buffer may be the beginning of one that is longer */
	if (r->rest_len > 0 && r->rest[0] == '!') {
		if (r->rest_len < sizeof(r->rest) && flush_parse(r->rest, r->rest_len, &one))
			ops->flush(ctx, &one);
	} else if (is_id(r, 0)) {
		ops->mail(ctx, r->rest);
	} else if (is_id(r, 1)) {
		ops->urgent(ctx, r->rest);
	}
}

void notice_read(struct notice_reader *r, const char *data, size_t len, const struct notice_ops *ops,
		 void *ctx)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n') {
			/* a line that is too long is none of ours: its end makes it invalid below */
			if (r->rest_len < sizeof(r->rest))
				r->rest[r->rest_len++] = data[i];
			continue;
		}
		take_line(r, ops, ctx);
		r->rest_len = 0;
	}
}

void relay_notify(int notice_fd, _Atomic bool *rescan_wanted, const char *id, bool has_deadline)
{
	char line[SPOOL_ID_LEN + 3];
	size_t len = strlen(id);

	/* one write below PIPE_BUF: lines of different workers never mix */
	memcpy(line, id, len);
	if (has_deadline)
		line[len++] = URGENT;
	line[len] = '\n';
	if (write(notice_fd, line, len + 1) == (ssize_t)(len + 1))
		return;
	atomic_store(rescan_wanted, true);
	/*
	 * The pipe is full, so the relay is about to read it; unless it did so between the two calls above,
	 * found no wish to list the spool, and sleeps: then there is room to wake it.
	 */
	if (write(notice_fd, "\n", 1) < 0) {
		/* still full: it has yet to read, and then looks at rescan_wanted */
	}
}

bool relay_ask_flush(int notice_fd, enum flush_kind kind, const char *name)
{
	char line[FLUSH_LINE_MAX];
	size_t len = flush_line(line, kind, name);

	return len > 0 && write(notice_fd, line, len) == (ssize_t)len;
}
