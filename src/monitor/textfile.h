/* SPDX-License-Identifier: ISC */
/* The figures as a file for node_exporter's textfile collector: replaced as a whole, never half written. */
#ifndef MONITOR_TEXTFILE_H
#define MONITOR_TEXTFILE_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Writes it beside its place, under a name of its own, and renames: who reads sees the old or the new one. It
 * is readable by all. Its folder must be ours to write in. Not synced: after a crash it is made anew.
 */
int textfile_write(const char *path, const struct buf *text, struct err *e);

#endif
