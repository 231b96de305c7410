/* SPDX-License-Identifier: ISC */
/*
 * posthouse fsck: every file of the spool verified (spool/check.h), and with
 * --repair put right or out of the way. Looks beside a running daemon, without
 * a lock: whatever looks wrong is looked at again before it is a finding, as
 * files come and go. Repairs only under the spool lock. Two threads read, so
 * that one can wait for the disk while the other one computes.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/listing.h"
#include "cli/json.h"
#include "cli/lookup.h"
#include "cli/progress.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "manage/suspend.h"
#include "spool/check.h"

enum { OPT_REPAIR = ARGS_LONG_ONLY, OPT_JSON };

const struct args_option fsck_options[] = {
	{ "repair", OPT_REPAIR, NULL, "put right what can be, or move it to corrupt/" },
	{ "json", OPT_JSON, NULL, "a JSON object for each finding, then one for all" },
	ARGS_OPTIONS_END,
};

/*
 * A worker beside us may be slow to write, as its client is; who holds the lock knows that nobody is. The
 * relay removes a message and its state one after the other, and a slow disk may lie between.
 */
#define IDLE_US (24 * 3600 * INT64_C(1000000))
#define SETTLE_MS 2000
#define SETTLE_STEP_MS 50
#define LINE_MAX_OCTETS 8192
#define SUSPENDED "suspended"

struct finding {
	enum check_folder folder;
	char *name; /* NULL: the directory itself; owned */
	struct check_result result;
};

struct fsck {
	struct cli *cli;
	struct spool spool;
	struct spool_check check;
	bool repair, json;
	int lock_fd;
	bool selected; /* only those of ids, not all of the spool */
	struct id_list ids; /* selected, or of the folder being read */
	enum check_folder folder;
	atomic_size_t next; /* of ids */
	pthread_mutex_t mutex; /* guards what follows while two threads read */
	struct finding *finding;
	size_t finding_count, finding_cap;
	uint64_t messages, octets, states, quarantined;
	size_t repaired;
};

/* ---- looking -------------------------------------------------------------------- */

static void note(struct fsck *f, enum check_folder folder, const char *name, const struct check_result *result)
{
	if (f->finding_count == f->finding_cap) {
		f->finding_cap = f->finding_cap ? f->finding_cap * 2 : 64;
		f->finding = mem_resize(f->finding, f->finding_cap, sizeof(*f->finding));
	}
	f->finding[f->finding_count++] = (struct finding){ folder, mem_strdup_or_null(name), *result };
}

/* The file of the suspensions has its reader in manage/. */
static void look_at_suspended(const struct fsck *f, struct check_result *out)
{
	struct suspensions all;

	memset(out, 0, sizeof(*out));
	suspensions_init(&all);
	if (suspensions_load(&all, &f->spool, &out->what) < 0)
		out->kind = out->what.os_error ? CHECK_UNREADABLE : CHECK_DAMAGED_SUSPENDED;
	suspensions_release(&all);
}

static void look_at(const struct fsck *f, enum check_folder folder, const char *name, struct check_result *out)
{
	if (folder == CHECK_ROOT && strcmp(name, SUSPENDED) == 0)
		look_at_suspended(f, out);
	else
		spool_check(&f->check, folder, name, out);
}

static void look_again(const struct fsck *f, struct finding *finding)
{
	if (finding->name)
		look_at(f, finding->folder, finding->name, &finding->result);
	else
		spool_check_directory(&f->check, finding->folder, &finding->result);
}

/* A name of a folder other than queue/ and state/, or one that does not belong there. */
static void look_at_name(void *ctx, const char *name)
{
	struct fsck *f = ctx;
	struct check_result result;

	spool_check(&f->check, f->folder, name, &result);
	if (result.kind != CHECK_SOUND)
		note(f, f->folder, name, &result);
	else if (f->folder == CHECK_CORRUPT && !strstr(name, ".reason"))
		f->quarantined++;
}

static void take_name(void *ctx, const char *name)
{
	struct fsck *f = ctx;

	if (spool_id_is_valid(name))
		id_list_add(&f->ids, name);
	else
		look_at_name(ctx, name);
}

/* Both threads run this, until no id is left. */
static void look_at_ids(struct fsck *f, struct progress *progress)
{
	uint64_t seen = 0, octets = 0;
	size_t i;

	while ((i = atomic_fetch_add(&f->next, 1)) < f->ids.count) {
		struct check_result result;
		struct spool_id id;

		id_list_get(&f->ids, i, &id);
		/* most messages have no state */
		if (f->selected && f->folder == CHECK_STATE && faccessat(f->spool.state_fd, id.text, F_OK, 0) < 0)
			continue;
		spool_check(&f->check, f->folder, id.text, &result);
		seen++;
		octets += result.octets;
		if (progress)
			progress_at(progress, i);
		if (result.kind == CHECK_SOUND)
			continue;
		pthread_mutex_lock(&f->mutex);
		note(f, f->folder, id.text, &result);
		pthread_mutex_unlock(&f->mutex);
	}
	pthread_mutex_lock(&f->mutex);
	*(f->folder == CHECK_QUEUE ? &f->messages : &f->states) += seen;
	f->octets += octets;
	pthread_mutex_unlock(&f->mutex);
}

static void *second_thread(void *ctx)
{
	look_at_ids(ctx, NULL);
	return NULL;
}

/* queue/ or state/. */
static int look_at_folder(struct fsck *f, enum check_folder folder, struct err *e)
{
	struct progress progress;
	pthread_t second;
	bool two;

	f->folder = folder;
	if (!f->selected) {
		f->ids.count = 0;
		if (spool_check_list(&f->spool, folder, take_name, f, e) < 0)
			return -1;
		id_list_sort(&f->ids);
	}
	atomic_store(&f->next, 0);
	progress_begin(&progress, folder == CHECK_QUEUE ? "messages" : "states", f->ids.count);
	two = f->ids.count > 1 && pthread_create(&second, NULL, second_thread, f) == 0;
	look_at_ids(f, &progress);
	if (two)
		pthread_join(second, NULL);
	progress_clear(&progress);
	return 0;
}

/* Everything but messages and states. */
static int look_around(struct fsck *f, struct err *e)
{
	static const enum check_folder small[] = { CHECK_ROOT, CHECK_INCOMING, CHECK_CORRUPT };
	struct check_result result;

	for (enum check_folder folder = CHECK_ROOT; folder < CHECK_FOLDERS; folder++) {
		spool_check_directory(&f->check, folder, &result);
		if (result.kind != CHECK_SOUND)
			note(f, folder, NULL, &result);
	}
	for (size_t i = 0; i < sizeof(small) / sizeof(*small); i++) {
		f->folder = small[i];
		if (spool_check_list(&f->spool, small[i], look_at_name, f, e) < 0)
			return -1;
	}
	look_at(f, CHECK_ROOT, SUSPENDED, &result);
	if (result.kind != CHECK_SOUND)
		note(f, CHECK_ROOT, SUSPENDED, &result);
	return 0;
}

static int look_at_all(struct fsck *f, struct err *e)
{
	if (!f->selected && look_around(f, e) < 0)
		return -1;
	/* states behind messages: one that lost its message meanwhile is looked at again */
	return look_at_folder(f, CHECK_QUEUE, e) < 0 ? -1 : look_at_folder(f, CHECK_STATE, e);
}

/* May a running relay be in the middle of it? */
static bool may_settle(const struct finding *finding)
{
	return finding->result.kind == CHECK_ORPHAN_STATE || finding->result.kind == CHECK_WITHOUT_REASON;
}

static void drop_settled(struct fsck *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->finding_count; i++) {
		look_again(f, &f->finding[i]);
		if (f->finding[i].result.kind == CHECK_SOUND)
			free(f->finding[i].name);
		else
			f->finding[kept++] = f->finding[i];
	}
	f->finding_count = kept;
}

static size_t count_unsettled(const struct fsck *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->finding_count; i++)
		n += may_settle(&f->finding[i]);
	return n;
}

static int compare_findings(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->folder != y->folder)
		return x->folder < y->folder ? -1 : 1;
	return strcmp(x->name ? x->name : "", y->name ? y->name : "");
}

/* What was wrong at one moment need not be: only what stays is a finding. */
static void confirm(struct fsck *f)
{
	const struct timespec step = { 0, SETTLE_STEP_MS * 1000000L };
	int64_t deadline = clock_mono_ms() + SETTLE_MS;

	drop_settled(f);
	while (f->lock_fd < 0 && count_unsettled(f) > 0 && clock_mono_ms() < deadline) {
		nanosleep(&step, NULL);
		drop_settled(f);
	}
	if (f->finding_count > 0)
		qsort(f->finding, f->finding_count, sizeof(*f->finding), compare_findings);
}

/* ---- saying ---------------------------------------------------------------------- */

static char *path_of(const struct finding *finding)
{
	const char *folder = check_folder_name(finding->folder);

	if (!finding->name)
		return mem_strdup(folder[0] ? folder : ".");
	return folder[0] ? mem_printf("%s/%s", folder, finding->name) : mem_strdup(finding->name);
}

static void put_text(const struct fsck *f, const struct finding *finding, const char *path, bool repaired,
		     const struct err *why_not)
{
	const char *remedy = check_remedy(finding->result.kind);
	struct buf line;

	buf_init(&line, LINE_MAX_OCTETS);
	term_escapes(&f->cli->out, path, &line);
	buf_adds(&line, ": ");
	term_escapes(&f->cli->out, finding->result.what.text, &line);
	if (repaired)
		buf_adds(&line, ": put right");
	else if (f->repair && remedy) {
		buf_adds(&line, ": NOT put right: ");
		term_escapes(&f->cli->out, why_not->text, &line);
	} else if (remedy)
		buf_addf(&line, ": --repair %s", remedy);
	else
		buf_adds(&line, ": only you can put this right");
	puts(line.data);
	buf_release(&line);
}

static void put_object(const struct fsck *f, const struct finding *finding, const char *path, bool repaired,
		       const struct err *why_not)
{
	const char *what = finding->result.what.text, *remedy = check_remedy(finding->result.kind);
	json_t *o = json_object();

	json_put_key(o, "object", json_string("finding"));
	json_put_key(o, "path", json_text_or_null(path));
	json_put_key(o, "finding", json_string(check_kind_name(finding->result.kind)));
	json_put_key(o, "what", json_text_or_null(what));
	json_put_key(o, "remedy", remedy ? json_string(remedy) : json_null());
	json_put_key(o, "repaired", json_boolean(repaired));
	if (f->repair && !repaired)
		json_put_key(o, "error", json_text_or_null(why_not->text));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

static void put_finding(struct fsck *f, struct finding *finding)
{
	char *path = path_of(finding);
	struct err why_not = { 0 };
	bool repaired = false;

	if (f->repair && finding->name)
		repaired = spool_repair(&f->check, finding->folder, finding->name, &finding->result, &why_not) == 0;
	else if (f->repair)
		repaired = spool_repair_directory(&f->check, finding->folder, &why_not) == 0;
	f->repaired += repaired;
	if (f->json)
		put_object(f, finding, path, repaired, &why_not);
	else
		put_text(f, finding, path, repaired, &why_not);
	free(path);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void put_summary_text(const struct fsck *f)
{
	char size[16];

	printf("%s%" PRIu64 " message%s (%s%s) and %" PRIu64 " state%s checked: ", f->finding_count ? "\n" : "",
	       f->messages, plural(f->messages), num_format_size(f->octets, size, sizeof(size)),
	       f->octets < 1024 ? " octets" : "", f->states, plural(f->states));
	if (f->finding_count == 0)
		fputs("all is well.\n", stdout);
	else if (f->repair)
		printf("%zu finding%s, %zu put right.\n", f->finding_count, plural(f->finding_count), f->repaired);
	else
		printf("%zu finding%s.\n", f->finding_count, plural(f->finding_count));
	if (f->quarantined > 0)
		printf("%" PRIu64 " file%s in corrupt/ wait%s for a person.\n", f->quarantined,
		       plural(f->quarantined), f->quarantined == 1 ? "s" : "");
}

static void put_summary(const struct fsck *f)
{
	json_t *o;

	if (!f->json) {
		put_summary_text(f);
		return;
	}
	o = json_object();
	json_put_key(o, "object", json_string("summary"));
	json_put_key(o, "spool", json_text_or_null(f->spool.path));
	json_put_key(o, "messages", json_integer((json_int_t)f->messages));
	json_put_key(o, "octets", json_integer((json_int_t)f->octets));
	json_put_key(o, "states", json_integer((json_int_t)f->states));
	json_put_key(o, "findings", json_integer((json_int_t)f->finding_count));
	json_put_key(o, "repaired", json_integer((json_int_t)f->repaired));
	json_put_key(o, "quarantined", json_integer((json_int_t)f->quarantined));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

/* ---- the verb ---------------------------------------------------------------------- */

static enum cli_status check_spool(struct fsck *f)
{
	enum cli_status status = CLI_DONE;
	struct err e;

	if (f->repair && (f->lock_fd = spool_lock(f->spool.path, &e)) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	f->selected = select_narrows(f->cli->select);
	if (f->selected && (status = select_ids(f->cli, &f->spool, &f->ids)) == CLI_UNREACHABLE)
		return status;
	f->check = (struct spool_check){ &f->spool, f->repair ? clock_file_us() : clock_wall_us() - IDLE_US };
	if (look_at_all(f, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	confirm(f);
	for (size_t i = 0; i < f->finding_count; i++)
		put_finding(f, &f->finding[i]);
	put_summary(f);
	return f->finding_count == (f->repair ? f->repaired : 0) ? status : CLI_NOTHING;
}

static int read_arguments(struct fsck *f)
{
	int key;

	while ((key = cli_option(f->cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return -1;
		f->repair |= key == OPT_REPAIR;
		f->json |= key == OPT_JSON;
	}
	return select_finish(f->cli, SELECT_ALL);
}

enum cli_status verb_fsck(struct cli *cli)
{
	struct fsck f = { .cli = cli, .lock_fd = -1 };
	enum cli_status status = CLI_UNREACHABLE;

	if (read_arguments(&f) < 0)
		return cli->ended;
	if (cli_open_spool(cli, &f.spool) == 0) {
		id_list_init(&f.ids);
		pthread_mutex_init(&f.mutex, NULL);
		status = cli_finish_output(check_spool(&f));
		pthread_mutex_destroy(&f.mutex);
		for (size_t i = 0; i < f.finding_count; i++)
			free(f.finding[i].name);
		free(f.finding);
		id_list_release(&f.ids);
		if (f.lock_fd >= 0)
			close(f.lock_fd);
		spool_close(&f.spool);
	}
	return status;
}
