/* SPDX-License-Identifier: ISC */
/*
 * A transaction for the tests of upstream/: content in memory, and a record
 * of what its callbacks were told.
 */
#ifndef TESTS_FAKE_TXN_H
#define TESTS_FAKE_TXN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "upstream/upstream.h"

struct fake_txn {
	struct upstream_txn txn; /* first: callbacks get a pointer to it */
	struct envelope env;
	size_t *index;
	char *content;
	size_t piece; /* most bytes handed out at once; 0: as many as asked for */
	uint64_t fails_at; /* the source fails at this offset; UINT64_MAX: never */
	/* the record */
	int *code; /* per recipient, 0: not told */
	int *final; /* the same of LMTP's answers to the content */
	unsigned done;
	struct upstream_outcome outcome;
};

static inline ssize_t fake_read(struct upstream_txn *t, uint64_t offset, void *data, size_t cap,
				struct err *e)
{
	struct fake_txn *f = (struct fake_txn *)t;

	ASSERT(cap > 0 && offset < t->content_bytes && cap <= t->content_bytes - offset);
	if (offset >= f->fails_at) {
		err_set(e, "the disk is gone");
		return -1;
	}
	if (f->piece && cap > f->piece)
		cap = f->piece;
	memcpy(data, f->content + offset, cap);
	return (ssize_t)cap;
}

static inline void fake_recipient(struct upstream_txn *t, size_t i, const struct smtp_reply *reply)
{
	struct fake_txn *f = (struct fake_txn *)t;

	ASSERT(i < t->rcpt_count && f->code[i] == 0 && f->done == 0);
	f->code[i] = reply->code;
}

static inline void fake_final(struct upstream_txn *t, size_t i, const struct smtp_reply *reply)
{
	struct fake_txn *f = (struct fake_txn *)t;

	ASSERT(i < t->rcpt_count && f->code[i] / 100 == 2 && f->final[i] == 0 && f->done == 0);
	f->final[i] = reply->code;
}

static inline void fake_done(struct upstream_txn *t, const struct upstream_outcome *outcome)
{
	struct fake_txn *f = (struct fake_txn *)t;

	f->done++;
	f->outcome = *outcome;
}

static inline bool fake_has_dot_lines(const char *content, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (content[i] == '.' && (i == 0 || content[i - 1] == '\n'))
			return true;
	return false;
}

/* sender NAME@from, recipients NAME-0@to ... */
static inline struct fake_txn *fake_new(const char *name, size_t rcpts, const char *content, size_t len)
{
	struct fake_txn *f = calloc(1, sizeof(*f));
	char address[100];

	envelope_init(&f->env);
	snprintf(address, sizeof(address), "%s@from", name);
	envelope_set(&f->env.sender, address, strlen(address));
	f->index = calloc(rcpts, sizeof(*f->index));
	f->code = calloc(rcpts, sizeof(*f->code));
	f->final = calloc(rcpts, sizeof(*f->final));
	for (size_t i = 0; i < rcpts; i++) {
		int n = snprintf(address, sizeof(address), "%s-%zu@to", name, i);

		envelope_add_rcpt(&f->env, address, (size_t)n);
		f->index[i] = i;
	}
	f->content = malloc(len ? len : 1);
	memcpy(f->content, content, len);
	f->fails_at = UINT64_MAX;
	f->txn = (struct upstream_txn){
		.env = &f->env,
		.rcpt = f->index,
		.rcpt_count = rcpts,
		.content_bytes = len,
		.has_dot_lines = fake_has_dot_lines(content, len),
		.read = fake_read,
		.recipient = fake_recipient,
		.final = fake_final,
		.done = fake_done,
	};
	return f;
}

static inline void fake_free(struct fake_txn *f)
{
	envelope_release(&f->env);
	free(f->index);
	free(f->code);
	free(f->final);
	free(f->content);
	free(f);
}

#endif
