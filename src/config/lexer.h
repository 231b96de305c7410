/* SPDX-License-Identifier: ISC */
/*
 * The tokens of a configuration file: libconfuse's lexical grammar, without
 * the parts of it that surprise (see source.h). Pure.
 *
 *   word    = 1*( any byte but SP, TAB, CR, LF and " ' # { } ( ) = + , * $ \ )
 *   quoted  = DQUOTE *( char / "\" ( DQUOTE / "\" / "$" ) / "${" NAME [ ":-" TEXT ] "}" ) DQUOTE
 *           / "'" *( char / "\" ( "'" / "\" ) ) "'"            ; both end on their line
 *   comment = ( "#" / "//" ) to the end of the line / "/" "*" to "*" "/"
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include <stddef.h>

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,
	TOKEN_QUOTED, /* text includes the quotes */
	TOKEN_BAD, /* stands where a word should; it was reported */
	TOKEN_EQUAL,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_PAREN_OPEN,
	TOKEN_PAREN_CLOSE,
	TOKEN_COMMA
};

struct token {
	enum token_kind kind;
	const char *text; /* in the lexer's input, as written */
	size_t len;
};

struct lexer {
	const char *at, *end;
	unsigned line; /* of at, from 1 */
	unsigned token_line; /* where the last token began */
	void (*error)(void *ctx, unsigned line, const char *message);
	void *ctx;
};

void lexer_init(struct lexer *l, const char *data, size_t len,
		void (*error)(void *ctx, unsigned line, const char *message), void *ctx);
void lexer_next(struct lexer *l, struct token *t);

#endif
