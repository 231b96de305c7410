/* SPDX-License-Identifier: ISC */
/* posthouse user add, passwd, remove. The password is asked for first, and only then the file locked. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/prep.h"
#include "auth/users_edit.h"
#include "cli/password.h"
#include "cli/user.h"

struct kept {
	struct credential credential[USERS_CREDENTIALS_MAX];
	size_t count;
};

static enum cli_status fail(const struct err *e)
{
	cli_error("%s", e->text);
	return CLI_UNREACHABLE;
}

static enum cli_status exists(const struct user_job *job)
{
	cli_error("%s: user %s is there already: 'posthouse user passwd' changes the password", job->file,
		  job->name);
	return CLI_NOTHING;
}

static enum cli_status unknown(const struct user_job *job)
{
	cli_error("%s: there is no user %s", job->file, job->name);
	return CLI_NOTHING;
}

/* ---- the password ---------------------------------------------------------------------- */

static int make(const struct user_keep *keep, const char *password, struct kept *out, struct err *e)
{
	out->count = 0;
	if (keep->method &&
	    credential_make_crypt(&out->credential[out->count++], keep->method, password, e) < 0)
		return -1;
	if (keep->scram &&
	    credential_make_scram(&out->credential[out->count++], keep->iterations, password, e) < 0)
		return -1;
	if (keep->clear && credential_make_clear(&out->credential[out->count++], password, e) < 0)
		return -1;
	return 0;
}

static int take_password(const struct user_job *job, struct kept *out, struct err *e)
{
	char typed[AUTH_PASSWORD_MAX] = "", *prepared = NULL;
	int result = job->from_stdin ? password_read(typed, sizeof(typed), e)
				     : password_ask(job->name, typed, sizeof(typed), e);

	if (result == 0 && prep_text(typed, PREP_STORE, &prepared, e) < 0) {
		err_prefix(e, "this cannot be a password");
		result = -1;
	}
	if (result == 0 && !prepared[0]) {
		err_set(e, "the password is empty");
		result = -1;
	}
	if (result == 0)
		result = make(&job->keep, prepared, out, e);
	prep_free(prepared);
	explicit_bzero(typed, sizeof(typed));
	return result;
}

/* ---- before anything is asked --------------------------------------------------------------- */

/* Whether the user is in the file now; -1 and e: it cannot be read. */
static int is_there(const struct user_job *job, bool *there, bool *no_file, struct err *e)
{
	struct users_cursor at = { 0 };
	struct users_file f;

	*there = *no_file = false;
	if (users_file_read(&f, job->file, e) < 0) {
		*no_file = e->os_error == ENOENT;
		return *no_file ? 0 : -1;
	}
	while (!*there && users_file_next(&f, &at))
		*there = users_cursor_is(&at, job->name);
	users_file_release(&f);
	return 0;
}

/* A file that is made is for the auth process to read, if there is one with a user of its own. */
static struct users_edit_new rights_of_new(const struct user_job *job)
{
	const struct passwd *p = geteuid() == 0 ? getpwnam(job->auth_user) : NULL;

	return p ? (struct users_edit_new){ 0640, p->pw_gid } : (struct users_edit_new){ 0600, (gid_t)-1 };
}

static enum cli_status commit(struct users_edit *x, const struct user_job *job, const char *done)
{
	struct buf name;
	struct err e;

	if (users_edit_commit(x, &e) < 0)
		return fail(&e);
	buf_init(&name, 4 * AUTH_USER_MAX);
	term_escapes(&job->cli->out, job->name, &name);
	printf("%s %s\n", done, name.data);
	buf_release(&name);
	return CLI_DONE;
}

static enum cli_status add(const struct user_job *job, const struct kept *kept)
{
	struct users_edit_new create = rights_of_new(job);
	struct users_edit x;
	struct err e;

	if (users_edit_begin(&x, job->file, &create, &e) < 0)
		return fail(&e);
	if (users_edit_add(&x, job->name, kept->credential, kept->count) == USERS_EDIT_DONE)
		return commit(&x, job, "added");
	users_edit_abort(&x);
	return exists(job);
}

static enum cli_status change(const struct user_job *job, const struct kept *kept)
{
	enum users_edit_result r;
	struct users_edit x;
	struct err e = { 0, "" };

	if (users_edit_begin(&x, job->file, NULL, &e) < 0)
		return fail(&e);
	r = users_edit_change(&x, job->name, kept->credential, kept->count, &e);
	if (r == USERS_EDIT_DONE)
		return commit(&x, job, "changed the password of");
	users_edit_abort(&x);
	return r == USERS_EDIT_FAILED ? fail(&e) : unknown(job);
}

/* ---- the actions ------------------------------------------------------------------------------ */

enum cli_status user_add(const struct user_job *job)
{
	enum cli_status status = CLI_UNREACHABLE;
	bool there, no_file;
	struct kept kept;
	struct err e;

	if (is_there(job, &there, &no_file, &e) < 0)
		return fail(&e);
	if (there)
		return exists(job);
	if (take_password(job, &kept, &e) == 0)
		status = add(job, &kept);
	else
		fail(&e);
	explicit_bzero(&kept, sizeof(kept));
	return status;
}

enum cli_status user_passwd(const struct user_job *job)
{
	enum cli_status status = CLI_UNREACHABLE;
	bool there, no_file;
	struct kept kept;
	struct err e;

	if (is_there(job, &there, &no_file, &e) < 0 || no_file)
		return fail(&e);
	if (!there)
		return unknown(job);
	if (take_password(job, &kept, &e) == 0)
		status = change(job, &kept);
	else
		fail(&e);
	explicit_bzero(&kept, sizeof(kept));
	return status;
}

enum cli_status user_remove(const struct user_job *job)
{
	struct users_edit x;
	struct err e;

	if (users_edit_begin(&x, job->file, NULL, &e) < 0)
		return fail(&e);
	if (users_edit_remove(&x, job->name) == USERS_EDIT_DONE)
		return commit(&x, job, "removed");
	users_edit_abort(&x);
	return unknown(job);
}
