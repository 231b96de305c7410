/* SPDX-License-Identifier: ISC */
/*
 * posthouse import: mail from files into the queue. Each message is durable
 * before it is said to be there; a relay that runs is told of it at the end,
 * and after each so many. Interrupted anywhere: what was said to be queued is.
 * A spool is taken over with its states, and a second run over it finds what
 * the first one brought.
 */
#include "cli/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/change.h"
#include "cli/daemon.h"
#include "cli/json.h"
#include "cli/lookup.h"
#include "cli/mbox.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "config/config.h"
#include "spool/adopt.h"
#include "spool/state.h"

enum { OPT_FORMAT = ARGS_LONG_ONLY, OPT_FROM, OPT_TO, OPT_REMOVE, OPT_JSON };

const struct args_option import_options[] = {
	{ "format", OPT_FORMAT, "FORMAT", "eml, mbox or spool, instead of what PATH looks like" },
	{ "from", OPT_FROM, "ADDRESS", "sender" },
	{ "to", OPT_TO, "ADDRESS", "recipient, or a list of them; may be repeated" },
	{ "read-recipients", 't', NULL, "to the header's To, Cc, Bcc; Bcc is taken out" },
	{ "remove", OPT_REMOVE, NULL, "take each message out of the spool it is from" },
	{ "json", OPT_JSON, NULL, "a JSON object for each message" },
	ARGS_OPTIONS_END,
};

#define BLOCK (64u << 10)
#define TO_MAX 1000 /* --to options; each may be a list */
#define SIDECAR_MAX (64u << 20)

enum format { FORMAT_EML, FORMAT_MBOX, FORMAT_SPOOL, FORMAT_UNKNOWN };
static const char *const format_names[] = { "eml", "mbox", "spool" };
#define FORMATS (sizeof(format_names) / sizeof(*format_names))

struct import {
	struct cli *cli;
	struct spool spool;
	enum format format;
	bool remove, json;
	struct submit_options options;
	bool has_options;
	char **to; /* owned */
	struct import_rules rules;
	char **paths;
	int path_count;
	size_t imported, skipped;
	struct id_list news; /* what a running relay is to be told of */
	bool failed; /* the spool, or a file, could not be reached */
	/* an mbox being read */
	const char *source;
	struct buf text; /* of the current message */
	size_t number; /* of the current message, from 1 */
	bool too_large;
};

/* ---- the relay ------------------------------------------------------------------------ */

static bool order_attempts(const struct import *im, struct changer *changer)
{
	static const struct action_order order = { .action = ACTION_RETRY };
	struct action_item *items = mem_array(im->news.count, sizeof(*items));
	bool ok = true;
	struct err e;

	for (size_t i = 0; i < im->news.count; i++)
		id_list_get(&im->news, i, &items[i].id);
	if (change_run(changer, &order, items, im->news.count, &e) < 0) {
		cli_error("%s", e.text);
		ok = false;
	}
	free(items);
	return ok;
}

/* A relay learns of new mail from who commits it; that it retries them is how it learns of these. */
static void tell_relay(struct import *im)
{
	struct changer *changer = NULL;
	struct daemon *daemon;
	struct err e;

	if (im->news.count == 0)
		return;
	switch (daemon_connect(&daemon, im->spool.path, DAEMON_CONTROL, &e)) {
	case DAEMON_ABSENT: /* it finds them when it starts */
		return;
	case DAEMON_CONNECTED:
		daemon_close(daemon);
		changer = change_open(im->cli, im->spool.path);
		break;
	case DAEMON_DENIED:
	case DAEMON_FAILED:
		cli_error("%s", e.text);
		break;
	}
	if (!changer || !order_attempts(im, changer)) {
		cli_error("%s: the messages are queued, but the relay does not know of them before its next start",
			  im->spool.path);
		im->failed = true;
	}
	change_close(changer);
	im->news.count = 0;
}

/* Not only at the end: what an interrupted run has brought is in the queue, and shall not wait there. */
static void add_news(struct import *im, const char *id)
{
	id_list_add(&im->news, id);
	if (im->news.count >= ACTION_BATCH_MAX)
		tell_relay(im);
}


/* ---- saying ----------------------------------------------------------------------- */

static void report(struct import *im, const char *source, const char *result, const struct spool_id *id,
		   const char *reason)
{
	json_t *o;

	if (reason)
		cli_error("%s: %s", source, reason);
	if (!im->json) {
		struct buf line;

		if (!id || reason)
			return;
		buf_init(&line, 8192);
		term_escapes(&im->cli->out, source, &line);
		printf("%s  %s\n", id->text, line.data);
		buf_release(&line);
		return;
	}
	o = json_object();
	json_put_key(o, "source", json_text_or_null(source));
	json_put_key(o, "result", json_string(result));
	json_put_key(o, "id", id ? json_string(id->text) : json_null());
	json_put_key(o, "reason", json_text_or_null(reason));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

static void report_imported(struct import *im, const char *source, enum imported result, const struct spool_id *id,
			    const struct err *e)
{
	switch (result) {
	case IMPORTED:
		im->imported++;
		add_news(im, id->text);
		report(im, source, "imported", id, NULL);
		return;
	case IMPORT_NOBODY:
		im->skipped++;
		report(im, source, "nobody", NULL, "nobody is left to get it: not imported");
		return;
	case IMPORT_REFUSED:
		im->skipped++;
		report(im, source, "refused", NULL, e->text);
		return;
	case IMPORT_FAILED:
		im->failed = true;
		report(im, source, "failed", NULL, e->text);
		return;
	}
}

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

/*
 * A file that was named is whatever its name leads to. One that was found in a directory was perhaps put there by
 * whoever may write to it: neither a link to what only root may read, nor a pipe that nobody writes to.
 */
static int open_file(const char *path, bool found, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (found ? O_NOFOLLOW | O_NONBLOCK : 0));
	struct stat st;

	if (fd < 0) {
		err_set_os(e, errno, "cannot open it");
		if (found && errno == ELOOP)
			err_set(e, "is a symbolic link: name it to have it imported");
	} else if (found && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		err_set(e, "is no regular file");
		close(fd);
		fd = -1;
	}
	return fd;
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
	fd = open_file(name, found, e);
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

static void import_eml(struct import *im, const char *path, bool found)
{
	bool is_stdin = strcmp(path, "-") == 0;
	struct err e = { 0 };
	int fd = is_stdin ? STDIN_FILENO : open_file(path, found, &e);
	enum imported result = IMPORT_FAILED;
	json_t *sidecar = NULL;
	struct spool_id id;
	struct buf text;

	if (fd < 0) {
		/* what is no file is not the trouble of the others */
		report_imported(im, path, found && e.os_error == 0 ? IMPORT_REFUSED : IMPORT_FAILED, NULL, &e);
		return;
	}
	if (read_all(fd, IMPORT_TEXT_MAX, &text, &e) == 0) {
		sidecar = is_stdin ? NULL : read_sidecar(path, found, &e);
		if (sidecar || is_stdin || !e.text[0])
			result = import_message(&im->spool, text.data, text.len, sidecar, &im->rules, &id, &e);
		else
			result = IMPORT_REFUSED;
	}
	report_imported(im, path, result, &id, &e);
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
static void import_directory(struct import *im, const char *path)
{
	struct dirent **entry;
	int count = scandir(path, &entry, is_eml, alphasort);

	if (count < 0) {
		report(im, path, "failed", NULL, strerror(errno));
		im->failed = true;
		return;
	}
	if (count == 0)
		report(im, path, "refused", NULL, "neither a spool nor a directory with .eml files");
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
	report_imported(im, source, result, &id, &e);
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

static void import_mbox(struct import *im, const char *path)
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
		report(im, path, "failed", NULL, strerror(errno));
		im->failed = true;
	} else if (ok && mbox_read_end(&r)) {
		finish_message(im);
		if (r.stray || im->number == 0) {
			report(im, path, "refused", NULL, im->number == 0 ? "not an mbox: no line begins with \"From \"" :
				"what stands before its first message was not imported");
			im->skipped++;
		}
	}
	buf_release(&im->text);
	free(block);
	if (fd >= 0 && !is_stdin)
		close(fd);
}

/* ---- a spool ---------------------------------------------------------------------------- */

static void take_over(struct import *im, struct spool *from, const char *id)
{
	char *source = mem_printf("%s/queue/%s", from->path, id);
	struct spool_id as;
	struct err e;

	switch (spool_adopt(&im->spool, from, id, true, &as, &e)) {
	case ADOPT_DONE:
		report_imported(im, source, IMPORTED, &as, NULL);
		break;
	case ADOPT_SAME: /* of a run before this one, which may not have told the relay */
		add_news(im, id);
		report(im, source, "already", NULL, NULL);
		break;
	case ADOPT_GONE:
		free(source);
		return;
	case ADOPT_TAKEN:
	case ADOPT_CORRUPT:
		report_imported(im, source, IMPORT_REFUSED, NULL, &e);
		free(source);
		return;
	case ADOPT_FAILED:
		report_imported(im, source, IMPORT_FAILED, NULL, &e);
		free(source);
		return;
	}
	if (im->remove && spool_remove(from, id, &e) < 0)
		report_imported(im, source, IMPORT_FAILED, NULL, &e);
	free(source);
}

/* A spool on a medium that cannot be written has no relay, and needs no lock. */
static int lock_source(const char *path, int *fd, struct err *e)
{
	*fd = spool_lock(path, e);
	return *fd >= 0 || e->os_error == EROFS ? 0 : -1;
}

static void import_spool(struct import *im, const char *path)
{
	struct spool from;
	struct id_list ids;
	struct spool_id id;
	int lock_fd = -1;
	struct err e;

	if (spool_open_remains(&from, path, &e) < 0) {
		report(im, path, "failed", NULL, e.text);
		im->failed = true;
		return;
	}
	id_list_init(&ids);
	if (lock_source(path, &lock_fd, &e) < 0 || id_list_scan(&ids, &from, NULL, 0, &e) < 0) {
		report(im, path, "failed", NULL, e.text);
		im->failed = true;
	}
	for (size_t i = 0; i < ids.count && !im->failed; i++) {
		id_list_get(&ids, i, &id);
		take_over(im, &from, id.text);
	}
	id_list_release(&ids);
	if (lock_fd >= 0)
		close(lock_fd);
	spool_close(&from);
}

/* ---- the verb ------------------------------------------------------------------------------ */

static enum format guess(const char *path)
{
	char *queue = mem_printf("%s/queue", path), start[5] = "";
	enum format format = FORMAT_EML;
	struct stat st;
	int fd;

	if (stat(queue, &st) == 0 && S_ISDIR(st.st_mode)) {
		format = FORMAT_SPOOL;
	} else if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, start, sizeof(start)) == sizeof(start) && memcmp(start, "From ", 5) == 0)
			format = FORMAT_MBOX;
		if (fd >= 0)
			close(fd);
	}
	free(queue);
	return format;
}

static void import_path(struct import *im, const char *path)
{
	enum format format = im->format == FORMAT_UNKNOWN ? guess(path) : im->format;
	struct stat st;

	switch (format) {
	case FORMAT_MBOX:
		import_mbox(im, path);
		return;
	case FORMAT_SPOOL:
		import_spool(im, path);
		return;
	case FORMAT_EML:
	case FORMAT_UNKNOWN:
		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			import_directory(im, path);
		else
			import_eml(im, path, false);
		return;
	}
}

static enum cli_status run(struct import *im)
{
	for (int i = 0; i < im->path_count && !im->failed; i++)
		import_path(im, im->paths[i]);
	tell_relay(im);
	if (!im->json) {
		printf("%zu message%s imported", im->imported, im->imported == 1 ? "" : "s");
		if (im->skipped > 0)
			printf(", %zu not", im->skipped);
		puts(".");
	}
	return im->failed ? CLI_UNREACHABLE : im->skipped > 0 ? CLI_NOTHING : CLI_DONE;
}

static int take_option(struct import *im, int key)
{
	const char *value = im->cli->args.value;

	switch (key) {
	case OPT_FORMAT:
		for (size_t i = 0; i < FORMATS; i++)
			if (strcmp(value, format_names[i]) == 0) {
				im->format = (enum format)i;
				return 0;
			}
		im->cli->ended = cli_usage_error(im->cli, "--format %s: expected eml, mbox or spool", value);
		return -1;
	case OPT_FROM:
		im->options.from = value;
		im->has_options = true;
		return 0;
	case OPT_TO:
		if (im->options.to_count == TO_MAX) {
			im->cli->ended = cli_usage_error(im->cli, "more than %d --to: give lists, A,B,C", TO_MAX);
			return -1;
		}
		im->to = mem_resize(im->to, im->options.to_count + 1, sizeof(*im->to));
		im->to[im->options.to_count++] = (char *)(uintptr_t)value;
		im->has_options = true;
		return 0;
	case 't':
		im->options.read_recipients = im->has_options = true;
		return 0;
	case OPT_REMOVE:
		im->remove = true;
		return 0;
	case OPT_JSON:
		im->json = true;
		return 0;
	}
	assert_failed("an option without a meaning", __FILE__, __LINE__);
}

static int read_arguments(struct import *im)
{
	int key;

	while ((key = cli_option(im->cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(im, key) < 0)
			return -1;
	im->paths = args_operands(&im->cli->args, &im->path_count);
	if (im->path_count == 0)
		im->cli->ended = cli_usage_error(im->cli, "what? name files, a directory or a spool");
	else if (im->remove && im->format != FORMAT_SPOOL)
		im->cli->ended = cli_usage_error(im->cli, "--remove goes with --format spool");
	else if (im->has_options && im->format == FORMAT_SPOOL)
		im->cli->ended = cli_usage_error(im->cli, "a spool brings its envelopes along: no --from, --to or -t");
	else
		return 0;
	return -1;
}

/* The limits that a session would have. */
static int set_rules(struct import *im)
{
	struct config cfg;
	struct err e;

	if (settings_config(im->cli->config_file, &cfg, &e) < 0) {
		cli_error("%s", e.text);
		return -1;
	}
	im->rules.size_limit_bytes = cfg.data_size_limit_bytes;
	im->rules.max_received = cfg.max_received;
	config_release(&cfg);
	im->options.to = im->to;
	im->rules.envelope = im->has_options ? &im->options : NULL;
	return 0;
}

enum cli_status verb_import(struct cli *cli)
{
	struct import im = { .cli = cli, .format = FORMAT_UNKNOWN };
	enum cli_status status = CLI_UNREACHABLE;

	if (read_arguments(&im) < 0) {
		status = cli->ended;
	} else if (set_rules(&im) == 0 && cli_open_spool(cli, &im.spool) == 0) {
		id_list_init(&im.news);
		status = cli_finish_output(run(&im));
		id_list_release(&im.news);
		spool_close(&im.spool);
	}
	free(im.to);
	return status;
}
