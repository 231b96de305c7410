/* SPDX-License-Identifier: ISC */
/* The configuration as the looking verbs need it: which upstream a recipient goes to and by what rule, when it is retried. */
#ifndef CLI_ROUTING_H
#define CLI_ROUTING_H

#include <stdbool.h>

#include "cli/cli.h"
#include "config/config.h"
#include "config/routes.h"

struct routing {
	bool known; /* a configuration was read; else the following is all defaults and there are no routes */
	struct config config;
	struct routes routes; /* those in made */
	struct config_routes made; /* points into config */
};

/*
 * Reads the configuration of the spool we look at. Without a file, and where --spool names another spool than the
 * default file, nothing is known. -1: the file that was named is bad; what is wrong is said.
 */
int routing_load(struct routing *r, const struct cli *cli);
void routing_release(struct routing *r);

/* The upstream of a recipient; NULL when it is not known. *rule: number of the rule, from 1; 0: the first upstream. */
const char *routing_find(const struct routing *r, const struct envelope *env, size_t rcpt, const char *chosen,
			 size_t *rule);

#endif
