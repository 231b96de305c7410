/* SPDX-License-Identifier: ISC */
/*
 * See outbox.h: putting in. Runs with the rights of whoever sends mail, which
 * may neither list nor open the folder for reading. So the order is:
 *
 *   open    tmp-RANDOM, exclusive  a piece that nobody delivers
 *   write, fsync                   the same, whole
 *   rename  to msg-RANDOM          power cut: either name
 *   syncfs                         the name is durable too (the folder itself cannot be opened to sync it)
 */
#include "submit/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/file.h"
#include "submit/transmit.h"
#include "upstream/command.h"
#include "upstream/content.h"

#define BLOCK (64u << 10)

/*
 * What posthoused offers, or would if asked: what of it is switched off there is refused when it is played.
 */
static struct upstream_features features_of(const struct outbox_limits *limits)
{
	return (struct upstream_features){ .esmtp = true,
					   .eightbitmime = true,
					   .smtputf8 = true,
					   .dsn = true,
					   .size = true,
					   .size_limit_bytes = limits->size_bytes };
}

static ssize_t read_content(struct upstream_txn *t, uint64_t offset, void *data, size_t cap, struct err *e)
{
	return submission_pread(t->ctx, offset, data, cap, e);
}

static void make_name(char name[OUTBOX_NAME_MAX], const char *random)
{
	snprintf(name, OUTBOX_NAME_MAX, "%s%s", OUTBOX_MESSAGE, random);
}

static int make_random(char out[33], struct err *e)
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
		err_set_os(e, errno, "no random numbers");
		return -1;
	}
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* ---- the dialogue ---------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t len, struct err *e)
{
	if (file_write_all(fd, data, len) == 0)
		return 0;
	err_set_os(e, errno, "cannot write");
	return -1;
}

static int write_line(int fd, const char *line, struct err *e)
{
	char text[COMMAND_MAX + 2];
	int n = snprintf(text, sizeof(text), "%s\r\n", line);

	ASSERT(n > 0 && (size_t)n < sizeof(text));
	return write_all(fd, text, (size_t)n, e);
}

static int write_content(int fd, struct upstream_txn *t, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	enum content_result result;
	struct content content;
	int r = 0;

	content_init(&content, false);
	do {
		size_t n = 0;

		result = content_write(&content, t, block, BLOCK, &n, e);
		if (result == CONTENT_FAILED || write_all(fd, block, n, e) < 0)
			r = -1;
	} while (r == 0 && result == CONTENT_MORE);
	free(block);
	return r;
}

static int write_dialogue(int fd, struct upstream_txn *t, const struct upstream_features *features,
			  const char *hostname, struct err *e)
{
	char line[COMMAND_MAX];

	snprintf(line, sizeof(line), "EHLO %.255s", hostname);
	if (write_line(fd, line, e) < 0)
		return -1;
	command_mail(line, features, t);
	if (write_line(fd, line, e) < 0)
		return -1;
	for (size_t i = 0; i < t->rcpt_count; i++) {
		command_rcpt(line, features, t, i);
		if (write_line(fd, line, e) < 0)
			return -1;
	}
	return write_line(fd, "DATA", e) < 0 || write_content(fd, t, e) < 0 ? -1 : write_line(fd, "QUIT", e);
}

/* ---- the files ------------------------------------------------------------------- */

static int put_one(int dir_fd, char name[OUTBOX_NAME_MAX], struct upstream_txn *t,
		   const struct upstream_features *features, const char *hostname, struct err *e)
{
	char random[33], unfinished[OUTBOX_NAME_MAX];
	int fd;

	if (make_random(random, e) < 0)
		return -1;
	make_name(name, random);
	snprintf(unfinished, sizeof(unfinished), "%s%s", OUTBOX_UNFINISHED, random);
	fd = openat(dir_fd, unfinished, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, OUTBOX_FILE_MODE);
	if (fd < 0) {
		err_set_os(e, errno, "cannot create a file");
		return -1;
	}
	/* the umask must not take the right to read from the workers */
	if (fchmod(fd, OUTBOX_FILE_MODE) < 0) {
		err_set_os(e, errno, "cannot change a file's mode");
		goto failed;
	}
	if (write_dialogue(fd, t, features, hostname, e) < 0)
		goto failed;
	if (fsync(fd) < 0) {
		err_set_os(e, errno, "cannot sync");
		goto failed;
	}
	if (renameat(dir_fd, unfinished, dir_fd, name) < 0) {
		err_set_os(e, errno, "cannot rename a file");
		goto failed;
	}
	strcpy(unfinished, name);
	if (syncfs(fd) < 0) {
		err_set_os(e, errno, "cannot sync");
		goto failed;
	}
	close(fd);
	return 0;
failed:
	unlinkat(dir_fd, unfinished, 0);
	close(fd);
	return -1;
}

static int check_room(const char *folder, const struct outbox_limits *limits, uint64_t size_bytes, struct err *e)
{
	struct statvfs fs;

	if (statvfs(folder, &fs) < 0) {
		err_set_os(e, errno, "cannot ask for free space");
		return -1;
	}
	if ((uint64_t)fs.f_bavail * fs.f_frsize >= limits->min_free_bytes + size_bytes)
		return 0;
	err_set(e, "not enough free space for the message and min_free");
	return -1;
}

static int put_all(struct outbox_entry *entry, const struct outbox_limits *limits, struct upstream_txn *t,
		   const size_t *rcpt, size_t rcpt_count, const char *hostname, struct err *e)
{
	static const struct upstream_settings settings = { .eightbit = UPSTREAM_EIGHTBIT_PASS };
	struct upstream_features features = features_of(limits);
	size_t most = limits->recipients ? limits->recipients : rcpt_count;
	struct smtp_reply reply;

	entry->name = mem_array((rcpt_count + most - 1) / most, sizeof(*entry->name));
	for (size_t i = 0; i < rcpt_count; i += most) {
		t->rcpt = rcpt + i;
		t->rcpt_count = rcpt_count - i < most ? rcpt_count - i : most;
		if (!command_can_take(&features, &settings, t, &reply)) {
			err_set(e, "%d %s %s", reply.code, reply.enhanced, reply.text);
			return -1;
		}
		if (put_one(entry->dir_fd, entry->name[entry->count], t, &features, hostname, e) < 0)
			return -1;
		entry->count++;
	}
	return 0;
}

int outbox_put(struct outbox_entry *entry, const char *folder, const struct outbox_limits *limits,
	       const struct submission *message, const size_t *rcpt, size_t rcpt_count, const char *hostname,
	       struct err *e)
{
	struct upstream_txn t = { .env = &message->env,
				  .content_bytes = message->content_bytes,
				  .has_dot_lines = message->has_dot_lines,
				  .has_eightbit = message->has_eightbit,
				  .read = read_content,
				  .ctx = (void *)(uintptr_t)message };

	ASSERT(rcpt_count > 0);
	*entry = (struct outbox_entry){ .dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) };
	if (entry->dir_fd < 0) {
		err_set_os(e, errno, "%s: cannot open (posthoused makes it at its first start)", folder);
		return -1;
	}
	if (check_room(folder, limits, message->content_bytes, e) == 0 &&
	    put_all(entry, limits, &t, rcpt, rcpt_count, hostname, e) == 0)
		return 0;
	err_prefix(e, "%s", folder);
	outbox_take_back(entry);
	outbox_entry_release(entry);
	return -1;
}

bool outbox_take_back(struct outbox_entry *entry)
{
	bool all = true;

	for (size_t i = 0; i < entry->count; i++)
		all = unlinkat(entry->dir_fd, entry->name[i], 0) == 0 && all;
	return all;
}

void outbox_entry_release(struct outbox_entry *entry)
{
	if (entry->dir_fd >= 0)
		close(entry->dir_fd);
	free(entry->name);
	entry->name = NULL;
	entry->count = 0;
}
