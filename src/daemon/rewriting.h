/* SPDX-License-Identifier: ISC */
/*
 * The rewriting that a configuration asks for: its values as rewrite/rules.h has them, and the file of aliases read. Made
 * by the master before the fork, as the file may be readable for root only; the workers inherit it.
 */
#ifndef DAEMON_REWRITING_H
#define DAEMON_REWRITING_H

#include "config/config.h"
#include "rewrite/rules.h"

struct rewriting {
	struct rewrite_rules rules; /* points into the configuration, which outlives it */
	struct rewrite_rule *rule; /* owned */
	struct aliases *aliases; /* owned */
};

/* All errors are reported, "file:line: ..."; -1 if there was one, and then there is nothing to release. */
int rewriting_init(struct rewriting *r, const struct config *cfg, config_report *report, void *ctx);
void rewriting_release(struct rewriting *r); /* also of one that is all zero */

/* What an operator should be reminded of at each start. */
void rewriting_warn(const struct rewriting *r);

#endif
