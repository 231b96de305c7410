/* SPDX-License-Identifier: ISC */
/*
 * See suspend.h. Runs in the relay, or in a command that holds the spool lock.
 *
 * SPOOL/suspended, replaced whole (spool/file.h):
 *   posthouse-suspended/1 LF
 *   upstream=NAME since=TIME [until=TIME] [by=...] [reason=...] LF      one line each
 *   all=yes since=TIME [until=TIME] [by=...] [reason=...] LF            all deliveries
 *   xxh3=HHHHHHHHHHHHHHHH LF                                            over everything before this line
 */
#include "manage/suspend.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/kv.h"
#include "base/text.h"
#include "spool/checksum.h"
#include "spool/file.h"

#define MAGIC "posthouse-suspended/1\n"
#define NAME "suspended"
#define TEXT_MAX (4u << 20)

static void release(struct suspension *one)
{
	free(one->upstream);
	free(one->reason);
	free(one->by);
}

void suspensions_init(struct suspensions *all)
{
	memset(all, 0, sizeof(*all));
}

void suspensions_release(struct suspensions *all)
{
	for (size_t i = 0; i < all->count; i++)
		release(&all->item[i]);
	free(all->item);
	suspensions_init(all);
}

/* ---- the list --------------------------------------------------------------------- */

static struct suspension *find(const struct suspensions *all, const char *upstream)
{
	for (size_t i = 0; i < all->count; i++)
		if (text_same(all->item[i].upstream, upstream))
			return &all->item[i];
	return NULL;
}

static struct suspension *push(struct suspensions *all)
{
	all->item = mem_resize(all->item, all->count + 1, sizeof(*all->item));
	memset(&all->item[all->count], 0, sizeof(*all->item));
	return &all->item[all->count++];
}

static void take_out(struct suspensions *all, struct suspension *one)
{
	release(one);
	*one = all->item[--all->count];
}

void suspensions_set(struct suspensions *all, const struct suspension *one)
{
	struct suspension fresh = { mem_strdup_or_null(one->upstream), one->since_wall_us, one->until_wall_us, mem_strdup_or_null(one->reason),
				    mem_strdup_or_null(one->by) };
	struct suspension *place = find(all, one->upstream);

	if (place)
		release(place);
	else
		place = push(all);
	*place = fresh;
}

bool suspensions_lift(struct suspensions *all, const char *upstream)
{
	struct suspension *one = find(all, upstream);

	if (one)
		take_out(all, one);
	return one != NULL;
}

static bool is_over(const struct suspension *one, int64_t now_wall_us)
{
	return one->until_wall_us != 0 && one->until_wall_us <= now_wall_us;
}

size_t suspensions_expire(struct suspensions *all, int64_t now_wall_us)
{
	size_t before = all->count;

	for (size_t i = all->count; i-- > 0;)
		if (is_over(&all->item[i], now_wall_us))
			take_out(all, &all->item[i]);
	return before - all->count;
}

const struct suspension *suspensions_find(const struct suspensions *all, const char *upstream, int64_t now_wall_us)
{
	const struct suspension *one = upstream ? find(all, upstream) : NULL;

	if (one && !is_over(one, now_wall_us))
		return one;
	one = find(all, NULL);
	return one && !is_over(one, now_wall_us) ? one : NULL;
}

int64_t suspensions_next_end(const struct suspensions *all)
{
	int64_t next = CLOCK_NEVER;

	for (size_t i = 0; i < all->count; i++)
		if (all->item[i].until_wall_us != 0 && all->item[i].until_wall_us < next)
			next = all->item[i].until_wall_us;
	return next;
}

/* ---- the file --------------------------------------------------------------------- */

static bool put_time(struct buf *b, const char *key, int64_t wall_us)
{
	char stamp[CLOCK_UTC_MAX];

	return kv_puts(b, key, clock_format_utc(wall_us, stamp));
}

static bool put_line(struct buf *b, const struct suspension *one)
{
	return (one->upstream ? kv_puts(b, "upstream", one->upstream) : kv_puts(b, "all", "yes")) &&
	       put_time(b, "since", one->since_wall_us) &&
	       (one->until_wall_us == 0 || put_time(b, "until", one->until_wall_us)) &&
	       (!one->by || kv_puts(b, "by", one->by)) && (!one->reason || kv_puts(b, "reason", one->reason)) &&
	       buf_addc(b, '\n');
}

int suspensions_save(const struct suspensions *all, const struct spool *s, struct err *e)
{
	struct buf text;
	bool fits;
	int r;

	if (all->count == 0)
		return spool_file_remove(s, spool_place_root(s), NAME, e);
	buf_init(&text, TEXT_MAX);
	fits = buf_adds(&text, MAGIC);
	for (size_t i = 0; fits && i < all->count; i++)
		fits = put_line(&text, &all->item[i]);
	if (fits && checksum_seal(&text)) {
		r = spool_file_replace(s, spool_place_root(s), NAME, text.data, text.len, true, e);
	} else {
		err_set(e, "%s/%s: it would be larger than %u octets", s->path, NAME, TEXT_MAX);
		r = -1;
	}
	buf_release(&text);
	return r;
}

static char **text_field(struct suspension *one, const char *key)
{
	return strcmp(key, "upstream") == 0 ? &one->upstream :
	       strcmp(key, "reason") == 0   ? &one->reason :
	       strcmp(key, "by") == 0	     ? &one->by :
					       NULL;
}

static bool parse_pair(struct suspension *one, const struct kv_pair *pair, bool *is_all)
{
	char **field = text_field(one, pair->key);

	if (field) {
		if (*field || memchr(pair->value, '\0', pair->len))
			return false;
		*field = mem_strndup(pair->value, pair->len);
		return true;
	}
	if (strcmp(pair->key, "since") == 0)
		return clock_parse_utc(pair->value, &one->since_wall_us);
	if (strcmp(pair->key, "until") == 0)
		return clock_parse_utc(pair->value, &one->until_wall_us);
	return strcmp(pair->key, "all") == 0 && (*is_all = strcmp(pair->value, "yes") == 0);
}

static bool parse_line(struct suspensions *all, char *line, char *end)
{
	struct suspension *one = push(all);
	struct kv_pair pair;
	bool is_all = false;
	enum kv_result r;

	while ((r = kv_next(&line, end, &pair)) == KV_PAIR)
		if (!parse_pair(one, &pair, &is_all))
			return false;
	/* it names an upstream or says that it is about all, and each once */
	return r == KV_END && is_all == !one->upstream && find(all, one->upstream) == one;
}

static bool parse(struct suspensions *all, char *text, size_t len)
{
	char *end;

	if (len < sizeof(MAGIC) - 1 + CHECKSUM_SEAL_LEN || memcmp(text, MAGIC, sizeof(MAGIC) - 1) != 0 ||
	    !checksum_is_sealed(text, len))
		return false;
	end = text + len - CHECKSUM_SEAL_LEN;
	for (char *line = text + sizeof(MAGIC) - 1; line < end;) {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		if (!newline || !parse_line(all, line, newline))
			return false;
		line = newline + 1;
	}
	return true;
}

int suspensions_load(struct suspensions *all, const struct spool *s, struct err *e)
{
	char *text = NULL;
	size_t len = 0;
	int r = -1;

	switch (spool_file_read(s, spool_place_root(s), NAME, TEXT_MAX, &text, &len, e)) {
	case SPOOL_READ_GONE:
		return 0;
	case SPOOL_READ_OK:
		if (parse(all, text, len)) {
			r = 0;
			break;
		}
		suspensions_release(all);
		err_set(e, "%s/%s: torn or damaged", s->path, NAME);
		break;
	case SPOOL_READ_CORRUPT:
	case SPOOL_READ_FAILED:
		break;
	}
	free(text);
	if (r < 0)
		err_prefix(e, "which deliveries were suspended is not known: suspend them again, or remove the file");
	return r;
}
