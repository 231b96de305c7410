/* SPDX-License-Identifier: ISC */
/* Where sendmail takes its mail: the daemon's socket, as the configuration file tells, or its usual place. */
#ifndef SENDMAIL_TARGET_H
#define SENDMAIL_TARGET_H

#include <stdbool.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "config/config.h"
#include "upstream/upstream.h"

#define TARGET_DEFAULT_SOCKET PH_RUNSTATEDIR "/posthouse/submit"

struct target {
	struct config cfg; /* the file's, or all defaults */
	bool has_file;
	struct endpoint remote; /* the first unix: localaddr, else the first with a TCP port, as loopback */
	char name[ENDPOINT_TEXT_MAX]; /* remote, for messages */
	struct upstream_settings upstream; /* to connect there */
};

/*
 * config_file NULL: the default one if we may read it, else the default socket (a user's mail must not depend on
 * whether the configuration is secret). -1: a file that was named cannot be used; what is wrong with it went to
 * report. Release in either case.
 */
int target_find(struct target *t, const char *config_file, config_report *report, void *ctx, struct err *e);
void target_release(struct target *t);

/* A plain connection, for -bs and to ask whether somebody is there; blocks for a moment at most. */
int target_connect(const struct target *t, struct err *e);

#endif
