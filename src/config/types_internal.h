/* SPDX-License-Identifier: ISC */
/* What types.c (one value), types_list.c (lists) and the other files of types share. */
#ifndef CONFIG_TYPES_INTERNAL_H
#define CONFIG_TYPES_INTERNAL_H

#include <stddef.h>

#include "config/types.h"

static inline void *types_field(const struct config_option *o, void *object)
{
	return (char *)object + o->offset;
}

static inline const void *types_const_field(const struct config_option *o, const void *object)
{
	return (const char *)object + o->offset;
}

/* Not empty, not too long, printable. */
int types_check_text(const char *text, struct err *e);

#endif
