/* SPDX-License-Identifier: ISC */
/*
 * Who knows the clients' credentials, as the configuration says it: made for the auth process, and looked at
 * before.
 */
#ifndef DAEMON_CREDENTIALS_H
#define DAEMON_CREDENTIALS_H

#include <stdbool.h>

#include "auth/backend.h"
#include "config/config.h"

/* Whether the configuration names a backend. */
bool credentials_are_configured(const struct config *cfg);
/* Opens it; NULL and e when it cannot be used, or none is named. */
struct auth_backend *credentials_open(const struct config *cfg, struct err *e);
/*
 * At start, and for -t: everything that is wrong with it, each line of a users file included. In a process of
 * its own, so that this one never holds a secret.
 */
bool credentials_are_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx);

#endif
