/* SPDX-License-Identifier: ISC */
/* See args.h. */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

void args_add(struct args *a, const struct args_option *options)
{
	for (const struct args_option *o = options; o && o->name; o++) {
		ASSERT(a->long_count < ARGS_OPTIONS_MAX);
		a->longs[a->long_count].name = o->name;
		a->longs[a->long_count].has_arg = o->value ? required_argument : no_argument;
		a->longs[a->long_count].val = o->key;
		a->long_count++;
		if (o->key >= ARGS_LONG_ONLY)
			continue;
		a->letters[a->letter_count++] = (char)o->key;
		if (o->value)
			a->letters[a->letter_count++] = ':';
	}
}

void args_begin(struct args *a, int argc, char **argv, const struct args_option *own,
		const struct args_option *common, bool leading)
{
	memset(a, 0, sizeof(*a));
	a->argc = argc;
	a->argv = argv;
	if (leading)
		a->letters[a->letter_count++] = '+';
	a->letters[a->letter_count++] = ':'; /* a missing value is told from an unknown option */
	args_add(a, own);
	args_add(a, common);
	optind = 0; /* glibc: start over, also the permutation */
	opterr = 0;
}

int args_next(struct args *a, struct err *e)
{
	int at = optind > 0 ? optind : 1;
	int key = getopt_long(a->argc, a->argv, a->letters, a->longs, NULL);
	const char *text;

	a->value = optarg;
	if (key == -1)
		return ARGS_END;
	if (key != '?' && key != ':')
		return key;
	/* getopt moved past a long option; of a group of letters it knows the one in optopt */
	text = optind > 1 && optind > at ? a->argv[optind - 1] : a->argv[at];
	if (strncmp(text, "--", 2) != 0 && optopt > 0 && optopt < ARGS_LONG_ONLY)
		err_set(e, key == ':' ? "-%c: a value is missing" : "-%c: there is no such option", optopt);
	else if (key == ':')
		err_set(e, "%s: a value is missing", text);
	else if (optopt != 0)
		err_set(e, "%s: it takes no value", text);
	else
		err_set(e, "%s: there is no such option, or it is not the only one that begins so", text);
	return ARGS_BAD;
}

char **args_operands(const struct args *a, int *count)
{
	*count = a->argc - optind;
	return a->argv + optind;
}

void args_describe(const struct args_option *options, FILE *out)
{
	for (const struct args_option *o = options; o && o->name; o++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s%s%s", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		if (o->key < ARGS_LONG_ONLY)
			fprintf(out, "  -%c, %-21s %s\n", o->key, text, o->help);
		else
			fprintf(out, "      %-21s %s\n", text, o->help);
	}
}
