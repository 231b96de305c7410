/* SPDX-License-Identifier: ISC */
/*
 * The kinds of values a configuration key can have: text in, field out, and
 * back. Pure. The object (struct config, ...) and the option say which field.
 */
#ifndef CONFIG_TYPES_H
#define CONFIG_TYPES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/options.h"

struct config_type {
	const char *name; /* for people: "time", "size", ... */
	bool list; /* parse appends; clear empties */
	/* The message is about the value only; the caller names place and key. Failure changes nothing. */
	int (*parse)(const struct config_option *o, void *object, const char *text, struct err *e);
	/* Appends the value as a file has it (and as parse reads it). False, nothing added: not set. */
	bool (*format)(const struct config_option *o, const void *object, struct buf *out);
	/* Frees what the field owns and leaves it unset. NULL: nothing to free. */
	void (*clear)(const struct config_option *o, void *object);
};

extern const struct config_type config_type_text; /* printable, not empty */
extern const struct config_type config_type_path; /* absolute path */
extern const struct config_type config_type_url; /* as base/url.h wants it */
extern const struct config_type config_type_url_or_none; /* the same, or "none" */
extern const struct config_type config_type_account; /* name of a system user */
extern const struct config_type config_type_group; /* name of a system group */
extern const struct config_type config_type_mailbox; /* mail address, ASCII */
extern const struct config_type config_type_hostname; /* domain or address literal */
extern const struct config_type config_type_bool;
extern const struct config_type config_type_count; /* unsigned, min..max */
extern const struct config_type config_type_size; /* uint64_t bytes */
extern const struct config_type config_type_time; /* int64_t milliseconds */
extern const struct config_type config_type_factor; /* double, three decimals */
extern const struct config_type config_type_word; /* an enum, by words */
extern const struct config_type config_type_switch; /* a bool, by two words: the second one is true */
extern const struct config_type config_type_word_text; /* char *, one of words */
extern const struct config_type config_type_word_path; /* char *, one of words, or an absolute path */
extern const struct config_type config_type_log_levels; /* struct log_levels */
extern const struct config_type config_type_preset; /* char *, the name of a preset (presets.h) */
extern const struct config_type config_type_local; /* endpoints to listen on */
extern const struct config_type config_type_door; /* the same for another protocol: with a port */
extern const struct config_type config_type_remote; /* TCP endpoints to connect to, with weights */
extern const struct config_type config_type_networks;
extern const struct config_type config_type_certificates; /* fingerprints and names, as config.h has them */
extern const struct config_type config_type_command; /* a program's path, and its arguments (program/command.h) */
extern const struct config_type config_type_texts; /* printable, none of them empty */
extern const struct config_type config_type_paths; /* absolute paths */
extern const struct config_type config_type_senders; /* patterns of a route (manage/route.h) */
extern const struct config_type config_type_recipients;
extern const struct config_type config_type_auth_users;
extern const struct config_type config_type_secret; /* absolute path, or "credential:NAME" (secret.h) */
extern const struct config_type config_type_secrets; /* list of these */
extern const struct config_type config_type_set; /* unsigned: 1 << index of each word that is in the list */
extern const struct config_type config_type_pins; /* char *: keys of servers, joined with ';' */
extern const struct config_type config_type_proxy; /* char *: URL with host and port */
extern const struct config_type config_type_source; /* struct config_source */

extern const struct config_type config_type_domains; /* list of domains or address literals */
extern const struct config_type config_type_local_parts; /* list of local parts, without quotes */
extern const struct config_type config_type_header_names; /* list of names of header fields, "X-*" */
extern const struct config_type config_type_rewrite_target; /* user@domain or *@domain */
extern const struct config_type config_type_flags; /* list of words, each a bit of an unsigned */

/* A domain (RFC 5321 4.1.2) or an address literal (4.1.3): what may stand in a greeting. */
bool config_is_hostname(const char *text);

/* Appends text as a double-quoted string of a configuration file. */
void config_quote(struct buf *out, const char *text);

#endif
