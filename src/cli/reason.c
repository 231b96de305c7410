/* SPDX-License-Identifier: ISC */
/* See reason.h. */
#include "cli/reason.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool all_of(const char *text, size_t len, const char *set)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(set, text[i]))
			return false;
	return len > 0;
}

static bool has_digit(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (is_digit(text[i]))
			return true;
	return false;
}

/* "450", and behind it "4.2.0" (RFC 3463 2), at the beginning of a reply */
static bool is_code(const char *word, size_t len, unsigned number)
{
	static const char digits[] = "0123456789";

	if (number == 0)
		return len == 3 && all_of(word, len, digits);
	return number == 1 && len >= 5 && len <= 9 && word[1] == '.' && strchr("245", word[0]) &&
	       is_digit(word[len - 1]) && all_of(word, len, "0123456789.");
}

/* Dots in it, and a last label of letters only: "mx1.example.com" and not "192.0.2.1" or "1a2b.3c" */
static bool is_host_name(const char *word, size_t len)
{
	const char *dot = memrchr(word, '.', len);
	size_t last = dot ? len - (size_t)(dot - word) - 1 : 0;

	if (!dot || last < 2)
		return false;
	for (size_t i = 0; i < last; i++)
		if (!isalpha((unsigned char)dot[1 + i]))
			return false;
	return all_of(word, len, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
}

static void add_without_digits(const char *text, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(text[i]))
			buf_addc(out, text[i]);
		else if (i == 0 || !is_digit(text[i - 1]))
			buf_addc(out, '#');
	}
}

static void add_core(const char *word, size_t len, struct buf *out)
{
	const char *query;

	if (memchr(word, '@', len)) {
		buf_adds(out, "<address>");
	} else if (memmem(word, len, "://", 3)) {
		query = memchr(word, '?', len);
		add_without_digits(word, query ? (size_t)(query - word) : len, out);
	} else if (is_host_name(word, len)) {
		add_without_digits(word, len, out);
	} else if (has_digit(word, len)) {
		buf_addc(out, '#');
	} else {
		buf_add(out, word, len);
	}
}

static void add_word(const char *word, size_t len, unsigned number, struct buf *out)
{
	static const char open[] = "<([{\"'", close[] = ">)]}\"',.;:!";
	size_t head = 0, tail = 0;
	bool address = memchr(word, '@', len) != NULL;

	if (is_code(word, len, number)) {
		buf_add(out, word, len);
		return;
	}
	while (head < len && strchr(open, word[head]))
		head++;
	while (tail < len - head && strchr(close, word[len - 1 - tail]))
		tail++;
	/* <a@x> and a@x are the same */
	buf_add(out, word, address && head > 0 && word[head - 1] == '<' ? head - 1 : head);
	if (head + tail < len)
		add_core(word + head, len - head - tail, out);
	if (address && tail > 0 && word[len - tail] == '>')
		tail--;
	buf_add(out, word + len - tail, tail);
}

void reason_normalise(const char *text, struct buf *out)
{
	struct buf all;
	unsigned number = 0;

	buf_init(&all, 16384);
	while (*text) {
		size_t len = strcspn(text, " \t\r\n");

		if (len > 0) {
			if (all.len > 0)
				buf_addc(&all, ' ');
			add_word(text, len, number++, &all);
		}
		text += len;
		text += strspn(text, " \t\r\n");
	}
	buf_add(out, all.data, all.len < REASON_MAX ? all.len : REASON_MAX);
	buf_release(&all);
}
