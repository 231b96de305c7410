/* SPDX-License-Identifier: ISC */
/* See types.h. */
#include "config/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/num.h"
#include "base/url.h"
#include "config/presets.h"
#include "config/types_internal.h"
#include "rewrite/rules.h"
#include "smtp/path.h"

#define VALUE_MAX 1024 /* bytes of one value; paths end before */

void config_quote(struct buf *out, const char *text)
{
	buf_addc(out, '"');
	for (; *text; text++) {
		if (strchr("\"\\$", *text))
			buf_addc(out, '\\');
		buf_addc(out, *text);
	}
	buf_addc(out, '"');
}

/* ---- strings --------------------------------------------------------------- */

int types_check_text(const char *text, struct err *e)
{
	if (!*text) {
		err_set(e, "it is empty");
		return -1;
	}
	if (strlen(text) > VALUE_MAX) {
		err_set(e, "it is longer than %d bytes", VALUE_MAX);
		return -1;
	}
	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			err_set(e, "it has control characters");
			return -1;
		}
	}
	return 0;
}

static void set_text(const struct config_option *o, void *object, const char *text)
{
	char **at = types_field(o, object);

	free(*at);
	*at = mem_strdup(text);
}

static int text_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	set_text(o, object, text);
	return 0;
}

static bool text_format(const struct config_option *o, const void *object, struct buf *out)
{
	const char *text = *(char *const *)types_const_field(o, object);

	if (text)
		config_quote(out, text);
	return text != NULL;
}

static void text_clear(const struct config_option *o, void *object)
{
	char **at = types_field(o, object);

	free(*at);
	*at = NULL;
}

static int path_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	if (text[0] != '/') {
		err_set(e, "\"%s\" is not an absolute path", text);
		return -1;
	}
	set_text(o, object, text);
	return 0;
}

static int url_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0 || url_check(text, e) != 0)
		return -1;
	set_text(o, object, text);
	return 0;
}

static int url_or_none_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (strcmp(text, "none") != 0)
		return url_parse(o, object, text, e);
	set_text(o, object, text);
	return 0;
}

static int name_parse(const struct config_option *o, void *object, const char *text, const char *of,
		      struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	if (strpbrk(text, " :/,") || text[0] == '-') {
		err_set(e, "\"%s\" is not the name of a %s", text, of);
		return -1;
	}
	set_text(o, object, text);
	return 0;
}

static int account_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return name_parse(o, object, text, "user", e);
}

static int group_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return name_parse(o, object, text, "group", e);
}

static int mailbox_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct smtp_path path;
	const char *why = "something stands behind the address";
	size_t len = strlen(text), used;

	if (types_check_text(text, e) != 0)
		return -1;
	if (smtp_path_parse(text, len, 0, &path, &used, &why) != 0 || used != len ||
	    strcmp(path.address, text) != 0) {
		err_set(e, "\"%s\" is not a mail address (like postmaster@example.org): %s", text, why);
		return -1;
	}
	set_text(o, object, text);
	return 0;
}

bool config_is_hostname(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return smtp_is_domain(text, len) || smtp_is_address_literal(text, len);
}

static int rewrite_target_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0 || rewrite_target_check(text, e) != 0)
		return -1;
	set_text(o, object, text);
	return 0;
}

static int hostname_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (types_check_text(text, e) != 0)
		return -1;
	if (!config_is_hostname(text)) {
		err_set(e, "\"%s\" is neither a domain name nor an address literal like [192.0.2.1]", text);
		return -1;
	}
	set_text(o, object, text);
	return 0;
}

const struct config_type config_type_text = { "text", false, text_parse, text_format, text_clear };
const struct config_type config_type_path = { "path", false, path_parse, text_format, text_clear };
const struct config_type config_type_url = { "URL", false, url_parse, text_format, text_clear };
const struct config_type config_type_url_or_none = { "URL or none", false, url_or_none_parse, text_format,
						     text_clear };
const struct config_type config_type_account = { "user", false, account_parse, text_format, text_clear };
const struct config_type config_type_group = { "group", false, group_parse, text_format, text_clear };
const struct config_type config_type_mailbox = { "mail address", false, mailbox_parse, text_format, text_clear };
const struct config_type config_type_rewrite_target = { "mail address", false, rewrite_target_parse,
							text_format, text_clear };
const struct config_type config_type_hostname = { "domain", false, hostname_parse, text_format, text_clear };

/* ---- words ----------------------------------------------------------------- */

/* The index of text in o->words; -1 and a message that lists them. */
static int word_find(const struct config_option *o, const char *text, struct err *e)
{
	char all[200];
	size_t n = 0;

	for (int i = 0; o->words[i]; i++) {
		if (strcmp(text, o->words[i]) == 0)
			return i;
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s",
				      i == 0            ? ""
				      : o->words[i + 1] ? ", "
							: " or ",
				      o->words[i]);
		ASSERT(n < sizeof(all));
	}
	err_set(e, "\"%s\" is not one of %s", text, all);
	return -1;
}

static int word_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	int i = word_find(o, text, e);

	if (i < 0)
		return -1;
	*(unsigned *)types_field(o, object) = (unsigned)i;
	return 0;
}

static bool word_format(const struct config_option *o, const void *object, struct buf *out)
{
	return buf_adds(out, o->words[*(const unsigned *)types_const_field(o, object)]);
}

static int flags_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	int i = word_find(o, text, e);

	if (i < 0)
		return -1;
	*(unsigned *)types_field(o, object) |= 1u << i;
	return 0;
}

static bool flags_format(const struct config_option *o, const void *object, struct buf *out)
{
	unsigned flags = *(const unsigned *)types_const_field(o, object);
	const char *separator = "{ ";

	for (int i = 0; o->words[i]; i++) {
		if (!(flags & 1u << i))
			continue;
		buf_adds(out, separator);
		config_quote(out, o->words[i]);
		separator = ", ";
	}
	return flags != 0 && buf_adds(out, " }");
}

static void flags_clear(const struct config_option *o, void *object)
{
	*(unsigned *)types_field(o, object) = 0;
}

static int switch_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	int i = word_find(o, text, e);

	if (i < 0)
		return -1;
	*(bool *)types_field(o, object) = i == 1;
	return 0;
}

static bool switch_format(const struct config_option *o, const void *object, struct buf *out)
{
	return buf_adds(out, o->words[*(const bool *)types_const_field(o, object) ? 1 : 0]);
}

static int word_text_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (word_find(o, text, e) < 0)
		return -1;
	set_text(o, object, text);
	return 0;
}

static int word_path_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct err no_word;

	if (text[0] == '/')
		return path_parse(o, object, text, e);
	if (word_find(o, text, &no_word) >= 0) {
		set_text(o, object, text);
		return 0;
	}
	err_set(e, "%s, and no absolute path", no_word.text);
	return -1;
}

static bool word_text_format(const struct config_option *o, const void *object, struct buf *out)
{
	return buf_adds(out, *(char *const *)types_const_field(o, object));
}

static int preset_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	struct buf all;

	if (types_check_text(text, e) != 0)
		return -1;
	if (preset_find(text)) {
		set_text(o, object, text);
		return 0;
	}
	buf_init(&all, 400);
	for (size_t i = 0; i < preset_count; i++)
		buf_addf(&all, "%s%s", i ? ", " : "", presets[i].name);
	err_set(e, "\"%.64s\" is not one of %s", text, all.data);
	buf_release(&all);
	return -1;
}

static int bool_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	if (num_parse_bool(text, types_field(o, object)))
		return 0;
	err_set(e, "\"%s\" is neither yes nor no", text);
	return -1;
}

static bool bool_format(const struct config_option *o, const void *object, struct buf *out)
{
	return buf_adds(out, *(const bool *)types_const_field(o, object) ? "yes" : "no");
}

_Static_assert(sizeof(enum upstream_tls) == sizeof(unsigned), "config_type_word writes enums as unsigned");
const struct config_type config_type_flags = { "list of words", true, flags_parse, flags_format,
					       flags_clear };
const struct config_type config_type_word = { "word", false, word_parse, word_format, NULL };
const struct config_type config_type_switch = { "word", false, switch_parse, switch_format, NULL };
const struct config_type config_type_word_text = { "word", false, word_text_parse, word_text_format,
						   text_clear };
const struct config_type config_type_word_path = { "word or path", false, word_path_parse, text_format,
						   text_clear };
const struct config_type config_type_preset = { "preset", false, preset_parse, text_format, text_clear };
const struct config_type config_type_bool = { "yes or no", false, bool_parse, bool_format, NULL };

/* ---- numbers ---------------------------------------------------------------- */

static bool count_format_value(int64_t n, struct buf *out)
{
	return buf_addf(out, "%" PRId64, n);
}

/* Exact, with the largest unit that divides it. */
static bool size_format_value(int64_t bytes, struct buf *out)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	int unit = 0;

	while (bytes > 0 && bytes % 1024 == 0 && unit < 4) {
		bytes /= 1024;
		unit++;
	}
	return buf_addf(out, "%" PRId64 "%s", bytes, units[unit]);
}

static bool time_format_value(int64_t ms, struct buf *out)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ms > 0 && ms % units[i].ms == 0)
			return buf_addf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
	return buf_adds(out, "0s");
}

static bool factor_format_value(int64_t thousandths, struct buf *out)
{
	char text[40];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "%" PRId64 ".%03d", thousandths / 1000,
			     (int)(thousandths % 1000));
	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	return buf_add(out, text, n);
}

/* 1*DIGIT [ "." 1*3DIGIT ], whatever the locale says about decimal points */
static bool factor_parse_value(const char *text, int64_t *thousandths)
{
	size_t whole_len = strspn(text, "0123456789"), len;
	const char *decimals = text + whole_len;
	uint64_t whole, fraction = 0;

	if (!num_parse_u64(text, whole_len, 1000000, &whole))
		return false;
	if (*decimals == '.') {
		decimals++;
		len = strlen(decimals);
		if (len > 3 || !num_parse_u64(decimals, len, 999, &fraction))
			return false;
		for (; len < 3; len++)
			fraction *= 10;
	} else if (*decimals) {
		return false;
	}
	*thousandths = (int64_t)(whole * 1000 + fraction);
	return true;
}

static int check_range(const struct config_option *o, int64_t n, const char *text,
		       bool (*format)(int64_t n, struct buf *out), struct err *e)
{
	struct buf least, most;

	if (n >= o->min && n <= o->max)
		return 0;
	buf_init(&least, 64);
	buf_init(&most, 64);
	format(o->min, &least);
	format(o->max, &most);
	err_set(e, "\"%s\" is not from %s to %s", text, least.data, most.data);
	buf_release(&least);
	buf_release(&most);
	return -1;
}

static int count_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	uint64_t n;

	if (!num_parse_u64(text, strlen(text), INT64_MAX, &n)) {
		err_set(e, "\"%s\" is not a number", text);
		return -1;
	}
	if (check_range(o, (int64_t)n, text, count_format_value, e) != 0)
		return -1;
	*(unsigned *)types_field(o, object) = (unsigned)n;
	return 0;
}

static bool count_format(const struct config_option *o, const void *object, struct buf *out)
{
	return count_format_value(*(const unsigned *)types_const_field(o, object), out);
}

static int size_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	uint64_t n;

	if (!num_parse_size(text, INT64_MAX, &n)) {
		err_set(e, "\"%s\" is not a size (a number of bytes, or one with K, M, G or T)", text);
		return -1;
	}
	if (check_range(o, (int64_t)n, text, size_format_value, e) != 0)
		return -1;
	*(uint64_t *)types_field(o, object) = n;
	return 0;
}

static bool size_format(const struct config_option *o, const void *object, struct buf *out)
{
	return size_format_value((int64_t) * (const uint64_t *)types_const_field(o, object), out);
}

static int time_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	int64_t ms;

	if (!num_parse_duration(text, INT64_MAX, &ms)) {
		err_set(e, "\"%s\" is not a time (a number of seconds, or one with ms, s, m, h, d or w)",
			text);
		return -1;
	}
	if (check_range(o, ms, text, time_format_value, e) != 0)
		return -1;
	*(int64_t *)types_field(o, object) = ms;
	return 0;
}

static bool time_format(const struct config_option *o, const void *object, struct buf *out)
{
	return time_format_value(*(const int64_t *)types_const_field(o, object), out);
}

static int factor_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	int64_t n;

	if (!factor_parse_value(text, &n)) {
		err_set(e, "\"%s\" is not a number with at most three decimals", text);
		return -1;
	}
	if (check_range(o, n, text, factor_format_value, e) != 0)
		return -1;
	*(double *)types_field(o, object) = (double)n / 1000;
	return 0;
}

static bool factor_format(const struct config_option *o, const void *object, struct buf *out)
{
	return factor_format_value((int64_t)(*(const double *)types_const_field(o, object) * 1000 + 0.5), out);
}

const struct config_type config_type_count = { "number", false, count_parse, count_format, NULL };
const struct config_type config_type_size = { "size", false, size_parse, size_format, NULL };
const struct config_type config_type_time = { "time", false, time_parse, time_format, NULL };
const struct config_type config_type_factor = { "factor", false, factor_parse, factor_format, NULL };
