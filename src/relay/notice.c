/* SPDX-License-Identifier: ISC */
/* See notice.h; the writing side, relay_notify and relay_ask_flush, runs in workers. */
#include "relay/notice.h"

#include <string.h>
#include <unistd.h>

#include "relay/relay.h"

#define TIMED '!'

void notice_reader_init(struct notice_reader *r)
{
	r->rest_len = 0;
}

static void take_line(struct notice_reader *r, const struct notice_ops *ops, void *ctx)
{
	bool is_timed = r->rest_len == SPOOL_ID_LEN + 1 && r->rest[SPOOL_ID_LEN] == TIMED;
	struct flush one;

	if (r->rest_len == SPOOL_ID_LEN || is_timed) {
		char after = r->rest[SPOOL_ID_LEN];

		r->rest[SPOOL_ID_LEN] = '\0';
		if (spool_id_is_valid(r->rest)) {
			(is_timed ? ops->timed : ops->added)(ctx, r->rest);
			return;
		}
		r->rest[SPOOL_ID_LEN] = after;
	}
	/* one that filled the buffer may be the beginning of one that is longer */
	if (r->rest_len < sizeof(r->rest) && flush_parse(r->rest, r->rest_len, &one))
		ops->flush(ctx, &one);
}

void notice_read(struct notice_reader *r, const char *data, size_t len, const struct notice_ops *ops, void *ctx)
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
		line[len++] = TIMED;
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
