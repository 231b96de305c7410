/* SPDX-License-Identifier: ISC */
/* See mechanism.h. */
#include "smtp/mechanism.h"

#include <string.h>

const struct smtp_mechanism smtp_mechanism_table[SMTP_MECHANISM_COUNT] = {
	[SMTP_MECHANISM_PLAIN] = { "PLAIN", false },
	[SMTP_MECHANISM_LOGIN] = { "LOGIN", false },
	[SMTP_MECHANISM_CRAM_MD5] = { "CRAM-MD5", false },
	[SMTP_MECHANISM_SCRAM_SHA_1] = { "SCRAM-SHA-1", false },
	[SMTP_MECHANISM_SCRAM_SHA_256] = { "SCRAM-SHA-256", false },
	[SMTP_MECHANISM_SCRAM_SHA_256_PLUS] = { "SCRAM-SHA-256-PLUS", true },
	[SMTP_MECHANISM_OAUTHBEARER] = { "OAUTHBEARER", false },
	[SMTP_MECHANISM_XOAUTH2] = { "XOAUTH2", false },
};

unsigned smtp_mechanism_bit(const char *name, size_t len)
{
	for (unsigned i = 0; i < SMTP_MECHANISM_COUNT; i++)
		if (strlen(smtp_mechanism_table[i].name) == len && memcmp(smtp_mechanism_table[i].name, name, len) == 0)
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
		buf_addf(out, "%s%s", first ? "" : " ", smtp_mechanism_table[i].name);
		first = false;
	}
}
