/* SPDX-License-Identifier: ISC */
/* An upstream of the configuration as the SMTP client takes it: one place for the relay and `posthouse doctor`. */
#ifndef CONFIG_CLIENT_H
#define CONFIG_CLIENT_H

#include "config/config.h"
#include "upstream/upstream.h"

/* For one of its addresses. Points into cfg, u and the password (NULL: none), which must outlive it. */
void config_client_settings(struct upstream_settings *out, const struct config *cfg, const struct config_upstream *u,
			    const struct config_remote *remote, const char *password);

#endif
