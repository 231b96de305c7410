/* SPDX-License-Identifier: ISC */
/*
 * Checks of what clients meet: certificates of listeners, tables of who may do what, aliases, and where
 * log-ins are verified; with the code that the daemon reads them with. See local.h.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access/access.h"
#include "auth/users_file.h"
#include "base/clock.h"
#include "base/endpoint.h"
#include "base/url.h"
#include "config/listener.h"
#include "config/secret.h"
#include "doctor/local.h"
#include "listener/tls.h"
#include "rewrite/aliases.h"
#include "smtp/mechanism.h"

#define DAY_US INT64_C(86400000000)

/* What keeps us from looking is no failure of what we would look at. */
static void cannot_use(const struct doctor_local *d, struct findings *f, const struct err *e,
		       const char *advice)
{
	bool denied = e->os_error == EACCES && d->world->euid != 0;

	finding_add(f, denied ? FINDING_WARNING : FINDING_FAILED, "%s", e->text);
	finding_advise(f, "%s", denied ? "to look at it, run this as root" : advice);
}

/* ---- certificates of listeners ------------------------------------------------------------- */

static void certificate(const struct doctor_local *d, struct findings *f, const struct config_listener *l,
			const struct tls_certificate *c)
{
	int64_t left = c->ends_wall_us - d->world->now_wall_us(d->world->ctx);
	char until[CLOCK_UTC_MAX];

	if (c->ends_wall_us == INT64_MAX)
		snprintf(until, sizeof(until), "(unknown)");
	else
		clock_format_utc(c->ends_wall_us, until);
	until[10] = '\0'; /* the date */
	/* one that is over was refused before */
	if (left < d->cfg->tls_expiry_warning_ms * 1000) {
		finding_add(f, FINDING_WARNING, "listener \"%s\": %s (%s, %s) ends at %s, in %lld days",
			    l->name, c->file, c->names, c->key_type, until, (long long)(left / DAY_US));
		finding_advise(f, "renew it; posthoused takes the new files over by itself");
	} else {
		finding_add(f, FINDING_OK, "listener \"%s\": %s (%s, %s), until %s", l->name, c->file,
			    c->names, c->key_type, until);
	}
}

/* Files that systemd hands over are none that we could look at. */
static bool is_elsewhere(struct findings *f, const char *what, const char *file)
{
	if (!file || !secret_is_elsewhere(file))
		return false;
	finding_add(f, FINDING_SKIPPED, "%s: %s is known to the service only: systemd hands it over", what,
		    file);
	return true;
}

static bool certificates_are_elsewhere(struct findings *f, const struct config_listener *l)
{
	bool elsewhere = is_elsewhere(f, "tls_client_ca", l->tls_client_ca);

	for (size_t i = 0; i < l->tls_cert_count; i++)
		elsewhere = is_elsewhere(f, "tls_cert", l->tls_cert[i]) || elsewhere;
	for (size_t i = 0; i < l->tls_key_count; i++)
		elsewhere = is_elsewhere(f, "tls_key", l->tls_key[i]) || elsewhere;
	return elsewhere;
}

void check_certificates(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;

	for (size_t i = 0; i < d->cfg->listener_count; i++) {
		const struct config_listener *l = &d->cfg->listener[i];
		struct tls_settings settings = config_listener_tls(l);
		struct tls_certificate c;
		struct tls_server *server;
		struct err e;

		if (l->tls_cert_count == 0 || l->tls == SESSION_TLS_NONE || certificates_are_elsewhere(f, l))
			continue; /* nobody asks for it there */
		settings.in_date = true;
		server = tls_server_new(&settings, &e);
		if (!server) {
			err_prefix(&e, "listener \"%s\"", l->name);
			cannot_use(d, f, &e,
				   "posthoused does not start with it (but with one that is out of date), "
				   "and a running one keeps the old");
			continue;
		}
		for (size_t k = 0; tls_server_certificate(server, k, &c); k++)
			certificate(d, f, l, &c);
		tls_server_free(server);
	}
}

/* ---- tables and aliases ---------------------------------------------------------------------- */

static void take_error(void *ctx, const char *message)
{
	finding_add(ctx, FINDING_FAILED, "%s", message);
	finding_advise(ctx, "posthoused does not start with it, and a running one keeps the old");
}

static void aliases(const struct doctor_local *d, struct findings *f)
{
	const struct config *cfg = d->cfg;
	const char *const usual[] = { cfg->hostname, "localhost", "localhost.localdomain" };
	struct aliases_setup setup = { usual, sizeof(usual) / sizeof(usual[0]), cfg->max_recipients };
	struct aliases *a;

	if (cfg->alias_domains_count > 0) {
		setup.domain = (const char *const *)cfg->alias_domains;
		setup.domain_count = cfg->alias_domains_count;
	}
	a = aliases_load(cfg->aliases, &setup, take_error, f);
	if (a)
		finding_add(f, FINDING_OK, "aliases: %s has %zu", cfg->aliases, aliases_count(a));
	aliases_free(a);
}

void check_tables(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	const struct config *cfg = d->cfg;
	const struct access_files files = { .rules = { [RULES_CLIENT] = cfg->client_access,
						       [RULES_SENDER] = cfg->sender_access,
						       [RULES_RECIPIENT] = cfg->recipient_access },
					    .owners = cfg->auth_senders,
					    .may_hold = config_has_spool(cfg) };
	struct access_tables tables;

	if (cfg->client_access || cfg->sender_access || cfg->recipient_access || cfg->auth_senders) {
		memset(&tables, 0, sizeof(tables));
		if (access_tables_load(&tables, &files, take_error, f) == 0) {
			finding_add(f, FINDING_OK,
				    "the tables of clients, senders and recipients can be used");
			access_tables_release(&tables);
		}
	}
	if (cfg->aliases)
		aliases(d, f);
}

/* ---- log-ins ------------------------------------------------------------------------------- */

/*
 * What the auth process reads, or connects to, it does with its own rights, at each log-in. Folders above it
 * and all groups of that user count, so a child tries it. 0, or the errno.
 */
int doctor_error_for_user(const char *file, int mode, const struct passwd *pw)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 ||
		    setuid(pw->pw_uid) < 0)
			_exit(0); /* not known to be wrong */
		_exit(access(file, mode) < 0 ? errno : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 0;
	return WEXITSTATUS(status);
}

/* The auth process' user; NULL: it is not another one than ours, or not known. */
static const struct passwd *auth_user(const struct doctor_local *d)
{
	const struct passwd *pw =
		d->cfg->auth_user && d->world->euid == 0 ? getpwnam(d->cfg->auth_user) : NULL;

	return pw && pw->pw_uid != 0 ? pw : NULL;
}

static void reading_as_auth_user(const struct doctor_local *d, struct findings *f, const char *file)
{
	const char *user = d->cfg->auth_user;
	const struct passwd *pw = auth_user(d);
	const struct group *gr;
	int error;

	if (!pw)
		return;
	error = doctor_error_for_user(file, R_OK, pw);
	if (error == 0)
		return;
	finding_add(f, FINDING_FAILED, "%s cannot be read by user \"%s\", who verifies log-ins: %s", file,
		    user, strerror(error));
	gr = getgrgid(pw->pw_gid);
	finding_advise(
		f, "chgrp %s %s; chmod 640 %s; and `namei -l %s` shows whether a folder keeps that user out",
		gr ? gr->gr_name : user, file, file, file);
}

static void take_user_error(void *ctx, const char *message)
{
	finding_add(ctx, FINDING_FAILED, "%s", message);
	finding_advise(ctx, "that user cannot log in: posthouse user puts it right");
}

/*
 * Clients that know it mostly take it first, and then fail for everybody whose password is not kept
 * (posthouse-users(5)).
 */
static void cram_md5(const struct doctor_local *d, struct findings *f, const struct users_summary *sum)
{
	if (sum->with_clear == 0 || sum->with_clear == sum->users)
		return;
	for (size_t i = 0; i < d->cfg->listener_count; i++) {
		const struct config_listener *l = &d->cfg->listener[i];

		if (l->auth == SESSION_AUTH_NONE ||
		    !(l->auth_mechanisms & SMTP_MECHANISM_BIT(SMTP_MECHANISM_CRAM_MD5)))
			continue;
		finding_add(f, FINDING_WARNING,
			    "listener \"%s\" offers CRAM-MD5 to all, and %zu of %zu users cannot use it",
			    l->name, sum->users - sum->with_clear, sum->users);
		finding_advise(f, "many programs try it first: leave it out of auth_mechanisms where no "
				  "device needs it");
	}
}

static void users(const struct doctor_local *d, struct findings *f)
{
	const char *file = d->cfg->auth_users_file;
	struct users_summary sum = { 0 };
	struct users_file u;
	struct err e;

	if (is_elsewhere(f, "auth_users_file", file))
		return;
	if (users_file_read(&u, file, &e) < 0) {
		cannot_use(d, f, &e,
			   e.os_error == ENOENT ? "nobody can log in: posthouse user add NAME makes it"
						: "nobody can log in before that is put right");
		return;
	}
	users_file_check(&u, &sum, take_user_error, f);
	users_file_release(&u);
	if (sum.users == 0) {
		finding_add(f, FINDING_WARNING, "%s: nobody can log in", file);
		finding_advise(f, "posthouse user add NAME");
	} else {
		finding_add(f, FINDING_OK, "%s: %zu user%s can log in, %zu of them by SCRAM%s", file,
			    sum.users, sum.users == 1 ? "" : "s", sum.with_scram,
			    sum.with_scram > 0 && sum.with_scram < sum.users
				    ? "; so SCRAM-SHA-256 is offered to nobody (posthouse user list shows "
				      "who has none)"
				    : "");
		cram_md5(d, f, &sum);
	}
	reading_as_auth_user(d, f, file);
}

/*
 * Many a PAM service ends at pam_unix, which says "wrong password" of everybody when it cannot read the file.
 */
static bool is_kept_from_shadow(const struct doctor_local *d)
{
	const struct passwd *pw = auth_user(d);

	return pw && doctor_error_for_user("/etc/shadow", R_OK, pw) == EACCES;
}

static void dovecot(const struct doctor_local *d, struct findings *f)
{
	struct doctor_address a = { .len = sizeof(struct sockaddr_un) };
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&a.address;
	const char *path = d->cfg->auth_dovecot_socket;
	const struct passwd *pw;
	struct err e;

	if (strlen(path) >= sizeof(un->sun_path)) {
		finding_add(f, FINDING_FAILED, "%s is too long for a socket", path);
		return;
	}
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	if (d->world->connect(d->world->ctx, &a, d->timeout_ms, NULL, 0, &e) < 0) {
		err_prefix(&e, "auth_dovecot_socket %s", path);
		cannot_use(d, f, &e,
			   "is Dovecot running, and does it have that unix_listener in service auth?");
		return;
	}
	pw = auth_user(d);
	if (pw && doctor_error_for_user(path, W_OK, pw) == EACCES) {
		finding_add(f, FINDING_FAILED,
			    "auth_dovecot_socket %s: user \"%s\", who verifies log-ins, may not connect",
			    path, pw->pw_name);
		finding_advise(f,
			       "in Dovecot's unix_listener: mode = 0660 and the group of that user; its "
			       "folder must let it pass (namei -l %s)",
			       path);
		return;
	}
	finding_add(f, FINDING_OK, "Dovecot takes connections on %s", path);
}

static void pam(const struct doctor_local *d, struct findings *f)
{
	char path[300];

	snprintf(path, sizeof(path), "/etc/pam.d/%s", d->cfg->auth_pam_service);
	if (access(path, R_OK) == 0) {
		finding_add(f, FINDING_OK, "%s is there", path);
		if (is_kept_from_shadow(d))
			finding_advise(f,
				       "if it is about accounts of this machine (pam_unix), user \"%s\" "
				       "needs the group shadow: "
				       "usermod -aG shadow %s, and restart posthoused",
				       d->cfg->auth_user, d->cfg->auth_user);
		return;
	}
	finding_add(f, FINDING_FAILED, "%s: %s", path, strerror(errno));
	finding_advise(f, "posthoused does not start without it: make it as pam.d(5) tells, or name another "
			  "auth_pam_service");
}

/* Its address answers: whether it takes our name and password is told by the first log-in only. */
static void introspection(const struct doctor_local *d, struct findings *f)
{
	const char *url = d->cfg->auth_oauth_introspection_url, *host = strstr(url, "://");
	struct doctor_address found[DOCTOR_ADDRESSES_MAX];
	struct endpoint ep;
	char name[URL_MAX];
	size_t count = 0;
	struct err e;

	host = host ? host + 3 : url;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, "/?"), host);
	if (endpoint_parse(name, url_is_plain(url) ? 80 : 443, &ep, &e) < 0 ||
	    d->world->resolve(d->world->ctx, ep.host, ep.port, d->timeout_ms, found, &count, &e) < 0) {
		finding_add(f, FINDING_FAILED, "auth_oauth_introspection_url %s: %s", url, e.text);
		finding_advise(f, "nobody can log in with a token while that is so");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (d->world->connect(d->world->ctx, &found[i], d->timeout_ms, NULL, 0, &e) < 0)
			continue;
		finding_add(f, FINDING_OK, "%s takes connections", url);
		return;
	}
	finding_add(f, FINDING_FAILED, "auth_oauth_introspection_url %s: %s", url,
		    count ? e.text : "its host has no address");
	finding_advise(f, "nobody can log in with a token while that server cannot be reached");
}

void check_logins(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;

	if (!config_offers_auth(d->cfg))
		return;
	if (d->cfg->auth_users_file)
		users(d, f);
	if (d->cfg->auth_dovecot_socket)
		dovecot(d, f);
	if (d->cfg->auth_pam_service)
		pam(d, f);
	if (d->cfg->auth_oauth_introspection_url)
		introspection(d, f);
}
