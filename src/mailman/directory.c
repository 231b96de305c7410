/* SPDX-License-Identifier: ISC */
/* See directory.h. Runs in the relay, as its user. */
#include "mailman/directory.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "mailman/map_file.h"
#include "mailman/rest.h"
#include "mailman/snapshot.h"
#include "upstream/http.h"

#define REQUEST_TIMEOUT_MS 10000 /* a page */
#define LISTING_TIMEOUT_MS 600000 /* all pages of one */
#define AGAIN_LEAST_MS 1000 /* between two listings that somebody waits for */
#define AGAIN_MOST_MS 30000 /* while Mailman cannot be asked */
#define RESTARTS_MAX 3 /* of a listing, when lists came or went while it was read */
#define CLOCK_STEP_US 1000000 /* less is not a step of the wall clock, but its being slewed */
#define FRESH_US                                                                                             \
	5000000 /* a listing that will do for a message which arrived in the future: the clock was set back */

enum step { STEP_IDLE, STEP_ASKING };

struct directory {
	const struct directory_settings *settings;
	const struct spool *spool;
	struct event_base *base; /* NULL: not started */
	struct upstream *client;
	void (*changed)(void *ctx);
	void *ctx;
	struct event *timer;

	/* what is known */
	struct lists *configured;
	struct lists *listed; /* NULL: there was never a listing */
	int64_t listed_wall_us,
		listed_ahead_us; /* when it began; wall ahead of monotonic time then (0: another boot's) */
	struct lists *mapped; /* NULL: no map, or the map is the listing */
	struct map_file *map; /* settings->map_count members */
	struct err map_why; /* "": none */

	/* the listing under way */
	enum step step;
	struct http_call *call;
	struct lists *next;
	enum rest_collection what;
	size_t page, seen, total;
	unsigned restarts;
	int64_t began_wall_us, began_mono_ms;

	/* the last one, and the next */
	bool wanted; /* somebody waits for it */
	bool was_listed; /* by this process */
	int64_t ended_mono_ms, took_ms;
	unsigned failures; /* in a row */
	struct err why; /* "": none */
	int64_t why_wall_us;
};

static void set_timer(struct directory *d);
static void ask_page(struct directory *d);

/* ---- what is known ----------------------------------------------------------------------- */

static int64_t ahead_us(void)
{
	return clock_wall_us() - clock_mono_ms() * 1000;
}

/*
 * When the listing began, to be compared with when a message arrived. It follows the clock back: what arrives
 * from now on is younger. Not forward: what arrived before the step, and behind the listing, is to stay
 * younger.
 */
static int64_t listed_wall_us(const struct directory *d)
{
	int64_t step_us = d->listed_ahead_us ? ahead_us() - d->listed_ahead_us : 0;

	if (step_us < -CLOCK_STEP_US)
		return d->listed_wall_us + step_us;
	/* of a time that has yet to come: nothing can be said of it */
	return !d->listed_ahead_us && d->listed_wall_us > clock_wall_us() ? 0 : d->listed_wall_us;
}

enum lists_answer directory_ask(struct directory *d, const char *address, int64_t arrived_wall_us)
{
	struct lists_known known = { d->configured, d->listed, listed_wall_us(d), d->mapped };
	int64_t now_us = clock_wall_us();
	enum lists_answer answer;

	answer = lists_ask(&known, address, arrived_wall_us < now_us ? arrived_wall_us : now_us - FRESH_US);
	if (answer == LISTS_UNKNOWN && !d->wanted) {
		d->wanted = true;
		set_timer(d);
	}
	return answer;
}

const char *directory_value(const struct directory *d, const char *address)
{
	const struct lists *all[] = { d->listed, d->mapped };
	const char *value = NULL;

	for (size_t i = 0; i < 2 && !value; i++)
		if (all[i])
			(void)lists_find(all[i], address, &value);
	return value;
}

static void add_configured(const struct directory *d, struct lists *l)
{
	for (size_t i = 0; i < d->settings->domain_count; i++)
		(void)lists_add_domain(l, d->settings->domain[i], strlen(d->settings->domain[i]), NULL);
}

/* ---- the maps -------------------------------------------------------------------------------- */

static bool are_maps_unchanged(const struct directory *d)
{
	for (size_t i = 0; i < d->settings->map_count; i++)
		if (!map_file_is_same(&d->map[i], d->settings->map[i]))
			return false;
	return !d->map_why.text[0];
}

/* All of them as one set; NULL and d->map_why: one cannot be read, and then none counts. */
static struct lists *read_maps(struct directory *d)
{
	struct lists *l = lists_new(LISTS_OF_ADDRESSES);

	d->map_why.text[0] = '\0';
	add_configured(d, l);
	for (size_t i = 0; i < d->settings->map_count; i++) {
		if (map_file_read(&d->map[i], d->settings->map[i], l, &d->map_why) == 0)
			continue;
		lists_free(l);
		return NULL;
	}
	lists_seal(l);
	return l;
}

/*
 * Beside the REST API they are a fall-back: what was read before is better than nothing. True: there is
 * something new.
 */
static bool refresh_fallback(struct directory *d)
{
	struct lists *l;

	if (!d->settings->url || d->settings->map_count == 0 || (d->mapped && are_maps_unchanged(d)))
		return false;
	l = read_maps(d);
	if (!l)
		return false;
	lists_free(d->mapped);
	d->mapped = l;
	return true;
}

/* ---- the log ---------------------------------------------------------------------------------- */

static void log_failure(const struct directory *d, bool is_news, int64_t wait_ms)
{
	struct log_line line;

	log_begin(&line, is_news ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG,
		  is_news ? "mailman_down" : "mailman_still_down");
	log_seconds(&line, "retry", wait_ms);
	log_str(&line, "reason", d->why.text);
	log_end(&line);
}

static void log_listed(const struct directory *d, const char *event)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, event);
	log_int(&line, "lists", (int64_t)lists_count(d->listed));
	log_int(&line, "domains", (int64_t)lists_domain_count(d->listed));
	log_end(&line);
}

/* ---- the end of a listing ------------------------------------------------------------------------ */

static int64_t wait_after_failure_ms(const struct directory *d)
{
	unsigned doublings = d->failures < 6 ? d->failures - 1 : 5;
	int64_t wait = AGAIN_LEAST_MS << doublings;

	return wait < AGAIN_MOST_MS ? wait : AGAIN_MOST_MS;
}

static void end_listing(struct directory *d)
{
	d->step = STEP_IDLE;
	d->ended_mono_ms = clock_mono_ms();
	d->took_ms = d->ended_mono_ms - d->began_mono_ms;
	lists_free(d->next);
	d->next = NULL;
}

static void failed(struct directory *d, const struct err *e)
{
	bool is_news = d->failures++ == 0, is_other;

	end_listing(d);
	d->why = *e;
	d->why_wall_us = clock_wall_us();
	is_other = refresh_fallback(d);
	log_failure(d, is_news, wait_after_failure_ms(d));
	set_timer(d);
	if (is_news || is_other)
		d->changed(d->ctx);
}

static void keep(struct directory *d)
{
	struct err e;

	if (snapshot_save(d->listed, d->listed_wall_us, d->spool, &e) == 0)
		return;
	err_prefix(&e, "what Mailman listed could not be kept for the next start");
	log_msg(LOG_LEVEL_WARNING, "spool_error", "%s", e.text);
}

/* l: the new set; NULL: what there is, is still right */
static void succeeded(struct directory *d, struct lists *l)
{
	bool is_other = l && (!d->listed || !lists_equal(d->listed, l)), was_down = d->failures > 0;
	bool was_wanted = d->wanted;

	d->failures = 0;
	d->why.text[0] = '\0';
	d->wanted = false;
	d->listed_wall_us = d->began_wall_us;
	d->listed_ahead_us = ahead_us();
	if (l) {
		lists_free(d->listed);
		d->listed = l;
	}
	d->next = NULL;
	end_listing(d);
	if (was_down || is_other || !d->was_listed)
		log_listed(d, was_down ? "mailman_up" : "mailman_listed");
	/*
	 * also when nothing changed, where its moment decided about somebody: the operator's command is to
	 * see the same
	 */
	if (is_other || was_wanted || !d->was_listed)
		keep(d);
	d->was_listed = true;
	set_timer(d);
	d->changed(d->ctx);
}

/* ---- by the REST API ------------------------------------------------------------------------------ */

static void begin_rest(struct directory *d)
{
	lists_free(d->next);
	d->next = lists_new(LISTS_OF_LISTS);
	d->what = REST_DOMAINS;
	d->page = 1;
	d->seen = d->total = 0;
	ask_page(d);
}

/* The pages do not fit together: lists came or went between them. */
static void begin_again(struct directory *d)
{
	struct err e;

	if (d->restarts++ < RESTARTS_MAX) {
		begin_rest(d);
		return;
	}
	err_set(&e, "%s: its lists changed each time they were read, or it does not count them right",
		d->settings->url);
	failed(d, &e);
}

static void next_page(struct directory *d)
{
	struct err e;

	if (clock_mono_ms() - d->began_mono_ms < LISTING_TIMEOUT_MS) {
		ask_page(d);
		return;
	}
	err_set(&e, "%s: after %d minutes its lists were not all told", d->settings->url,
		LISTING_TIMEOUT_MS / 60000);
	failed(d, &e);
}

static void take_page(struct directory *d, const struct rest_page *page)
{
	if (d->page > 1 && page->total != d->total) {
		begin_again(d);
		return;
	}
	d->total = page->total;
	d->seen += page->count;
	/*
	 * but for the last one pages are full: who has a million and hands them out one by one would never
	 * end
	 */
	if (d->seen > d->total || (d->seen < d->total && page->count < REST_PAGE)) {
		begin_again(d);
		return;
	}
	if (d->seen < d->total) {
		d->page++;
		next_page(d);
		return;
	}
	if (d->what == REST_DOMAINS) {
		d->what = REST_LISTS;
		d->page = 1;
		d->seen = d->total = 0;
		ask_page(d);
		return;
	}
	lists_seal(d->next);
	/* one that stood on two pages hides another that stood on none */
	if (lists_count(d->next) != d->total)
		begin_again(d);
	else
		succeeded(d, d->next);
}

static void on_answer(void *ctx, const struct http_answer *answer, const struct err *why)
{
	struct directory *d = ctx;
	struct rest_page page;
	struct err e;

	d->call = NULL;
	if (!answer) {
		failed(d, why);
	} else if (rest_read(d->next, d->what, answer->status, answer->body.data, answer->body.len, &page,
			     &e) < 0) {
		err_prefix(&e, "%s", d->settings->url);
		failed(d, &e);
	} else {
		take_page(d, &page);
	}
}

static void ask_page(struct directory *d)
{
	char *url = rest_url(d->settings->url, d->what, d->page);
	struct http_request request = { .url = url,
					.user = d->settings->user,
					.password = d->settings->password,
					.timeout_ms = REQUEST_TIMEOUT_MS,
					.answer_max = REST_ANSWER_MAX };

	d->call = http_begin(d->client, &request, on_answer, d);
	free(url);
}

/* ---- when -------------------------------------------------------------------------------------------- */

static void begin_listing(struct directory *d)
{
	d->began_mono_ms = clock_mono_ms();
	d->began_wall_us = clock_wall_us();
	d->restarts = 0;
	d->step = STEP_ASKING;
	if (d->settings->url) {
		begin_rest(d);
		return;
	}
	/* the maps are all there is */
	if (d->was_listed && are_maps_unchanged(d)) {
		succeeded(d, NULL);
		return;
	}
	d->next = read_maps(d);
	if (d->next)
		succeeded(d, d->next);
	else
		failed(d, &d->map_why);
}

static int64_t next_mono_ms(const struct directory *d)
{
	if (d->failures > 0)
		return d->ended_mono_ms + wait_after_failure_ms(d);
	if (!d->was_listed)
		return 0;
	/* a Mailman that takes long to answer is left alone for as long */
	if (d->wanted)
		return d->ended_mono_ms +
		       (d->took_ms > AGAIN_LEAST_MS / 2 ? d->took_ms : AGAIN_LEAST_MS - d->took_ms);
	return d->ended_mono_ms + d->settings->refresh_ms;
}

static void set_timer(struct directory *d)
{
	int64_t wait;
	struct timeval tv;

	if (!d->base || d->step != STEP_IDLE)
		return;
	wait = next_mono_ms(d) - clock_mono_ms();
	if (wait < 0)
		wait = 0;
	tv.tv_sec = wait / 1000;
	tv.tv_usec = wait % 1000 * 1000;
	event_add(d->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct directory *d = ctx;

	(void)fd;
	(void)what;
	if (d->step == STEP_IDLE)
		begin_listing(d);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void load_snapshot(struct directory *d)
{
	enum lists_kind kind = d->settings->url ? LISTS_OF_LISTS : LISTS_OF_ADDRESSES;
	struct err e;

	switch (snapshot_load(&d->listed, kind, &d->listed_wall_us, d->spool, &e)) {
	case SNAPSHOT_OK:
	case SNAPSHOT_MISSING:
		break;
	case SNAPSHOT_BAD:
		log_msg(LOG_LEVEL_WARNING, "spool_error", "%s", e.text);
		break;
	}
}

struct directory *directory_new(const struct directory_settings *settings, const struct spool *spool)
{
	struct directory *d = mem_alloc(sizeof(*d));

	d->settings = settings;
	d->spool = spool;
	d->map = mem_array(settings->map_count + 1, sizeof(*d->map));
	d->configured = lists_new(LISTS_OF_LISTS);
	add_configured(d, d->configured);
	lists_seal(d->configured);
	load_snapshot(d);
	refresh_fallback(d);
	return d;
}

void directory_free(struct directory *d)
{
	lists_free(d->configured);
	lists_free(d->listed);
	lists_free(d->mapped);
	free(d->map);
	free(d);
}

void directory_start(struct directory *d, struct event_base *base, struct upstream *client,
		     void (*changed)(void *ctx), void *ctx)
{
	d->base = base;
	d->client = client;
	d->changed = changed;
	d->ctx = ctx;
	d->timer = evtimer_new(base, on_timer, d);
	ASSERT(d->timer);
	set_timer(d);
}

void directory_stop(struct directory *d)
{
	if (d->call)
		http_cancel(d->call);
	d->call = NULL;
	if (d->timer)
		event_free(d->timer);
	d->timer = NULL;
	d->base = NULL;
	d->step = STEP_IDLE;
	lists_free(d->next);
	d->next = NULL;
}

const char *directory_trouble(const struct directory *d)
{
	return d->failures > 0 ? d->why.text : NULL;
}

struct directory_facts directory_facts(const struct directory *d)
{
	const struct lists *best = d->listed ? d->listed : d->mapped;
	struct directory_facts f = { .listed_wall_us = d->listed ? listed_wall_us(d) : 0,
				     .is_down = d->failures > 0,
				     .is_asking = d->step == STEP_ASKING,
				     .trouble = d->why.text[0] ? d->why.text : NULL,
				     .trouble_wall_us = d->why_wall_us,
				     .map_trouble = d->map_why.text[0] ? d->map_why.text : NULL };
	const char **domain;

	f.lists = best ? lists_count(best) : 0;
	f.domains = best ? lists_domain_count(best) : 0;
	domain = mem_array(f.domains + 1, sizeof(*domain));
	for (size_t i = 0; i < f.domains; i++)
		domain[i] = lists_domain(best, i);
	f.domain = domain;
	if (d->base && d->step == STEP_IDLE)
		f.next_wall_us = clock_wall_us() + (next_mono_ms(d) - clock_mono_ms()) * 1000;
	return f;
}
