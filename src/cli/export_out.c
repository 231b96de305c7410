/* SPDX-License-Identifier: ISC */
/* See export_out.h. */
#include "cli/export_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/file.h"
#include "cli/json.h"
#include "cli/mbox.h"

#define BLOCK (64u << 10)

/* ---- files ---------------------------------------------------------------------- */

/* Whoever may read the queue may read this; nobody else. */
#define FILE_MODE 0600

static int write_content(const struct spool_message *m, int fd, const char *name, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	uint64_t offset = 0;
	ssize_t n;

	while ((n = spool_message_read(m, offset, block, BLOCK, e)) > 0) {
		if (file_write_all(fd, block, (size_t)n) < 0) {
			err_set_os(e, errno, "%s: cannot write this file", name);
			n = -1;
			break;
		}
		offset += (uint64_t)n;
	}
	free(block);
	return n < 0 ? -1 : 0;
}

/* DIR/NAME appears whole: under another name first. m NULL: text. */
static int write_file(const struct export_out *out, const char *name, const struct spool_message *m,
		      const char *text, struct err *e)
{
	char *temporary = mem_printf("%s.new", name), *shown = mem_printf("%s/%s", out->path, name);
	int fd, r = -1;

	/* of a run that was killed; or another user's, put there to be written: ours is new */
	(void)unlinkat(out->dir_fd, temporary, 0);
	fd = openat(out->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0) {
		err_set_os(e, errno, "%s.new: cannot create this file", shown);
		goto out;
	}
	if (m && write_content(m, fd, shown, e) < 0)
		goto out;
	if ((text && file_write_all(fd, text, strlen(text)) < 0) || fsync(fd) < 0 ||
	    renameat(out->dir_fd, temporary, out->dir_fd, name) < 0) {
		err_set_os(e, errno, "%s: cannot write this file", shown);
		goto out;
	}
	r = 0;
out:
	if (fd >= 0) {
		close(fd);
		if (r < 0)
			unlinkat(out->dir_fd, temporary, 0);
	}
	free(temporary);
	free(shown);
	return r;
}

static int put_eml(const struct export_out *out, const struct spool_message *m, const struct spool_state *st,
		      struct err *e)
{
	char eml[SPOOL_ID_LEN + 32], sidecar[SPOOL_ID_LEN + 32], *line, *text;
	json_t *envelope;
	int r;

	if (carry_to_json(&m->env, st, &envelope, e) < 0)
		return -1;
	line = json_dumps(envelope, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(envelope);
	ASSERT(line);
	text = mem_printf("%s\n", line);
	free(line);
	snprintf(eml, sizeof(eml), "%s.eml", m->env.id);
	snprintf(sidecar, sizeof(sidecar), "%s.envelope.json", m->env.id);
	/* a message without its envelope would be worth less than the other way round */
	r = write_file(out, sidecar, NULL, text, e);
	if (r == 0)
		r = write_file(out, eml, m, NULL, e);
	free(text);
	return r;
}

/* ---- mbox ------------------------------------------------------------------------- */

static int flush_mbox(const struct export_out *out, struct buf *text, struct err *e)
{
	if (file_write_all(out->file_fd, text->data, text->len) < 0) {
		err_set_os(e, errno, "%s: cannot write this file", out->path ? out->path : "standard output");
		return -1;
	}
	buf_clear(text);
	return 0;
}

static int put_mbox(const struct export_out *out, const struct spool_message *m, const struct spool_state *st,
		       struct err *e)
{
	char *block = mem_alloc(BLOCK);
	struct mbox_writer w;
	uint64_t offset = 0;
	struct buf text, fields;
	ssize_t n;
	int r = -1;

	buf_init(&text, SIZE_MAX / 2); /* of a block at a time; the envelope has its own ceiling */
	buf_init(&fields, SIZE_MAX / 2);
	mbox_writer_init(&w);
	if (!mbox_put_separator(m->env.sender, m->env.arrived_wall_us, &text) ||
	    !carry_to_fields(&m->env, st, &fields) || !mbox_write(&w, fields.data, fields.len, &text)) {
		err_set(e, "%s: its envelope is too large", m->env.id);
		goto out;
	}
	while ((n = spool_message_read(m, offset, block, BLOCK, e)) > 0) {
		mbox_write(&w, block, (size_t)n, &text);
		offset += (uint64_t)n;
		if (flush_mbox(out, &text, e) < 0)
			goto out;
	}
	mbox_write_end(&w, &text);
	r = n < 0 ? -1 : flush_mbox(out, &text, e);
out:
	buf_release(&fields);
	buf_release(&text);
	free(block);
	return r;
}

int export_out_put(const struct export_out *out, const struct spool_message *m, const struct spool_state *st,
		   struct err *e)
{
	return (out->format == CARRY_EML ? put_eml : put_mbox)(out, m, st, e);
}

/* ---- where it goes ------------------------------------------------------------------- */

static int open_directory(struct export_out *out, const char *path, struct err *e)
{
	out->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->dir_fd >= 0)
		return 0;
	err_set_os(e, errno, "%s: cannot open this directory", path);
	return -1;
}

static int open_mbox(struct export_out *out, struct err *e)
{
	const char *slash;
	char *dir;
	int r;

	if (!out->path) {
		out->file_fd = STDOUT_FILENO;
		return 0;
	}
	if (access(out->path, F_OK) == 0) {
		err_set(e, "%s: is there already: name another file", out->path);
		return -1;
	}
	slash = strrchr(out->path, '/');
	dir = slash == out->path ? mem_strdup("/") :
	      slash		 ? mem_strndup(out->path, (size_t)(slash - out->path)) :
				   mem_strdup(".");
	r = open_directory(out, dir, e);
	free(dir);
	if (r < 0)
		return -1;
	out->temporary = mem_printf("%s.XXXXXX", out->path);
	out->file_fd = mkostemp(out->temporary, O_CLOEXEC); /* 0600 */
	if (out->file_fd >= 0)
		return 0;
	err_set_os(e, errno, "%s: cannot create a file in its place", out->path);
	return -1;
}

int export_out_open(struct export_out *out, enum carry_format format, const char *path, struct err *e)
{
	*out = (struct export_out){ .format = format, .path = path, .dir_fd = -1, .file_fd = -1 };
	switch (format) {
	case CARRY_EML:
		if (mkdir(path, 0700) < 0 && errno != EEXIST) {
			err_set_os(e, errno, "%s: cannot make this directory", path);
			return -1;
		}
		return open_directory(out, path, e);
	case CARRY_MBOX:
		return open_mbox(out, e);
	case CARRY_SPOOL:
		break;
	}
	assert_failed("a spool is no such place", __FILE__, __LINE__);
}

int export_out_finish(struct export_out *out, struct err *e)
{
	if (!out->path)
		return 0;
	if (out->format == CARRY_MBOX) {
		/* link, not rename: nobody's file is replaced */
		if (fsync(out->file_fd) < 0 || link(out->temporary, out->path) < 0 ||
		    unlink(out->temporary) < 0) {
			err_set_os(e, errno, "%s: cannot write this file", out->path);
			return -1;
		}
	}
	if (fsync(out->dir_fd) == 0 || errno == EINVAL)
		return 0;
	err_set_os(e, errno, "%s: cannot sync its directory", out->path);
	return -1;
}

void export_out_close(struct export_out *out, bool keep)
{
	if (out->temporary && !keep)
		unlink(out->temporary);
	free(out->temporary);
	if (out->file_fd >= 0 && out->file_fd != STDOUT_FILENO)
		close(out->file_fd);
	if (out->dir_fd >= 0)
		close(out->dir_fd);
}
