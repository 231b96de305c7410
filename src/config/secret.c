/* SPDX-License-Identifier: ISC */
/* See secret.h. */
#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

int secret_check_file(const char *what, const char *file, const struct stat *st, struct err *e)
{
	unsigned mode = (unsigned)st->st_mode & 07777;

	if (!S_ISREG(st->st_mode)) {
		err_set(e, "%s %s is not a regular file", what, file);
		return -1;
	}
	if (mode & (S_IWGRP | S_IWOTH)) {
		err_set(e,
			"%s %s can be written by others than its owner (mode %04o): chmod "
			"go-w,o-rwx %s",
			what, file, mode, file);
		return -1;
	}
	if (mode & S_IROTH) {
		err_set(e, "%s %s can be read by everyone (mode %04o): chmod o-rwx %s", what, file, mode, file);
		return -1;
	}
	return 0;
}

/* Checks the content and cuts the newline. */
static int check_content(const char *file, char *text, size_t len, struct err *e)
{
	if (len > SECRET_BYTES_MAX) {
		err_set(e, "secret file %s is longer than %d bytes", file, SECRET_BYTES_MAX);
		return -1;
	}
	if (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	if (len == 0) {
		err_set(e, "secret file %s is empty", file);
		return -1;
	}
	if (memchr(text, '\n', len) || memchr(text, '\r', len) || memchr(text, '\0', len)) {
		err_set(e, "secret file %s has more than one line, or carriage returns or NUL bytes", file);
		return -1;
	}
	return 0;
}

int secret_read(const char *file, char **secret, struct err *e)
{
	char *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n;
	int result = -1;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		err_set_os(e, errno, "secret file %s", file);
		return -1;
	}
	if (fstat(fd, &st) != 0) {
		err_set_os(e, errno, "secret file %s", file);
		goto out;
	}
	if (secret_check_file("secret file", file, &st, e) != 0)
		goto out;
	text = mem_alloc(SECRET_BYTES_MAX + 2);
	while (len <= SECRET_BYTES_MAX && (n = read(fd, text + len, SECRET_BYTES_MAX + 1 - len)) != 0) {
		if (n < 0) {
			err_set_os(e, errno, "secret file %s", file);
			goto out;
		}
		len += (size_t)n;
	}
	result = check_content(file, text, len, e);
out:
	close(fd);
	if (result == 0) {
		*secret = text;
	} else if (text) {
		explicit_bzero(text, SECRET_BYTES_MAX + 2);
		free(text);
	}
	return result;
}

void secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
