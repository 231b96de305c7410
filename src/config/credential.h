/* SPDX-License-Identifier: ISC */
/*
 * Files that may be credentials of the service ("credential:NAME", config/secret.h) and are opened by who does not
 * know such names: certificates and keys of listeners, the users file.
 */
#ifndef CONFIG_CREDENTIAL_H
#define CONFIG_CREDENTIAL_H

#include "config/config.h"

/* In the service: their paths take the place of the names. Reports each that was not passed; 0: all were. */
int config_find_credentials(struct config *cfg, config_report *report, void *ctx);

#endif
