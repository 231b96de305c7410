/* SPDX-License-Identifier: ISC */
/*
 * The spool directory: one file a message. posthouse-spool(5) documents the
 * format and every state; this header is the way in.
 *
 *   SPOOL/incoming/ID  being written by a worker; a leftover is never acknowledged mail
 *   SPOOL/queue/ID     a message, whole or recognisably torn by a power cut before its 250
 *   SPOOL/state/ID     what delivery attempts did to it so far (relay only)
 *   SPOOL/corrupt/ID   what could not be read, with ID.reason beside it; never deleted
 *   SPOOL/lock         flock(2)ed by the one master of this spool
 *
 * Rights: workers hold a `struct spool` for creating only. The relay, or a
 * CLI that holds the lock, reads, updates and removes. All system calls on
 * the spool go through spool/sys.h.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum spool_sync {
	/* strict unless the file system is one for which fsync of a file is known to make its
	 * new name durable too (ext4, xfs, btrfs; see txn.c for the argument) */
	SPOOL_SYNC_AUTO,
	SPOOL_SYNC_FILE, /* rename, then one fsync of the file */
	SPOOL_SYNC_STRICT /* and one fsync of the directory */
};

struct spool {
	char *path; /* for messages; owned */
	int root_fd, incoming_fd, queue_fd, state_fd, corrupt_fd; /* -1 where this process has no business */
	/* fsync of a file is not enough for its new name: SPOOL_SYNC_STRICT, or AUTO decided so */
	bool sync_directory;
	bool keep_order; /* removals and moves must be synced one by one, or a power cut may reorder them */
	bool shared; /* workers are another user than the relay */
	mode_t message_mode; /* of message files that are made here */
	/* root in the spool of another user: what it makes must belong to that one, or the relay could not read
	 * it; (uid_t)-1: nothing to give away */
	uid_t give_uid;
	gid_t give_gid;
};

enum spool_access {
	SPOOL_CREATE, /* workers: incoming and queue, no listing */
	SPOOL_MANAGE, /* relay: everything */
	SPOOL_READ /* CLI: everything, for reading */
};

/*
 * Makes the directories where missing (root's owners: relay_uid:relay_gid,
 * workers' group worker_gid; (uid_t)-1 leaves ownership alone) and checks
 * that what is there is ours to trust. Called by the master before the fork.
 */
int spool_prepare(const char *path, uid_t relay_uid, gid_t relay_gid, gid_t worker_gid, struct err *e);

/* Opens an existing spool. Close with spool_close. */
int spool_open(struct spool *s, const char *path, enum spool_access access, enum spool_sync sync,
	       struct err *e);
void spool_close(struct spool *s);

/*
 * Takes SPOOL/lock; the descriptor keeps it until it is closed (it survives
 * fork: the master's children share it, so it must be opened O_CLOEXEC and
 * closed in them). -1 with a message naming the holder's pid when it is taken.
 */
int spool_lock(const char *path, struct err *e);

/* Gives a file that we made in this spool to whom it is for (give_uid); errno as fchown. */
int spool_give(const struct spool *s, int fd);
/* Opens NAME of state/ or corrupt/ for writing, empty and given to whom it is for; -1 and errno. */
int spool_create_file(const struct spool *s, int dir_fd, const char *name);

/* Bytes free for us on the spool's file system; -1 on failure. */
int spool_free_bytes(const struct spool *s, uint64_t *bytes, struct err *e);
/* A word for the file system, "ext4", "tmpfs" ... ; volatile says that a reboot empties it. */
const char *spool_filesystem(const struct spool *s, bool *is_volatile);

#endif
