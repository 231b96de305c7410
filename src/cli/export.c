/* SPDX-License-Identifier: ISC */
/*
 * posthouse export: queued messages as files elsewhere, beside a running relay.
 * Each is verified before it is written, and durable (fsync of the file and of
 * its directory) before it is said to be there; only then, with --remove, it
 * leaves the queue, on the same way as with `posthouse remove`. Interrupted
 * anywhere: nothing is lost, and what was not removed can be exported again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/access.h"
#include "cli/carry.h"
#include "cli/export_remove.h"
#include "cli/json.h"
#include "cli/lookup.h"
#include "cli/mbox.h"
#include "cli/progress.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "spool/adopt.h"
#include "spool/state.h"

enum { OPT_FORMAT = ARGS_LONG_ONLY, OPT_REMOVE, OPT_JSON };

const struct args_option export_options[] = {
	{ "format", OPT_FORMAT, "FORMAT", "eml (the default), mbox or spool" },
	{ "output", 'o', "PATH", "directory (eml, spool) or file (mbox) to write" },
	{ "remove", OPT_REMOVE, NULL, "remove what was exported from the queue" },
	{ "json", OPT_JSON, NULL, "a JSON object for each message" },
	ARGS_OPTIONS_END,
};

#define BLOCK (64u << 10)

enum format { FORMAT_EML, FORMAT_MBOX, FORMAT_SPOOL };
static const char *const format_names[] = { "eml", "mbox", "spool" };
#define FORMATS (sizeof(format_names) / sizeof(*format_names))

struct export {
	struct cli *cli;
	struct spool spool;
	enum format format;
	const char *output; /* NULL: standard output (mbox) */
	bool remove, json;
	struct id_list ids; /* selected */
	struct id_list exported; /* of these, what is to be removed */
	int dir_fd; /* EML: the directory; MBOX: that of the file */
	int file_fd; /* MBOX: the file, under its temporary name */
	char *temporary; /* MBOX: that name; owned */
	struct spool other; /* SPOOL */
	int lock_fd; /* SPOOL: of the other one */
	size_t done, skipped;
};

/* ---- files ---------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Whoever may read the queue may read this; nobody else. */
#define FILE_MODE 0600

static int write_content(const struct spool_message *m, int fd, const char *name, struct err *e)
{
	char *block = mem_alloc(BLOCK);
	uint64_t offset = 0;
	ssize_t n;

	while ((n = spool_message_read(m, offset, block, BLOCK, e)) > 0) {
		if (write_all(fd, block, (size_t)n) < 0) {
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
static int write_file(const struct export *x, const char *name, const struct spool_message *m, const char *text,
		      struct err *e)
{
	char *temporary = mem_printf("%s.new", name), *shown = mem_printf("%s/%s", x->output, name);
	int fd, r = -1;

	/* of a run that was killed; or another user's, put there to be written: ours is new */
	(void)unlinkat(x->dir_fd, temporary, 0);
	fd = openat(x->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0) {
		err_set_os(e, errno, "%s.new: cannot create this file", shown);
		goto out;
	}
	if (m && write_content(m, fd, shown, e) < 0)
		goto out;
	if ((text && write_all(fd, text, strlen(text)) < 0) || fsync(fd) < 0 ||
	    renameat(x->dir_fd, temporary, x->dir_fd, name) < 0) {
		err_set_os(e, errno, "%s: cannot write this file", shown);
		goto out;
	}
	r = 0;
out:
	if (fd >= 0) {
		close(fd);
		if (r < 0)
			unlinkat(x->dir_fd, temporary, 0);
	}
	free(temporary);
	free(shown);
	return r;
}

static int export_eml(const struct export *x, const struct spool_message *m, const struct spool_state *st,
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
	r = write_file(x, sidecar, NULL, text, e);
	if (r == 0)
		r = write_file(x, eml, m, NULL, e);
	free(text);
	return r;
}

/* ---- mbox ------------------------------------------------------------------------- */

static int flush_mbox(const struct export *x, struct buf *text, struct err *e)
{
	if (write_all(x->file_fd, text->data, text->len) < 0) {
		err_set_os(e, errno, "%s: cannot write this file", x->output ? x->output : "standard output");
		return -1;
	}
	buf_clear(text);
	return 0;
}

static int export_mbox(const struct export *x, const struct spool_message *m, const struct spool_state *st,
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
		if (flush_mbox(x, &text, e) < 0)
			goto out;
	}
	mbox_write_end(&w, &text);
	r = n < 0 ? -1 : flush_mbox(x, &text, e);
out:
	buf_release(&fields);
	buf_release(&text);
	free(block);
	return r;
}

/* ---- one message ------------------------------------------------------------------- */

enum exported { EXPORTED, EXPORT_GONE, EXPORT_SKIPPED, EXPORT_STOPPED };

static enum exported read_and_write(struct export *x, const char *id, struct err *e)
{
	enum exported result = EXPORT_STOPPED;
	struct spool_message m;
	struct spool_state st;

	switch (access_verified(x->cli, &x->spool, id, &m, &st, e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_GONE:
		return EXPORT_GONE;
	case SPOOL_READ_CORRUPT:
		return EXPORT_SKIPPED;
	case SPOOL_READ_FAILED: /* a relay that does not answer will not do so for the next one */
		return x->cli->view ? EXPORT_STOPPED : EXPORT_SKIPPED;
	}
	if ((x->format == FORMAT_EML ? export_eml : export_mbox)(x, &m, &st, e) == 0)
		result = EXPORTED;
	spool_state_release(&st);
	spool_message_close(&m);
	return result;
}

static enum exported export_one(struct export *x, const char *id, struct err *e)
{
	struct spool_id as;

	if (x->format != FORMAT_SPOOL)
		return read_and_write(x, id, e);
	switch (spool_adopt(&x->other, &x->spool, id, false, &as, e)) {
	case ADOPT_DONE:
	case ADOPT_SAME:
		return EXPORTED;
	case ADOPT_GONE:
		return EXPORT_GONE;
	case ADOPT_TAKEN:
	case ADOPT_CORRUPT:
		return EXPORT_SKIPPED;
	case ADOPT_FAILED:
		return EXPORT_STOPPED;
	}
	assert_failed("a result without a meaning", __FILE__, __LINE__);
}

static void report(const struct export *x, const char *id, enum exported result, const struct err *e)
{
	static const char *const names[] = { "exported", "gone", "skipped", "failed" };
	json_t *o;

	if (result == EXPORT_SKIPPED || result == EXPORT_STOPPED)
		cli_error("%s: %s", id, e->text);
	if (!x->json)
		return;
	o = json_object();
	json_put_key(o, "id", json_string(id));
	json_put_key(o, "result", json_string(names[result]));
	if (result == EXPORT_SKIPPED || result == EXPORT_STOPPED)
		json_put_key(o, "reason", json_text_or_null(e->text));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

/* ---- where it goes ------------------------------------------------------------------- */

/* The other spool: as it is, or made like ours. */
static int open_other(struct export *x, struct err *e)
{
	if (access(x->output, F_OK) < 0 && spool_prepare_like(&x->spool, x->output, e) < 0)
		return -1;
	if (spool_open(&x->other, x->output, SPOOL_READ, SPOOL_SYNC_AUTO, e) < 0)
		return -1;
	x->lock_fd = spool_lock(x->output, e);
	if (x->lock_fd >= 0)
		return 0;
	spool_close(&x->other);
	return -1;
}

static int open_directory(struct export *x, const char *path, struct err *e)
{
	x->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->dir_fd >= 0)
		return 0;
	err_set_os(e, errno, "%s: cannot open this directory", path);
	return -1;
}

static int open_mbox(struct export *x, struct err *e)
{
	const char *slash;
	char *dir;
	int r;

	if (!x->output) {
		x->file_fd = STDOUT_FILENO;
		return 0;
	}
	if (access(x->output, F_OK) == 0) {
		err_set(e, "%s: is there already: name another file", x->output);
		return -1;
	}
	slash = strrchr(x->output, '/');
	dir = slash == x->output ? mem_strdup("/") :
	      slash		 ? mem_strndup(x->output, (size_t)(slash - x->output)) :
				   mem_strdup(".");
	r = open_directory(x, dir, e);
	free(dir);
	if (r < 0)
		return -1;
	x->temporary = mem_printf("%s.XXXXXX", x->output);
	x->file_fd = mkostemp(x->temporary, O_CLOEXEC); /* 0600 */
	if (x->file_fd >= 0)
		return 0;
	err_set_os(e, errno, "%s: cannot create a file in its place", x->output);
	return -1;
}

static int open_output(struct export *x, struct err *e)
{
	switch (x->format) {
	case FORMAT_EML:
		if (mkdir(x->output, 0700) < 0 && errno != EEXIST) {
			err_set_os(e, errno, "%s: cannot make this directory", x->output);
			return -1;
		}
		return open_directory(x, x->output, e);
	case FORMAT_MBOX:
		return open_mbox(x, e);
	case FORMAT_SPOOL:
		return open_other(x, e);
	}
	assert_failed("a format without a place", __FILE__, __LINE__);
}

/* All that was written is durable, and has its name. */
static int finish_output(struct export *x, struct err *e)
{
	if (x->format == FORMAT_SPOOL || !x->output)
		return 0;
	if (x->format == FORMAT_MBOX) {
		/* link, not rename: nobody's file is replaced */
		if (fsync(x->file_fd) < 0 || link(x->temporary, x->output) < 0 || unlink(x->temporary) < 0) {
			err_set_os(e, errno, "%s: cannot write this file", x->output);
			return -1;
		}
	}
	if (fsync(x->dir_fd) == 0 || errno == EINVAL)
		return 0;
	err_set_os(e, errno, "%s: cannot sync its directory", x->output);
	return -1;
}

static void close_output(struct export *x, bool keep)
{
	if (x->temporary && !keep)
		unlink(x->temporary);
	free(x->temporary);
	if (x->file_fd >= 0 && x->file_fd != STDOUT_FILENO)
		close(x->file_fd);
	if (x->dir_fd >= 0)
		close(x->dir_fd);
	if (x->lock_fd >= 0) {
		spool_close(&x->other);
		close(x->lock_fd);
	}
}

/* ---- the verb --------------------------------------------------------------------------- */

static void put_summary(const struct export *x, const struct removal *removal)
{
	if (x->json || !x->output)
		return;
	printf("%zu message%s exported to %s", x->done, x->done == 1 ? "" : "s", x->output);
	if (x->skipped > 0)
		printf(", %zu not", x->skipped);
	if (x->remove)
		printf("; %zu removed from the queue", removal->removed);
	puts(".");
}

static void put_dry_run(const struct export *x)
{
	struct spool_id id;

	for (size_t i = 0; i < x->ids.count && cli_output_is_open(); i++) {
		id_list_get(&x->ids, i, &id);
		puts(id.text);
	}
}

static enum cli_status write_all_messages(struct export *x)
{
	enum cli_status status = CLI_DONE;
	struct progress progress;
	struct spool_id id;
	struct err e;

	progress_begin(&progress, "exporting", x->ids.count);
	for (size_t i = 0; i < x->ids.count; i++) {
		enum exported result;

		progress_at(&progress, i);
		id_list_get(&x->ids, i, &id);
		result = export_one(x, id.text, &e);
		if (result != EXPORTED || x->json)
			progress_clear(&progress);
		report(x, id.text, result, &e);
		if (result == EXPORT_STOPPED)
			return CLI_UNREACHABLE;
		if (result == EXPORTED) {
			x->done++;
			id_list_add(&x->exported, id.text);
		}
		if (result == EXPORT_SKIPPED) {
			x->skipped++;
			status = CLI_NOTHING;
		}
	}
	progress_clear(&progress);
	if (finish_output(x, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	return status;
}

static enum cli_status export_all(struct export *x)
{
	struct removal removal = { .from = &x->spool, .other = x->format == FORMAT_SPOOL ? &x->other : NULL };
	enum cli_status status, removed;

	/* first of all: who may not remove shall hear it before, and without a daemon nobody shall start one */
	if (x->remove && removal_open(&removal, x->cli) < 0)
		return CLI_UNREACHABLE;
	status = write_all_messages(x);
	if (x->remove && status != CLI_UNREACHABLE) {
		removed = removal_run(&removal, &x->exported);
		status = removed > status ? removed : status;
	}
	removal_close(&removal);
	if (status != CLI_UNREACHABLE)
		put_summary(x, &removal);
	return status;
}

static enum cli_status run(struct export *x)
{
	enum cli_status selected = select_ids(x->cli, &x->spool, &x->ids), status;
	struct err e;

	if (selected == CLI_UNREACHABLE)
		return selected;
	if (select_is_dry_run(x->cli->select)) {
		put_dry_run(x);
		return selected;
	}
	if (open_output(x, &e) < 0) {
		cli_error("%s", e.text);
		close_output(x, false);
		return CLI_UNREACHABLE;
	}
	status = export_all(x);
	close_output(x, status != CLI_UNREACHABLE);
	return status > selected ? status : selected;
}

static int take_option(struct export *x, int key)
{
	const char *value = x->cli->args.value;

	switch (key) {
	case OPT_FORMAT:
		for (size_t i = 0; i < FORMATS; i++)
			if (strcmp(value, format_names[i]) == 0) {
				x->format = (enum format)i;
				return 0;
			}
		x->cli->ended = cli_usage_error(x->cli, "--format %s: expected eml, mbox or spool", value);
		return -1;
	case 'o':
		x->output = value;
		return 0;
	case OPT_REMOVE:
		x->remove = true;
		return 0;
	case OPT_JSON:
		x->json = true;
		return 0;
	}
	assert_failed("an option without a meaning", __FILE__, __LINE__);
}

static int read_arguments(struct export *x)
{
	int key;

	while ((key = cli_option(x->cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(x, key) < 0)
			return -1;
	if (x->output && x->format == FORMAT_MBOX && strcmp(x->output, "-") == 0)
		x->output = NULL;
	if (!x->output && x->format != FORMAT_MBOX)
		x->cli->ended = cli_usage_error(x->cli, "where to? --output names the directory");
	else if (!x->output && x->json)
		x->cli->ended = cli_usage_error(x->cli, "--json and an mbox cannot both go to standard output");
	else if (!x->output && x->remove)
		x->cli->ended = cli_usage_error(x->cli, "--remove needs --output: standard output may be lost");
	else
		return select_finish(x->cli, x->remove ? SELECT_NOTHING : SELECT_ALL);
	return -1;
}

enum cli_status verb_export(struct cli *cli)
{
	struct export x = { .cli = cli, .dir_fd = -1, .file_fd = -1, .lock_fd = -1 };
	enum cli_status status;

	if (read_arguments(&x) < 0)
		return cli->ended;
	if (access_open(cli, &x.spool) < 0)
		return CLI_UNREACHABLE;
	if (cli->view && x.format == FORMAT_SPOOL) {
		cli_error("%s: a whole spool is copied file by file: run it as root, or use another --format",
			  x.spool.path);
		access_close(cli, &x.spool);
		return CLI_UNREACHABLE;
	}
	id_list_init(&x.ids);
	id_list_init(&x.exported);
	status = cli_finish_output(run(&x));
	id_list_release(&x.exported);
	id_list_release(&x.ids);
	access_close(cli, &x.spool);
	return status;
}
