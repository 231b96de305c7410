/* SPDX-License-Identifier: ISC */
/* See credentials.h. */
#include "daemon/credentials.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/users_file.h"
#include "daemon/service.h"
#include "master/rights.h"

bool credentials_are_configured(const struct config *cfg)
{
	return cfg->auth_users_file || cfg->auth_pam_service || cfg->auth_dovecot_socket;
}

struct auth_backend *credentials_open(const struct config *cfg, struct err *e)
{
	struct auth_backend *b = NULL;

	if (cfg->auth_users_file) {
		b = auth_users_open(cfg->auth_users_file, e);
		if (!b)
			err_prefix(e, "auth_users_file");
	} else if (cfg->auth_pam_service) {
		b = auth_pam_open(cfg->auth_pam_service, e);
		if (!b)
			err_prefix(e, "auth_pam_service");
	} else if (cfg->auth_dovecot_socket) {
		b = auth_dovecot_open(cfg->auth_dovecot_socket, e);
		if (!b)
			err_prefix(e, "auth_dovecot_socket");
	} else if (cfg->auth_oauth_introspection_url) {
		b = auth_tokens_open();
	} else {
		err_set(e, "none of auth_users_file, auth_pam_service and auth_dovecot_socket is set");
	}
	return b;
}

/* What the auth process cannot read is no use, whatever root can. */
static int become_auth_user(const struct config *cfg, struct err *e)
{
	struct rights rights;

	if (geteuid() != 0 || !cfg->auth_user || strcmp(cfg->auth_user, "root") == 0)
		return 0;
	if (rights_of_user(&rights, cfg->auth_user, e) < 0)
		return -1;
	rights_add_groups_of(&rights, cfg->auth_user);
	return rights_drop(&rights, e);
}

static bool look(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx)
{
	struct users_summary sum = { .wrong = 0 };
	struct auth_backend *b;
	struct users_file f;
	struct err e;

	b = become_auth_user(cfg, &e) == 0 ? credentials_open(cfg, &e) : NULL;
	if (!b) {
		if (cfg->auth_user && geteuid() != 0)
			err_prefix(&e, "as user \"%s\" (auth_user)", cfg->auth_user);
		report(ctx, e.text);
		return false;
	}
	b->ops->close(b);
	if (cfg->auth_users_file && users_file_read(&f, cfg->auth_users_file, &e) == 0) {
		users_file_check(&f, &sum, report, ctx);
		users_file_release(&f);
	}
	return sum.wrong == 0;
}

bool credentials_are_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx)
{
	int status = 0;
	pid_t pid;

	/*
	 * without AUTH nobody reads them: the users may be made first, and the account of the process later; that it is
	 * missing is told by who looks at all accounts
	 */
	if (!credentials_are_configured(cfg) || !config_offers_auth(cfg) ||
	    (geteuid() == 0 && cfg->auth_user && !getpwnam(cfg->auth_user)))
		return true;
	pid = fork();
	if (pid == 0)
		_exit(look(cfg, report, ctx) ? EXIT_SUCCESS : EXIT_FAILURE);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
