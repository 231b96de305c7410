/* SPDX-License-Identifier: ISC */
/* Places that are not in a configuration file, shared by the daemon's quick command line and the CLI. */
#ifndef CONFIG_PATHS_H
#define CONFIG_PATHS_H

#include <stdbool.h>
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

struct config_upstream;

/* Where tokens are kept that oauth_token_file does not say: made by the master, for the relay's user alone. */
#define CONFIG_OAUTH_FOLDER PH_LOCALSTATEDIR "/lib/posthouse/oauth"

/* The upstream's oauth_token_file, or what it is by default; into out, which it returns. */
const char *config_oauth_token_file(const struct config_upstream *u, char *out, size_t cap);
/* Whether an upstream's name can be that of a file. */
bool config_oauth_name_is_safe(const char *upstream);

#endif
