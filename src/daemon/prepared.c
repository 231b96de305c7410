/* SPDX-License-Identifier: ISC */
/* See prepared.h. */
#include "daemon/prepared.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/client.h"
#include "config/listener.h"
#include "config/programs.h"
#include "config/secret.h"
#include "daemon/credentials.h"
#include "daemon/generation.h"
#include "daemon/logging.h"
#include "daemon/programs.h"
#include "master/rights.h"

/* Who hears what is wrong. */
struct teller {
	config_report *report;
	void *ctx;
};

/* file NULL: there is none to be used. */
static bool secret_is_usable(const char *file, const struct teller *t)
{
	char *secret = NULL;
	struct err e;

	if (!file || secret_read(file, &secret, &e) == 0) {
		secret_free(secret);
		return true;
	}
	t->report(t->ctx, e.text);
	return false;
}

/* Whether everything the section names can be read, and this machine can do what it asks for. */
static bool upstream_is_usable(const struct config *cfg, const struct config_upstream *u,
			       const struct teller *t)
{
	struct config_client_secrets secrets;
	struct upstream_settings settings;
	struct err e;
	int result = config_client_read_secrets(&secrets, u, &e);

	if (result == 0) {
		config_client_settings(&settings, cfg, u, &u->remoteaddr[0], &secrets);
		result = u->remoteaddr[0].program ? 0 : upstream_settings_check(&settings, &e);
		config_client_release_secrets(&secrets);
	}
	if (result == 0)
		return true;
	err_prefix(&e, "upstream \"%s\"", u->name);
	t->report(t->ctx, e.text);
	return false;
}

/*
 * A secret file that cannot be used is an error at start, and of -t, and not
 * of the first delivery. Read in a process of its own that ends at once: this
 * one will fork the workers, and must never have held a secret.
 */
static bool upstreams_are_usable(const struct config *cfg, const struct teller *t)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		bool usable = secret_is_usable(cfg->auth_oauth_client_secret_file, t);

		usable = secret_is_usable(cfg->mailman_password_file, t) && usable;
		for (size_t i = 0; i < cfg->upstream_count; i++)
			usable = upstream_is_usable(cfg, &cfg->upstream[i], t) && usable;
		_exit(usable ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/*
 * The same for users that are missing: both are told, and -t tells them too. NULL: nothing changes the user.
 */
static bool users_are_there(const struct config *cfg, const struct teller *t)
{
	const char *auth_user = cfg->auth_user && strcmp(cfg->auth_user, "root") != 0 ? cfg->auth_user : NULL;
	const char *name[] = { cfg->user, cfg->smtp_user, config_offers_auth(cfg) ? auth_user : NULL,
			       config_runs_programs(cfg) ? cfg->program_user : NULL,
			       config_has_tls(cfg) ? cfg->keys_user : NULL };
	struct rights rights;
	bool there = true;
	struct err e;

	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if (name[i] && rights_of_user(&rights, name[i], &e) < 0) {
			t->report(t->ctx, e.text);
			there = false;
		}
	}
	return there;
}

/* The same for the groups of the relay's sockets. */
static bool groups_are_there(const struct config *cfg, const struct teller *t)
{
	gid_t view_gid, control_gid;
	struct err e;

	if (service_find_groups(cfg, &view_gid, &control_gid, &e) == 0)
		return true;
	t->report(t->ctx, e.text);
	return false;
}

bool machine_is_prepared(const struct config *cfg, bool warn, config_report *report, void *ctx)
{
	const struct teller t = { report, ctx };
	bool users = users_are_there(cfg, &t), groups = groups_are_there(cfg, &t),
	     upstreams = upstreams_are_usable(cfg, &t);
	bool files = service_check_files(cfg, warn, report, ctx);
	bool credentials = credentials_are_usable(cfg, report, ctx);
	bool programs = !users || programs_are_usable(cfg, report, ctx);
	bool log = logging_is_usable(cfg, report, ctx);

	return programs && users && groups && upstreams && files && credentials && log;
}
