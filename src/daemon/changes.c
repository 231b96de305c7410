/* SPDX-License-Identifier: ISC */
/* See changes.h. Pure. */
#include "daemon/changes.h"

#include <stddef.h>
#include <string.h>

#include "base/err.h"

static bool always(const struct config *old)
{
	(void)old;
	return true;
}

static const struct {
	const char *key;
	size_t at; /* a char * of the configuration */
	bool (*when)(const struct config *old);
	const char *why;
} fixed[] = {
	{ "spool", offsetof(struct config, spool), config_has_spool,
	  "what is queued lies in the old one, and sessions under way put more there" },
	{ "user", offsetof(struct config, user), always, "the spool belongs to the old one" },
	{ "smtp_user", offsetof(struct config, smtp_user), always,
	  "sessions under way write to the spool as the old one" },
};

static const char *value_of(const struct config *cfg, size_t at)
{
	const char *value;

	memcpy(&value, (const char *)cfg + at, sizeof(value));
	return value ? value : "";
}

bool changes_are_possible(const struct config *old, const struct config *fresh, config_report *report,
			  void *ctx)
{
	bool possible = true;
	struct err e;

	if (config_has_spool(old) && !config_has_spool(fresh)) {
		err_set(&e,
			"handler cannot change from \"%s\" to \"%s\" while the service runs (nobody would deliver what is queued, and what sessions under way put there): restart it",
			old->handler, fresh->handler);
		report(ctx, e.text);
		possible = false;
	}

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
		const char *was = value_of(old, fixed[i].at), *is = value_of(fresh, fixed[i].at);

		if (strcmp(was, is) == 0 || !fixed[i].when(old))
			continue;
		err_set(&e, "%s cannot change from \"%s\" to \"%s\" while the service runs (%s): restart it",
			fixed[i].key, was, is, fixed[i].why);
		report(ctx, e.text);
		possible = false;
	}
	return possible;
}
