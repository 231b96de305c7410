/* SPDX-License-Identifier: ISC */
/*
 * Where `posthouse export` writes messages one by one: a directory of .eml files, each with its envelope beside it, or
 * an mbox. What is there under its name is whole and durable.
 */
#ifndef CLI_EXPORT_OUT_H
#define CLI_EXPORT_OUT_H

#include <stdbool.h>

#include "base/err.h"
#include "cli/carry.h"
#include "spool/message.h"
#include "spool/state.h"

struct export_out {
	enum carry_format format; /* not CARRY_SPOOL */
	const char *path; /* NULL: standard output (mbox) */
	int dir_fd; /* EML: the directory; MBOX: that of the file */
	int file_fd; /* MBOX: the file, under its temporary name */
	char *temporary; /* MBOX: that name; owned */
};

/* Close it in any case. */
int export_out_open(struct export_out *out, enum carry_format format, const char *path, struct err *e);
int export_out_put(const struct export_out *out, const struct spool_message *m, const struct spool_state *st,
		   struct err *e);
/* All that was put is durable, and has its name. */
int export_out_finish(struct export_out *out, struct err *e);
/* Without keep a file that was not finished is taken away. */
void export_out_close(struct export_out *out, bool keep);

#endif
