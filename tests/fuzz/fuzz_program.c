/* SPDX-License-Identifier: ISC */
/*
 * What a worker may say instead of the facts about a message, and a word of a
 * command. The first octet is how many facts there are to be, then the word,
 * ended by NUL, then the facts. Promise: what is read has no controls and goes
 * into variables that are known, one value each; no argument that begins with a
 * fact is an option, but behind "--"; line ends survive the way there and back.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "program/lines.h"
#include "program/words.h"

static void check_environment(const struct facts *f)
{
	struct word_list list;
	char **envp;
	struct err e;

	if (words_of_environment(&list, f, "user", "/home", &e) < 0)
		return;
	envp = words_pointers(&list);
	for (size_t i = 0; envp[i]; i++) {
		bool is_list = strncmp(envp[i], "RECIPIENTS=", 11) == 0;

		ASSERT(strchr(envp[i], '='));
		for (const char *c = envp[i]; *c; c++)
			ASSERT((unsigned char)*c >= ' ' || (is_list && *c == '\n'));
		/* as many as there are by themselves, and no more: a value cannot make one */
		ASSERT(i < 6 + 1 + PROGRAM_FACTS);
	}
	free(envp);
	words_release(&list);
}

static void check_command(const struct facts *f, const char *word)
{
	const char *const words[] = { "/p", word, "--", word };
	struct program_setting s = { .word = words, .word_count = 2 };
	struct word_list list;
	char **argv;
	struct err e;

	if (!program_word_is_good(word, &e))
		return;
	if (words_of_command(&list, &s, f, &e) == 0) {
		argv = words_pointers(&list);
		for (size_t i = 1; argv[i]; i++)
			ASSERT(strchr(word, '-') || argv[i][0] != '-'); /* but the operator's own */
		free(argv);
		words_release(&list);
	}
	/* once more before "--" changes nothing */
	s.word_count = 4;
	if (words_of_command(&list, &s, f, &e) == 0)
		words_release(&list);
}

static void check_lines(const char *data, size_t len)
{
	struct lines_to_lf to_lf = { .cr = false };
	struct lines_to_crlf to_crlf = { .cr = false };
	char *lf = malloc(len + 1), *crlf = malloc(2 * len + 4);
	size_t n = lines_to_lf(&to_lf, data, len, lf), m;

	n += lines_to_lf_end(&to_lf, lf + n);
	ASSERT(n <= len);
	m = lines_to_crlf(&to_crlf, lf, n, crlf);
	m += lines_to_crlf_end(&to_crlf, crlf + m);
	ASSERT(m <= 2 * n + 2 && m >= n);
	for (size_t i = 0; i < m && !to_crlf.bad; i++)
		ASSERT((crlf[i] == '\n') == (i > 0 && crlf[i - 1] == '\r') && crlf[i] != '\0');
	free(lf);
	free(crlf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *word = (const char *)data + 1, *nul = size > 1 ? memchr(word, '\0', size - 1) : NULL;
	struct facts f;

	check_lines((const char *)data, size);
	if (!nul)
		return 0;
	if (facts_read(&f, nul + 1, size - 1 - (size_t)(nul + 1 - word), data[0])) {
		check_environment(&f);
		check_command(&f, word);
	}
	facts_release(&f);
	return 0;
}
