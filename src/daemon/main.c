/* SPDX-License-Identifier: ISC */
/*
 * posthoused: the daemon's entry. Read this first: command line, then
 * configuration, then log, then service.c puts the parts together and the
 * master (master/supervise.c) runs workers (daemon/worker.c) and the relay
 * (daemon/relay_role.c). Runs as root when started so, until the roles drop it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "config/dump.h"
#include "daemon/background.h"
#include "daemon/options.h"
#include "daemon/service.h"
#include "handler/handler.h"

#define EXIT_USAGE 2

static void report(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "posthoused: %s\n", message);
}

static void print_usage(FILE *out)
{
	struct buf text;

	buf_init(&text, 64 << 10);
	daemon_options_usage(&text);
	fputs(text.data, out);
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

static void open_log(const struct config *cfg, bool foreground)
{
	bool to_stderr = strcmp(cfg->log, "auto") == 0 ? foreground : strcmp(cfg->log, "stderr") == 0;

	log_open(to_stderr ? LOG_TO_STDERR : LOG_TO_SYSLOG, cfg->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
		 "posthoused");
}

static int write_pid_file(const char *name, struct err *e)
{
	FILE *f = fopen(name, "we");

	if (!f || fprintf(f, "%ld\n", (long)getpid()) < 0 || fclose(f) != 0) {
		err_set_os(e, errno, "%s: cannot write the pid file", name);
		return -1;
	}
	return 0;
}

static int run(const struct daemon_options *o, const struct config *cfg)
{
	struct background bg = BACKGROUND_NONE;
	struct err e;
	int r = -1;

	/* only the default spool is below folders that may be missing, and only one handler has a spool */
	if (!o->config_file && handler_kind_find(cfg->handler) == handler_kind_find("spool") &&
	    daemon_options_make_parents(cfg, &e) < 0)
		goto out;
	open_log(cfg, o->foreground);
	if (!o->foreground && background_begin(&bg, strcmp(cfg->log, "stderr") == 0, &e) < 0)
		goto out;
	umask(022); /* the spool's modes are chosen, not inherited */
	if (cfg->pid_file && write_pid_file(cfg->pid_file, &e) < 0)
		goto out;
	r = service_run(cfg, background_ready, &bg, &e);
	if (cfg->pid_file)
		unlink(cfg->pid_file);
out:
	if (r < 0) {
		log_msg(LOG_LEVEL_ERROR, "start_failed", "%s", e.text);
		background_failed(&bg, &e);
	}
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	const struct daemon_world world = { geteuid(), handler_kind_find, handler_kind_names };
	struct daemon_options o;
	struct config cfg;
	struct err e;
	int status;

	if (daemon_options_parse(&o, argc, argv, &e) < 0) {
		fprintf(stderr, "posthoused: %s\n", e.text);
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (o.action == DAEMON_HELP) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (o.action == DAEMON_VERSION) {
		puts(PACKAGE_STRING);
		return EXIT_SUCCESS;
	}
	if (daemon_options_configure(&o, &world, &cfg, report, NULL) < 0)
		status = EXIT_FAILURE;
	else if (o.action == DAEMON_DUMP)
		status = print_configuration(&cfg);
	else if (o.action == DAEMON_CHECK)
		status = EXIT_SUCCESS;
	else {
		proctitle_init(argc, argv); /* o points into argv: nothing reads it after this */
		status = run(&o, &cfg);
	}
	config_release(&cfg);
	return status;
}
