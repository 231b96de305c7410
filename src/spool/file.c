/* SPDX-License-Identifier: ISC */
/* See file.h. Runs in the relay, or in a command that holds the spool lock. */
#include "spool/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "spool/sys.h"

#define NEW_NAME_MAX (SPOOL_FILE_NAME_MAX + sizeof(".new"))

struct spool_place spool_place_queue(const struct spool *s)
{
	return (struct spool_place){ s->queue_fd, "queue/" };
}

struct spool_place spool_place_state(const struct spool *s)
{
	return (struct spool_place){ s->state_fd, "state/" };
}

struct spool_place spool_place_root(const struct spool *s)
{
	return (struct spool_place){ s->root_fd, "" };
}

static const char *new_name(const char *name, char out[NEW_NAME_MAX])
{
	snprintf(out, NEW_NAME_MAX, "%s.new", name);
	return out;
}

int spool_file_stage(const struct spool *s, struct spool_place at, const char *name, const char *data, size_t len,
		     bool sync, struct err *e)
{
	char staged[NEW_NAME_MAX];
	int fd = spool_create_file(s, at.dir_fd, new_name(name, staged));

	if (fd < 0) {
		err_set_os(e, errno, "%s/%s%s: cannot create this file", s->path, at.folder, staged);
		return -1;
	}
	if (sys_write_all(fd, data, len) < 0 || (sync && sys_fsync(fd) < 0)) {
		err_set_os(e, errno, "%s/%s%s: cannot write this file", s->path, at.folder, staged);
		goto fail;
	}
	return fd;
fail:
	spool_file_unstage(at, name);
	sys_close(fd);
	return -1;
}

void spool_file_unstage(struct spool_place at, const char *name)
{
	char staged[NEW_NAME_MAX];

	(void)sys_unlink(at.dir_fd, new_name(name, staged));
}

int spool_file_publish(const struct spool *s, struct spool_place at, const char *name, struct err *e)
{
	char staged[NEW_NAME_MAX];

	if (sys_rename_replace(at.dir_fd, new_name(name, staged), at.dir_fd, name) == 0)
		return 0;
	err_set_os(e, errno, "%s/%s%s: cannot replace this file", s->path, at.folder, name);
	spool_file_unstage(at, name);
	return -1;
}

/* The descriptor of the spool's root can only name things (O_PATH). */
static int sync_directory(struct spool_place at)
{
	int fd, r;

	if (at.folder[0])
		return sys_fsync(at.dir_fd);
	fd = sys_open(at.dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return -1;
	r = sys_fsync(fd);
	sys_close(fd);
	return r;
}

int spool_file_replace(const struct spool *s, struct spool_place at, const char *name, const char *data, size_t len,
		       bool durable, struct err *e)
{
	int fd = spool_file_stage(s, at, name, data, len, durable, e), r = -1;

	if (fd < 0)
		return -1;
	if (spool_file_publish(s, at, name, e) < 0)
		goto out;
	if (durable && (sys_fsync(fd) < 0 || (s->sync_directory && sync_directory(at) < 0))) {
		err_set_os(e, errno, "%s/%s%s: cannot sync this file", s->path, at.folder, name);
		goto out;
	}
	r = 0;
out:
	sys_close(fd);
	return r;
}

int spool_file_remove(const struct spool *s, struct spool_place at, const char *name, struct err *e)
{
	if (sys_unlink(at.dir_fd, name) < 0) {
		if (errno == ENOENT)
			return 0;
		err_set_os(e, errno, "%s/%s%s: cannot remove this file", s->path, at.folder, name);
		return -1;
	}
	if (sync_directory(at) == 0)
		return 0;
	err_set_os(e, errno, "%s/%s%s: cannot make its removal durable", s->path, at.folder, name);
	return -1;
}

int spool_file_open(struct spool_place at, const char *name)
{
	return sys_open(at.dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
}

#define FIRST_READ 4096 /* holds nearly all of them whole: one call is enough then */

/* As spool_file_read, without words. */
static enum spool_read read_whole(int fd, size_t max, char **out, size_t *out_len)
{
	char first[FIRST_READ];
	ssize_t n = sys_pread(fd, first, sizeof(first), 0);
	size_t size = n < 0 ? 0 : (size_t)n, len = size;
	struct stat info;
	char *text;

	if (n < 0)
		return errno == EISDIR || errno == ESPIPE ? SPOOL_READ_CORRUPT : SPOOL_READ_FAILED;
	if (n == sizeof(first)) {
		if (sys_fstat(fd, &info) < 0)
			return SPOOL_READ_FAILED;
		if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size > max || (uint64_t)info.st_size < len)
			return SPOOL_READ_CORRUPT;
		size = (size_t)info.st_size;
	}
	if (size > max)
		return SPOOL_READ_CORRUPT;
	text = mem_alloc(size + 1);
	memcpy(text, first, len);
	while (len < size) {
		n = sys_pread(fd, text + len, size - len, (off_t)len);
		if (n <= 0) {
			free(text);
			return n < 0 ? SPOOL_READ_FAILED : SPOOL_READ_CORRUPT;
		}
		len += (size_t)n;
	}
	*out = text;
	*out_len = len;
	return SPOOL_READ_OK;
}

enum spool_read spool_file_read_from(const struct spool *s, struct spool_place at, const char *name, int fd,
				     size_t max, char **out, size_t *out_len, struct err *e)
{
	enum spool_read r = read_whole(fd, max, out, out_len);

	if (r == SPOOL_READ_CORRUPT)
		err_set(e, "%s/%s%s: torn or damaged", s->path, at.folder, name);
	else if (r == SPOOL_READ_FAILED)
		err_set_os(e, errno, "%s/%s%s: cannot read this file", s->path, at.folder, name);
	return r;
}

enum spool_read spool_file_read(const struct spool *s, struct spool_place at, const char *name, size_t max,
				char **out, size_t *out_len, struct err *e)
{
	int fd = spool_file_open(at, name);
	enum spool_read r;

	if (fd >= 0) {
		r = spool_file_read_from(s, at, name, fd, max, out, out_len, e);
		sys_close(fd);
		return r;
	}
	if (errno == ENOENT) {
		err_set(e, "%s/%s%s: there is no such file", s->path, at.folder, name);
		return SPOOL_READ_GONE;
	}
	if (errno == ELOOP || errno == ENXIO) { /* a symbolic link, a socket */
		err_set(e, "%s/%s%s: torn or damaged", s->path, at.folder, name);
		return SPOOL_READ_CORRUPT;
	}
	err_set_os(e, errno, "%s/%s%s: cannot read this file", s->path, at.folder, name);
	return SPOOL_READ_FAILED;
}
