/* SPDX-License-Identifier: ISC */
/*
 * What is known of the services that people relay through, by name: preset = "gmail" in an upstream section
 * stands for the keys below, and what the section says itself wins. Const data; posthouse.conf(5) has the same
 * table, and a test holds one against the other.
 *
 * Only what the provider publishes: a figure that is not published is not set. tls is no key of a preset: it is
 * worked out by the port, and never less than required (load.c).
 */
#ifndef CONFIG_PRESETS_H
#define CONFIG_PRESETS_H

#include <stddef.h>

#include "config/config.h"

#define PRESET_VALUES_MAX 8

struct preset_value {
	const char *key, *value; /* as they would be written in the section */
	unsigned grants; /* only with one of these, 1u << enum oauth_grant; 0: in any case */
};

struct preset {
	const char *name;
	const char *provider; /* for people */
	/* NULL: remoteaddr is among the values. Else the section must say it, like this: */
	const char *remoteaddr_like;
	struct preset_value value[PRESET_VALUES_MAX]; /* key NULL ends */
	const char *source; /* where the provider says so; several with a space between */
};

extern const struct preset presets[];
extern const size_t preset_count;

/* NULL when there is none of that name. */
const struct preset *preset_find(const char *name);
/* Sets the values over the defaults, before those of the section. */
void preset_apply(const struct preset *p, struct config_upstream *u);
/* And behind them, those that go with the section's `oauth`, where it has none. */
void preset_apply_oauth(const struct preset *p, struct config_upstream *u);

#endif
