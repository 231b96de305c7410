/* SPDX-License-Identifier: ISC */
/*
 * A configuration file and what it includes, made into one text for
 * libconfuse, with a map from its lines to file and line; and the errors
 * found on the way, in the order a person reads the files.
 *
 * Why not hand the file to libconfuse 3.3 as it is: its lexer counts a
 * comment as three lines, drops bytes it does not know, ends the process when
 * it reads a directory, stays inside a string after an error (which the next
 * reading in the same process inherits), and replaces a section by a later
 * one of the same name; its parser stops at the first unknown key. So here
 * comments, include() and unknown keys are dealt with, what the lexer would
 * get wrong is refused with a message, and the rest goes to libconfuse in
 * this form:
 *
 *   key = value                as written; an unknown key is reported and becomes "_"
 *   upstream "main" { ... }    becomes  upstream { title = "main" ... }
 *   route { ... }              becomes  route { title = route ... }
 *
 * No privileges; blocks on the disk.
 */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/options.h"

#define SOURCE_BYTES_MAX ((size_t)1 << 20) /* all files together */
#define SOURCE_FILES_MAX 64
#define SOURCE_DEPTH_MAX 10 /* include within include */
#define SOURCE_ERRORS_MAX 100 /* more are counted, not kept */

/* Names in the text that no file can use. */
#define SOURCE_UNKNOWN "_"
#define SOURCE_TITLE "title"

struct source_place {
	size_t file; /* index */
	unsigned line; /* from 1; 0: the file as a whole */
};

struct source_error {
	struct source_place place;
	size_t order; /* as found */
	char *text; /* owned */
};

struct source {
	struct buf text; /* for libconfuse */
	struct source_place *place; /* of line i + 1 of the text; owned */
	size_t place_count, place_cap;
	char **file; /* names in the order of opening; owned */
	size_t file_count;
	size_t bytes; /* read so far */
	struct source_error *error; /* owned */
	size_t error_count, error_dropped;
	/* By index in config_options: something was written for this key that is not in the text. */
	bool dropped[CONFIG_OPTIONS_MAX];
	bool dropped_section; /* so was a section */
};

void source_init(struct source *s);
void source_release(struct source *s);

/*
 * Reads the file and its includes. What is wrong in them is noted with
 * source_error; the text holds all that was right.
 */
void source_read(struct source *s, const char *file);

/* Where line `line` (from 1) of the text comes from; the nearest place if there is no such line. */
struct source_place source_place(const struct source *s, unsigned line);

/* For source_read: the next line of the text stands for this place. */
void source_map_line(struct source *s, struct source_place place);

/* Notes an error: "FILE:LINE: " is put in front. Foreign bytes are escaped. */
void source_error(struct source *s, struct source_place place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Reports all, by file and line. */
void source_report(struct source *s, config_report *report, void *ctx);

#endif
