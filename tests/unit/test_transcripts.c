/* SPDX-License-Identifier: ISC */
/*
 * The dialogues of tests/transcripts against a session in memory, however the
 * client's bytes are cut. One test a file.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transcript.h"
#include "unit.h"

static glob_t files;

START_TEST(play_transcript)
{
	struct transcript t;

	transcript_load(&t, files.gl_pathv[_i]);
	transcript_play(&t, FAKE_WHOLE, 0);
	transcript_play(&t, FAKE_BYTES, 1);
	for (unsigned seed = 1; seed <= 40; seed++)
		transcript_play(&t, FAKE_RANDOM, seed);
	transcript_release(&t);
}
END_TEST

int main(void)
{
	const char *top = getenv("PH_TOP_SRCDIR");
	Suite *suite = suite_create("transcripts");
	char pattern[4096];

	snprintf(pattern, sizeof(pattern), "%s/tests/transcripts/*.txt", top ? top : PH_SRCDIR);
	if (glob(pattern, 0, NULL, &files) != 0) {
		printf("Bail out! no transcripts in %s\n", pattern);
		return EXIT_FAILURE;
	}
	/* a case each, so that TAP names the file */
	for (int i = 0; i < (int)files.gl_pathc; i++) {
		TCase *one = tcase_create(strrchr(files.gl_pathv[i], '/') + 1);

		tcase_set_timeout(one, 60);
		tcase_add_loop_test(one, play_transcript, i, i + 1);
		suite_add_tcase(suite, one);
	}
	return unit_run(suite);
}
