/* SPDX-License-Identifier: ISC */
/* See message.h. Runs in the relay and the CLI. */
#include "spool/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "spool/checksum.h"
#include "spool/format.h"
#include "spool/id.h"
#include "spool/sys.h"

#define FIRST_READ (4u << 10) /* holds the head and envelope of most messages, and small ones whole */
#define BLOCK (64u << 10)

static enum spool_read read_failure(const struct spool *s, const char *id, struct err *e)
{
	if (errno == ENOENT)
		return SPOOL_READ_GONE;
	err_set_os(e, errno, "%s/queue/%s: cannot read this message", s->path, id);
	return SPOOL_READ_FAILED;
}

/* Reads exactly len octets; a file that ends before is corrupt. */
static enum spool_read read_exactly(const struct spool_message *m, const struct spool *s, const char *id,
				    uint64_t offset, char *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = sys_pread(m->fd, data, len, (off_t)offset);

		if (n < 0)
			return read_failure(s, id, e);
		if (n == 0) {
			err_set(e, "it ends too early, at octet %llu", (unsigned long long)offset);
			return SPOOL_READ_CORRUPT;
		}
		data += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return SPOOL_READ_OK;
}

/*
 * The checksum over the whole file, of which text holds the first `have` octets, is the one in the first
 * line.
 */
static enum spool_read verify_content(const struct spool_message *m, const struct spool *s, const char *id,
				      const char *text, size_t have, const struct format_head *head, struct err *e)
{
	uint64_t left = m->content_offset + m->content_bytes - have, offset = have;
	/* no more than it takes: mem_alloc clears it, and often a few octets are left */
	char *block = left > 0 ? mem_alloc(left < BLOCK ? (size_t)left : BLOCK) : NULL;
	struct checksum *sum = checksum_new();
	enum spool_read r = SPOOL_READ_OK;

	checksum_add(sum, text + FORMAT_HEAD_LEN, have - FORMAT_HEAD_LEN);
	while (left > 0 && r == SPOOL_READ_OK) {
		size_t n = left < BLOCK ? (size_t)left : BLOCK;

		r = read_exactly(m, s, id, offset, block, n, e);
		if (r == SPOOL_READ_OK)
			checksum_add(sum, block, n);
		offset += n;
		left -= n;
	}
	checksum_add(sum, text, FORMAT_HEAD_HASHED);
	if (r == SPOOL_READ_OK && checksum_value(sum) != head->checksum) {
		err_set(e, "its checksum is wrong: the content is torn or damaged");
		r = SPOOL_READ_CORRUPT;
	}
	checksum_free(sum);
	free(block);
	return r;
}

/*
 * The first octets of the file, and its size; for small files, which nearly all are, in one call.
 * text has room for FIRST_READ.
 */
static enum spool_read read_first(const struct spool_message *m, const struct spool *s, const char *id, char *text,
				  size_t *have, uint64_t *size, struct err *e)
{
	ssize_t n = sys_pread(m->fd, text, FIRST_READ, 0);
	struct stat st;

	if (n < 0 && (errno == EISDIR || errno == ESPIPE)) {
		err_set(e, "not a regular file");
		return SPOOL_READ_CORRUPT;
	}
	if (n < 0)
		return read_failure(s, id, e);
	*have = (size_t)n;
	*size = (uint64_t)n;
	if (n < (ssize_t)FIRST_READ)
		return SPOOL_READ_OK;
	if (sys_fstat(m->fd, &st) < 0)
		return read_failure(s, id, e);
	if (!S_ISREG(st.st_mode)) {
		err_set(e, "not a regular file");
		return SPOOL_READ_CORRUPT;
	}
	*size = (uint64_t)st.st_size;
	return SPOOL_READ_OK;
}

static enum spool_read read_message(struct spool_message *m, const struct spool *s, const char *id, bool verify,
				    struct err *e)
{
	char first[FIRST_READ + 1], *text = first;
	struct format_head head;
	uint64_t size;
	size_t have; /* octets of the file that are in text */
	enum spool_read r = read_first(m, s, id, first, &have, &size, e);

	if (r != SPOOL_READ_OK)
		return r;
	r = SPOOL_READ_CORRUPT;
	if (format_parse_head(text, have, &head, e) < 0)
		goto out;
	m->content_offset = FORMAT_HEAD_LEN + head.envelope_bytes;
	m->content_bytes = head.content_bytes;
	m->has_dot_lines = head.has_dot_lines;
	m->has_eightbit = head.has_eightbit;
	if (size != m->content_offset + m->content_bytes) {
		err_set(e, "it has %llu octets where its first line says %llu", (unsigned long long)size,
			(unsigned long long)(m->content_offset + m->content_bytes));
		goto out;
	}
	if (m->content_offset > have) {
		text = mem_alloc(m->content_offset + 1);
		memcpy(text, first, have);
		r = read_exactly(m, s, id, have, text + have, m->content_offset - have, e);
		if (r != SPOOL_READ_OK)
			goto out;
		have = m->content_offset;
	}
	r = verify ? verify_content(m, s, id, text, have, &head, e) : SPOOL_READ_OK;
	if (r != SPOOL_READ_OK)
		goto out;
	r = SPOOL_READ_CORRUPT;
	if (format_parse_envelope(text + FORMAT_HEAD_LEN, head.envelope_bytes, &m->env, e) < 0)
		goto out;
	if (strcmp(m->env.id, id) != 0) {
		err_set(e, "it belongs to the message %s", m->env.id);
		goto out;
	}
	r = SPOOL_READ_OK;
out:
	if (text != first)
		free(text);
	return r;
}

/* Names the file in e, and leaves nothing open unless all went well. */
static enum spool_read finish_open(struct spool_message *m, const struct spool *s, const char *id,
				   enum spool_read r, struct err *e)
{
	if (r == SPOOL_READ_CORRUPT)
		err_prefix(e, "%s/queue/%s is not a whole message", s->path, id);
	if (r != SPOOL_READ_OK)
		spool_message_close(m);
	return r;
}

enum spool_read spool_message_open(struct spool_message *m, const struct spool *s, const char *id, bool verify,
				   struct err *e)
{
	enum spool_read r;

	memset(m, 0, sizeof(*m));
	envelope_init(&m->env);
	/* O_NONBLOCK: a fifo that someone put there must not stop us */
	m->fd = sys_open(s->queue_fd, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (m->fd < 0 && (errno == ELOOP || errno == ENXIO)) { /* ENXIO: a socket */
		err_set(e, "not a regular file");
		r = SPOOL_READ_CORRUPT;
	} else {
		r = m->fd < 0 ? read_failure(s, id, e) : read_message(m, s, id, verify, e);
	}
	return finish_open(m, s, id, r, e);
}

enum spool_read spool_message_adopt(struct spool_message *m, const struct spool *s, const char *id, int fd,
				    bool verify, struct err *e)
{
	memset(m, 0, sizeof(*m));
	envelope_init(&m->env);
	m->fd = fd;
	if (!spool_message_is_there(m))
		return finish_open(m, s, id, SPOOL_READ_GONE, e);
	return finish_open(m, s, id, read_message(m, s, id, verify, e), e);
}

bool spool_has(const struct spool *s, const char *id)
{
	struct stat st;

	return sys_stat_at(s->queue_fd, id, &st) == 0;
}

bool spool_message_is_there(const struct spool_message *m)
{
	struct stat st;

	return sys_fstat(m->fd, &st) == 0 && st.st_nlink > 0;
}

void spool_message_close_file(struct spool_message *m)
{
	if (m->fd >= 0)
		sys_close(m->fd);
	m->fd = -1;
}

void spool_message_close(struct spool_message *m)
{
	spool_message_close_file(m);
	envelope_release(&m->env);
}

ssize_t spool_message_read(const struct spool_message *m, uint64_t offset, void *data, size_t cap, struct err *e)
{
	uint64_t left = offset < m->content_bytes ? m->content_bytes - offset : 0;
	ssize_t n;

	if (left == 0)
		return 0;
	n = sys_pread(m->fd, data, left < cap ? (size_t)left : cap, (off_t)(m->content_offset + offset));
	if (n < 0) {
		err_set_os(e, errno, "message %s: cannot read its content", m->env.id);
		return -1;
	}
	if (n == 0) {
		err_set(e, "message %s: its content ends too early", m->env.id);
		return -1;
	}
	return n;
}
