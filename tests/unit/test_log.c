/* SPDX-License-Identifier: ISC */
/* base/log*.h: levels by part, the notations, and what a log that takes nothing costs. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kv.h"
#include "base/log.h"
#include "base/log_format.h"
#include "base/log_out.h"
#include "unit.h"

#define WHEN_US (INT64_C(1795428672) * 1000000 + 123456) /* 2026-11-23T10:11:12.123456Z */

/* ---- levels ---------------------------------------------------------------------------- */

START_TEST(levels_are_read_and_written)
{
	struct log_levels levels;
	struct buf text;
	struct err e;

	log_levels_set(&levels, LOG_LEVEL_INFO);
	ck_assert_int_eq(log_levels_take(&levels, "relay=debug", &e), 0);
	ck_assert_int_eq(log_levels_take(&levels, "client=warning", &e), 0);
	buf_init(&text, 1000);
	log_levels_format(&levels, &text);
	ck_assert_str_eq(text.data, "\"info\", \"client=warning\", \"relay=debug\"");
	buf_release(&text);
	ck_assert_int_eq(log_levels_take(&levels, "error", &e), 0); /* all of them */
	buf_init(&text, 1000);
	log_levels_format(&levels, &text);
	ck_assert_str_eq(text.data, "\"error\"");
	buf_release(&text);
}
END_TEST

START_TEST(wrong_levels_are_refused)
{
	static const char *const wrong[] = { "", "verbose", "relay", "relay=", "=debug", "smtp=debug", "relay=debug ",
					     "RELAY=debug", "relay=DEBUG", "relay=debug=info" };
	struct log_levels levels, before;
	struct err e;

	log_levels_set(&levels, LOG_LEVEL_INFO);
	before = levels;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(log_levels_take(&levels, wrong[i], &e) < 0 &&
				      memcmp(&levels, &before, sizeof(levels)) == 0,
			      "%s", wrong[i]);
	log_levels_take(&levels, "smtp=debug", &e);
	for (int part = 0; part < LOG_PART_COUNT; part++)
		ck_assert_msg(strstr(e.text, log_part_names[part]) != NULL, "%s does not name %s", e.text,
			      log_part_names[part]);
}
END_TEST

START_TEST(events_have_a_part)
{
	ck_assert_int_eq(log_part_of("accepted"), LOG_PART_CLIENT);
	ck_assert_int_eq(log_part_of("delivered"), LOG_PART_RELAY);
	ck_assert_int_eq(log_part_of("upstream_dialogue"), LOG_PART_UPSTREAM);
	ck_assert_int_eq(log_part_of("auth_failed"), LOG_PART_AUTH);
	ck_assert_int_eq(log_part_of("ready"), LOG_PART_SERVICE);
	ck_assert_int_eq(log_part_of("no such event"), LOG_PART_SERVICE);
}
END_TEST

static size_t taps;

static void count_tap(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx;
	(void)level;
	(void)line;
	(void)len;
	taps++;
}

START_TEST(a_part_has_its_level)
{
	struct log_setup setup = { .sink = LOG_TO_FD, .ident = "test", .fd = open("/dev/null", O_WRONLY) };
	struct err e;

	log_levels_set(&setup.levels, LOG_LEVEL_INFO);
	log_levels_take(&setup.levels, "relay=debug", &e);
	log_levels_take(&setup.levels, "client=warning", &e);
	log_open_with(&setup);
	log_tap(count_tap, NULL);
	ck_assert(log_wants(LOG_LEVEL_DEBUG, "rescan") && log_wants(LOG_LEVEL_INFO, "ready"));
	ck_assert(!log_wants(LOG_LEVEL_DEBUG, "dialogue") && !log_wants(LOG_LEVEL_INFO, "accepted"));
	ck_assert(log_wants(LOG_LEVEL_WARNING, "proxy_failed") && !log_wants(LOG_LEVEL_DEBUG, "ready"));
	log_msg(LOG_LEVEL_INFO, "accepted", "x");
	log_msg(LOG_LEVEL_DEBUG, "rescan", "x");
	log_msg(LOG_LEVEL_DEBUG, "upstream_dialogue", "x");
	log_msg(LOG_LEVEL_ERROR, "outbox_failed", "x");
	ck_assert_uint_eq(taps, 2);
	log_tap(NULL, NULL);
}
END_TEST

/* ---- notations -------------------------------------------------------------------------- */

/* Made as log.c does. */
static void make_line(struct buf *line)
{
	static const char hostile[] = "a\"b\\c\n\xff\xe2\x82\xac\x01\xf0\x9f\x93\xac\x7f";

	buf_init(line, LOG_TEXT_MAX);
	kv_puts(line, "event", "accepted");
	kv_puts(line, "id", "0m4x7f3q9zkab1cd");
	kv_put(line, "from", hostile, sizeof(hostile) - 1);
}

static struct log_record record_of(const struct buf *line)
{
	return (struct log_record){ "posthoused", LOG_LEVEL_INFO, 123, WHEN_US, line->data, line->len };
}

START_TEST(text)
{
	struct buf line, out;

	make_line(&line);
	buf_init(&out, LOG_RECORD_MAX);
	log_format_text(&(struct log_record){ "posthoused", LOG_LEVEL_INFO, 123, WHEN_US, "event=x", 7 }, &out);
	ck_assert_str_eq(out.data, "2026-11-23T10:11:12.123Z posthoused[123]: event=x");
	buf_release(&out);
	buf_release(&line);
}
END_TEST

START_TEST(json)
{
	struct log_record r;
	struct buf line, out;

	make_line(&line);
	buf_init(&out, LOG_RECORD_MAX);
	r = record_of(&line);
	log_format_json(&r, &out);
	ck_assert_str_eq(out.data,
			 "{\"_time\":\"2026-11-23T10:11:12.123456Z\",\"_level\":\"info\",\"_program\":\"posthoused\","
			 "\"_pid\":123,\"event\":\"accepted\",\"id\":\"0m4x7f3q9zkab1cd\","
			 "\"from\":\"a\\\"b\\\\c\\u000a\\ufffd\\u20ac\\u0001\\ud83d\\udcec\\u007f\",\"time_ms\":1795428672123}");
	buf_release(&out);
	buf_release(&line);
}
END_TEST

/* However long the line is in another notation, one write into a pipe is one line. */
START_TEST(json_fits_a_pipe)
{
	static const char worst[] = { '\x01', '"', '\xff', 'a' };

	for (size_t k = 0; k < sizeof(worst); k++) {
		for (size_t len = 100; len < 4000; len += 97) {
			char value[4000], key[24];
			struct buf line, out;
			struct log_record r;

			memset(value, worst[k], len);
			buf_init(&line, LOG_TEXT_MAX);
			kv_puts(&line, "event", "x");
			for (int i = 0; i < 40; i++) {
				snprintf(key, sizeof(key), "key%d", i);
				kv_put(&line, key, value, len / 40);
			}
			kv_put(&line, "last", value, len);
			buf_init(&out, LOG_RECORD_MAX);
			r = record_of(&line);
			log_format_json(&r, &out);
			ck_assert_uint_lt(out.len, LOG_LINE_MAX);
			ck_assert_ptr_nonnull(strstr(out.data, "\"time_ms\":1795428672123}"));
			buf_release(&out);
			buf_release(&line);
		}
	}
}
END_TEST

START_TEST(json_tells_that_it_is_cut)
{
	struct log_record r;
	struct buf line, out;
	char value[900];

	memset(value, '\xff', sizeof(value)); /* \xff here, six octets there */
	buf_init(&line, LOG_TEXT_MAX);
	kv_puts(&line, "event", "x");
	kv_put(&line, "long", value, sizeof(value));
	kv_puts(&line, "short", "y");
	buf_init(&out, LOG_RECORD_MAX);
	r = record_of(&line);
	log_format_json(&r, &out);
	ck_assert(strstr(out.data, "\"cut\":\"1\"") && strstr(out.data, "\"short\":\"y\"") &&
		  !strstr(out.data, "\"long\""));
	buf_release(&out);
	buf_release(&line);
}
END_TEST

START_TEST(syslog)
{
	struct log_record r = { "posthoused", LOG_LEVEL_WARNING, 123, WHEN_US, "event=x", 7 };
	struct buf out;

	setenv("TZ", "UTC", 1);
	tzset();
	buf_init(&out, LOG_RECORD_MAX);
	log_format_syslog(&r, LOG_FORMAT_TEXT, &out);
	ck_assert_str_eq(out.data, "<20>Nov 23 10:11:12 posthoused[123]: event=x");
	buf_clear(&out);
	log_format_syslog(&r, LOG_FORMAT_JSON, &out);
	ck_assert_ptr_nonnull(strstr(out.data, "posthoused[123]: {\"_time\""));
	buf_release(&out);
}
END_TEST

START_TEST(journal)
{
	struct log_record r;
	struct buf line, out;

	make_line(&line);
	buf_init(&out, LOG_RECORD_MAX);
	r = record_of(&line);
	log_format_journal(&r, &out);
	ck_assert_str_eq(out.data,
			 "PRIORITY=6\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=posthoused\nSYSLOG_PID=123\n"
			 "MESSAGE=event=accepted id=0m4x7f3q9zkab1cd "
			 "from=\"a\\\"b\\\\c\\x0a\\xff\\xe2\\x82\\xac\\x01\\xf0\\x9f\\x93\\xac\\x7f\"\n"
			 "POSTHOUSE_EVENT=accepted\nPOSTHOUSE_ID=0m4x7f3q9zkab1cd\n"
			 "POSTHOUSE_FROM=a\"b\\c\\x0a\\xff\\xe2\\x82\\xac\\x01\\xf0\\x9f\\x93\\xac\\x7f\n");
	buf_release(&out);
	buf_release(&line);
}
END_TEST

/* ---- where it goes ------------------------------------------------------------------------ */

/* A pipe that nobody reads: as many lines as it takes, then one wait, then none. */
START_TEST(a_full_pipe_holds_nobody_up)
{
	char line[1000], first[1];
	struct log_out out;
	int64_t began;
	int fd[2], i;

	memset(line, 'x', sizeof(line));
	ck_assert_int_eq(pipe2(fd, O_NONBLOCK), 0);
	log_out_fd(&out, fd[1]);
	began = clock_mono_ms();
	for (i = 0; i < 10000 && log_out_write(&out, line, sizeof(line)); i++)
		;
	ck_assert_int_gt(i, 10);
	ck_assert_int_lt(i, 10000);
	ck_assert_int_ge(clock_mono_ms() - began, LOG_OUT_PATIENCE_MS);
	began = clock_mono_ms();
	for (i = 0; i < 1000; i++)
		ck_assert(!log_out_write(&out, line, sizeof(line)));
	ck_assert_int_lt(clock_mono_ms() - began, 5 * LOG_OUT_PATIENCE_MS);
	/* and it goes on when somebody reads */
	while (read(fd[0], line, sizeof(line)) > 0)
		;
	ck_assert(log_out_write(&out, "y", 1));
	ck_assert_int_eq(read(fd[0], first, 1), 1);
	ck_assert_int_eq(first[0], 'y');
}
END_TEST

START_TEST(standard_error_that_is_full)
{
	int64_t began = clock_mono_ms();
	uint64_t before;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0); /* it blocks, for whoever made it */
	dup2(fd[1], STDERR_FILENO);
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO, "test");
	before = log_lost();
	for (int i = 0; i < 3000; i++)
		log_msg(LOG_LEVEL_INFO, "x", "%0100d", i);
	ck_assert_int_lt(clock_mono_ms() - began, 20 * LOG_OUT_PATIENCE_MS);
	ck_assert_uint_gt(log_lost(), before);
	ck_assert_uint_lt(log_lost() - before, 3000);
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0); /* nobody else's is changed */
}
END_TEST

/* What a stream took half of ends with a newline before the next one begins. */
START_TEST(a_torn_line_spoils_no_other)
{
	static char large[1 << 20], all[2 << 20];
	struct log_out out;
	size_t len = 0;
	ssize_t n;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	memset(large, 'x', sizeof(large));
	dup2(fd[1], STDERR_FILENO);
	log_out_stderr(&out);
	ck_assert_int_eq(out.kind, LOG_OUT_SOCKET);
	ck_assert(!log_out_write(&out, large, sizeof(large)));
	while ((n = recv(fd[0], all + len, sizeof(all) - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	ck_assert_uint_gt(len, 0);
	ck_assert(log_out_write(&out, "next\n", 5));
	n = recv(fd[0], all, sizeof(all), MSG_DONTWAIT);
	ck_assert_int_eq(n, 6);
	ck_assert_int_eq(memcmp(all, "\nnext\n", 6), 0);
}
END_TEST

static int bind_datagrams(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Whoever listens there may come and go. */
START_TEST(datagrams)
{
	char folder[] = "/tmp/posthouse-log-XXXXXX", path[64], got[16];
	struct log_out out;
	int64_t began;
	int fd, sent;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	log_out_socket(&out, path);
	ck_assert(!log_out_write(&out, "one", 3));
	fd = bind_datagrams(path);
	ck_assert(log_out_write(&out, "two", 3));
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), 3);
	close(fd);
	ck_assert(!log_out_write(&out, "three", 5));
	unlink(path);
	fd = bind_datagrams(path);
	/* one that is there and reads nothing */
	began = clock_mono_ms();
	for (sent = 0; sent < 100000 && log_out_write(&out, "four", 4); sent++)
		;
	ck_assert_int_lt(sent, 100000);
	for (int i = 0; i < 1000; i++)
		ck_assert(!log_out_write(&out, "five", 4));
	ck_assert_int_lt(clock_mono_ms() - began, 20 * LOG_OUT_PATIENCE_MS);
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), 4);
	ck_assert(log_out_write(&out, "six", 3));
	log_out_close(&out);
	unlink(path);
	rmdir(folder);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");

	signal(SIGPIPE, SIG_IGN);
	UNIT_CASE(s, levels_are_read_and_written, wrong_levels_are_refused, events_have_a_part, a_part_has_its_level,
		  text, json, json_fits_a_pipe, json_tells_that_it_is_cut, syslog, journal, a_full_pipe_holds_nobody_up,
		  standard_error_that_is_full, a_torn_line_spoils_no_other, datagrams);
	return unit_run(s);
}
