/* SPDX-License-Identifier: ISC */
/* See adopt.h. Runs in the operator's command. */
#include "spool/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "spool/file.h"
#include "spool/format.h"
#include "spool/state.h"
#include "spool/sys.h"
#include "spool/txn.h"

#define BLOCK (64u << 10)
#define STATE_MAX (128u << 20)

int spool_open_remains(struct spool *s, const char *path, struct err *e)
{
	memset(s, 0, sizeof(*s));
	s->incoming_fd = s->queue_fd = s->state_fd = s->corrupt_fd = -1;
	s->give_uid = (uid_t)-1;
	s->path = mem_strdup(path);
	s->root_fd = sys_open(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (s->root_fd >= 0)
		s->queue_fd = sys_open(s->root_fd, "queue", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (s->queue_fd >= 0)
		s->state_fd = sys_open(s->root_fd, "state", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (s->queue_fd >= 0 && (s->state_fd >= 0 || errno == ENOENT))
		return 0;
	err_set_os(e, errno, "%s/%s: cannot open this directory of the spool", path,
		   s->queue_fd < 0 ? "queue" : "state");
	spool_close(s);
	return -1;
}

int spool_prepare_like(const struct spool *model, const char *path, struct err *e)
{
	struct stat queue, state;

	if (sys_fstat(model->queue_fd, &queue) < 0 || sys_fstat(model->state_fd, &state) < 0) {
		err_set_os(e, errno, "%s: cannot look at the spool", model->path);
		return -1;
	}
	/* root makes it for the same users, others can only make their own */
	if (geteuid() != 0)
		return spool_prepare(path, (uid_t)-1, (gid_t)-1, (gid_t)-1, e);
	return spool_prepare(path, queue.st_uid, state.st_gid,
			     model->message_mode & S_IRGRP ? queue.st_gid : state.st_gid, e);
}

/* ---- what there is -------------------------------------------------------------- */

/* A message with the octets of its state. */
struct luggage {
	struct spool_message msg;
	char *state; /* NULL: none; owned */
	size_t state_len;
};

static void unpack(struct luggage *l)
{
	spool_message_close(&l->msg);
	free(l->state);
}

static enum spool_read read_state(const struct spool *s, const char *id, char **text, size_t *len, struct err *e)
{
	enum spool_read r;

	*text = NULL;
	*len = 0;
	if (s->state_fd < 0)
		return SPOOL_READ_OK;
	r = spool_file_read(s, spool_place_state(s), id, STATE_MAX, text, len, e);
	return r == SPOOL_READ_GONE ? SPOOL_READ_OK : r;
}

/* A state that cannot be read is not carried on: all recipients would be pending, also who has it. */
static enum spool_read verify_state(struct spool_state *st, const struct luggage *l, struct err *e)
{
	char *copy;
	bool ok;

	spool_state_init_for(st, &l->msg.env);
	if (!l->state)
		return SPOOL_READ_OK;
	copy = mem_alloc(l->state_len + 1);
	memcpy(copy, l->state, l->state_len);
	ok = spool_state_parse(st, copy, l->state_len);
	free(copy);
	if (ok)
		return SPOOL_READ_OK;
	err_set(e, "state/%s: torn, damaged, or not of this message", l->msg.env.id);
	return SPOOL_READ_CORRUPT;
}

static enum spool_read pack(struct luggage *l, const struct spool *from, const char *id, struct err *e)
{
	enum spool_read r = spool_message_open(&l->msg, from, id, true, e);

	l->state = NULL;
	if (r != SPOOL_READ_OK)
		return r;
	r = read_state(from, id, &l->state, &l->state_len, e);
	/* the relay removes the message first: one that lost its state meanwhile would look as if it were new */
	if (r == SPOOL_READ_OK && !l->state) {
		struct stat st;

		if (sys_stat_at(from->queue_fd, id, &st) < 0 && errno == ENOENT)
			r = SPOOL_READ_GONE;
	}
	if (r != SPOOL_READ_OK)
		unpack(l);
	return r;
}

/* ---- the same id ------------------------------------------------------------------ */

static int copy_file(const struct spool_message *m, int fd)
{
	uint64_t offset = 0, size = m->content_offset + m->content_bytes;
	char *block = mem_alloc(BLOCK);
	int r = 0;

	while (r == 0 && offset < size) {
		size_t want = size - offset < BLOCK ? (size_t)(size - offset) : BLOCK;
		ssize_t n = sys_pread(m->fd, block, want, (off_t)offset);

		if (n == 0)
			errno = EIO;
		r = n <= 0 ? -1 : sys_write_all(fd, block, (size_t)n);
		offset += n > 0 ? (uint64_t)n : 0;
	}
	free(block);
	return r;
}

/* incoming/NAME with the message, as a worker would have made it; durable. The open file, or -1 and e. */
static int write_message(const struct spool *to, const struct spool_message *m, const char *name, struct err *e)
{
	int fd = sys_open(to->incoming_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, to->message_mode);

	if (fd < 0) {
		err_set_os(e, errno, "%s/incoming/%s: cannot create this file", to->path, name);
		return -1;
	}
	if (sys_chmod(fd, to->message_mode) == 0 &&
	    ((to->message_mode & S_IRGRP) || spool_give(to, fd) == 0) && copy_file(m, fd) == 0 && sys_fsync(fd) == 0)
		return fd;
	err_set_os(e, errno, "%s/incoming/%s: cannot write this file", to->path, name);
	(void)sys_unlink(to->incoming_fd, name);
	sys_close(fd);
	return -1;
}

static int write_state(const struct spool *to, const struct luggage *l, const char *id, struct err *e)
{
	/* an orphan of this id must not become its state */
	return l->state ? spool_file_replace(to, spool_place_state(to), id, l->state, l->state_len, true, e) :
			  spool_file_remove(to, spool_place_state(to), id, e);
}

/* Behind the rename: durable, and the state still there (a relay that started just now takes orphans away). */
static int settle(const struct spool *to, const struct luggage *l, const char *id, int fd, struct err *e)
{
	struct stat st;

	if (sys_fsync(fd) < 0 || (to->sync_directory && sys_fsync(to->queue_fd) < 0)) {
		err_set_os(e, errno, "%s/queue/%s: cannot sync this file", to->path, id);
		return -1;
	}
	if (l->state && sys_stat_at(to->state_fd, id, &st) < 0 && sys_stat_at(to->queue_fd, id, &st) == 0)
		return write_state(to, l, id, e);
	return 0;
}

static enum adopt_result move_in(struct spool *to, const struct luggage *l, struct err *e)
{
	enum adopt_result result = ADOPT_FAILED;
	struct spool_id temporary;
	int fd;

	spool_id_new(&temporary);
	fd = write_message(to, &l->msg, temporary.text, e);
	if (fd < 0)
		return ADOPT_FAILED;
	if (write_state(to, l, l->msg.env.id, e) < 0) {
		(void)sys_unlink(to->incoming_fd, temporary.text);
	} else if (sys_rename_exclusive(to->incoming_fd, temporary.text, to->queue_fd, l->msg.env.id) < 0) {
		result = errno == EEXIST ? ADOPT_TAKEN : ADOPT_FAILED;
		err_set_os(e, errno, "%s/queue/%s: cannot move the message to this name", to->path, l->msg.env.id);
		(void)sys_unlink(to->incoming_fd, temporary.text);
	} else if (settle(to, l, l->msg.env.id, fd, e) == 0) {
		result = ADOPT_DONE;
	} else {
		/* it may not outlast a power cut: the original stays, so this copy must go */
		(void)spool_remove(to, l->msg.env.id, &(struct err){ 0 });
	}
	sys_close(fd);
	return result;
}

/* ---- another id ------------------------------------------------------------------- */

static enum adopt_result move_in_anew(struct spool *to, struct luggage *l, struct spool_id *as, struct err *e)
{
	enum spool_result r = SPOOL_OK;
	char *block = mem_alloc(BLOCK);
	struct spool_txn *txn;
	struct spool_state st;
	uint64_t offset = 0;
	ssize_t n = 1;

	if (verify_state(&st, l, e) != SPOOL_READ_OK) {
		spool_state_release(&st);
		free(block);
		return ADOPT_CORRUPT;
	}
	txn = spool_txn_begin(to, &l->msg.env);
	while (r == SPOOL_OK && (n = spool_message_read(&l->msg, offset, block, BLOCK, e)) > 0) {
		r = spool_txn_write(txn, block, (size_t)n, e);
		offset += (uint64_t)n;
	}
	/* the state first, for the reason at the top of adopt.h */
	if (n < 0 || r != SPOOL_OK || (l->state && spool_state_save(&st, to, l->msg.env.id, e) < 0))
		r = SPOOL_FAILED;
	if (r == SPOOL_OK)
		r = spool_txn_commit(txn, e);
	else
		spool_txn_abort(txn);
	if (r != SPOOL_OK && l->state)
		(void)sys_unlink(to->state_fd, l->msg.env.id);
	strcpy(as->text, l->msg.env.id);
	spool_state_release(&st);
	free(block);
	return r == SPOOL_OK ? ADOPT_DONE : ADOPT_FAILED;
}

/* ---- which of them ---------------------------------------------------------------- */

static bool same_files(int a, int b, uint64_t size)
{
	char *block = mem_alloc(2 * BLOCK);
	uint64_t offset = 0;
	bool same = true;

	while (same && offset < size) {
		size_t want = size - offset < BLOCK ? (size_t)(size - offset) : BLOCK;
		ssize_t n = sys_pread(a, block, want, (off_t)offset);

		same = n > 0 && sys_pread(b, block + BLOCK, (size_t)n, (off_t)offset) == n &&
		       memcmp(block, block + BLOCK, (size_t)n) == 0;
		offset += n > 0 ? (uint64_t)n : 0;
	}
	free(block);
	return same;
}

/* Somebody has this id in `to`: is it the same message, from a run that was interrupted? */
static enum adopt_result compare(const struct spool *to, const struct luggage *l, bool *same_message, struct err *e)
{
	uint64_t size = l->msg.content_offset + l->msg.content_bytes;
	enum adopt_result result = ADOPT_TAKEN;
	struct luggage there;

	*same_message = false;
	switch (pack(&there, to, l->msg.env.id, e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_GONE: /* delivered in this moment: it was ours */
		return ADOPT_SAME;
	case SPOOL_READ_CORRUPT:
		return ADOPT_TAKEN;
	case SPOOL_READ_FAILED:
		return ADOPT_FAILED;
	}
	*same_message = there.msg.content_offset + there.msg.content_bytes == size &&
			same_files(l->msg.fd, there.msg.fd, size);
	if (!*same_message)
		err_set(e, "%s: another message has the id %s there", to->path, l->msg.env.id);
	else if (there.state_len != l->state_len || (l->state_len && memcmp(there.state, l->state, l->state_len) != 0))
		err_set(e, "%s: the message %s is there already, and other things happened to it there", to->path,
			l->msg.env.id);
	else
		result = ADOPT_SAME;
	unpack(&there);
	return result;
}

enum adopt_result spool_adopt(struct spool *to, const struct spool *from, const char *id, bool new_id_if_taken,
			      struct spool_id *as, struct err *e)
{
	enum adopt_result result = ADOPT_FAILED;
	bool same_message = false;
	struct spool_state st;
	struct luggage l;
	struct stat info;

	switch (pack(&l, from, id, e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_GONE:
		return ADOPT_GONE;
	case SPOOL_READ_CORRUPT:
		return ADOPT_CORRUPT;
	case SPOOL_READ_FAILED:
		return ADOPT_FAILED;
	}
	strcpy(as->text, id);
	if (verify_state(&st, &l, e) != SPOOL_READ_OK)
		result = ADOPT_CORRUPT;
	else if (sys_stat_at(to->queue_fd, id, &info) == 0)
		result = compare(to, &l, &same_message, e);
	else if (errno != ENOENT)
		err_set_os(e, errno, "%s/queue/%s: cannot look for this message", to->path, id);
	else
		result = move_in(to, &l, e);
	if (result == ADOPT_TAKEN && new_id_if_taken && !same_message)
		result = move_in_anew(to, &l, as, e);
	spool_state_release(&st);
	unpack(&l);
	return result;
}
