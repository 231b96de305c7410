/* SPDX-License-Identifier: ISC */
/* What disk.c and layout.c share; for nobody else. */
#ifndef TESTS_DISK_IMPL_H
#define TESTS_DISK_IMPL_H

#include "disk.h"

#define DISK_NODES_MAX 128
#define DISK_ENTRIES_MAX 128
#define DISK_CHANGES_MAX 256

struct disk_content {
	unsigned char *data;
	size_t len;
	unsigned version; /* changes with each write; 0: never written */
};

struct disk_node {
	unsigned number; /* its place in disk.nodes */
	bool is_dir;
	bool pages_lost; /* by a failed fsync */
	bool is_prose; /* a NAME.reason: nobody judges its content, so its fates are not told apart */
	struct disk_content now, synced;
	uint64_t touched; /* disk.order at its last change of data or metadata */
	/* of layout.c: */
	uint64_t hash;
	unsigned hash_version;
	char *laid_out_at;
};

struct disk_name {
	const struct disk_node *dir;
	char text[128];
	uint64_t hash; /* of layout.c */
};

struct disk_entry {
	struct disk_name name;
	struct disk_node *node;
	bool only_logged; /* durable by the log tree alone: removed from it, it is gone at the next sync of the log */
};

/* A change of one name that is not durable yet. Those of one rename have the same order. */
struct disk_change {
	uint64_t order;
	struct disk_name name;
	struct disk_node *node; /* what the name means after it, NULL: nothing */
	struct disk_node *subject; /* what was created, renamed or unlinked */
};

struct disk {
	enum disk_kind kind;
	struct disk_node *nodes[DISK_NODES_MAX];
	size_t node_count;
	struct disk_entry durable[DISK_ENTRIES_MAX];
	size_t durable_count;
	struct disk_change changes[DISK_CHANGES_MAX]; /* in the order in which they happened */
	size_t change_count;
	uint64_t order;
};

extern struct disk disk;

bool disk_same_name(const struct disk_name *a, const struct disk_name *b);
/* Sets one name in a list of entries, or removes it (node NULL). */
void disk_set_entry(struct disk_entry *entries, size_t *count, const struct disk_name *name,
		    struct disk_node *node);

#endif
