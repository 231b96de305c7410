/* SPDX-License-Identifier: ISC */
/*
 * Where lines of the log are read from: files with those rotated from them, compressed ones too, standard input,
 * and the journal. What is compressed, and the journal, is read by the programs that know it (gzip, xz, zstd,
 * bzip2, journalctl), so by the reader's rights and by those formats that are in use on this machine.
 */
#ifndef CLI_LOG_SOURCE_H
#define CLI_LOG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LOG_SOURCE_LINE_MAX 65536 /* longer ones are none of ours */

struct log_source {
	/* files, in the order in which they are read; "-" is standard input; none: the journal */
	const char *const *file;
	size_t file_count;
	const char *journal_directory; /* NULL: the system's journal */
	bool follow; /* behind the end, what comes is waited for: of the last file */
	int64_t since_wall_us; /* what ended before it is not opened; 0: everything is read */
};

/*
 * Calls each for every line (without its newline, line[len] is writable) until it returns false; with NULL when
 * it is waited for more. latest_wall_us: the file was not written to later. -1 and e: something is missing or
 * cannot be read; what could be, was.
 */
typedef bool log_source_line(void *ctx, char *line, size_t len, int64_t latest_wall_us);
int log_source_read(const struct log_source *s, log_source_line *each, void *ctx, struct err *e);

#endif
