/* SPDX-License-Identifier: ISC */
/* See input.h. */
#include "session/input.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

void input_init(struct input *in)
{
	in->data = in->small;
	in->cap = sizeof(in->small);
	in->start = in->end = in->scanned = 0;
	in->too_long = in->poisoned = false;
	in->line_max = INPUT_LINE_MAX;
}

void input_discard(struct input *in)
{
	in->start = in->end = in->scanned = 0;
	in->too_long = in->poisoned = false;
}

void input_release(struct input *in)
{
	if (in->data != in->small)
		free(in->data);
	input_init(in);
}

void input_forget(struct input *in)
{
	explicit_bzero(in->data, in->start);
	explicit_bzero(in->data + in->end, in->cap - in->end);
}

static void move_to(struct input *in, char *data, size_t cap)
{
	memmove(data, in->data + in->start, in->end - in->start);
	in->end -= in->start;
	in->scanned -= in->start;
	in->start = 0;
	if (in->data != data) /* and it may be the line of AUTH that needs the room */
		explicit_bzero(in->data, in->cap);
	if (in->data != data && in->data != in->small)
		free(in->data);
	in->data = data;
	in->cap = cap;
}

size_t input_room(struct input *in, char **at)
{
	/* an unfinished line is shorter than the buffer: there is room in front of it or behind it */
	if (in->start == in->end || in->cap - in->end < in->cap / 4)
		move_to(in, in->data, in->cap);
	/* only a line of AUTH gets that long */
	if (in->end == in->cap)
		input_widen(in);
	ASSERT(in->end < in->cap);
	*at = in->data + in->end;
	return in->cap - in->end;
}

void input_added(struct input *in, size_t n)
{
	ASSERT(n <= in->cap - in->end);
	in->end += n;
}

void input_took(struct input *in, size_t n)
{
	ASSERT(n <= in->end - in->start);
	in->start += n;
	in->scanned = in->start;
}

/* No LF in sight: of a line that is too long already, only the last octet is kept (it may be the CR). */
static void drop_excess(struct input *in)
{
	in->scanned = in->end;
	if (in->end - in->start > in->line_max) {
		in->too_long = true;
		in->start = in->end - 1;
	}
}

enum input_event input_line(struct input *in, const char **line, size_t *len)
{
	for (;;) {
		char *lf = memchr(in->data + in->scanned, '\n', in->end - in->scanned);
		const char *start = in->data + in->start;
		bool was_poisoned = in->poisoned, too_long = in->too_long;

		if (!lf) {
			drop_excess(in);
			return INPUT_MORE;
		}
		in->start = in->scanned = (size_t)(lf - in->data) + 1;
		in->too_long = false;
		*line = start;
		*len = (size_t)(lf - start);
		if (*len == 0 || lf[-1] != '\r') {
			in->poisoned = true;
			*len = too_long ? 0 : *len;
			return was_poisoned ? INPUT_BARE_LF_AGAIN : INPUT_BARE_LF;
		}
		in->poisoned = false;
		if (was_poisoned)
			continue;
		--*len;
		if (too_long)
			*len = 0; /* what is left of it says nothing, and could be the end of a secret */
		if (too_long || *len + 2 > in->line_max)
			return INPUT_TOO_LONG;
		if (memchr(*line, '\r', *len))
			return INPUT_BARE_CR;
		if (memchr(*line, '\0', *len))
			return INPUT_NUL;
		return INPUT_LINE;
	}
}

void input_widen(struct input *in)
{
	if (in->cap < INPUT_LARGE)
		move_to(in, mem_alloc(INPUT_LARGE), INPUT_LARGE);
}

void input_narrow(struct input *in)
{
	if (in->data != in->small && in->end - in->start <= sizeof(in->small) / 2)
		move_to(in, in->small, sizeof(in->small));
}
