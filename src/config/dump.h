/* SPDX-License-Identifier: ISC */
/* The effective configuration in the syntax of a file: loading it gives the same again. */
#ifndef CONFIG_DUMP_H
#define CONFIG_DUMP_H

#include "base/buf.h"
#include "config/config.h"

#define CONFIG_DUMP_MAX ((size_t)16 << 20) /* a ceiling that no loaded configuration reaches */

/* Keys without a value are left out. Holds no secrets, as struct config does not. */
void config_dump(const struct config *cfg, struct buf *out);

#endif
