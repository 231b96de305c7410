/* SPDX-License-Identifier: ISC */
/* Where the configuration sends recipients (manage/route.h), as the verbs want to know it. */
#ifndef CLI_ROUTING_H
#define CLI_ROUTING_H

#include "cli/cli.h"
#include "manage/route.h"

struct routing;

/*
 * The rules of the configuration file; where there is none (the quick command line) the one upstream is
 * called "default". NULL: the file is bad, which is said.
 */
struct routing *routing_load(const struct cli *cli);
void routing_free(struct routing *r); /* NULL is allowed */
const struct routes *routing_routes(const struct routing *r); /* valid as long as r */

#endif
