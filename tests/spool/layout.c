/* SPDX-License-Identifier: ISC */
/* See disk.h. Which trees a power cut may leave, and laying them out in a real directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "disk_impl.h"
#include "spool/checksum.h"
#include "spool/id.h"

#define SUBSETS_MAX 60 /* of names; above it a sample is taken */

/* What a cut may do to data that was not synced. */
enum fate { FATE_KEPT, FATE_OLD, FATE_HALF, FATE_ZERO, FATE_ZERO_TAIL, FATES };
static const char *const fate_names[] = { "kept", "old", "half", "zero", "zero-tail" };

struct cut {
	const char *target;
	const char *const *ids;
	size_t id_count;
	uint64_t salt;
	void (*each)(void *ctx);
	void *ctx;
	size_t *count;
	struct disk_entry entries[DISK_ENTRIES_MAX]; /* the tree being laid out */
	size_t entry_count;
};

static struct buf description;

const char *disk_describe(void)
{
	return description.data ? description.data : "";
}

/* ---- trees seen before --------------------------------------------------------- */

static uint64_t *seen;
static size_t seen_count, seen_cap;

void disk_forget_layouts(void)
{
	free(seen);
	seen = NULL;
	seen_count = seen_cap = 0;
}

static bool seen_add(uint64_t hash)
{
	hash += hash == 0;
	if (seen_count * 2 >= seen_cap) {
		uint64_t *old = seen;
		size_t old_cap = seen_cap;

		seen_cap = seen_cap ? seen_cap * 4 : 1 << 12;
		seen = mem_array(seen_cap, sizeof(*seen));
		seen_count = 0;
		for (size_t i = 0; i < old_cap; i++)
			if (old[i])
				seen_add(old[i]);
		free(old);
	}
	for (size_t i = (size_t)hash & (seen_cap - 1);; i = (i + 1) & (seen_cap - 1)) {
		if (seen[i] == hash)
			return false;
		if (!seen[i]) {
			seen[i] = hash;
			seen_count++;
			return true;
		}
	}
}

/* Ids differ from run to run, and checksums with them: puts a fixed text over both. */
static void normalise(const struct cut *cut, char *text, size_t len)
{
	for (size_t i = 0; i < cut->id_count; i++) {
		char *at = text;

		while (cut->ids[i][0] &&
		       (at = memmem(at, len - (size_t)(at - text), cut->ids[i], SPOOL_ID_LEN)))
			memset(at, 'A' + (int)i, SPOOL_ID_LEN);
	}
	for (char *at = text; (at = memmem(at, len - (size_t)(at - text), "xxh3=", 5)); at++)
		memset(at + 5, '-', len - (size_t)(at + 5 - text) < 16 ? len - (size_t)(at + 5 - text) : 16);
}

static uint64_t content_hash(const struct cut *cut, struct disk_node *node)
{
	char head[1024];
	size_t n = node->now.len < sizeof(head) ? node->now.len : sizeof(head);

	if (node->hash_version == node->now.version)
		return node->hash;
	node->hash_version = node->now.version;
	if (n)
		memcpy(head, node->now.data, n);
	normalise(cut, head, n);
	node->hash = checksum_of(head, n) + node->now.len * 31;
	if (node->now.len > n)
		node->hash += checksum_of(node->now.data + n, node->now.len - n);
	return node->hash;
}

/* ---- the data of one file ------------------------------------------------------ */

static bool is_dirty(const struct disk_node *node)
{
	return !node->is_dir && !node->is_prose && node->now.version != node->synced.version;
}

static void write_file(int dir_fd, const char *path, const struct disk_node *node, enum fate fate)
{
	const struct disk_content *c = fate == FATE_OLD ? &node->synced : &node->now;
	size_t len = fate == FATE_HALF ? c->len / 2 : c->len;
	size_t whole = fate == FATE_ZERO ? 0 : fate == FATE_ZERO_TAIL ? c->len / 2 : len;
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	ASSERT(fd >= 0);
	ASSERT(whole == 0 || write(fd, c->data, whole) == (ssize_t)whole);
	ASSERT(ftruncate(fd, (off_t)len) == 0);
	close(fd);
}

/* ---- one tree ------------------------------------------------------------------ */

/* The path of an entry below the target; NULL when its directory is not in the tree. */
static char *path_of(const struct cut *cut, const struct disk_name *name)
{
	if (name->dir == disk_root())
		return mem_strdup(name->text);
	for (size_t i = 0; i < cut->entry_count; i++) {
		if (cut->entries[i].node == name->dir) {
			char *dir = path_of(cut, &cut->entries[i].name);
			char *path = dir ? mem_printf("%s/%s", dir, name->text) : NULL;

			free(dir);
			return path;
		}
	}
	return NULL;
}

static void lay_out_node(const struct cut *cut, int target_fd, struct disk_node *node, enum fate fate)
{
	for (size_t i = 0; i < cut->entry_count; i++) {
		char *path = cut->entries[i].node == node ? path_of(cut, &cut->entries[i].name) : NULL;

		if (!path)
			continue;
		if (node->is_dir)
			ASSERT(mkdirat(target_fd, path, 0700) == 0);
		else if (node->laid_out_at)
			ASSERT(linkat(target_fd, node->laid_out_at, target_fd, path, 0) == 0);
		else
			write_file(target_fd, path, node, is_dirty(node) ? fate : FATE_KEPT);
		buf_addf(&description, " %s%s", strrchr(path, '/') ? path + strcspn(path, "/") + 1 : path,
			 node->is_dir ? "/" : "");
		if (is_dirty(node))
			buf_addf(&description, "(%s)", fate_names[fate]);
		free(node->laid_out_at);
		node->laid_out_at = path;
	}
}

static void lay_out(const struct cut *cut, const enum fate *fates)
{
	int target_fd;

	if (!description.data)
		buf_init(&description, 1 << 20);
	buf_clear(&description);
	disk_empty_directory(cut->target);
	target_fd = open(cut->target, O_RDONLY | O_DIRECTORY);
	ASSERT(target_fd >= 0);
	/* a directory is created before what is in it, so numbers give the order */
	for (size_t i = 0; i < disk.node_count; i++)
		lay_out_node(cut, target_fd, disk.nodes[i], fates[i]);
	for (size_t i = 0; i < disk.node_count; i++) {
		free(disk.nodes[i]->laid_out_at);
		disk.nodes[i]->laid_out_at = NULL;
	}
	close(target_fd);
}

static void hash_name(const struct cut *cut, struct disk_name *name)
{
	char text[sizeof(name->text) + 16];

	snprintf(text, sizeof(text), "%u/%s", name->dir->number, name->text);
	normalise(cut, text, strlen(text));
	name->hash = checksum_of(text, strlen(text));
}

static uint64_t tree_hash(const struct cut *cut, const enum fate *fates)
{
	bool is_there[DISK_NODES_MAX] = { [0] = true };
	uint64_t hash = 0;

	/* a directory's entry may be missing, and then what is in it does not count */
	for (size_t pass = 0; pass < 3; pass++)
		for (size_t i = 0; i < cut->entry_count; i++)
			if (is_there[cut->entries[i].name.dir->number])
				is_there[cut->entries[i].node->number] = true;
	for (size_t i = 0; i < cut->entry_count; i++) {
		struct disk_node *node = cut->entries[i].node;
		uint64_t parts[3] = { cut->entries[i].name.hash };

		if (!is_there[cut->entries[i].name.dir->number])
			continue;
		if (!node->is_dir)
			parts[1] = content_hash(cut, node);
		if (is_dirty(node))
			parts[2] = 1 + fates[node->number] + 10 * node->synced.len;
		hash += checksum_of(parts, sizeof(parts)); /* the order of entries has no meaning */
	}
	return hash;
}

/* One tree with the given fates of its unsynced data. */
static void visit(struct cut *cut, const enum fate *fates)
{
	++*cut->count;
	if (!seen_add(tree_hash(cut, fates) ^ cut->salt * 0x9e3779b97f4a7c15u))
		return;
	lay_out(cut, fates);
	cut->each(cut->ctx);
}

/* One set of names; all fates of the unsynced data under them. */
static void visit_names(struct cut *cut)
{
	enum fate fates[DISK_NODES_MAX] = { 0 };
	size_t dirty = 0;

	for (size_t i = 0; i < cut->entry_count; i++)
		dirty += is_dirty(cut->entries[i].node);
	if (dirty == 0) {
		visit(cut, fates);
		return;
	}
	/* all alike, and, where there are several, each with its own */
	for (unsigned rotate = 0; rotate < (dirty > 1 ? 2 : 1); rotate++) {
		for (unsigned f = 0; f < FATES; f++) {
			for (unsigned i = 0; i < disk.node_count; i++)
				fates[i] = (enum fate)((f + rotate * i) % FATES);
			visit(cut, fates);
		}
	}
}

/* ---- which names --------------------------------------------------------------- */

static void start_names(struct cut *cut)
{
	memcpy(cut->entries, disk.durable, sizeof(cut->entries));
	cut->entry_count = disk.durable_count;
}

/* The changes came to the disk in order: any first part of them. */
static void cut_in_order(struct cut *cut)
{
	for (size_t k = 0; k <= disk.change_count; k++) {
		if (k > 0 && k < disk.change_count && disk.changes[k - 1].order == disk.changes[k].order)
			continue; /* a rename is not torn by a log */
		start_names(cut);
		for (size_t i = 0; i < k; i++)
			disk_set_entry(cut->entries, &cut->entry_count, &disk.changes[i].name,
				       disk.changes[i].node);
		visit_names(cut);
	}
}

/* Did a rename lose its old name without getting the new one? */
static bool tears_rename(const bool *applied)
{
	for (size_t i = 0; i < disk.change_count; i++)
		for (size_t k = 0; k < disk.change_count; k++)
			if (disk.changes[i].order == disk.changes[k].order && disk.changes[i].node &&
			    !disk.changes[k].node && applied[k] && !applied[i])
				return true;
	return false;
}

/* Each name for itself has seen any first part of its own changes: one of them, number `choice`. */
static void cut_names_alone(struct cut *cut, uint64_t choice)
{
	bool applied[DISK_CHANGES_MAX] = { false };
	bool counted[DISK_CHANGES_MAX] = { false };

	for (size_t i = 0; i < disk.change_count; i++) {
		size_t of_name = 0, taken = 0, steps;

		if (counted[i])
			continue;
		for (size_t k = i; k < disk.change_count; k++) {
			if (disk_same_name(&disk.changes[k].name, &disk.changes[i].name)) {
				counted[k] = true;
				of_name++;
			}
		}
		steps = choice % (of_name + 1);
		choice /= of_name + 1;
		for (size_t k = i; k < disk.change_count && taken < steps; k++) {
			if (disk_same_name(&disk.changes[k].name, &disk.changes[i].name)) {
				applied[k] = true;
				taken++;
			}
		}
	}
	if (tears_rename(applied))
		return;
	start_names(cut);
	for (size_t i = 0; i < disk.change_count; i++)
		if (applied[i])
			disk_set_entry(cut->entries, &cut->entry_count, &disk.changes[i].name,
				       disk.changes[i].node);
	visit_names(cut);
}

static uint64_t count_choices(void)
{
	uint64_t choices = 1;

	for (size_t i = 0; i < disk.change_count; i++) {
		size_t of_name = 0;
		bool first = true;

		for (size_t k = 0; k < disk.change_count; k++) {
			if (!disk_same_name(&disk.changes[k].name, &disk.changes[i].name))
				continue;
			of_name++;
			first = first && k >= i;
		}
		if (first)
			choices *= of_name + 1;
		ASSERT(choices < UINT64_MAX / DISK_CHANGES_MAX);
	}
	return choices;
}

static void cut_any_subset(struct cut *cut)
{
	uint64_t choices = count_choices(), random = 88172645463325252u;

	if (choices <= SUBSETS_MAX) {
		for (uint64_t choice = 0; choice < choices; choice++)
			cut_names_alone(cut, choice);
		return;
	}
	cut_names_alone(cut, 0);
	cut_names_alone(cut, choices - 1);
	for (unsigned i = 0; i < SUBSETS_MAX; i++) {
		random ^= random << 13; /* xorshift: the same sample in each run */
		random ^= random >> 7;
		random ^= random << 17;
		cut_names_alone(cut, random % choices);
	}
}

void disk_cut(const char *target, const char *const *ids, size_t id_count, uint64_t salt,
	      void (*each)(void *ctx), void *ctx, size_t *count)
{
	struct cut cut = { .target = target,
			   .ids = ids,
			   .id_count = id_count,
			   .salt = salt,
			   .each = each,
			   .ctx = ctx,
			   .count = count };

	for (size_t i = 0; i < disk.durable_count; i++)
		hash_name(&cut, &disk.durable[i].name);
	for (size_t i = 0; i < disk.change_count; i++)
		hash_name(&cut, &disk.changes[i].name);
	if (disk.kind == DISK_POSIX)
		cut_any_subset(&cut);
	else
		cut_in_order(&cut);
}

/* ---- the real directory -------------------------------------------------------- */

static void empty(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	ASSERT(dir);
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		ASSERT(errno == EISDIR || errno == EPERM);
		empty(openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		ASSERT(unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0);
	}
	closedir(dir);
}

void disk_empty_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	ASSERT(fd >= 0);
	empty(fd);
}
