/* SPDX-License-Identifier: ISC */
/* Places that are not in a configuration file, shared by the daemon's quick command line and the CLI. */
#ifndef CONFIG_PATHS_H
#define CONFIG_PATHS_H

#include <stddef.h>

#include "base/err.h"

#define CONFIG_DEFAULT_FILE PH_SYSCONFDIR "/posthouse.conf"
#define CONFIG_SYSTEM_SPOOL PH_LOCALSTATEDIR "/spool/posthouse"

/*
 * The spool of a user who has no configuration file:
 * $XDG_STATE_HOME/posthouse/spool, else ~/.local/state/posthouse/spool, ~ being
 * $HOME or what the user data base says. Nothing is created. Relative values
 * of the variables are ignored, as the XDG base directory specification asks.
 */
int config_private_spool(char *out, size_t cap, struct err *e);

#endif
