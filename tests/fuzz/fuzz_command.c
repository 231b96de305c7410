/* SPDX-License-Identifier: ISC */
/*
 * Command lines out of a stream. The first octet chooses where the stream is
 * cut. Promise: the lines are those that a reader finds who goes octet by
 * octet over the whole, however it is cut; none of those to be executed holds
 * CR, LF or NUL or is too long.
 */
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "session/command.h"
#include "session/input.h"

static void note(struct buf *log, enum input_event event, const char *line, size_t len)
{
	buf_addf(log, "%d ", (int)event);
	/* of a line that was too long only some is known */
	if (event != INPUT_TOO_LONG && event != INPUT_BARE_LF && event != INPUT_BARE_LF_AGAIN)
		buf_add(log, line, len);
	buf_addc(log, '\n');
}

/* The rules of input.h in their simplest form. */
static void read_simply(const char *data, size_t size, struct buf *log)
{
	size_t start = 0;
	bool poisoned = false;

	for (size_t i = 0; i < size; i++) {
		size_t len = i - start;
		const char *line = data + start;

		if (data[i] != '\n')
			continue;
		if (len == 0 || data[i - 1] != '\r') {
			note(log, poisoned ? INPUT_BARE_LF_AGAIN : INPUT_BARE_LF, line, len);
			poisoned = true;
		} else if (poisoned) {
			poisoned = false;
		} else if (len + 1 > INPUT_LINE_MAX) {
			note(log, INPUT_TOO_LONG, line, len);
		} else if (memchr(line, '\r', len - 1)) {
			note(log, INPUT_BARE_CR, line, len - 1);
		} else if (memchr(line, '\0', len - 1)) {
			note(log, INPUT_NUL, line, len - 1);
		} else {
			note(log, INPUT_LINE, line, len - 1);
		}
		start = i + 1;
	}
}

static void check_command(const char *line, size_t len)
{
	struct command cmd;

	ASSERT(len + 2 <= INPUT_LINE_MAX);
	ASSERT(!memchr(line, '\r', len) && !memchr(line, '\n', len) && !memchr(line, '\0', len));
	if (!command_parse(line, len, &cmd))
		return;
	ASSERT(cmd.name == line && cmd.name_len <= len && !memchr(cmd.name, ' ', cmd.name_len));
	ASSERT(cmd.arg >= line && cmd.arg + cmd.arg_len <= line + len);
	ASSERT(cmd.arg_len == 0 || (cmd.arg[0] != ' ' && cmd.arg[cmd.arg_len - 1] != ' '));
	ASSERT(!cmd.verb || cmd.verb->run);
}

static void read_cut(const char *data, size_t size, uint8_t cut, struct buf *log)
{
	struct input in;
	size_t at = 0, len;
	unsigned step = cut;
	const char *line;

	input_init(&in);
	while (at < size) {
		enum input_event event;
		char *to;
		size_t room = input_room(&in, &to), n = size - at;

		if (cut & 1)
			input_widen(&in), room = input_room(&in, &to);
		step = step * 75 + 74; /* any sequence will do */
		if (cut && n > step % cut + 1)
			n = step % cut + 1;
		if (n > room)
			n = room;
		memcpy(to, data + at, n);
		input_added(&in, n);
		at += n;
		while ((event = input_line(&in, &line, &len)) != INPUT_MORE) {
			note(log, event, line, len);
			if (event == INPUT_LINE)
				check_command(line, len);
		}
		if (cut & 2)
			input_narrow(&in);
	}
	input_release(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf simple, cut;

	if (size == 0 || size > 1 << 18)
		return 0;
	buf_init(&simple, 1 << 24);
	buf_init(&cut, 1 << 24);
	read_simply((const char *)data + 1, size - 1, &simple);
	read_cut((const char *)data + 1, size - 1, data[0], &cut);
	ASSERT(simple.len == cut.len && memcmp(simple.data, cut.data, cut.len) == 0);
	buf_release(&simple);
	buf_release(&cut);
	return 0;
}
