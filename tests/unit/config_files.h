/* SPDX-License-Identifier: ISC */
/* For the tests of config/: a temporary folder of configuration files, loaded, with their errors as text. */
#ifndef TESTS_CONFIG_FILES_H
#define TESTS_CONFIG_FILES_H

#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"

#define GOOD "localaddr = \"127.0.0.1:25\"\nremoteaddr = \"localhost:26\"\n" /* lines 1 and 2 */

extern char files_dir[]; /* the folder, between enter and leave */

/* A fixture of each test: the folder is there, and gone. */
void files_enter(void);
void files_leave(void); /* fails on files other than t.conf, a.conf, b.conf, secret */
void files_put(const char *name, const char *text, size_t len);

/* A config_report; ctx is a struct buf. Adds the message without the folder, and a newline. */
void files_collect(void *ctx, const char *message);
/* Loads t.conf, made of text unless that is NULL. The caller releases both. */
int files_load(struct config *cfg, const char *text, struct buf *errors);
void files_load_good(struct config *cfg, const char *text);
void files_check_errors(const char *text, const char *expected);

#endif
