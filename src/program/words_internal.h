/* SPDX-License-Identifier: ISC */
/* A word of a command taken apart (command.c, words.c). Pure. */
#ifndef PROGRAM_WORDS_INTERNAL_H
#define PROGRAM_WORDS_INTERNAL_H

#include "program/command.h"

struct word_part {
	unsigned fact; /* enum program_fact; PROGRAM_FACTS: it is text */
	const char *text;
	size_t len;
};

/* The next part of the word, moving *at behind it; false at its end. */
bool word_next(const char **at, struct word_part *part);

#endif
