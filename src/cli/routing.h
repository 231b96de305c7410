/* SPDX-License-Identifier: ISC */
/*
 * The configuration as the looking verbs need it: which upstream a recipient goes to and by what rule, when
 * it is retried.
 */
#ifndef CLI_ROUTING_H
#define CLI_ROUTING_H

#include <stdbool.h>

#include "cli/cli.h"
#include "config/config.h"
#include "config/routes.h"
#include "mailman/lists.h"

struct routing {
	bool known; /* a configuration was read; else the following is all defaults and there are no routes */
	struct config config;
	struct routes routes; /* those in made */
	struct config_routes made; /* points into config */
	/* handler "mailman": what its lists are, as the relay noted it last */
	struct route_lists lists; /* routes.lists leads here */
	struct lists *configured, *listed; /* NULL: nothing; owned */
	int64_t listed_wall_us;
};

/*
 * Reads the configuration of the spool we look at. Without a file, and where --spool names another spool than
 * the default file, nothing is known. -1: the file that was named is bad; what is wrong is said. It must stay
 * where it is.
 */
int routing_load(struct routing *r, const struct cli *cli);
void routing_release(struct routing *r);

struct routing_way {
	size_t rule; /* number of the route, from 1; 0: none, it is the first upstream or one of the following */
	bool is_chosen; /* by an operator */
	bool is_list; /* of Mailman's */
	bool is_undecided; /* it is not known whether it is one: it waits, and goes nowhere */
};

/* The upstream of a recipient; NULL when it is not known, or undecided. */
const char *routing_find(const struct routing *r, const struct envelope *env, size_t rcpt, const char *chosen,
			 struct routing_way *way);

#endif
