/* SPDX-License-Identifier: ISC */
/* See words.h. Runs in the child of a run, on what a worker may have made up. */
#include "program/words.h"

#include <paths.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "program/words_internal.h"

/* Where programs are found by the program; nobody else's PATH is believed. */
#define PROGRAM_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- facts --------------------------------------------------------------------- */

static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

bool facts_read(struct facts *f, const char *data, size_t len, size_t count)
{
	const char *end = data + len;

	/* each is two octets at least */
	if (count > len / 2) {
		*f = (struct facts){ 0 };
		return false;
	}
	f->item = mem_array(count, sizeof(*f->item));
	for (f->count = 0; f->count < count; f->count++) {
		const char *nul = data < end ? memchr(data, '\0', (size_t)(end - data)) : NULL;

		/* the octet of a fact is never 0, so the NUL is that of the text */
		if (!nul || nul == data || data[0] < 1 || data[0] > PROGRAM_FACTS || !is_clean(data + 1))
			return false;
		f->item[f->count].fact = (enum program_fact)(data[0] - 1);
		f->item[f->count].text = data + 1;
		data = nul + 1;
	}
	return data == end;
}

void facts_release(struct facts *f)
{
	free(f->item);
	*f = (struct facts){ 0 };
}

const char *facts_get(const struct facts *f, enum program_fact fact)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->item[i].fact == fact)
			return f->item[i].text;
	return NULL;
}

/* ---- lists of words -------------------------------------------------------------- */

static void words_init(struct word_list *list)
{
	buf_init(&list->text, WORDS_MAX_BYTES);
	list->count = 0;
}

static bool end_word(struct word_list *list)
{
	list->count++;
	return buf_addc(&list->text, '\0');
}

static int too_long(struct word_list *list, const char *what, struct err *e)
{
	words_release(list);
	err_set(e, "the %s would be longer than %d octets", what, WORDS_MAX_BYTES);
	return -1;
}

char **words_pointers(const struct word_list *list)
{
	char **pointer = mem_array(list->count + 1, sizeof(*pointer)), *at = list->text.data;

	for (size_t i = 0; i < list->count; i++) {
		pointer[i] = at;
		at += strlen(at) + 1;
	}
	return pointer;
}

void words_release(struct word_list *list)
{
	buf_release(&list->text);
	list->count = 0;
}

/* ---- the command ------------------------------------------------------------------- */

static bool mentions_recipient(const char *word)
{
	struct word_part part;

	while (word_next(&word, &part))
		if (part.fact == FACT_RECIPIENT)
			return true;
	return false;
}

/* One word, for that recipient. */
static bool put_word(struct word_list *out, const char *word, const struct facts *f, const char *recipient)
{
	struct word_part part;

	while (word_next(&word, &part)) {
		const char *value;

		if (part.fact == PROGRAM_FACTS) {
			if (!buf_add(&out->text, part.text, part.len))
				return false;
			continue;
		}
		value = part.fact == FACT_RECIPIENT ? recipient : facts_get(f, (enum program_fact)part.fact);
		if (value && !buf_adds(&out->text, value))
			return false;
	}
	return end_word(out);
}

static bool put_words(struct word_list *out, const char *word, const struct facts *f)
{
	if (!mentions_recipient(word))
		return put_word(out, word, f, NULL);
	for (size_t i = 0; i < f->count; i++)
		if (f->item[i].fact == FACT_RECIPIENT && !put_word(out, word, f, f->item[i].text))
			return false;
	return true;
}

int words_of_command(struct word_list *out, const struct program_setting *s, const struct facts *f,
		     struct err *e)
{
	words_init(out);
	for (size_t i = 0; i < f->count; i++) {
		if (program_takes(s, f->item[i].fact, f->item[i].text))
			continue;
		words_release(out);
		err_set(e, "%s \"%s\" would be taken for an option: put \"--\" before it in the command",
			program_fact_names[f->item[i].fact], f->item[i].text);
		return -1;
	}
	for (size_t i = 0; i < s->word_count; i++)
		if (!put_words(out, s->word[i], f))
			return too_long(out, "command line", e);
	return 0;
}

/* ---- the environment ------------------------------------------------------------------ */

static bool put_variable(struct word_list *out, const char *name, const char *value)
{
	return buf_adds(&out->text, name) && buf_addc(&out->text, '=') && buf_adds(&out->text, value) &&
	       end_word(out);
}

/* All of them, one a line: no address holds a line end. */
static bool put_recipients(struct word_list *out, const struct facts *f)
{
	const char *before = "RECIPIENTS=";

	for (size_t i = 0; i < f->count; i++) {
		if (f->item[i].fact != FACT_RECIPIENT)
			continue;
		if (!buf_adds(&out->text, before) || !buf_adds(&out->text, f->item[i].text))
			return false;
		before = "\n";
	}
	return before[0] != '\n' || end_word(out);
}

int words_of_environment(struct word_list *out, const struct facts *f, const char *user, const char *home,
			 struct err *e)
{
	const char *zone = getenv("TZ");
	bool fits;

	words_init(out);
	fits = put_variable(out, "PATH", PROGRAM_PATH) && put_variable(out, "SHELL", _PATH_BSHELL) &&
	       put_variable(out, "HOME", home) && put_variable(out, "USER", user) &&
	       put_variable(out, "LOGNAME", user) && (!zone || put_variable(out, "TZ", zone)) &&
	       put_recipients(out, f);
	for (unsigned i = 0; i < PROGRAM_FACTS && fits; i++) {
		const char *value = facts_get(f, (enum program_fact)i);

		fits = !value || put_variable(out, program_fact_names[i], value);
	}
	return fits ? 0 : too_long(out, "environment", e);
}
