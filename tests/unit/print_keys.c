/* SPDX-License-Identifier: ISC */
/*
 * Prints the tables for tests/system/test_manuals.py, a line an entry:
 *   key SECTION KEY DEFAULT     (tabs between; SECTION "top" at the top level, DEFAULT "" when there is none)
 *   option LETTER NAME ARGUMENT
 *   preset NAME KEY=VALUE ... SOURCE ... (bars between values; remoteaddr=? when the section must say it)
 */
#include <stdio.h>

#include "config/options.h"
#include "config/presets.h"
#include "daemon/options.h"

int main(void)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];

		printf("key\t%s\t%s\t%s\n",
		       o->section == CONFIG_TOP ? "top" : config_section_names[o->section], o->key,
		       o->fallback ? o->fallback : "");
	}
	for (size_t i = 0; i < daemon_option_count; i++) {
		const struct daemon_option *o = &daemon_option_table[i];

		printf("option\t%.1s\t%s\t%s\n", o->letter ? &o->letter : "", o->name,
		       o->argument ? o->argument : "");
	}
	for (size_t i = 0; i < preset_count; i++) {
		const struct preset *p = &presets[i];

		printf("preset\t%s\t%s", p->name, p->remoteaddr_like ? "remoteaddr=?|" : "");
		for (const struct preset_value *v = p->value; v->key; v++)
			printf("%s=%s|", v->key, v->value);
		printf("\t%s\n", p->source);
	}
	return 0;
}
