/* SPDX-License-Identifier: ISC */
/*
 * What the files of rules share: check.c runs them all, and has those of the pool, the session, the relay and
 * the listeners' TLS; the others are named by their subject.
 */
#ifndef CONFIG_CHECK_INTERNAL_H
#define CONFIG_CHECK_INTERNAL_H

#include "config/check.h"

struct check {
	const struct config *cfg;
	const struct check_source *source;
	const struct check_rule *rule; /* being run */
	size_t index; /* of the listener, upstream or route it is run for */
};

struct check_rule {
	enum config_section object;
	const char *keys[6]; /* NULL ended */
	void (*run)(struct check *c);
};

/* The rule is broken: the message, for the place of its keys. */
void check_fail(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether one of the rule's keys could not be read in another section of this kind. */
bool check_section_is_bad(const struct check *c, enum config_section section, size_t index);

extern const struct check_rule check_access_rules[];
extern const size_t check_access_rule_count;
extern const struct check_rule check_upstream_rules[];
extern const size_t check_upstream_rule_count;
extern const struct check_rule check_auth_rules[];
extern const size_t check_auth_rule_count;
extern const struct check_rule check_mailman_rules[];
extern const size_t check_mailman_rule_count;
extern const struct check_rule check_rewrite_rules[];
extern const size_t check_rewrite_rule_count;
extern const struct check_rule check_proxy_rules[];
extern const size_t check_proxy_rule_count;
extern const struct check_rule check_program_rules[];
extern const size_t check_program_rule_count;
extern const struct check_rule check_module_rules[];
extern const size_t check_module_rule_count;
extern const struct check_rule check_metrics_rules[];
extern const size_t check_metrics_rule_count;
extern const struct check_rule check_oauth_rules[];
extern const size_t check_oauth_rule_count;

#endif
