/* SPDX-License-Identifier: ISC */
/* Between confine.c, which says what a role may do, and confine_paths.c, which says where. */
#ifndef DAEMON_CONFINE_INTERNAL_H
#define DAEMON_CONFINE_INTERNAL_H

#include "base/err.h"
#include "config/config.h"
#include "sandbox/domain.h"

/* Adds the files and ports of a role to its domain. */
typedef int confine_paths(struct sandbox_domain *d, const struct config *cfg, struct err *e);

confine_paths confine_worker_paths, confine_relay_paths, confine_auth_paths, confine_monitor_paths;

#endif
