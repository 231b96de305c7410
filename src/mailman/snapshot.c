/* SPDX-License-Identifier: ISC */
/* See snapshot.h. Written by the relay; read by it and by the operator's command. */
#include "mailman/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kv.h"
#include "spool/checksum.h"
#include "spool/file.h"

#define MAGIC "posthouse-lists/1\n"
#define TEXT_MAX (4u * LISTS_BYTES_MAX) /* escaping may double it, and each line has its keys */

int snapshot_save(const struct lists *l, int64_t asked_wall_us, const struct spool *s, struct err *e)
{
	char stamp[CLOCK_UTC_MAX];
	struct buf text;
	int r = -1;

	buf_init(&text, TEXT_MAX);
	if (buf_adds(&text, MAGIC) && kv_puts(&text, "asked", clock_format_utc(asked_wall_us, stamp)) &&
	    buf_addc(&text, '\n') && lists_write(l, &text) && checksum_seal(&text))
		r = spool_file_replace(s, spool_place_root(s), SNAPSHOT_NAME, text.data, text.len, false, e);
	else
		err_set(e, "%s/%s: it would be larger than %u octets", s->path, SNAPSHOT_NAME, TEXT_MAX);
	buf_release(&text);
	return r;
}

static bool read_asked(char *line, char *end, int64_t *asked_wall_us)
{
	struct kv_pair pair;

	return kv_next(&line, end, &pair) == KV_PAIR && strcmp(pair.key, "asked") == 0 &&
	       clock_parse_utc(pair.value, asked_wall_us);
}

static bool parse(struct lists *l, char *text, size_t len, int64_t *asked_wall_us)
{
	char *line = text + sizeof(MAGIC) - 1, *end, *newline;

	if (len < sizeof(MAGIC) - 1 + CHECKSUM_SEAL_LEN || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0 ||
	    !checksum_is_sealed(text, len))
		return false;
	end = text + len - CHECKSUM_SEAL_LEN;
	newline = memchr(line, '\n', (size_t)(end - line));
	if (!newline || !read_asked(line, newline, asked_wall_us))
		return false;
	for (line = newline + 1; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline || !lists_read_line(l, line, newline))
			return false;
	}
	return true;
}

enum snapshot_found snapshot_load_from(struct lists **out, enum lists_kind kind, int64_t *asked_wall_us,
				       const struct spool *s, int fd, struct err *e)
{
	enum snapshot_found found = SNAPSHOT_BAD;
	char *text = NULL;
	struct lists *l;
	size_t len = 0;

	if (spool_file_read_from(s, spool_place_root(s), SNAPSHOT_NAME, fd, TEXT_MAX, &text, &len, e) !=
	    SPOOL_READ_OK)
		return SNAPSHOT_BAD;
	l = lists_new(kind);
	if (parse(l, text, len, asked_wall_us)) {
		lists_seal(l);
		*out = l;
		found = SNAPSHOT_OK;
	} else {
		lists_free(l);
		err_set(e, "%s/%s: torn or damaged; it is made anew when Mailman was asked", s->path,
			SNAPSHOT_NAME);
	}
	free(text);
	return found;
}

enum snapshot_found snapshot_load(struct lists **out, enum lists_kind kind, int64_t *asked_wall_us,
				  const struct spool *s, struct err *e)
{
	int fd = spool_file_open(spool_place_root(s), SNAPSHOT_NAME);
	enum snapshot_found found;

	if (fd < 0 && errno == ENOENT)
		return SNAPSHOT_MISSING;
	if (fd < 0) {
		err_set_os(e, errno, "%s/%s: cannot open it", s->path, SNAPSHOT_NAME);
		return SNAPSHOT_BAD;
	}
	found = snapshot_load_from(out, kind, asked_wall_us, s, fd, e);
	close(fd);
	return found;
}
