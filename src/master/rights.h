/* SPDX-License-Identifier: ISC */
/* Giving up root: which user each role runs as, and becoming it for good. */
#ifndef MASTER_RIGHTS_H
#define MASTER_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define RIGHTS_EXTRA_MAX 16

struct rights {
	bool change; /* false: keep what we have (an ordinary user, or -n) */
	uid_t uid;
	gid_t gid;
	gid_t extra_gid[RIGHTS_EXTRA_MAX]; /* supplementary groups */
	size_t extra_count;
};

/* Looks the user up; the message for a missing one names the command that makes it. */
int rights_of_user(struct rights *r, const char *user, struct err *e);
/* Looks a group up; the message for a missing one names the command that makes it. */
int rights_of_group(gid_t *gid, const char *group, struct err *e);
void rights_add_group(struct rights *r, gid_t gid); /* at most RIGHTS_EXTRA_MAX */
/* The groups that the system has the user in, as far as there is room. */
void rights_add_groups_of(struct rights *r, const char *user);
/*
 * In a child, after the fork: becomes that user, with those groups, and
 * makes sure that there is no way back; no exec gains rights from here on
 * (PR_SET_NO_NEW_PRIVS, also when nothing is changed), and capabilities that an
 * ordinary user was started with are given up.
 */
int rights_drop(const struct rights *r, struct err *e);

#endif
