/* SPDX-License-Identifier: ISC */
/*
 * posthoused: the daemon's entry. Read this first: command line, then
 * configuration, then log, then service.c puts the parts together and the
 * master (master/supervise.c) runs workers (daemon/worker.c) and the relay
 * (daemon/relay_role.c). Runs as root when started so, until the roles drop it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "base/stdfiles.h"
#include "config/client.h"
#include "config/dump.h"
#include "config/listener.h"
#include "config/programs.h"
#include "config/secret.h"
#include "daemon/activation.h"
#include "daemon/background.h"
#include "daemon/credentials.h"
#include "daemon/logging.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/programs.h"
#include "daemon/service.h"
#include "handler/handler.h"
#include "listener/tls_memory.h"
#include "master/rights.h"

#define EXIT_USAGE 2

static void report(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "posthoused: %s\n", message);
}

static void print_usage(void)
{
	struct buf text;

	buf_init(&text, 64 << 10);
	daemon_options_usage(&text);
	fputs(text.data, stdout);
	buf_release(&text);
}

static int print_configuration(const struct config *cfg)
{
	struct buf text;
	int r;

	buf_init(&text, CONFIG_DUMP_MAX);
	config_dump(cfg, &text);
	r = fputs(text.data, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	buf_release(&text);
	return r;
}

/* file NULL: there is none to be used. */
static bool secret_is_usable(const char *file)
{
	char *secret = NULL;
	struct err e;

	if (!file || secret_read(file, &secret, &e) == 0) {
		secret_free(secret);
		return true;
	}
	report(NULL, e.text);
	return false;
}

/* Whether everything the section names can be read, and this machine can do what it asks for. */
static bool upstream_is_usable(const struct config *cfg, const struct config_upstream *u)
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
	report(NULL, e.text);
	return false;
}

/*
 * A secret file that cannot be used is an error at start, and of -t, and not
 * of the first delivery. Read in a process of its own that ends at once: this
 * one will fork the workers, and must never have held a secret.
 */
static bool upstreams_are_usable(const struct config *cfg)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		bool usable = secret_is_usable(cfg->auth_oauth_client_secret_file);

		usable = secret_is_usable(cfg->mailman_password_file) && usable;
		for (size_t i = 0; i < cfg->upstream_count; i++)
			usable = upstream_is_usable(cfg, &cfg->upstream[i]) && usable;
		_exit(usable ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/*
 * The same for users that are missing: both are told, and -t tells them too. NULL: nothing changes the user.
 */
static bool users_are_there(const struct config *cfg)
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
			report(NULL, e.text);
			there = false;
		}
	}
	return there;
}

/* The same for the groups of the relay's sockets. */
static bool groups_are_there(const struct config *cfg)
{
	gid_t view_gid, control_gid;
	struct err e;

	if (service_find_groups(cfg, &view_gid, &control_gid, &e) == 0)
		return true;
	report(NULL, e.text);
	return false;
}

/*
 * Beyond the text of the configuration: what it needs of this machine. All of it is told in one run;
 * warnings, if wanted, too (at a start they go to the log).
 */
static bool machine_is_prepared(const struct config *cfg, bool warn)
{
	bool users = users_are_there(cfg), groups = groups_are_there(cfg),
	     upstreams = upstreams_are_usable(cfg);
	bool files = service_check_files(cfg, warn, report, NULL);
	bool credentials = credentials_are_usable(cfg, report, NULL);
	bool programs = !users || programs_are_usable(cfg, report, NULL);
	bool log = logging_is_usable(cfg, report, NULL);

	return programs && users && groups && upstreams && files && credentials && log;
}

static void tell_failure(const struct err *e)
{
	struct notify n;

	notify_init(&n);
	notify_failed(&n, e);
}

/* What is wrong with the configuration has been told on standard error; the supervisor hears that there is something. */
static int refuse(const struct daemon_options *o)
{
	struct err e;

	err_set(&e, "The configuration cannot be used: posthoused --check tells why");
	if (o->action == DAEMON_RUN)
		tell_failure(&e);
	return EXIT_FAILURE;
}

/* Sockets that the supervisor opened: before anything else may open a descriptor. */
static int take_passed(const struct daemon_options *o, struct activation *passed)
{
	struct err e;

	if (o->action != DAEMON_RUN || activation_read(passed, &e) == 0)
		return 0;
	log_msg(LOG_LEVEL_ERROR, "start_failed", "%s", e.text);
	tell_failure(&e);
	return -1;
}

static int run(const struct daemon_options *o, const struct config *cfg, struct activation *passed)
{
	struct background bg = BACKGROUND_NONE;
	struct err e;
	int r = -1;

	umask(022); /* the spool's modes are chosen, not inherited */
	if (logging_open(cfg, o->foreground, &e) < 0)
		goto out;
	/* only the default spool is below folders that may be missing, and not every handler has a spool */
	if (!o->config_file && config_has_spool(cfg) && daemon_options_make_parents(cfg, &e) < 0)
		goto out;
	if (!o->foreground && background_begin(&bg, strcmp(cfg->log, "stderr") == 0, &e) < 0)
		goto out;
	/* in the background, if that is wanted: what is forked here is the master's child */
	if (logging_begin(cfg, &e) < 0)
		goto out;
	r = service_run(cfg, passed, background_ready, &bg, &e);
out:
	if (r < 0) {
		log_msg(LOG_LEVEL_ERROR, "start_failed", "%s", e.text);
		if (o->foreground && !logging_is_to_stderr())
			report(NULL, e.text);
		background_failed(&bg, &e);
		tell_failure(&e);
	}
	logging_end();
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	struct activation passed = ACTIVATION_NONE;
	struct daemon_options o;
	struct config cfg;
	struct err e;
	int status;

	stdfiles_open();
	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO, "posthoused"); /* until the configuration is known */
	if (!tls_memory_wipe_freed())
		log_msg(LOG_LEVEL_WARNING, "memory_not_wiped",
			"OpenSSL is in use already: keys may stay in its freed memory");
	if (daemon_options_parse(&o, argc, argv, &e) < 0) {
		fprintf(stderr, "posthoused: %s: try 'posthoused --help'\n", e.text);
		return EXIT_USAGE;
	}
	if (o.action == DAEMON_HELP) {
		print_usage();
		return EXIT_SUCCESS;
	}
	if (o.action == DAEMON_VERSION) {
		puts(PACKAGE_STRING);
		return EXIT_SUCCESS;
	}
	if (take_passed(&o, &passed) < 0)
		return EXIT_FAILURE;
	if (daemon_options_configure(&o, geteuid(), &cfg, report, NULL) < 0)
		status = refuse(&o);
	else if (o.action == DAEMON_DUMP)
		status = print_configuration(&cfg);
	else if (!machine_is_prepared(&cfg, o.action == DAEMON_CHECK))
		status = refuse(&o);
	else if (o.action == DAEMON_CHECK)
		status = EXIT_SUCCESS;
	else {
		proctitle_init(argc, argv); /* o points into argv: nothing reads it after this */
		activation_apply(&passed, &cfg);
		status = run(&o, &cfg, &passed);
	}
	activation_release(&passed);
	config_release(&cfg);
	return status;
}
