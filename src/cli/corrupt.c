/* SPDX-License-Identifier: ISC */
/* See corrupt.h. Runs in the operator's command, with the operator's own rights. */
#include "cli/corrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder has the same kinds of names as queue/, so what reads a queue reads it too. */
static struct spool as_queue(const struct spool *s)
{
	struct spool view = *s;

	view.queue_fd = s->corrupt_fd;
	return view;
}

static void read_reason(struct corrupt *c)
{
	char name[SPOOL_ID_LEN + 16];
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "%s.reason", c->id.text);
	fd = openat(c->file.corrupt_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	n = read(fd, c->reason, sizeof(c->reason) - 1);
	c->reason[n > 0 ? n : 0] = '\0';
	c->reason[strcspn(c->reason, "\n")] = '\0';
	if (fstat(fd, &st) == 0)
		c->when_wall_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
	close(fd);
}

bool corrupt_open(struct corrupt *c, const struct spool *s, const char *id)
{
	struct stat st;
	struct err ignored;

	memset(c, 0, sizeof(*c));
	if (s->corrupt_fd < 0 || fstatat(s->corrupt_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	snprintf(c->id.text, sizeof(c->id.text), "%s", id);
	c->bytes = (uint64_t)st.st_size;
	c->file = as_queue(s);
	read_reason(c);
	c->readable = spool_message_open(&c->msg, &c->file, id, false, &ignored) == SPOOL_READ_OK;
	return true;
}

void corrupt_close(struct corrupt *c)
{
	if (c->readable)
		spool_message_close(&c->msg);
}

int corrupt_copy(const struct corrupt *c, uint64_t most, FILE *out, struct err *e)
{
	int fd = openat(c->file.corrupt_fd, c->id.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char block[16384];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, block, sizeof(block) < most ? sizeof(block) : (size_t)most)) > 0) {
		if (fwrite(block, 1, (size_t)n, out) != (size_t)n)
			break;
		most -= (uint64_t)n;
	}
	if (n < 0)
		err_set_os(e, errno, "%s/corrupt/%s", c->file.path, c->id.text);
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

int corrupt_scan(struct id_list *list, const struct spool *s, struct id_prefix *prefix, size_t count, struct err *e)
{
	struct spool view = as_queue(s);

	return s->corrupt_fd < 0 ? 0 : id_list_scan(list, &view, prefix, count, e);
}
