/* SPDX-License-Identifier: ISC */
/* See users_edit.h. */
#include "auth/users_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

/* ---- the lock ---------------------------------------------------------------------- */

/* The file behind symbolic links: those stay. */
static char *real_path(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : mem_strdup(path);
}

static int create_file(const char *path, const struct users_edit_new *create, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno == EEXIST) /* somebody was faster */
		return open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		err_set_os(e, errno, "users file %s cannot be made", path);
		return -1;
	}
	if ((create->gid != (gid_t)-1 && fchown(fd, (uid_t)-1, create->gid) < 0) ||
	    fchmod(fd, create->mode) < 0) {
		err_set_os(e, errno, "users file %s: its group and mode cannot be set", path);
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

static int open_file(const char *path, const struct users_edit_new *create, struct err *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == ENOENT && create)
		return create_file(path, create, e);
	if (fd < 0)
		err_set_os(e, errno, "users file %s", path);
	return fd;
}

/* Whether fd still is what stands there: whoever had the lock before us put another file in its place. */
static bool is_current(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev &&
	       mine.st_ino == there.st_ino;
}

static int open_locked(const char *path, const struct users_edit_new *create, struct err *e)
{
	for (;;) {
		int fd = open_file(path, create, e);

		if (fd < 0)
			return -1;
		while (flock(fd, LOCK_EX) < 0) {
			if (errno == EINTR)
				continue;
			err_set_os(e, errno, "users file %s cannot be locked", path);
			close(fd);
			return -1;
		}
		if (is_current(fd, path))
			return fd;
		close(fd);
	}
}

int users_edit_begin(struct users_edit *x, const char *path, const struct users_edit_new *create,
		     struct err *e)
{
	memset(x, 0, sizeof(*x));
	x->path = real_path(path);
	buf_init(&x->text,
		 2 * USERS_FILE_MAX); /* every addition fits: that the whole is too long is commit's to say */
	x->fd = open_locked(x->path, create, e);
	if (x->fd >= 0 && users_file_read_fd(&x->old, x->fd, x->path, e) == 0)
		return 0;
	users_edit_abort(x);
	return -1;
}

void users_edit_abort(struct users_edit *x)
{
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	users_file_release(&x->old);
	if (x->text.cap > 0)
		explicit_bzero(x->text.data, x->text.len);
	buf_release(&x->text);
	free(x->path);
	x->path = NULL;
}

/* ---- the text ------------------------------------------------------------------------ */

static size_t count_lines(const struct users_edit *x, const char *name, struct users_cursor *found)
{
	struct users_cursor at = { 0 };
	size_t count = 0;

	while (users_file_next(&x->old, &at)) {
		if (!users_cursor_is(&at, name))
			continue;
		*found = at;
		count++;
	}
	return count;
}

enum users_edit_result users_edit_add(struct users_edit *x, const char *name,
				      const struct credential *credentials, size_t count)
{
	struct users_cursor at;

	if (count_lines(x, name, &at) > 0)
		return USERS_EDIT_EXISTS;
	buf_add(&x->text, x->old.text, x->old.len);
	if (x->old.len > 0 && x->old.text[x->old.len - 1] != '\n')
		buf_addc(&x->text, '\n');
	users_line_write(name, credentials, count, NULL, 0, &x->text);
	buf_addc(&x->text, '\n');
	return USERS_EDIT_DONE;
}

enum users_edit_result users_edit_change(struct users_edit *x, const char *name,
					 const struct credential *credentials, size_t count, struct err *e)
{
	struct users_cursor at = { 0 };
	size_t lines = count_lines(x, name, &at);
	size_t begin = at.line ? (size_t)(at.line - x->old.text) : 0;
	char *spelt;

	if (lines == 0)
		return USERS_EDIT_UNKNOWN;
	if (lines > 1) {
		err_set(e, "%s: user %s has %zu lines: take out those that are too many", x->path, name,
			lines);
		return USERS_EDIT_FAILED;
	}
	buf_add(&x->text, x->old.text, begin);
	spelt = mem_strndup(at.name, at.name_len);
	users_line_write(spelt, credentials, count, at.line, at.len, &x->text);
	free(spelt);
	buf_add(&x->text, x->old.text + begin + at.len, x->old.len - begin - at.len);
	return USERS_EDIT_DONE;
}

enum users_edit_result users_edit_remove(struct users_edit *x, const char *name)
{
	struct users_cursor at = { 0 };
	size_t kept = 0;
	bool found = false;

	while (users_file_next(&x->old, &at)) {
		if (!users_cursor_is(&at, name))
			continue;
		buf_add(&x->text, x->old.text + kept, (size_t)(at.line - x->old.text) - kept);
		kept = at.next;
		found = true;
	}
	buf_add(&x->text, x->old.text + kept, x->old.len - kept);
	return found ? USERS_EDIT_DONE : USERS_EDIT_UNKNOWN;
}

/* ---- the new file ---------------------------------------------------------------------- */

/* Owner before mode: chown takes mode bits away, and nobody else may read it for a moment. */
static int fill(const struct users_edit *x, int fd, struct err *e)
{
	struct stat now;

	if (fstat(fd, &now) < 0) {
		err_set_os(e, errno, "%s", x->path);
		return -1;
	}
	if ((now.st_uid != x->old.st.st_uid || now.st_gid != x->old.st.st_gid) &&
	    fchown(fd, x->old.st.st_uid, x->old.st.st_gid) < 0) {
		err_set_os(e, errno,
			   "%s: the new file cannot get owner and group of the old one (uid %ju, gid %ju)",
			   x->path, (uintmax_t)x->old.st.st_uid, (uintmax_t)x->old.st.st_gid);
		return -1;
	}
	if (fchmod(fd, x->old.st.st_mode & 07777) < 0 || file_write_all(fd, x->text.data, x->text.len) < 0 ||
	    fsync(fd) < 0) {
		err_set_os(e, errno, "%s: the new file cannot be written", x->path);
		return -1;
	}
	return 0;
}

static int replace(const struct users_edit *x, struct err *e)
{
	char *name = mem_printf("%s.XXXXXX", x->path);
	int fd = mkostemp(name, O_CLOEXEC);
	int result = -1;

	if (fd < 0) {
		err_set_os(e, errno, "%s: no new file can be made beside it", x->path);
		free(name);
		return -1;
	}
	if (fill(x, fd, e) == 0) {
		result = rename(name, x->path);
		if (result < 0)
			err_set_os(e, errno, "%s: it cannot be replaced", x->path);
	}
	if (result < 0)
		unlink(name);
	close(fd);
	free(name);
	if (result == 0 && file_sync_folder(x->path) < 0) {
		err_set_os(e, errno, "%s is changed, but may be as before after a power cut: its folder",
			   x->path);
		result = -1;
	}
	return result;
}

int users_edit_commit(struct users_edit *x, struct err *e)
{
	int result;

	if (x->text.len > USERS_FILE_MAX) {
		err_set(e, "%s would be longer than %d bytes", x->path, USERS_FILE_MAX);
		result = -1;
	} else {
		result = replace(x, e);
	}
	users_edit_abort(x);
	return result;
}
