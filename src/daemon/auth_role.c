/* SPDX-License-Identifier: ISC */
/*
 * The auth process: its secrets, its rights, then auth_server_run. It holds no
 * listening socket, no spool and no key of a certificate; what it needs of
 * files it opens as auth_user, so that these need to be readable by nobody else.
 */
#include <stdlib.h>
#include <unistd.h>

#include "auth/introspect.h"
#include "auth/server.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "config/secret.h"
#include "daemon/credentials.h"
#include "daemon/inherit.h"
#include "daemon/service.h"
#include "figures/figures.h"

#define HASHINGS_PER_CPU 2 /* one more than computes, to be there when it ends */

static unsigned hashings_at_a_time(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return HASHINGS_PER_CPU * (cpus > 0 ? (unsigned)cpus : 1);
}

static int serve(struct service *s, struct child_start *start, char *client_secret, struct err *e)
{
	const struct config *cfg = s->cfg;
	const struct introspect_settings introspect = {
		.url = cfg->auth_oauth_introspection_url,
		.client_id = cfg->auth_oauth_client_id,
		.client_secret = client_secret,
		.ca_file = cfg->auth_oauth_ca_file,
		.scope = cfg->auth_oauth_scope,
		.user_claim = cfg->auth_oauth_user_claim,
	};
	struct auth_server_config config = {
		.request_fd = s->auth_fd[0],
		.control = &start->control,
		.introspect = cfg->auth_oauth_introspection_url ? &introspect : NULL,
		.max_exchanges = cfg->max_workers,
		.max_hashings = hashings_at_a_time(),
		.client_timeout_ms = cfg->command_timeout_ms,
		.ban = { cfg->auth_ban_after, cfg->auth_ban_time_ms, cfg->auth_failure_delay_ms },
		.mechanisms = &s->shared->auth_mechanisms,
		.ready = &s->board->shared->ready[ROLE_AUTH],
	};
	int r;

	config.backend = credentials_open(cfg, e);
	if (!config.backend) {
		if (s->auth_rights.change)
			err_prefix(e, "as user \"%s\" (auth_user)", cfg->auth_user);
		return -1;
	}
	r = confine_enter(&s->confine, ROLE_AUTH, e) == 0 ? auth_server_run(&config, e) : -1;
	config.backend->ops->close(config.backend);
	return r;
}

int auth_main(void *ctx, struct child_start *start)
{
	struct service *s = ctx;
	char *client_secret = NULL;
	struct err e;
	int r = -1;

	figures_become(FIGURES_OF_AUTH);
	proctitle_set("auth");
	inherit_as(s, ROLE_AUTH);
	/* the file may be root's alone */
	if ((!s->cfg->auth_oauth_client_secret_file ||
	     secret_read(s->cfg->auth_oauth_client_secret_file, &client_secret, &e) == 0) &&
	    rights_drop(&s->auth_rights, &e) == 0)
		r = serve(s, start, client_secret, &e);
	if (r < 0)
		log_msg(LOG_LEVEL_ERROR, "auth_role_failed", "%s", e.text);
	secret_free(client_secret);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
