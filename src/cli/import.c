/* SPDX-License-Identifier: ISC */
/*
 * posthouse import: mail from files into the queue. Each message is durable
 * before it is said to be there; a relay that runs is told of it at the end,
 * and after each so many. Interrupted anywhere: what was said to be queued is.
 * A spool is taken over with its states, and a second run over it finds what
 * the first one brought.
 */
#include "cli/import_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/lookup.h"
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

#define TO_MAX 1000 /* --to options; each may be a list */

/* ---- saying ----------------------------------------------------------------------- */

void import_report(struct import *im, const char *source, const char *result, const struct spool_id *id,
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

void import_report_result(struct import *im, const char *source, enum imported result,
			  const struct spool_id *id, const struct err *e)
{
	switch (result) {
	case IMPORTED:
		im->imported++;
		news_add(&im->news, id->text);
		import_report(im, source, "imported", id, NULL);
		return;
	case IMPORT_NOBODY:
		im->skipped++;
		import_report(im, source, "nobody", NULL, "nobody is left to get it: not imported");
		return;
	case IMPORT_REFUSED:
		im->skipped++;
		import_report(im, source, "refused", NULL, e->text);
		return;
	case IMPORT_FAILED:
		im->failed = true;
		import_report(im, source, "failed", NULL, e->text);
		return;
	}
}

/* ---- a spool ---------------------------------------------------------------------------- */

static void take_over(struct import *im, struct spool *from, const char *id)
{
	char *source = mem_printf("%s/queue/%s", from->path, id);
	struct spool_id as;
	struct err e;

	switch (spool_adopt(&im->spool, from, id, true, &as, &e)) {
	case ADOPT_DONE:
		import_report_result(im, source, IMPORTED, &as, NULL);
		break;
	case ADOPT_SAME: /* of a run before this one, which may not have told the relay */
		news_add(&im->news, id);
		import_report(im, source, "already", NULL, NULL);
		break;
	case ADOPT_GONE:
		free(source);
		return;
	case ADOPT_TAKEN:
	case ADOPT_CORRUPT:
		import_report_result(im, source, IMPORT_REFUSED, NULL, &e);
		free(source);
		return;
	case ADOPT_FAILED:
		import_report_result(im, source, IMPORT_FAILED, NULL, &e);
		free(source);
		return;
	}
	if (im->remove && spool_remove(from, id, &e) < 0)
		import_report_result(im, source, IMPORT_FAILED, NULL, &e);
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
		import_report(im, path, "failed", NULL, e.text);
		im->failed = true;
		return;
	}
	id_list_init(&ids);
	if (lock_source(path, &lock_fd, &e) < 0 || id_list_scan(&ids, &from, NULL, 0, &e) < 0) {
		import_report(im, path, "failed", NULL, e.text);
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

static enum carry_format guess(const char *path)
{
	return input_has_folder(path, "queue") ? CARRY_SPOOL : input_is_mbox(path) ? CARRY_MBOX : CARRY_EML;
}

static void import_path(struct import *im, const char *path)
{
	enum carry_format format = im->has_format ? im->format : guess(path);
	struct stat st;

	switch (format) {
	case CARRY_MBOX:
		import_mbox(im, path);
		return;
	case CARRY_SPOOL:
		import_spool(im, path);
		return;
	case CARRY_EML:
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
	news_tell(&im->news);
	im->failed |= im->news.failed;
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
		im->has_format = carry_format_find(value, &im->format);
		if (im->has_format)
			return 0;
		im->cli->ended = cli_usage_error(im->cli, "--format %s: expected eml, mbox or spool", value);
		return -1;
	case OPT_FROM:
		im->options.from = value;
		im->has_options = true;
		return 0;
	case OPT_TO:
		if (im->options.to_count == TO_MAX) {
			im->cli->ended =
				cli_usage_error(im->cli, "more than %d --to: give lists, A,B,C", TO_MAX);
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
	else if (im->remove && im->format != CARRY_SPOOL)
		im->cli->ended = cli_usage_error(im->cli, "--remove goes with --format spool");
	else if (im->has_options && im->format == CARRY_SPOOL)
		im->cli->ended =
			cli_usage_error(im->cli, "a spool brings its envelopes along: no --from, --to or -t");
	else
		return 0;
	return -1;
}

/* The limits that a session would have. */
static int set_rules(struct import *im)
{
	char *handler = cli_spoolless(im->cli);
	struct config cfg;
	struct err e;

	if (handler) {
		cli_error("handler \"%s\" has no spool: nobody would send what is put there; for another "
			  "one: name the spool "
			  "with --spool",
			  handler);
		free(handler);
		return -1;
	}
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
	struct import im = { .cli = cli };
	enum cli_status status = CLI_UNREACHABLE;

	if (read_arguments(&im) < 0) {
		status = cli->ended;
	} else if (set_rules(&im) == 0 && cli_open_spool(cli, &im.spool) == 0) {
		news_init(&im.news, cli, im.spool.path);
		status = cli_finish_output(run(&im));
		news_release(&im.news);
		spool_close(&im.spool);
	}
	free(im.to);
	return status;
}
