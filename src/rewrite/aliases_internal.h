/* SPDX-License-Identifier: ISC */
/* The table of aliases as aliases_parse.c builds it and aliases.c uses it. */
#ifndef REWRITE_ALIASES_INTERNAL_H
#define REWRITE_ALIASES_INTERNAL_H

#include "rewrite/aliases.h"

#define ALIAS_NONE ((size_t)-1)

struct alias_target {
	char *address; /* owned */
	bool final; /* written "\name": not looked up again */
	size_t alias; /* index of the alias it leads to, ALIAS_NONE: it is an address */
};

struct alias {
	char *name; /* without quotes, ASCII letters in lower case; owned */
	struct alias_target *target; /* owned */
	size_t target_count;
	unsigned line; /* of the file */
	unsigned depth; /* of aliases below it, itself included; 0: not looked at yet */
	bool on_path; /* while loops are looked for */
	unsigned turn; /* of the last expansion that met it */
};

struct aliases {
	struct alias *alias; /* sorted by name; owned */
	size_t count, cap;
	char **domain; /* owned */
	size_t domain_count;
	unsigned turn;
};

/* The index of a name, letters in any case; or ALIAS_NONE. */
size_t aliases_find(const struct aliases *a, const char *name);
/* The local part of a local address without quotes, into name (SMTP_PATH_MAX); false: the address is not
 * local. */
bool aliases_local_name(const struct aliases *a, const char *address, char *name);
/* aliases_expand() for an alias by its index. */
void aliases_expand_at(struct aliases *a, size_t index, bool (*each)(void *ctx, const char *address),
		       void *ctx);

#endif
