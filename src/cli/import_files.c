/* SPDX-License-Identifier: ISC */
/* See import_run.h: messages in .eml files, alone or a directory of them, and in an mbox. */
#include "cli/import_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/mbox.h"

#define BLOCK (64u << 10)
#define SIDECAR_MAX (64u << 20)

/* ---- .eml files --------------------------------------------------------------------- */

static int read_all(int fd, size_t max, struct buf *out, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	ssize_t n;
	int r = 0;

	buf_init(out, max);
	while (r == 0 && (n = read(fd, block, BLOCK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "cannot read it");
			r = -1;
		} else if (!buf_add(out, block, (size_t)n)) {
			err_set(e, "larger than %zu octets", max);
			r = -1;
		}
	}
	free(block);
	return r;
}

/* ID.envelope.json beside ID.eml; NULL with e->text empty: there is none. */
static json_t *read_sidecar(const char *path, bool found, struct err *e)
{
	size_t len = strlen(path);
	json_t *object = NULL;
	json_error_t why;
	char *name;
	int fd;

	e->text[0] = '\0';
	if (len < 4 || strcmp(path + len - 4, ".eml") != 0)
		return NULL;
	name = mem_printf("%.*s.envelope.json", (int)(len - 4), path);
	fd = input_open(name, found, e);
	if (fd >= 0) {
		struct buf text;

		if (read_all(fd, SIDECAR_MAX, &text, e) == 0) {
			object = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &why);
			if (!object)
				err_set(e, "line %d: %s", why.line, why.text);
		}
		if (!object)
			err_prefix(e, "%s", name);
		buf_release(&text);
		close(fd);
	} else if (e->os_error == ENOENT) {
		e->text[0] = '\0';
	} else {
		err_prefix(e, "%s", name);
	}
	free(name);
	return object;
}

void import_eml(struct import *im, const char *path, bool found)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct err e = { 0 };
	int fd = is_stdin ? STDIN_FILENO : input_open(path, found, &e);
	enum imported result = IMPORT_FAILED;
	json_t *sidecar = NULL;
	struct spool_id id;
	struct buf text;

	if (fd < 0) {
		/* what is no file is not the trouble of the others */
		import_report_result(im, path, found && e.os_error == 0 ? IMPORT_REFUSED : IMPORT_FAILED,
				     NULL, &e);
		return;
	}
	if (read_all(fd, IMPORT_TEXT_MAX, &text, &e) == 0) {
		sidecar = is_stdin ? NULL : read_sidecar(path, found, &e);
		if (sidecar || is_stdin || !e.text[0])
			result =
				import_message(&im->spool, text.data, text.len, sidecar, &im->rules, &id, &e);
		else
			result = IMPORT_REFUSED;
	}
	import_report_result(im, path, result, &id, &e);
	json_decref(sidecar);
	buf_release(&text);
	if (!is_stdin)
		close(fd);
}

static int is_eml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + len - 4, ".eml") == 0;
}

/* By name, which for what was exported is by age. */
void import_directory(struct import *im, const char *path)
{
	struct dirent **entry;
	int count = scandir(path, &entry, is_eml, alphasort);

	if (count < 0) {
		import_report(im, path, "failed", NULL, strerror(errno));
		im->failed = true;
		return;
	}
	if (count == 0)
		import_report(im, path, "refused", NULL, "neither a spool nor a directory with .eml files");
	im->skipped += count == 0;
	for (int i = 0; i < count; i++) {
		char *name = mem_printf("%s/%s", path, entry[i]->d_name);

		if (!im->failed)
			import_eml(im, name, true);
		free(name);
		free(entry[i]);
	}
	free(entry);
}

/* ---- mbox ----------------------------------------------------------------------------- */

static void finish_message(struct import *im)
{
	enum imported result = IMPORT_REFUSED;
	struct spool_id id;
	struct err e;
	char *source;

	if (im->number == 0)
		return;
	source = mem_printf("%s, message %zu", im->source, im->number);
	if (im->too_large)
		err_set(&e, "larger than %u octets", IMPORT_TEXT_MAX);
	else
		result = import_message(&im->spool, im->text.data, im->text.len, NULL, &im->rules, &id, &e);
	import_report_result(im, source, result, &id, &e);
	free(source);
}

static bool on_begin(void *ctx)
{
	struct import *im = ctx;

	finish_message(im);
	im->number++;
	im->too_large = false;
	buf_clear(&im->text);
	return !im->failed;
}

static bool on_text(void *ctx, const char *data, size_t len)
{
	struct import *im = ctx;

	im->too_large |= !buf_add(&im->text, data, len);
	return true;
}

void import_mbox(struct import *im, const char *path)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	char *block = mem_alloc(BLOCK);
	struct mbox_reader r;
	ssize_t n = -1;
	bool ok = true;

	im->source = path;
	im->number = 0;
	buf_init(&im->text, IMPORT_TEXT_MAX);
	mbox_reader_init(&r, on_begin, on_text, im);
	while (fd >= 0 && ok && (n = read(fd, block, BLOCK)) > 0)
		ok = mbox_read(&r, block, (size_t)n);
	if (n < 0) {
		import_report(im, path, "failed", NULL, strerror(errno));
		im->failed = true;
	} else if (ok && mbox_read_end(&r)) {
		finish_message(im);
		if (r.stray || im->number == 0) {
			import_report(im, path, "refused", NULL,
				      im->number == 0
					      ? "not an mbox: no line begins with \"From \""
					      : "what stands before its first message was not imported");
			im->skipped++;
		}
	}
	buf_release(&im->text);
	free(block);
	if (fd >= 0 && !is_stdin)
		close(fd);
}
