/* SPDX-License-Identifier: ISC */
/*
 * Aliases of local mail, in the format of /etc/aliases (aliases(5)):
 *
 *   name: address, name, "quoted name", \name ...
 *
 * Lines that begin with white space go on with the line before; '#' begins a
 * comment line. Names are compared without regard to case. A name on the right
 * is looked up again, "\name" is not. Commands (|), files (/) and :include:
 * are errors: this service delivers nothing on this machine.
 *
 * Parsing is pure; aliases_load reads the file, in the master before the fork.
 * What is in it is whatever an administrator wrote: loops, too deep nesting and
 * expansions past the limit are found when it is read, not when mail comes.
 */
#ifndef REWRITE_ALIASES_H
#define REWRITE_ALIASES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define ALIASES_FILE_MAX (16u << 20)
#define ALIASES_DEPTH_MAX 20 /* of aliases that lead to aliases */

struct aliases;

struct aliases_setup {
	const char *const *domain; /* mail to these is local */
	size_t domain_count;
	size_t expansion_max; /* addresses one alias may lead to */
};

/* Gets each error, "file:line: ..." */
typedef void aliases_report(void *ctx, const char *message);

/* NULL when there was an error; all of them are reported (the first twenty). The setup's strings are copied.
 */
struct aliases *aliases_parse(const char *file, const char *text, size_t len,
			      const struct aliases_setup *setup, aliases_report *report, void *ctx);
/* The same from a file. */
struct aliases *aliases_load(const char *file, const struct aliases_setup *setup, aliases_report *report,
			     void *ctx);
void aliases_free(struct aliases *a); /* of NULL: nothing */

size_t aliases_count(const struct aliases *a);

/*
 * Calls each(ctx, address) for all that an address leads to (one may come twice); they may lack a domain.
 * each returns false to stop. False, and no call: it is not local, or there is no such alias.
 */
bool aliases_expand(struct aliases *a, const char *address, bool (*each)(void *ctx, const char *address),
		    void *ctx);

#endif
