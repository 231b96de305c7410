/* SPDX-License-Identifier: ISC */
/*
 * Who may do what, as the configuration has it: its values as access/access.h
 * wants them, the tables that it names (read by the master, inherited by the
 * workers, read again when they change), the memory in which clients are counted.
 */
#ifndef DAEMON_ADMISSION_H
#define DAEMON_ADMISSION_H

#include "access/access.h"
#include "config/config.h"
#include "daemon/reload.h"
#include "master/shed.h"

struct admission {
	struct access_files files;
	struct access_tables tables, beside; /* in use, and read beside them */
	struct access_settings settings; /* without slot; it points to tables and limits here */
	struct limits limits; /* the memory is not its own */
	/* where the errors of a table go that has several, but the last; NULL: the log */
	access_report *report;
	void *ctx;
};

/* It stays where it is from now on. handler: of the configuration. Nothing is read yet. */
void admission_init(struct admission *a, const struct config *cfg, const struct handler_kind *handler);
/* Adds what is to be read, if anything is. */
void admission_watch(struct admission *a, struct reload *r);
/* Counts in this memory, which outlives it, for as many workers. Before the first fork. */
void admission_count(struct admission *a, const struct limits *limits, unsigned slots);
/* Who goes when there are more clients than workers. */
struct shed_policy admission_shed_policy(const struct config *cfg);

#endif
