/* SPDX-License-Identifier: ISC */
/*
 * What the master reads from files for its workers, which inherit it: TLS
 * certificates, access tables, aliases. It is read again at HUP, and when the
 * files change, beside what is in use; only what is good takes its place, and
 * then new workers take the place of the old ones (master/supervise.h).
 *
 * A change counts when the files have stayed the same between two looks, so
 * that a certificate and its key may be replaced one after the other. What is
 * refused is logged once a change, and the old stays in use.
 *
 * Runs in the master, as root if it was started so. Of a configuration that is read again there is a registry
 * of its own (generation.h).
 */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* One thing that is read from files and used as a whole. */
struct reloadable {
	const char *what; /* for log lines: "certificates", "sender_access" */
	/* The files to watch, by index; NULL behind the last one. Symbolic links are followed. */
	const char *(*file)(void *ctx, size_t index);
	/* Reads the files, and keeps what they hold beside what is in use. After -1 there is nothing beside. */
	int (*load)(void *ctx, struct err *e);
	/* What was loaded comes into use, what was in use before is freed. */
	void (*swap)(void *ctx);
	/* What was loaded is freed, what is in use stays. */
	void (*drop)(void *ctx);
	/* Frees all: the end, or in a child that does not need it. Secrets are overwritten. */
	void (*release)(void *ctx);
	void *ctx;
};

struct reload;

struct reload *reload_new(void);
/* The reloadable is copied; its ctx lives until reload_free. Nothing is read yet. */
void reload_add(struct reload *r, const struct reloadable *what);
/* Frees the registry and, by release(), all that is in it. NULL is allowed. */
void reload_free(struct reload *r);

/* The first time, before the first fork: reads all and brings it into use. -1: it cannot be used, e says why. */
int reload_start(struct reload *r, struct err *e);
/*
 * The same beside one that is in use and may be replaced by this one: what cannot be used is logged as refused,
 * all of it.
 */
bool reload_beside(struct reload *r);
/* It has been replaced: logs that what is in here is in use now. */
void reload_tell(const struct reload *r);
/*
 * The same for posthoused -t: tells what is wrong with each, in one run. Returns whether all is well. In a
 * process that ends soon: it has seen secrets.
 */
bool reload_check(struct reload *r, void (*report)(void *ctx, const char *text), void *ctx);

/* HUP, where there is no configuration file: reads all again. Returns whether anything new is in use. */
bool reload_now(struct reload *r);
/* Call about once a second: looks at the files every few seconds. Returns whether anything new is in use. */
bool reload_tick(struct reload *r);

#endif
