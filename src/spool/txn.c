/* SPDX-License-Identifier: ISC */
/*
 * One message into the spool. Runs in a worker (or the CLI), which may create
 * files in incoming/ and queue/ and nothing else.
 *
 * The order of system calls, and what a crash (of the process, or of the
 * machine) right after each leaves behind:
 *
 *   open    incoming/ID, exclusive    an empty file: removed at the next start
 *   write   first line, envelope,     a piece: removed at the next start
 *           content
 *   rename  to queue/ID, exclusive    process died: whole, unacknowledged: delivered, a duplicate at worst.
 *                                     power cut: nothing, or the name with torn content, which the checksum
 *                                     shows: quarantined, unacknowledged
 *   fsync   the file                  durable; the client has not heard it: a duplicate at worst
 *   (fsync  the directory)            strict mode only
 *   250                               the promise holds
 *
 * Why rename comes before fsync, and one fsync is enough on ext4, xfs and
 * btrfs. ext4 and xfs order their metadata: fsync of a file writes its data,
 * then commits the journal up to the last change of that inode, and the rename
 * is such a change: it set the inode's ctime in the same transaction that
 * changed the directories. btrfs logs the inode of the file together with all
 * its present names (and without older changes of other files, so nothing here
 * relies on their order). In the other order, fsync then rename, the name
 * would need a second commit. Other file systems, and ext4 without a journal,
 * promise less (POSIX promises nothing about names), so SPOOL_SYNC_AUTO syncs
 * the directory on them, and SPOOL_SYNC_STRICT always.
 */
#include "spool/txn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "spool/checksum.h"
#include "spool/format.h"
#include "spool/message.h"
#include "spool/sys.h"

#define BUFFER_MAX (64u << 10) /* a message below this is written with one call */

struct spool_txn {
	struct spool *spool;
	struct spool_id id;
	struct format_head head;
	struct checksum *checksum;
	struct buf buffer; /* not yet written: first line (as placeholder), envelope, content */
	bool at_line_start; /* the last content octet was LF, or there is none yet */
	char *again_peer; /* spool_txn_begin_as: a message of this ID and peer may be there; owned */
	int fd; /* of incoming/ID, -1 before the first write */
	enum spool_result result; /* once not OK it stays */
	struct err why; /* when result is not OK */
};

/* Which reply a failed system call deserves. */
static enum spool_result result_of(int os_error)
{
	return os_error == ENOSPC || os_error == EDQUOT || os_error == EFBIG ? SPOOL_FULL : SPOOL_FAILED;
}

static enum spool_result fail(struct spool_txn *t, const char *folder, const char *what)
{
	int os_error = errno;

	t->result = result_of(os_error);
	err_set_os(&t->why, os_error, "%s/%s/%s: %s", t->spool->path, folder, t->id.text, what);
	return t->result;
}

static struct spool_txn *begin(struct spool *s, struct envelope *env, const struct spool_id *id)
{
	struct spool_txn *t = mem_alloc(sizeof(*t));
	char head[FORMAT_HEAD_LEN + 1];

	t->spool = s;
	t->fd = -1;
	t->result = SPOOL_OK;
	t->at_line_start = true;
	t->checksum = checksum_new();
	t->id = *id;
	strcpy(env->id, t->id.text);
	buf_init(&t->buffer, FORMAT_HEAD_LEN + FORMAT_ENVELOPE_MAX);
	format_head_unfinished(head);
	buf_add(&t->buffer, head, FORMAT_HEAD_LEN);
	if (!format_envelope(env, &t->buffer)) {
		t->result = SPOOL_FAILED;
		err_set(&t->why, "%s: the envelope of message %s is larger than %u octets or holds a line end",
			s->path, t->id.text, FORMAT_ENVELOPE_MAX);
	}
	t->head.envelope_bytes = t->buffer.len - FORMAT_HEAD_LEN;
	checksum_add(t->checksum, t->buffer.data + FORMAT_HEAD_LEN, t->head.envelope_bytes);
	return t;
}

struct spool_txn *spool_txn_begin(struct spool *s, struct envelope *env)
{
	struct spool_id id;

	spool_id_new(&id);
	return begin(s, env, &id);
}

struct spool_txn *spool_txn_begin_as(struct spool *s, struct envelope *env, const struct spool_id *id)
{
	struct spool_txn *t = begin(s, env, id);

	t->again_peer = mem_strdup(env->peer);
	return t;
}

static int open_new(const struct spool_txn *t)
{
	return sys_open(t->spool->incoming_fd, t->id.text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
			t->spool->message_mode);
}

static enum spool_result create_file(struct spool_txn *t)
{
	t->fd = open_new(t);
	/* what a crash left of it: we hold the lock, nobody is writing there */
	if (t->fd < 0 && errno == EEXIST && t->again_peer &&
	    sys_unlink(t->spool->incoming_fd, t->id.text) == 0)
		t->fd = open_new(t);
	if (t->fd < 0)
		return fail(t, "incoming", "cannot create this file");
	if (t->spool->message_mode & S_IRGRP) {
		/* the umask must not take the right to read from the relay */
		if (sys_chmod(t->fd, t->spool->message_mode) < 0)
			return fail(t, "incoming", "cannot change the mode of this file");
	} else if (spool_give(t->spool, t->fd) < 0) { /* made by a command that root runs, for the relay to read */
		return fail(t, "incoming", "cannot give this file to the relay's user");
	}
	return SPOOL_OK;
}

static enum spool_result flush(struct spool_txn *t)
{
	if (t->fd < 0 && create_file(t) != SPOOL_OK)
		return t->result;
	if (t->buffer.len > 0 && sys_write_all(t->fd, t->buffer.data, t->buffer.len) < 0)
		return fail(t, "incoming", "cannot write this file");
	buf_clear(&t->buffer);
	return SPOOL_OK;
}

static bool any_eightbit(const char *data, size_t len)
{
	uint64_t seen = 0, word;
	size_t i = 0;

	/* no early exit: without one the compiler makes a vector loop of it */
	for (; i + sizeof(word) <= len; i += sizeof(word)) {
		memcpy(&word, data + i, sizeof(word));
		seen |= word;
	}
	for (; i < len; i++)
		seen |= (unsigned char)data[i];
	return seen & 0x8080808080808080u;
}

/* Remembers what the relay wants to know of the content without reading it twice. */
static void look_at_content(struct spool_txn *t, const char *data, size_t len)
{
	const char *p = data, *end = data + len;

	if (!t->head.has_dot_lines) {
		bool line_start = t->at_line_start;

		while (p < end) {
			if (line_start && *p == '.') {
				t->head.has_dot_lines = true;
				break;
			}
			p = memchr(p, '\n', (size_t)(end - p));
			if (!p)
				break;
			p++;
			line_start = true;
		}
	}
	t->at_line_start = data[len - 1] == '\n';
	if (!t->head.has_eightbit)
		t->head.has_eightbit = any_eightbit(data, len);
}

enum spool_result spool_txn_write(struct spool_txn *t, const char *data, size_t len, struct err *e)
{
	if (t->result == SPOOL_OK && len > 0) {
		look_at_content(t, data, len);
		checksum_add(t->checksum, data, len);
		t->head.content_bytes += len;
		if (t->buffer.len + len > BUFFER_MAX && flush(t) == SPOOL_OK && len >= BUFFER_MAX / 4) {
			/* a large piece goes straight to the file */
			if (sys_write_all(t->fd, data, len) < 0)
				fail(t, "incoming", "cannot write this file");
		} else if (t->result == SPOOL_OK) {
			ASSERT(buf_add(&t->buffer, data, len));
		}
	}
	if (t->result != SPOOL_OK)
		*e = t->why;
	return t->result;
}

static enum spool_result sync_name(struct spool_txn *t)
{
	if (sys_fsync(t->fd) < 0)
		return fail(t, "queue", "cannot sync this file");
	if (!t->spool->sync_directory || sys_fsync(t->spool->queue_fd) == 0)
		return SPOOL_OK;
	/* a worker that may not list the directory has no descriptor fit for fsync (O_PATH): sync it all */
	if (errno == EBADF && sys_syncfs(t->fd) == 0)
		return SPOOL_OK;
	return fail(t, "queue", "cannot sync this directory");
}

/* Writes the first line, now that all of it is known, into the buffer or, for a large message, the file. */
static enum spool_result finish_head(struct spool_txn *t)
{
	char head[FORMAT_HEAD_LEN + 1];

	format_head(&t->head, head);
	checksum_add(t->checksum, head, FORMAT_HEAD_HASHED);
	t->head.checksum = checksum_value(t->checksum);
	format_head(&t->head, head);
	if (t->fd < 0) {
		memcpy(t->buffer.data, head, FORMAT_HEAD_LEN);
		return flush(t);
	}
	if (flush(t) == SPOOL_OK && sys_pwrite_all(t->fd, head, FORMAT_HEAD_LEN, 0) < 0)
		return fail(t, "incoming", "cannot write this file");
	return t->result;
}

static void release(struct spool_txn *t)
{
	if (t->fd >= 0)
		sys_close(t->fd);
	checksum_free(t->checksum);
	buf_release(&t->buffer);
	free(t->again_peer);
	free(t);
}

/*
 * queue/ID is there already, from before a crash or a failure behind its commit. The same, or torn by a power cut:
 * ours takes its place. It may look whole and never get to the disk, when its sync has failed (the kernel drops
 * the pages and keeps what they held in its cache), so it is not left there. Another one: -1 and EEXIST, what was
 * accepted is not overwritten.
 */
static int settle_with_existing(const struct spool_txn *t)
{
	struct spool_message m;
	struct err ignored;
	bool same = true;

	switch (spool_message_open(&m, t->spool, t->id.text, false, &ignored)) {
	case SPOOL_READ_OK:
		same = strcmp(m.env.peer, t->again_peer) == 0;
		spool_message_close(&m);
		break;
	case SPOOL_READ_GONE:
	case SPOOL_READ_CORRUPT:
		break;
	case SPOOL_READ_FAILED:
		errno = ignored.os_error;
		return -1;
	}
	if (same)
		return sys_rename_replace(t->spool->incoming_fd, t->id.text, t->spool->queue_fd, t->id.text);
	errno = EEXIST;
	return -1;
}

/* Gives it its name; *dir_fd is then where it is. */
static void move_to_queue(struct spool_txn *t, int *dir_fd)
{
	int queue = t->spool->queue_fd;
	int r = sys_rename_exclusive(t->spool->incoming_fd, t->id.text, queue, t->id.text);

	if (r < 0 && errno == EEXIST && t->again_peer)
		r = settle_with_existing(t);
	if (r < 0)
		fail(t, "queue", "cannot move the message to this name");
	else
		*dir_fd = queue;
}

enum spool_result spool_txn_commit(struct spool_txn *t, struct err *e)
{
	enum spool_result result;
	int dir_fd = t->spool->incoming_fd;

	if (t->result == SPOOL_OK)
		finish_head(t);
	if (t->result == SPOOL_OK)
		move_to_queue(t, &dir_fd);
	if (t->result == SPOOL_OK)
		sync_name(t);
	/*
	 * A failed sync may have dropped dirty pages while the next one would succeed: this copy can
	 * never be trusted again, so it goes. The relay was not told of it. If removing fails too, the
	 * client still hears 451 and a duplicate is the worst that follows.
	 */
	if (t->result != SPOOL_OK && t->fd >= 0)
		(void)sys_unlink(dir_fd, t->id.text);
	if (t->result != SPOOL_OK)
		*e = t->why;
	result = t->result;
	release(t);
	return result;
}

void spool_txn_abort(struct spool_txn *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		(void)sys_unlink(t->spool->incoming_fd, t->id.text);
	release(t);
}

enum spool_result spool_try(struct spool *s, struct err *e)
{
	enum spool_result result;
	struct spool_txn *t;
	struct envelope env;

	envelope_init(&env);
	env.arrived_wall_us = clock_wall_us();
	envelope_set(&env.sender, "", 0);
	envelope_add_rcpt(&env, "postmaster", sizeof("postmaster") - 1);
	t = spool_txn_begin(s, &env);
	result = t->result == SPOOL_OK ? flush(t) : t->result;
	if (result != SPOOL_OK)
		*e = t->why;
	spool_txn_abort(t);
	envelope_release(&env);
	return result;
}
