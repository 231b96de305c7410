/* SPDX-License-Identifier: ISC */
/*
 * The file of a state, state/ID. Runs in the relay, or in a CLI that holds the spool lock.
 *
 * Replacing it: write state/ID.new, fsync it, rename it to state/ID, fsync it again
 * (the second makes the new name durable, as in txn.c). A crash after any of
 * them leaves the old state or the new one, and at most an ID.new that the next
 * start removes. A state that only postpones (nothing delivered, failed or
 * held) skips both syncs: lost or torn, it costs an early retry (or a hold that
 * was released is back) and nothing else, and a queue of ten thousand deferrals
 * does not wait for the disk.
 */
#include "spool/state_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "spool/file.h"
#include "spool/sys.h"

#define STATE_MAX (128u << 20) /* 50,000 recipients with a reply of 2 kB each */

int spool_state_text(const struct spool_state *st, const struct spool *s, const char *id, struct buf *text,
		     struct err *e)
{
	buf_init(text, STATE_MAX);
	if (spool_state_format(st, text))
		return 0;
	err_set(e, "%s/state/%s: the state would be larger than %u octets", s->path, id, STATE_MAX);
	buf_release(text);
	return -1;
}

int spool_state_save(const struct spool_state *st, const struct spool *s, const char *id, struct err *e)
{
	struct buf text;
	int r;

	if (spool_state_text(st, s, id, &text, e) < 0)
		return -1;
	r = spool_file_replace(s, spool_place_state(s), id, text.data, text.len, spool_state_must_last(st),
			       e);
	buf_release(&text);
	return r;
}

/* What was read; text is freed. */
static enum spool_read take_text(struct spool_state *st, const struct spool *s, const char *id,
				 enum spool_read r, char *text, size_t len, struct err *e)
{
	if (r == SPOOL_READ_OK && !spool_state_parse(st, text, len)) {
		spool_state_restart(st); /* half a state is no state */
		err_set(e, "%s/state/%s: torn or damaged", s->path, id);
		r = SPOOL_READ_CORRUPT;
	}
	free(text);
	return r;
}

enum spool_read spool_state_load_from(struct spool_state *st, const struct spool *s, const char *id, int fd,
				      struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	enum spool_read r;

	if (fd < 0)
		return SPOOL_READ_OK;
	r = spool_file_read_from(s, spool_place_state(s), id, fd, STATE_MAX, &text, &len, e);
	return take_text(st, s, id, r, text, len, e);
}

enum spool_read spool_state_load(struct spool_state *st, const struct spool *s, const char *id, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	enum spool_read r = spool_file_read(s, spool_place_state(s), id, STATE_MAX, &text, &len, e);

	if (r == SPOOL_READ_GONE)
		return SPOOL_READ_OK;
	return take_text(st, s, id, r, text, len, e);
}

bool spool_state_peek(struct spool_state_head *head, const struct spool *s, const char *id)
{
	char text[1024];
	int fd = sys_open(s->state_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	ssize_t n = fd < 0 ? -1 : sys_pread(fd, text, sizeof(text) - 1, 0);

	if (fd >= 0)
		sys_close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	return spool_state_parse_head(head, text, (size_t)n);
}

/* ---- the end of a message --------------------------------------------------- */

/*
 * Does the state that is on the disk hold anything that a power cut must not take back? Looks for the
 * words of spool_state_must_last without understanding them; when in doubt (the words may also stand in a
 * reply, the file may be unreadable) yes, which costs a sync.
 */
static bool saved_state_must_last(const struct spool *s, const char *id)
{
	static const char *const words[] = { " status=delivered", " status=failed", " status=expired",
					     " held=yes",         " released=yes",  " route=",
					     " report=" };
	char text[16 << 10];
	int fd = sys_open(s->state_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	ssize_t n;

	if (fd < 0)
		return errno != ENOENT;
	n = sys_pread(fd, text, sizeof(text), 0);
	sys_close(fd);
	for (size_t i = 0; n >= 0 && i < sizeof(words) / sizeof(*words); i++)
		if (memmem(text, (size_t)n, words[i], strlen(words[i])))
			return true;
	return n < 0 || n == sizeof(text);
}

int spool_remove(const struct spool *s, const char *id, struct err *e)
{
	if (sys_unlink(s->queue_fd, id) < 0 && errno != ENOENT) {
		err_set_os(e, errno, "%s/queue/%s: cannot remove this message", s->path, id);
		return -1;
	}
	/* where names are not kept in order, a power cut could undo the first removal and keep the second:
	 * the message would be back and have forgotten who already got it */
	if (s->keep_order && saved_state_must_last(s, id) && sys_fsync(s->queue_fd) < 0) {
		err_set_os(e, errno, "%s/queue: cannot sync this directory", s->path);
		return -1;
	}
	if (sys_unlink(s->state_fd, id) < 0 && errno != ENOENT) {
		err_set_os(e, errno, "%s/state/%s: cannot remove this state", s->path, id);
		return -1;
	}
	return 0;
}
