/* SPDX-License-Identifier: ISC */
/*
 * posthouse user list: who is in the users file, what is known of each, and what is wrong. No secret is
 * shown.
 */
#include <stdio.h>
#include <string.h>

#include "auth/users_file.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/user.h"

enum column { COL_USER, COL_CREDENTIALS, COL_NOTE };

static const struct table_column columns[] = {
	[COL_USER] = { "USER", TABLE_LEFT, 0 },
	[COL_CREDENTIALS] = { "CREDENTIALS", TABLE_LEFT, 0 },
	[COL_NOTE] = { "NOTE", TABLE_LEFT, 16 },
};
#define COL_COUNT (sizeof(columns) / sizeof(columns[0]))

struct listing_of_users {
	const struct user_job *job;
	struct users_file file;
	bool all_good; /* then no line need be looked up again */
	struct table table;
	size_t shown;
};

/* The line's user; what is wrong with it in e->text, else "". */
static void look(struct listing_of_users *l, const struct users_cursor *at, struct users_entry *u,
		 struct err *e)
{
	struct users_entry again;

	e->text[0] = '\0';
	memset(u, 0, sizeof(*u));
	if (users_line_parse(at->line, at->len, u, e) < 0) {
		err_prefix(e, "line %u", at->number);
		return;
	}
	e->text[0] = '\0';
	if (!l->all_good && users_file_find(&l->file, u->name, &again, e) != USERS_UNUSABLE)
		e->text[0] = '\0';
	users_entry_cleanse(&again);
}

static void put_json(const struct users_cursor *at, const struct users_entry *u, const char *name,
		     const char *error)
{
	json_t *o = json_object(), *known = json_array();

	json_put_key(o, "user", json_text(name, strlen(name)));
	for (size_t i = 0; i < u->count; i++)
		json_append_new(known, json_string(credential_name(&u->credential[i])));
	json_put_key(o, "credentials", known);
	json_put_key(o, "locked", u->count ? json_boolean(users_entry_locked(u) != NULL) : json_null());
	json_put_key(o, "line", json_integer(at->number));
	json_put_key(o, "error", json_text_or_null(error[0] ? error : NULL));
	json_put(o, JSON_ONE_LINE, stdout);
	json_decref(o);
}

static void put_row(struct listing_of_users *l, const struct users_entry *u, const char *name,
		    const char *error)
{
	const char *locked = u->count ? users_entry_locked(u) : NULL;
	struct buf cell[COL_COUNT];
	const char *text[COL_COUNT];

	for (size_t i = 0; i < COL_COUNT; i++)
		buf_init(&cell[i], 4096);
	term_escapes(&l->job->cli->out, name, &cell[COL_USER]);
	for (size_t i = 0; i < u->count; i++)
		buf_addf(&cell[COL_CREDENTIALS], "%s%s", i ? ", " : "", credential_name(&u->credential[i]));
	if (error[0] || locked)
		term_escapes(&l->job->cli->out, error[0] ? error : "may not log in", &cell[COL_NOTE]);
	for (size_t i = 0; i < COL_COUNT; i++)
		text[i] = cell[i].data;
	table_row(&l->table, text);
	for (size_t i = 0; i < COL_COUNT; i++)
		buf_release(&cell[i]);
}

static void put_user(struct listing_of_users *l, const struct users_cursor *at)
{
	char name[AUTH_USER_MAX];
	struct users_entry u;
	struct err e;

	snprintf(name, sizeof(name), "%.*s",
		 (int)(at->name_len < sizeof(name) ? at->name_len : sizeof(name) - 1), at->name);
	look(l, at, &u, &e);
	if (l->job->json)
		put_json(at, &u, name, e.text);
	else
		put_row(l, &u, name, e.text);
	users_entry_cleanse(&u);
	l->shown++;
}

static enum cli_status put_all(struct listing_of_users *l)
{
	struct users_cursor at = { 0 };
	struct users_summary sum;

	users_file_check(&l->file, &sum, NULL, NULL);
	l->all_good = sum.wrong == 0;
	if (!l->job->json)
		table_begin(&l->table, columns, COL_COUNT, &l->job->cli->out, stdout);
	while (cli_output_is_open() && users_file_next(&l->file, &at))
		if (!l->job->spelt || users_cursor_is(&at, l->job->name))
			put_user(l, &at);
	if (!l->job->json)
		table_end(&l->table);
	if (l->job->spelt && !l->shown) {
		cli_error("%s: there is no user %s", l->job->file, l->job->name);
		return CLI_NOTHING;
	}
	return l->all_good ? CLI_DONE : CLI_NOTHING;
}

enum cli_status user_list(const struct user_job *job)
{
	struct listing_of_users l = { .job = job };
	enum cli_status status;
	struct err e;

	if (users_file_read(&l.file, job->file, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	status = put_all(&l);
	users_file_release(&l.file);
	return status;
}
