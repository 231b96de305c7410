/* SPDX-License-Identifier: ISC */
/*
 * The program that tests/system/test_powercut.py runs on a file system whose
 * power it cuts: puts messages into a spool and says what it was promised, or
 * says what it finds there afterwards. One fact a line on standard output,
 * written at once.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/checksum.h"
#include "spool/message.h"
#include "spool/recover.h"
#include "spool/state.h"
#include "spool/txn.h"

#define CONTENT_MAX 150000
#define RCPTS 2

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[800];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		exit(EXIT_FAILURE);
}

static void give_up(const char *what, const struct err *e)
{
	say("stopped %s: %s\n", what, e->text);
	exit(EXIT_SUCCESS); /* the file system is gone: that is what was asked for */
}

/* The content belongs to the id, so that one in the place of another is seen. */
static void fill(char *content, size_t len, const char *id)
{
	uint64_t x = checksum_of(id, strlen(id)) | 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		content[i] = (char)(' ' + x % 90);
	}
}

/* ---- before the cut ----------------------------------------------------------------- */

static void deliver_one(const struct spool *s, const char *id)
{
	struct spool_state st;
	struct err e;

	spool_state_init(&st, RCPTS);
	st.tries = 1;
	rcpt_state_set(&st.rcpt[0], RCPT_DELIVERED, clock_wall_us(), "main", NULL, "250 2.0.0 Ok");
	if (spool_state_save(&st, s, id, &e) < 0)
		give_up("save", &e);
	spool_state_release(&st);
	say("delivered %s\n", id);
}

static void remove_it(const struct spool *s, const char *id)
{
	struct err e;

	say("removing %s\n", id);
	if (spool_remove(s, id, &e) < 0)
		give_up("remove", &e);
}

static void accept_one(struct spool *s, size_t len, bool careless, char id[ENVELOPE_ID_MAX])
{
	static char content[CONTENT_MAX];
	struct envelope env;
	struct spool_txn *t;
	struct err e;

	envelope_init(&env);
	env.arrived_wall_us = clock_wall_us();
	envelope_set(&env.sender, "from@example.org", 16);
	envelope_add_rcpt(&env, "one@example.org", 15);
	envelope_add_rcpt(&env, "two@example.org", 15);
	t = spool_txn_begin(s, &env);
	strcpy(id, env.id);
	fill(content, len, id);
	if (spool_txn_write(t, content, len, &e) != SPOOL_OK)
		give_up("write", &e);
	if (careless) {
		say("accepted %s\n", id);
		usleep(20000); /* a window wide enough for the cut to fall into it */
	}
	if (spool_txn_commit(t, &e) != SPOOL_OK)
		give_up("commit", &e);
	if (!careless)
		say("accepted %s\n", id);
	envelope_release(&env);
}

/* Until the file system is taken away. */
static void write_messages(const char *path, enum spool_sync sync, bool careless)
{
	struct spool s;
	struct err e;

	if (spool_open(&s, path, SPOOL_MANAGE, sync, &e) < 0) {
		say("failed %s\n", e.text);
		exit(EXIT_FAILURE);
	}
	srandom((unsigned)getpid());
	for (;;) {
		long chance = random() % 8;
		char id[ENVELOPE_ID_MAX];

		accept_one(&s, chance == 0 ? CONTENT_MAX - 1 : (size_t)(random() % 9000), careless, id);
		if (chance < 4)
			deliver_one(&s, id);
		if (chance < 2)
			remove_it(&s, id);
	}
}

/* ---- after it ----------------------------------------------------------------------- */

static bool is_as_written(const struct spool_message *m)
{
	static char content[CONTENT_MAX], expected[CONTENT_MAX];
	struct err e;
	size_t got = 0;
	ssize_t n = 0;

	if (m->content_bytes > sizeof(content) || m->env.rcpt_count != RCPTS)
		return false;
	while (got < m->content_bytes &&
	       (n = spool_message_read(m, got, content + got, sizeof(content) - got, &e)) > 0)
		got += (size_t)n;
	fill(expected, got, m->env.id);
	return got == m->content_bytes && memcmp(content, expected, got) == 0;
}

static void look(void *ctx, const char *id)
{
	const struct spool *s = ctx;
	struct spool_message m;
	struct spool_state st;
	struct err e;

	if (spool_message_open(&m, s, id, true, &e) != SPOOL_READ_OK) {
		say("torn %s %s\n", id, e.text);
		return;
	}
	spool_state_init(&st, RCPTS);
	if (!is_as_written(&m))
		say("wrong %s\n", id);
	else if (spool_state_load(&st, s, id, &e) != SPOOL_READ_OK)
		say("whole %s torn-state\n", id);
	else
		say("whole %s %s\n", id, rcpt_status_name(st.rcpt[0].status));
	spool_state_release(&st);
	spool_message_close(&m);
}

static int check(const char *path)
{
	struct spool_recovery found;
	struct spool s;
	struct err e;

	if (spool_prepare(path, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) < 0 ||
	    spool_open(&s, path, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e) < 0 ||
	    spool_recover(&s, clock_wall_us(), &found, &e) < 0 || spool_scan(&s, look, NULL, &s, &e) < 0) {
		say("failed %s\n", e.text);
		return EXIT_FAILURE;
	}
	spool_close(&s);
	return EXIT_SUCCESS;
}

/* What spool_open makes of the file system. */
static int describe(const char *path)
{
	struct spool s;
	struct err e;

	if (spool_open(&s, path, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	printf("sync_directory=%d keep_order=%d\n", s.sync_directory, s.keep_order);
	spool_close(&s);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e;

	if (argc == 3 && strcmp(argv[1], "prepare") == 0) {
		if (spool_prepare(argv[2], (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0)
			return EXIT_SUCCESS;
		say("failed %s\n", e.text);
		return EXIT_FAILURE;
	}
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2]);
	if (argc == 3 && strcmp(argv[1], "describe") == 0)
		return describe(argv[2]);
	if (argc == 4 && strcmp(argv[1], "write") == 0)
		write_messages(argv[2], strcmp(argv[3], "strict") == 0 ? SPOOL_SYNC_STRICT : SPOOL_SYNC_AUTO,
			       strcmp(argv[3], "careless") == 0);
	fprintf(stderr, "usage: powercut prepare|check|describe SPOOL, powercut write SPOOL auto|strict|careless\n");
	return 2;
}
