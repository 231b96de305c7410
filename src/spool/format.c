/* SPDX-License-Identifier: ISC */
/* See format.h. */
#include "spool/format.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/kv.h"
#include "base/num.h"
#include "spool/id.h"

static const char head_shape[] = "posthouse/1 envelope=%010" PRIu64 " content=%020" PRIu64
				 " dots=%d eightbit=%d xxh3=%016" PRIx64 "\n";

void format_head(const struct format_head *head, char out[FORMAT_HEAD_LEN + 1])
{
	int n = snprintf(out, FORMAT_HEAD_LEN + 1, head_shape, head->envelope_bytes, head->content_bytes,
			 (int)head->has_dot_lines, (int)head->has_eightbit, head->checksum);

	ASSERT(n == FORMAT_HEAD_LEN);
}

void format_head_unfinished(char out[FORMAT_HEAD_LEN + 1])
{
	snprintf(out, FORMAT_HEAD_LEN + 1, "%-*s\n", FORMAT_HEAD_LEN - 1, "posthouse/1 unfinished");
}

/* Stand for a decimal digit, a hexadecimal one, 0 or 1; all else stands for itself. */
#define D5 "#####"
#define X4 "@@@@"
static const char head_pattern[] = "posthouse/1 envelope=" D5 D5 " content=" D5 D5 D5 D5 " dots=? eightbit=?"
				   " xxh3=" X4 X4 X4 X4 "\n";
_Static_assert(sizeof(head_pattern) == FORMAT_HEAD_LEN + 1, "the pattern is as long as the line");

enum { HEAD_ENVELOPE = 21, HEAD_CONTENT = 40, HEAD_DOTS = 66, HEAD_EIGHTBIT = 77, HEAD_CHECKSUM = 84 };
_Static_assert(HEAD_CHECKSUM == FORMAT_HEAD_HASHED, "the checksum stands behind what it covers");

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Only what we would write. */
static bool has_head_shape(const char *line)
{
	for (size_t i = 0; i < FORMAT_HEAD_LEN; i++) {
		char c = line[i], wanted = head_pattern[i];
		bool ok = c == wanted;

		if (wanted == '#')
			ok = is_digit(c);
		else if (wanted == '@')
			ok = is_digit(c) || (c >= 'a' && c <= 'f');
		else if (wanted == '?')
			ok = c == '0' || c == '1';
		if (!ok)
			return false;
	}
	return true;
}

static uint64_t number_at(const char *at, size_t digits, unsigned base)
{
	uint64_t n = 0;

	for (; digits > 0; digits--, at++)
		n = n * base + (unsigned)(is_digit(*at) ? *at - '0' : *at - 'a' + 10);
	return n;
}

int format_parse_head(const char *line, size_t len, struct format_head *head, struct err *e)
{
	if (len < FORMAT_HEAD_LEN) {
		err_set(e, "only %zu octets: the first line is cut off", len);
		return -1;
	}
	if (strncmp(line, "posthouse/1 unfinished", 22) == 0) {
		err_set(e, "writing it was never finished (and never acknowledged)");
		return -1;
	}
	if (strncmp(line, "posthouse/", 10) == 0 && strncmp(line, "posthouse/1 ", 12) != 0) {
		err_set(e, "written in a format that this version does not know (%.16s)", line);
		return -1;
	}
	if (strncmp(line, "posthouse/1 envelope=", HEAD_ENVELOPE) != 0) {
		err_set(e, "the first line is not that of a message file");
		return -1;
	}
	if (!has_head_shape(line)) {
		err_set(e, "the first line is damaged");
		return -1;
	}
	head->envelope_bytes = number_at(line + HEAD_ENVELOPE, 10, 10);
	head->content_bytes = number_at(line + HEAD_CONTENT, 20, 10);
	head->has_dot_lines = line[HEAD_DOTS] == '1';
	head->has_eightbit = line[HEAD_EIGHTBIT] == '1';
	head->checksum = number_at(line + HEAD_CHECKSUM, 16, 16);
	/* the first of twenty digits may pass the end of the number */
	if (head->envelope_bytes > FORMAT_ENVELOPE_MAX || line[HEAD_CONTENT] != '0' ||
	    head->content_bytes > INT64_MAX / 2) {
		err_set(e, "the first line names impossible lengths");
		return -1;
	}
	return 0;
}

static const char *const ret_names[] = { [RET_FULL] = "FULL", [RET_HDRS] = "HDRS" };

static bool put_notify(struct buf *out, unsigned notify)
{
	char text[64] = "";

	for (size_t i = 0; i < ENVELOPE_NOTIFY_COUNT; i++) {
		if (!(notify & envelope_notify_names[i].flag))
			continue;
		if (text[0])
			strcat(text, ",");
		strcat(text, envelope_notify_names[i].name);
	}
	return kv_puts(out, "notify", text);
}

static bool put_line(struct buf *out, const char *key, const char *value)
{
	return kv_puts(out, key, value) && buf_addc(out, '\n');
}

/* One line: neither is anything without the other. */
static bool put_deliver_by(struct buf *out, const struct deliver_by *by)
{
	char stamp[CLOCK_UTC_MAX];

	return kv_puts(out, "deliver_by", clock_format_utc(by->wall_us, stamp)) &&
	       put_line(out, "by_mode", deliver_by_letters(by));
}

/* It will stand in an SMTP command: it must not end a line or a parameter. */
static bool is_word(const char *text)
{
	return *text && !strpbrk(text, "\r\n ");
}

/* What the reader asks of a recipient; what it would refuse must not be acknowledged. */
static bool rcpt_is_readable(const struct envelope_rcpt *r)
{
	return *r->address && !strpbrk(r->address, "\r\n") && (!r->orcpt || !strpbrk(r->orcpt, "\r\n "));
}

bool format_envelope(const struct envelope *env, struct buf *out)
{
	char stamp[CLOCK_UTC_MAX];
	bool ok;

	ASSERT(env->id[0] && env->arrived_wall_us > 0 && env->sender && env->rcpt_count > 0);
	if (strpbrk(env->sender, "\r\n") || (env->envid && !is_word(env->envid)))
		return false;
	ok = put_line(out, "id", env->id) &&
	     put_line(out, "arrived", clock_format_utc(env->arrived_wall_us, stamp)) &&
	     put_line(out, "peer", env->peer) && put_line(out, "helo", env->helo) &&
	     put_line(out, "protocol", env->protocol) && put_line(out, "listener", env->listener) &&
	     put_line(out, "from", env->sender) && put_line(out, "body", envelope_body_names[env->body]) &&
	     put_line(out, "smtputf8", env->smtputf8 ? "yes" : "no") &&
	     (!env->requiretls || put_line(out, "requiretls", "yes")) &&
	     (env->by.mode == DELIVER_BY_NONE || put_deliver_by(out, &env->by)) &&
	     (env->ret == RET_UNSET || put_line(out, "ret", ret_names[env->ret])) &&
	     (!env->envid || put_line(out, "envid", env->envid)) &&
	     (!env->auth_user || put_line(out, "auth", env->auth_user)) &&
	     (!env->hold || put_line(out, "hold", env->hold));
	for (size_t i = 0; ok && i < env->rcpt_count; i++) {
		const struct envelope_rcpt *r = &env->rcpt[i];

		ok = rcpt_is_readable(r) && kv_puts(out, "to", r->address) &&
		     (!r->orcpt || kv_puts(out, "orcpt", r->orcpt)) &&
		     (!r->notify || put_notify(out, r->notify)) && buf_addc(out, '\n');
	}
	return ok && buf_addc(out, '\n');
}

/* ---- reading -------------------------------------------------------------- */

/* No value of an envelope may hold a NUL: they live on as C strings. */
static bool has_nul(const struct kv_pair *pair)
{
	return memchr(pair->value, '\0', pair->len) != NULL;
}

static bool parse_id(struct envelope *env, const struct kv_pair *pair)
{
	if (!spool_id_is_valid(pair->value))
		return false;
	strcpy(env->id, pair->value);
	return true;
}

static bool parse_arrived(struct envelope *env, const struct kv_pair *pair)
{
	return clock_parse_utc(pair->value, &env->arrived_wall_us);
}

static bool parse_from(struct envelope *env, const struct kv_pair *pair)
{
	envelope_set(&env->sender, pair->value, pair->len);
	return !strpbrk(env->sender, "\r\n");
}

static bool parse_body(struct envelope *env, const struct kv_pair *pair)
{
	for (unsigned i = 0; i < ENVELOPE_BODY_COUNT; i++) {
		if (strcmp(pair->value, envelope_body_names[i]) == 0) {
			env->body = (enum envelope_body)i;
			return true;
		}
	}
	return false;
}

static bool parse_smtputf8(struct envelope *env, const struct kv_pair *pair)
{
	env->smtputf8 = strcmp(pair->value, "yes") == 0;
	return env->smtputf8 || strcmp(pair->value, "no") == 0;
}

/*
 * Written only where it was said: a version that knows nothing of it refuses the message, and does not send
 * it.
 */
static bool parse_requiretls(struct envelope *env, const struct kv_pair *pair)
{
	env->requiretls = true;
	return strcmp(pair->value, "yes") == 0;
}

/* As above: a version that does not know it would deliver too late what was to be returned. */
static bool parse_deliver_by(struct envelope *env, const struct kv_pair *pair)
{
	return clock_parse_utc(pair->value, &env->by.wall_us) && env->by.wall_us > 0;
}

static bool parse_by_mode(struct envelope *env, const struct kv_pair *pair)
{
	return env->by.wall_us > 0 && deliver_by_parse_letters(pair->value, pair->len, &env->by);
}

static bool parse_ret(struct envelope *env, const struct kv_pair *pair)
{
	env->ret = strcmp(pair->value, ret_names[RET_FULL]) == 0 ? RET_FULL : RET_HDRS;
	return strcmp(pair->value, ret_names[env->ret]) == 0;
}

static bool parse_envid(struct envelope *env, const struct kv_pair *pair)
{
	envelope_set(&env->envid, pair->value, pair->len);
	return is_word(env->envid);
}

static bool parse_to(struct envelope *env, const struct kv_pair *pair)
{
	return rcpt_is_readable(envelope_add_rcpt(env, pair->value, pair->len));
}

static bool parse_orcpt(struct envelope *env, const struct kv_pair *pair)
{
	struct envelope_rcpt *r = env->rcpt_count ? &env->rcpt[env->rcpt_count - 1] : NULL;

	if (!r)
		return false;
	envelope_set(&r->orcpt, pair->value, pair->len);
	return rcpt_is_readable(r);
}

static bool parse_notify(struct envelope *env, const struct kv_pair *pair)
{
	char *save, *word;

	if (env->rcpt_count == 0)
		return false;
	for (word = strtok_r(pair->value, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < ENVELOPE_NOTIFY_COUNT && strcmp(word, envelope_notify_names[i].name) != 0)
			i++;
		if (i == ENVELOPE_NOTIFY_COUNT)
			return false;
		env->rcpt[env->rcpt_count - 1].notify |= envelope_notify_names[i].flag;
	}
	return true;
}

/*
 * Every key a reader knows. One it does not know may ask for something it
 * would not honour (REQUIRETLS was such a one), so it is an error and not skipped.
 */
static const struct {
	const char *key;
	bool (*parse)(struct envelope *env, const struct kv_pair *pair); /* NULL: any text */
	size_t text_offset; /* of the owned string that takes it */
} fields[] = {
	{ "id", parse_id, 0 },
	{ "arrived", parse_arrived, 0 },
	{ "peer", NULL, offsetof(struct envelope, peer) },
	{ "helo", NULL, offsetof(struct envelope, helo) },
	{ "protocol", NULL, offsetof(struct envelope, protocol) },
	{ "listener", NULL, offsetof(struct envelope, listener) },
	{ "from", parse_from, 0 },
	{ "body", parse_body, 0 },
	{ "smtputf8", parse_smtputf8, 0 },
	{ "requiretls", parse_requiretls, 0 },
	{ "deliver_by", parse_deliver_by, 0 },
	{ "by_mode", parse_by_mode, 0 },
	{ "ret", parse_ret, 0 },
	{ "envid", parse_envid, 0 },
	{ "auth", NULL, offsetof(struct envelope, auth_user) },
	{ "hold", NULL, offsetof(struct envelope, hold) },
	{ "to", parse_to, 0 },
	{ "orcpt", parse_orcpt, 0 },
	{ "notify", parse_notify, 0 },
};

static bool parse_value(struct envelope *env, size_t field, const struct kv_pair *pair)
{
	if (has_nul(pair))
		return false;
	if (fields[field].parse)
		return fields[field].parse(env, pair);
	envelope_set((char **)(void *)((char *)env + fields[field].text_offset), pair->value, pair->len);
	return true;
}

/*
 * *expected: the field that comes next in the order we write them in; found there without looking at all
 * others.
 */
static int parse_field(struct envelope *env, const struct kv_pair *pair, size_t *expected, struct err *e)
{
	size_t count = sizeof(fields) / sizeof(*fields);

	for (size_t n = 0; n < count; n++) {
		size_t i = (*expected + n) % count;

		if (strcmp(pair->key, fields[i].key) != 0)
			continue;
		*expected = i + 1;
		if (parse_value(env, i, pair))
			return 0;
		err_set(e, "envelope: bad value of \"%s\"", pair->key);
		return -1;
	}
	err_set(e, "envelope: unknown field \"%.40s\" (written by a newer version?)", pair->key);
	return -1;
}

static int check_complete(const struct envelope *env, struct err *e)
{
	if (!env->id[0] || !env->sender || env->rcpt_count == 0 || !env->arrived_wall_us) {
		err_set(e, "envelope: id, arrived, from or to is missing");
		return -1;
	}
	if (env->by.wall_us != 0 && env->by.mode == DELIVER_BY_NONE) {
		err_set(e, "envelope: deliver_by without by_mode");
		return -1;
	}
	return 0;
}

int format_parse_envelope(char *text, size_t len, struct envelope *env, struct err *e)
{
	char *line = text, *end = text + len;
	size_t expected = 0;

	while (line < end) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		struct kv_pair pair;
		enum kv_result r;

		if (!newline) {
			err_set(e, "envelope: the last line is cut off");
			return -1;
		}
		if (newline == line) { /* the closing empty line */
			if (newline + 1 != end) {
				err_set(e, "envelope: text behind its end");
				return -1;
			}
			return check_complete(env, e);
		}
		while ((r = kv_next(&line, newline, &pair)) == KV_PAIR)
			if (parse_field(env, &pair, &expected, e) < 0)
				return -1;
		if (r == KV_BAD) {
			err_set(e, "envelope: a line is damaged");
			return -1;
		}
		line = newline + 1;
	}
	err_set(e, "envelope: its end is missing");
	return -1;
}
