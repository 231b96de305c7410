/* SPDX-License-Identifier: ISC */
/*
 * The address of an upstream as it is written:
 *   HOST[:PORT]            SMTP
 *   lmtp://HOST[:PORT]     LMTP (RFC 2033)
 *   lmtp://unix:PATH       LMTP over a local socket
 *   program:mailman        no address: the program of mailman_command is run (Mailman 2)
 * Pure.
 */
#ifndef CONFIG_REMOTE_H
#define CONFIG_REMOTE_H

#include "base/err.h"
#include "config/config.h"

/* default_port: of SMTP, -1: it must be written. The weight is left at 0. */
int config_remote_parse(const char *text, int default_port, struct config_remote *out, struct err *e);
/* That notation, canonical; returns out. */
const char *config_remote_format(const struct config_remote *remote, char out[ENDPOINT_TEXT_MAX]);
/* What tls is when it is not said: by protocol, port and host. */
enum upstream_tls config_remote_default_tls(const struct config_remote *remote);

#endif
