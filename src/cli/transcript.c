/* SPDX-License-Identifier: ISC */
/* See transcript.h. */
#include "cli/transcript.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/term.h"

void transcript_line(bool from_server, const char *text, size_t len)
{
	struct term err;
	struct buf line;

	term_init(&err, STDERR_FILENO);
	buf_init(&line, 64 << 10);
	buf_adds(&line, from_server ? "S: " : "C: ");
	term_escape(&err, text, len, TERM_KEEP_TABS, &line);
	buf_addc(&line, '\n');
	fwrite(line.data, 1, line.len, stderr);
	buf_release(&line);
}
