/* SPDX-License-Identifier: ISC */
/* What the keys of handler "mailman" come to. */
#ifndef CONFIG_MAILMAN_H
#define CONFIG_MAILMAN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

#define CONFIG_MAILMAN_UPSTREAM "mailman" /* made when nobody wrote it */
#define CONFIG_MAILMAN_LMTP "lmtp://127.0.0.1:8024" /* Mailman's own default */
#define CONFIG_MAILMAN_NONE "none" /* as mailman_url: there is no REST API to ask */
#define CONFIG_MAILMAN_PASSWORD "restpass" /* Mailman's own default */

/* By any name that the handler has. */
bool config_is_mailman(const struct config *cfg);
/*
 * Adds what follows from handler "mailman" and was not written: the upstream to Mailman's LMTP server. Once,
 * when all is read.
 */
void config_complete_mailman(struct config *cfg);
/* NULL: the maps alone count. */
const char *config_mailman_url(const struct config *cfg);
/* The index of the upstream for Mailman's lists; upstream_count: there is none, or the handler is another. */
size_t config_mailman_upstream(const struct config *cfg);

#endif
