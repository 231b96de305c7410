/* SPDX-License-Identifier: ISC */
/*
 * posthouse doctor: looks at this machine and at the upstreams step by step, and says of each step whether it
 * is well and what to do when it is not. Changes nothing, needs no daemon; sees most when run as root. The
 * checks are in doctor/, what they find is shown by doctor_print.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/ask.h"
#include "cli/doctor_print.h"
#include "cli/json.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "config/paths.h"
#include "config/remote.h"
#include "doctor/local.h"
#include "doctor/remote.h"
#include "submit/submit.h"

enum { OPT_LOCAL = ARGS_LONG_ONLY, OPT_SEND, OPT_FROM, OPT_TIMEOUT, OPT_JSON };

const struct args_option doctor_options[] = {
	{ "local", OPT_LOCAL, NULL, "only this machine, and upstreams that are named" },
	{ "send", OPT_SEND, "ADDRESS", "send a test message through each upstream" },
	{ "from", OPT_FROM, "ADDRESS", "its sender; default: the user, or postmaster" },
	{ "timeout", OPT_TIMEOUT, "TIME", "longest wait of each step (20s)" },
	{ "verbose", 'v', NULL, "show the SMTP dialogues on standard error" },
	{ "json", OPT_JSON, NULL, "JSON lines: a finding each, then their count" },
	ARGS_OPTIONS_END,
};

#define TIMEOUT_MS 20000
#define TIMEOUT_MAX_MS (3600 * INT64_C(1000))
#define ERRORS_MAX 1000

struct doctor {
	struct cli *cli;
	struct doctor_world world;
	struct doctor_printer printer;
	bool local, verbose;
	const char *send_to, *send_from;
	int timeout_ms;
	char **upstream; /* those named */
	size_t upstream_count;
	/* the configuration */
	const char *config_file; /* NULL: none */
	char *error[ERRORS_MAX];
	size_t error_count;
	bool loaded; /* cfg can be used */
	struct config cfg;
	bool failed; /* something did */
};

/* ---- the configuration -------------------------------------------------------------------- */

static void keep_error(void *ctx, const char *message)
{
	struct doctor *d = ctx;

	if (d->error_count < ERRORS_MAX)
		d->error[d->error_count++] = mem_strdup(message);
}

static void load(struct doctor *d)
{
	d->config_file = d->cli->config_file;
	if (!d->config_file && access(CONFIG_DEFAULT_FILE, R_OK) == 0)
		d->config_file = CONFIG_DEFAULT_FILE;
	config_init(&d->cfg);
	d->loaded = !d->config_file || config_load(&d->cfg, d->config_file, keep_error, d) == 0;
}

static const struct config_upstream *upstream_named(const struct doctor *d, const char *name)
{
	for (size_t i = 0; i < d->cfg.upstream_count; i++)
		if (strcmp(d->cfg.upstream[i].name, name) == 0)
			return &d->cfg.upstream[i];
	return NULL;
}

static bool is_wanted(const struct doctor *d, const char *name)
{
	for (size_t i = 0; i < d->upstream_count; i++)
		if (strcmp(d->upstream[i], name) == 0)
			return true;
	return d->upstream_count == 0 && !d->local;
}

/* ---- this machine ------------------------------------------------------------------------- */

static enum doctor_daemon ask(void *ctx, const char *spool, int timeout_ms, pid_t *master, struct err *e)
{
	enum doctor_daemon result = DOCTOR_DAEMON_FAILED;
	json_t *status = NULL;

	(void)ctx;
	*master = 0;
	switch (ask_daemon(spool, "status", timeout_ms, &status, e)) {
	case DAEMON_CONNECTED:
		*master = (pid_t)json_get_int(status, "master_pid", 0);
		json_decref(status);
		result = DOCTOR_DAEMON_RUNS;
		break;
	case DAEMON_ABSENT:
		result = DOCTOR_DAEMON_ABSENT;
		break;
	case DAEMON_DENIED:
		result = DOCTOR_DAEMON_DENIED;
		break;
	case DAEMON_FAILED:
		result = DOCTOR_DAEMON_FAILED;
		break;
	}
	return result;
}

static void look_here(struct doctor *d)
{
	struct doctor_local local = {
		.world = &d->world,
		.timeout_ms = d->timeout_ms,
		.config_file = d->config_file,
		.config_error = d->error,
		.config_error_count = d->error_count,
		.cfg = &d->cfg,
		.spool = d->cli->spool_path ? d->cli->spool_path : d->cfg.spool,
	};
	char *found = NULL;
	struct findings f;
	struct err e;

	/* without a file: where the quick command line puts it */
	if (!d->config_file && !d->cli->spool_path && settings_spool(NULL, &found, &e) == 0)
		local.spool = found;
	findings_init(&f);
	doctor_print_begin(&d->printer, NULL, NULL);
	doctor_run(doctor_local_checks, doctor_local_check_count, &local, &f, doctor_print_findings,
		   &d->printer);
	findings_release(&f);
	free(found);
}

/* Only the configuration, and only if it is bad: nothing can be said of upstreams then. */
static void tell_bad_configuration(struct doctor *d)
{
	struct doctor_local local = { .config_file = d->config_file,
				      .config_error = d->error,
				      .config_error_count = d->error_count };
	struct findings f;

	findings_init(&f);
	doctor_print_begin(&d->printer, NULL, NULL);
	doctor_run(doctor_local_checks, 1, &local, &f, doctor_print_findings, &d->printer);
	findings_release(&f);
}

/* ---- the test message --------------------------------------------------------------------- */

static const char *sender_of(const struct doctor *d, const struct config_upstream *u, char **made)
{
	if (d->send_from)
		return d->send_from;
	if (u->user && strchr(u->user, '@'))
		return u->user; /* most providers want the account's own address */
	if (d->cfg.postmaster)
		return d->cfg.postmaster;
	*made = mem_printf("postmaster@%s", d->cfg.hostname);
	return *made;
}

/* The message goes through a pipe, which holds it whole. */
static int make_message(struct submission *s, const struct doctor *d, const struct config_upstream *u,
			const char *remote, struct err *e)
{
	char *made = NULL, *const to[] = { (char *)(uintptr_t)d->send_to };
	struct submit_options options = { .from = sender_of(d, u, &made),
					  .to = to,
					  .to_count = 1,
					  .add_headers = true,
					  .hostname = d->cfg.hostname };
	char *text = mem_printf(
		"From: <%s>\nTo: <%s>\nSubject: Posthouse test message\nAuto-Submitted: auto-generated\n\n"
		"Sent by 'posthouse doctor' on %s through upstream \"%s\", %s.\n",
		options.from, d->send_to, d->cfg.hostname, u->name, remote);
	int fd[2], r = -1;

	if (pipe2(fd, O_CLOEXEC) < 0) {
		err_set_os(e, errno, "cannot make a pipe");
	} else {
		size_t len = strlen(text);

		if (write(fd[1], text, len) == (ssize_t)len) {
			close(fd[1]);
			r = submission_read(s, fd[0], &options, e) == SUBMIT_OK ? 0 : -1;
		} else {
			err_set_os(e, errno, "cannot write the test message");
			close(fd[1]);
		}
		close(fd[0]);
	}
	free(text);
	free(made);
	return r;
}

/* ---- upstreams ---------------------------------------------------------------------------- */

static void look_at(struct doctor *d, const struct config_upstream *u, const struct config_remote *remote,
		    const struct config_client_secrets *secrets, const char *secrets_error)
{
	char text[ENDPOINT_TEXT_MAX];
	struct doctor_remote subject = { .world = &d->world,
					 .timeout_ms = d->timeout_ms,
					 .cfg = &d->cfg,
					 .upstream = u,
					 .remote = remote,
					 .secrets = secrets,
					 .secrets_error = secrets_error,
					 .trace = d->verbose ? doctor_print_trace : NULL };
	struct submission message;
	struct findings f;
	struct err e;

	config_remote_format(remote, text);
	if (d->send_to) {
		if (make_message(&message, d, u, text, &e) < 0) {
			cli_error("%s", e.text);
			d->failed = true;
			return;
		}
		subject.message = &message;
	}
	findings_init(&f);
	doctor_print_begin(&d->printer, u->name, text);
	doctor_run(doctor_remote_checks, doctor_remote_check_count, &subject, &f, doctor_print_findings,
		   &d->printer);
	findings_release(&f);
	doctor_remote_release(&subject);
	if (d->send_to)
		submission_release(&message);
}

static void look_at_upstream(struct doctor *d, const struct config_upstream *u)
{
	struct config_client_secrets secrets;
	struct err e;
	bool read = config_client_read_secrets(&secrets, u, &e) == 0;

	/* a program has no address to talk to: the checks of this machine look at it */
	for (size_t i = 0; i < u->remoteaddr_count && !u->remoteaddr[i].program; i++)
		look_at(d, u, &u->remoteaddr[i], read ? &secrets : NULL, e.text);
	if (read)
		config_client_release_secrets(&secrets);
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int take_option(struct doctor *d, int key)
{
	char *value = (char *)(uintptr_t)d->cli->args.value;
	int64_t ms;

	switch (key) {
	case OPT_LOCAL:
		d->local = true;
		return 0;
	case OPT_SEND:
		d->send_to = value;
		return 0;
	case OPT_FROM:
		d->send_from = value;
		return 0;
	case OPT_TIMEOUT:
		if (!num_parse_duration(value, TIMEOUT_MAX_MS, &ms) || ms == 0) {
			d->cli->ended =
				cli_usage_error(d->cli, "--timeout %s: not a time such as 30s or 5m", value);
			return -1;
		}
		d->timeout_ms = (int)ms;
		return 0;
	case 'v':
		d->verbose = true;
		return 0;
	case OPT_JSON:
		d->printer.json = true;
		return 0;
	}
	assert_failed("an option without a meaning", __FILE__, __LINE__);
}

static bool makes_envelope(const char *from, const char *to)
{
	char *const list[] = { (char *)(uintptr_t)to };
	const struct submit_options options = {
		.from = from, .to = list, .to_count = 1, .hostname = "localhost"
	};
	const struct buf header = { .data = (char *)(uintptr_t) "" };
	struct envelope env;
	struct err e;
	bool made;

	envelope_init(&env);
	made = envelope_from_header(&env, &header, &options, &e) == SUBMIT_OK;
	envelope_release(&env);
	return made;
}

/* A mistake in them is told before anything is looked at. */
static int check_addresses(struct doctor *d)
{
	const char *from = d->send_from ? d->send_from : "<>";

	if (!d->send_to || makes_envelope(from, d->send_to))
		return 0;
	if (makes_envelope("<>", d->send_to))
		d->cli->ended = cli_usage_error(d->cli, "--from %s: this is no address", from);
	else
		d->cli->ended = cli_usage_error(d->cli, "--send %s: this is no address", d->send_to);
	return -1;
}

static int read_arguments(struct doctor *d)
{
	int key, count;

	while ((key = cli_option(d->cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(d, key) < 0)
			return -1;
	d->upstream = args_operands(&d->cli->args, &count);
	d->upstream_count = (size_t)count;
	if (d->send_from && !d->send_to) {
		d->cli->ended = cli_usage_error(d->cli, "--from goes with --send");
		return -1;
	}
	return check_addresses(d);
}

static enum cli_status names_are_known(struct doctor *d)
{
	for (size_t i = 0; i < d->upstream_count; i++)
		if (!upstream_named(d, d->upstream[i]))
			return cli_usage_error(d->cli, "%s: there is no upstream of that name in %s",
					       d->upstream[i],
					       d->config_file ? d->config_file : "the defaults");
	return CLI_DONE;
}

static enum cli_status run(struct doctor *d)
{
	bool here = d->local || d->upstream_count == 0;
	enum cli_status status;

	if (d->loaded && (status = names_are_known(d)) != CLI_DONE)
		return status;
	if (here)
		look_here(d);
	else if (!d->loaded)
		tell_bad_configuration(d);
	for (size_t i = 0; d->loaded && i < d->cfg.upstream_count && cli_output_is_open(); i++)
		if (is_wanted(d, d->cfg.upstream[i].name))
			look_at_upstream(d, &d->cfg.upstream[i]);
	doctor_print_end(&d->printer);
	return d->failed || d->printer.total[FINDING_FAILED] > 0 ? CLI_NOTHING : CLI_DONE;
}

enum cli_status verb_doctor(struct cli *cli)
{
	struct doctor d = { .cli = cli,
			    .timeout_ms = TIMEOUT_MS,
			    .printer = { .term = &cli->out, .out = stdout } };
	enum cli_status status;

	signal(SIGPIPE, SIG_IGN); /* a server that hangs up is a finding */
	if (read_arguments(&d) < 0)
		return cli->ended;
	doctor_world_init(&d.world);
	d.world.daemon = ask;
	load(&d);
	status = run(&d);
	config_release(&d.cfg);
	for (size_t i = 0; i < d.error_count; i++)
		free(d.error[i]);
	return cli_finish_output(status);
}
