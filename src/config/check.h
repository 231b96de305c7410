/* SPDX-License-Identifier: ISC */
/*
 * The rules between keys. config_check (config.h) runs them on values from
 * anywhere; config_load runs them with the places the values were written at.
 */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/options.h"

#define CHECK_ANY ((size_t)-1) /* for index: whichever */

struct check_source {
	/* What was written for this key (of the index-th listener or upstream) was refused: rules about it
	 * are left out, they would only confuse. */
	bool (*is_bad)(void *ctx, enum config_section object, size_t index, const char *key);
	/* keys, NULL ended: those the error is about; none: the object as a whole */
	void (*error)(void *ctx, enum config_section object, size_t index, const char *const *keys,
		      const char *text);
	void *ctx;
};

void check_run(const struct config *cfg, const struct check_source *source);

#endif
