/* SPDX-License-Identifier: ISC */
/* See params.h. */
#include "smtp/params.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/utf8.h"

static bool is_alnum(char o)
{
	return (o >= 'a' && o <= 'z') || (o >= 'A' && o <= 'Z') || (o >= '0' && o <= '9');
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

static size_t value_length(const char *p, const char *end)
{
	const char *at = p;
	uint32_t code = 0;
	size_t n;

	while ((n = utf8_decode(at, (size_t)(end - at), &code)) > 0 && code > ' ' && code != 0x7f && code != '=')
		at += n;
	return (size_t)(at - p);
}

/* One esmtp-param from p on; the octet behind it, or NULL and *why. */
static const char *read_param(const char *p, const char *end, struct smtp_param *out, const char **why)
{
	out->keyword = p;
	while (p < end && (is_alnum(*p) || (*p == '-' && p > out->keyword)))
		p++;
	out->keyword_len = (size_t)(p - out->keyword);
	out->value = NULL;
	out->value_len = 0;
	if (out->keyword_len > 0 && p < end && *p == '=') {
		out->value = ++p;
		p += value_length(p, end);
		out->value_len = (size_t)(p - out->value);
	}
	if (out->keyword_len == 0 || (out->value && out->value_len == 0) || (p < end && *p != ' ')) {
		*why = "malformed parameter";
		return NULL;
	}
	return p;
}

int smtp_params_parse(const char *text, size_t len, struct smtp_params *out, const char **why)
{
	const char *p = text, *end = text + len;

	out->count = 0;
	if (p < end && *p != ' ') {
		*why = "a space is missing behind the address";
		return -1;
	}
	for (;;) {
		struct smtp_param param;

		while (p < end && *p == ' ')
			p++;
		if (p == end)
			return 0;
		p = read_param(p, end, &param, why);
		if (!p)
			return -1;
		for (size_t i = 0; i < out->count; i++) {
			if (same(out->item[i].keyword, out->item[i].keyword_len, param.keyword,
				 param.keyword_len)) {
				*why = "duplicate parameter";
				return -1;
			}
		}
		if (out->count == SMTP_PARAMS_MAX) {
			*why = "too many parameters";
			return -1;
		}
		out->item[out->count++] = param;
	}
}

bool smtp_param_is(const struct smtp_param *p, const char *keyword)
{
	return same(p->keyword, p->keyword_len, keyword, strlen(keyword));
}

bool smtp_param_value_is(const struct smtp_param *p, const char *value)
{
	return p->value && same(p->value, p->value_len, value, strlen(value));
}

char *smtp_params_text(const struct smtp_params *params)
{
	size_t len = 0;
	char *text, *to;

	if (params->count == 0)
		return NULL;
	for (size_t i = 0; i < params->count; i++)
		len += params->item[i].keyword_len + 1 + params->item[i].value_len + 1;
	text = to = mem_alloc(len);
	for (size_t i = 0; i < params->count; i++) {
		const struct smtp_param *p = &params->item[i];

		if (i > 0)
			*to++ = ' ';
		memcpy(to, p->keyword, p->keyword_len);
		to += p->keyword_len;
		if (p->value) {
			*to++ = '=';
			memcpy(to, p->value, p->value_len);
			to += p->value_len;
		}
	}
	*to = '\0';
	for (char *c = text; c < to; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return text;
}
