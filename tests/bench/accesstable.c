/* SPDX-License-Identifier: ISC */
/*
 * How long a table of N recipients takes to load, and an address to be looked
 * up in it: accesstable [N]. One JSON line; posthoused -t and start load it the same way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "access/rules.h"

#define LOOKUPS 2000000

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_error(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "accesstable: %s\n", message);
	exit(EXIT_FAILURE);
}

static FILE *make_table(unsigned long count)
{
	FILE *f = tmpfile();

	if (!f) {
		perror("accesstable");
		exit(EXIT_FAILURE);
	}
	for (unsigned long i = 0; i < count; i++)
		fprintf(f, "user%lu@host%lu.example.org\t%s\n", i, i % 5000, i % 3 ? "reject 550 5.1.1 No such user" : "allow");
	rewind(f);
	return f;
}

/* A third each: there as it is, another name of the domain, another domain. The clock is that of all of them. */
static double look_up(const struct rules *r, unsigned long count, unsigned long *found)
{
	double begin = seconds();

	for (unsigned long n = 0; n < LOOKUPS; n++) {
		unsigned long i = n * 2654435761UL % count;
		struct rule rule;
		char address[80];

		snprintf(address, sizeof(address), "%s%lu@host%lu.example.%s", n % 3 == 1 ? "no" : "user", i, i % 5000,
			 n % 3 == 2 ? "net" : "org");
		*found += rules_find_address(r, address, &rule);
	}
	return (seconds() - begin) / LOOKUPS;
}

int main(int argc, char *argv[])
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, found = 0;
	FILE *f = make_table(count > 0 ? count : 1);
	struct rules rules;
	double begin, loaded, lookup;

	begin = seconds();
	if (rules_load_from(&rules, RULES_RECIPIENT, "table", f, true, on_error, NULL) < 0)
		return EXIT_FAILURE;
	loaded = seconds() - begin;
	lookup = look_up(&rules, count > 0 ? count : 1, &found);
	printf("{\"entries\": %zu, \"load_seconds\": %.3f, \"lookup_us\": %.3f, \"found\": %lu, \"octets\": %zu}\n",
	       rules.table.count, loaded, lookup * 1e6, found,
	       rules.table.text_cap + rules.table.cap * sizeof(*rules.table.entry) + rules.table.slots * sizeof(*rules.table.slot));
	rules_release(&rules);
	return EXIT_SUCCESS;
}
