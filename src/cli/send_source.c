/* SPDX-License-Identifier: ISC */
/* See send_source.h. Runs in the operator's command only. */
#include "cli/send_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/input.h"
#include "cli/mbox.h"

#define BLOCK (64u << 10)
#define NAMES_MAX_BYTES (UINT32_MAX / 2) /* of one folder */

const char *const source_format_names[SOURCE_FORMAT_COUNT] = {
	[SOURCE_EML] = "eml",
	[SOURCE_MBOX] = "mbox",
	[SOURCE_MAILDIR] = "maildir",
};

/* The names in a folder, NUL ended, and where each begins, in order. */
struct names {
	struct buf text;
	uint32_t *at;
	size_t count, room, next;
};

struct send_source {
	char *const *path;
	size_t count, index; /* of them the present one */
	const enum source_format *format;
	char *name;
	/* a folder; open while names.at */
	struct names names;
	/* an mbox; open while fd >= 0 */
	int fd;
	struct mbox_reader reader;
	char *block;
	const char *rest;
	size_t rest_len;
	struct submission_txn *txn; /* of its present message */
	size_t number; /* of its present message, from 1 */
	bool in_message, next_begun;
};

static char *const standard_input[] = { (char *)"-" };

static bool is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

struct send_source *send_source_new(char *const *path, size_t count, const enum source_format *format)
{
	struct send_source *s = mem_alloc(sizeof(*s));

	s->path = count > 0 ? path : standard_input;
	s->count = count > 0 ? count : 1;
	s->format = format;
	s->fd = -1;
	buf_init(&s->names.text, NAMES_MAX_BYTES);
	return s;
}

static void close_folder(struct send_source *s)
{
	buf_release(&s->names.text);
	free(s->names.at);
	s->names.at = NULL;
	s->names.count = s->names.room = s->names.next = 0;
}

static void close_mbox(struct send_source *s)
{
	if (s->fd > STDIN_FILENO)
		close(s->fd);
	s->fd = -1;
	free(s->block);
	s->block = NULL;
}

void send_source_free(struct send_source *s)
{
	if (!s)
		return;
	close_folder(s);
	close_mbox(s);
	free(s->name);
	free(s);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !is_stdin(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum source_format format_of(const struct send_source *s, const char *path)
{
	if (s->format)
		return *s->format;
	if (is_stdin(path))
		return SOURCE_EML;
	if (input_has_folder(path, "cur") && input_has_folder(path, "new"))
		return SOURCE_MAILDIR;
	return input_is_mbox(path) ? SOURCE_MBOX : SOURCE_EML;
}

bool send_source_is_many(const struct send_source *s)
{
	return s->count > 1 || format_of(s, s->path[0]) != SOURCE_EML || is_folder(s->path[0]);
}

const char *send_source_name(const struct send_source *s)
{
	return s->name ? s->name : "";
}

static void set_name(struct send_source *s, char *name)
{
	free(s->name);
	s->name = name;
}

/* ---- one file ------------------------------------------------------------------ */

static enum source_next result_of(enum submit_result result, enum submit_result *why)
{
	*why = result;
	switch (result) {
	case SUBMIT_OK:
		return SOURCE_MESSAGE;
	case SUBMIT_INVALID:
	case SUBMIT_NOBODY:
		return SOURCE_REFUSED;
	case SUBMIT_FAILED:
		break;
	}
	return SOURCE_FAILED;
}

static enum source_next read_file(const char *path, bool found, const struct submit_options *options,
				  struct submission *out, enum submit_result *why, struct err *e)
{
	int fd = is_stdin(path) ? STDIN_FILENO : input_open(path, found, e);
	enum submit_result r;

	if (fd < 0)
		return SOURCE_FAILED;
	r = submission_read(out, fd, options, e);
	if (fd != STDIN_FILENO)
		close(fd);
	return result_of(r, why);
}

/* ---- a folder -------------------------------------------------------------------- */

static const char *name_at(const struct names *n, size_t i)
{
	return n->text.data + n->at[i];
}

static int compare_names(const void *a, const void *b, void *ctx)
{
	const struct names *n = ctx;
	const char *x = n->text.data + *(const uint32_t *)a, *y = n->text.data + *(const uint32_t *)b;
	const char *x_base = strrchr(x, '/'), *y_base = strrchr(y, '/');

	/* names in a Maildir begin with the time, in new/ as in cur/ */
	return strcmp(x_base ? x_base + 1 : x, y_base ? y_base + 1 : y);
}

static bool add_name(struct names *n, const char *prefix, const char *name)
{
	size_t at = n->text.len;

	if (n->count == n->room) {
		n->room = n->room ? 2 * n->room : 64;
		n->at = mem_resize(n->at, n->room, sizeof(*n->at));
	}
	if (!buf_addf(&n->text, "%s%s", prefix, name) || !buf_addc(&n->text, '\0'))
		return false;
	n->at[n->count++] = (uint32_t)at;
	return true;
}

static bool is_message(const char *name, enum source_format format)
{
	size_t len = strlen(name);

	return name[0] != '.' &&
	       (format == SOURCE_MAILDIR || (len > 4 && strcmp(name + len - 4, ".eml") == 0));
}

static int list_folder(struct names *n, const char *path, const char *prefix, enum source_format format,
		       struct err *e)
{
	char *full = mem_printf("%s/%s", path, prefix);
	DIR *dir = opendir(full);
	struct dirent *entry;
	bool ok = true;

	free(full);
	while (dir && ok && (errno = 0, entry = readdir(dir)))
		if (is_message(entry->d_name, format))
			ok = add_name(n, prefix, entry->d_name);
	if (!ok)
		err_set(e, "too many files");
	else if (!dir || errno)
		err_set_os(e, errno, "cannot list it");
	ok = ok && dir && !errno;
	if (dir)
		closedir(dir);
	return ok ? 0 : -1;
}

static int open_folder(struct send_source *s, const char *path, enum source_format format, struct err *e)
{
	struct names *n = &s->names;
	int r = format == SOURCE_MAILDIR ? list_folder(n, path, "new/", format, e) : 0;

	if (r == 0)
		r = list_folder(n, path, format == SOURCE_MAILDIR ? "cur/" : "", format, e);
	if (r == 0 && n->count == 0 && format == SOURCE_EML) {
		err_set(e, "neither a Maildir nor a folder with .eml files");
		r = -1;
	}
	if (r < 0) {
		close_folder(s);
		return -1;
	}
	if (n->count == 0)
		return 0;
	qsort_r(n->at, n->count, sizeof(*n->at), compare_names, n);
	return 0;
}

static enum source_next next_of_folder(struct send_source *s, const struct submit_options *options,
				       struct submission *out, enum submit_result *why, struct err *e)
{
	set_name(s, mem_printf("%s/%s", s->path[s->index], name_at(&s->names, s->names.next++)));
	return read_file(s->name, true, options, out, why, e);
}

/* ---- an mbox ------------------------------------------------------------------------- */

static bool on_begin(void *ctx)
{
	struct send_source *s = ctx;

	if (s->in_message) {
		s->next_begun = true;
		return false;
	}
	s->in_message = true;
	return true;
}

static bool on_text(void *ctx, const char *data, size_t len)
{
	struct send_source *s = ctx;

	submission_write(s->txn, data, len); /* one that is refused is read to its end nevertheless */
	return true;
}

static int open_mbox(struct send_source *s, const char *path, struct err *e)
{
	s->fd = is_stdin(path) ? STDIN_FILENO : input_open(path, false, e);
	if (s->fd < 0)
		return -1;
	s->block = mem_alloc(BLOCK);
	s->rest_len = s->number = 0;
	s->in_message = s->next_begun = false;
	mbox_reader_init(&s->reader, on_begin, on_text, s);
	return 0;
}

/* Up to the next message's separator (1), or the end (0). */
static int read_mbox_message(struct send_source *s, struct err *e)
{
	for (;;) {
		ssize_t n;

		if (s->rest_len > 0) {
			const char *end = s->rest + s->rest_len;

			if (!mbox_read(&s->reader, s->rest, s->rest_len)) {
				s->rest = s->reader.rest;
				s->rest_len = (size_t)(end - s->rest);
				return 1;
			}
			s->rest_len = 0;
		}
		n = read(s->fd, s->block, BLOCK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "cannot read it");
			return -1;
		}
		if (n == 0) {
			mbox_read_end(&s->reader);
			return 0;
		}
		s->rest = s->block;
		s->rest_len = (size_t)n;
	}
}

static enum source_next next_of_mbox(struct send_source *s, const struct submit_options *options,
				     struct submission *out, enum submit_result *why, struct err *e)
{
	const char *path = is_stdin(s->path[s->index]) ? "standard input" : s->path[s->index];
	bool is_first = s->number == 0;
	int r;

	s->txn = submission_begin(out, options);
	s->in_message = s->next_begun;
	s->next_begun = false;
	set_name(s, mem_printf("%s, message %zu", path, ++s->number));
	r = read_mbox_message(s, e);
	if (r <= 0 || !s->in_message)
		close_mbox(s);
	if (r < 0 || !s->in_message) {
		submission_abort(s->txn);
		set_name(s, mem_strdup(path));
		if (r == 0)
			err_set(e, "not an mbox: no line begins with \"From \"");
		return SOURCE_FAILED;
	}
	if (is_first && s->reader.stray) {
		submission_abort(s->txn);
		set_name(s, mem_strdup(path));
		close_mbox(s);
		err_set(e, "not an mbox: it does not begin with \"From \"");
		return SOURCE_FAILED;
	}
	return result_of(submission_commit(s->txn, e), why);
}

/* ---- all ---------------------------------------------------------------------------------- */

static enum source_next open_next(struct send_source *s, const struct submit_options *options,
				  struct submission *out, enum submit_result *why, struct err *e,
				  bool *opened)
{
	const char *path = s->path[s->index];
	enum source_format format = format_of(s, path);

	*opened = false;
	set_name(s, mem_strdup(is_stdin(path) ? "standard input" : path));
	if (format == SOURCE_MBOX) {
		*opened = open_mbox(s, path, e) == 0;
	} else if (format == SOURCE_MAILDIR || is_folder(path)) {
		*opened = open_folder(s, path, format, e) == 0;
	} else {
		enum source_next r = read_file(path, false, options, out, why, e);

		s->index++;
		return r;
	}
	if (*opened)
		return SOURCE_MESSAGE;
	s->index++;
	return SOURCE_FAILED;
}

enum source_next send_source_next(struct send_source *s, const struct submit_options *options,
				  struct submission *out, enum submit_result *why, struct err *e)
{
	*why = SUBMIT_FAILED;
	while (s->index < s->count) {
		enum source_next r;
		bool opened;

		if (s->fd >= 0) {
			r = next_of_mbox(s, options, out, why, e);
			s->index += s->fd < 0;
			return r;
		}
		if (s->names.at && s->names.next < s->names.count)
			return next_of_folder(s, options, out, why, e);
		if (s->names.at) {
			close_folder(s);
			s->index++;
			continue;
		}
		r = open_next(s, options, out, why, e, &opened);
		if (!opened)
			return r;
		/* an empty Maildir is nothing to complain about */
		s->index += s->fd < 0 && !s->names.at;
	}
	return SOURCE_END;
}
