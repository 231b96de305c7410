/* SPDX-License-Identifier: ISC */
/* See mechanism.h. */
#include "smtp/mechanism.h"

#include <string.h>

const char *const smtp_mechanism_names[SMTP_MECHANISM_COUNT] = { SMTP_MECHANISM_NAMES };

unsigned smtp_mechanism_bit(const char *name, size_t len)
{
	for (unsigned i = 0; i < SMTP_MECHANISM_COUNT; i++)
		if (strlen(smtp_mechanism_names[i]) == len && memcmp(smtp_mechanism_names[i], name, len) == 0)
			return 1u << i;
	return 0;
}

unsigned smtp_mechanism_set(const char *names)
{
	unsigned set = 0;

	while (*names) {
		size_t len = strcspn(names, " ");

		set |= smtp_mechanism_bit(names, len);
		names += len;
		names += strspn(names, " ");
	}
	return set;
}

void smtp_mechanism_put(struct buf *out, unsigned set)
{
	bool first = true;

	for (unsigned i = 0; i < SMTP_MECHANISM_COUNT; i++) {
		if (!(set & (1u << i)))
			continue;
		buf_addf(out, "%s%s", first ? "" : " ", smtp_mechanism_names[i]);
		first = false;
	}
}
