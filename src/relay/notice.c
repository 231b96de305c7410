/* SPDX-License-Identifier: ISC */
/* See notice.h; the writing side, relay_notify, runs in workers. */
#include "relay/notice.h"

#include <string.h>
#include <unistd.h>

#include "relay/relay.h"

#define URGENT '!'

void notice_reader_init(struct notice_reader *r)
{
	r->rest_len = 0;
}

void notice_read(struct notice_reader *r, const char *data, size_t len, void (*each)(void *ctx, const char *id),
		 void (*urgent)(void *ctx, const char *id), void *ctx)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n') {
			/* a line that is too long is none of ours: its end makes it invalid below */
			if (r->rest_len < sizeof(r->rest))
				r->rest[r->rest_len++] = data[i];
			continue;
		}
		if (r->rest_len == SPOOL_ID_LEN || (r->rest_len == SPOOL_ID_LEN + 1 && r->rest[SPOOL_ID_LEN] == URGENT)) {
			bool is_urgent = r->rest_len > SPOOL_ID_LEN;

			r->rest[SPOOL_ID_LEN] = '\0';
			if (spool_id_is_valid(r->rest))
				(is_urgent ? urgent : each)(ctx, r->rest);
		}
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
