/* SPDX-License-Identifier: ISC */
/*
 * The main() of a fuzz target without libFuzzer: runs every file of its corpus
 * (tests/fuzz/corpus/NAME for the program fuzz_NAME, or the folders and files
 * named on the command line) through the target, whole, and every prefix of
 * the small ones. TAP on standard output; a target that finds something wrong
 * ends the process.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fuzz.h"

#define PREFIXES_OF 512 /* octets */

static unsigned tests, unreadable;

/* A copy of exactly that size, so that a sanitizer sees what is read behind it. */
static void run(const char *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	ASSERT(copy);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct buf b;
	char block[4096];
	size_t n;

	if (!f) {
		printf("not ok %u - %s cannot be read\n", ++tests, path);
		unreadable++;
		return;
	}
	buf_init(&b, 1 << 24);
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		buf_add(&b, block, n);
	fclose(f);
	for (size_t len = 0; len < b.len && b.len <= PREFIXES_OF; len++)
		run(b.data, len);
	run(b.data, b.len);
	buf_release(&b);
	printf("ok %u - %s\n", ++tests, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	fflush(stdout);
}

static void replay(const char *path)
{
	struct dirent **names;
	struct stat st;
	int count;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	count = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		char *name = mem_printf("%s/%s", path, names[i]->d_name);

		if (names[i]->d_name[0] != '.')
			replay_file(name);
		free(name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

/* "…/fuzz_path" or "…/lt-fuzz_path": the corpus is called "path" */
static void replay_own_corpus(const char *program)
{
	const char *top = getenv("PH_TOP_SRCDIR");
	const char *name = strstr(strrchr(program, '/') ? strrchr(program, '/') : program, "fuzz_");
	char *path = mem_printf("%s/tests/fuzz/corpus/%s", top ? top : ".", name ? name + 5 : program);

	replay(path);
	free(path);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		replay_own_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("1..%u\n", tests);
	return tests > 0 && unreadable == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
