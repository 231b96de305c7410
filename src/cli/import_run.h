/* SPDX-License-Identifier: ISC */
/* One run of `posthouse import`: import.c has the verb and takes over spools, import_files.c reads files. */
#ifndef CLI_IMPORT_RUN_H
#define CLI_IMPORT_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "cli/carry.h"
#include "cli/cli.h"
#include "cli/import_message.h"
#include "cli/news.h"

struct import {
	struct cli *cli;
	struct spool spool;
	enum carry_format format;
	bool has_format; /* else it is guessed, path by path */
	bool remove, json;
	struct submit_options options;
	bool has_options;
	char **to; /* owned */
	struct import_rules rules;
	char **paths;
	int path_count;
	size_t imported, skipped;
	struct news news;
	bool failed; /* the spool, or a file, could not be reached */
	/* an mbox being read */
	const char *source;
	struct buf text; /* of the current message */
	size_t number; /* of the current message, from 1 */
	bool too_large;
};

/* A line about what became of a message; id and reason may be NULL. */
void import_report(struct import *im, const char *source, const char *result, const struct spool_id *id,
		   const char *reason);
/* The same with counting, and telling the relay. */
void import_report_result(struct import *im, const char *source, enum imported result,
			  const struct spool_id *id, const struct err *e);

/* path "-": standard input. found: in a directory, where it was not named. */
void import_eml(struct import *im, const char *path, bool found);
void import_directory(struct import *im, const char *path);
void import_mbox(struct import *im, const char *path);

#endif
