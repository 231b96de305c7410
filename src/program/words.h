/* SPDX-License-Identifier: ISC */
/* Arguments and environment of a run, made from the command's words and the facts. Pure. */
#ifndef PROGRAM_WORDS_H
#define PROGRAM_WORDS_H

#include "base/buf.h"
#include "program/command.h"

/* The facts of a job as they came: pointers into the packet. */
struct facts {
	struct {
		enum program_fact fact;
		const char *text;
	} * item; /* owned */
	size_t count;
};

/*
 * Reads what program_job_put wrote. False: it is not of that form, or a text
 * has control characters, as only one writes who is no client of ours.
 */
bool facts_read(struct facts *f, const char *data, size_t len, size_t count);
void facts_release(struct facts *f);
/* The first one; NULL: it was not given. */
const char *facts_get(const struct facts *f, enum program_fact fact);

/* Texts one behind the other, each ended by NUL, and how many. */
struct word_list {
	struct buf text;
	size_t count;
};

#define WORDS_MAX_BYTES (1 << 20)

/* The words of the command with the facts put in; a word with %{recipient} once for each of them. */
int words_of_command(struct word_list *out, const struct program_setting *s, const struct facts *f,
		     struct err *e);
/* NAME=value of each fact, RECIPIENTS, and the fixed ones. */
int words_of_environment(struct word_list *out, const struct facts *f, const char *user, const char *home,
			 struct err *e);
/* As execve wants them: NULL ended, into list->text. To be freed. */
char **words_pointers(const struct word_list *list);
void words_release(struct word_list *list);

#endif
