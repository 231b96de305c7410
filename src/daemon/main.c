/* SPDX-License-Identifier: ISC */
/*
 * posthoused: the daemon's entry. Read this first: command line, then
 * configuration, then log, then service.c puts the parts together and the
 * master (master/supervise.c) runs workers (daemon/worker.c) and the relay
 * (daemon/relay_role.c). Runs as root when started so, until the roles drop it.
 */
#include <errno.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "base/stdfiles.h"
#include "config/dump.h"
#include "daemon/activation.h"
#include "daemon/background.h"
#include "daemon/handover.h"
#include "daemon/logging.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/prepared.h"
#include "daemon/service.h"
#include "daemon/upgrade.h"
#include "listener/tls_memory.h"

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
	activation_release(passed);
	return -1;
}

/* Used, and closed, with what it leads to; a start that fails where there is a way back does not return. */
static int serve(struct daemon_options *o, struct config *cfg, const struct service_setup *setup)
{
	struct background *bg = setup->ctx;
	struct err e;
	int r = -1;

	daemon_options_keep(o);
	umask(022); /* the spool's modes are chosen, not inherited */
	if (logging_open(cfg, o->foreground, &e) < 0)
		goto out;
	/* only the default spool is below folders that may be missing, and not every handler has a spool */
	if (!o->config_file && config_has_spool(cfg) && daemon_options_make_parents(cfg, &e) < 0)
		goto out;
	if (!o->foreground && !setup->handover &&
	    background_begin(bg, strcmp(cfg->log, "stderr") == 0, &e) < 0)
		goto out;
	/* in the background, if that is wanted: what is forked here is the master's child */
	if (logging_begin(cfg, &e) < 0)
		goto out;
	r = service_run(cfg, setup, &e);
	cfg = NULL;
out:
	if (cfg)
		config_release(cfg);
	free(cfg);
	if (r < 0) {
		upgrade_give_up(setup, &e);
		log_msg(LOG_LEVEL_ERROR, "start_failed", "%s", e.text);
		if (o->foreground && !logging_is_to_stderr())
			report(NULL, e.text);
		background_failed(bg, &e);
		tell_failure(&e);
	}
	logging_end();
	daemon_options_release(o);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void report_to_log(void *ctx, const char *message)
{
	(void)ctx;
	log_msg(LOG_LEVEL_ERROR, "upgrade_failed", "%s", message);
}

/* The executable before this one had the configuration tried by this one, and its children wait for us. */
static int take_over(struct daemon_options *o, const struct service_setup *setup)
{
	struct config *cfg = mem_alloc(sizeof(*cfg));
	struct err e;

	logging_adopt(setup->handover->log_fd, setup->handover->log_writer);
	if (daemon_options_configure(o, geteuid(), cfg, report_to_log, NULL) == 0) {
		activation_apply(setup->passed, cfg);
		return serve(o, cfg, setup);
	}
	err_set(&e, "the configuration cannot be used any more");
	upgrade_give_up(setup, &e);
	config_release(cfg);
	free(cfg);
	return EXIT_FAILURE;
}

static int start(struct daemon_options *o, const struct service_setup *setup)
{
	struct config *cfg = mem_alloc(sizeof(*cfg));
	int status = EXIT_FAILURE;

	if (daemon_options_configure(o, geteuid(), cfg, report, NULL) < 0)
		status = refuse(o);
	else if (o->action == DAEMON_DUMP)
		status = print_configuration(cfg);
	else if (!machine_is_prepared(cfg, o->action == DAEMON_CHECK, report, NULL))
		status = refuse(o);
	else if (o->action == DAEMON_CHECK)
		status = EXIT_SUCCESS;
	else {
		activation_apply(setup->passed, cfg);
		return serve(o, cfg, setup);
	}
	config_release(cfg);
	free(cfg);
	return status;
}

/* Apart from the memory of the process title. */
static char **keep_command_line(int argc, char *argv[])
{
	char **kept = mem_array((size_t)argc + 1, sizeof(*kept));

	for (int i = 0; i < argc; i++)
		kept[i] = mem_strdup(argv[i]);
	return kept;
}

static void free_command_line(char **kept)
{
	for (char **word = kept; *word; word++)
		free(*word);
	free(kept);
}

static int run(struct daemon_options *o, int argc, char *argv[], struct handover *handover)
{
	struct activation passed = ACTIVATION_NONE;
	struct background bg = BACKGROUND_NONE;
	char **kept, *program;
	struct service_setup setup = { .options = o,
				       .passed = &passed,
				       .handover = handover,
				       .on_ready = background_ready,
				       .ctx = &bg };
	int status;

	if (take_passed(o, &passed) < 0)
		return EXIT_FAILURE;
	setup.argv = kept = keep_command_line(argc, argv);
	program = handover ? NULL : program_path(argv[0]);
	setup.program = handover ? handover->program : program;
	if (o->action == DAEMON_RUN)
		proctitle_init(argc, argv);
	status = handover ? take_over(o, &setup) : start(o, &setup);
	activation_release(&passed);
	free_command_line(kept);
	free(program);
	return status;
}

int main(int argc, char *argv[])
{
	struct daemon_options o;
	struct handover handover;
	struct err e;
	int status;

	stdfiles_open();
	signal(SIGXFSZ,
	       SIG_IGN); /* a write past the file size limit is to fail with EFBIG, as on a full disk */
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
	if (o.handover_fd < 0)
		return run(&o, argc, argv, NULL);
	if (handover_read(&handover, o.handover_fd, &e) < 0) {
		report(NULL, e.text);
		return EXIT_FAILURE;
	}
	/* being tried, it only has to know what it would be left */
	status = run(&o, argc, argv, o.action == DAEMON_RUN ? &handover : NULL);
	handover_release(&handover);
	return status;
}
