/* SPDX-License-Identifier: ISC */
/*
 * What the verbs want to know from the configuration file: where the spool
 * is, where the daemon listens. The file is optional unless it was named.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/endpoint.h"
#include "base/err.h"
#include "config/config.h"

/*
 * The whole configuration, to be released: 1 from the file, 0 the defaults, for there is no file that we may
 * read. -1 and e: it was named or is bad (each error of it was said).
 */
int settings_config(const char *config_file, struct config *cfg, struct err *e);

/*
 * The spool of the configuration file; where there is none to read, the
 * system's spool if it exists, else the user's own. *path is the caller's.
 * What is wrong in the file is said line by line (cli_error) before -1.
 */
int settings_spool(const char *config_file, char **path, struct err *e);

/*
 * The handler's name (the caller's) where the configuration has one without a spool, and so no relay. Else
 * NULL.
 */
char *settings_spoolless(const char *config_file);

/*
 * Where a client reaches the daemon: the first TCP localaddr of the
 * configuration file (every address read as loopback), localhost:8025 where
 * there is no file to read.
 */
int settings_server(const char *config_file, struct endpoint *server, struct err *e);

/* This machine's name as the configuration says it, for EHLO and Message-ID; the caller's. */
char *settings_hostname(const char *config_file);

#endif
