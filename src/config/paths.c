/* SPDX-License-Identifier: ISC */
/* See paths.h. */
#include "config/paths.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"

static const char *absolute_variable(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

int config_private_spool(char *out, size_t cap, struct err *e)
{
	const char *state = absolute_variable("XDG_STATE_HOME");
	const char *home = absolute_variable("HOME");
	int n;

	if (!state && !home) {
		const struct passwd *pw = getpwuid(geteuid());

		if (pw && pw->pw_dir && pw->pw_dir[0] == '/')
			home = pw->pw_dir;
	}
	if (state) {
		n = snprintf(out, cap, "%s/posthouse/spool", state);
	} else if (home) {
		n = snprintf(out, cap, "%s/.local/state/posthouse/spool", home);
	} else {
		err_set(e, "user %u has no home directory, and HOME is not set", (unsigned)geteuid());
		return -1;
	}
	if (n < 0 || (size_t)n >= cap) {
		err_set_os(e, ENAMETOOLONG, "%s", state ? state : home);
		return -1;
	}
	return 0;
}

bool config_oauth_name_is_safe(const char *upstream)
{
	for (const char *c = upstream; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			return false;
	return upstream[0] && upstream[0] != '.' && strlen(upstream) <= 100;
}

const char *config_oauth_token_file(const struct config_upstream *u, char *out, size_t cap)
{
	if (u->oauth_token_file)
		snprintf(out, cap, "%s", u->oauth_token_file);
	else
		snprintf(out, cap, "%s/%s.json", CONFIG_OAUTH_FOLDER, u->name);
	return out;
}
