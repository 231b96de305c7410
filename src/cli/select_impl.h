/* SPDX-License-Identifier: ISC */
/* What select.c (what was said) and select_run.c (finding it) share; nobody else includes it. */
#ifndef CLI_SELECT_IMPL_H
#define CLI_SELECT_IMPL_H

#include "cli/criteria.h"
#include "cli/routing.h"
#include "cli/select.h"

struct select {
	enum select_default otherwise;
	struct criteria criteria;
	struct id_prefix *prefix; /* operands; owned */
	size_t prefix_count;
	struct id_list listed; /* ids of standard input, sorted */
	bool has_list; /* "-" was said */
	bool all, dry_run;
	uint64_t limit; /* 0: none */
	struct routing routing; /* only when has_routing; owned */
	bool has_routing;
};

#endif
