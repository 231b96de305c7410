/* SPDX-License-Identifier: ISC */
/*
 * The relay process: its secrets, its rights, then relay_run. The passwords
 * are read before root is given up, so their files may be root's alone; no
 * worker ever has them.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "config/client.h"
#include "config/remote.h"
#include "config/routes.h"
#include "daemon/inherit.h"
#include "daemon/processes.h"
#include "daemon/relay_lists.h"
#include "daemon/relay_tokens.h"
#include "daemon/service.h"
#include "figures/figures.h"
#include "relay/relay.h"

/* What is made of the configuration for the relay, in one piece; all owned. */
struct relay_settings {
	struct relay_config config;
	struct relay_upstream_config *upstream;
	struct relay_remote_config **remote; /* by upstream */
	struct config_client_secrets *secrets; /* by upstream */
	struct relay_token *tokens; /* by upstream */
	struct relay_mailman *mailman; /* NULL: another handler */
	int program_fd; /* where runs of programs are asked for; -1: there are none */
	struct config_routes routes;
};

static void make_remotes(struct relay_settings *s, const struct config *cfg, size_t index)
{
	const struct config_upstream *u = &cfg->upstream[index];

	s->remote[index] = mem_array(u->remoteaddr_count, sizeof(**s->remote));
	for (size_t i = 0; i < u->remoteaddr_count; i++) {
		char text[ENDPOINT_TEXT_MAX];

		s->remote[index][i] = (struct relay_remote_config){
			.name = mem_strdup(config_remote_format(&u->remoteaddr[i], text)),
			.weight = u->remoteaddr[i].weight,
		};
		config_client_settings(&s->remote[index][i].settings, cfg, u, &u->remoteaddr[i],
				       &s->secrets[index]);
		relay_token_use(relay_token_at(s->tokens, index), &s->remote[index][i].settings);
		if (u->remoteaddr[i].program)
			s->remote[index][i].program = relay_mailman_program(s->mailman, s->program_fd);
	}
}

static void make_upstream(struct relay_settings *s, const struct config *cfg, size_t index)
{
	const struct config_upstream *u = &cfg->upstream[index];

	make_remotes(s, cfg, index);
	s->upstream[index] = (struct relay_upstream_config){
		.name = u->name,
		.remote = s->remote[index],
		.remote_count = u->remoteaddr_count,
		.max_connections = u->max_connections,
		.messages_per_connection = u->messages_per_connection,
		.messages_per_minute = u->messages_per_minute,
		.recipients_per_message = u->recipients_per_message,
		.connection_max_age_ms = u->connection_max_age_ms,
		.probe = { u->probe_min_ms, u->probe_max_ms, 2.0 },
		.credentials = relay_token_credentials(relay_token_at(s->tokens, index)),
	};
}

/* Opens the files with the secrets: before the rights are dropped. */
static int read_secrets(struct relay_settings *s, const struct config *cfg, struct err *e)
{
	s->secrets = mem_array(cfg->upstream_count, sizeof(*s->secrets));
	for (size_t i = 0; i < cfg->upstream_count; i++) {
		if (config_client_read_secrets(&s->secrets[i], &cfg->upstream[i], e) == 0)
			continue;
		err_prefix(e, "upstream \"%s\"", cfg->upstream[i].name);
		return -1;
	}
	s->tokens = relay_tokens_new(cfg, s->secrets);
	return relay_mailman_new(&s->mailman, cfg, e);
}

static void make_config(struct relay_settings *s, const struct config *cfg)
{
	s->upstream = mem_array(cfg->upstream_count, sizeof(*s->upstream));
	s->remote = mem_array(cfg->upstream_count, sizeof(*s->remote));
	for (size_t i = 0; i < cfg->upstream_count; i++)
		make_upstream(s, cfg, i);
	config_routes_init(&s->routes, cfg);
	s->routes.routes.lists = relay_mailman_routes(s->mailman);
	s->config = (struct relay_config){
		.hostname = cfg->hostname,
		.upstream = s->upstream,
		.upstream_count = cfg->upstream_count,
		.routes = s->routes.routes,
		.lists = relay_mailman_lists(s->mailman),
		.bounce = { .hostname = cfg->hostname,
			    .postmaster = cfg->postmaster,
			    .return_limit_bytes = cfg->bounce_size_limit_bytes,
			    .expire_after_ms = cfg->expire_after_ms },
		.retry = { cfg->retry_min_ms, cfg->retry_max_ms, cfg->retry_factor },
		.expire_after_ms = cfg->expire_after_ms,
		.warn_after_ms = cfg->warn_after_ms,
	};
}

static void release(struct relay_settings *s, const struct config *cfg)
{
	for (size_t i = 0; i < cfg->upstream_count; i++) {
		for (size_t k = 0; s->remote && s->remote[i] && k < cfg->upstream[i].remoteaddr_count; k++)
			free((char *)s->remote[i][k].name);
		if (s->remote)
			free(s->remote[i]);
		if (s->secrets)
			config_client_release_secrets(&s->secrets[i]);
	}
	relay_tokens_free(s->tokens, cfg->upstream_count);
	relay_mailman_free(s->mailman);
	free(s->upstream);
	free(s->remote);
	free(s->secrets);
	config_routes_release(&s->routes);
}

int relay_main(void *ctx, struct child_start *start)
{
	struct service *s = ctx;
	struct relay_settings settings = { .program_fd = s->program_fd[1] };
	struct relay_setup setup;
	struct spool spool = { 0 };
	struct err e;
	int r = -1;

	figures_become(FIGURES_OF_RELAY);
	figures_reset_gauges(FIGURES_OF_RELAY);
	proctitle_set("relay");
	log_tap(NULL, NULL); /* the door has its own */
	inherit_as(s, ROLE_RELAY);
	if (read_secrets(&settings, s->cfg, &e) < 0 || rights_drop(&s->relay_rights, &e) < 0 ||
	    spool_open(&spool, s->cfg->spool, SPOOL_MANAGE, s->cfg->spool_sync, &e) < 0)
		goto out;
	if (confine_enter(&s->confine, ROLE_RELAY, &e) < 0)
		goto out;
	relay_mailman_open(settings.mailman, &spool);
	make_config(&settings, s->cfg);
	setup = (struct relay_setup){
		.spool = &spool,
		.config = &settings.config,
		.started_wall_us = s->started_wall_us,
		.notice_fd = s->notice_fd[0],
		.unsaved_fd = s->unsaved_fd,
		.rescan_wanted = &s->board->shared->rescan_wanted,
		.ready = &s->board->shared->ready[ROLE_RELAY],
		.queued = &s->board->shared->relay_queued,
		.control = &start->control,
		.trace = log_wants(LOG_LEVEL_DEBUG, "upstream_dialogue"),
		.view_gid = s->view_gid,
		.control_gid = s->control_gid,
		.event_fd = s->event_fd[0],
		.watched = &s->board->shared->watched,
		.watch_lost = &s->board->shared->watch_lost,
		.master_pid = s->master_pid,
		.add_processes = processes_add,
		.processes_ctx = s,
	};
	r = relay_run(&setup, &e);
out:
	if (r < 0)
		log_msg(LOG_LEVEL_ERROR, "relay_failed", "%s", e.text);
	if (spool.path)
		spool_close(&spool);
	release(&settings, s->cfg);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
