/* SPDX-License-Identifier: ISC */
/* Rules of the figures: who may ask for them. See check_internal.h. */
#include "config/check_internal.h"

#include <string.h>

#include "config/options.h"

/* They tell of volumes, upstreams and trouble: nobody's business but who is named. */
static void others_are_named(struct check *c)
{
	const struct config *cfg = c->cfg;
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < cfg->metrics_listen_count; i++) {
		const struct endpoint *ep = &cfg->metrics_listen[i];

		if (ep->kind == ENDPOINT_UNIX || config_is_loopback(ep) || cfg->metrics_from_count > 0)
			continue;
		check_fail(c,
			   "metrics_listen %s can be reached from other machines: name those that may ask in "
			   "metrics_from, or use 127.0.0.1 or a unix socket",
			   endpoint_format(ep, text));
		return;
	}
}

static void names_of_files(struct check *c)
{
	const char *name = c->cfg->metrics_file;
	size_t len = name ? strlen(name) : 0;

	if (name && (len < 5 || strcmp(name + len - 5, ".prom") != 0))
		check_fail(c, "metrics_file: node_exporter reads files whose names end in .prom");
}

const struct check_rule check_metrics_rules[] = {
	{ CONFIG_TOP, { "metrics_listen", "metrics_from" }, others_are_named },
	{ CONFIG_TOP, { "metrics_file" }, names_of_files },
};
const size_t check_metrics_rule_count = sizeof(check_metrics_rules) / sizeof(check_metrics_rules[0]);
