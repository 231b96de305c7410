/* SPDX-License-Identifier: ISC */
/*
 * The texts in the spool, in memory (fuzz_message goes through files): 'h' and
 * the first line of a message file, 'e' and an envelope, 's' and the middle of
 * a state file (its first and last line, which holds the checksum, are put
 * around it here).
 * Promise: what is accepted is written again as a text that says the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "spool/checksum.h"
#include "spool/format.h"
#include "spool/id.h"
#include "spool/state.h"

#define RCPTS 3
#define CEILING (1u << 24)

static void fuzz_head(const char *text, size_t len)
{
	char again[FORMAT_HEAD_LEN + 1];
	struct format_head head;
	struct err e = { 0 };

	if (format_parse_head(text, len, &head, &e) < 0) {
		ASSERT(e.text[0]);
		return;
	}
	ASSERT(head.envelope_bytes <= FORMAT_ENVELOPE_MAX && head.content_bytes <= INT64_MAX / 2);
	format_head(&head, again);
	ASSERT(memcmp(again, text, FORMAT_HEAD_LEN) == 0);
}

/* Parses text (which it destroys) and, when it is one, appends what is written for it to out. */
static bool rewrite_envelope(char *text, size_t len, struct buf *out)
{
	struct envelope env;
	struct err e = { 0 };
	bool ok;

	envelope_init(&env);
	ok = format_parse_envelope(text, len, &env, &e) == 0;
	if (ok) {
		ASSERT(spool_id_is_valid(env.id) && env.sender && env.rcpt_count > 0);
		for (size_t i = 0; i < env.rcpt_count; i++)
			ASSERT(*env.rcpt[i].address && !strpbrk(env.rcpt[i].address, "\r\n"));
		ASSERT(!strpbrk(env.sender, "\r\n"));
		ASSERT(format_envelope(&env, out));
	} else {
		ASSERT(e.text[0]);
	}
	envelope_release(&env);
	return ok;
}

static bool rewrite_state(char *text, size_t len, struct buf *out)
{
	struct spool_state st;
	bool ok;

	spool_state_init(&st, RCPTS);
	ok = spool_state_parse(&st, text, len);
	ASSERT(st.rcpt_count == RCPTS);
	if (ok) {
		for (size_t i = 0; i < RCPTS; i++)
			ASSERT(st.rcpt[i].status <= RCPT_EXPIRED);
		ASSERT(spool_state_format(&st, out));
	}
	spool_state_release(&st);
	return ok;
}

/* What was accepted once is written, and what was written is read and written as itself. */
static void check_rewrite(bool (*rewrite)(char *text, size_t len, struct buf *out), char *text, size_t len)
{
	struct buf once, twice;
	char *copy;

	buf_init(&once, CEILING);
	buf_init(&twice, CEILING);
	if (rewrite(text, len, &once)) {
		copy = mem_strndup(once.data, once.len);
		ASSERT(rewrite(copy, once.len, &twice));
		ASSERT(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
		free(copy);
	}
	buf_release(&once);
	buf_release(&twice);
}

static void fuzz_state(const char *middle, size_t len)
{
	struct buf text;
	uint64_t sum;

	buf_init(&text, CEILING);
	ASSERT(buf_adds(&text, "posthouse-state/1\n") && buf_add(&text, middle, len));
	sum = checksum_of(text.data, text.len);
	ASSERT(buf_addf(&text, "xxh3=%016" PRIx64 "\n", sum));
	check_rewrite(rewrite_state, text.data, text.len);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	char *copy;

	if (size == 0)
		return 0;
	size--;
	switch (data[0]) {
	case 'h':
		fuzz_head(text, size);
		break;
	case 'e':
		/* of exactly that size: nothing may be read or written behind it */
		copy = mem_alloc(size + 1);
		memcpy(copy, text, size);
		check_rewrite(rewrite_envelope, copy, size);
		free(copy);
		break;
	case 's':
		fuzz_state(text, size);
		break;
	default:
		break;
	}
	return 0;
}
