/* SPDX-License-Identifier: ISC */
/*
 * Reading a configuration file: reader.c makes one text of it, libconfuse
 * parses that, the values are put where the table (options.h) says, then the
 * rules between keys are checked (check.h). Runs in the master before the
 * fork, again at HUP, and in the command line tools. Blocks on the disk.
 *
 * Each value stays text with its line until it is converted here, so that
 * units and messages are ours and every bad value of a file is told at once.
 */
#include "config/config.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "config/check.h"
#include "config/mailman.h"
#include "config/options.h"
#include "config/presets.h"
#include "config/remote.h"
#include "config/source.h"
#include "config/types.h"

#define LIST_MAX 1000 /* values of a list */
#define SECTIONS_MAX 100 /* of a kind */
#define NAME_MAX_LEN 64 /* of a section */

/* What stands in the file for one key, or (key NULL) a section's name. */
struct seen {
	enum config_section object;
	size_t index; /* of the listener, upstream or route */
	const char *key;
	unsigned line; /* of the text */
	bool bad;
};

struct loader {
	struct config *cfg;
	struct source source;
	struct seen *seen; /* owned */
	size_t seen_count, seen_cap;
	bool syntax_error;
	bool told; /* the errors of these values were told before */
};

/* ---- libconfuse --------------------------------------------------------------- */

struct value {
	unsigned line; /* of the text */
	char text[];
};

/* libconfuse gives its error function no context. Set only while it parses. */
static struct loader *parsing;

static void parse_error(cfg_t *cfg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void parse_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	parsing->syntax_error = true;
	source_error(&parsing->source, source_place(&parsing->source, (unsigned)cfg->line), "%s", text);
}

/* Keeps a value with its line. It is only converted when all have been read. */
static int keep_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct value *v = mem_alloc(sizeof(*v) + strlen(text) + 1);

	(void)opt;
	v->line = (unsigned)cfg->line;
	strcpy(v->text, text);
	*(void **)result = v;
	return 0;
}

/*
 * The keys of a section in libconfuse's terms; opts has room for CONFIG_OPTIONS_MAX + 5. Returns the next
 * free.
 */
static cfg_opt_t *declare_keys(cfg_opt_t *opts, enum config_section section)
{
	/* Every key is a list here: reader.c has seen to it that only lists have more than one value. */
	for (size_t i = 0; i < config_option_count; i++)
		if (config_option_stands_in(&config_options[i], section))
			*opts++ = (cfg_opt_t)CFG_PTR_LIST_CB(config_options[i].key, NULL, CFGF_NODEFAULT,
							     keep_value, free);
	*opts++ = (cfg_opt_t)CFG_PTR_LIST_CB(SOURCE_UNKNOWN, NULL, CFGF_NODEFAULT, keep_value, free);
	if (section != CONFIG_TOP)
		*opts++ = (cfg_opt_t)CFG_PTR_LIST_CB(SOURCE_TITLE, NULL, CFGF_NODEFAULT, keep_value, free);
	return opts;
}

static cfg_t *parse(struct loader *l)
{
	cfg_opt_t keys[CONFIG_SECTION_COUNT][CONFIG_OPTIONS_MAX + 5];
	const cfg_opt_t end = CFG_END();
	cfg_opt_t *at;
	cfg_t *root;

	for (int i = 1; i < CONFIG_SECTION_COUNT; i++)
		*declare_keys(keys[i], (enum config_section)i) = end;
	at = declare_keys(keys[CONFIG_TOP], CONFIG_TOP);
	for (int i = 1; i < CONFIG_SECTION_COUNT; i++)
		*at++ = (cfg_opt_t)CFG_SEC(config_section_names[i], keys[i], CFGF_MULTI);
	*at = end;

	root = cfg_init(keys[CONFIG_TOP], CFGF_NONE); /* copies the tables */
	ASSERT(root);
	cfg_set_error_function(root, parse_error);
	parsing = l;
	if (cfg_parse_buf(root, l->source.text.data) != CFG_SUCCESS && !l->syntax_error) {
		l->syntax_error = true;
		source_error(&l->source, source_place(&l->source, (unsigned)root->line), "syntax error");
	}
	parsing = NULL;
	return root;
}

/* ---- where things stand -------------------------------------------------------- */

static struct seen *note(struct loader *l, enum config_section object, size_t index, const char *key,
			 unsigned line)
{
	struct seen *s;

	if (l->seen_count == l->seen_cap) {
		l->seen_cap = l->seen_cap ? 2 * l->seen_cap : 64;
		l->seen = mem_resize(l->seen, l->seen_cap, sizeof(*l->seen));
	}
	s = &l->seen[l->seen_count++];
	*s = (struct seen){ object, index, key, line, false };
	return s;
}

static bool matches(const struct seen *s, enum config_section object, size_t index, const char *key)
{
	return s->object == object && (s->index == index || index == CHECK_ANY) &&
	       (key ? s->key && strcmp(s->key, key) == 0 : !s->key);
}

/* How check.c learns what is not worth checking. */
static bool is_bad(void *ctx, enum config_section object, size_t index, const char *key)
{
	const struct loader *l = ctx;

	for (size_t i = 0; i < config_option_count; i++)
		if (l->source.dropped[i] &&
		    (config_options[i].object == object || config_options[i].section == object) &&
		    strcmp(config_options[i].key, key) == 0)
			return true;
	if (l->source.dropped_section && index == CHECK_ANY && object != CONFIG_TOP)
		return true;
	for (size_t i = 0; i < l->seen_count; i++)
		if (l->seen[i].bad && matches(&l->seen[i], object, index, key))
			return true;
	return false;
}

/* The error of a rule stands where the last of its keys does, else at the section's name. */
static void rule_error(void *ctx, enum config_section object, size_t index, const char *const *keys,
		       const char *text)
{
	struct loader *l = ctx;
	const struct seen *at = NULL;
	struct source_place place = { 0, 0 };

	for (size_t i = 0; i < l->seen_count; i++) {
		const struct seen *s = &l->seen[i];

		for (const char *const *key = keys; *key; key++)
			if (matches(s, object, index, *key) && (!at || s->line > at->line))
				at = s;
	}
	for (size_t i = 0; !at && i < l->seen_count; i++)
		if (matches(&l->seen[i], object, index, NULL))
			at = &l->seen[i];
	if (at)
		place = source_place(&l->source, at->line);
	source_error(&l->source, place, "%s", text);
}

/* ---- values -------------------------------------------------------------------- */

static const struct value *value_at(cfg_opt_t *opt, unsigned i)
{
	return cfg_opt_getnptr(opt, i);
}

/* Whether the key stands in the file, be it as an empty list. */
static bool is_written(const cfg_opt_t *opt)
{
	return opt->nvalues > 0 || (opt->flags & CFGF_MODIFIED);
}

/* "Nobody" or "everybody"? It would be everybody: too much for a slip of a generated file. */
static void empty_pattern_list(struct loader *l, const struct config_option *o, size_t index)
{
	static const char *const none[] = { NULL };
	struct buf text;

	buf_init(&text, 200);
	buf_addf(&text, "%s: the list is empty%s", o->key,
		 o->section == CONFIG_ROUTE ? ": leave the key out to match all" : "");
	rule_error(l, o->section, index, none, text.data);
	buf_release(&text);
}

static void put_values(struct loader *l, cfg_opt_t *opt, const struct config_option *o, void *object,
		       size_t index)
{
	unsigned count = cfg_opt_size(opt);
	struct seen *s;
	struct err e;

	if (!is_written(opt))
		return;
	if (o->type->list)
		o->type->clear(o, object);
	if (count == 0 && (o->section == CONFIG_ROUTE || o->section == CONFIG_REWRITE))
		empty_pattern_list(l, o, index);
	if (count == 0)
		return;
	s = note(l, o->object, index, o->key, value_at(opt, 0)->line);
	for (unsigned i = 0; i < count; i++) {
		const struct value *v = value_at(opt, i);

		if (i == LIST_MAX)
			err_set(&e, "a list has at most %d values", LIST_MAX);
		else if (o->type->parse(o, object, v->text, &e) == 0)
			continue;
		s->bad = true;
		if (!l->told)
			source_error(&l->source, source_place(&l->source, v->line), "%s: %s", o->key, e.text);
		if (i == LIST_MAX)
			break;
	}
}

static void put_section(struct loader *l, cfg_t *cfg, enum config_section section, void *object, size_t index)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];

		if (o->section == section && o->object == section)
			put_values(l, cfg_getopt(cfg, o->key), o, object, index);
	}
}

/*
 * What the top level says for all listeners, before the listener's own. A bad value is told once, and is one
 * for each of them.
 */
static void put_inherited(struct loader *l, cfg_t *root, struct config_listener *listener, size_t index)
{
	l->told = index > 0;
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];

		if (o->also_top)
			put_values(l, cfg_getopt(root, o->key), o, listener, index);
	}
	l->told = false;
}

/* The preset of a section; a name that is none is told with the section's values. */
static const struct preset *preset_of(cfg_t *sec)
{
	cfg_opt_t *opt = cfg_getopt(sec, "preset");

	return cfg_opt_size(opt) > 0 ? preset_find(value_at(opt, 0)->text) : NULL;
}

static bool is_written_for(const struct loader *l, enum config_section object, size_t index, const char *key)
{
	for (size_t i = 0; i < l->seen_count; i++)
		if (matches(&l->seen[i], object, index, key))
			return true;
	return false;
}

/* A known provider takes TLS on every port it has. */
static enum upstream_tls default_tls(const struct config_upstream *u, const struct config_remote *remote)
{
	enum upstream_tls tls = config_remote_default_tls(remote);

	return u->preset && tls == UPSTREAM_TLS_OPPORTUNISTIC ? UPSTREAM_TLS_REQUIRED : tls;
}

/* tls was not written: it goes by port and host, if that is one answer for all addresses. */
static void work_out_tls(struct loader *l, struct config_upstream *u, size_t index)
{
	char first[ENDPOINT_TEXT_MAX], other[ENDPOINT_TEXT_MAX];
	static const char *const remoteaddr[] = { "remoteaddr", NULL };
	struct buf text;

	if (is_written_for(l, CONFIG_UPSTREAM, index, "tls") || u->remoteaddr_count == 0)
		return;
	u->tls = default_tls(u, &u->remoteaddr[0]);
	for (size_t i = 1; i < u->remoteaddr_count; i++) {
		if (default_tls(u, &u->remoteaddr[i]) == u->tls)
			continue;
		buf_init(&text, 1024);
		buf_addf(&text, "upstream \"%s\": set tls: it would not be the same for %s and %s", u->name,
			 config_remote_format(&u->remoteaddr[0], first),
			 config_remote_format(&u->remoteaddr[i], other));
		rule_error(l, CONFIG_UPSTREAM, index, remoteaddr, text.data);
		buf_release(&text);
		return;
	}
}

/* ---- sections -------------------------------------------------------------------- */

static bool is_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return len > 0 && len <= NAME_MAX_LEN && !text[len];
}

static size_t section_count(const struct config *cfg, enum config_section kind)
{
	switch (kind) {
	case CONFIG_TOP:
		return 1;
	case CONFIG_LISTENER:
		return cfg->listener_count;
	case CONFIG_UPSTREAM:
		return cfg->upstream_count;
	case CONFIG_ROUTE:
		return cfg->route_count;
	case CONFIG_REWRITE:
		return cfg->rewrite_count;
	}
	return 0;
}

/* What is wrong with the name of a section is reported. */
static void check_name(struct loader *l, const struct value *title, enum config_section kind, size_t index)
{
	struct source_place place = source_place(&l->source, title->line);
	const char *word = config_section_names[kind];
	const struct config *cfg = l->cfg;

	if (!is_name(title->text))
		source_error(&l->source, place,
			     "%s \"%s\": a name has 1 to %d letters, digits, dots, hyphens and underscores",
			     word, title->text, NAME_MAX_LEN);
	for (size_t i = 0; i < index; i++) {
		const char *other = kind == CONFIG_LISTENER ? cfg->listener[i].name : cfg->upstream[i].name;

		if (strcmp(other, title->text) == 0)
			source_error(&l->source, place, "%s \"%s\" stands twice", word, title->text);
	}
}

static void add_section(struct loader *l, cfg_t *root, cfg_t *sec, enum config_section kind, const char *name,
			size_t index)
{
	struct config_listener *listener;
	const struct preset *preset;
	struct config_upstream *u;

	switch (kind) {
	case CONFIG_TOP:
		break;
	case CONFIG_LISTENER:
		listener = config_add_listener(l->cfg, name);
		put_inherited(l, root, listener, index);
		put_section(l, sec, kind, listener, index);
		break;
	case CONFIG_UPSTREAM:
		u = config_add_upstream(l->cfg, name);
		preset = preset_of(sec);
		if (preset)
			preset_apply(preset, u);
		put_section(l, sec, kind, u, index);
		if (preset)
			preset_apply_oauth(preset, u);
		work_out_tls(l, u, index);
		break;
	case CONFIG_ROUTE:
		put_section(l, sec, kind, config_add_route(l->cfg), index);
		break;
	case CONFIG_REWRITE:
		put_section(l, sec, kind, config_add_rewrite(l->cfg), index);
		break;
	}
}

static void put_sections(struct loader *l, cfg_t *root, enum config_section kind)
{
	cfg_opt_t *opt = cfg_getopt(root, config_section_names[kind]);
	unsigned count = cfg_opt_size(opt);

	for (unsigned i = 0; i < count; i++) {
		cfg_t *sec = cfg_opt_getnsec(opt, i);
		size_t index = section_count(l->cfg, kind);
		const struct value *title;

		/* Only a syntax error right behind the brace leaves a section without one. */
		if (cfg_opt_size(cfg_getopt(sec, SOURCE_TITLE)) == 0)
			continue;
		if (i == SECTIONS_MAX) {
			source_error(&l->source, (struct source_place){ 0, 0 }, "more than %d sections %s",
				     SECTIONS_MAX, config_section_names[kind]);
			return;
		}
		title = value_at(cfg_getopt(sec, SOURCE_TITLE), 0);
		note(l, kind, index, NULL, title->line);
		if (config_section_has_name(kind))
			check_name(l, title, kind, index);
		add_section(l, root, sec, kind, title->text, index);
	}
}

/* localaddr and remoteaddr at the top level: a listener or upstream named "default". */
static void put_shorthand(struct loader *l, cfg_t *root, const struct config_option *o)
{
	cfg_opt_t *opt = cfg_getopt(root, o->key);
	const char *section = config_section_names[o->object];

	if (!is_written(opt))
		return;
	if (cfg_opt_size(cfg_getopt(root, section)) > 0) {
		unsigned line = cfg_opt_size(opt) > 0 ? value_at(opt, 0)->line : 0;

		source_error(&l->source, source_place(&l->source, line),
			     "%s and a section %s exclude each other: put it into the section", o->key,
			     section);
	} else if (o->object == CONFIG_LISTENER) {
		struct config_listener *listener = config_add_listener(l->cfg, "default");

		put_inherited(l, root, listener, 0);
		put_values(l, opt, o, listener, 0);
	} else {
		struct config_upstream *u = config_add_upstream(l->cfg, "default");

		put_values(l, opt, o, u, 0);
		work_out_tls(l, u, 0);
	}
}

/* ---- a file ----------------------------------------------------------------------- */

int config_load(struct config *cfg, const char *file, config_report *report, void *ctx)
{
	struct loader l = { .cfg = cfg };
	cfg_t *root;
	int result;

	source_init(&l.source);
	source_read(&l.source, file);
	if (l.source.text.len > 0 || l.source.error_count == 0) {
		root = parse(&l);
		put_section(&l, root, CONFIG_TOP, cfg, 0);
		for (int i = 1; i < CONFIG_SECTION_COUNT; i++)
			put_sections(&l, root, (enum config_section)i);
		for (size_t i = 0; i < config_option_count; i++)
			if (config_options[i].object != config_options[i].section)
				put_shorthand(&l, root, &config_options[i]);
		cfg_free(root);
		config_complete_mailman(cfg);
		/* After a syntax error the rest of the file is unknown: nothing can be said to be missing. */
		if (!l.syntax_error)
			check_run(cfg, &(struct check_source){ is_bad, rule_error, &l });
	}
	result = l.source.error_count > 0 ? -1 : 0;
	source_report(&l.source, report, ctx);
	source_release(&l.source);
	free(l.seen);
	return result;
}
