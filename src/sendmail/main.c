/* SPDX-License-Identifier: ISC */
/*
 * posthouse-sendmail, also as sendmail, mailq and newaliases: the command that local
 * programs know. No set-id bit: who sends is told by the kernel (SO_PEERCRED).
 * options.c reads the command line, deliver.c does the main job; looking at
 * the queue and trying it again are verbs of posthouse(1).
 */
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/stdfiles.h"
#include "cli/cli.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "sendmail/deliver.h"

#define TEXT_MAX 4096

static const char *program = "sendmail";
static bool silent;

void sendmail_say(const char *fmt, ...)
{
	char text[TEXT_MAX];
	struct term err;
	struct buf line;
	va_list ap;

	if (silent)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	term_init(&err, STDERR_FILENO);
	buf_init(&line, 5 * TEXT_MAX);
	buf_addf(&line, "%.100s: ", program);
	term_escapes(&err, text, &line);
	buf_addc(&line, '\n');
	fputs(line.data, stderr);
	buf_release(&line);
}

void sendmail_say_nothing(void)
{
	silent = true;
}

static void say_message(void *ctx, const char *message)
{
	(void)ctx;
	sendmail_say("%s", message);
}

static void usage(void)
{
	printf("usage: %s [OPTION...] [RECIPIENT...]\n\n"
	       "Takes a message from standard input to posthoused(8).\n\nOptions:\n",
	       program);
	for (size_t i = 0; i < sendmail_letter_count; i++) {
		const struct sendmail_letter *l = &sendmail_letters[i];
		char left[40];

		snprintf(left, sizeof(left), "-%c %s", l->letter, l->value ? l->value : "");
		printf("  %-16s %s\n", left, l->help);
	}
	puts("\nThe manual is posthouse-sendmail(1).");
}

/*
 * A verb of posthouse(1), with its exit status as programs expect it from sendmail; nothing: when nothing
 * matched.
 */
static int run_verb(const struct sendmail_options *o, const char *verb, const char *option, const char *value,
		    int nothing)
{
	const char *argv[8];
	int argc = 0;

	if (!verb_find(verb)) {
		sendmail_say("this version of posthouse has no verb '%s'", verb);
		return EX_UNAVAILABLE;
	}
	argv[argc++] = "posthouse";
	if (o->config_file) {
		argv[argc++] = "--config";
		argv[argc++] = o->config_file;
	}
	argv[argc++] = verb;
	if (option)
		argv[argc++] = option;
	if (value)
		argv[argc++] = value;
	argv[argc] = NULL;
	switch ((enum cli_status)cli_main(argc, (char **)(uintptr_t)argv)) {
	case CLI_DONE:
		return EX_OK;
	case CLI_USAGE:
		return EX_USAGE;
	case CLI_NOTHING:
		return nothing;
	case CLI_UNREACHABLE:
	case CLI_PARTLY: /* those of `send`, which is not run from here */
	case CLI_LATER:
	case CLI_TLS:
	case CLI_AUTH:
	case CLI_UNSUPPORTED:
	case CLI_UNCERTAIN:
		break;
	}
	return EX_UNAVAILABLE;
}

static int flush_queue(const struct sendmail_options *o)
{
	if (o->flush_id)
		return run_verb(o, "retry", "--", o->flush_id, EX_UNAVAILABLE);
	if (o->flush_site)
		return run_verb(o, "retry", "--domain", o->flush_site, EX_OK);
	return run_verb(o, "retry", "--all", NULL, EX_OK);
}

static int with_target(const struct sendmail_options *o, int (*run)(const struct sendmail_options *o,
								  const struct target *t))
{
	struct target t;
	struct err e;
	int status = EX_CONFIG;

	if (target_find(&t, o->config_file, say_message, NULL, &e) == 0)
		status = run(o, &t);
	else
		sendmail_say("%s", e.text);
	target_release(&t);
	return status;
}

static int converse(const struct sendmail_options *o, const struct target *t)
{
	(void)o;
	return sendmail_converse(t);
}

static int run(const struct sendmail_options *o)
{
	switch (o->mode) {
	case SENDMAIL_SUBMIT:
		return with_target(o, sendmail_deliver);
	case SENDMAIL_SMTP:
		return with_target(o, converse);
	case SENDMAIL_QUEUE:
		return run_verb(o, "queue", NULL, NULL, EX_OK);
	case SENDMAIL_FLUSH:
		return flush_queue(o);
	case SENDMAIL_ALIASES: /* installers of packages call it and expect it to succeed */
		sendmail_say("there is no alias database: addresses are the smarthost's business");
		return EX_OK;
	case SENDMAIL_NOTHING:
		return EX_OK;
	case SENDMAIL_HELP:
		usage();
		return EX_OK;
	case SENDMAIL_VERSION:
		puts(PACKAGE_STRING);
		return EX_OK;
	}
	return EX_SOFTWARE;
}

int main(int argc, char **argv)
{
	struct sendmail_options o;
	struct err e;
	int status;

	stdfiles_open(); /* programs close what they think is not needed */
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN); /* a daemon that hangs up is an outcome */
	signal(SIGXFSZ, SIG_IGN); /* so is a file that may not get that large */
	program = sendmail_program_name(argc > 0 ? argv[0] : NULL);
	if (sendmail_options_parse(&o, argc, argv, say_message, NULL, &e) < 0) {
		sendmail_say("%s", e.text);
		status = EX_USAGE;
	} else {
		if (o.quiet)
			sendmail_say_nothing();
		status = run(&o);
	}
	sendmail_options_release(&o);
	return status;
}
