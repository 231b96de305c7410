/* SPDX-License-Identifier: ISC */
/* See kv.h. */
#include "base/kv.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

static bool is_key_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_token_byte(char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

static bool is_token(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_token_byte(value[i]))
			return false;
	return true;
}

static bool put_quoted(struct buf *b, const char *value, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	if (!buf_addc(b, '"'))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];
		char esc[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
		bool ok;

		if (c == '"' || c == '\\')
			ok = buf_addc(b, '\\') && buf_addc(b, (char)c);
		else if (c >= 0x20 && c < 0x7f)
			ok = buf_addc(b, (char)c);
		else
			ok = buf_add(b, esc, sizeof(esc));
		if (!ok)
			return false;
	}
	return buf_addc(b, '"');
}

bool kv_put(struct buf *b, const char *key, const char *value, size_t len)
{
	size_t before = b->len;
	bool ok = true;

	if (b->len > 0 && b->data[b->len - 1] != '\n')
		ok = buf_addc(b, ' ');
	ok = ok && buf_adds(b, key) && buf_addc(b, '=');
	if (ok && is_token(value, len))
		ok = buf_add(b, value, len);
	else if (ok)
		ok = put_quoted(b, value, len);
	if (!ok && b->len > before) {
		b->len = before;
		b->data[before] = '\0';
	}
	return ok;
}

bool kv_puts(struct buf *b, const char *key, const char *value)
{
	return kv_put(b, key, value ? value : "", value ? strlen(value) : 0);
}

bool kv_puti(struct buf *b, const char *key, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)value);

	return kv_put(b, key, text, (size_t)n);
}

/* Decodes the quoted value whose first byte is at p; returns the byte behind the closing quote, or NULL. */
static char *decode_quoted(char *p, char *end, struct kv_pair *pair)
{
	char *out = p;

	pair->value = p;
	while (p < end && *p != '"') {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			return NULL;
		if (*p != '\\') {
			*out++ = *p++;
		} else if (end - p >= 2 && (p[1] == '"' || p[1] == '\\')) {
			*out++ = p[1];
			p += 2;
		} else if (end - p >= 4 && p[1] == 'x' && text_hex_value(p[2]) >= 0 &&
			   text_hex_value(p[3]) >= 0) {
			*out++ = (char)(text_hex_value(p[2]) << 4 | text_hex_value(p[3]));
			p += 4;
		} else {
			return NULL;
		}
	}
	if (p == end)
		return NULL;
	pair->len = (size_t)(out - pair->value);
	*out = '\0';
	return p + 1;
}

enum kv_result kv_next(char **at, char *end, struct kv_pair *pair)
{
	char *p = *at;
	char *key = p;

	ASSERT(p <= end);
	if (p == end)
		return KV_END;
	while (p < end && is_key_byte(*p))
		p++;
	if (p == key || p == end || *p != '=')
		return KV_BAD;
	pair->key = key;
	*p++ = '\0';
	if (p < end && *p == '"') {
		p = decode_quoted(p + 1, end, pair);
		if (!p || (p < end && *p != ' '))
			return KV_BAD;
	} else {
		pair->value = p;
		while (p < end && is_token_byte(*p))
			p++;
		if (p < end && *p != ' ')
			return KV_BAD;
		pair->len = (size_t)(p - pair->value);
	}
	if (p < end && p + 1 == end)
		return KV_BAD; /* a trailing space promises a pair that is not there */
	if (p < end)
		*p++ = '\0';
	else
		*p = '\0';
	*at = p;
	return KV_PAIR;
}
