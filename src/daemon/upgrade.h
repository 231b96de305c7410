/* SPDX-License-Identifier: ISC */
/* The executable is replaced in place (USR2): both sides of it. */
#ifndef DAEMON_UPGRADE_H
#define DAEMON_UPGRADE_H

#include <stdbool.h>

#include "base/err.h"
#include "master/child.h"

struct house;
struct service_setup;

/*
 * Where this executable was started from, absolute, with symbolic links as they were written: another may stand
 * there one day. NULL: not known. Once, before the working directory changes; to be freed.
 */
char *program_path(const char *argv0);

/* After the configuration was found good. True: the new executable is being tried with it; else why has been logged. */
bool upgrade_try(struct house *h);
/*
 * The new executable takes this one's place; a hook of master/supervise.h. Returns only when that failed, which
 * has been logged: then all is as before.
 */
void upgrade_execute(void *ctx, const struct child *const *child, unsigned count);

/* In the new one: the house is furnished with what it was left. Without a handover: nothing. */
int upgrade_enter(struct house *h, struct err *e);
/* With a first generation in use: its children of before are watched as they were (daemon/confine.h). */
void upgrade_watch(struct house *h);
/*
 * It cannot start: back to the old one, before there are children of its own, or after (a hook, where there is a
 * way back). Returns only when there is none, or when the old one has tried often enough.
 */
void upgrade_give_up(const struct service_setup *setup, const struct err *why);
void upgrade_revert(void *ctx, const struct child *const *child, unsigned count);

#endif
