/* SPDX-License-Identifier: ISC */
/*
 * posthouse user: keeps the users file (auth/users_edit.h does the work, with
 * the operator's rights; the daemon reads the file at each login and need not
 * be told). This file has the command line.
 */
#include "cli/user.h"

#include <stdlib.h>
#include <string.h>

#include "auth/prep.h"
#include "base/alloc.h"
#include "base/num.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "config/secret.h"

enum {
	OPT_FILE = ARGS_LONG_ONLY,
	OPT_STDIN,
	OPT_SCHEME,
	OPT_ITERATIONS,
	OPT_SCRAM_ONLY,
	OPT_NO_SCRAM,
	OPT_CRAM_MD5,
	OPT_JSON
};

const struct args_option user_options[] = {
	{ "file", OPT_FILE, "FILE", "the users file, instead of the configuration's" },
	{ "stdin", OPT_STDIN, NULL, "add, passwd: read it, a line, from standard input" },
	{ "scheme", OPT_SCHEME, "SCHEME", "add, passwd: yescrypt, sha512crypt or bcrypt" },
	{ "iterations", OPT_ITERATIONS, "N", "add, passwd: how costly the SCRAM verifier is" },
	{ "scram-only", OPT_SCRAM_ONLY, NULL, "add, passwd: keep a SCRAM verifier and no hash" },
	{ "no-scram", OPT_NO_SCRAM, NULL, "add, passwd: keep a hash and no SCRAM verifier" },
	{ "cram-md5", OPT_CRAM_MD5, NULL, "add, passwd: keep the password too, for CRAM-MD5" },
	{ "json", OPT_JSON, NULL, "list: JSON lines" },
	ARGS_OPTIONS_END,
};

/*
 * Whoever gets the file tries passwords against the cheaper of hash and verifier, so it should not be cheap;
 * the client computes it, at each login.
 */
#define ITERATIONS_DEFAULT 20000
#define ITERATIONS_MAX 1000000

enum { MUST_NAME = 1, MAY_NAME = 2, TAKES_PASSWORD = 4, TAKES_JSON = 8 };

static const struct action {
	const char *name;
	int takes;
	enum cli_status (*run)(const struct user_job *job);
} actions[] = {
	{ "add", MUST_NAME | TAKES_PASSWORD, user_add },
	{ "passwd", MUST_NAME | TAKES_PASSWORD, user_passwd },
	{ "remove", MUST_NAME, user_remove },
	{ "list", MAY_NAME | TAKES_JSON, user_list },
};

struct arguments {
	const char *file, *scheme, *iterations;
	bool scram_only, no_scram, cram_md5;
	const char *of_password, *of_list; /* an option that only those take */
};

static void take_option(struct user_job *job, struct arguments *a, int key)
{
	const char *value = job->cli->args.value;

	if (key == OPT_JSON)
		a->of_list = "--json";
	else if (key != OPT_FILE)
		a->of_password = key == OPT_STDIN ? "--stdin" : "the options for a new password";
	switch (key) {
	case OPT_FILE:
		a->file = value;
		break;
	case OPT_STDIN:
		job->from_stdin = true;
		break;
	case OPT_SCHEME:
		a->scheme = value;
		break;
	case OPT_ITERATIONS:
		a->iterations = value;
		break;
	case OPT_SCRAM_ONLY:
		a->scram_only = true;
		break;
	case OPT_NO_SCRAM:
		a->no_scram = true;
		break;
	case OPT_CRAM_MD5:
		a->cram_md5 = true;
		break;
	default:
		job->json = true;
		break;
	}
}

/* What is to be kept, of the options that say it. */
static enum cli_status choose_kept(struct user_job *job, const struct arguments *a)
{
	uint64_t n = ITERATIONS_DEFAULT;

	if (a->scram_only && (a->no_scram || a->scheme))
		return cli_usage_error(job->cli, "--scram-only excludes --no-scram and --scheme");
	if (a->no_scram && a->iterations)
		return cli_usage_error(job->cli, "--no-scram excludes --iterations");
	if (a->iterations && (!num_parse_u64(a->iterations, strlen(a->iterations), ITERATIONS_MAX, &n) ||
			      n < CREDENTIAL_ITERATIONS_MIN))
		return cli_usage_error(job->cli, "--iterations %s: not a number from %d to %d", a->iterations,
				       CREDENTIAL_ITERATIONS_MIN, ITERATIONS_MAX);
	job->keep = (struct user_keep){ .method = a->scram_only ? NULL : &credential_methods[0],
					.scram = !a->no_scram,
					.clear = a->cram_md5,
					.iterations = (unsigned)n };
	if (a->scheme) {
		job->keep.method = credential_method_find(a->scheme);
		if (!job->keep.method)
			return cli_usage_error(
				job->cli, "--scheme %s: expected yescrypt, sha512crypt or bcrypt", a->scheme);
	}
	return CLI_DONE;
}

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

static enum cli_status take_operands(struct user_job *job, const struct arguments *a,
				     const struct action **action)
{
	char **operands;
	struct err e;
	int count;

	operands = args_operands(&job->cli->args, &count);
	*action = count > 0 ? find_action(operands[0]) : NULL;
	if (!*action)
		return cli_usage_error(job->cli, "%s: expected add, passwd, remove or list",
				       count > 0 ? operands[0] : "what is to be done is missing");
	if (count > 2)
		return cli_usage_error(job->cli, "%s: one user at a time", operands[2]);
	if (count < 2 && ((*action)->takes & MUST_NAME))
		return cli_usage_error(job->cli, "%s: the user's name is missing", operands[0]);
	if (a->of_list && !((*action)->takes & TAKES_JSON))
		return cli_usage_error(job->cli, "%s: %s is for list", operands[0], a->of_list);
	if (a->of_password && !((*action)->takes & TAKES_PASSWORD))
		return cli_usage_error(job->cli, "%s: %s: for add and passwd only", operands[0],
				       a->of_password);
	job->spelt = count > 1 ? operands[1] : NULL;
	if (job->spelt && prep_name(job->spelt, PREP_STORE, job->name, &e) < 0)
		return cli_usage_error(job->cli, "%s: this cannot be the name of a user: %s", job->spelt,
				       e.text);
	return choose_kept(job, a);
}

/* With --file no configuration is needed, unless one is named. */
static enum cli_status find_file(struct user_job *job, const struct arguments *a)
{
	struct config cfg;
	struct err e;

	job->file = mem_strdup_or_null(a->file);
	if (a->file && !job->cli->config_file)
		return CLI_DONE;
	if (settings_config(job->cli->config_file, &cfg, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	if (!job->file)
		job->file = mem_strdup_or_null(cfg.auth_users_file);
	if (cfg.auth_user) {
		free(job->auth_user);
		job->auth_user = mem_strdup(cfg.auth_user);
	}
	config_release(&cfg);
	if (job->file && secret_is_elsewhere(job->file)) {
		cli_error(
			"auth_users_file is %s, which systemd hands to the service: name the file that it is made of with --file",
			job->file);
		return CLI_UNREACHABLE;
	}
	if (job->file)
		return CLI_DONE;
	cli_error("auth_users_file is not set in the configuration: set it, or name the file with --file");
	return CLI_UNREACHABLE;
}

enum cli_status verb_user(struct cli *cli)
{
	struct user_job job = { .cli = cli, .auth_user = mem_strdup("posthouse-auth") };
	const struct action *action = NULL;
	struct arguments a = { 0 };
	enum cli_status status;
	int key;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD) {
			free(job.auth_user);
			return cli->ended;
		}
		take_option(&job, &a, key);
	}
	status = take_operands(&job, &a, &action);
	if (status == CLI_DONE)
		status = find_file(&job, &a);
	if (status == CLI_DONE)
		status = cli_finish_output(action->run(&job));
	free(job.file);
	free(job.auth_user);
	return status;
}
