/* SPDX-License-Identifier: ISC */
/*
 * The names in the spool into the queue: at the start, and when a notice of
 * new mail was lost. A million names are listed a slice at a time, and no
 * file is opened for it: what has a state goes to a lane of its own, and the
 * router looks at it when all is listed, so that mail that nobody tried yet
 * does not wait for it. Runs in the relay's event loop.
 */
#include "relay/relay_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"
#include "spool/recover.h"

#define RESCAN_RETRY_MS 5000 /* a spool that could not be listed */
#define NAMES_AT_ONCE 256 /* between two looks at the clock */

/*
 * Ids keep their order when the clock is set back, so one may lie in the future; its message does not wait.
 */
static int64_t due_by_id(const char *id)
{
	int64_t made = spool_id_wall_us(id) / 1000, now = relay_wall_ms();

	return made < now ? made : now;
}

void relay_add_new(void *ctx, const char *id)
{
	struct relay *r = ctx;

	if (!queue_add(&r->queue, id, relay_first_lane(r), due_by_id(id), QUEUE_FRESH | QUEUE_OPENED))
		return;
	rates_count(&r->rates, RATE_QUEUED, clock_mono_ms());
	figures_add(FIGURE_QUEUED, 0, 0, 1);
	sweep_note(r, id);
	r->service_wanted = true;
}

static void add_listed(struct relay *r, const char *id)
{
	bool added;

	if (r->listing_states)
		added = queue_add(&r->queue, id, r->unread, due_by_id(id), QUEUE_PEEK);
	else
		added = queue_add(&r->queue, id, relay_first_lane(r), due_by_id(id), 0);
	if (added)
		sweep_note(r, id);
}

static void failed(struct relay *r, const struct err *e)
{
	log_msg(LOG_LEVEL_ERROR, "spool_error", "%s", e->text);
	relay_list_end(r);
	atomic_store(r->setup->rescan_wanted, true);
	r->rescan_mono_ms = clock_mono_ms() + RESCAN_RETRY_MS;
}

static void open_listing(struct relay *r, bool states)
{
	struct err e;

	r->listing_states = states;
	r->listing = spool_listing_open(r->rules.spool, states, &e);
	if (!r->listing)
		failed(r, &e);
}

void relay_list_begin(struct relay *r)
{
	relay_list_end(r);
	/* states first: what they postpone must not be taken for new */
	open_listing(r, true);
}

void relay_list_end(struct relay *r)
{
	if (r->listing)
		spool_listing_close(r->listing);
	r->listing = NULL;
}

void relay_list_step(struct relay *r, int64_t by_mono_ms)
{
	struct err e;

	while (r->listing) {
		const char *id;
		int more = 1;

		for (int i = 0; i < NAMES_AT_ONCE && (more = spool_listing_next(r->listing, &id, &e)) > 0; i++)
			add_listed(r, id);
		if (more < 0) {
			failed(r, &e);
		} else if (more == 0) {
			relay_list_end(r);
			if (r->listing_states)
				open_listing(r, false);
		}
		if (clock_mono_ms() >= by_mono_ms)
			break;
	}
	if (r->listing)
		r->service_wanted = true;
}
