/* SPDX-License-Identifier: ISC */
/* See store.h. */
#include "oauth/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "oauth/json.h"

#define STORE_VERSION 1

void oauth_stored_release(struct oauth_stored *s)
{
	oauth_wipe(s->access_token);
	oauth_wipe(s->refresh_token);
	free(s->scope);
	free(s->last_error);
	memset(s, 0, sizeof(*s));
}

/* ---- reading -------------------------------------------------------------------------- */

static int check_file(const char *file, const struct stat *st, struct err *e)
{
	unsigned mode = (unsigned)st->st_mode & 07777;

	if (!S_ISREG(st->st_mode))
		err_set(e, "token file %s is not a regular file", file);
	else if (mode & 07037)
		err_set(e,
			"token file %s is open to others than its owner (mode %04o): what it holds may be "
			"known to "
			"them: chmod 0600 %s, and better log in anew",
			file, mode, file);
	else if (st->st_size > STORE_BYTES_MAX)
		err_set(e, "token file %s is longer than %d bytes: remove it and log in anew", file,
			STORE_BYTES_MAX);
	else
		return 0;
	return -1;
}

static bool take_text(const json_t *object, const char *key, char **out)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return true;
	if (!json_is_string(value) || json_string_length(value) == 0)
		return false;
	*out = mem_strdup(json_string_value(value));
	return true;
}

static bool take_time(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!value || json_is_null(value))
		return true;
	*out = json_integer_value(value);
	return json_is_integer(value) && *out >= 0 && *out <= INT64_C(253402300799);
}

/* A token must be one, as it goes into messages whose fields end with controls (RFC 6749 A.12: VSCHAR). */
static bool is_sound(const char *token)
{
	for (; token && *token; token++)
		if (*token <= ' ' || *token >= 0x7f)
			return false;
	return true;
}

static int take_object(const char *file, const json_t *object, struct oauth_stored *s, struct err *e)
{
	if (json_integer_value(json_object_get(object, "version")) != STORE_VERSION ||
	    !take_text(object, "access_token", &s->access_token) ||
	    !take_text(object, "refresh_token", &s->refresh_token) ||
	    !take_text(object, "scope", &s->scope) || !take_text(object, "last_error", &s->last_error) ||
	    !take_time(object, "obtained_at", &s->obtained_wall_s) ||
	    !take_time(object, "expires_at", &s->expires_wall_s) ||
	    !take_time(object, "last_error_at", &s->last_error_wall_s) || !is_sound(s->access_token) ||
	    !is_sound(s->refresh_token)) {
		err_set(e, "token file %s is not as posthouse writes it: remove it and log in anew", file);
		return -1;
	}
	return 0;
}

static int load(const char *file, int fd, struct oauth_stored *s, struct err *e)
{
	json_t *object = NULL;
	struct stat st;
	size_t len = 0;
	char *text;
	int r = -1;

	if (fstat(fd, &st) < 0) {
		err_set_os(e, errno, "token file %s", file);
		return -1;
	}
	if (check_file(file, &st, e) < 0)
		return -1;
	text = mem_alloc(STORE_BYTES_MAX);
	if (file_read_all(fd, text, STORE_BYTES_MAX, &len) < 0) {
		err_set_os(e, errno, "token file %s", file);
	} else {
		object = json_loadb(text, len, 0, NULL);
		r = take_object(file, object, s, e);
	}
	oauth_json_wipe(object);
	explicit_bzero(text, STORE_BYTES_MAX);
	free(text);
	return r;
}

enum oauth_store_found oauth_store_load(const char *file, struct oauth_stored *s, struct err *e)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW), r;

	memset(s, 0, sizeof(*s));
	if (fd < 0 && errno == ENOENT)
		return OAUTH_STORE_MISSING;
	if (fd < 0) {
		err_set_os(e, errno, "token file %s", file);
		return OAUTH_STORE_BAD;
	}
	r = load(file, fd, s, e);
	close(fd);
	if (r < 0)
		oauth_stored_release(s);
	return r < 0 ? OAUTH_STORE_BAD : OAUTH_STORE_OK;
}

/* ---- writing --------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	return value ? value : json_null(); /* what is not UTF-8 is no token */
}

/* Words of a server: what is not printable ASCII is of no use to who reads the file. */
static json_t *words_or_null(const char *text)
{
	char *plain = mem_strdup_or_null(text);
	json_t *value;

	for (char *c = plain; c && *c; c++)
		*c = *c >= ' ' && *c < 0x7f ? *c : '?';
	value = text_or_null(plain);
	free(plain);
	return value;
}

static json_t *time_or_null(int64_t wall_s)
{
	return wall_s ? json_integer(wall_s) : json_null();
}

static char *make_text(const struct oauth_stored *s)
{
	json_t *o = json_object();
	char *text;

	json_object_set_new(o, "version", json_integer(STORE_VERSION));
	json_object_set_new(o, "access_token", text_or_null(s->access_token));
	json_object_set_new(o, "refresh_token", text_or_null(s->refresh_token));
	json_object_set_new(o, "scope", text_or_null(s->scope));
	json_object_set_new(o, "obtained_at", time_or_null(s->obtained_wall_s));
	json_object_set_new(o, "expires_at", time_or_null(s->expires_wall_s));
	json_object_set_new(o, "last_error", words_or_null(s->last_error));
	json_object_set_new(o, "last_error_at", time_or_null(s->last_error_wall_s));
	text = json_dumps(o, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	oauth_json_wipe(o);
	return text;
}

/*
 * open, write, fsync, rename, fsync of the folder. A crash before the rename leaves the old file and a FILE.new that
 * nobody reads; one between rename and the last fsync leaves the old or the new file, whole, and the caller was not
 * yet told that the new one counts. When that last fsync fails the new file may be there all the same: what it holds
 * is true, only not known to last.
 */
static int replace(const char *file, const char *temporary, const char *text)
{
	int fd, r;

	if (unlink(temporary) < 0 && errno != ENOENT)
		return -1;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	r = file_write_all(fd, text, strlen(text)) < 0 || fsync(fd) < 0 ? -1 : 0;
	if (close(fd) < 0)
		r = -1;
	if (r == 0 && rename(temporary, file) == 0)
		return file_sync_folder(file);
	r = errno;
	unlink(temporary);
	errno = r;
	return -1;
}

int oauth_store_save(const char *file, const struct oauth_stored *s, struct err *e)
{
	char *temporary = mem_printf("%s.new", file), *text = make_text(s);
	int r = -1;

	if (!text)
		err_set(e, "token file %s: its content cannot be written as JSON", file);
	else if (replace(file, temporary, text) < 0)
		err_set_os(e, errno, "token file %s cannot be written", file);
	else
		r = 0;
	oauth_wipe(text);
	free(temporary);
	return r;
}

/* ---- the lock, and who changed it ---------------------------------------------------------- */

/* The folder has to be the user's who asks for tokens; where it is another's, or is not there, root puts that right. */
static void blame_folder(const char *file, int os_error, struct err *e)
{
	const char *slash = strrchr(file, '/');
	const struct passwd *pw = getpwuid(geteuid());

	err_set_os(e, os_error,
		   "token file %s: the folder is to be %s's alone (install -d -m 700 -o %s %.*s)", file,
		   pw ? pw->pw_name : "the user", pw ? pw->pw_name : "USER", slash ? (int)(slash - file) : 1,
		   slash ? file : ".");
}

int oauth_store_lock(const char *file, struct err *e)
{
	char *name = mem_printf("%s.lock", file);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

	if (fd < 0 && (errno == ENOENT || errno == EACCES)) {
		blame_folder(file, errno, e);
	} else if (fd < 0) {
		err_set_os(e, errno, "%s", name);
	} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err_set_os(e, errno, "%s: somebody else asks for a token now", name);
		close(fd);
		fd = -1;
	}
	free(name);
	return fd;
}

static void make_parents(const char *folder)
{
	char *path = mem_strdup(folder);

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755); /* making the last one says what is wrong */
		*slash = '/';
	}
	free(path);
}

/* Through a descriptor: above it nobody but root can write, or it would not be root's to trust. */
static int give_folder(const char *folder, uid_t uid, gid_t gid, struct err *e)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r = -1;

	if (fd < 0 || fstat(fd, &st) < 0)
		err_set_os(e, errno, "folder of tokens %s", folder);
	else if (st.st_uid != uid && st.st_uid != 0)
		err_set(e,
			"folder of tokens %s belongs to user %u, not to the one that runs the relay: chown "
			"-R it",
			folder, (unsigned)st.st_uid);
	else if ((st.st_uid != uid && fchown(fd, uid, gid) < 0) || fchmod(fd, 0700) < 0)
		err_set_os(e, errno, "folder of tokens %s", folder);
	else
		r = 0;
	if (fd >= 0)
		close(fd);
	return r;
}

int oauth_store_make_folder(const char *folder, uid_t uid, gid_t gid, struct err *e)
{
	make_parents(folder);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST && geteuid() == 0) {
		err_set_os(e, errno, "folder of tokens %s", folder);
		return -1;
	}
	return geteuid() == 0 && uid != (uid_t)-1 ? give_folder(folder, uid, gid, e) : 0;
}

struct oauth_stamp oauth_store_stamp(const char *file)
{
	struct oauth_stamp stamp;
	struct stat st;

	memset(&stamp, 0, sizeof(stamp));
	if (lstat(file, &st) < 0)
		return stamp;
	stamp.dev = st.st_dev;
	stamp.ino = st.st_ino;
	stamp.mtime_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	stamp.size = st.st_size;
	return stamp;
}

bool oauth_stamp_equal(const struct oauth_stamp *a, const struct oauth_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->mtime_ns == b->mtime_ns && a->size == b->size;
}
