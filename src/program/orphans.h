/* SPDX-License-Identifier: ISC */
/*
 * Processes that lost their parent and became ours (PR_SET_CHILD_SUBREAPER): killed, wherever they moved to.
 */
#ifndef PROGRAM_ORPHANS_H
#define PROGRAM_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * KILL to each child of this process but those that `known` says are no orphans (NULL: all are). Returns how
 * many.
 */
unsigned orphans_kill(bool (*known)(void *ctx, pid_t pid), void *ctx);

#endif
