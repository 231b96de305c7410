/* SPDX-License-Identifier: ISC */
/*
 * A model of a disk, for the crash tests: it is told each change of one
 * directory tree as it happens (by sys_fault.c, which also makes the change for
 * real), knows which of them are durable, and lays out in another directory
 * every tree that a power cut could leave. Three kinds of file system:
 *
 *   journal   metadata is ordered (ext4, xfs): fsync makes the data of that file
 *             durable, and every change of metadata up to the last one of that
 *             file. A cut keeps some first part of the other changes.
 *   log tree  (btrfs) fsync makes the data of that file and its own names durable,
 *             ahead of older changes of others, and also the removal of any name that
 *             was durable by the log alone. A cut keeps some first part of the rest.
 *   posix     what POSIX promises: fsync of a file makes its data durable, and
 *             nothing about names; fsync of a directory its names. A cut keeps any
 *             subset of the rest, each name for itself. One thing is granted: a
 *             file being renamed has the old name, the new one, or both, unless the
 *             old directory alone was synced.
 *
 * Data that was not synced is, after a cut, there, as it was at the last sync,
 * cut off in the middle, zero, or zero from the middle on (what a NAME.reason says
 * is always there: nobody judges it).
 */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_kind { DISK_JOURNAL, DISK_LOG_TREE, DISK_POSIX };

struct disk_node; /* a file or a directory */

/* Forgets everything; the tree is one empty durable directory from now on. */
void disk_reset(enum disk_kind kind);
struct disk_node *disk_root(void);
/* Everything as it is now is durable. */
void disk_settle(void);

/* NULL when there is no such name. */
struct disk_node *disk_lookup(const struct disk_node *dir, const char *name);
struct disk_node *disk_create(struct disk_node *dir, const char *name, bool is_dir);
void disk_write(struct disk_node *file, size_t offset, const void *data, size_t len);
void disk_truncate(struct disk_node *file);
void disk_link(struct disk_node *node, struct disk_node *dir, const char *name);
void disk_rename(struct disk_node *old_dir, const char *old_name, struct disk_node *new_dir,
		 const char *new_name);
void disk_unlink(struct disk_node *dir, const char *name);
void disk_fsync(struct disk_node *node);
/* fsync failed: the kernel has dropped the unsynced pages, and a later fsync that succeeds does not bring them back. */
void disk_fsync_failed(struct disk_node *node);
void disk_syncfs(void);
void disk_syncfs_failed(void); /* as disk_fsync_failed, for every file with something unsynced */

/*
 * A power cut now, as far as the model goes (its own state stays): for each
 * possible tree that was not laid out before with the same `salt`, empties the
 * directory `target`, lays the tree out there and calls each(ctx). Names that
 * begin with one of the ids are the same in all runs as far as "before" goes.
 * Adds all trees, new or not, to *count.
 */
void disk_cut(const char *target, const char *const *ids, size_t id_count, uint64_t salt,
	      void (*each)(void *ctx), void *ctx, size_t *count);
/* The tree laid out last, on one line, for messages. */
const char *disk_describe(void);
/* Forgets which trees were laid out before. */
void disk_forget_layouts(void);

/* Empties a directory of the real file system. */
void disk_empty_directory(const char *path);

#endif
