/* SPDX-License-Identifier: ISC */
/* See verbs.h. */
#include "cli/verbs.h"

#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "cli/complete.h"
#include "cli/criteria.h"
#include "cli/select.h"

static enum cli_status verb_help_run(struct cli *cli);

enum { OPT_COMPLETE = ARGS_LONG_ONLY };

static const struct args_option help_options[] = {
	{ "complete", OPT_COMPLETE, NULL, "for shells: what the words behind -- may go on with" },
	ARGS_OPTIONS_END,
};

const struct cli_verb verb_table[] = {
	{
		.name = "queue",
		.operands = "[ID-PREFIX...] [-]",
		.summary = "list the queued messages, oldest first",
		.details = "With ID-PREFIXes only the messages whose id begins with one of them;\n"
			   "with - those whose ids stand on standard input.\n",
		.options = queue_options,
		.selects = true,
		.run = verb_queue,
	},
	{
		.name = "show",
		.operands = "ID",
		.summary = "show one message: envelope, what happened so far, header",
		.details = "ID may be cut short as long as only one message's id begins with it.\n"
			   "--raw, --headers and --body give the exact octets, except on a terminal.\n",
		.options = show_options,
		.run = verb_show,
	},
	{
		.name = "explain",
		.operands = "ID",
		.summary = "tell in sentences what happened to a message and what comes next",
		.details = "ID may be cut short as long as only one message's id begins with it.\n",
		.options = explain_options,
		.run = verb_explain,
	},
	{
		.name = "summary",
		.operands = "[ID-PREFIX...]",
		.summary = "count what waits by domain, sender, upstream or reason, and by age",
		.details = "The columns count messages younger than what they say.\n",
		.options = summary_options,
		.selects = true,
		.run = verb_summary,
	},
	{
		.name = "retry",
		.operands = "[ID...] [-]",
		.summary = "try messages now",
		.details = "Those that wait for their next attempt are due at once; held ones stay held.\n"
			   "With --upstream or --all an upstream that is paused, for it was down, is asked\n"
			   "at once too.\n",
		.options = change_options,
		.selects = true,
		.changes = true,
		.run = verb_retry,
	},
	{
		.name = "hold",
		.operands = "[ID...] [-]",
		.summary = "keep messages from being tried until they are released",
		.options = change_reason_options,
		.selects = true,
		.changes = true,
		.run = verb_hold,
	},
	{
		.name = "release",
		.operands = "[ID...] [-]",
		.summary = "undo hold: messages are due now",
		.options = change_options,
		.selects = true,
		.changes = true,
		.run = verb_release,
	},
	{
		.name = "expire",
		.operands = "[ID...] [-]",
		.summary = "give messages up as if their time were over",
		.details = "Their senders get a report.\n",
		.options = change_options,
		.selects = true,
		.changes = true,
		.run = verb_expire,
	},
	{
		.name = "bounce",
		.operands = "[ID...] [-]",
		.summary = "return messages to their senders as refused",
		.details = "Their senders get a report, with the reason.\n",
		.options = change_reason_options,
		.selects = true,
		.changes = true,
		.run = verb_bounce,
	},
	{
		.name = "remove",
		.operands = "[ID...] [-]",
		.summary = "take messages out of the queue; nobody is told",
		.details = "What is being sent right now may still arrive; it is never sent again.\n",
		.options = change_options,
		.selects = true,
		.changes = true,
		.run = verb_remove,
	},
	{
		.name = "requeue",
		.operands = "[ID...] [-]",
		.summary = "treat messages as new: never tried, nobody refused, due now",
		.options = requeue_options,
		.selects = true,
		.changes = true,
		.run = verb_requeue,
	},
	{
		.name = "reroute",
		.operands = "[ID...] [-]",
		.summary = "send messages another way than before",
		.options = reroute_options,
		.selects = true,
		.changes = true,
		.run = verb_reroute,
	},
	{
		.name = "suspend",
		.operands = "",
		.summary = "stop deliveries, all or those to one upstream",
		.details = "New mail is accepted and waits. What is being sent right now is sent.\n",
		.options = suspend_options,
		.run = verb_suspend,
	},
	{
		.name = "resume",
		.operands = "",
		.summary = "undo suspend",
		.details = "Without --upstream the suspension of all deliveries ends; those of single\n"
			   "upstreams stay, unless --all ends them too.\n",
		.options = resume_options,
		.run = verb_resume,
	},
	{
		.name = "status",
		.operands = "",
		.summary = "what the daemon does now: queue, upstreams, workers, rates",
		.options = status_options,
		.run = verb_status,
	},
	{
		.name = "top",
		.operands = "",
		.summary = "the same as status, live",
		.details = "Keys: q ends it, p pauses, s sorts otherwise, space asks at once, arrows and\n"
			   "page keys scroll.\n",
		.options = top_options,
		.run = verb_top,
	},
	{
		.name = "watch",
		.operands = "",
		.summary = "show events as they happen",
		.options = watch_options,
		.run = verb_watch,
	},
	{
		.name = "log",
		.operands = "[ID-PREFIX...]",
		.summary = "follow messages through the log: a file, rotated ones too, or the journal",
		.details = "Without --file or --journal it is read where the configuration says it is kept.\n"
			   "Options about messages select messages; all of their lines are shown.\n",
		.options = log_options,
		.run = verb_log,
	},
	{
		.name = "check",
		.operands = "",
		.summary = "one line and an exit status for a monitoring system",
		.details = "Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n",
		.options = check_options,
		.run = verb_check,
	},
	{
		.name = "health",
		.operands = "",
		.summary = "tell whether the service does its work, with an exit status",
		.details = "The relay answers, a worker answers EHLO, a message could be begun.\n"
			   "Exit status: 0 healthy, 1 not, 3 nothing could be found out.\n",
		.options = health_options,
		.run = verb_health,
	},
	{
		.name = "doctor",
		.operands = "[UPSTREAM...]",
		.summary = "check this machine and the upstreams, and say what to do",
		.details =
			"Without arguments: this machine and all upstreams; with names: those upstreams.\n"
			"It changes nothing, and sees most as root. Exit status: 1 when something failed.\n",
		.options = doctor_options,
		.run = verb_doctor,
	},
	{
		.name = "send",
		.operands = "[FILE...]",
		.summary = "send messages, from files or built from options, to an SMTP server",
		.details = "FILE is a message, an mbox, a Maildir or a folder of .eml files; without any,\n"
			   "standard input is the message, or the text of one that is built.\n"
			   "Without --server it goes to the first localaddr of the configuration file,\n"
			   "without one to localhost:8025.\n",
		.segments = send_segments,
		.run = verb_send,
	},
	{
		.name = "export",
		.operands = "[ID-PREFIX...] [-]",
		.summary = "write queued messages to .eml files, an mbox, or another spool",
		.details = "Each goes with its envelope. They stay in the queue unless --remove is given.\n",
		.options = export_options,
		.selects = true,
		.changes = true,
		.run = verb_export,
	},
	{
		.name = "import",
		.operands = "PATH...",
		.summary = "queue messages from .eml files, an mbox, or another spool",
		.details = "Files written by 'posthouse export' bring their envelopes along; for others\n"
			   "--from and --to name it, or -t takes it from the header.\n",
		.options = import_options,
		.run = verb_import,
	},
	{
		.name = "fsck",
		.operands = "[ID-PREFIX...] [-]",
		.summary = "verify every file of the spool, and put right what is not",
		.details = "Looking works beside a running daemon; for --repair it must be stopped.\n"
			   "With selectors or ids only those messages are looked at.\n",
		.options = fsck_options,
		.selects = true,
		.run = verb_fsck,
	},
	{
		.name = "user",
		.operands = "add|passwd|remove|list [USER]",
		.summary = "keep the file of users that may log in (auth_users_file)",
		.details =
			"A new password is asked for on the terminal, twice, or read with --stdin. A hash\n"
			"and a SCRAM-SHA-256 verifier of it are kept. list shows all users, or one.\n",
		.options = user_options,
		.run = verb_user,
	},
	{
		.name = "oauth",
		.operands = "login|refresh|status [UPSTREAM]",
		.summary = "the OAuth 2 tokens with which the relay logs in to an upstream",
		.details =
			"login gets them: by a code that you enter in a browser (oauth = device_code), or\n"
			"with a refresh token on standard input (oauth = refresh_token). refresh asks for\n"
			"a new access token now, step by step. status tells what is stored, of all\n"
			"upstreams without UPSTREAM. A running relay takes over what is new at once.\n",
		.options = oauth_options,
		.run = verb_oauth,
	},
	{
		.name = "help",
		.operands = "[VERB]",
		.summary = "how to use posthouse, or one of its verbs",
		.options = help_options,
		.run = verb_help_run,
	},
};
const size_t verb_count = sizeof(verb_table) / sizeof(verb_table[0]);

const struct cli_verb *verb_find(const char *name)
{
	for (size_t i = 0; i < verb_count; i++)
		if (strcmp(verb_table[i].name, name) == 0)
			return &verb_table[i];
	return NULL;
}

/* Letters to insert, delete, replace or swap with a neighbour to make b of a (optimal string alignment). */
static size_t typing_errors(const char *a, const char *b)
{
	enum { MAX = 24 };
	size_t d[MAX + 1][MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > MAX || m > MAX)
		return MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const struct cli_verb *verb_nearest(const char *name)
{
	const struct cli_verb *nearest = NULL;
	size_t least = 3;

	if (name[0] == '\0')
		return NULL;
	for (size_t i = 0; i < verb_count; i++) {
		const struct cli_verb *v = &verb_table[i];
		size_t errors = strncmp(v->name, name, strlen(name)) == 0 ? 0 : typing_errors(name, v->name);

		/* a word of which hardly a letter is right is no typing error */
		if (errors < least && errors < strlen(v->name) - 1) {
			least = errors;
			nearest = v;
		}
	}
	return nearest;
}

void verb_help(const struct cli_verb *verb, FILE *out)
{
	fprintf(out, "usage: posthouse %s%s%s%s\n\n%c%s.\n", verb->name,
		verb->options || verb->segments ? " [OPTION...]" : "", verb->operands[0] ? " " : "",
		verb->operands, verb->summary[0] - 'a' + 'A', verb->summary + 1);
	if (verb->details)
		fputs(verb->details, out);
	if (verb->options) {
		fputs("\nOptions:\n", out);
		args_describe(verb->options, out);
	}
	for (const struct args_segment *s = verb->segments; s && s->title; s++) {
		fprintf(out, "\n%s:\n", s->title);
		args_describe(s->options, out);
	}
	if (verb->selects) {
		fputs("\nSelectors; all must hold, the same one given again widens:\n", out);
		args_describe(criterion_options, out);
		args_describe(select_options, out);
	}
	if (verb->changes)
		args_describe(select_change_options, out);
	fputs("\nCommon options:\n", out);
	args_describe(cli_common_options, out);
}

void verbs_help(FILE *out)
{
	fputs("usage: posthouse [--config FILE] [--spool DIR] VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n",
	      out);
	for (size_t i = 0; i < verb_count; i++)
		fprintf(out, "  %-8s %s\n", verb_table[i].name, verb_table[i].summary);
	fputs("\nOptions, before or after the verb:\n", out);
	args_describe(cli_common_options, out);
	fputs("\n'posthouse VERB --help' tells more about one; the manual is posthouse(1).\n", out);
}

static enum cli_status unknown_verb(const struct cli *cli, const char *name)
{
	const struct cli_verb *nearest = verb_nearest(name);

	if (nearest)
		return cli_usage_error(cli, "%s: there is no such verb (did you mean '%s'?)", name,
				       nearest->name);
	return cli_usage_error(cli, "%s: there is no such verb", name);
}

static enum cli_status verb_help_run(struct cli *cli)
{
	const struct cli_verb *verb;
	bool complete = false;
	char **operands;
	int count, key;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return cli->ended;
		complete = key == OPT_COMPLETE;
	}
	operands = args_operands(&cli->args, &count);
	if (complete)
		return complete_words(cli, operands, count);
	if (count > 1)
		return cli_usage_error(cli, "%s: one verb at a time", operands[1]);
	if (count == 0) {
		verbs_help(stdout);
		return cli_finish_output(CLI_DONE);
	}
	verb = verb_find(operands[0]);
	if (!verb)
		return unknown_verb(cli, operands[0]);
	verb_help(verb, stdout);
	return cli_finish_output(CLI_DONE);
}

int cli_main(int argc, char **argv)
{
	struct cli cli = { 0 };
	enum cli_status status;
	char **operands;
	int count;

	setlocale(LC_CTYPE, ""); /* what may be shown; all else stays in the C locale */
	term_init(&cli.out, STDOUT_FILENO);
	args_begin(&cli.args, argc, argv, NULL, cli_common_options, true);
	if (cli_option(&cli) == ARGS_BAD)
		return (int)cli.ended;
	operands = args_operands(&cli.args, &count);
	if (count == 0) {
		verbs_help(stderr);
		return CLI_USAGE;
	}
	cli.verb = verb_find(operands[0]);
	if (!cli.verb)
		return (int)unknown_verb(&cli, operands[0]);
	args_begin(&cli.args, count, operands, cli.verb->options, cli_common_options, false);
	for (const struct args_segment *s = cli.verb->segments; s && s->title; s++)
		args_add(&cli.args, s->options);
	if (cli.verb->selects) {
		cli.select = select_new();
		args_add(&cli.args, criterion_options);
		args_add(&cli.args, select_options);
		args_add(&cli.args, cli.verb->changes ? select_change_options : NULL);
	}
	status = cli.verb->run(&cli);
	select_free(cli.select);
	return (int)status;
}
