/* SPDX-License-Identifier: ISC */
/*
 * See select.h: finding what was asked for. The ids come first (16 octets a
 * message), sorted; what can be told from them alone is. Then the messages are
 * read in chunks, by a few threads ahead of the one that hands them out in
 * order. Reads beside a running relay, without a lock.
 */
#include "cli/select.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/access.h"
#include "cli/select_impl.h"
#include "manage/protocol.h"

#define CHUNK 64 /* messages; their files may all be open: CHUNK * SLOTS is below the usual limit of 1024 */
#define SLOTS 8
#define THREADS_MAX 4
#define FEW (4 * CHUNK) /* not worth a thread */

_Static_assert(CHUNK <= PROTOCOL_OPEN_MAX, "a chunk is asked for at once");

struct found {
	struct listing listing;
	void *prepared; /* owned */
};

struct slot {
	bool is_done; /* read, and not handed out yet */
	size_t count;
	struct found found[CHUNK]; /* kept until the slot is used again, so that a thread frees it */
};

struct run {
	const struct select *sel;
	const struct spool *spool;
	const struct select_work *work;
	struct id_list ids, states;
	bool has_states; /* states is the list of them; else each is looked for */
	size_t chunks;
	uint64_t matched;

	pthread_mutex_t lock; /* of what follows, and of is_done */
	pthread_cond_t changed;
	size_t taken, handed_out; /* chunks */
	bool stop;
	struct slot *slot; /* chunk n is in slot n % SLOTS; owned */
};

/* ---- ids ------------------------------------------------------------------------- */

static bool id_is_wanted(const struct select *sel, const struct spool_id *id)
{
	struct listing l = { .id = *id };

	if (sel->criteria.count == 0)
		return true;
	return criteria_match(&sel->criteria, PHASE_ID, &l);
}

/* What was named and is not there is said, and what is not named clearly. */
static enum cli_status check_names(struct cli *cli, uint64_t listed)
{
	const struct select *sel = cli->select;
	enum cli_status status = CLI_DONE;

	for (size_t i = 0; i < sel->prefix_count; i++) {
		const struct id_prefix *p = &sel->prefix[i];

		if (p->matches > 1 && sel->otherwise == SELECT_NOTHING)
			return cli_usage_error(cli, "%s: the ids of %zu messages begin so: give more of it", p->text,
					       p->matches);
		if (p->matches > 0)
			continue;
		cli_error("%s: no queued message's id begins so", p->text);
		status = CLI_NOTHING;
	}
	if (listed < sel->listed.count) {
		cli_error("standard input: %" PRIu64 " of %zu ids are not in the queue (any more)",
			  sel->listed.count - listed, sel->listed.count);
		status = CLI_NOTHING;
	}
	return status;
}

/* Counts for each name how many ids it means. */
static bool is_named(struct select *sel, const char *id, uint64_t *listed)
{
	bool is_listed = sel->has_list && id_list_has(&sel->listed, id);

	*listed += is_listed;
	if (sel->has_list && sel->prefix_count == 0)
		return is_listed;
	return id_prefixes_match(sel->prefix, sel->prefix_count, id) || is_listed;
}

/* Whole ids, and few: each is looked for, and a long queue not listed. */
static bool are_few_named(const struct select *sel)
{
	if (sel->prefix_count == 0 && !sel->has_list)
		return false;
	for (size_t i = 0; i < sel->prefix_count; i++)
		if (!id_prefix_is_whole(&sel->prefix[i]))
			return false;
	return sel->prefix_count + sel->listed.count <= FEW;
}

/* All that may be meant, sorted. */
static int find_candidates(struct cli *cli, const struct spool *spool, struct id_list *ids, struct err *e)
{
	const struct select *sel = cli->select;
	struct spool_id id;

	if (!are_few_named(sel))
		return access_ids(cli, spool, NULL, 0, ids, e);
	for (size_t i = 0; i < sel->prefix_count; i++)
		id_list_add(ids, sel->prefix[i].text);
	for (size_t i = 0; i < sel->listed.count; i++) {
		id_list_get(&sel->listed, i, &id);
		id_list_add(ids, id.text);
	}
	id_list_sort(ids);
	return access_keep_present(cli, spool, ids, e);
}

/* The ids of all that may be wanted, sorted; what is wrong with those that were named is said. */
static enum cli_status find_ids(struct cli *cli, const struct spool *spool, struct id_list *ids)
{
	struct select *sel = cli->select;
	size_t kept = 0;
	uint64_t listed = 0;
	struct spool_id id;
	struct err e;

	if (find_candidates(cli, spool, ids, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	for (size_t i = 0; i < ids->count; i++) {
		id_list_get(ids, i, &id);
		if (is_named(sel, id.text, &listed) && id_is_wanted(sel, &id))
			memmove(ids->id[kept++], ids->id[i], SPOOL_ID_LEN);
	}
	ids->count = kept;
	return check_names(cli, listed);
}

/* ---- messages ------------------------------------------------------------------------ */

/* Where its files are: ours to open, or given by the relay. */
struct source {
	enum listing_state how;
	int message_fd, state_fd;
};

static bool read_message(struct run *run, const char *id, const struct source *from, struct listing *l)
{
	const struct criteria *criteria = &run->sel->criteria;

	if (!listing_begin(l, run->spool, id, from->message_fd))
		return false;
	if (!criteria_match(criteria, PHASE_MESSAGE, l)) {
		listing_close(l);
		return false;
	}
	if (!listing_add_state(l, run->spool, from->how, from->state_fd))
		return false;
	if (criteria_match(criteria, PHASE_STATE, l))
		return true;
	listing_close(l);
	return false;
}

static void empty_slot(struct slot *slot)
{
	for (size_t i = 0; i < slot->count; i++) {
		listing_close(&slot->found[i].listing);
		free(slot->found[i].prepared);
	}
	slot->count = 0;
}

static void add_found(struct run *run, struct slot *slot, size_t i, const struct source *from)
{
	struct found *f = &slot->found[slot->count];
	struct spool_id id;

	id_list_get(&run->ids, i, &id);
	if (!read_message(run, id.text, from, &f->listing))
		return;
	f->prepared = run->work->prepare ? run->work->prepare(run->work->ctx, &f->listing) : NULL;
	if (f->prepared) /* at once: memory that stays in one thread costs a third of the time */
		listing_close(&f->listing);
	else if (listing_is_readable(&f->listing))
		spool_message_close_file(&f->listing.msg);
	slot->count++;
}

static void fill_slot(struct run *run, size_t chunk)
{
	struct slot *slot = &run->slot[chunk % SLOTS];
	size_t end = (chunk + 1) * CHUNK;

	empty_slot(slot);
	for (size_t i = chunk * CHUNK; i < end && i < run->ids.count; i++) {
		struct source from = { .message_fd = -1, .state_fd = -1 };
		struct spool_id id;

		id_list_get(&run->ids, i, &id);
		from.how = !run->has_states || id_list_has(&run->states, id.text) ? LISTING_STATE_OPEN :
										    LISTING_STATE_NONE;
		add_found(run, slot, i, &from);
	}
}

/* The same with descriptors that the relay gives. False: it does not (any more), which is said. */
static bool fill_slot_by_relay(struct run *run, struct cli *cli, size_t chunk)
{
	struct slot *slot = &run->slot[chunk % SLOTS];
	size_t begin = chunk * CHUNK, count = run->ids.count - begin < CHUNK ? run->ids.count - begin : CHUNK;
	int message_fd[CHUNK], state_fd[CHUNK];
	struct err e;

	empty_slot(slot);
	if (access_files(cli, &run->ids, begin, count, message_fd, state_fd, &e) < 0) {
		cli_error("%s", e.text);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct source from = { LISTING_STATE_GIVEN, message_fd[i], state_fd[i] };

		if (message_fd[i] >= 0)
			add_found(run, slot, begin + i, &from);
		if (state_fd[i] >= 0)
			close(state_fd[i]);
	}
	return true;
}

/* False: it is enough. */
static bool hand_out(struct run *run, size_t chunk)
{
	struct slot *slot = &run->slot[chunk % SLOTS];

	for (size_t i = 0; i < slot->count; i++) {
		struct found *f = &slot->found[i];

		run->matched++;
		if (!run->work->each(run->work->ctx, &f->listing, f->prepared))
			return false;
		if (run->sel->limit > 0 && run->matched == run->sel->limit)
			return false;
	}
	return true;
}

static void *read_ahead(void *ctx)
{
	struct run *run = ctx;

	/* no descriptor passes from thread to thread: a table of its own needs no lock at each open and close */
	(void)unshare(CLONE_FILES);
	pthread_mutex_lock(&run->lock);
	while (!run->stop && run->taken < run->chunks) {
		size_t chunk = run->taken;

		if (chunk >= run->handed_out + SLOTS) {
			pthread_cond_wait(&run->changed, &run->lock);
			continue;
		}
		run->taken++;
		pthread_mutex_unlock(&run->lock);
		fill_slot(run, chunk);
		pthread_mutex_lock(&run->lock);
		run->slot[chunk % SLOTS].is_done = true;
		pthread_cond_broadcast(&run->changed);
	}
	pthread_mutex_unlock(&run->lock);
	return NULL;
}

static void take_in_order(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	for (size_t chunk = 0; chunk < run->chunks && !run->stop; chunk++) {
		struct slot *slot = &run->slot[chunk % SLOTS];
		bool more;

		while (!slot->is_done)
			pthread_cond_wait(&run->changed, &run->lock);
		pthread_mutex_unlock(&run->lock);
		more = hand_out(run, chunk);
		pthread_mutex_lock(&run->lock);
		slot->is_done = false;
		run->handed_out = chunk + 1;
		run->stop = !more;
		pthread_cond_broadcast(&run->changed);
	}
	pthread_mutex_unlock(&run->lock);
}

static size_t threads_wanted(const struct run *run)
{
	cpu_set_t cpus;
	int n = 1;

	if (run->ids.count < FEW)
		return 0;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		n = CPU_COUNT(&cpus);
	return n > THREADS_MAX ? THREADS_MAX : (size_t)n;
}

static void read_by_relay(struct run *run, struct cli *cli, enum cli_status *status)
{
	for (size_t chunk = 0; chunk < run->chunks && !run->stop; chunk++) {
		if (!fill_slot_by_relay(run, cli, chunk)) {
			*status = CLI_UNREACHABLE;
			return;
		}
		run->stop = !hand_out(run, chunk);
	}
}

static void read_all(struct run *run)
{
	size_t wanted = threads_wanted(run), started = 0;
	pthread_t thread[THREADS_MAX];

	while (started < wanted && pthread_create(&thread[started], NULL, read_ahead, run) == 0)
		started++;
	if (started > 0)
		take_in_order(run);
	for (size_t chunk = 0; started == 0 && chunk < run->chunks && !run->stop; chunk++) {
		fill_slot(run, chunk);
		run->stop = !hand_out(run, chunk);
	}
	for (size_t i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
}

static void read_chunks(struct run *run, struct cli *cli, enum cli_status *status)
{
	run->slot = mem_array(SLOTS, sizeof(*run->slot));
	run->chunks = (run->ids.count + CHUNK - 1) / CHUNK;
	if (cli->view)
		read_by_relay(run, cli, status);
	else
		read_all(run);
	for (size_t i = 0; i < SLOTS; i++)
		empty_slot(&run->slot[i]);
	free(run->slot);
}

static enum cli_status finish(struct cli *cli, enum cli_status status, uint64_t matched)
{
	if (matched > 0 || status != CLI_DONE || !select_narrows(cli->select))
		return status;
	cli_error("no queued message matches");
	return CLI_NOTHING;
}

enum cli_status select_run(struct cli *cli, const struct spool *spool, const struct select_work *work)
{
	struct run run = { .sel = cli->select,
			   .spool = spool,
			   .work = work,
			   .lock = PTHREAD_MUTEX_INITIALIZER,
			   .changed = PTHREAD_COND_INITIALIZER };
	enum cli_status status;
	struct err e;

	id_list_init(&run.ids);
	id_list_init(&run.states);
	status = find_ids(cli, spool, &run.ids);
	/* behind the ids: whoever failed before they were listed is in this list, and saves the others a look */
	run.has_states = !cli->view && !are_few_named(cli->select);
	if ((status == CLI_DONE || status == CLI_NOTHING) && run.has_states &&
	    id_list_scan_states(&run.states, spool, &e) < 0) {
		cli_error("%s", e.text);
		status = CLI_UNREACHABLE;
	}
	if (status == CLI_DONE || status == CLI_NOTHING) {
		read_chunks(&run, cli, &status);
		status = finish(cli, status, run.matched);
	}
	id_list_release(&run.ids);
	id_list_release(&run.states);
	return status;
}

static bool collect(void *ctx, struct listing *l, void *prepared)
{
	(void)prepared;
	id_list_add(ctx, l->id.text);
	return true;
}

enum cli_status select_ids(struct cli *cli, const struct spool *spool, struct id_list *ids)
{
	struct select_work work = { .each = collect, .ctx = ids };
	const struct select *sel = cli->select;
	enum cli_status status;

	if (criteria_last_phase(&sel->criteria) > PHASE_ID)
		return select_run(cli, spool, &work);
	status = find_ids(cli, spool, ids);
	if (sel->limit > 0 && ids->count > sel->limit)
		ids->count = sel->limit;
	return finish(cli, status, ids->count);
}
