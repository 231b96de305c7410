/* SPDX-License-Identifier: ISC */
/* See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

int file_write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_read_all(int fd, void *data, size_t cap, size_t *len)
{
	*len = 0;
	while (*len < cap) {
		ssize_t n = read(fd, (char *)data + *len, cap - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return 0;
}

int file_open_unnamed(void)
{
	const char *dir = getenv("TMPDIR");
	char *name = mem_printf("%s/posthouse.XXXXXX", dir && dir[0] == '/' ? dir : "/tmp");
	int fd = mkostemp(name, O_CLOEXEC), error = errno;

	if (fd >= 0)
		unlink(name);
	free(name);
	errno = error;
	return fd;
}

int file_sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder =
		slash ? mem_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd >= 0 ? fsync(fd) : -1, error = errno;

	if (fd >= 0)
		close(fd);
	free(folder);
	errno = error;
	return result;
}
