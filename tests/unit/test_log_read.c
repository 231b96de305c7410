/* SPDX-License-Identifier: ISC */
/* Lines of a log as events (cli/log_entry.h), and which of them are shown (cli/log_filter.h). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/json.h"
#include "cli/log_entry.h"
#include "cli/log_filter.h"
#include "unit.h"

#define LATEST_US (INT64_C(1795428672) * 1000000) /* 2026-11-23T10:11:12Z */

static json_t *parse(const char *text)
{
	char line[4096];
	size_t len = strlen(text);

	ck_assert_uint_lt(len, sizeof(line) - 1);
	memcpy(line, text, len + 1);
	return log_entry_parse(line, len, LATEST_US);
}

static void utc(void)
{
	setenv("TZ", "UTC", 1);
	tzset();
}

START_TEST(notations)
{
	static const struct {
		const char *line;
		int64_t time_ms, pid;
	} rows[] = {
		{ "2026-11-23T10:11:12.123Z posthoused[42]: event=x id=1", INT64_C(1795428672123), 42 },
		{ "2026-11-23T11:11:12.123456+01:00 relay posthoused[42]: event=x id=1", INT64_C(1795428672123), 42 },
		{ "2026-11-23T10:11:12Z posthouse[42]: event=x id=1", INT64_C(1795428672000), 42 },
		{ "Nov 23 10:11:12 relay posthoused[42]: event=x id=1", INT64_C(1795428672000), 42 },
		{ "Nov  3 10:11:12 relay posthoused[42]: event=x id=1", INT64_C(1793700672000), 42 },
		/* no year, and not later than the file: it was in the year before */
		{ "Dec 24 10:11:12 relay posthoused[42]: event=x id=1", INT64_C(1766571072000), 42 },
		{ "{\"_time\":\"?\",\"_pid\":42,\"event\":\"x\",\"id\":\"1\",\"time_ms\":7}", 7, 42 },
		{ "Nov 23 10:11:12 relay posthoused[42]: {\"_pid\":42,\"event\":\"x\",\"id\":\"1\",\"time_ms\":7}", 7, 42 },
		{ "{\"MESSAGE\":\"event=x id=1\",\"__REALTIME_TIMESTAMP\":\"1795428672123456\",\"_PID\":\"42\","
		  "\"SYSLOG_IDENTIFIER\":\"posthoused\"}",
		  INT64_C(1795428672123), 42 },
		{ "{\"MESSAGE\":\"2026-11-23T10:11:12.123Z posthoused[42]: event=x id=1\",\"_PID\":\"42\","
		  "\"__REALTIME_TIMESTAMP\":\"9\",\"SYSLOG_IDENTIFIER\":\"posthoused\"}",
		  INT64_C(1795428672123), 42 },
		{ "event=x id=1", 0, 0 },
	};

	utc();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *o = parse(rows[i].line);

		ck_assert_msg(o != NULL, "%s", rows[i].line);
		ck_assert_str_eq(json_get_text(o, "event"), "x");
		ck_assert_str_eq(json_get_text(o, "id"), "1");
		ck_assert_int_eq(json_get_int(o, "time_ms", 0), rows[i].time_ms);
		ck_assert_int_eq(json_get_int(o, "_pid", 0), rows[i].pid);
		json_decref(o);
	}
}
END_TEST

/* Among them what another program quotes: that must not pass for ours. */
START_TEST(what_is_not_ours)
{
	static const char *const lines[] = {
		"",
		"{",
		"{}",
		"[1]",
		"{\"event\":7}",
		"posthoused[42]: event=x",
		"Nov 23 10:11:12 relay postfix/smtpd[42]: event=x id=1",
		"Nov 23 10:11:12 relay postfix/smtpd[42]: posthoused[42]: event=x id=1",
		"Nov 23 10:11:12 relay logger: posthoused[42]: event=x id=1",
		"Nov 23 10:11:12 relay posthoused: event=x id=1",
		"Nov 23 10:11:12 relay posthoused[42a]: event=x",
		"Nov 23 10:11:12 relay posthoused[42]: hello event=x",
		"Nov 23 10:11:12 relay posthoused[42]: event=x id=\"torn",
		"2026-11-23T10:11:12.123Z posthoused[42]: event=",
		"2026-11-23T10:11:12.123Z",
		"2026-13-45T",
		"{\"MESSAGE\":\"event=x\",\"SYSLOG_IDENTIFIER\":\"sshd\"}",
		"{\"MESSAGE\":\"event=x\"}",
		"{\"MESSAGE\":[101,118],\"SYSLOG_IDENTIFIER\":\"posthoused\"}",
		"{\"MESSAGE\":\"{\\\"MESSAGE\\\":\\\"event=x\\\"}\",\"SYSLOG_IDENTIFIER\":\"posthoused\"}",
	};

	utc();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		json_t *o = parse(lines[i]);

		/* an event without a name is one of those, too: kv.h allows it */
		ck_assert_msg(!o || strcmp(json_get_text(o, "event"), "") == 0, "%s", lines[i]);
		json_decref(o);
	}
}
END_TEST

/* Cut anywhere, and with any octet changed: an event or none, and nothing read beyond the end. */
START_TEST(damaged_lines)
{
	static const char *const whole[] = {
		"Nov 23 10:11:12 relay posthoused[42]: event=x id=\"a\\x01b\"",
		"2026-11-23T11:11:12.123456+01:00 relay posthoused[42]: event=x id=1",
		"{\"MESSAGE\":\"event=x id=1\",\"__REALTIME_TIMESTAMP\":\"1\",\"SYSLOG_IDENTIFIER\":\"posthoused\"}",
	};

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		for (size_t len = 0; len <= strlen(whole[i]); len++) {
			for (int c = 0; c < 256; c += 5) {
				char *line = malloc(len + 1); /* exactly, for the sanitizer */

				memcpy(line, whole[i], len);
				if (len > 0 && c > 0)
					line[len - 1] = (char)c;
				json_decref(log_entry_parse(line, len, LATEST_US));
				free(line);
			}
		}
	}
}
END_TEST

/* ---- what is shown ------------------------------------------------------------------------- */

#define ID1 "0m4x7f3q9zkab1cd"
#define ID2 "0m4x7f3q9zkab1ce"
#define REPORT "0m4x7f3q9zkab1cf"

/* Two messages, a report on the first, and a line of none. */
static const char *const story[] = {
	"event=accepted id=" ID1 " from=a@example.org rcpts=2",
	"event=accepted id=" ID2 " from=b@example.org to=x@example.net",
	"event=rejected peer=192.0.2.1:25 from=a@example.org",
	"event=delivered id=" ID1 " to=x@example.net upstream=main",
	"event=failed id=" ID1 " to=y@example.com upstream=other",
	"event=bounced id=" ID1 " to=a@example.org report=" REPORT,
	"event=delivered id=" ID2 " to=x@example.net upstream=main",
	"event=delivered id=" REPORT " to=a@example.org upstream=main",
};
#define LINES (sizeof(story) / sizeof(story[0]))

/* The lines that pass, as digits. */
static void shown(struct log_filter *f, char out[LINES + 1])
{
	json_t *event[LINES];
	size_t n = 0;

	for (size_t i = 0; i < LINES; i++) {
		event[i] = parse(story[i]);
		log_filter_learn(f, event[i]);
	}
	for (size_t i = 0; i < LINES; i++) {
		bool passes = !log_filter_rules_out(f, story[i]) && log_filter_passes(f, event[i]);

		if (passes)
			out[n++] = (char)('0' + i);
		json_decref(event[i]);
	}
	out[n] = '\0';
}

START_TEST(filters)
{
	static const struct {
		const char *id, *from, *to, *upstream, *event, *shown;
	} rows[] = {
		{ .shown = "01234567" },
		{ .id = ID1, .shown = "0345" },
		{ .id = REPORT, .shown = "57" }, /* and where it came from */
		{ .id = "0M4X7F3Q9ZKAB1CE", .shown = "16" },
		{ .id = "0m4x", .shown = "0134567" },
		{ .from = "a@example.org", .shown = "02345" },
		{ .to = "y@example.com", .shown = "0345" }, /* lines before the one that says so, too */
		{ .to = "example.net", .shown = "013456" },
		{ .from = "b@*", .to = "x@example.net", .shown = "16" },
		{ .from = "b@*", .to = "y@example.com", .shown = "" },
		{ .upstream = "other", .shown = "0345" },
		{ .event = "delivered", .shown = "367" },
		{ .from = "a@example.org", .event = "delivered", .shown = "3" },
		{ .id = "zzzz", .shown = "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct log_filter f;
		char seen[LINES + 1];
		struct err e;

		log_filter_init(&f);
		if (rows[i].id)
			ck_assert(id_prefix_parse(rows[i].id, &f.id[f.id_count++]));
		if (rows[i].from)
			ck_assert_int_eq(criteria_add(&f.criteria, CRITERION_FROM, rows[i].from, &e), 0);
		if (rows[i].to)
			ck_assert_int_eq(criteria_add(&f.criteria, CRITERION_TO, rows[i].to, &e), 0);
		if (rows[i].upstream)
			ck_assert_int_eq(criteria_add(&f.criteria, CRITERION_UPSTREAM, rows[i].upstream, &e), 0);
		if (rows[i].event)
			f.event[f.event_count++] = rows[i].event;
		shown(&f, seen);
		ck_assert_msg(strcmp(seen, rows[i].shown) == 0, "row %zu: %s instead of %s", i, seen, rows[i].shown);
		log_filter_release(&f);
	}
}
END_TEST

START_TEST(times)
{
	struct log_filter f;
	json_t *o;

	utc();
	log_filter_init(&f);
	f.since_wall_us = LATEST_US;
	f.until_wall_us = LATEST_US + 1000000;
	o = parse("2026-11-23T10:11:12.000Z posthoused[1]: event=x");
	ck_assert(log_filter_passes(&f, o));
	json_decref(o);
	o = parse("2026-11-23T10:11:11.999Z posthoused[1]: event=x");
	ck_assert(!log_filter_passes(&f, o));
	json_decref(o);
	o = parse("2026-11-23T10:11:13.000Z posthoused[1]: event=x");
	ck_assert(!log_filter_passes(&f, o));
	json_decref(o);
	log_filter_release(&f);
}
END_TEST

/* Ids that come in any order, more than fit at first. */
START_TEST(many_messages)
{
	struct log_filter f;
	struct err e;
	unsigned n = 1;

	log_filter_init(&f);
	ck_assert_int_eq(criteria_add(&f.criteria, CRITERION_FROM, "a@example.org", &e), 0);
	for (int pass = 0; pass < 2; pass++) {
		n = 1;
		for (int i = 0; i < 5000; i++) {
			char line[128];
			json_t *o;

			n = n * 1103515245u + 12345u;
			snprintf(line, sizeof(line), "event=%s id=%016u %s", pass ? "delivered" : "accepted", n % 100000000u,
				 pass ? "to=x@y" : "from=a@example.org");
			o = parse(line);
			log_filter_learn(&f, o);
			ck_assert(log_filter_passes(&f, o));
			json_decref(o);
		}
	}
	log_filter_release(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log_read");

	UNIT_CASE(s, notations, what_is_not_ours, damaged_lines, filters, times, many_messages);
	return unit_run(s);
}
