/* SPDX-License-Identifier: ISC */
/*
 * A file of aliases. Promises: what is taken has no loop and no expansion past the limit; every address it
 * leads to is one; what is refused says where and why in printable characters.
 */
#include <string.h>

#include "fuzz.h"
#include "rewrite/aliases.h"
#include "smtp/path.h"

#define MOST 50

static void look(void *ctx, const char *message)
{
	unsigned *told = ctx;

	ASSERT(strncmp(message, "aliases:", 8) == 0);
	for (const char *p = message; *p; p++)
		ASSERT((unsigned char)*p >= ' ' && *p != 0x7f);
	++*told;
}

static bool check_address(void *ctx, const char *address)
{
	struct smtp_path path;
	size_t *count = ctx, used, len = strlen(address);
	const char *why;

	ASSERT(smtp_path_parse(address, len, SMTP_PATH_UTF8_OK | SMTP_PATH_UNQUALIFIED_OK, &path, &used,
			       &why) == 0);
	ASSERT(used == len && ++*count <= MOST);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const domains[] = { "localhost", "x" };
	const struct aliases_setup setup = { .domain = domains, .domain_count = 2, .expansion_max = MOST };
	const char *text = (const char *)data;
	unsigned told = 0;
	struct aliases *a = aliases_parse("aliases", text, size, &setup, look, &told);

	ASSERT((a == NULL) == (told > 0));
	/* each line's first word, looked up as mail would */
	for (size_t at = 0; a && at < size;) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t len = end ? (size_t)(end - text) - at : size - at, name = 0, count = 0;
		char address[SMTP_PATH_MAX];

		while (name < len && name < sizeof(address) - 1 && text[at + name] != ':')
			name++;
		memcpy(address, text + at, name);
		address[name] = '\0';
		(void)aliases_expand(a, address, check_address, &count);
		at += len + 1;
	}
	aliases_free(a);
	return 0;
}
