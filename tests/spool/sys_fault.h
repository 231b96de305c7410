/* SPDX-License-Identifier: ISC */
/*
 * spool/sys.h for the crash tests, linked in the place of libspoolsys.a. The
 * calls are really made (but for fsync, which would only cost time), those
 * below one base directory are told to the disk model too, and at the n-th one
 * something goes wrong:
 *
 *   a failure     with a chosen errno, once or, like a full or broken disk, ever after
 *   the end       of the process or the machine: from then on nothing is done any
 *                 more and every call fails, so that the code under test finds its
 *                 way out; whatever it returns then, nobody hears it
 *
 * Before the call, or for a write half way through it, or for an exclusive
 * rename between its link and its unlink (a file system without RENAME_NOREPLACE).
 */
#ifndef TESTS_SYS_FAULT_H
#define TESTS_SYS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

struct fault_plan {
	int os_error; /* 0: the end */
	bool half_way;
	bool ever_after; /* failing changes, writes and syncs from then on */
};

/* What of the product is broken on purpose, to prove that the tests see it. */
enum fault_mutation { FAULT_FILE_SYNC_DOES_NOTHING = 1, FAULT_DIRECTORY_SYNC_DOES_NOTHING = 2 };

/* The tree below base is modelled from now on; the directory is empty. */
void fault_model(const char *base);
/* The at-th call from now on, counted from 1, meets the plan; to an end only calls count that change something. */
void fault_arm(const struct fault_plan *plan, unsigned at);
void fault_disarm(void); /* and the dead live again */

bool fault_was_met(void); /* since fault_arm: the count came that far */
bool fault_is_dead(void);
const char *fault_where(void); /* "unlink queue/0abc", of the call that met it */
unsigned long fault_calls(void); /* all calls ever, as a measure */
int fault_open_descriptors(void); /* opened minus closed through sys.h */

void fault_mutate(unsigned mutations);
/* The n-th syncfs since fault_arm does nothing; 0: none. */
void fault_skip_syncfs(unsigned n);
/* Directories cannot be opened for reading any more, as by a worker that may not list them. */
void fault_deny_listing(bool deny);
/* What statfs says of the file system, 0: the truth. */
void fault_set_filesystem(long magic);

#endif
