/* SPDX-License-Identifier: ISC */
/* See keeper.h. Runs in the relay, as its user. */
#include "oauth/keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/form.h"
#include "base/log.h"
#include "base/text.h"
#include "oauth/renew.h"
#include "oauth/store.h"

#define LOCK_RETRY_MS 500 /* `posthouse oauth` asks the server just now */
#define SAVE_RETRY_MS 5000
#define FORCED_LEAST_MS 300000 /* between two tokens asked for because the upstream refused one */
#define RENEW_LEAST_MS 1000 /* between two, whatever the server says of how long they last */
#define LOOK_AGAIN_MS 60000 /* the wall clock may be set */

enum keeper_step {
	STEP_IDLE,
	STEP_LOCKED_OUT, /* waits for the lock */
	STEP_ASKING, /* a request is under way */
	STEP_SAVING /* `next` would not go to the disk, and must before it is used */
};

struct oauth_keeper {
	const struct oauth_keeper_settings *settings;
	struct event_base *base; /* NULL: not started */
	struct upstream *client;
	void (*changed)(void *ctx);
	void *ctx;
	struct event *timer, *watch;
	int watch_fd;

	struct oauth_stored stored; /* what is in use */
	enum oauth_store_found found; /* how the file was last */
	struct oauth_stamp stamp;
	uint64_t generation;
	double luck; /* of this token, for its margin */

	enum keeper_step step;
	int lock_fd;
	struct http_call *call;
	struct oauth_stored next;
	bool forced; /* the token in use was refused: it counts for nothing until the answer is there */
	bool was_forced;
	int64_t forced_mono_ms; /* when that was, last */
	unsigned failures; /* in a row */
	int64_t again_mono_ms; /* not before */
	struct err why; /* of the last failure; "" : none */
};

static void set_timer(struct oauth_keeper *k);

static double luck(void)
{
	uint32_t n;

	return getrandom(&n, sizeof(n), 0) == sizeof(n) ? n / 4294967296.0 : 0.5;
}

static int64_t wall_s(void)
{
	return clock_wall_us() / 1000000;
}

static bool is_valid(const struct oauth_keeper *k)
{
	return oauth_stored_is_valid(&k->stored, wall_s());
}

/* ---- the log ----------------------------------------------------------------------------- */

static void log_token(const struct oauth_keeper *k, const char *event, bool rotated)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, event);
	log_str(&line, "upstream", k->settings->client.upstream);
	log_seconds(&line, "valid_for", (k->stored.expires_wall_s - wall_s()) * 1000);
	log_str(&line, "rotated", rotated ? "yes" : NULL);
	log_end(&line);
}

static void log_failure(const struct oauth_keeper *k, const char *event, const struct err *e, int64_t wait_ms)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_WARNING, event);
	log_str(&line, "upstream", k->settings->client.upstream);
	log_str(&line, "reason", e->text);
	if (wait_ms > 0)
		log_seconds(&line, "retry", wait_ms);
	if (is_valid(k))
		log_seconds(&line, "valid_for", (k->stored.expires_wall_s - wall_s()) * 1000);
	log_end(&line);
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Puts these in use; the keeper's from then on. */
static void use(struct oauth_keeper *k, struct oauth_stored *s)
{
	if (!text_same(k->stored.access_token, s->access_token))
		k->generation++;
	oauth_stored_release(&k->stored);
	k->stored = *s;
	memset(s, 0, sizeof(*s));
	k->luck = luck();
}

/* Reads the file again, if it is another one than it was. True: there was something new. */
static bool reload(struct oauth_keeper *k)
{
	struct oauth_stamp stamp = oauth_store_stamp(k->settings->file);
	struct oauth_stored s;
	struct err e;

	/* what was wrong with a bad one may have been its mode */
	if (oauth_stamp_equal(&stamp, &k->stamp) && k->found != OAUTH_STORE_BAD)
		return false;
	k->stamp = stamp;
	k->found = oauth_store_load(k->settings->file, &s, &e);
	if (k->found == OAUTH_STORE_BAD) {
		if (strcmp(k->why.text, e.text) != 0)
			log_failure(k, "oauth_failed", &e, 0);
		k->why = e;
		return false; /* what we have in memory is still good */
	}
	k->why.text[0] = '\0';
	k->failures = 0;
	k->again_mono_ms = 0;
	use(k, &s);
	if (k->found == OAUTH_STORE_OK && k->base)
		log_token(k, "oauth_loaded", false);
	return true;
}

static int save(struct oauth_keeper *k, const struct oauth_stored *s, struct err *e)
{
	int r = oauth_store_save(k->settings->file, s, e);

	if (r == 0) {
		k->stamp = oauth_store_stamp(k->settings->file);
		k->found = OAUTH_STORE_OK;
	}
	return r;
}

static void unlock(struct oauth_keeper *k)
{
	if (k->lock_fd >= 0)
		close(k->lock_fd);
	k->lock_fd = -1;
}

/* ---- an answer ------------------------------------------------------------------------------- */

static void over(struct oauth_keeper *k)
{
	k->step = STEP_IDLE;
	k->forced = false;
	unlock(k);
	set_timer(k);
	k->changed(k->ctx);
}

static void failed(struct oauth_keeper *k, bool refused, const struct err *e)
{
	struct err unsaved;
	int64_t wait = oauth_retry_ms(++k->failures, refused, luck());

	k->why = *e;
	k->again_mono_ms = clock_mono_ms() + wait;
	log_failure(k, "oauth_failed", e, wait);
	oauth_stored_fail(&k->stored, e, wall_s());
	/* for `posthouse oauth status`; a file that is not there, or not ours to read, is not made for that */
	if (k->lock_fd >= 0 && k->found == OAUTH_STORE_OK)
		(void)save(k, &k->stored, &unsaved);
	over(k);
}

static void use_next(struct oauth_keeper *k, bool rotated)
{
	use(k, &k->next);
	k->failures = 0;
	k->again_mono_ms = clock_mono_ms() + RENEW_LEAST_MS;
	k->why.text[0] = '\0';
	log_token(k, "oauth_refreshed", rotated);
	over(k);
}

/* Losing a refresh token that replaced another one means that a person has to log in again. */
static void save_next(struct oauth_keeper *k, bool rotated)
{
	struct err e;

	if (save(k, &k->next, &e) == 0) {
		use_next(k, rotated);
		return;
	}
	log_failure(k, "oauth_unsaved", &e, rotated ? SAVE_RETRY_MS : 0);
	if (!rotated) { /* nothing is lost with it */
		use_next(k, false);
		return;
	}
	k->why = e;
	k->step = STEP_SAVING;
	k->again_mono_ms = clock_mono_ms() + SAVE_RETRY_MS;
	set_timer(k);
	k->changed(k->ctx);
}

/*
 * Somebody put other tokens into the file while we asked, by hand and so without the lock: those count, and the answer
 * to what was there before does not. A file that was merely touched is no other.
 */
static bool is_overtaken(struct oauth_keeper *k)
{
	struct oauth_stored was;
	bool other;

	oauth_stored_copy(&was, &k->stored);
	other = reload(k) && (!text_same(was.access_token, k->stored.access_token) ||
			      !text_same(was.refresh_token, k->stored.refresh_token));
	oauth_stored_release(&was);
	return other;
}

static void on_answer(void *ctx, const struct http_answer *answer, const struct err *trouble)
{
	struct oauth_keeper *k = ctx;
	enum oauth_answer result;
	bool rotated;
	struct err e;

	k->call = NULL;
	if (is_overtaken(k)) {
		over(k);
		return;
	}
	if (trouble) {
		failed(k, false, trouble);
		return;
	}
	result = oauth_renew_take(&k->settings->client, &k->stored, answer->status, answer->body.data,
				  answer->body.len, wall_s(), &k->next, &rotated, &e);
	if (result == OAUTH_GRANTED)
		save_next(k, rotated);
	else
		failed(k, result == OAUTH_REFUSED, &e);
}

/* ---- a question ------------------------------------------------------------------------------ */

static bool is_due(const struct oauth_keeper *k)
{
	const struct oauth_stored *s = &k->stored;
	int64_t life_s = s->expires_wall_s - s->obtained_wall_s;

	if (k->forced || !s->access_token)
		return true;
	return clock_wall_us() / 1000 >=
	       s->expires_wall_s * 1000 - oauth_margin_ms(life_s > 0 ? life_s : 0, k->luck);
}

/* Nothing but a new file helps, and that is noticed. */
static void give_up(struct oauth_keeper *k, const struct err *e)
{
	if (strcmp(k->why.text, e->text) != 0)
		log_failure(k, "oauth_failed", e, 0);
	k->why = *e;
	k->again_mono_ms = CLOCK_NEVER;
	over(k);
}

static void ask(struct oauth_keeper *k, const struct buf *body)
{
	struct http_request request = k->settings->way;

	request.url = k->settings->client.token_url;
	request.form = body->data;
	k->step = STEP_ASKING;
	k->call = http_begin(k->client, &request, on_answer, k);
}

/* With the lock: by what the file says now, for whoever had the lock before may have asked for us. */
static void begin_locked(struct oauth_keeper *k)
{
	struct buf body;
	struct err e;

	if (reload(k) && is_valid(k))
		k->forced = false;
	buf_init(&body, FORM_MAX);
	if (k->found == OAUTH_STORE_BAD) {
		e = k->why;
		failed(k, true, &e);
	} else if (!is_due(k)) {
		over(k);
	} else if (oauth_renew_ask(&k->settings->client, &k->stored, &body, &e) < 0) {
		give_up(k, &e);
	} else {
		ask(k, &body);
	}
	buf_wipe(&body);
}

static void begin(struct oauth_keeper *k)
{
	struct err e;

	k->lock_fd = oauth_store_lock(k->settings->file, &e);
	if (k->lock_fd >= 0) {
		begin_locked(k);
	} else if (e.os_error == EWOULDBLOCK) {
		k->step = STEP_LOCKED_OUT;
		k->again_mono_ms = clock_mono_ms() + LOCK_RETRY_MS;
		set_timer(k);
	} else {
		failed(k, false, &e);
	}
}

/* ---- events ------------------------------------------------------------------------------------ */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct oauth_keeper *k = ctx;

	(void)fd;
	(void)what;
	if (k->step == STEP_ASKING)
		return;
	if (clock_mono_ms() < k->again_mono_ms)
		set_timer(k);
	else if (k->step == STEP_SAVING)
		save_next(k, true);
	else if (k->step == STEP_LOCKED_OUT || is_due(k))
		begin(k);
	else
		set_timer(k);
}

static void set_timer(struct oauth_keeper *k)
{
	int64_t life_s = k->stored.expires_wall_s - k->stored.obtained_wall_s, now = clock_mono_ms(),
		wait = 0;
	struct timeval tv;

	if (!k->timer)
		return;
	if (!is_due(k))
		wait = k->stored.expires_wall_s * 1000 - oauth_margin_ms(life_s > 0 ? life_s : 0, k->luck) -
		       clock_wall_us() / 1000;
	if (k->again_mono_ms == CLOCK_NEVER) {
		event_del(k->timer);
		return;
	}
	if (k->again_mono_ms - now > wait)
		wait = k->again_mono_ms - now;
	if (k->step == STEP_LOCKED_OUT || k->step == STEP_SAVING)
		wait = k->again_mono_ms - now;
	wait = wait < 0 ? 0 : wait > LOOK_AGAIN_MS ? LOOK_AGAIN_MS : wait;
	tv.tv_sec = wait / 1000;
	tv.tv_usec = wait % 1000 * 1000;
	event_add(k->timer, &tv);
}

/* A new file while something is under way is looked at when that is over, under the lock. */
static void look_at_file(struct oauth_keeper *k)
{
	if (k->step != STEP_IDLE || !reload(k))
		return;
	set_timer(k);
	k->changed(k->ctx);
}

static void on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct oauth_keeper *k = ctx;
	char data[4096] __attribute__((aligned(8)));

	(void)what;
	while (read(fd, data, sizeof(data)) > 0)
		; /* whatever it was, the stamp tells */
	look_at_file(k);
}

/* Without it (no folder yet, no watches left) a new file is seen when the relay asks for the token. */
static void open_watch(struct oauth_keeper *k)
{
	char folder[PATH_MAX];
	char *slash;

	k->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (k->watch_fd < 0)
		return;
	ASSERT(strlen(k->settings->file) < sizeof(folder));
	strcpy(folder, k->settings->file);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	if (inotify_add_watch(k->watch_fd, folder, IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE) <
	    0) {
		close(k->watch_fd);
		k->watch_fd = -1;
		return;
	}
	k->watch = event_new(k->base, k->watch_fd, EV_READ | EV_PERSIST, on_watch, k);
	ASSERT(k->watch);
	event_add(k->watch, NULL);
}

/* ---- for the relay -------------------------------------------------------------------------------- */

struct oauth_keeper *oauth_keeper_new(const struct oauth_keeper_settings *settings)
{
	struct oauth_keeper *k = mem_alloc(sizeof(*k));

	k->settings = settings;
	k->lock_fd = k->watch_fd = -1;
	k->generation = 1;
	k->found = OAUTH_STORE_MISSING;
	return k;
}

void oauth_keeper_start(struct oauth_keeper *k, struct event_base *base, struct upstream *client,
			void (*changed)(void *ctx), void *ctx)
{
	k->base = base;
	k->client = client;
	k->changed = changed;
	k->ctx = ctx;
	k->timer = evtimer_new(base, on_timer, k);
	ASSERT(k->timer);
	open_watch(k);
	reload(k);
	/* before the first connection wants it, if it can be */
	k->step = is_valid(k) ? STEP_IDLE : STEP_LOCKED_OUT;
	set_timer(k);
}

void oauth_keeper_stop(struct oauth_keeper *k)
{
	if (k->call)
		http_cancel(k->call);
	k->call = NULL;
	if (k->timer)
		event_free(k->timer);
	if (k->watch)
		event_free(k->watch);
	k->timer = k->watch = NULL;
	if (k->watch_fd >= 0)
		close(k->watch_fd);
	k->watch_fd = -1;
	unlock(k);
}

void oauth_keeper_free(struct oauth_keeper *k)
{
	oauth_keeper_stop(k);
	oauth_stored_release(&k->stored);
	oauth_stored_release(&k->next);
	free(k);
}

enum oauth_keeper_state oauth_keeper_state(struct oauth_keeper *k, struct err *e)
{
	if (k->step == STEP_IDLE && !is_valid(k) && reload(k))
		set_timer(k);
	if (is_valid(k) && !k->forced)
		return OAUTH_KEEPER_READY;
	if (k->step == STEP_ASKING || k->step == STEP_LOCKED_OUT || (k->step == STEP_IDLE && !k->why.text[0]))
		return OAUTH_KEEPER_COMING;
	*e = k->why;
	if (k->stored.access_token && !is_valid(k))
		err_prefix(e, "the access token is over, and there is no new one");
	return OAUTH_KEEPER_NOTHING;
}

const char *oauth_keeper_token(struct oauth_keeper *k)
{
	return k->stored.access_token;
}

uint64_t oauth_keeper_generation(const struct oauth_keeper *k)
{
	return k->generation;
}

bool oauth_keeper_rejected(struct oauth_keeper *k, uint64_t generation)
{
	int64_t now = clock_mono_ms();

	if (generation != k->generation || k->forced)
		return true;
	if (k->was_forced && now - k->forced_mono_ms < FORCED_LEAST_MS)
		return false;
	k->was_forced = k->forced = true;
	k->forced_mono_ms = now;
	if (k->step == STEP_IDLE) {
		k->step = STEP_LOCKED_OUT;
		k->again_mono_ms = 0;
		set_timer(k);
	}
	return true;
}

bool oauth_keeper_is_busy(const struct oauth_keeper *k)
{
	/* RFC 6749 4.4.3: client credentials come without one, and are asked for again at no cost */
	return k->step == STEP_SAVING ||
	       (k->step == STEP_ASKING && k->settings->client.grant != OAUTH_CLIENT_CREDENTIALS);
}

struct oauth_keeper_facts oauth_keeper_facts(const struct oauth_keeper *k)
{
	return (struct oauth_keeper_facts){
		.expires_wall_us = k->stored.access_token ? k->stored.expires_wall_s * 1000000 : 0,
		.last_error = k->why.text[0] ? k->why.text : NULL,
		.last_error_wall_us = k->stored.last_error_wall_s * 1000000,
	};
}
