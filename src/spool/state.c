/* SPDX-License-Identifier: ISC */
/*
 * state/ID. Runs in the relay, or in a CLI that holds the spool lock.
 *
 * Format:
 *   posthouse-state/1 LF
 *   tries=N next=TIME last=TIME [held=yes [hold_reason=...]] [uncertain=yes] LF
 *   rcpt=INDEX status=... when=TIME [upstream=...] [reply=...] LF       only for recipients with a story
 *   xxh3=HHHHHHHHHHHHHHHH LF                                            over everything before this line
 *
 * Replacing it: write state/ID.new, fsync it, rename it to state/ID, fsync it again
 * (the second makes the new name durable, as in txn.c). A crash after any of
 * them leaves the old state or the new one, and at most an ID.new that the next
 * start removes. A state that only postpones (nothing delivered, failed or
 * held) skips both syncs: lost or torn, it costs an early retry (or a hold that
 * was released is back) and nothing else, and a queue of ten thousand deferrals
 * does not wait for the disk.
 */
#include "spool/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/kv.h"
#include "base/num.h"
#include "spool/checksum.h"
#include "spool/id.h"
#include "spool/sys.h"

#define MAGIC "posthouse-state/1\n"
#define STATE_MAX (128u << 20) /* 50,000 recipients with a reply of 2 kB each */

static const char *const status_names[] = { "pending", "delivered", "failed", "expired" };

const char *rcpt_status_name(enum rcpt_status status)
{
	return status_names[status];
}

void spool_state_init(struct spool_state *st, size_t rcpt_count)
{
	memset(st, 0, sizeof(*st));
	st->rcpt = mem_array(rcpt_count, sizeof(*st->rcpt));
	st->rcpt_count = rcpt_count;
}

void spool_state_release(struct spool_state *st)
{
	for (size_t i = 0; i < st->rcpt_count; i++) {
		free(st->rcpt[i].upstream);
		free(st->rcpt[i].reply);
	}
	free(st->rcpt);
	free(st->hold_reason);
	memset(st, 0, sizeof(*st));
}

void rcpt_state_set(struct rcpt_state *r, enum rcpt_status status, int64_t wall_us, const char *upstream,
		    const char *reply)
{
	char *new_upstream = upstream ? mem_strdup(upstream) : NULL;
	char *new_reply = reply ? mem_strdup(reply) : NULL;

	free(r->upstream);
	free(r->reply);
	r->status = status;
	r->when_wall_us = wall_us;
	r->upstream = new_upstream;
	r->reply = new_reply;
}

size_t spool_state_count(const struct spool_state *st, enum rcpt_status status)
{
	size_t n = 0;

	for (size_t i = 0; i < st->rcpt_count; i++)
		n += st->rcpt[i].status == status;
	return n;
}

/* ---- writing --------------------------------------------------------------- */

static bool put_time(struct buf *b, const char *key, int64_t wall_us)
{
	char stamp[CLOCK_UTC_MAX];

	return wall_us == 0 || kv_puts(b, key, clock_format_utc(wall_us, stamp));
}

static bool put_rcpt(struct buf *b, size_t index, const struct rcpt_state *r)
{
	if (r->status == RCPT_PENDING && r->when_wall_us == 0)
		return true;
	return kv_puti(b, "rcpt", (int64_t)index) && kv_puts(b, "status", status_names[r->status]) &&
	       put_time(b, "when", r->when_wall_us) && (!r->upstream || kv_puts(b, "upstream", r->upstream)) &&
	       (!r->reply || kv_puts(b, "reply", r->reply)) && buf_addc(b, '\n');
}

bool spool_state_format(const struct spool_state *st, struct buf *b)
{
	char sum[17];
	bool ok;

	ok = buf_adds(b, MAGIC) && kv_puti(b, "tries", st->tries) && put_time(b, "next", st->next_attempt_wall_us) &&
	     put_time(b, "last", st->last_attempt_wall_us) && (!st->held || kv_puts(b, "held", "yes")) &&
	     (!st->hold_reason || kv_puts(b, "hold_reason", st->hold_reason)) &&
	     (!st->uncertain || kv_puts(b, "uncertain", "yes")) && buf_addc(b, '\n');
	for (size_t i = 0; ok && i < st->rcpt_count; i++)
		ok = put_rcpt(b, i, &st->rcpt[i]);
	if (!ok)
		return false;
	snprintf(sum, sizeof(sum), "%016" PRIx64, checksum_of(b->data, b->len));
	return kv_puts(b, "xxh3", sum) && buf_addc(b, '\n');
}

/* Does it hold anything that a power cut must not take back? */
static bool must_be_durable(const struct spool_state *st)
{
	return st->held || spool_state_count(st, RCPT_PENDING) != st->rcpt_count;
}

int spool_state_save(const struct spool_state *st, const struct spool *s, const char *id, struct err *e)
{
	bool durable = must_be_durable(st);
	char new_name[SPOOL_ID_LEN + 8];
	struct buf text;
	int fd, r = -1;

	snprintf(new_name, sizeof(new_name), "%s.new", id);
	buf_init(&text, STATE_MAX);
	if (!spool_state_format(st, &text)) {
		err_set(e, "%s/state/%s: the state would be larger than %u octets", s->path, id, STATE_MAX);
		buf_release(&text);
		return -1;
	}
	fd = sys_open(s->state_fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640);
	if (fd < 0) {
		err_set_os(e, errno, "%s/state/%s: cannot create this file", s->path, new_name);
		goto out;
	}
	if (sys_write_all(fd, text.data, text.len) < 0 || (durable && sys_fsync(fd) < 0)) {
		err_set_os(e, errno, "%s/state/%s: cannot write this file", s->path, new_name);
		(void)sys_unlink(s->state_fd, new_name);
		goto out;
	}
	if (sys_rename_replace(s->state_fd, new_name, s->state_fd, id) < 0) {
		err_set_os(e, errno, "%s/state/%s: cannot replace this file", s->path, id);
		(void)sys_unlink(s->state_fd, new_name);
		goto out;
	}
	if (durable && (sys_fsync(fd) < 0 || (s->sync_directory && sys_fsync(s->state_fd) < 0))) {
		err_set_os(e, errno, "%s/state/%s: cannot sync this file", s->path, id);
		goto out;
	}
	r = 0;
out:
	if (fd >= 0)
		sys_close(fd);
	buf_release(&text);
	return r;
}

/* ---- reading --------------------------------------------------------------- */

static bool parse_status(const char *text, enum rcpt_status *status)
{
	for (unsigned i = 0; i < sizeof(status_names) / sizeof(*status_names); i++) {
		if (strcmp(text, status_names[i]) == 0) {
			*status = (enum rcpt_status)i;
			return true;
		}
	}
	return false;
}

/* A pair of the line about the message. */
static bool parse_message_pair(struct spool_state *st, const struct kv_pair *pair)
{
	uint64_t n;

	if (strcmp(pair->key, "tries") == 0) {
		if (!num_parse_u64(pair->value, pair->len, UINT32_MAX, &n))
			return false;
		st->tries = (unsigned)n;
		return true;
	}
	if (strcmp(pair->key, "next") == 0)
		return clock_parse_utc(pair->value, &st->next_attempt_wall_us);
	if (strcmp(pair->key, "last") == 0)
		return clock_parse_utc(pair->value, &st->last_attempt_wall_us);
	if (strcmp(pair->key, "held") == 0)
		return st->held = strcmp(pair->value, "yes") == 0;
	if (strcmp(pair->key, "uncertain") == 0)
		return st->uncertain = strcmp(pair->value, "yes") == 0;
	if (strcmp(pair->key, "hold_reason") == 0) {
		free(st->hold_reason);
		st->hold_reason = mem_strndup(pair->value, pair->len);
		return true;
	}
	return false;
}

/* A pair of a recipient's line, behind rcpt=. */
static bool parse_rcpt_pair(struct rcpt_state *r, const struct kv_pair *pair)
{
	if (strcmp(pair->key, "status") == 0)
		return parse_status(pair->value, &r->status);
	if (strcmp(pair->key, "when") == 0)
		return clock_parse_utc(pair->value, &r->when_wall_us);
	if (strcmp(pair->key, "upstream") == 0) {
		free(r->upstream);
		r->upstream = mem_strndup(pair->value, pair->len);
		return true;
	}
	if (strcmp(pair->key, "reply") == 0) {
		free(r->reply);
		r->reply = mem_strndup(pair->value, pair->len);
		return true;
	}
	return false;
}

static bool parse_line(struct spool_state *st, char *line, char *newline)
{
	struct rcpt_state *rcpt = NULL;
	struct kv_pair pair;
	enum kv_result r;
	uint64_t index;

	while ((r = kv_next(&line, newline, &pair)) == KV_PAIR) {
		if (!rcpt && strcmp(pair.key, "rcpt") == 0) {
			if (!num_parse_u64(pair.value, pair.len, UINT32_MAX, &index) || index >= st->rcpt_count)
				return false;
			rcpt = &st->rcpt[index];
		} else if (rcpt ? !parse_rcpt_pair(rcpt, &pair) : !parse_message_pair(st, &pair)) {
			return false;
		}
	}
	return r == KV_END;
}

bool spool_state_parse(struct spool_state *st, char *text, size_t len)
{
	static const size_t trailer = sizeof("xxh3=0123456789abcdef\n") - 1;
	char expected[32], *line, *end;

	if (len < sizeof(MAGIC) - 1 + trailer || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0)
		return false;
	end = text + len - trailer;
	snprintf(expected, sizeof(expected), "xxh3=%016" PRIx64 "\n", checksum_of(text, len - trailer));
	if (memcmp(end, expected, trailer) != 0)
		return false;
	for (line = text + sizeof(MAGIC) - 1; line < end;) {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		if (!newline || !parse_line(st, line, newline))
			return false;
		line = newline + 1;
	}
	return true;
}

enum spool_read spool_state_load(struct spool_state *st, const struct spool *s, const char *id, struct err *e)
{
	enum spool_read result = SPOOL_READ_FAILED;
	size_t count = st->rcpt_count, len = 0;
	char *text = NULL;
	struct stat info;
	int fd = sys_open(s->state_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	if (fd < 0 && errno == ENOENT)
		return SPOOL_READ_OK;
	if (fd < 0 && (errno == ELOOP || errno == ENXIO)) /* a symbolic link, a socket */
		goto corrupt;
	if (fd < 0 || sys_fstat(fd, &info) < 0)
		goto failed;
	if (!S_ISREG(info.st_mode) || info.st_size > STATE_MAX)
		goto corrupt;
	text = mem_alloc((size_t)info.st_size + 1);
	while (len < (size_t)info.st_size) {
		ssize_t n = sys_pread(fd, text + len, (size_t)info.st_size - len, (off_t)len);

		if (n < 0)
			goto failed;
		if (n == 0)
			goto corrupt;
		len += (size_t)n;
	}
	if (spool_state_parse(st, text, len)) {
		result = SPOOL_READ_OK;
		goto out;
	}
corrupt:
	/* half a state is no state: all pending again */
	spool_state_release(st);
	spool_state_init(st, count);
	err_set(e, "%s/state/%s: torn or damaged", s->path, id);
	result = SPOOL_READ_CORRUPT;
	goto out;
failed:
	err_set_os(e, errno, "%s/state/%s: cannot read this file", s->path, id);
out:
	if (fd >= 0)
		sys_close(fd);
	free(text);
	return result;
}

bool spool_state_peek_next(const struct spool *s, const char *id, int64_t *next_wall_us)
{
	struct spool_state st = { 0 };
	char text[512], *line = text + sizeof(MAGIC) - 1, *newline;
	int fd = sys_open(s->state_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	ssize_t n = fd < 0 ? -1 : sys_pread(fd, text, sizeof(text) - 1, 0);
	bool ok = false;

	if (fd >= 0)
		sys_close(fd);
	if (n < (ssize_t)sizeof(MAGIC) || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0)
		return false;
	newline = memchr(line, '\n', (size_t)(text + n - line));
	if (newline)
		ok = parse_line(&st, line, newline);
	*next_wall_us = st.next_attempt_wall_us;
	spool_state_release(&st);
	return ok;
}

/* ---- the end of a message --------------------------------------------------- */

/*
 * Does the state that is on the disk hold anything that a power cut must not take back? Looks for the
 * words of must_be_durable without understanding them; when in doubt (the words may also stand in a
 * reply, the file may be unreadable) yes, which costs a sync.
 */
static bool saved_state_must_last(const struct spool *s, const char *id)
{
	static const char *const words[] = { " status=delivered", " status=failed", " status=expired",
					     " held=yes" };
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
