/* SPDX-License-Identifier: ISC */
/* See local.h. The table, and the checks of what the configuration names. */
#include "doctor/local.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/listener.h"
#include "config/options.h"
#include "config/programs.h"
#include "config/secret.h"
#include "config/types.h"

const struct doctor_check doctor_local_checks[] = {
	{ "configuration", NULL, NULL, check_configuration },
	{ "users", "configuration", NULL, check_users },
	{ "secrets", "configuration", NULL, check_secrets },
	{ "files", "configuration", NULL, check_files },
	{ "spool", "configuration", NULL, check_spool },
	{ "filesystem", "spool", NULL, check_filesystem },
	{ "space", "spool", NULL, check_space },
	{ "daemon", "configuration", NULL, check_daemon },
	{ "listeners", "configuration", NULL, check_listeners },
	{ "certificates", "configuration", NULL, check_certificates },
	{ "tables", "configuration", NULL, check_tables },
	{ "logins", "configuration", NULL, check_logins },
	{ "programs", "configuration", NULL, check_programs },
	{ "mailman", "configuration", NULL, check_mailman },
	{ "hostname", "configuration", NULL, check_hostname },
	{ "clock", NULL, NULL, check_clock },
	{ "limits", "configuration", NULL, check_limits },
	{ "sandbox", "configuration", NULL, check_sandbox },
};
const size_t doctor_local_check_count = sizeof(doctor_local_checks) / sizeof(doctor_local_checks[0]);

/* ---- configuration -------------------------------------------------------------------- */

/* What is right only for a while, and is forgotten. */
static void switches(const struct config *cfg, struct findings *f)
{
	if (cfg->redirect_all) {
		finding_add(f, FINDING_WARNING, "redirect_all: every message goes to %s, and to nobody else",
			    cfg->redirect_all);
		finding_advise(f, "that is for rehearsals: take it out for mail to reach its recipients");
	}
	if (cfg->relay_from_anyone) {
		finding_add(f, FINDING_WARNING, "relay_from_anyone: relay_from may let everyone relay");
		finding_advise(f, "an open relay is found in hours, and its address listed: name your "
				  "networks in relay_from");
	}
}

void check_configuration(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	struct stat st;

	if (!d->config_file) {
		finding_add(
			f, FINDING_WARNING,
			"there is no configuration file that this user may read: the defaults are looked at");
		finding_advise(f, "name the file with --config, or run it as root");
		return;
	}
	for (size_t i = 0; i < d->config_error_count; i++)
		finding_add(f, FINDING_FAILED, "%s", d->config_error[i]);
	if (d->config_error_count > 0) {
		finding_advise(f, "posthoused will not start with it; posthouse.conf(5) has all keys, "
				  "`posthoused -t` checks again");
		return;
	}
	finding_add(f, FINDING_OK, "%s: %zu listener%s, %zu upstream%s, %zu route%s", d->config_file,
		    d->cfg->listener_count, d->cfg->listener_count == 1 ? "" : "s", d->cfg->upstream_count,
		    d->cfg->upstream_count == 1 ? "" : "s", d->cfg->route_count,
		    d->cfg->route_count == 1 ? "" : "s");
	switches(d->cfg, f);
	if (stat(d->config_file, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH))) {
		finding_add(f, FINDING_WARNING, "%s can be written by others than its owner (mode %04o)",
			    d->config_file, (unsigned)st.st_mode & 07777);
		finding_advise(f, "who changes it decides where mail goes: chmod go-w %s", d->config_file);
	}
}

/* ---- users and groups ------------------------------------------------------------------- */

static void account(const struct doctor_local *d, struct findings *f, const char *key, const char *name,
		    bool group)
{
	/* an ordinary user's daemon changes neither */
	enum finding_level missing = d->world->euid == 0 ? FINDING_FAILED : FINDING_WARNING;
	bool found = group ? getgrnam(name) != NULL : getpwnam(name) != NULL;

	if (found) {
		const struct passwd *pw = group ? NULL : getpwnam(name);

		if (pw && pw->pw_uid == 0) {
			finding_add(f, FINDING_FAILED, "%s: \"%s\" is root", key, name);
			finding_advise(f, "name a user with less rights");
		} else {
			finding_add(f, FINDING_OK, "%s: %s \"%s\" exists", key, group ? "group" : "user",
				    name);
		}
		return;
	}
	finding_add(f, missing, "%s: there is no %s \"%s\"", key, group ? "group" : "user", name);
	if (group)
		finding_advise(f, "groupadd --system %s", name);
	else
		finding_advise(f,
			       "posthoused needs it when started as root: useradd --system --user-group "
			       "--no-create-home "
			       "--shell /usr/sbin/nologin %s",
			       name);
}

void check_users(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;

	/* all keys of the top level that name one, whoever added them */
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		const char *name;

		if (o->section != CONFIG_TOP || o->object != CONFIG_TOP ||
		    (o->type != &config_type_account && o->type != &config_type_group))
			continue;
		name = *(char *const *)(const void *)((const char *)d->cfg + o->offset);
		/* it runs only where clients may log in, and may be root, for PAM */
		if (name && o->offset == offsetof(struct config, auth_user) &&
		    (!config_offers_auth(d->cfg) || strcmp(name, "root") == 0))
			continue;
		if (name && o->offset == offsetof(struct config, program_user) &&
		    !config_runs_programs(d->cfg))
			continue;
		if (name && o->offset == offsetof(struct config, keys_user) && !config_has_tls(d->cfg))
			continue;
		if (name)
			account(d, f, o->key, name, o->type == &config_type_group);
	}
}

/* ---- secrets ---------------------------------------------------------------------------- */

/* Keys whose file holds a secret on a line. */
static const char *const secret_keys[] = { "password_file", "proxy_password_file", "oauth_client_secret_file",
					   "auth_oauth_client_secret_file", "mailman_password_file" };

static bool is_secret_key(const char *key)
{
	for (size_t i = 0; i < sizeof(secret_keys) / sizeof(secret_keys[0]); i++)
		if (strcmp(secret_keys[i], key) == 0)
			return true;
	return false;
}

static void owner_of_secret(const struct doctor_local *d, struct findings *f, const char *file)
{
	struct stat st;
	const struct passwd *pw;

	if (stat(file, &st) != 0 || st.st_uid == 0 || st.st_uid == d->world->euid)
		return;
	pw = getpwnam(d->cfg->user ? d->cfg->user : "");
	if (pw && pw->pw_uid == st.st_uid)
		return;
	pw = getpwuid(st.st_uid);
	finding_add(f, FINDING_WARNING, "%s belongs to %s", file,
		    pw ? pw->pw_name : "a user that does not exist");
	finding_advise(f, "who owns it can read and change it: chown root %s", file);
}

static void secret(const struct doctor_local *d, struct findings *f, const char *what, const char *file)
{
	char *text = NULL;
	size_t len;
	struct err e;

	if (secret_is_elsewhere(file)) {
		finding_add(f, FINDING_SKIPPED, "%s: %s is known to the service only: systemd hands it over",
			    what, file);
		return;
	}
	if (secret_read(file, &text, &e) < 0) {
		bool denied = e.os_error == EACCES && d->world->euid != 0;

		finding_add(f, denied ? FINDING_WARNING : FINDING_FAILED, "%s: %s", what, e.text);
		if (denied)
			finding_advise(
				f, "started as root posthoused can read it; to look at it, run this as root");
		else if (e.os_error == ENOENT)
			finding_advise(
				f, "install -m 600 /dev/null %s, then write the secret into it, on one line",
				file);
		else
			finding_advise(f, "posthoused will not start before that is put right");
		return;
	}
	len = strlen(text);
	if (text[0] == ' ' || text[0] == '\t' || text[len - 1] == ' ' || text[len - 1] == '\t') {
		finding_add(f, FINDING_WARNING,
			    "%s: secret file %s begins or ends with a blank, which belongs to the secret",
			    what, file);
		finding_advise(f, "take it out if it got there by mistake");
	} else {
		finding_add(f, FINDING_OK, "%s: %s can be read, and not by everyone", what, file);
	}
	secret_free(text);
	owner_of_secret(d, f, file);
}

/* The secrets of one object of the configuration. */
static void secrets_of(const struct doctor_local *d, struct findings *f, enum config_section section,
		       const void *object, const char *name)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		const char *file;
		char what[200];

		if (o->section != section || o->object != section || o->type->list || !is_secret_key(o->key))
			continue;
		file = *(char *const *)(const void *)((const char *)object + o->offset);
		snprintf(what, sizeof(what), name ? "%s of upstream \"%s\"" : "%s", o->key, name);
		if (file)
			secret(d, f, what, file);
	}
}

void check_secrets(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;

	secrets_of(d, f, CONFIG_TOP, d->cfg, NULL);
	for (size_t i = 0; i < d->cfg->upstream_count; i++)
		secrets_of(d, f, CONFIG_UPSTREAM, &d->cfg->upstream[i], d->cfg->upstream[i].name);
}

/* ---- other files -------------------------------------------------------------------------- */

/* Files that must be there and readable: key, and what is lost without it. */
static const struct {
	const char *key, *without;
} file_keys[] = {
	{ "tls_ca_file", "no upstream certificate can be verified" },
	{ "oauth_ca_file", "no token can be got" },
	{ "auth_oauth_ca_file", "no client can log in with a token" },
};

static void file(const struct doctor_local *d, struct findings *f, const char *key, const char *without,
		 const char *path)
{
	struct stat st;
	int r = stat(path, &st);

	if (r == 0 && !S_ISREG(st.st_mode)) {
		finding_add(f, FINDING_FAILED, "%s: %s is not a regular file", key, path);
	} else if (r != 0 || access(path, R_OK) != 0) {
		bool denied = errno == EACCES && d->world->euid != 0;

		finding_add(f, denied ? FINDING_WARNING : FINDING_FAILED, "%s: %s: %s", key, path,
			    strerror(errno));
		if (denied)
			finding_advise(f, "to look at it, run this as root");
		else
			finding_advise(f, "without it %s", without);
	} else if (st.st_size == 0) {
		finding_add(f, FINDING_WARNING, "%s: %s is empty", key, path);
	} else if (st.st_mode & S_IWOTH) {
		finding_add(f, FINDING_FAILED, "%s: %s can be written by everyone (mode %04o)", key, path,
			    (unsigned)st.st_mode & 07777);
		finding_advise(f, "chmod o-w %s", path);
	} else {
		finding_add(f, FINDING_OK, "%s: %s can be read", key, path);
	}
}

static void files_of(const struct doctor_local *d, struct findings *f, enum config_section section,
		     const void *object)
{
	for (size_t k = 0; k < sizeof(file_keys) / sizeof(file_keys[0]); k++) {
		const struct config_option *o =
			config_option_find(section, file_keys[k].key, strlen(file_keys[k].key));
		const char *path;

		if (!o || o->object != section || o->type != &config_type_path)
			continue;
		path = *(char *const *)(const void *)((const char *)object + o->offset);
		if (path)
			file(d, f, o->key, file_keys[k].without, path);
	}
}

/* A file or folder that posthoused makes: the folder it is in must be there, and is not made. */
static void folder_of(struct findings *f, const char *key, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char folder[4096];
	struct stat st;

	if (!slash || slash == path || (size_t)(slash - path) >= sizeof(folder))
		return;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	if (stat(folder, &st) == 0 || errno != ENOENT)
		return;
	finding_add(f, FINDING_FAILED, "%s: %s: there is no folder %s", key, path, folder);
	finding_advise(f,
		       "posthoused does not start before it is made: mkdir %s (what is in /run is gone after "
		       "a reboot)",
		       folder);
}

void check_files(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;

	folder_of(f, "pid_file", d->cfg->pid_file);
	folder_of(f, "outbox", d->cfg->outbox);
	files_of(d, f, CONFIG_TOP, d->cfg);
	for (size_t i = 0; i < d->cfg->upstream_count; i++)
		files_of(d, f, CONFIG_UPSTREAM, &d->cfg->upstream[i]);
}
