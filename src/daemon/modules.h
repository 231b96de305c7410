/* SPDX-License-Identifier: ISC */
/*
 * The module of the configuration (module/module.h). The master never loads it: it tries it in a process that
 * ends at once, with the rights of a worker, before the first fork and whenever the file changed, and if it
 * is good the workers are replaced by ones that load it.
 */
#ifndef DAEMON_MODULES_H
#define DAEMON_MODULES_H

#include "config/config.h"
#include "daemon/reload.h"
#include "module/module.h"

struct modules {
	const struct config *cfg;
	/* the file that was tried last and was good: workers load that one, whatever stands at its path; -1:
	 * none */
	int fd;
	int beside; /* one that is good, too, and not in use yet */
};

void modules_init(struct modules *m, const struct config *cfg);
/* Registers the module, if there is one: tried, used and closed from there on. */
void modules_reload(struct modules *m, struct reload *to);

/* What a worker needs to load it. The guard is for the caller to set. */
void modules_settings(const struct modules *m, struct module_settings *s);

#endif
