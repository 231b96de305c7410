/* SPDX-License-Identifier: ISC */
/* Giving up root: which user each role runs as, and becoming it for good. */
#ifndef MASTER_RIGHTS_H
#define MASTER_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct rights {
	bool change; /* false: keep what we have (an ordinary user, or -n) */
	uid_t uid;
	gid_t gid;
	gid_t extra_gid; /* a supplementary group, or (gid_t)-1: none */
};

/* Looks the user up; the message for a missing one names the command that makes it. */
int rights_of_user(struct rights *r, const char *user, struct err *e);
/*
 * In a child, after the fork: becomes that user, with no other groups, and
 * makes sure that there is no way back; no exec gains rights from here on
 * (PR_SET_NO_NEW_PRIVS, also when nothing is changed).
 */
int rights_drop(const struct rights *r, struct err *e);

#endif
