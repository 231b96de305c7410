/* SPDX-License-Identifier: ISC */
/*
 * Fills a spool for `make bench`: a million small messages in well under a
 * minute. The same bytes as spool/txn.c and state.c write, without their
 * fsyncs and renames: nobody has been told 250 for these.
 *
 *   fillspool [-n MESSAGES] [-s] [-d SECONDS] SPOOL      messages; with -s each has a state, due in SECONDS
 *   fillspool -S [-d SECONDS] SPOOL                      states for all messages that are there
 *
 * The spool is there already. Every other message has the sender half@bench.example.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "spool/checksum.h"
#include "spool/format.h"
#include "spool/recover.h"
#include "spool/spool.h"
#include "spool/state.h"
#include "tool.h"

#define PROCESSES 2
#define CONTENT "Received: from bench.example\r\nFrom: <a@bench.example>\r\nSubject: one of many\r\n\r\nHello\r\n"

static struct {
	uint64_t messages;
	bool states, only_states;
	uint64_t due_s;
} opt;
static struct spool spool;
static unsigned part; /* of PROCESSES, ours */
static uint64_t seen;

static void write_file(int dir_fd, const char *name, mode_t mode, bool give, const char *data, size_t len)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || fchmod(fd, mode) < 0 || (give && spool_give(&spool, fd) < 0))
		tool_die("%s: %s", name, strerror(errno));
	close(fd);
}

static void write_state(const char *id)
{
	int64_t now = clock_wall_us();
	struct spool_state st;
	struct buf text;

	spool_state_init(&st, 1);
	st.tries = 1;
	st.last_attempt_wall_us = now;
	st.rcpt[0].tries = 1;
	st.rcpt[0].next_wall_us = now + (int64_t)opt.due_s * 1000000;
	rcpt_state_set(&st.rcpt[0], RCPT_PENDING, now, "default", "127.0.0.1:25", "450 4.2.1 come back later");
	spool_state_follow(&st);
	buf_init(&text, 1 << 20);
	if (!spool_state_format(&st, &text))
		tool_die("%s: no state", id);
	write_file(spool.state_fd, id, 0640, true, text.data, text.len);
	buf_release(&text);
	spool_state_release(&st);
}

static void write_message(uint64_t number)
{
	struct format_head head = { .content_bytes = sizeof(CONTENT) - 1 };
	struct checksum *sum = checksum_new();
	char line[FORMAT_HEAD_LEN + 1], address[64];
	struct envelope env;
	struct spool_id id;
	struct buf text;
	int n;

	envelope_init(&env);
	spool_id_new(&id);
	strcpy(env.id, id.text);
	env.arrived_wall_us = clock_wall_us();
	n = snprintf(address, sizeof(address), "%s@bench.example", number % 2 ? "half" : "other");
	envelope_set(&env.sender, address, (size_t)n);
	n = snprintf(address, sizeof(address), "r%ju@bench.example", (uintmax_t)number);
	envelope_add_rcpt(&env, address, (size_t)n);
	buf_init(&text, 1 << 20);
	format_head_unfinished(line);
	buf_add(&text, line, FORMAT_HEAD_LEN); /* its place */
	if (!format_envelope(&env, &text))
		tool_die("no envelope");
	head.envelope_bytes = text.len - FORMAT_HEAD_LEN;
	buf_adds(&text, CONTENT);
	checksum_add(sum, text.data + FORMAT_HEAD_LEN, text.len - FORMAT_HEAD_LEN);
	format_head(&head, line);
	checksum_add(sum, line, FORMAT_HEAD_HASHED);
	head.checksum = checksum_value(sum);
	format_head(&head, line);
	memcpy(text.data, line, FORMAT_HEAD_LEN);
	write_file(spool.queue_fd, id.text, spool.message_mode, !(spool.message_mode & S_IRGRP), text.data, text.len);
	if (opt.states)
		write_state(id.text);
	checksum_free(sum);
	buf_release(&text);
	envelope_release(&env);
}

static void on_message(void *ctx, const char *id)
{
	(void)ctx;
	if (seen++ % PROCESSES == part && faccessat(spool.state_fd, id, F_OK, 0) < 0)
		write_state(id);
}

static void work(void)
{
	struct err e;

	if (!opt.only_states) {
		for (uint64_t i = part; i < opt.messages; i += PROCESSES)
			write_message(i);
	} else if (spool_scan(&spool, on_message, NULL, NULL, &e) < 0) {
		tool_die("%s", e.text);
	}
}

int main(int argc, char **argv)
{
	int c, status, failed = 0;
	struct err e;

	tool_name = "fillspool";
	while ((c = getopt(argc, argv, "n:sSd:")) != -1) {
		switch (c) {
		case 'n':
			opt.messages = tool_number(optarg, 0, 100000000);
			break;
		case 's':
			opt.states = true;
			break;
		case 'S':
			opt.only_states = true;
			break;
		case 'd':
			opt.due_s = tool_number(optarg, 0, 100000000);
			break;
		default:
			tool_die("usage: fillspool [-n MESSAGES] [-s | -S] [-d SECONDS] SPOOL");
		}
	}
	if (optind + 1 != argc || spool_open(&spool, argv[optind], SPOOL_READ, SPOOL_SYNC_AUTO, &e) < 0)
		tool_die("%s", optind + 1 != argc ? "one spool is wanted" : e.text);
	for (part = 0; part < PROCESSES; part++) {
		if (fork() == 0) {
			work();
			_exit(0);
		}
	}
	for (part = 0; part < PROCESSES; part++)
		failed |= wait(&status) < 0 || status != 0;
	puts("{}");
	return failed ? 2 : 0;
}
