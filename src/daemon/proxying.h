/* SPDX-License-Identifier: ISC */
/*
 * What a worker with the handler "proxy" needs besides its own: the upstreams
 * with their secrets, and the routes. Made in the worker, before it gives up
 * root, as the relay does it; so the files of secrets may be root's alone.
 */
#ifndef DAEMON_PROXYING_H
#define DAEMON_PROXYING_H

#include "config/client.h"
#include "config/config.h"
#include "config/routes.h"
#include "handler/proxy_handler.h"

struct proxying {
	struct proxy_setup setup;
	struct proxy_upstream *upstream; /* owned, as all here */
	struct proxy_remote **remote; /* by upstream */
	struct config_client_secrets *secrets; /* by upstream */
	struct config_routes routes;
};

/* NULL and e: a secret cannot be read. cfg and control outlive it. */
struct proxying *proxying_new(const struct config *cfg, struct control *control, struct err *e);
/* After the handler was closed. NULL: nothing. */
void proxying_free(struct proxying *p);

#endif
