/* SPDX-License-Identifier: ISC */
/* The routes of a configuration, as manage/route.h works with them. */
#ifndef CONFIG_ROUTES_H
#define CONFIG_ROUTES_H

#include "config/config.h"
#include "manage/route.h"

struct config_routes {
	struct routes routes; /* who matches no rule goes to the first upstream that is not Mailman's; lists: to be added */
	struct route_rule *rule; /* owned */
	const char **name; /* of the upstreams; owned */
};

/* Points into cfg, which must outlive it and have been checked. */
void config_routes_init(struct config_routes *r, const struct config *cfg);
void config_routes_release(struct config_routes *r);

/* One rule; its upstream is left at 0. */
struct route_rule config_route_rule(const struct config_route *route);

#endif
