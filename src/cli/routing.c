/* SPDX-License-Identifier: ISC */
/* See routing.h. */
#include "cli/routing.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/daemon.h"
#include "cli/settings.h"
#include "config/mailman.h"
#include "mailman/snapshot.h"

/* ---- lists of Mailman ------------------------------------------------------------------- */

static enum route_listed ask(void *ctx, const char *address, int64_t arrived_wall_us)
{
	const struct routing *r = ctx;
	struct lists_known known = { r->configured, r->listed, r->listed_wall_us, NULL };

	switch (lists_ask(&known, address, arrived_wall_us)) {
	case LISTS_YES:
		return ROUTE_LISTED_YES;
	case LISTS_UNKNOWN:
		return ROUTE_LISTED_UNKNOWN;
	case LISTS_NO:
		break;
	}
	return ROUTE_LISTED_NO;
}

/* Handed over by the relay, for who may look and may not read the spool. */
static void load_from_relay(struct routing *r, enum lists_kind kind, char *spool_path)
{
	struct spool blind = { .path = spool_path, .root_fd = -1 };
	struct daemon *d = NULL;
	struct err ignored;
	int fd = -1;

	if (daemon_connect(&d, spool_path, DAEMON_VIEW, &ignored) == DAEMON_CONNECTED &&
	    daemon_open_lists(d, &fd, &ignored) == 0 && fd >= 0)
		(void)snapshot_load_from(&r->listed, kind, &r->listed_wall_us, &blind, fd, &ignored);
	if (fd >= 0)
		close(fd);
	daemon_close(d);
}

/* What the relay noted. Where there is nothing to be had nothing is known, and that is shown. */
static void know_lists(struct routing *r, const struct cli *cli)
{
	enum lists_kind kind = config_mailman_url(&r->config) ? LISTS_OF_LISTS : LISTS_OF_ADDRESSES;
	const char *path = cli->spool_path ? cli->spool_path : r->config.spool;
	struct spool spool;
	struct err ignored;
	char *copy;

	r->configured = lists_new(LISTS_OF_LISTS);
	for (size_t i = 0; i < r->config.mailman_domains_count; i++)
		(void)lists_add_domain(r->configured, r->config.mailman_domains[i],
				       strlen(r->config.mailman_domains[i]), NULL);
	lists_seal(r->configured);
	r->lists = (struct route_lists){ ask, r, config_mailman_upstream(&r->config) };
	r->routes.lists = &r->lists;
	if (spool_open(&spool, path, SPOOL_READ, SPOOL_SYNC_AUTO, &ignored) == 0) {
		(void)snapshot_load(&r->listed, kind, &r->listed_wall_us, &spool, &ignored);
		spool_close(&spool);
		return;
	}
	copy = mem_strdup(path);
	load_from_relay(r, kind, copy);
	free(copy);
}

/* ---- the configuration ---------------------------------------------------------------------- */

int routing_load(struct routing *r, const struct cli *cli)
{
	struct err e;
	int loaded;

	memset(r, 0, sizeof(*r));
	loaded = settings_config(cli->config_file, &r->config, &e);
	if (loaded < 0) {
		cli_error("%s", e.text);
		return -1;
	}
	if (loaded > 0 && !cli->config_file && cli->spool_path && strcmp(cli->spool_path, r->config.spool) != 0) {
		config_release(&r->config);
		config_init(&r->config);
		loaded = 0;
	}
	r->known = loaded > 0;
	config_routes_init(&r->made, &r->config);
	r->routes = r->made.routes;
	if (r->known && config_is_mailman(&r->config))
		know_lists(r, cli);
	return 0;
}

void routing_release(struct routing *r)
{
	lists_free(r->configured);
	lists_free(r->listed);
	config_routes_release(&r->made);
	config_release(&r->config);
}

/* Which rule it was: the first that matches when it is the only one. */
static size_t rule_of(const struct routing *r, const struct envelope *env, size_t rcpt)
{
	for (size_t i = 0; i < r->routes.rule_count; i++) {
		struct routes one = { .rule = &r->made.rule[i], .rule_count = 1, .fallback = SIZE_MAX };

		if (route_find(&one, env, rcpt, NULL) != SIZE_MAX)
			return i + 1;
	}
	return 0;
}

const char *routing_find(const struct routing *r, const struct envelope *env, size_t rcpt, const char *chosen,
			 struct routing_way *way)
{
	size_t found;

	*way = (struct routing_way){ 0 };
	if (r->routes.upstream_count == 0)
		return NULL;
	found = route_find(&r->routes, env, rcpt, chosen);
	if (found == r->routes.upstream_count) {
		way->is_undecided = true;
		return NULL;
	}
	way->is_chosen = chosen && strcmp(chosen, r->made.name[found]) == 0;
	way->is_list =
		r->routes.lists && !way->is_chosen &&
		ask((void *)(uintptr_t)r, env->rcpt[rcpt].address, env->arrived_wall_us) == ROUTE_LISTED_YES;
	if (!way->is_list)
		way->rule = rule_of(r, env, rcpt);
	return r->made.name[found];
}
