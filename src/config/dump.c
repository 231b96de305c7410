/* SPDX-License-Identifier: ISC */
/* See dump.h. */
#include "config/dump.h"

#include "config/options.h"
#include "config/types.h"

static void dump_keys(enum config_section section, const void *object, const char *indent, struct buf *out)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		size_t before = out->len;

		if (o->section != section || o->object != section)
			continue;
		buf_addf(out, "%s%s = ", indent, o->key);
		if (o->type->format(o, object, out))
			buf_addc(out, '\n');
		else
			out->data[out->len = before] = '\0';
	}
}

static void dump_section(enum config_section section, const char *name, const void *object, struct buf *out)
{
	buf_addf(out, "\n%s ", config_section_names[section]);
	if (name) { /* routes and rewritings have none */
		config_quote(out, name);
		buf_addc(out, ' ');
	}
	buf_adds(out, "{\n");
	dump_keys(section, object, "\t", out);
	buf_adds(out, "}\n");
}

void config_dump(const struct config *cfg, struct buf *out)
{
	dump_keys(CONFIG_TOP, cfg, "", out);
	for (size_t i = 0; i < cfg->listener_count; i++)
		dump_section(CONFIG_LISTENER, cfg->listener[i].name, &cfg->listener[i], out);
	for (size_t i = 0; i < cfg->upstream_count; i++)
		dump_section(CONFIG_UPSTREAM, cfg->upstream[i].name, &cfg->upstream[i], out);
	for (size_t i = 0; i < cfg->route_count; i++)
		dump_section(CONFIG_ROUTE, NULL, &cfg->route[i], out);
	for (size_t i = 0; i < cfg->rewrite_count; i++)
		dump_section(CONFIG_REWRITE, NULL, &cfg->rewrite[i], out);
}
