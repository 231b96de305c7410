/* SPDX-License-Identifier: ISC */
/*
 * See batch.h. Runs in the relay, or in a command that holds the spool lock.
 *
 * The order of system calls, and what a crash (of the process, or of the
 * machine) behind each leaves:
 *
 *   write   state/ID.new, each        the old states; ID.new goes at the next start
 *   sync    what was written          the same. Now no name that follows can stand for torn content
 *   rename  ID.new to state/ID, each  process died: the new state for some, whole, the old one for the others.
 *   unlink  queue/ID, each            gone for some: their states are orphans, removed at the next start.
 *                                     power cut: any of these may be undone, each for itself: a state is the old
 *                                     one or the new one, a message is there with its state or gone
 *   sync    the names                 all of it is durable: DONE may be said
 *   unlink  state/ID of what went     orphans, removed at the next start
 *
 * A message never forgets who already got it: its state is replaced whole, by one that was durable before it
 * got the name, and goes only when its message is durably gone (where names are kept in order, as spool_remove
 * relies on, that sync would not be needed for this, but DONE needs it).
 *
 * The syncs: syncfs is one journal commit for all of them, where fsync is one or two each. For a few fsync is
 * better, as it does not wait for what others write on that file system. When nothing staged must last both
 * are left out, as in state_file.c: lost or torn, it costs an early retry. Before Linux 5.8 syncfs does not tell of
 * a write that failed: then a state may be torn behind a power cut, which shows, and not behind less.
 */
#include "spool/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "spool/file.h"
#include "spool/sys.h"

#define FEW 2

void spool_change_save(const struct spool *s, struct spool_change *c, const struct spool_state *st)
{
	struct buf text;
	int fd;

	c->kind = SPOOL_SAVE;
	c->result = SPOOL_CHANGE_FAILED;
	c->must_last = c->must_last || spool_state_must_last(st);
	if (spool_state_text(st, s, c->id.text, &text, c->e) < 0)
		return;
	fd = spool_file_stage(s, spool_place_state(s), c->id.text, text.data, text.len, false, c->e);
	buf_release(&text);
	if (fd < 0)
		return;
	sys_close(fd);
	c->result = SPOOL_CHANGE_STAGED;
}

void spool_change_remove(struct spool_change *c)
{
	c->kind = SPOOL_REMOVE;
	c->must_last = true;
	c->result = SPOOL_CHANGE_STAGED;
}

/* Is it one whose content must be on the disk before it gets its name? */
static bool is_lasting_save(const struct spool_change *c, enum spool_change_result result)
{
	return c->kind == SPOOL_SAVE && c->result == result && c->must_last;
}

static size_t count_lasting_saves(const struct spool_change *changes, size_t count, enum spool_change_result result)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += is_lasting_save(&changes[i], result);
	return n;
}

static bool any_removed(const struct spool_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].kind == SPOOL_REMOVE && changes[i].result == SPOOL_CHANGE_DONE)
			return true;
	return false;
}

static int sync_state(const struct spool *s, const char *id, const char *suffix)
{
	char name[SPOOL_FILE_NAME_MAX];
	int fd, r;

	snprintf(name, sizeof(name), "%s%s", id, suffix);
	fd = sys_open(s->state_fd, name, O_WRONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return -1;
	r = sys_fsync(fd);
	sys_close(fd);
	return r;
}

/* Each by itself; 0 only if all went well. */
static int sync_few(const struct spool *s, const struct spool_change *changes, size_t count,
		    enum spool_change_result result, const char *suffix)
{
	for (size_t i = 0; i < count; i++)
		if (is_lasting_save(&changes[i], result) && sync_state(s, changes[i].id.text, suffix) < 0)
			return -1;
	return 0;
}

static void fail(const struct spool *s, struct spool_change *c, const char *what)
{
	err_set_os(c->e, errno, "%s/%s/%s: %s", s->path, c->kind == SPOOL_SAVE ? "state" : "queue", c->id.text, what);
	c->result = SPOOL_CHANGE_FAILED;
}

/* The content of the new states becomes durable, or they are taken away. */
static void sync_content(const struct spool *s, struct spool_change *changes, size_t count)
{
	size_t lasting = count_lasting_saves(changes, count, SPOOL_CHANGE_STAGED);
	int os_error;

	if (lasting == 0 ||
	    (lasting <= FEW ? sync_few(s, changes, count, SPOOL_CHANGE_STAGED, ".new") : sys_syncfs(s->state_fd)) == 0)
		return;
	os_error = errno;
	for (size_t i = 0; i < count; i++) {
		if (!is_lasting_save(&changes[i], SPOOL_CHANGE_STAGED))
			continue;
		spool_file_unstage(spool_place_state(s), changes[i].id.text);
		errno = os_error;
		fail(s, &changes[i], "cannot sync the new state");
	}
}

static void publish(const struct spool *s, struct spool_change *c)
{
	switch (c->kind) {
	case SPOOL_SAVE:
		c->result = spool_file_publish(s, spool_place_state(s), c->id.text, c->e) == 0 ?
				    SPOOL_CHANGE_DONE : SPOOL_CHANGE_FAILED;
		return;
	case SPOOL_REMOVE:
		if (sys_unlink(s->queue_fd, c->id.text) == 0)
			c->result = SPOOL_CHANGE_DONE;
		else if (errno == ENOENT)
			c->result = SPOOL_CHANGE_GONE;
		else
			fail(s, c, "cannot remove this message");
		return;
	}
}

static int sync_names_by_file(const struct spool *s, const struct spool_change *changes, size_t count)
{
	if (any_removed(changes, count) && sys_fsync(s->queue_fd) < 0)
		return -1;
	if (count_lasting_saves(changes, count, SPOOL_CHANGE_DONE) == 0)
		return 0;
	if (sync_few(s, changes, count, SPOOL_CHANGE_DONE, "") < 0)
		return -1;
	return s->sync_directory ? sys_fsync(s->state_fd) : 0;
}

/* What was renamed and unlinked becomes durable, or it is not known whether it is. */
static void sync_names(const struct spool *s, struct spool_change *changes, size_t count)
{
	bool few = count_lasting_saves(changes, count, SPOOL_CHANGE_DONE) <= FEW;
	int os_error;

	if ((few ? sync_names_by_file(s, changes, count) : sys_syncfs(s->state_fd)) == 0)
		return;
	os_error = errno;
	for (size_t i = 0; i < count; i++) {
		errno = os_error;
		if (changes[i].result == SPOOL_CHANGE_DONE && changes[i].must_last)
			fail(s, &changes[i], changes[i].kind == SPOOL_SAVE ? "cannot sync the new state" :
									     "cannot make its removal durable");
	}
}

void spool_changes_commit(const struct spool *s, struct spool_change *changes, size_t count)
{
	sync_content(s, changes, count);
	for (size_t i = 0; i < count; i++)
		if (changes[i].result == SPOOL_CHANGE_STAGED)
			publish(s, &changes[i]);
	sync_names(s, changes, count);
	/* the message is gone: a state that stays is an orphan, and no failure of this */
	for (size_t i = 0; i < count; i++)
		if (changes[i].kind == SPOOL_REMOVE && changes[i].result == SPOOL_CHANGE_DONE)
			(void)sys_unlink(s->state_fd, changes[i].id.text);
}
