/* SPDX-License-Identifier: ISC */
/* spool/: ids, message files, states, recovery. The crash enumeration is in tests/spool/. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/format.h"
#include "spool/message.h"
#include "spool/recover.h"
#include "spool/state.h"
#include "spool/txn.h"
#include "spool_world.h"
#include "unit.h"

static struct spool spool;

static void setup(void)
{
	spool_world_open(&spool);
}

static void teardown(void)
{
	spool_world_close(&spool);
}

static void fill(struct envelope *env)
{
	envelope_init(env);
	env->arrived_wall_us = 1795000000123456;
	envelope_set(&env->peer, "127.0.0.1:4711", 14);
	envelope_set(&env->helo, "a b\n\"c\"", 7);
	envelope_set(&env->protocol, "ESMTP", 5);
	envelope_set(&env->sender, "from@example.org", 16);
	envelope_add_rcpt(env, "one@example.org", 15);
	envelope_add_rcpt(env, "\"odd one\"@example.org", 21)->orcpt = strdup("rfc822;x+20y");
	env->rcpt[1].notify = ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY;
	env->body = BODY_8BITMIME;
}

/* Puts one message into the spool, in pieces of `step` octets; its id goes to id. */
static void put(const char *content, size_t len, size_t step, char id[ENVELOPE_ID_MAX])
{
	struct envelope env;
	struct spool_txn *t;
	struct err e;

	fill(&env);
	t = spool_txn_begin(&spool, &env);
	for (size_t i = 0; i < len; i += step)
		ck_assert_int_eq(spool_txn_write(t, content + i, len - i < step ? len - i : step, &e), SPOOL_OK);
	ck_assert_int_eq(spool_txn_commit(t, &e), SPOOL_OK);
	strcpy(id, env.id);
	envelope_release(&env);
}

static size_t count_files(const char *folder)
{
	char command[160], line[32] = "";
	FILE *p;

	snprintf(command, sizeof(command), "ls -A '%s/%s' | wc -l", spool.path, folder);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), p));
	pclose(p);
	return strtoul(line, NULL, 10);
}

START_TEST(ids_are_ordered_valid_and_pack)
{
	struct spool_id last, id, again;
	unsigned char packed[10];

	spool_id_new(&last);
	for (int i = 0; i < 2000; i++) {
		spool_id_new(&id);
		ck_assert(spool_id_is_valid(id.text));
		ck_assert_int_lt(strcmp(last.text, id.text), 0);
		spool_id_pack(id.text, packed);
		spool_id_unpack(packed, &again);
		ck_assert_str_eq(again.text, id.text);
		last = id;
	}
	ck_assert_int_lt(clock_wall_us() - spool_id_wall_us(id.text), 10000000);
	/* the clock steps back: order stays */
	clock_freeze(spool_id_wall_us(id.text) - 3600000000LL, 0);
	spool_id_new(&again);
	clock_thaw();
	ck_assert_int_lt(strcmp(id.text, again.text), 0);
	ck_assert(!spool_id_is_valid(""));
	ck_assert(!spool_id_is_valid("0123456789abcde"));
	ck_assert(!spool_id_is_valid("0123456789abcdefg"));
	ck_assert(!spool_id_is_valid("0123456789abcdei"));
	ck_assert(!spool_id_is_valid("../3456789abcdef"));
}
END_TEST

START_TEST(a_message_comes_back_as_it_was)
{
	static const char content[] = "Subject: x\r\n\r\n.dot\r\n\xc3\xa4\r\n";
	static const size_t steps[] = { 1, 3, 1000 };

	for (size_t i = 0; i < 3; i++) {
		struct spool_message m;
		char id[ENVELOPE_ID_MAX], back[100];
		struct err e = { 0 };
		ssize_t n;

		put(content, sizeof(content) - 1, steps[i], id);
		ck_assert_msg(spool_message_open(&m, &spool, id, true, &e) == SPOOL_READ_OK, "%s", e.text);
		ck_assert_str_eq(m.env.id, id);
		ck_assert_str_eq(m.env.sender, "from@example.org");
		ck_assert_str_eq(m.env.helo, "a b\n\"c\"");
		ck_assert_uint_eq(m.env.rcpt_count, 2);
		ck_assert_str_eq(m.env.rcpt[1].address, "\"odd one\"@example.org");
		ck_assert_str_eq(m.env.rcpt[1].orcpt, "rfc822;x+20y");
		ck_assert_uint_eq(m.env.rcpt[1].notify, ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY);
		ck_assert_int_eq(m.env.body, BODY_8BITMIME);
		ck_assert_int_eq(m.env.arrived_wall_us, 1795000000123456);
		ck_assert(m.has_dot_lines);
		ck_assert(m.has_eightbit);
		ck_assert_uint_eq(m.content_bytes, sizeof(content) - 1);
		n = spool_message_read(&m, 0, back, sizeof(back), &e);
		ck_assert_int_eq(n, sizeof(content) - 1);
		ck_assert_mem_eq(back, content, sizeof(content) - 1);
		ck_assert_int_eq(spool_message_read(&m, (uint64_t)n, back, sizeof(back), &e), 0);
		spool_message_close(&m);
	}
	ck_assert_uint_eq(count_files("incoming"), 0);
}
END_TEST

START_TEST(a_large_message_streams)
{
	static const size_t steps[] = { 100, 16384, 70000, 1 << 20 };
	size_t len = 3 << 20;
	char *content = malloc(len), *back = malloc(len);

	for (size_t i = 0; i < len; i++)
		content[i] = (char)('a' + i % 23);
	for (size_t i = 0; i < 4; i++) {
		struct spool_message m;
		char id[ENVELOPE_ID_MAX];
		struct err e = { 0 };
		size_t got = 0;

		put(content, len, steps[i], id);
		ck_assert_msg(spool_message_open(&m, &spool, id, true, &e) == SPOOL_READ_OK, "%s", e.text);
		ck_assert(!m.has_dot_lines && !m.has_eightbit);
		while (got < len) {
			ssize_t n = spool_message_read(&m, got, back + got, len - got, &e);

			ck_assert_int_gt(n, 0);
			got += (size_t)n;
		}
		ck_assert_mem_eq(back, content, len);
		spool_message_close(&m);
	}
	free(content);
	free(back);
}
END_TEST

START_TEST(a_dot_is_found_wherever_the_pieces_end)
{
	static const struct {
		const char *content;
		bool dots;
	} rows[] = { { ".\r\n", true }, { "a\r\n.b\r\n", true }, { "a.\r\nb.\r\n", false }, { "a\r\nb\r\n..\r\n", true },
		     { "", false } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (size_t step = 1; step < 8; step++) {
			struct spool_message m;
			char id[ENVELOPE_ID_MAX];
			struct err e;

			put(rows[i].content, strlen(rows[i].content), step, id);
			ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_OK);
			ck_assert_int_eq(m.has_dot_lines, rows[i].dots);
			spool_message_close(&m);
		}
	}
}
END_TEST

START_TEST(an_aborted_message_leaves_nothing)
{
	struct envelope env;
	struct spool_txn *t;
	struct err e;
	char block[1000] = "";

	fill(&env);
	spool_txn_abort(spool_txn_begin(&spool, &env));
	t = spool_txn_begin(&spool, &env);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(spool_txn_write(t, block, sizeof(block), &e), SPOOL_OK);
	ck_assert_uint_eq(count_files("incoming"), 1);
	spool_txn_abort(t);
	ck_assert_uint_eq(count_files("incoming"), 0);
	ck_assert_uint_eq(count_files("queue"), 0);
	envelope_release(&env);
}
END_TEST

START_TEST(every_damage_of_a_message_is_seen)
{
	static const char content[] = "Subject: x\r\n\r\nbody\r\n";
	char id[ENVELOPE_ID_MAX], file[8192];
	ssize_t len;
	int fd;

	put(content, sizeof(content) - 1, 100, id);
	fd = openat(spool.queue_fd, id, O_RDWR);
	ck_assert_int_ge(fd, 0);
	len = read(fd, file, sizeof(file));
	for (ssize_t i = 0; i < len; i++) { /* each octet changed */
		struct spool_message m;
		struct err e;
		char c = (char)(file[i] ^ 1);

		ck_assert_int_eq(pwrite(fd, &c, 1, i), 1);
		ck_assert_msg(spool_message_open(&m, &spool, id, true, &e) == SPOOL_READ_CORRUPT, "octet %zd", i);
		ck_assert_int_eq(pwrite(fd, file + i, 1, i), 1);
	}
	for (ssize_t i = len - 1; i >= 0; i--) { /* cut off at each length */
		struct spool_message m;
		struct err e;

		ck_assert_int_eq(ftruncate(fd, i), 0);
		ck_assert_msg(spool_message_open(&m, &spool, id, false, &e) == SPOOL_READ_CORRUPT, "length %zd", i);
	}
	close(fd);
}
END_TEST

static void make_socket(const char *folder, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s/%s", spool.path, folder, name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

START_TEST(odd_things_in_the_queue_are_corrupt_not_fatal)
{
	static const char id[] = "0m4x7f3q9zkab1cd";
	struct spool_message m;
	struct err e;

	ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_GONE);
	ck_assert_int_eq(symlinkat("/etc/passwd", spool.queue_fd, id), 0);
	ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_CORRUPT);
	unlinkat(spool.queue_fd, id, 0);
	ck_assert_int_eq(mkfifoat(spool.queue_fd, id, 0600), 0);
	ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_CORRUPT);
	unlinkat(spool.queue_fd, id, 0);
	make_socket("queue", id);
	ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_CORRUPT);
	unlinkat(spool.queue_fd, id, 0);
	ck_assert_int_eq(mkdirat(spool.queue_fd, id, 0700), 0);
	ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_CORRUPT);
}
END_TEST

START_TEST(odd_things_for_a_state_are_corrupt_not_fatal)
{
	static const char id[] = "0m4x7f3q9zkab1cd";
	struct spool_state st;
	struct err e;

	spool_state_init(&st, 1);
	ck_assert_int_eq(symlinkat("/etc/passwd", spool.state_fd, id), 0);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_CORRUPT);
	ck_assert_int_eq(spool_quarantine_state(&spool, id, "a symbolic link", &e), 0);
	make_socket("state", id);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_CORRUPT);
	ck_assert_int_eq(spool_quarantine_state(&spool, id, "a socket", &e), 0);
	ck_assert_int_eq(mkdirat(spool.state_fd, id, 0700), 0);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_CORRUPT);
	ck_assert_int_eq(spool_quarantine_state(&spool, id, "a directory", &e), 0);
	ck_assert_uint_eq(count_files("corrupt"), 6);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_OK);
	spool_state_release(&st);
}
END_TEST

/* An acknowledged message that the relay then could not read would be a lost one. */
START_TEST(what_could_not_be_read_back_is_not_accepted)
{
	static const struct {
		const char *sender, *rcpt, *orcpt;
		enum spool_result result;
	} rows[] = {
		{ "", "a", NULL, SPOOL_OK },
		{ "\"a b\"@c", "\"\\\"=\"@d", "rfc822;a+20b", SPOOL_OK },
		{ "a\nto=b", "a", NULL, SPOOL_FAILED },
		{ "a", "", NULL, SPOOL_FAILED },
		{ "a", "a\rb", NULL, SPOOL_FAILED },
		{ "a", "b", "rfc822;a b", SPOOL_FAILED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct spool_message m;
		struct envelope env;
		struct err e;

		envelope_init(&env);
		env.arrived_wall_us = 1795000000123456;
		envelope_set(&env.sender, rows[i].sender, strlen(rows[i].sender));
		envelope_add_rcpt(&env, rows[i].rcpt, strlen(rows[i].rcpt))->orcpt =
			rows[i].orcpt ? strdup(rows[i].orcpt) : NULL;
		ck_assert_int_eq(spool_txn_commit(spool_txn_begin(&spool, &env), &e), rows[i].result);
		if (rows[i].result == SPOOL_OK) {
			ck_assert_int_eq(spool_message_open(&m, &spool, env.id, true, &e), SPOOL_READ_OK);
			spool_message_close(&m);
		}
		envelope_release(&env);
	}
	ck_assert_uint_eq(count_files("queue"), 2);
	ck_assert_uint_eq(count_files("incoming"), 0);
}
END_TEST

/* RFC 2852: the moment, the mode and the trace are kept; a message without them has no such line. */
START_TEST(deliver_by_comes_back)
{
	static const struct {
		struct deliver_by by;
		const char *line;
	} rows[] = {
		{ { DELIVER_BY_NONE, false, 0 }, NULL },
		{ { DELIVER_BY_RETURN, false, 1795000120000000 },
		  "\ndeliver_by=2026-11-18T11:08:40.000000Z by_mode=R\n" },
		{ { DELIVER_BY_NOTIFY, true, 795000000000001 },
		  "\ndeliver_by=1995-03-12T09:20:00.000001Z by_mode=NT\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct envelope env, back;
		struct buf text;
		struct err e;

		fill(&env);
		strcpy(env.id, "0m4x7f3q9zkab1cd");
		env.by = rows[i].by;
		buf_init(&text, 4096);
		ck_assert(format_envelope(&env, &text));
		ck_assert_int_eq(strstr(text.data, "deliver_by") != NULL, rows[i].line != NULL);
		if (rows[i].line)
			ck_assert_msg(strstr(text.data, rows[i].line) != NULL, "%s", text.data);
		envelope_init(&back);
		ck_assert_msg(format_parse_envelope(text.data, text.len, &back, &e) == 0, "%s", e.text);
		ck_assert_int_eq(back.by.mode, rows[i].by.mode);
		ck_assert_int_eq(back.by.trace, rows[i].by.trace);
		ck_assert_int_eq(back.by.wall_us, rows[i].by.wall_us);
		envelope_reset(&back);
		ck_assert_int_eq(back.by.mode, DELIVER_BY_NONE);
		buf_release(&text);
		envelope_release(&back);
		envelope_release(&env);
	}
}
END_TEST

START_TEST(envelopes_that_we_would_not_write_are_refused)
{
#define HEAD "id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\n"
	static const char *const bad[] = {
		"",
		"\n",
		"id=0m4x7f3q9zkab1cd\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nto=b\nzork=yes\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nto=b\nrequiretls=no\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nto=\"b\\x0d\\x0aRCPT\"\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=\"a\\x00b\"\nto=b\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-02-31T20:10:21.123456Z\nfrom=a\nto=b\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nto=b\n\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nto=b\n\n",
		"id=../../etc/passwd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nto=b\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nto=b notify=SOMETIMES\n\n",
		"id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=a\nnotify=NEVER\nto=b\n\n",
		HEAD "deliver_by=2026-11-22T20:12:21.000000Z\nto=b\n\n",
		HEAD "by_mode=R\nto=b\n\n",
		HEAD "deliver_by=2026-11-22T20:12:21.000000Z by_mode=X\nto=b\n\n",
		HEAD "deliver_by=120 by_mode=R\nto=b\n\n",
	};
#undef HEAD
	static const char good[] = "id=0m4x7f3q9zkab1cd\narrived=2026-11-22T20:10:21.123456Z\nfrom=\nto=b\n\n";
	char text[512];
	struct envelope env;
	struct err e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		envelope_init(&env);
		strcpy(text, bad[i]);
		ck_assert_msg(format_parse_envelope(text, strlen(bad[i]), &env, &e) < 0, "accepted: %s", bad[i]);
		envelope_release(&env);
	}
	envelope_init(&env);
	strcpy(text, good);
	ck_assert_int_eq(format_parse_envelope(text, strlen(good), &env, &e), 0);
	envelope_release(&env);
}
END_TEST

START_TEST(states_keep_what_happened)
{
	char id[ENVELOPE_ID_MAX];
	struct spool_state st;
	struct err e = { 0 };

	put("x\r\n", 3, 3, id);
	spool_state_init(&st, 2);
	ck_assert_int_eq(spool_state_load(&st, &spool, id, &e), SPOOL_READ_OK);
	ck_assert_uint_eq(spool_state_count(&st, RCPT_PENDING), 2);
	st.tries = 3;
	st.next_attempt_wall_us = 1795000600000000;
	st.last_attempt_wall_us = 1795000000000001;
	st.uncertain = true;
	rcpt_state_set(&st.rcpt[0], RCPT_DELIVERED, 1795000000000001, "main", "mx:25", "250 2.0.0 OK \"queued\"\n as x");
	rcpt_state_set(&st.rcpt[1], RCPT_PENDING, 1795000000000001, "main", NULL, "450 4.2.1 busy");
	ck_assert_msg(spool_state_save(&st, &spool, id, &e) == 0, "%s", e.text);
	spool_state_release(&st);
	spool_state_init(&st, 2);
	ck_assert_msg(spool_state_load(&st, &spool, id, &e) == SPOOL_READ_OK, "%s", e.text);
	ck_assert_uint_eq(st.tries, 3);
	ck_assert_int_eq(st.next_attempt_wall_us, 1795000600000000);
	ck_assert(st.uncertain && !st.held);
	ck_assert_int_eq(st.rcpt[0].status, RCPT_DELIVERED);
	ck_assert_str_eq(st.rcpt[0].reply, "250 2.0.0 OK \"queued\"\n as x");
	ck_assert_str_eq(st.rcpt[1].reply, "450 4.2.1 busy");
	spool_state_release(&st);
	ck_assert_int_eq(spool_remove(&spool, id, &e), 0);
	ck_assert_int_eq(spool_remove(&spool, id, &e), 0);
	ck_assert_uint_eq(count_files("queue") + count_files("state"), 0);
}
END_TEST

START_TEST(every_damage_of_a_state_is_seen)
{
	static const char id[] = "0m4x7f3q9zkab1cd";
	struct spool_state st;
	struct err e;
	char file[1024];
	ssize_t len;
	int fd;

	spool_state_init(&st, 2);
	st.held = true;
	st.hold_reason = strdup("by hand");
	rcpt_state_set(&st.rcpt[1], RCPT_FAILED, 1795000000000001, "main", NULL, "550 5.1.1 no");
	ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
	fd = openat(spool.state_fd, id, O_RDWR);
	len = read(fd, file, sizeof(file));
	for (ssize_t i = 0; i < len; i++) {
		char c = (char)(file[i] ^ 1);

		ck_assert_int_eq(pwrite(fd, &c, 1, i), 1);
		ck_assert_msg(spool_state_load(&st, &spool, id, &e) == SPOOL_READ_CORRUPT, "octet %zd", i);
		ck_assert_uint_eq(spool_state_count(&st, RCPT_PENDING), 2);
		ck_assert(!st.held);
		ck_assert_int_eq(pwrite(fd, file + i, 1, i), 1);
	}
	for (ssize_t i = len - 1; i >= 0; i--) {
		ck_assert_int_eq(ftruncate(fd, i), 0);
		ck_assert_msg(spool_state_load(&st, &spool, id, &e) == SPOOL_READ_CORRUPT, "length %zd", i);
	}
	close(fd);
	spool_state_release(&st);
}
END_TEST

static void count_id(void *ctx, const char *id)
{
	ck_assert(spool_id_is_valid(id));
	++*(size_t *)ctx;
}

START_TEST(recovery_puts_the_spool_in_order)
{
	static const char gone[] = "0m4x7f3q9zkab1cd";
	char id[ENVELOPE_ID_MAX];
	struct spool_recovery found;
	struct spool_state st;
	struct err e;
	size_t n = 0;

	put("x\r\n", 3, 3, id);
	spool_state_init(&st, 2);
	st.tries = 1;
	ck_assert_int_eq(spool_state_save(&st, &spool, id, &e), 0);
	ck_assert_int_eq(spool_state_save(&st, &spool, gone, &e), 0);
	spool_state_release(&st);
	close(openat(spool.incoming_fd, gone, O_CREAT | O_WRONLY, 0600));
	close(openat(spool.state_fd, "0m4x7f3q9zkab1cd.new", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.queue_fd, "notes", O_CREAT | O_WRONLY, 0600));
	close(openat(spool.state_fd, "README", O_CREAT | O_WRONLY, 0600));
	mkdirat(spool.queue_fd, "folder", 0700);
	close(openat(spool.corrupt_fd, "README.state", O_CREAT | O_WRONLY, 0600)); /* the name is taken */

	/* a service that started before the leftover appeared must not take a worker's file */
	ck_assert_int_eq(spool_recover(&spool, clock_wall_us() - 3600000000LL, &found, &e), 0);
	ck_assert_uint_eq(found.unfinished, 1);
	ck_assert_uint_eq(found.orphans, 1);
	ck_assert_uint_eq(found.quarantined, 3);
	ck_assert_int_eq(spool_recover(&spool, clock_wall_us() + 3600000000LL, &found, &e), 0);
	ck_assert_uint_eq(found.unfinished, 1);
	ck_assert_uint_eq(found.orphans + found.quarantined, 0);
	ck_assert_int_eq(spool_scan(&spool, count_id, NULL, &n, &e), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(count_files("state"), 1);
	ck_assert_uint_eq(count_files("incoming"), 0);
	ck_assert_uint_eq(count_files("corrupt"), 7); /* three entries, their reasons, and what was there */
	ck_assert_int_eq(spool_quarantine(&spool, id, "a test", &e), 0);
	ck_assert_uint_eq(count_files("queue") + count_files("state"), 0);
}
END_TEST

START_TEST(recovery_beside_workers_spares_what_they_write)
{
	static const char id[] = "0m4x7f3q9zkab1cd";
	struct spool_recovery found;
	struct err e;

	for (int i = 0; i < 300; i++) {
		int64_t started = clock_file_us();

		close(openat(spool.incoming_fd, id, O_CREAT | O_WRONLY, 0600));
		ck_assert_int_eq(spool_recover(&spool, started, &found, &e), 0);
		ck_assert_msg(unlinkat(spool.incoming_fd, id, 0) == 0, "taken for a leftover in round %d", i);
	}
}
END_TEST

/* As NFS and others: renameat2 with flags answers EINVAL from now on. False when we may not arrange that. */
static bool forbid_exclusive_rename(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(a_file_system_without_exclusive_rename_does_too)
{
	struct spool_message m;
	char id[ENVELOPE_ID_MAX];
	struct err e;

	if (!forbid_exclusive_rename()) {
		printf("# no seccomp here: the fall-back of sys_rename_exclusive is not tested\n");
		return;
	}
	ck_assert_int_eq(renameat2(spool.queue_fd, "x", spool.queue_fd, "y", RENAME_NOREPLACE), -1);
	ck_assert_int_eq(errno, EINVAL);
	put("x\r\n", 3, 3, id);
	ck_assert_int_eq(spool_message_open(&m, &spool, id, true, &e), SPOOL_READ_OK);
	spool_message_close(&m);
	close(openat(spool.corrupt_fd, id, O_CREAT | O_WRONLY, 0600)); /* the name is taken */
	ck_assert_int_eq(spool_quarantine(&spool, id, "a test", &e), 0);
	ck_assert_uint_eq(count_files("incoming") + count_files("queue"), 0);
	ck_assert_uint_eq(count_files("corrupt"), 3);
}
END_TEST

START_TEST(the_lock_is_a_file_of_its_own)
{
	char lock[80], other[80];
	struct stat st;
	struct err e;
	int fd;

	snprintf(lock, sizeof(lock), "%s/lock", spool.path);
	snprintf(other, sizeof(other), "%s/other", spool.path);
	ck_assert_int_eq(symlink("other", lock), 0);
	ck_assert_int_eq(spool_lock(spool.path, &e), -1);
	ck_assert_int_eq(unlink(lock), 0);
	ck_assert_int_eq(mkfifo(lock, 0600), 0);
	ck_assert_int_eq(spool_lock(spool.path, &e), -1);
	ck_assert_int_eq(unlink(lock), 0);
	/* what root would write into it must not land elsewhere */
	close(open(other, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(link(other, lock), 0);
	ck_assert_int_eq(spool_lock(spool.path, &e), -1);
	ck_assert_int_eq(stat(other, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(unlink(lock), 0);
	fd = spool_lock(spool.path, &e);
	ck_assert_int_ge(fd, 0);
	/* who can open it can hold it */
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	close(fd);
}
END_TEST

START_TEST(one_master_a_spool)
{
	struct err e = { 0 };
	int fd = spool_lock(spool.path, &e);
	char pid[24];

	ck_assert_msg(fd >= 0, "%s", e.text);
	ck_assert_int_eq(spool_lock(spool.path, &e), -1);
	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	ck_assert_ptr_nonnull(strstr(e.text, pid));
	close(fd);
	fd = spool_lock(spool.path, &e);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spool");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		ids_are_ordered_valid_and_pack, a_message_comes_back_as_it_was, a_large_message_streams,
		a_dot_is_found_wherever_the_pieces_end, an_aborted_message_leaves_nothing,
		every_damage_of_a_message_is_seen, odd_things_in_the_queue_are_corrupt_not_fatal,
		deliver_by_comes_back, envelopes_that_we_would_not_write_are_refused, states_keep_what_happened,
		every_damage_of_a_state_is_seen, recovery_puts_the_spool_in_order, one_master_a_spool,
		odd_things_for_a_state_are_corrupt_not_fatal, what_could_not_be_read_back_is_not_accepted,
		recovery_beside_workers_spares_what_they_write, the_lock_is_a_file_of_its_own,
		a_file_system_without_exclusive_rename_does_too,
	};

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
