/* SPDX-License-Identifier: ISC */
/*
 * Prints the table for the tests of posthouse-metrics(7) and of the alert rules, a line a figure, tabs between:
 *   NAME (with _total) TYPE UNIT LABEL=WORD|WORD... (or LABEL=) HELP
 */
#include <stdio.h>

#include "figures/table.h"

int main(void)
{
	static const char *const kinds[] = { [FIGURE_COUNTER] = "counter", [FIGURE_GAUGE] = "gauge",
					     [FIGURE_HISTOGRAM] = "histogram" };

	for (int i = 0; i < FIGURE_COUNT; i++) {
		const struct figure_info *f = &figure_table[i];

		if (f->internal)
			continue;
		printf("%s%s\t%s\t%s\t", f->name, f->kind == FIGURE_COUNTER ? "_total" : "", kinds[f->kind],
		       figure_unit_name(f) ? figure_unit_name(f) : "");
		for (int k = 0; k < FIGURE_LABELS && f->label[k].name; k++) {
			printf("%s%s=", k ? " " : "", f->label[k].name);
			for (int w = 0; f->label[k].words && f->label[k].words[w]; w++)
				printf("%s%s", w ? "|" : "", f->label[k].words[w]);
		}
		printf("\t%s\n", f->help);
	}
	return 0;
}
