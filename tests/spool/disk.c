/* SPDX-License-Identifier: ISC */
/* See disk.h. The tree and what of it is durable; layout.c lays out what a power cut leaves. */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "disk_impl.h"

struct disk disk;

static void content_copy(struct disk_content *to, const struct disk_content *from)
{
	free(to->data);
	*to = *from;
	to->data = mem_alloc(from->len + 1);
	if (from->len)
		memcpy(to->data, from->data, from->len);
}

static struct disk_node *node_new(bool is_dir)
{
	struct disk_node *node = mem_alloc(sizeof(*node));

	ASSERT(disk.node_count < DISK_NODES_MAX);
	node->number = (unsigned)disk.node_count;
	node->is_dir = is_dir;
	disk.nodes[disk.node_count++] = node;
	return node;
}

void disk_reset(enum disk_kind kind)
{
	for (size_t i = 0; i < disk.node_count; i++) {
		free(disk.nodes[i]->now.data);
		free(disk.nodes[i]->synced.data);
		free(disk.nodes[i]);
	}
	disk.node_count = disk.durable_count = disk.change_count = 0;
	disk.order = 0;
	disk.kind = kind;
	node_new(true);
}

struct disk_node *disk_root(void)
{
	return disk.nodes[0];
}

/* ---- names --------------------------------------------------------------------- */

bool disk_same_name(const struct disk_name *a, const struct disk_name *b)
{
	return a->dir == b->dir && strcmp(a->text, b->text) == 0;
}

static struct disk_name name_of(const struct disk_node *dir, const char *text)
{
	struct disk_name name = { .dir = dir };

	ASSERT(strlen(text) < sizeof(name.text));
	strcpy(name.text, text);
	return name;
}

void disk_set_entry(struct disk_entry *entries, size_t *count, const struct disk_name *name,
		    struct disk_node *node)
{
	size_t i = 0;

	while (i < *count && !disk_same_name(&entries[i].name, name))
		i++;
	if (node) {
		ASSERT(i < DISK_ENTRIES_MAX);
		*count += i == *count;
		entries[i] = (struct disk_entry){ .name = *name, .node = node };
	} else if (i < *count) {
		entries[i] = entries[--*count];
	}
}

struct disk_node *disk_lookup(const struct disk_node *dir, const char *text)
{
	struct disk_name name = name_of(dir, text);

	for (size_t i = disk.change_count; i-- > 0;)
		if (disk_same_name(&disk.changes[i].name, &name))
			return disk.changes[i].node;
	for (size_t i = 0; i < disk.durable_count; i++)
		if (disk_same_name(&disk.durable[i].name, &name))
			return disk.durable[i].node;
	return NULL;
}

/* ---- changes ------------------------------------------------------------------- */

/* One name now means node (NULL: nothing), because of something done to `subject`. */
static void change(struct disk_node *dir, const char *name, struct disk_node *node, struct disk_node *subject)
{
	struct disk_change *c = &disk.changes[disk.change_count++];

	ASSERT(disk.change_count <= DISK_CHANGES_MAX);
	c->order = disk.order;
	c->name = name_of(dir, name);
	c->node = node;
	c->subject = subject;
	dir->touched = subject->touched = disk.order;
}

struct disk_node *disk_create(struct disk_node *dir, const char *name, bool is_dir)
{
	struct disk_node *node = node_new(is_dir);

	node->is_prose = strstr(name, ".reason") != NULL;
	disk_link(node, dir, name);
	return node;
}

void disk_link(struct disk_node *node, struct disk_node *dir, const char *name)
{
	disk.order++;
	change(dir, name, node, node);
}

void disk_rename(struct disk_node *old_dir, const char *old_name, struct disk_node *new_dir,
		 const char *new_name)
{
	struct disk_node *node = disk_lookup(old_dir, old_name);

	ASSERT(node);
	disk.order++;
	change(new_dir, new_name, node, node);
	change(old_dir, old_name, NULL, node);
}

void disk_unlink(struct disk_node *dir, const char *name)
{
	struct disk_node *node = disk_lookup(dir, name);

	ASSERT(node);
	disk.order++;
	change(dir, name, NULL, node);
}

void disk_write(struct disk_node *file, size_t offset, const void *data, size_t len)
{
	struct disk_content *c = &file->now;

	if (offset + len > c->len) {
		c->data = mem_resize(c->data, offset + len + 1, 1);
		memset(c->data + c->len, 0, offset + len - c->len);
		c->len = offset + len;
	}
	memcpy(c->data + offset, data, len);
	c->version++;
	file->touched = ++disk.order;
}

void disk_truncate(struct disk_node *file)
{
	file->now.len = 0;
	file->now.version++;
	file->touched = ++disk.order;
}

/* ---- durable ------------------------------------------------------------------- */

/* Makes change i durable; what was recorded earlier for the same name has been superseded. */
static void make_durable(size_t i)
{
	struct disk_change done = disk.changes[i];
	size_t kept = 0;

	disk_set_entry(disk.durable, &disk.durable_count, &done.name, done.node);
	for (size_t k = 0; k < disk.change_count; k++)
		if (k > i || (k < i && !disk_same_name(&disk.changes[k].name, &done.name)))
			disk.changes[kept++] = disk.changes[k];
	disk.change_count = kept;
}

static struct disk_entry *durable_entry(const struct disk_name *name)
{
	for (size_t i = 0; i < disk.durable_count; i++)
		if (disk_same_name(&disk.durable[i].name, name))
			return &disk.durable[i];
	return NULL;
}

static bool is_taken_from_log(const struct disk_change *c)
{
	const struct disk_entry *entry = c->node ? NULL : durable_entry(&c->name);

	return entry && entry->only_logged;
}

static bool fsync_covers(const struct disk_node *node, const struct disk_change *c)
{
	switch (disk.kind) {
	case DISK_JOURNAL:
		return c->order <= node->touched;
	case DISK_LOG_TREE:
		return c->subject == node || c->name.dir == node || is_taken_from_log(c);
	case DISK_POSIX:
		return node->is_dir && c->name.dir == node;
	}
	return false;
}

void disk_fsync(struct disk_node *node)
{
	if (!node->is_dir && !node->pages_lost)
		content_copy(&node->synced, &node->now);
	for (size_t i = 0; i < disk.change_count;) {
		size_t before = disk.change_count;
		struct disk_name name;

		if (!fsync_covers(node, &disk.changes[i])) {
			i++;
			continue;
		}
		name = disk.changes[i].name;
		make_durable(i);
		if (disk.kind == DISK_LOG_TREE && durable_entry(&name))
			durable_entry(&name)->only_logged = true;
		i -= before - disk.change_count - 1; /* dropped ones stood before it */
	}
}

void disk_fsync_failed(struct disk_node *node)
{
	node->pages_lost = true;
}

void disk_syncfs(void)
{
	for (size_t i = 0; i < disk.node_count; i++)
		if (!disk.nodes[i]->is_dir && !disk.nodes[i]->pages_lost)
			content_copy(&disk.nodes[i]->synced, &disk.nodes[i]->now);
	while (disk.change_count > 0)
		make_durable(0);
	for (size_t i = 0; i < disk.durable_count; i++)
		disk.durable[i].only_logged = false;
}

void disk_syncfs_failed(void)
{
	for (size_t i = 0; i < disk.node_count; i++) {
		const struct disk_node *n = disk.nodes[i];

		if (!n->is_dir && (n->now.len != n->synced.len ||
				   (n->now.len > 0 && memcmp(n->now.data, n->synced.data, n->now.len) != 0)))
			disk_fsync_failed(disk.nodes[i]);
	}
}

void disk_settle(void)
{
	disk_syncfs();
}
