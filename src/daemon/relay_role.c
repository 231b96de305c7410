/* SPDX-License-Identifier: ISC */
/*
 * The relay process: its secrets, its rights, then relay_run. The password is
 * read before root is given up, so its file may be root's alone; no worker
 * ever has it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proctitle.h"
#include "config/secret.h"
#include "daemon/service.h"
#include "relay/relay.h"

static void configure(struct relay_setup *setup, const struct service *s, struct child_start *start, char *password)
{
	const struct config *cfg = s->cfg;
	const struct config_upstream *u = &cfg->upstream[0];

	*setup = (struct relay_setup){
		.upstream = {
			.name = u->name,
			.remote = u->remoteaddr[0].endpoint,
			.tls = u->tls,
			.tls_ca_file = u->tls_ca_file,
			.hostname = cfg->hostname,
			.user = u->user,
			.password = password,
			.eightbit = u->eight_bit,
			.pipelining = u->pipelining,
			.connect_timeout_ms = u->connect_timeout_ms,
			.greeting_timeout_ms = u->greeting_timeout_ms,
			.command_timeout_ms = u->command_timeout_ms,
			.data_timeout_ms = u->data_timeout_ms,
			.block_timeout_ms = u->block_timeout_ms,
			.final_timeout_ms = u->final_timeout_ms,
			.idle_timeout_ms = u->idle_timeout_ms,
		},
		.max_connections = u->max_connections,
		.messages_per_connection = u->messages_per_connection,
		.retry = { cfg->retry_min_ms, cfg->retry_max_ms, cfg->retry_factor },
		.probe = { u->probe_min_ms, u->probe_max_ms, 2.0 },
		.started_wall_us = s->started_wall_us,
		.notice_fd = s->notice_fd[0],
		.rescan_wanted = &s->board->shared->rescan_wanted,
		.ready = &s->board->shared->relay_ready,
		.control = &start->control,
		.trace = cfg->debug,
	};
}

int relay_main(void *ctx, struct child_start *start)
{
	struct service *s = ctx;
	const struct config_upstream *u = &s->cfg->upstream[0];
	struct relay_setup setup;
	struct spool spool = { 0 };
	char *password = NULL;
	struct err e;
	int r = -1;

	proctitle_set("relay");
	/* it takes no clients: were it to hold the sockets, they would stay open when the master is gone */
	listening_release(&s->listening, false);
	close(s->notice_fd[1]);
	log_tap(NULL, NULL); /* the door has its own */
	close(s->event_fd[1]);
	if ((u->password_file && secret_read(u->password_file, &password, &e) < 0) ||
	    rights_drop(&s->relay_rights, &e) < 0 ||
	    spool_open(&spool, s->cfg->spool, SPOOL_MANAGE, s->cfg->spool_sync, &e) < 0)
		goto out;
	configure(&setup, s, start, password);
	setup.spool = &spool;
	r = relay_run(&setup, &e);
out:
	if (r < 0)
		log_msg(LOG_LEVEL_ERROR, "relay_failed", "%s", e.text);
	if (spool.path)
		spool_close(&spool);
	secret_free(password);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
