/* SPDX-License-Identifier: ISC */
/*
 * Beyond the text of a configuration: what it needs of this machine. For -t, for a start, and for a reload.
 */
#ifndef DAEMON_PREPARED_H
#define DAEMON_PREPARED_H

#include <stdbool.h>

#include "config/config.h"

/*
 * Users, groups, secrets, files, programs: all that is wrong is told in one run; warnings, if wanted, too (at a
 * start they go to the log). What must not stay in this process's memory is read in ones that end at once.
 */
bool machine_is_prepared(const struct config *cfg, bool warn, config_report *report, void *ctx);

#endif
