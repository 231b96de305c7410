/* SPDX-License-Identifier: ISC */
/* See map_file.h. Runs in the relay and in `posthouse doctor`. */
#include "mailman/map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "mailman/map.h"

static struct map_file stamp_of(const struct stat *st)
{
	return (struct map_file){ .dev = st->st_dev,
				  .ino = st->st_ino,
				  .size = st->st_size,
				  .mtime_ns =
					  (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec };
}

static int read_open(struct map_file *m, int fd, const char *path, struct lists *into, struct err *e)
{
	struct stat st;
	char *text;
	size_t len;
	int r;

	if (fstat(fd, &st) < 0) {
		err_set_os(e, errno, "%s: cannot look at it", path);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, "%s: it is no regular file", path);
		return -1;
	}
	if (st.st_size > MAP_BYTES_MAX) {
		err_set(e, "%s: it is larger than %u octets", path, MAP_BYTES_MAX);
		return -1;
	}
	text = mem_alloc((size_t)st.st_size + 1);
	r = file_read_all(fd, text, (size_t)st.st_size + 1, &len);
	if (r < 0) {
		err_set_os(e, errno, "%s: cannot read it", path);
	} else {
		*m = stamp_of(&st);
		r = map_read(into, text, len, e);
		if (r < 0)
			err_prefix(e, "%s", path);
	}
	free(text);
	return r;
}

int map_file_read(struct map_file *m, const char *path, struct lists *into, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	*m = (struct map_file){ 0 };
	if (fd < 0) {
		err_set_os(e, errno, "%s: cannot open it", path);
		return -1;
	}
	r = read_open(m, fd, path, into, e);
	close(fd);
	return r;
}

bool map_file_is_same(const struct map_file *m, const char *path)
{
	struct map_file now;
	struct stat st;

	if (m->ino == 0 || stat(path, &st) < 0)
		return false;
	now = stamp_of(&st);
	return now.dev == m->dev && now.ino == m->ino && now.size == m->size && now.mtime_ns == m->mtime_ns;
}
