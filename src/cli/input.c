/* SPDX-License-Identifier: ISC */
/* See input.h. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

int input_open(const char *path, bool found, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (found ? O_NOFOLLOW | O_NONBLOCK : 0));
	struct stat st;

	if (fd < 0) {
		err_set_os(e, errno, "cannot open it");
		if (found && errno == ELOOP)
			err_set(e, "is a symbolic link: name it to have it taken");
	} else if (found && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		err_set(e, "is no regular file");
		close(fd);
		fd = -1;
	}
	return fd;
}

bool input_is_mbox(const char *path)
{
	char start[5] = "";
	struct stat st;
	bool is = false;
	int fd;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	is = read(fd, start, sizeof(start)) == sizeof(start) && memcmp(start, "From ", 5) == 0;
	close(fd);
	return is;
}

bool input_has_folder(const char *path, const char *name)
{
	char *full = mem_printf("%s/%s", path, name);
	struct stat st;
	bool is = stat(full, &st) == 0 && S_ISDIR(st.st_mode);

	free(full);
	return is;
}
