/* SPDX-License-Identifier: ISC */
/* See types.h. How much is logged: levels, of all or of parts. */
#include "config/types_internal.h"

static int levels_parse(const struct config_option *o, void *object, const char *text, struct err *e)
{
	return log_levels_take(types_field(o, object), text, e);
}

static bool levels_format(const struct config_option *o, const void *object, struct buf *out)
{
	buf_adds(out, "{ ");
	log_levels_format(types_const_field(o, object), out);
	return buf_adds(out, " }");
}

/* What a list does not name is as it is without one. */
static void levels_clear(const struct config_option *o, void *object)
{
	log_levels_set(types_field(o, object), LOG_LEVEL_INFO);
}

const struct config_type config_type_log_levels = { "levels", true, levels_parse, levels_format,
						    levels_clear };
