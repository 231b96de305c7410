/* SPDX-License-Identifier: ISC */
/*
 * source_read (see source.h): one pass over the tokens of a file and its
 * includes, with a look-behind of two words, that hands on to libconfuse what
 * is sound and reports the rest.
 */
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/lexer.h"
#include "config/options.h"
#include "config/types.h"

#define NESTING_MAX 16 /* braces within braces */

struct block {
	struct source_place place; /* of its name */
	enum config_section section;
	bool skipped; /* an unknown section: nothing of it is handed on */
	/* By index in config_options: the key was set here, there. */
	bool is_set[CONFIG_OPTIONS_MAX];
	struct source_place set[CONFIG_OPTIONS_MAX];
};

struct word {
	struct token token;
	struct source_place place;
};

/* The state that goes on through includes. */
struct reader {
	struct source *s;
	struct block block[NESTING_MAX + 1]; /* the first is the top level */
	size_t depth; /* blocks open in it */
	size_t skipping; /* of them, how many are skipped */
};

/* One file being read. */
struct input {
	struct reader *r;
	struct lexer lexer;
	size_t file; /* index */
	unsigned line; /* of the token in hand */
	const struct input *includer; /* NULL: the first file */
	struct stat identity;
	size_t base_depth; /* blocks open when it began */
	struct word pending[2]; /* words that may become a key or a section's head */
	size_t pending_count;
	struct word key; /* has got its "=", waits for the value */
	bool has_key;
	bool in_list;
	struct source_place list_place;
};

static void read_file(struct reader *r, const char *name, const struct input *includer);

/* ---- the text ------------------------------------------------------------------- */

static void put(struct reader *r, const char *text, size_t len)
{
	if (r->skipping > 0)
		return;
	buf_add(&r->s->text, text, len);
	buf_addc(&r->s->text, ' ');
}

/* Starts a line of the text that stands for a place. */
static void put_line(struct reader *r, struct source_place place)
{
	if (r->s->place_count > 0)
		buf_addc(&r->s->text, '\n');
	source_map_line(r->s, place);
}

/* Hands on a word from the line it was written in. */
static void put_word(struct reader *r, const struct word *w)
{
	struct source_place at = source_place(r->s, (unsigned)r->s->place_count);

	if (at.file != w->place.file || at.line != w->place.line)
		put_line(r, w->place);
	put(r, w->token.text, w->token.len);
}

static struct source_place here(const struct input *in)
{
	return (struct source_place){ in->file, in->line };
}

static enum config_section section_of(const struct reader *r)
{
	return r->block[r->depth].section;
}

#define SHOWN(t) (int)((t).len < 200 ? (t).len : 200), (t).text

/* ---- statements ------------------------------------------------------------------ */

static const struct config_option *known_key(const struct input *in, const struct word *w)
{
	return in->r->skipping > 0 ? NULL
				   : config_option_find(section_of(in->r), w->token.text, w->token.len);
}

/* Words that led to nothing. */
static void refuse_pending(struct input *in)
{
	const struct word *w = &in->pending[0];
	const struct config_option *o;
	bool reported = in->r->skipping > 0;

	for (size_t i = 0; i < in->pending_count; i++)
		reported = reported || in->pending[i].token.kind == TOKEN_BAD;
	if (in->pending_count > 0 && !reported) {
		o = known_key(in, w);
		if (o) {
			source_error(in->r->s, w->place, "%s has no value: write %s = VALUE", o->key, o->key);
			in->r->s->dropped[o - config_options] = true;
		} else {
			source_error(in->r->s, w->place,
				     "\"%.*s\" is neither a key with \"=\" nor the name of a section",
				     SHOWN(w->token));
		}
	}
	in->pending_count = 0;
}

static void refuse_key_without_value(struct input *in)
{
	const struct config_option *o;

	if (in->has_key && in->r->skipping == 0 && in->key.token.kind != TOKEN_BAD) {
		source_error(in->r->s, in->key.place, "%.*s has no value", SHOWN(in->key.token));
		o = known_key(in, &in->key);
		if (o)
			in->r->s->dropped[o - config_options] = true;
	}
	in->has_key = false;
}

static void unknown_key(struct input *in, const struct word *w)
{
	enum config_section section = section_of(in->r);

	if (section == CONFIG_TOP)
		source_error(in->r->s, w->place, "unknown key \"%.*s\"", SHOWN(w->token));
	else
		source_error(in->r->s, w->place, "unknown key \"%.*s\" in section %s", SHOWN(w->token),
			     config_section_names[section]);
}

static void take_equal(struct input *in)
{
	if (in->pending_count == 0) {
		if (in->r->skipping == 0)
			source_error(in->r->s, here(in), "unexpected \"=\"");
		return;
	}
	in->key = in->pending[--in->pending_count];
	in->has_key = true;
	refuse_pending(in);
}

/* Whether the value that begins with t can be handed on as that of o. Reports why not. */
static bool is_usable(struct input *in, const struct config_option *o, const struct token *t)
{
	struct block *b = &in->r->block[in->r->depth];
	size_t i = (size_t)(o - config_options);
	struct source *s = in->r->s;

	if (b->is_set[i]) {
		source_error(s, in->key.place, "%s is set twice, first at %s:%u", o->key,
			     s->file[b->set[i].file], b->set[i].line);
		return false;
	}
	b->is_set[i] = true;
	b->set[i] = in->key.place;
	if (t->kind == TOKEN_OPEN && !o->type->list) {
		source_error(s, here(in), "%s takes one value, not a list", o->key);
		s->dropped[i] = true;
		return false;
	}
	if (t->kind == TOKEN_BAD)
		s->dropped[i] = true;
	return t->kind != TOKEN_BAD;
}

/* The value of the waiting key begins with t: a word, or the brace of a list. */
static void put_key(struct input *in, const struct token *t)
{
	const struct config_option *o = known_key(in, &in->key);
	struct word name = in->key;

	in->has_key = false;
	if (!o && in->r->skipping == 0 && name.token.kind != TOKEN_BAD)
		unknown_key(in, &name);
	if (!o || !is_usable(in, o, t)) {
		name.token.text = SOURCE_UNKNOWN;
		name.token.len = strlen(SOURCE_UNKNOWN);
	}
	put_word(in->r, &name);
	put(in->r, "=", 1);
}

static void put_value(struct input *in, const struct token *t)
{
	struct word w = { *t, here(in) };

	if (t->kind == TOKEN_BAD) { /* reported by the lexer; any value will do */
		w.token.text = "x";
		w.token.len = 1;
	}
	put_word(in->r, &w);
}

static void take_word(struct input *in, const struct token *t)
{
	if (in->in_list) {
		put_value(in, t);
	} else if (in->has_key) {
		put_key(in, t);
		put_value(in, t);
	} else {
		if (in->pending_count == 2)
			refuse_pending(in);
		in->pending[in->pending_count].token = *t;
		in->pending[in->pending_count++].place = here(in);
	}
}

static void open_block(struct input *in, struct source_place place, enum config_section section, bool skipped)
{
	struct reader *r = in->r;

	memset(&r->block[++r->depth], 0, sizeof(r->block[0]));
	r->block[r->depth].place = place;
	r->block[r->depth].section = section;
	r->block[r->depth].skipped = skipped;
	r->skipping += skipped;
	r->s->dropped_section = r->s->dropped_section || skipped;
}

/* "{" after one or two words that are no key: the head of a section. */
static void begin_section(struct input *in)
{
	const struct word *name = &in->pending[0], *title = &in->pending[1];
	struct source *s = in->r->s;
	struct source_place place = in->pending_count ? name->place : here(in);
	enum config_section section = CONFIG_TOP;
	bool skipped = true;

	for (size_t i = 1;
	     in->pending_count > 0 && section_of(in->r) == CONFIG_TOP && i < CONFIG_SECTION_COUNT; i++)
		if (name->token.len == strlen(config_section_names[i]) &&
		    memcmp(name->token.text, config_section_names[i], name->token.len) == 0)
			section = (enum config_section)i;
	if (in->r->skipping > 0) {
		;
	} else if (in->pending_count == 0) {
		source_error(s, place, "unexpected \"{\"");
	} else if (section == CONFIG_TOP) {
		source_error(s, place, "unknown section \"%.*s\"", SHOWN(name->token));
	} else if (in->pending_count == 1 && config_section_has_name(section)) {
		source_error(s, place, "section %s needs a name: %s \"NAME\" { ... }",
			     config_section_names[section], config_section_names[section]);
	} else if (in->pending_count == 2 && !config_section_has_name(section)) {
		source_error(s, place, "section %s has no name: %s { ... }", config_section_names[section],
			     config_section_names[section]);
	} else if (in->pending_count == 1) {
		title = name; /* libconfuse tells no line of a section: the title's is taken */
		skipped = false;
	} else {
		skipped = title->token.kind == TOKEN_BAD;
	}
	if (!skipped) {
		put_word(in->r, name);
		put(in->r, "{ " SOURCE_TITLE " =", strlen("{ " SOURCE_TITLE " ="));
		put_word(in->r, title);
	}
	in->pending_count = 0;
	open_block(in, place, section, skipped);
}

static void take_open(struct input *in, const struct token *t)
{
	if (in->in_list) {
		source_error(in->r->s, here(in), "unexpected \"{\" in a list");
	} else if (in->has_key) {
		put_key(in, t);
		put(in->r, "{", 1);
		in->in_list = true;
		in->list_place = here(in);
	} else {
		begin_section(in);
	}
}

static void close_block(struct input *in)
{
	struct reader *r = in->r;
	bool skipped = r->block[r->depth--].skipped;

	put(r, "}", 1);
	r->skipping -= skipped;
}

static void take_close(struct input *in)
{
	if (in->in_list) {
		put_value(in, &(struct token){ TOKEN_CLOSE, "}", 1 });
		in->in_list = false;
		return;
	}
	refuse_key_without_value(in);
	refuse_pending(in);
	if (in->r->depth > in->base_depth)
		close_block(in);
	else
		source_error(in->r->s, here(in), "unexpected \"}\"");
}

/* ---- include ---------------------------------------------------------------------- */

/* The name relative to the file it is written in. */
static char *include_name(const struct input *in, const char *name, size_t len)
{
	const char *includer = in->r->s->file[in->file];
	const char *slash = strrchr(includer, '/');

	if (name[0] == '/' || !slash)
		return mem_strndup(name, len);
	return mem_printf("%.*s/%.*s", (int)(slash - includer), includer, (int)len, name);
}

/* Passes over the rest of ( ... ), if it is closed, so that one mistake is one message. */
static void skip_parenthesis(struct input *in)
{
	struct lexer ahead = in->lexer;
	struct token t;

	do
		lexer_next(&ahead, &t);
	while (t.kind == TOKEN_WORD || t.kind == TOKEN_QUOTED || t.kind == TOKEN_COMMA);
	if (t.kind == TOKEN_PAREN_CLOSE)
		in->lexer = ahead;
}

/* "(" : only include("FILE") has one. The parentheses and what is in them are taken in every case. */
static void take_parenthesis(struct input *in)
{
	struct source_place place = here(in);
	struct lexer rest;
	struct token name, end = { .kind = TOKEN_END };
	bool good = in->pending_count == 1 && !in->has_key && !in->in_list && in->pending[0].token.len == 7 &&
		    memcmp(in->pending[0].token.text, "include", 7) == 0;
	char *path;

	if (!good) {
		if (in->r->skipping == 0)
			source_error(in->r->s, place, "unexpected \"(\": only include(\"FILE\") has one");
		in->pending_count = 0;
		skip_parenthesis(in);
		return;
	}
	in->pending_count = 0;
	rest = in->lexer;
	lexer_next(&rest, &name);
	if (name.kind == TOKEN_QUOTED)
		lexer_next(&rest, &end);
	if (name.kind != TOKEN_QUOTED || end.kind != TOKEN_PAREN_CLOSE || name.len < 3) {
		source_error(in->r->s, place, "write include(\"FILE\")");
		skip_parenthesis(in);
		return;
	}
	in->lexer = rest;
	if (memchr(name.text, '\\', name.len) || memchr(name.text, '$', name.len)) {
		source_error(in->r->s, place, "the name of an included file may not have \\ or $");
		return;
	}
	if (in->r->skipping > 0)
		return;
	path = include_name(in, name.text + 1, name.len - 2);
	read_file(in->r, path, in);
	free(path);
}

/* ---- a file ------------------------------------------------------------------------- */

static void take_end(struct input *in)
{
	struct reader *r = in->r;

	if (in->in_list) {
		source_error(r->s, in->list_place, "the list that begins here is not closed with \"}\"");
		put(r, "}", 1);
		in->in_list = false;
	}
	refuse_key_without_value(in);
	refuse_pending(in);
	while (r->depth > in->base_depth) {
		source_error(r->s, r->block[r->depth].place,
			     "the section that begins here is not closed with \"}\"");
		close_block(in);
	}
}

static void lexer_error(void *ctx, unsigned line, const char *message)
{
	struct input *in = ctx;

	source_error(in->r->s, (struct source_place){ in->file, line }, "%s", message);
}

static void read_tokens(struct input *in)
{
	struct token t;

	for (;;) {
		lexer_next(&in->lexer, &t);
		in->line = in->lexer.token_line;
		if (t.kind != TOKEN_WORD && t.kind != TOKEN_QUOTED && t.kind != TOKEN_BAD &&
		    t.kind != TOKEN_OPEN)
			refuse_key_without_value(in);
		switch (t.kind) {
		case TOKEN_END:
			take_end(in);
			return;
		case TOKEN_WORD:
		case TOKEN_QUOTED:
		case TOKEN_BAD:
			take_word(in, &t);
			break;
		case TOKEN_EQUAL:
			take_equal(in);
			break;
		case TOKEN_OPEN:
			if (in->r->depth == NESTING_MAX) {
				source_error(in->r->s, here(in), "too many braces within braces");
				while (in->r->depth > in->base_depth)
					close_block(in);
				return;
			}
			take_open(in, &t);
			break;
		case TOKEN_CLOSE:
			take_close(in);
			break;
		case TOKEN_PAREN_OPEN:
			take_parenthesis(in);
			break;
		case TOKEN_PAREN_CLOSE:
			if (in->r->skipping == 0)
				source_error(in->r->s, here(in), "unexpected \")\"");
			break;
		case TOKEN_COMMA:
			if (in->in_list)
				put_value(in, &t);
			else if (in->r->skipping == 0)
				source_error(in->r->s, here(in), "unexpected \",\"");
			break;
		}
	}
}

/* The whole file, or false with a message. Only regular files: reading cannot hang, and HUP can read it again. */
static bool slurp(struct source *s, const char *name, struct buf *out, struct stat *st, struct err *e)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char block[16384];
	ssize_t n;

	if (fd < 0) {
		err_set_os(e, errno, "cannot be opened");
		return false;
	}
	if (fstat(fd, st) != 0 || !S_ISREG(st->st_mode)) {
		err_set(e, "is not a regular file");
		close(fd);
		return false;
	}
	while ((n = read(fd, block, sizeof(block))) > 0) {
		s->bytes += (size_t)n;
		if (s->bytes > SOURCE_BYTES_MAX || !buf_add(out, block, (size_t)n)) {
			err_set(e, "too long: a configuration has at most %zu bytes, includes counted",
				SOURCE_BYTES_MAX);
			close(fd);
			return false;
		}
	}
	if (n < 0)
		err_set_os(e, errno, "cannot be read");
	close(fd);
	return n == 0;
}

/* Why a file may not be included here, or NULL. */
static const char *refuse_include(const struct reader *r, const struct stat *identity,
				  const struct input *includer)
{
	unsigned depth = 0;

	for (const struct input *in = includer; in; in = in->includer) {
		if (in->identity.st_dev == identity->st_dev && in->identity.st_ino == identity->st_ino)
			return "it would include itself";
		if (++depth > SOURCE_DEPTH_MAX)
			return "too many files within files";
	}
	return r->s->file_count >= SOURCE_FILES_MAX ? "too many files" : NULL;
}

/* The bytes of a file that may be read here. */
static bool open_input(struct input *in, const char *name, struct buf *bytes, struct err *e)
{
	const char *why;

	if (!slurp(in->r->s, name, bytes, &in->identity, e))
		return false;
	why = refuse_include(in->r, &in->identity, in->includer);
	if (why)
		err_set(e, "%s", why);
	return !why;
}

static void read_file(struct reader *r, const char *name, const struct input *includer)
{
	struct input *in = mem_alloc(sizeof(*in)); /* not on the stack: includes recurse */
	struct source *s = r->s;
	struct buf bytes;
	struct err e;
	bool good;

	in->r = r;
	in->includer = includer;
	in->line = 1;
	in->base_depth = r->depth;
	buf_init(&bytes, SOURCE_BYTES_MAX);
	good = open_input(in, name, &bytes, &e);
	if (!good && includer) {
		source_error(s, here(includer), "include(\"%s\"): %s", name, e.text);
	} else {
		in->file = s->file_count++;
		s->file = mem_resize(s->file, s->file_count, sizeof(*s->file));
		s->file[in->file] = mem_strdup(name);
	}
	if (!good && !includer)
		source_error(s, (struct source_place){ 0, 0 }, "%s", e.text);
	if (good) {
		lexer_init(&in->lexer, bytes.data, bytes.len, lexer_error, in);
		put_line(r, here(in));
		read_tokens(in);
	}
	free(in);
	buf_release(&bytes);
}

void source_read(struct source *s, const char *file)
{
	struct reader *r = mem_alloc(sizeof(*r));

	r->s = s;
	read_file(r, file, NULL);
	free(r);
}
