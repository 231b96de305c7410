/* SPDX-License-Identifier: ISC */
/* A handler that records what it is told, checks the order of the calls, and refuses where it is asked to. */
#ifndef TESTS_FAKE_HANDLER_H
#define TESTS_FAKE_HANDLER_H

#include "base/buf.h"
#include "handler/handler.h"

enum fake_call { FAKE_NONE, FAKE_MAIL, FAKE_RCPT, FAKE_BEGIN, FAKE_CHUNK, FAKE_END, FAKE_ABORT };

struct fake_handler {
	struct handler handler;
	/* what to do */
	enum fake_call refuse_at; /* that call is refused ... */
	unsigned refuse_after; /* ... after this many of its kind were accepted */
	struct smtp_reply refusal;
	struct smtp_reply accept_end; /* code != 0: the handler's own reply to the end of data */
	const char *id; /* given at data_begin; NULL: none */
	bool keep_content; /* false: only its size */
	/* what happened */
	enum fake_call last; /* of the open transaction; FAKE_NONE between transactions */
	unsigned calls[FAKE_ABORT + 1];
	struct buf log; /* "mail a@b;rcpt c@d;begin;end;abort;" */
	struct buf content; /* of the last message */
	uint64_t content_bytes;
	size_t largest_chunk;
	struct envelope seen; /* copy of what data_end saw: sender, options, protocol, body, ... */
	size_t seen_rcpts;
};

void fake_handler_init(struct fake_handler *h, bool relays);
void fake_handler_release(struct fake_handler *h);

#endif
