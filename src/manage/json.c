/* SPDX-License-Identifier: ISC */
/* See json.h. */
#include "manage/json.h"

#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

#define TEXT_MAX (256u << 10)

json_t *json_text(const char *text, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	json_t *value = json_stringn(text, len);
	struct buf b;
	uint32_t cp;

	if (value)
		return value;
	buf_init(&b, TEXT_MAX);
	for (size_t at = 0; at < len;) {
		size_t n = utf8_decode(text + at, len - at, &cp);

		if (!(n > 0 ? buf_add(&b, text + at, n) : buf_adds(&b, replacement)))
			break;
		at += n > 0 ? n : 1;
	}
	value = json_stringn(b.data, b.len);
	ASSERT(value);
	buf_release(&b);
	return value;
}

json_t *json_text_or_null(const char *text)
{
	return text ? json_text(text, strlen(text)) : json_null();
}

json_t *json_seconds_or_null(int64_t wall_us)
{
	return wall_us > 0 ? json_real((double)wall_us / 1e6) : json_null();
}

void json_put_key(json_t *object, const char *key, json_t *value)
{
	ASSERT(json_object_set_new_nocheck(object, key, value) == 0);
}

struct writer {
	json_dump_callback_t write;
	void *ctx;
};

/* jansson leaves DEL as it is; it is the one character below U+0080 that is neither printed nor escaped. */
static int write_chunk(const char *data, size_t len, void *ctx)
{
	const struct writer *w = ctx;

	while (len > 0) {
		const char *del = memchr(data, 0x7f, len);
		size_t n = del ? (size_t)(del - data) : len;

		if ((n > 0 && w->write(data, n, w->ctx) != 0) || (del && w->write("\\u007F", 6, w->ctx) != 0))
			return -1;
		n += del != NULL;
		data += n;
		len -= n;
	}
	return 0;
}

int json_write(const json_t *value, size_t flags, json_dump_callback_t write, void *ctx)
{
	struct writer w = { write, ctx };

	return json_dump_callback(value, write_chunk, &w, flags | JSON_ENSURE_ASCII);
}

static int add_chunk(const char *data, size_t len, void *ctx)
{
	return buf_add(ctx, data, len) ? 0 : -1;
}

bool json_add_line(const json_t *value, struct buf *out)
{
	return json_write(value, JSON_COMPACT, add_chunk, out) == 0 && buf_addc(out, '\n');
}
