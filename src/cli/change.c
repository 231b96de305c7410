/* SPDX-License-Identifier: ISC */
/* See change.h. Runs in the operator's command, with the operator's rights. */
#include "cli/change.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/daemon.h"
#include "cli/settings.h"
#include "config/config.h"
#include "manage/json.h"
#include "manage/protocol.h"

#define ANSWER_TIMEOUT_MS 120000 /* a batch on a slow disk, behind the deliveries of a busy relay */
#define STARTING_MS 3000 /* a daemon that has the lock and does not listen yet */
#define STARTING_PAUSE_MS 50

struct changer {
	struct daemon *daemon; /* NULL: direct */
	struct spool spool; /* direct */
	int lock_fd; /* direct, else -1 */
	struct config cfg; /* direct */
	bool has_cfg;
	char by[32];
	bool logs; /* to syslog, as the relay would have */
};

/* ---- who does it -------------------------------------------------------------------- */

static int open_direct(struct changer *c, struct cli *cli, const char *path, struct err *e)
{
	if (settings_config(cli->config_file, &c->cfg, e) < 0)
		return -1;
	c->has_cfg = true;
	if (spool_open(&c->spool, path, SPOOL_MANAGE, c->cfg.spool_sync, e) < 0)
		return -1;
	snprintf(c->by, sizeof(c->by), "uid=%ld", (long)getuid());
	c->logs = geteuid() == 0;
	if (c->logs)
		log_open(LOG_TO_SYSLOG, LOG_LEVEL_INFO, "posthouse");
	return 0;
}

/* The relay, or the lock; 0: one of them is ours. */
static int find_way(struct changer *c, const char *path, struct err *e)
{
	int64_t deadline = clock_mono_ms() + STARTING_MS;

	for (;;) {
		switch (daemon_connect(&c->daemon, path, DAEMON_CONTROL, e)) {
		case DAEMON_CONNECTED:
			return 0;
		case DAEMON_ABSENT:
			break;
		case DAEMON_DENIED:
		case DAEMON_FAILED:
			return -1;
		}
		c->lock_fd = spool_lock(path, e);
		if (c->lock_fd >= 0)
			return 0;
		if (e->os_error != 0) /* not that somebody has it */
			return -1;
		if (clock_mono_ms() >= deadline) {
			err_prefix(e, "the daemon does not listen (it starts, or stops, or its relay fails: see its log)");
			return -1;
		}
		(void)poll(NULL, 0, STARTING_PAUSE_MS);
	}
}

struct changer *change_open(struct cli *cli, const char *spool_path)
{
	struct changer *c = mem_alloc(sizeof(*c));
	char *path = NULL;
	struct err e;

	c->lock_fd = -1;
	if (spool_path)
		path = mem_strdup(spool_path);
	else if (cli_spool_path(cli, &path) < 0)
		goto fail;
	if (find_way(c, path, &e) < 0 || (!c->daemon && open_direct(c, cli, path, &e) < 0)) {
		cli_error("%s", e.text);
		goto fail;
	}
	free(path);
	return c;
fail:
	free(path);
	change_close(c);
	return NULL;
}

void change_close(struct changer *c)
{
	if (!c)
		return;
	daemon_close(c->daemon);
	if (c->spool.path)
		spool_close(&c->spool);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	if (c->has_cfg)
		config_release(&c->cfg);
	free(c);
}

bool change_is_direct(const struct changer *c)
{
	return !c->daemon;
}

/* ---- messages ----------------------------------------------------------------------- */

static void run_direct(struct changer *c, const struct action_order *order, struct action_item *items, size_t count)
{
	const struct bounce_settings bounce = { .hostname = c->cfg.hostname, .postmaster = c->cfg.postmaster,
						.return_limit_bytes = c->cfg.bounce_size_limit_bytes,
						.expire_after_ms = c->cfg.expire_after_ms };
	struct action_order mine = *order;

	mine.by = c->by;
	action_run(&mine, &c->spool, &bounce, items, count);
	for (size_t i = 0; c->logs && i < count; i++)
		action_log(&mine, &items[i]);
}

static json_t *order_object(const struct action_order *order, const struct action_item *items, size_t count)
{
	json_t *o = json_object(), *ids = json_array();

	for (size_t i = 0; i < count; i++)
		ASSERT(json_array_append_new(ids, json_string(items[i].id.text)) == 0);
	json_put_key(o, "do", json_string(action_name(order->action)));
	json_put_key(o, "ids", ids);
	if (order->reason)
		json_put_key(o, "reason", json_text_or_null(order->reason));
	if (order->action == ACTION_REROUTE || order->route)
		json_put_key(o, "upstream", json_text_or_null(order->route));
	return o;
}

/* The answers come in the order of the items. */
static int run_asked(struct changer *c, const struct action_order *order, struct action_item *items, size_t count,
		     struct err *e)
{
	size_t done = 0;
	bool at_end = false;

	if (daemon_send(c->daemon, order_object(order, items, count), e) < 0)
		goto fail;
	while (!at_end) {
		json_t *o = daemon_receive(c->daemon, ANSWER_TIMEOUT_MS, e);

		if (!o)
			goto fail;
		at_end = json_is_true(json_object_get(o, "end"));
		if (!at_end && (done == count || protocol_parse_result(o, &items[done++]) < 0)) {
			err_set(e, "the daemon answered about what was not asked: is it of another version?");
			json_decref(o);
			goto fail;
		}
		json_decref(o);
	}
	if (done == count)
		return 0;
	err_set(e, "the daemon answered for %zu of %zu messages", done, count);
fail:
	for (size_t i = done; i < count; i++) {
		items[i].result = ACTION_FAILED;
		items[i].e = *e;
	}
	return -1;
}

int change_run(struct changer *c, const struct action_order *order, struct action_item *items, size_t count,
	       struct err *e)
{
	int r = 0;

	for (size_t at = 0, n; at < count; at += n) {
		n = count - at < ACTION_BATCH_MAX ? count - at : ACTION_BATCH_MAX;
		if (r < 0) {
			for (size_t i = at; i < at + n; i++) {
				items[i].result = ACTION_FAILED;
				items[i].e = *e;
			}
		} else if (c->daemon) {
			r = run_asked(c, order, items + at, n, e);
		} else {
			run_direct(c, order, items + at, n);
		}
	}
	return r;
}

/* ---- upstreams ---------------------------------------------------------------------- */

static int ask(struct changer *c, json_t *request, struct err *e)
{
	json_t *o;

	if (daemon_send(c->daemon, request, e) < 0)
		return -1;
	o = daemon_receive(c->daemon, ANSWER_TIMEOUT_MS, e);
	json_decref(o);
	return o ? 0 : -1;
}

static json_t *about_upstream(const char *what, const char *upstream)
{
	json_t *o = json_object();

	json_put_key(o, "do", json_string(what));
	json_put_key(o, "upstream", json_text_or_null(upstream));
	return o;
}

static bool is_configured(const struct changer *c, const char *upstream, struct err *e)
{
	for (size_t i = 0; upstream && i < c->cfg.upstream_count; i++)
		if (strcmp(c->cfg.upstream[i].name, upstream) == 0)
			return true;
	if (!upstream)
		return true;
	err_set(e, "there is no upstream \"%s\" in the configuration", upstream);
	return false;
}

/* Changes the file as the relay would. */
static int change_file(struct changer *c, const struct suspension *set, const char *lift, struct err *e)
{
	struct suspensions all;
	int r = -1;

	suspensions_init(&all);
	if (suspensions_load(&all, &c->spool, e) < 0)
		goto out;
	suspensions_expire(&all, clock_wall_us());
	if (set) {
		suspensions_set(&all, set);
	} else if (!suspensions_lift(&all, lift)) {
		if (lift)
			err_set(e, "upstream \"%s\" is not suspended", lift);
		else
			err_set(e, "deliveries as a whole are not suspended; those to single upstreams may be: --upstream NAME, or --all");
		goto out;
	}
	r = suspensions_save(&all, &c->spool, e);
out:
	suspensions_release(&all);
	return r;
}

static void log_upstream(const struct changer *c, const char *event, const char *upstream, const char *reason)
{
	struct log_line line;

	if (!c->logs)
		return;
	log_begin(&line, LOG_LEVEL_INFO, event);
	log_str(&line, "upstream", upstream);
	log_str(&line, "by", c->by);
	log_str(&line, "reason", reason);
	log_end(&line);
}

int change_suspend(struct changer *c, const struct suspension *one, struct err *e)
{
	struct suspension mine = *one;

	if (c->daemon) {
		json_t *o = about_upstream("suspend", one->upstream);

		if (one->until_wall_us)
			json_put_key(o, "until", json_integer(one->until_wall_us / 1000000));
		if (one->reason)
			json_put_key(o, "reason", json_text_or_null(one->reason));
		return ask(c, o, e);
	}
	mine.by = c->by;
	mine.since_wall_us = clock_wall_us();
	if (!is_configured(c, one->upstream, e) || change_file(c, &mine, NULL, e) < 0)
		return -1;
	log_upstream(c, "suspended", one->upstream, one->reason);
	return 0;
}

int change_resume(struct changer *c, const char *upstream, struct err *e)
{
	if (c->daemon)
		return ask(c, about_upstream("resume", upstream), e);
	if (change_file(c, NULL, upstream, e) < 0)
		return -1;
	log_upstream(c, "resumed", upstream, NULL);
	return 0;
}

int change_probe(struct changer *c, const char *upstream, struct err *e)
{
	if (c->daemon)
		return ask(c, about_upstream("probe", upstream), e);
	err_set(e, "no daemon runs on this spool: it asks every upstream when it starts");
	return -1;
}
