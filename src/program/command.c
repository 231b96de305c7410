/* SPDX-License-Identifier: ISC */
/* See command.h. */
#include "program/command.h"

#include <string.h>

#include "program/words_internal.h"

const char *const program_command_names[PROGRAM_COMMANDS] = { "exec", "filter", "mailman" };

/*
 * In the order of enum program_fact; where Postfix's local(8) tells a program the same, by its name for it.
 */
const char *const program_fact_names[PROGRAM_FACTS] = {
	"SENDER",       "RECIPIENT",       "PEER",         "CLIENT_ADDRESS", "CLIENT_PORT",
	"CLIENT_HELO",  "CLIENT_PROTOCOL", "LISTENER",     "SASL_USERNAME",  "TLS_CIPHER",
	"MAIL_OPTIONS", "RCPT_OPTIONS",    "MESSAGE_SIZE", "LIST",           "ACTION",
};

/* "client_helo" for CLIENT_HELO; PROGRAM_FACTS: none. */
static unsigned fact_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < PROGRAM_FACTS; i++) {
		const char *known = program_fact_names[i];
		size_t n = 0;

		while (n < len && known[n] && name[n] == (known[n] == '_' ? '_' : known[n] - 'A' + 'a'))
			n++;
		if (n == len && !known[n])
			return i;
	}
	return PROGRAM_FACTS;
}

bool word_next(const char **at, struct word_part *part)
{
	const char *mark, *brace;

	if (!**at)
		return false;
	mark = strstr(*at, "%{");
	if (mark != *at) {
		part->fact = PROGRAM_FACTS;
		part->text = *at;
		part->len = mark ? (size_t)(mark - *at) : strlen(*at);
		*at += part->len;
		return true;
	}
	brace = strchr(mark, '}');
	part->text = mark;
	part->len = brace ? (size_t)(brace + 1 - mark) : strlen(mark);
	part->fact = brace ? fact_find(mark + 2, part->len - 3) : PROGRAM_FACTS;
	*at += part->len;
	return true;
}

bool program_word_is_good(const char *word, struct err *e)
{
	struct word_part part;

	while (word_next(&word, &part)) {
		if (part.fact < PROGRAM_FACTS || strncmp(part.text, "%{", 2) != 0)
			continue;
		err_set(e,
			"\"%.*s\" is nothing that a program can be told: %%{sender}, %%{recipient} ... are",
			(int)(part.len > 100 ? 100 : part.len), part.text);
		return false;
	}
	return true;
}

bool program_takes(const struct program_setting *s, enum program_fact fact, const char *value)
{
	if (value[0] != '-')
		return true;
	for (size_t i = 1; i < s->word_count && strcmp(s->word[i], "--") != 0; i++) {
		const char *at = s->word[i];
		struct word_part part;

		/* what stands before it may be empty */
		while (word_next(&at, &part) && part.fact < PROGRAM_FACTS)
			if (part.fact == (unsigned)fact)
				return false;
	}
	return true;
}
