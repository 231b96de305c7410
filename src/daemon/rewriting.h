/* SPDX-License-Identifier: ISC */
/*
 * The rewriting that a configuration asks for: its values as rewrite/rules.h has them, and the file of
 * aliases, which the master reads for the workers (reload.h), as it may be readable for root only.
 */
#ifndef DAEMON_REWRITING_H
#define DAEMON_REWRITING_H

#include "config/config.h"
#include "daemon/reload.h"
#include "rewrite/rules.h"

struct rewriting {
	const struct config *cfg;
	struct rewrite_rules
		rules; /* points into the configuration, which outlives it; its aliases are ours */
	struct rewrite_rule *rule; /* owned */
	struct aliases *beside; /* read and not in use yet */
};

/* Everything but the aliases. */
void rewriting_init(struct rewriting *r, const struct config *cfg);
/* Registers the aliases, if there are any to be: read, used and freed from there on. */
void rewriting_reload(struct rewriting *r, struct reload *to);
/* Also of one that is all zero; the aliases are reload's to free. */
void rewriting_release(struct rewriting *r);

/* What an operator should be reminded of at each start. */
void rewriting_warn(const struct rewriting *r);

#endif
