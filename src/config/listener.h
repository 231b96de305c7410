/* SPDX-License-Identifier: ISC */
/* A listener of the configuration as listener/tls.h takes it: one place for the service and `posthouse doctor`. */
#ifndef CONFIG_LISTENER_H
#define CONFIG_LISTENER_H

#include <stdbool.h>

#include "config/config.h"
#include "listener/tls.h"

/* What the section says; tickets and in_date are the caller's to set. Points into l, which must outlive it. */
struct tls_settings config_listener_tls(const struct config_listener *l);

/* Whether clients can have TLS there. A unix socket has none, whatever the listener says: config/check.c has the reason. */
bool config_listener_has_tls(const struct config_listener *l);
/* Whether any has: then there are private keys, and a process that holds them. */
bool config_has_tls(const struct config *cfg);

#endif
