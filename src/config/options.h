/* SPDX-License-Identifier: ISC */
/*
 * The table of configuration keys: where each is written, what it may hold,
 * where it is kept, its default. The table drives loading, defaults, checks,
 * dump, the example file and the manual's test. Const data, any process.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum config_section { CONFIG_TOP, CONFIG_LISTENER, CONFIG_UPSTREAM, CONFIG_ROUTE, CONFIG_REWRITE };
#define CONFIG_SECTION_COUNT 5
/* "listener", "upstream", "route", "rewrite"; "" for the top level. By enum config_section. */
extern const char *const config_section_names[CONFIG_SECTION_COUNT];
/* listener "NAME" { } and upstream "NAME" { }, but route { } and rewrite { }: these are known by their order. */
bool config_section_has_name(enum config_section section);

struct config_type; /* config/types.h */

struct config_option {
	const char *key;
	enum config_section section; /* where it is written */
	/* The structure it is kept in: struct config, config_listener, ... Differs from
	 * section for the shorthands localaddr and remoteaddr at the top level. */
	enum config_section object;
	const struct config_type *type;
	size_t offset; /* in the object */
	size_t count_offset; /* lists: of the size_t beside the pointer */
	const char *const *words; /* types with words: the values, in the order of the enum; NULL ends */
	/* CONFIG_LISTENER only: written at the top level it is the default of every listener */
	bool also_top;
	int64_t min, max; /* numbers: the range in the unit of the field (bytes, milliseconds, thousandths) */
	/* As it would be written in a file. NULL: unset, or worked out (hostname, tls): see help. */
	const char *fallback;
	const char *help; /* one line */
};

extern const struct config_option config_options[];
extern const size_t config_option_count;
#define CONFIG_OPTIONS_MAX 250 /* entries in the table, at most */

/* Whether the key may be written in that section. */
bool config_option_stands_in(const struct config_option *o, enum config_section section);
/* The key as it may be written in that section (not the shorthand's object); NULL when there is none. */
const struct config_option *config_option_find(enum config_section section, const char *key, size_t key_len);

/* For a remote without `tls`: implicit on port 465, else opportunistic to loopback, else required on 587. */
enum upstream_tls config_default_tls(const struct endpoint *remote);
/* localhost, 127.0.0.0/8, ::1: what does not leave this machine. Names are not looked up. */
bool config_is_loopback(const struct endpoint *ep);

/* Adds an entry with all defaults; name is copied. Valid until the next one is added. */
struct config_listener *config_add_listener(struct config *cfg, const char *name);
struct config_upstream *config_add_upstream(struct config *cfg, const char *name);
struct config_route *config_add_route(struct config *cfg);
struct config_rewrite *config_add_rewrite(struct config *cfg);

#endif
