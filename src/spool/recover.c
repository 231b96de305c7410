/* SPDX-License-Identifier: ISC */
/*
 * A spool after a crash, and its listing. Runs in the relay at start (and the
 * CLI). What it meets, and what it does:
 *
 *   incoming/X older than the service     never acknowledged            removed
 *   state/ID.new                          the state before it stands    removed
 *   state/ID without queue/ID             the message was done          removed
 *   queue/NAME that is no ID              not ours                      to corrupt/
 *   state/NAME that is no ID              not ours                      to corrupt/
 *   queue/ID torn or damaged              seen when it is opened        to corrupt/ by the relay then: reading a
 *                                                                       million messages first would delay the mail
 */
#include "spool/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "spool/id.h"
#include "spool/sys.h"

/*
 * Lists one directory. `each` may remove or move the entry it is given: what is not touched is still
 * listed exactly once (POSIX readdir).
 */
static int list(const struct spool *s, int dir_fd, const char *folder, void (*each)(void *ctx, const char *name),
		void *ctx, struct err *e)
{
	DIR *dir = sys_opendir(dir_fd);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		err_set_os(e, errno, "%s/%s: cannot list this directory", s->path, folder);
		return -1;
	}
	while ((entry = sys_readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(ctx, entry->d_name);
	if (errno != 0) {
		err_set_os(e, errno, "%s/%s: cannot list this directory", s->path, folder);
		r = -1;
	}
	sys_closedir(dir);
	return r;
}

struct scan {
	void (*each)(void *ctx, const char *id);
	void (*foreign)(void *ctx, const char *name);
	void *ctx;
};

static void scan_entry(void *ctx, const char *name)
{
	struct scan *scan = ctx;

	if (spool_id_is_valid(name))
		scan->each(scan->ctx, name);
	else if (scan->foreign)
		scan->foreign(scan->ctx, name);
}

int spool_scan(const struct spool *s, void (*each)(void *ctx, const char *id),
	       void (*foreign)(void *ctx, const char *name), void *ctx, struct err *e)
{
	struct scan scan = { each, foreign, ctx };

	return list(s, s->queue_fd, "queue", scan_entry, &scan, e);
}

int spool_scan_states(const struct spool *s, void (*each)(void *ctx, const char *id), void *ctx, struct err *e)
{
	struct scan scan = { each, NULL, ctx };

	return list(s, s->state_fd, "state", scan_entry, &scan, e);
}

struct spool_listing {
	const struct spool *s;
	const char *folder;
	DIR *dir;
};

struct spool_listing *spool_listing_open(const struct spool *s, bool states, struct err *e)
{
	struct spool_listing l = { s, states ? "state" : "queue", sys_opendir(states ? s->state_fd : s->queue_fd) }, *out;

	if (!l.dir) {
		err_set_os(e, errno, "%s/%s: cannot list this directory", s->path, l.folder);
		return NULL;
	}
	out = mem_alloc(sizeof(*out));
	*out = l;
	return out;
}

int spool_listing_next(struct spool_listing *l, const char **id, struct err *e)
{
	struct dirent *entry;

	while ((entry = sys_readdir(l->dir))) {
		if (!spool_id_is_valid(entry->d_name))
			continue;
		*id = entry->d_name;
		return 1;
	}
	if (errno == 0)
		return 0;
	err_set_os(e, errno, "%s/%s: cannot list this directory", l->s->path, l->folder);
	return -1;
}

void spool_listing_close(struct spool_listing *l)
{
	sys_closedir(l->dir);
	free(l);
}

/* ---- quarantine -------------------------------------------------------------- */

/* Moves dir/name to corrupt/name[suffix], or name[suffix].N when that is taken. */
static int move_to_corrupt(const struct spool *s, int dir_fd, const char *name, const char *suffix, char *final,
			   size_t final_cap)
{
	for (unsigned n = 0; n < 1000; n++) {
		char target[300];

		if (n == 0)
			snprintf(target, sizeof(target), "%.200s%s", name, suffix);
		else
			snprintf(target, sizeof(target), "%.200s%s.%u", name, suffix, n);
		if (sys_rename_exclusive(dir_fd, name, s->corrupt_fd, target) == 0) {
			snprintf(final, final_cap, "%s", target);
			return 0;
		}
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

int spool_write_reason(const struct spool *s, const char *moved_name, const char *reason, struct err *e)
{
	char name[320];
	int fd, r = -1;

	snprintf(name, sizeof(name), "%.300s.reason", moved_name);
	fd = spool_create_file(s, s->corrupt_fd, name);
	if (fd >= 0 && sys_write_all(fd, reason, strlen(reason)) == 0)
		r = sys_write_all(fd, "\n", 1);
	if (r < 0)
		err_set_os(e, errno, "%s/corrupt/%s: cannot write this file", s->path, name);
	if (fd >= 0)
		sys_close(fd);
	return r;
}

static int quarantine(const struct spool *s, int dir_fd, const char *folder, const char *name, const char *suffix,
		      const char *reason, struct err *e)
{
	struct err ignored;
	char moved[300];

	if (move_to_corrupt(s, dir_fd, name, suffix, moved, sizeof(moved)) < 0) {
		err_set_os(e, errno, "%s/%s/%.200s: cannot move it to corrupt/", s->path, folder, name);
		return -1;
	}
	/* else a sync of the directory it left could make it vanish from both in a power cut */
	if (s->keep_order && sys_fsync(s->corrupt_fd) < 0) {
		err_set_os(e, errno, "%s/corrupt: cannot sync this directory", s->path);
		return -1;
	}
	/* best effort: the entry is safe in corrupt/ already, a missing reason loses no mail */
	(void)spool_write_reason(s, moved, reason, &ignored);
	return 0;
}

int spool_quarantine(const struct spool *s, const char *name, const char *reason, struct err *e)
{
	struct stat st;

	/* the message first: a crash in between leaves an orphan state, never a message without its state */
	if (quarantine(s, s->queue_fd, "queue", name, "", reason, e) < 0)
		return -1;
	if (sys_stat_at(s->state_fd, name, &st) == 0)
		return quarantine(s, s->state_fd, "state", name, ".state", reason, e);
	return 0;
}

int spool_quarantine_state(const struct spool *s, const char *id, const char *reason, struct err *e)
{
	return quarantine(s, s->state_fd, "state", id, ".state", reason, e);
}

int spool_quarantine_root(const struct spool *s, const char *name, const char *reason, struct err *e)
{
	return quarantine(s, s->root_fd, ".", name, "", reason, e);
}

/* ---- recovery ---------------------------------------------------------------- */

struct recovery {
	const struct spool *s;
	int64_t started_wall_us;
	bool keep_orphans;
	struct spool_recovery *out;
	/* the messages there are: a state of one of them is no orphan, and no look at its file is needed, which
	 * behind a restart of the machine would be a million reads of the disk before the first delivery */
	unsigned char (*id)[SPOOL_ID_PACKED];
	size_t count, cap;
};

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, SPOOL_ID_PACKED);
}

static void note_message(struct recovery *r, const char *id)
{
	if (r->count == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 1024;
		r->id = mem_resize(r->id, r->cap, sizeof(*r->id));
	}
	spool_id_pack(id, r->id[r->count++]);
}

static bool has_message(const struct recovery *r, const char *id)
{
	unsigned char packed[SPOOL_ID_PACKED];
	struct stat st;

	spool_id_pack(id, packed);
	if (r->count > 0 && bsearch(packed, r->id, r->count, SPOOL_ID_PACKED, compare_ids))
		return true;
	return sys_stat_at(r->s->queue_fd, id, &st) == 0 || errno != ENOENT; /* the disk has the last word */
}

static void recover_incoming(void *ctx, const char *name)
{
	struct recovery *r = ctx;
	struct stat st;
	int64_t changed_us;

	if (sys_stat_at(r->s->incoming_fd, name, &st) < 0)
		return;
	changed_us = (int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000;
	if (changed_us < r->started_wall_us && sys_unlink(r->s->incoming_fd, name) == 0)
		r->out->unfinished++;
}

static void recover_queue(void *ctx, const char *name)
{
	struct recovery *r = ctx;
	struct err ignored;

	/* one that cannot be moved stays, is skipped by every scan, and is met again at the next start */
	if (spool_id_is_valid(name))
		note_message(r, name);
	else if (quarantine(r->s, r->s->queue_fd, "queue", name, "", "not a queue id: not made by posthouse",
			    &ignored) == 0)
		r->out->quarantined++;
}

static void recover_state(void *ctx, const char *name)
{
	struct recovery *r = ctx;
	size_t len = strlen(name);
	struct err ignored;

	if (len > 4 && strcmp(name + len - 4, ".new") == 0) {
		if (sys_unlink(r->s->state_fd, name) == 0)
			r->out->unfinished++;
	} else if (!spool_id_is_valid(name)) {
		if (quarantine(r->s, r->s->state_fd, "state", name, ".state",
			       "not a queue id: not made by posthouse", &ignored) == 0)
			r->out->quarantined++;
	} else if (!r->keep_orphans && !has_message(r, name)) {
		if (sys_unlink(r->s->state_fd, name) == 0)
			r->out->orphans++;
	}
}

int spool_recover(const struct spool *s, int64_t started_wall_us, struct spool_recovery *out, struct err *e)
{
	struct recovery r = { .s = s, .started_wall_us = started_wall_us, .out = out };
	int result = -1;

	memset(out, 0, sizeof(*out));
	/* moves to corrupt/ that a process crash cut short, before anything syncs the directory they left */
	if (s->keep_order)
		(void)sys_fsync(s->corrupt_fd);
	if (list(s, s->incoming_fd, "incoming", recover_incoming, &r, e) < 0 ||
	    list(s, s->queue_fd, "queue", recover_queue, &r, e) < 0)
		goto out;
	if (r.count > 0)
		qsort(r.id, r.count, sizeof(*r.id), compare_ids);
	/* a removal that a process crash cut short: its first half must be durable before the second
	 * (spool_remove says why); orphans do no harm, they can wait for another start */
	r.keep_orphans = s->keep_order && sys_fsync(s->queue_fd) < 0;
	result = list(s, s->state_fd, "state", recover_state, &r, e);
out:
	free(r.id);
	return result;
}
