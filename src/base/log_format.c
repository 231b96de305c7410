/* SPDX-License-Identifier: ISC */
/* See log_format.h. */
#include "base/log_format.h"

#include <inttypes.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/clock.h"
#include "base/kv.h"
#include "base/utf8.h"

#define JSON_TAIL_MAX 64 /* "cut":"1","time_ms":1795428672123} and a newline */

void log_format_text(const struct log_record *r, struct buf *out)
{
	char stamp[CLOCK_UTC_MAX];

	clock_format_utc(r->wall_us, stamp);
	buf_addf(out, "%.23sZ %s[%ld]: ", stamp, r->ident, (long)r->pid);
	buf_add(out, r->text, r->len);
}

/* ---- the pairs of a line -------------------------------------------------------------- */

/* Reading decodes in place, so it is done on a copy. */
struct pairs {
	char copy[LOG_LINE_MAX], *at, *end;
};

static void pairs_begin(struct pairs *p, const struct log_record *r)
{
	size_t len = r->len < sizeof(p->copy) ? r->len : sizeof(p->copy) - 1;

	memcpy(p->copy, r->text, len);
	p->at = p->copy;
	p->end = p->copy + len;
}

static bool pairs_next(struct pairs *p, struct kv_pair *pair)
{
	return kv_next(&p->at, p->end, pair) == KV_PAIR;
}

/* ---- JSON (RFC 8259) ------------------------------------------------------------------- */

static void put_json_unit(unsigned unit, struct buf *out)
{
	buf_addf(out, "\\u%04x", unit);
}

/* A character, escaped where it is not printable ASCII; beyond the BMP as two surrogates (RFC 8259 7). */
static void put_json_character(uint32_t code, struct buf *out)
{
	if (code == '"' || code == '\\') {
		buf_addc(out, '\\');
		buf_addc(out, (char)code);
	} else if (code >= 0x20 && code < 0x7f) {
		buf_addc(out, (char)code);
	} else if (code < 0x10000) {
		put_json_unit(code, out);
	} else {
		put_json_unit(0xd800 + ((code - 0x10000) >> 10), out);
		put_json_unit(0xdc00 + ((code - 0x10000) & 0x3ff), out);
	}
}

static void put_json_member(const char *key, const char *value, size_t len, struct buf *out)
{
	buf_addf(out, "\"%s\":\"", key);
	while (len > 0) {
		uint32_t code;
		size_t octets = utf8_decode(value, len, &code);

		if (octets == 0) {
			octets = 1;
			code = 0xfffd;
		}
		put_json_character(code, out);
		value += octets;
		len -= octets;
	}
	buf_addc(out, '"');
}

void log_format_json(const struct log_record *r, struct buf *out)
{
	size_t most = out->len + LOG_LINE_MAX - JSON_TAIL_MAX;
	char stamp[CLOCK_UTC_MAX];
	struct pairs pairs;
	struct kv_pair pair;
	bool cut = false;

	clock_format_utc(r->wall_us, stamp);
	buf_addf(out, "{\"_time\":\"%s\",\"_level\":\"%s\",\"_program\":\"%s\",\"_pid\":%ld", stamp,
		 log_level_name(r->level), r->ident, (long)r->pid);
	pairs_begin(&pairs, r);
	while (pairs_next(&pairs, &pair)) {
		struct buf member;

		buf_init(&member, LOG_RECORD_MAX);
		put_json_member(pair.key, pair.value, pair.len, &member);
		if (strcmp(pair.key, "cut") == 0 || out->len + 1 + member.len > most) {
			cut = true;
		} else {
			buf_addc(out, ',');
			buf_add(out, member.data, member.len);
		}
		buf_release(&member);
	}
	buf_addf(out, "%s,\"time_ms\":%" PRId64 "}", cut ? ",\"cut\":\"1\"" : "", r->wall_us / 1000);
}

/* ---- syslog ------------------------------------------------------------------------------ */

void log_format_syslog(const struct log_record *r, enum log_format format, struct buf *out)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(r->wall_us / 1000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	buf_addf(out, "<%d>%s %2d %02d:%02d:%02d %s[%ld]: ", LOG_MAIL | (int)r->level, months[tm.tm_mon],
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, r->ident, (long)r->pid);
	if (format == LOG_FORMAT_JSON)
		log_format_json(r, out);
	else
		buf_add(out, r->text, r->len);
}

/* ---- the journal -------------------------------------------------------------------------- */

/* Fields are NAME=value lines: a value has no newline here, so the notation for binary ones is not needed. */
static void put_field(const struct kv_pair *pair, struct buf *out)
{
	buf_adds(out, "POSTHOUSE_");
	for (const char *at = pair->key; *at; at++)
		buf_addc(out, *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at);
	buf_addc(out, '=');
	for (size_t i = 0; i < pair->len; i++) {
		unsigned char c = (unsigned char)pair->value[i];

		if (c >= 0x20 && c < 0x7f)
			buf_addc(out, (char)c);
		else
			buf_addf(out, "\\x%02x", c);
	}
	buf_addc(out, '\n');
}

void log_format_journal(const struct log_record *r, struct buf *out)
{
	struct pairs pairs;
	struct kv_pair pair;

	buf_addf(out, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%ld\nMESSAGE=",
		 (int)r->level, LOG_FAC(LOG_MAIL), r->ident, (long)r->pid);
	buf_add(out, r->text, r->len);
	buf_addc(out, '\n');
	pairs_begin(&pairs, r);
	while (pairs_next(&pairs, &pair))
		put_field(&pair, out);
}
