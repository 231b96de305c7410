/* SPDX-License-Identifier: ISC */
/* See lexer.h. */
#include "config/lexer.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void lexer_init(struct lexer *l, const char *data, size_t len,
		void (*error)(void *ctx, unsigned line, const char *message), void *ctx)
{
	l->at = data;
	l->end = data + len;
	l->line = l->token_line = 1;
	l->error = error;
	l->ctx = ctx;
}

static size_t left(const struct lexer *l)
{
	return (size_t)(l->end - l->at);
}

static bool starts(const struct lexer *l, const char *text)
{
	return left(l) >= strlen(text) && memcmp(l->at, text, strlen(text)) == 0;
}

static void skip_line(struct lexer *l)
{
	while (l->at < l->end && *l->at != '\n')
		l->at++;
}

static void skip_block_comment(struct lexer *l)
{
	unsigned began = l->line;

	for (l->at += 2; l->at < l->end; l->at++) {
		if (starts(l, "*/")) {
			l->at += 2;
			return;
		}
		l->line += *l->at == '\n';
	}
	l->error(l->ctx, began, "the comment that begins here is not closed with */");
}

static void skip_blank(struct lexer *l)
{
	while (l->at < l->end) {
		if (*l->at == ' ' || *l->at == '\t' || *l->at == '\n' || starts(l, "\r\n")) {
			l->line += *l->at == '\n';
			l->at++;
		} else if (*l->at == '#' || starts(l, "//")) {
			skip_line(l);
		} else if (starts(l, "/*")) {
			skip_block_comment(l);
		} else {
			return;
		}
	}
}

static bool is_word_byte(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("\"'#{}()=+,*$\\", c);
}

/* ---- quoted strings -------------------------------------------------------------- */

/* "${NAME}" or "${NAME:-TEXT}" at l->at. libconfuse puts in the value. False: reported. */
static bool take_variable(struct lexer *l)
{
	const char *name = l->at + 2, *at = name;
	bool has_default, set;
	char *text;

	while (at < l->end && (isalnum((unsigned char)*at) || *at == '_'))
		at++;
	text = mem_strndup(name, (size_t)(at - name));
	set = getenv(text) != NULL;
	free(text);
	has_default = l->end - at >= 2 && at[0] == ':' && at[1] == '-';
	if (has_default)
		while (at < l->end && !strchr("}\"\\\n", *at))
			at++;
	l->at = at < l->end && *at == '}' ? at + 1 : at;
	if (at == name || at == l->end || *at != '}') {
		l->error(l->ctx, l->line,
			 "write ${NAME} or ${NAME:-DEFAULT} for an environment variable, \\$ for a dollar "
			 "sign");
		return false;
	}
	if (!has_default && !set) {
		text = mem_printf(
			"the environment variable %.*s is not set; ${%.*s:-TEXT} gives it a default",
			(int)(at - name), name, (int)(at - name), name);
		l->error(l->ctx, l->line, text);
		free(text);
		return false;
	}
	return true;
}

/* A string from its quote to its end, or to the end of the line. */
static void take_quoted(struct lexer *l, struct token *t)
{
	char quote = *l->at;
	const char *escapes = quote == '"' ? "\"\\$" : "'\\";
	bool good = true;

	t->text = l->at++;
	while (l->at < l->end && *l->at != quote && *l->at != '\n') {
		if (*l->at == '\\') {
			if (left(l) < 2 || l->at[1] == '\n')
				break;
			if (good && !(l->at[1] && strchr(escapes, l->at[1]))) {
				l->error(l->ctx, l->line,
					 quote == '"'
						 ? "a backslash in \"...\" may only stand before \", \\ or $"
						 : "a backslash in '...' may only stand before ' or \\");
				good = false;
			}
			l->at += 2;
		} else if (quote == '"' && starts(l, "${")) {
			good = take_variable(l) && good;
		} else {
			if (good && ((unsigned char)*l->at < ' ' || *l->at == 0x7f)) {
				l->error(l->ctx, l->line, "a string may not have control characters");
				good = false;
			}
			l->at++;
		}
	}
	if (l->at == l->end || *l->at != quote) {
		if (good)
			l->error(l->ctx, l->line, "the string that begins here is not closed on its line");
		skip_line(l);
		good = false;
	} else {
		l->at++;
	}
	t->len = (size_t)(l->at - t->text);
	t->kind = good ? TOKEN_QUOTED : TOKEN_BAD;
}

/* ---- words and signs -------------------------------------------------------------- */

static bool take_sign(struct lexer *l, struct token *t)
{
	static const struct {
		char sign;
		enum token_kind kind;
	} signs[] = {
		{ '=', TOKEN_EQUAL },      { '{', TOKEN_OPEN },        { '}', TOKEN_CLOSE },
		{ '(', TOKEN_PAREN_OPEN }, { ')', TOKEN_PAREN_CLOSE }, { ',', TOKEN_COMMA },
	};

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (*l->at == signs[i].sign) {
			t->kind = signs[i].kind;
			t->text = l->at++;
			t->len = 1;
			return true;
		}
	}
	return false;
}

/* Bytes that have no place outside of a string, with all that hangs together with them. */
static void take_bad(struct lexer *l, struct token *t)
{
	char message[80];
	unsigned char c = (unsigned char)*l->at;

	if (c > ' ' && c < 0x7f)
		l->error(l->ctx, l->line,
			 (snprintf(message, sizeof(message),
				   "'%c' has no place here: put the value in \"...\"", c),
			  message));
	else
		l->error(l->ctx, l->line,
			 (snprintf(message, sizeof(message), "byte 0x%02x has no place here", c), message));
	while (l->at < l->end && !strchr(" \t\r\n={}(),#\"'", *l->at))
		l->at++;
	while (l->at < l->end && (*l->at == '\0' || *l->at == '\r'))
		l->at++;
	t->len = (size_t)(l->at - t->text);
	t->kind = TOKEN_BAD;
}

/* Whether the byte after a word may follow one directly. */
static bool ends_word(const struct lexer *l)
{
	return (*l->at && strchr(" \t\n\"'#{}()=,", *l->at)) || starts(l, "\r\n") || starts(l, "+=");
}

void lexer_next(struct lexer *l, struct token *t)
{
	skip_blank(l);
	l->token_line = l->line;
	t->text = l->at;
	t->len = 0;
	if (l->at == l->end) {
		t->kind = TOKEN_END;
		return;
	}
	if (*l->at == '"' || *l->at == '\'') {
		take_quoted(l, t);
		return;
	}
	if (take_sign(l, t))
		return;
	if (starts(l, "+=")) {
		l->error(l->ctx, l->line, "\"+=\" is not known: write the whole list with \"=\"");
		l->at += 2;
		t->kind = TOKEN_EQUAL;
		return;
	}
	while (l->at < l->end && is_word_byte(*l->at))
		l->at++;
	t->len = (size_t)(l->at - t->text);
	t->kind = TOKEN_WORD;
	if (t->len == 0 || (l->at < l->end && !ends_word(l)))
		take_bad(l, t);
}
