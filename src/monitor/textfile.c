/* SPDX-License-Identifier: ISC */
/* See textfile.h. */
#include "monitor/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

int textfile_write(const char *path, const struct buf *text, struct err *e)
{
	/* not *.prom: the collector passes over it. What a crash left there is ours, as there is one monitor */
	char *name = mem_printf("%s.new", path);
	int fd, result = -1;

	unlink(name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		err_set_os(e, errno, "%s: cannot make this file", name);
	else if (fchmod(fd, 0644) < 0 || file_write_all(fd, text->data, text->len) < 0)
		err_set_os(e, errno, "%s: cannot write this file", name);
	else if (rename(name, path) < 0)
		err_set_os(e, errno, "%s: cannot put the new file in its place", path);
	else
		result = 0;
	if (fd >= 0) {
		close(fd);
		if (result < 0)
			unlink(name);
	}
	free(name);
	return result;
}
