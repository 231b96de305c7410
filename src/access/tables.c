/* SPDX-License-Identifier: ISC */
/* See access.h: what is read from files. Runs in the master. */
#include <string.h>

#include "access/access.h"

int access_tables_load(struct access_tables *t, const struct access_files *files, access_report *report,
		       void *ctx)
{
	int r = 0;

	memset(t, 0, sizeof(*t));
	for (int kind = 0; kind < RULES_KINDS; kind++) {
		t->rules[kind].kind = (enum rules_kind)kind;
		if (files->rules[kind] && rules_load(&t->rules[kind], (enum rules_kind)kind,
						     files->rules[kind], files->may_hold, report, ctx) < 0)
			r = -1;
	}
	t->has_owners = files->owners;
	if (files->owners && owners_load(&t->owners, files->owners, report, ctx) < 0)
		r = -1;
	if (r < 0)
		access_tables_release(t);
	return r;
}

void access_tables_release(struct access_tables *t)
{
	for (int kind = 0; kind < RULES_KINDS; kind++)
		rules_release(&t->rules[kind]);
	owners_release(&t->owners);
	memset(t, 0, sizeof(*t));
}
