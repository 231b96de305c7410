/* SPDX-License-Identifier: ISC */
/* The rules between the keys of OAuth 2, one a function, for the table of check.c. Pure. -1 and e: what is wrong. */
#ifndef CONFIG_CHECK_OAUTH_H
#define CONFIG_CHECK_OAUTH_H

#include "config/config.h"

/* oauth, oauth_token_url, oauth_client_id, oauth_device_url: each grant has what it asks with, and whom. */
int check_oauth_asks(const struct config_upstream *u, struct err *e);
/* oauth, oauth_client_secret_file */
int check_oauth_secret(const struct config_upstream *u, struct err *e);
/* oauth, user, password_file */
int check_oauth_login(const struct config_upstream *u, struct err *e);
/* oauth, oauth_token_file */
int check_oauth_file(const struct config_upstream *u, struct err *e);
/* oauth, oauth_scope, oauth_ca_file: no effect without oauth */
int check_oauth_used(const struct config_upstream *u, struct err *e);
/* auth_oauth_...: nothing without auth_oauth_introspection_url, and no secret without a name */
int check_oauth_introspection(const struct config *cfg, struct err *e);

#endif
