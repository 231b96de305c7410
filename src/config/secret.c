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
#include "base/file.h"

/* ---- names -------------------------------------------------------------------------------- */

static const char *credential_of(const char *name)
{
	size_t len = strlen(SECRET_CREDENTIAL);

	return strncmp(name, SECRET_CREDENTIAL, len) == 0 ? name + len : NULL;
}

int secret_name_check(const char *name, struct err *e)
{
	const char *credential = credential_of(name);

	if (!credential && name[0] != '/') {
		err_set(e, "\"%s\" is neither an absolute path nor " SECRET_CREDENTIAL "NAME", name);
		return -1;
	}
	/* systemd's own rule for names is that of file names */
	if (credential && (!credential[0] || strchr(credential, '/') || strcmp(credential, ".") == 0 ||
			   strcmp(credential, "..") == 0)) {
		err_set(e, "\"%s\": \"%s\" is not the name of a credential", name, credential);
		return -1;
	}
	return 0;
}

bool secret_is_elsewhere(const char *name)
{
	return credential_of(name) && !getenv("CREDENTIALS_DIRECTORY");
}

int secret_path(const char *name, char **path, struct err *e)
{
	const char *credential = credential_of(name), *folder = getenv("CREDENTIALS_DIRECTORY");

	if (!credential) {
		*path = mem_strdup(name);
		return 0;
	}
	if (!folder || folder[0] != '/') {
		err_set(e,
			"%s: no credentials were passed to this process (CREDENTIALS_DIRECTORY is not set): "
			"they "
			"come from systemd, with LoadCredential=%s:PATH in the unit",
			name, credential);
		return -1;
	}
	*path = mem_printf("%s/%s", folder, credential);
	return 0;
}

/* ---- files --------------------------------------------------------------------------------- */

static int check_file(const char *what, const char *file, const struct stat *st, bool is_public,
		      struct err *e)
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
	if (mode & S_IROTH && !is_public) {
		err_set(e, "%s %s can be read by everyone (mode %04o): chmod o-rwx %s", what, file, mode,
			file);
		return -1;
	}
	return 0;
}

int secret_check_file(const char *what, const char *file, const struct stat *st, struct err *e)
{
	return check_file(what, file, st, false, e);
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

/* At most cap bytes into memory of cap + 1. */
static int read_file(const char *file, bool is_public, size_t cap, char **data, size_t *len, struct err *e)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		err_set_os(e, errno, "secret file %s", file);
		return -1;
	}
	if (fstat(fd, &st) != 0) {
		err_set_os(e, errno, "secret file %s", file);
	} else if (check_file("secret file", file, &st, is_public, e) == 0) {
		*data = mem_alloc(cap + 1);
		if (file_read_all(fd, *data, cap, len) == 0) {
			close(fd);
			return 0;
		}
		err_set_os(e, errno, "secret file %s", file);
		secret_free_data(*data, cap);
	}
	close(fd);
	return -1;
}

int secret_read(const char *name, char **secret, struct err *e)
{
	char *text, *path;
	size_t len;
	int result;

	if (secret_path(name, &path, e) != 0)
		return -1;
	result = read_file(path, false, SECRET_BYTES_MAX + 1, &text, &len, e);
	if (result == 0 && check_content(path, text, len, e) == 0)
		*secret = text;
	else if (result == 0) {
		secret_free_data(text, len);
		result = -1;
	}
	free(path);
	return result;
}

int secret_read_data(const char *name, bool is_public, char **data, size_t *len, struct err *e)
{
	char *path;
	int result;

	if (secret_path(name, &path, e) != 0)
		return -1;
	result = read_file(path, is_public, SECRET_FILE_BYTES_MAX + 1, data, len, e);
	if (result == 0 && (*len == 0 || *len > SECRET_FILE_BYTES_MAX)) {
		if (*len == 0)
			err_set(e, "secret file %s is empty", path);
		else
			err_set(e, "secret file %s is longer than %zu bytes", path, SECRET_FILE_BYTES_MAX);
		secret_free_data(*data, *len);
		result = -1;
	}
	free(path);
	return result;
}

void secret_free_data(char *data, size_t len)
{
	if (!data)
		return;
	explicit_bzero(data, len);
	free(data);
}

void secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
