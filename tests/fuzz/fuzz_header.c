/* SPDX-License-Identifier: ISC */
/*
 * A message's content through the header filter, cut where the first octets say.
 * Promises: the way it is cut makes no difference; a field is held up to its ceiling only; without rules it
 * comes out as it went in; a second time changes nothing more (the rules here lead to addresses that no rule
 * matches); and the body is never touched.
 */
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "rewrite/header_filter.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__ })

static const struct rewrite_rule some_rules[] = {
	{ LIST("*@old.example"), 1, "*@new.example", 1u << REWRITE_HEADER },
	{ LIST("a@b"), 1, "chief@example.com", 1u << REWRITE_HEADER },
};
static const char *const removed[] = { "X-Mailer", "X-S*" };
static const char *const masked[] = { "example.net" };
static const struct rewrite_rules rules = { .default_domain = "example.org",
					    .hostname = "relay.example",
					    .masquerade = masked,
					    .masquerade_count = 1,
					    .rule = some_rules,
					    .rule_count = 2,
					    .headers = true,
					    .remove = removed,
					    .remove_count = 2,
					    .max_recipients = 1 };
static const struct rewrite_rules none = { .headers = true, .max_recipients = 1 };

static bool keep(void *ctx, const char *data, size_t len)
{
	ASSERT(len > 0);
	ASSERT(buf_add(ctx, data, len));
	return true;
}

/* cut 0: in one piece, else in pieces of up to so many octets */
static enum filter_result run(const struct rewrite_rules *r, const char *data, size_t size, bool utf8,
			      unsigned cut, struct buf *out)
{
	enum filter_result result = FILTER_OK;
	struct header_filter f;

	buf_init(out, (size + 1) * (SMTP_PATH_MAX + 2) + FILTER_OUT_MAX);
	header_filter_init(&f, r, utf8, keep, out);
	for (size_t at = 0; result == FILTER_OK && at < size;) {
		size_t n = cut == 0 ? size : 1 + (at * 7 + cut) % cut;

		n = n < size - at ? n : size - at;
		result = header_filter_feed(&f, data + at, n);
		ASSERT(f.held.len <= FILTER_FIELD_MAX);
		at += n;
	}
	if (result == FILTER_OK)
		result = header_filter_finish(&f);
	ASSERT(result != FILTER_STOPPED);
	header_filter_release(&f);
	return result;
}

static void same(const struct buf *a, const char *data, size_t len)
{
	ASSERT(a->len == len && memcmp(a->data, data, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct buf whole, cut, again;
	enum filter_result r;
	bool utf8;

	if (size == 0)
		return 0;
	size--;
	utf8 = data[0] & 1;
	r = run(&rules, text, size, utf8, 0, &whole);
	ASSERT(run(&rules, text, size, utf8, 1 + data[0] / 2U, &cut) == r);
	if (r == FILTER_OK) {
		same(&cut, whole.data, whole.len);
		ASSERT(run(&rules, whole.data, whole.len, utf8, 0, &again) == FILTER_OK);
		same(&again, whole.data, whole.len);
		buf_release(&again);
	}
	buf_release(&whole);
	buf_release(&cut);
	ASSERT(run(&none, text, size, utf8, data[0], &cut) == FILTER_OK);
	same(&cut, text, size);
	buf_release(&cut);
	return 0;
}
