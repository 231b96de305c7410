/* SPDX-License-Identifier: ISC */
/*
 * The users file as a backend (backend.h). Verifying takes a hashing for
 * everybody: who does not exist, or may not log in, costs the same time.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/backend.h"
#include "auth/prep.h"
#include "auth/users_file.h"
#include "base/alloc.h"

struct users_backend {
	struct auth_backend backend;
	char *path;
};

static const char *path_of(const struct auth_backend *b)
{
	return ((const struct users_backend *)b)->path;
}

/*
 * SCRAM is offered when everybody who can log in has a verifier (a client that finds it takes it, and mostly
 * does not fall back); CRAM-MD5, which somebody asked for by storing a password, when anybody has one.
 */
static int users_mechanisms(struct auth_backend *b, struct buf *out, struct err *e)
{
	struct users_summary sum;
	struct users_file f;

	if (users_file_read(&f, path_of(b), e) < 0)
		return -1;
	users_file_check(&f, &sum, NULL, NULL);
	users_file_release(&f);
	buf_adds(out, "PLAIN LOGIN");
	if (sum.users > 0 && sum.with_scram == sum.users)
		buf_adds(out, " SCRAM-SHA-256");
	if (sum.with_clear > 0)
		buf_adds(out, " CRAM-MD5");
	return 0;
}

/* As long as for somebody who exists. */
static void pass_time(const struct users_file *f, const char *name, const char *password)
{
	struct users_entry u;
	struct credential dummy;
	struct err e;

	if (users_file_stand_in(f, name, &u)) {
		(void)credential_matches(&u.credential[0], password);
		users_entry_cleanse(&u);
	} else if (credential_make_dummy(&dummy, &e) == 0) {
		credential_cleanse(&dummy); /* making it was the hashing */
	}
}

static enum auth_result judge(const struct users_file *f, const struct users_entry *u, const char *password,
			      char user[AUTH_USER_MAX], struct err *e)
{
	const char *locked = users_entry_locked(u);

	if (locked) {
		err_set(e, "user %s may not log in (%s in %s)", u->name, locked, f->path);
		pass_time(f, u->name, password);
		return AUTH_FAILED;
	}
	/* RFC 4616 2: no empty passwords */
	if (!credential_matches(&u->credential[0], password) || !password[0]) {
		err_set(e, "wrong password");
		return AUTH_FAILED;
	}
	memcpy(user, u->name, sizeof(u->name));
	return AUTH_OK;
}

static enum auth_result users_verify(struct auth_backend *b, const struct auth_client *client,
				     const char *name, const char *password, char user[AUTH_USER_MAX],
				     struct err *e)
{
	enum auth_result result = AUTH_FAILED;
	char prepared[AUTH_USER_MAX] = "";
	struct users_entry u;
	struct users_file f;

	(void)client;
	if (users_file_read(&f, path_of(b), e) < 0)
		return AUTH_TEMPORARY;
	if (prep_name(name, PREP_QUERY, prepared, e) < 0) {
		err_set(e, "this cannot be the name of a user");
		pass_time(&f, "", password);
		users_file_release(&f);
		return AUTH_FAILED;
	}
	switch (users_file_find(&f, prepared, &u, e)) {
	case USERS_FOUND:
		result = judge(&f, &u, password, user, e);
		users_entry_cleanse(&u);
		break;
	case USERS_UNKNOWN:
		err_set(e, "unknown user");
		pass_time(&f, prepared, password);
		break;
	case USERS_UNUSABLE:
		pass_time(&f, prepared, password);
		break;
	}
	users_file_release(&f);
	return result;
}

/* ---- secrets --------------------------------------------------------------------------- */

static enum auth_result give(const struct users_entry *u, const char *path, struct auth_secret *out,
			     struct err *e)
{
	const struct credential *scram = users_entry_find(u, CREDENTIAL_SCRAM);
	const struct credential *clear = users_entry_find(u, CREDENTIAL_CLEAR);
	const char *locked = users_entry_locked(u);

	memcpy(out->user, u->name, sizeof(out->user));
	if (locked) {
		err_set(e, "user %s may not log in (%s in %s)", u->name, locked, path);
		return AUTH_FAILED;
	}
	if (!scram && !clear) {
		err_set(e, "user %s has no secret for this mechanism in %s: 'posthouse user passwd' makes it",
			u->name, path);
		return AUTH_FAILED;
	}
	if (scram) {
		out->has_scram_sha256 = true;
		out->iterations = scram->iterations;
		memcpy(out->salt, scram->salt, sizeof(out->salt));
		memcpy(out->stored_key, scram->stored_key, sizeof(out->stored_key));
		memcpy(out->server_key, scram->server_key, sizeof(out->server_key));
	}
	if (clear)
		memcpy(out->password, clear->clear, sizeof(out->password));
	return AUTH_OK;
}

/* What is made up for somebody who does not exist must not be told from what is there. */
static void give_iterations(const struct users_file *f, const char *name, struct auth_secret *out)
{
	const struct credential *scram;
	struct users_entry u;

	if (!users_file_stand_in(f, name, &u))
		return;
	scram = users_entry_find(&u, CREDENTIAL_SCRAM);
	out->iterations = scram ? scram->iterations : 0;
	users_entry_cleanse(&u);
}

static enum auth_result users_lookup(struct auth_backend *b, const char *name, struct auth_secret *out,
				     struct err *e)
{
	enum auth_result result = AUTH_FAILED;
	char prepared[AUTH_USER_MAX];
	struct users_entry u;
	struct users_file f;

	memset(out, 0, sizeof(*out));
	if (users_file_read(&f, path_of(b), e) < 0)
		return AUTH_TEMPORARY;
	if (prep_name(name, PREP_QUERY, prepared, e) < 0) {
		err_set(e, "this cannot be the name of a user");
		users_file_release(&f);
		return AUTH_FAILED;
	}
	switch (users_file_find(&f, prepared, &u, e)) {
	case USERS_FOUND:
		result = give(&u, f.path, out, e);
		users_entry_cleanse(&u);
		break;
	case USERS_UNKNOWN:
		err_set(e, "unknown user");
		break;
	case USERS_UNUSABLE:
		break;
	}
	if (result != AUTH_OK)
		give_iterations(&f, prepared, out);
	users_file_release(&f);
	return result;
}

static void users_close(struct auth_backend *b)
{
	struct users_backend *users = (struct users_backend *)b;

	free(users->path);
	free(users);
}

static const struct auth_backend_ops users_ops = {
	.name = "users file",
	.mechanisms = users_mechanisms,
	.verify = users_verify,
	.lookup = users_lookup,
	.close = users_close,
	.hashes = true,
};

struct auth_backend *auth_users_open(const char *file, struct err *e)
{
	struct users_backend *users;
	struct users_file f;

	if (users_file_read(&f, file, e) < 0)
		return NULL;
	users_file_release(&f);
	users = mem_alloc(sizeof(*users));
	users->backend.ops = &users_ops;
	users->path = mem_strdup(file);
	return &users->backend;
}
