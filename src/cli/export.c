/* SPDX-License-Identifier: ISC */
/*
 * posthouse export: queued messages as files elsewhere, beside a running relay.
 * Each is verified before it is written, and durable (fsync of the file and of
 * its directory) before it is said to be there; only then, with --remove, it
 * leaves the queue, on the same way as with `posthouse remove`. Interrupted
 * anywhere: nothing is lost, and what was not removed can be exported again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/access.h"
#include "cli/carry.h"
#include "cli/export_out.h"
#include "cli/export_remove.h"
#include "cli/json.h"
#include "cli/lookup.h"
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

struct export {
	struct cli *cli;
	struct spool spool;
	enum carry_format format;
	const char *output; /* NULL: standard output (mbox) */
	bool remove, json;
	struct id_list ids; /* selected */
	struct id_list exported; /* of these, what is to be removed */
	struct export_out out; /* EML, MBOX */
	struct spool other; /* SPOOL */
	int lock_fd; /* SPOOL: of the other one */
	size_t done, skipped;
};

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
	if (export_out_put(&x->out, &m, &st, e) == 0)
		result = EXPORTED;
	spool_state_release(&st);
	spool_message_close(&m);
	return result;
}

static enum exported export_one(struct export *x, const char *id, struct err *e)
{
	struct spool_id as;

	if (x->format != CARRY_SPOOL)
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

static int open_output(struct export *x, struct err *e)
{
	return x->format == CARRY_SPOOL ? open_other(x, e)
					: export_out_open(&x->out, x->format, x->output, e);
}

static void close_output(struct export *x, bool keep)
{
	if (x->format != CARRY_SPOOL)
		export_out_close(&x->out, keep);
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
	if (x->format != CARRY_SPOOL && export_out_finish(&x->out, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	return status;
}

static enum cli_status export_all(struct export *x)
{
	struct removal removal = { .from = &x->spool, .other = x->format == CARRY_SPOOL ? &x->other : NULL };
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
		if (carry_format_find(value, &x->format))
			return 0;
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
	if (x->output && x->format == CARRY_MBOX && strcmp(x->output, "-") == 0)
		x->output = NULL;
	if (!x->output && x->format != CARRY_MBOX)
		x->cli->ended = cli_usage_error(x->cli, "where to? --output names the directory");
	else if (!x->output && x->json)
		x->cli->ended =
			cli_usage_error(x->cli, "--json and an mbox cannot both go to standard output");
	else if (!x->output && x->remove)
		x->cli->ended =
			cli_usage_error(x->cli, "--remove needs --output: standard output may be lost");
	else
		return select_finish(x->cli, x->remove ? SELECT_NOTHING : SELECT_ALL);
	return -1;
}

enum cli_status verb_export(struct cli *cli)
{
	struct export x = { .cli = cli, .lock_fd = -1 };
	enum cli_status status;

	if (read_arguments(&x) < 0)
		return cli->ended;
	if (access_open(cli, &x.spool) < 0)
		return CLI_UNREACHABLE;
	if (cli->view && x.format == CARRY_SPOOL) {
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
