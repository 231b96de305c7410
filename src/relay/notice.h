/* SPDX-License-Identifier: ISC */
/*
 * Notices of new mail: lines on a pipe that outlives relay and workers (the
 * master holds both ends), so that what is announced while the relay is being
 * restarted is not lost. A line is an ID, with "!" behind it when its envelope
 * names a time to deliver it by (RFC 2852); an empty one only wakes the relay
 * so that it looks at rescan_wanted; or it is a request of relay/flush.h.
 */
#ifndef RELAY_NOTICE_H
#define RELAY_NOTICE_H

#include <stddef.h>

#include "relay/flush.h"
#include "spool/id.h"

struct notice_reader {
	char rest[FLUSH_LINE_MAX]; /* of a line whose end was not read yet */
	size_t rest_len;
};

void notice_reader_init(struct notice_reader *r);
struct notice_ops {
	void (*mail)(void *ctx, const char *id);
	void (*urgent)(void *ctx, const char *id); /* with "!" */
	void (*flush)(void *ctx, const struct flush *one);
};

/* Calls one of them for every valid ID and every request in the bytes; the rest is skipped. */
void notice_read(struct notice_reader *r, const char *data, size_t len, const struct notice_ops *ops, void *ctx);

#endif
