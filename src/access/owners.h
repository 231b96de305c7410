/* SPDX-License-Identifier: ISC */
/*
 * auth_senders (posthouse-access(5)): which users may send with which
 * reverse-path. Lines "user pattern...", several of them for one user add up; the
 * user * stands for all who have no line of their own. Who is in no line may
 * send as nobody. In a pattern %u is the user's name.
 */
#ifndef ACCESS_OWNERS_H
#define ACCESS_OWNERS_H

#include <stdbool.h>

#include "access/lines.h"
#include "access/table.h"

struct owners {
	struct table table;
};

/* 0; -1: every error was reported. */
int owners_load(struct owners *o, const char *path, access_report *report, void *ctx);
int owners_load_from(struct owners *o, const char *path, FILE *file, access_report *report, void *ctx);
void owners_release(struct owners *o);

/* May the user send with this reverse-path? The null one is nobody's, and free to all. */
bool owners_permit(const struct owners *o, const char *user, const char *sender);

#endif
