/* SPDX-License-Identifier: ISC */
/*
 * One entry of the spool looked at as a careful stranger would: is it what
 * its place says, whole, and readable for whom it is for; and what puts it
 * right. Used by `posthouse fsck`: the looking also beside a running relay
 * (who then looks again before it believes a finding: entries come and go), the
 * repairing only by who holds the spool lock.
 */
#ifndef SPOOL_CHECK_H
#define SPOOL_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/spool.h"

enum check_folder { CHECK_ROOT, CHECK_INCOMING, CHECK_QUEUE, CHECK_STATE, CHECK_CORRUPT };
#define CHECK_FOLDERS (CHECK_CORRUPT + 1)
const char *check_folder_name(enum check_folder f); /* "queue"; "" for the spool directory itself */

enum check_kind {
	CHECK_SOUND,
	CHECK_DAMAGED_MESSAGE, /* queue/ID */
	CHECK_DAMAGED_STATE, /* state/ID: torn, or not of its message */
	CHECK_ORPHAN_STATE, /* state/ID without queue/ID */
	CHECK_UNFINISHED_STATE, /* state/ID.new that nobody is writing */
	CHECK_LEFTOVER, /* incoming/X that nobody is writing */
	CHECK_DAMAGED_SUSPENDED, /* SPOOL/suspended (manage/suspend.h reads it) */
	CHECK_FOREIGN_IN_QUEUE,
	CHECK_FOREIGN_IN_STATE,
	CHECK_FOREIGN, /* elsewhere */
	CHECK_WITHOUT_REASON, /* corrupt/NAME without NAME.reason */
	CHECK_RIGHTS, /* owner, group or mode */
	CHECK_UNREADABLE /* the system refused: a dying disk, or rights that we do not have */
};
#define CHECK_KINDS (CHECK_UNREADABLE + 1)
const char *check_kind_name(enum check_kind k); /* "damaged_message" */
/* "moves it to corrupt/": what spool_repair would do; NULL: nothing, a person has to */
const char *check_remedy(enum check_kind k);

struct spool_check {
	const struct spool *s;
	/* files of incoming/, and half-written states, that did not change since then are left over */
	int64_t idle_since_wall_us;
};

/* Calls each for every entry (not "." and ".."); it may remove the one it is given. */
int spool_check_list(const struct spool *s, enum check_folder folder, void (*each)(void *ctx, const char *name),
		     void *ctx, struct err *e);

struct check_result {
	enum check_kind kind;
	struct err what; /* not SOUND: what is wrong, without the path */
	uint64_t octets; /* of the message's content */
};

/* One that is gone is SOUND. Safe to be called from several threads. */
void spool_check(const struct spool_check *c, enum check_folder folder, const char *name, struct check_result *out);
/* The directory itself: its owner and mode. */
void spool_check_directory(const struct spool_check *c, enum check_folder folder, struct check_result *out);

/*
 * Does what check_remedy says about it. The lock is the caller's. -1 and e: it could not be done, or there
 * is no remedy.
 */
int spool_repair(const struct spool_check *c, enum check_folder folder, const char *name,
		 const struct check_result *found, struct err *e);
int spool_repair_directory(const struct spool_check *c, enum check_folder folder, struct err *e);

#endif
