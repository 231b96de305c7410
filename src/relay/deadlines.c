/* SPDX-License-Identifier: ISC */
/* See deadlines.h. */
#include "relay/deadlines.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

void deadlines_init(struct deadlines *d)
{
	*d = (struct deadlines){ 0 };
}

void deadlines_release(struct deadlines *d)
{
	free(d->item);
	deadlines_init(d);
}

static void swap(struct deadlines *d, size_t i, size_t j)
{
	struct deadline t = d->item[i];

	d->item[i] = d->item[j];
	d->item[j] = t;
}

static void sink(struct deadlines *d, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < d->count; child++)
			if (d->item[child].wall_ms < d->item[least].wall_ms)
				least = child;
		if (least == i)
			return;
		swap(d, i, least);
		i = least;
	}
}

void deadlines_add(struct deadlines *d, const char *id, int64_t wall_ms)
{
	size_t i = d->count;

	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->item = mem_resize(d->item, d->cap, sizeof(*d->item));
	}
	d->count++;
	d->item[i].wall_ms = wall_ms;
	strcpy(d->item[i].id.text, id);
	for (; i > 0 && d->item[i].wall_ms < d->item[(i - 1) / 2].wall_ms; i = (i - 1) / 2)
		swap(d, i, (i - 1) / 2);
}

int64_t deadlines_next_wall_ms(const struct deadlines *d)
{
	return d->count > 0 ? d->item[0].wall_ms : CLOCK_NEVER;
}

bool deadlines_take(struct deadlines *d, int64_t now_wall_ms, struct spool_id *id)
{
	if (d->count == 0 || d->item[0].wall_ms > now_wall_ms)
		return false;
	*id = d->item[0].id;
	d->item[0] = d->item[--d->count];
	sink(d, 0);
	return true;
}

void deadlines_sift(struct deadlines *d, bool (*is_wanted)(void *ctx, const char *id), void *ctx)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->count; i++)
		if (is_wanted(ctx, d->item[i].id.text))
			d->item[kept++] = d->item[i];
	d->count = kept;
	for (size_t i = kept / 2; i-- > 0;)
		sink(d, i);
}
