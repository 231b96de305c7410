/* SPDX-License-Identifier: ISC */
/*
 * Sees to the requests of flush.h: goes once over the queue, a slice at a
 * time, and has what they are about tried now, as `posthouse retry` would.
 * Upstreams that are paused are asked how they are. Those that come while it
 * goes on, or soon behind it, wait. Runs in the relay's event loop.
 */
#include "relay/relay_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define ENTRIES_AT_ONCE 256 /* between two looks at the clock */
#define ORDER_MAX 100 /* messages whose states are written together */

static const char *const kind_names[] = {
	[FLUSH_DOMAIN] = "domain", [FLUSH_SUBDOMAINS] = "subdomains", [FLUSH_UPSTREAM] = "upstream"
};

struct flush_run {
	struct flushes now; /* what is being seen to */
	uint32_t at; /* in the queue */
	int64_t began_mono_ms;
	size_t looked_at, tried; /* messages */
	struct action_item item[ORDER_MAX];
	size_t items;
};

static void log_one(const char *event, const struct flush *one)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, event);
	log_str(&line, kind_names[one->kind], one->name);
	log_end(&line);
}

static bool exists(const struct relay *r, const char *upstream)
{
	for (size_t i = 0; i < r->upstream_count; i++)
		if (strcmp(r->upstream[i].config->name, upstream) == 0)
			return true;
	return false;
}

void flush_want(void *ctx, const struct flush *one)
{
	struct relay *r = ctx;

	if (one->kind == FLUSH_UPSTREAM && !exists(r, one->name))
		return;
	if (flushes_add(&r->flushes, one)) {
		r->service_wanted = true;
	} else if (!r->flush_overflowed) { /* once: whoever fills it could fill the log as well */
		r->flush_overflowed = true;
		log_one("flush_ignored", one);
	}
}

int64_t flush_next_mono_ms(const struct relay *r)
{
	if (r->flush_run)
		return clock_mono_ms();
	/*
	 * states that are not read yet are due when they are: the router looks at them first, and then calls
	 * for us
	 */
	if (r->flushes.count == 0 || r->listing || queue_count_waiting(&r->queue, r->unread) > 0)
		return CLOCK_NEVER;
	return r->flush_least_mono_ms;
}

/* Where mail for anybody in this domain goes, as far as that does not depend on its sender. */
static size_t usual_upstream(const struct relay *r, const struct flush *one)
{
	char address[FLUSH_NAME_MAX + 16];
	struct envelope env;
	size_t upstream;

	snprintf(address, sizeof(address), "postmaster@%s", one->name);
	envelope_init(&env);
	envelope_set(&env.sender, "", 0);
	envelope_add_rcpt(&env, address, strlen(address));
	upstream = route_find(&r->config->routes, &env, 0, NULL);
	envelope_release(&env);
	return upstream;
}

static void begin(struct relay *r)
{
	struct flush_run *run = mem_alloc(sizeof(*run));

	run->now = r->flushes;
	run->began_mono_ms = clock_mono_ms();
	r->flushes.count = 0;
	r->flush_overflowed = false;
	r->flush_run = run;
	for (size_t i = 0; i < run->now.count; i++) {
		const struct flush *one = &run->now.item[i];
		size_t usual = one->kind == FLUSH_UPSTREAM ? r->upstream_count : usual_upstream(r, one);

		log_one("flush", one);
		for (size_t u = 0; u < r->upstream_count; u++)
			if (u == usual || flushes_want_upstream(&run->now, r->upstream[u].config->name))
				lane_probe(&r->upstream[u]);
	}
}

static bool wants_envelope(const struct relay *r, const struct flushes *wanted, const struct envelope *env)
{
	for (size_t i = 0; i < env->rcpt_count; i++) {
		size_t upstream;

		if (flushes_want_address(wanted, env->rcpt[i].address))
			return true;
		upstream = route_find(&r->config->routes, env, i, NULL);
		if (upstream < r->upstream_count &&
		    flushes_want_upstream(wanted, r->upstream[upstream].config->name))
			return true;
	}
	return false;
}

static bool is_wanted(const struct relay *r, const struct queue_item *item)
{
	const struct flushes *wanted = &r->flush_run->now;
	struct spool_message m = { .fd = -1 };
	bool wants;
	struct err e;

	if (item->lane < r->upstream_count &&
	    flushes_want_upstream(wanted, r->upstream[item->lane].config->name))
		return true;
	/* one that cannot be read is found out, and told of, when its time comes */
	if (spool_message_open(&m, r->rules.spool, item->id.text, false, &e) != SPOOL_READ_OK)
		return false;
	wants = wants_envelope(r, wanted, &m.env);
	spool_message_close(&m);
	return wants;
}

static void order(struct relay *r)
{
	struct flush_run *run = r->flush_run;

	operate_retry(r, run->item, run->items, "ETRN");
	run->tried += run->items;
	run->items = 0;
}

/* True when it took a while. What is due now needs nothing from us. */
static bool look_at(struct relay *r, const struct queue_item *item)
{
	struct flush_run *run = r->flush_run;

	if (item->where != QUEUE_WAITING || item->due_wall_ms <= relay_wall_ms())
		return false;
	run->looked_at++;
	if (!is_wanted(r, item))
		return true;
	run->item[run->items] = (struct action_item){ .id = item->id };
	if (++run->items == ORDER_MAX)
		order(r);
	return true;
}

static void end(struct relay *r)
{
	struct flush_run *run = r->flush_run;
	int64_t now = clock_mono_ms();
	struct log_line line;

	if (run->items > 0)
		order(r);
	log_begin(&line, LOG_LEVEL_INFO, "flushed");
	log_int(&line, "messages", (int64_t)run->tried);
	log_int(&line, "looked_at", (int64_t)run->looked_at);
	log_seconds(&line, "took", now - run->began_mono_ms);
	log_end(&line);
	r->flush_least_mono_ms = now + flush_pause_ms(now - run->began_mono_ms);
	flush_release(r);
}

void flush_step(struct relay *r, int64_t by_mono_ms)
{
	struct queue_item item;

	if (!r->flush_run && flush_next_mono_ms(r) > clock_mono_ms())
		return;
	if (!r->flush_run)
		begin(r);
	for (int i = 1;; i++) {
		if (!queue_each(&r->queue, &r->flush_run->at, &item)) {
			end(r);
			return;
		}
		if ((look_at(r, &item) || i % ENTRIES_AT_ONCE == 0) && clock_mono_ms() >= by_mono_ms)
			return;
	}
}

void flush_release(struct relay *r)
{
	free(r->flush_run);
	r->flush_run = NULL;
}
