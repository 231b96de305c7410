/* SPDX-License-Identifier: ISC */
/* See options.h. */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/num.h"
#include "config/credential.h"
#include "config/mailman.h"
#include "config/options.h"
#include "config/paths.h"
#include "config/remote.h"
#include "handler/facts.h"

#define DEFAULT_LOCAL "localhost:8025" /* smtpd's */
#define DEFAULT_REMOTE "localhost:25"

/* In the order of the table. */
enum {
	OPTION_FOREGROUND,
	OPTION_CONFIG,
	OPTION_CHECK,
	OPTION_DUMP,
	OPTION_NOSETUID,
	OPTION_CLASS,
	OPTION_SIZE,
	OPTION_SMTPUTF8,
	OPTION_SPOOL,
	OPTION_DEBUG,
	OPTION_HANDOVER,
	OPTION_PID_FILE,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_COUNT
};

const struct daemon_option daemon_option_table[] = {
	[OPTION_FOREGROUND] = { 'F', "foreground", NULL, NULL,
				"stay in the foreground and log to standard error" },
	[OPTION_CONFIG] = { 'f', "config", "FILE", NULL, "read FILE instead of " CONFIG_DEFAULT_FILE },
	[OPTION_CHECK] = { 't', "check", NULL, NULL, "check the configuration and exit" },
	[OPTION_DUMP] = { 0, "dump", NULL, NULL,
			  "check the configuration, print it with all defaults, and exit" },
	[OPTION_NOSETUID] = { 'n', "nosetuid", NULL, NULL, "started as root, stay root" },
	[OPTION_CLASS] = { 'c', "class", "CLASS", "set handler in the file",
			   "handler, class of Python's smtpd, or module (FILE.so) for messages (default: "
			   "spool)" },
	[OPTION_SIZE] = { 's', "size", "LIMIT", "set data_size_limit in the file",
			  "largest message in bytes, or with K, M, G; 0: no limit (default: 33554432)" },
	[OPTION_SMTPUTF8] = { 'u', "smtputf8", NULL, "set enable_smtputf8 in the file",
			      "offer SMTPUTF8 (RFC 6531)" },
	[OPTION_SPOOL] = { 0, "spool", "DIR", "set spool in the file", "spool directory" },
	[OPTION_DEBUG] = { 'd', "debug", NULL, NULL, "log every line of the SMTP dialogues too" },
	[OPTION_HANDOVER] = { 0, "handover", "FD", NULL,
			      "given by a running posthoused to the one that takes its place" },
	[OPTION_PID_FILE] = { 0, "pid-file", "FILE", NULL, "write the master's process id to FILE" },
	[OPTION_VERSION] = { 'V', "version", NULL, NULL, "print the version and exit" },
	[OPTION_HELP] = { 'h', "help", NULL, NULL, "print this text and exit" },
};
const size_t daemon_option_count = sizeof(daemon_option_table) / sizeof(daemon_option_table[0]);
_Static_assert(sizeof(daemon_option_table) / sizeof(daemon_option_table[0]) == OPTION_COUNT,
	       "one line an option");

/* ---- reading argv ------------------------------------------------------------------ */

#define LONG_ONLY 256 /* getopt's value of an option without a letter, plus its index */

static void make_getopt_tables(char *letters, struct option *names)
{
	*letters++ = ':'; /* a missing argument is told from an unknown option */
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct daemon_option *o = &daemon_option_table[i];

		names[i].name = o->name;
		names[i].has_arg = o->argument ? required_argument : no_argument;
		names[i].flag = NULL;
		names[i].val = o->letter ? o->letter : LONG_ONLY + i;
		if (o->letter)
			*letters++ = o->letter;
		if (o->letter && o->argument)
			*letters++ = ':';
	}
	*letters = '\0';
	memset(&names[OPTION_COUNT], 0, sizeof(names[OPTION_COUNT]));
}

static int option_index(int val)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (val == LONG_ONLY + i || (val < LONG_ONLY && val == daemon_option_table[i].letter))
			return i;
	return -1;
}

static int take_option(struct daemon_options *o, int index, const char *argument, struct err *e)
{
	uint64_t number;

	switch (index) {
	case OPTION_FOREGROUND:
		o->foreground = true;
		break;
	case OPTION_CONFIG:
		o->config_file = argument;
		break;
	case OPTION_CHECK:
		if (o->action != DAEMON_DUMP)
			o->action = DAEMON_CHECK;
		break;
	case OPTION_DUMP:
		o->action = DAEMON_DUMP;
		break;
	case OPTION_NOSETUID:
		o->no_setuid = true;
		break;
	case OPTION_CLASS:
		o->class_name = argument;
		break;
	case OPTION_SIZE:
		o->has_size = true;
		if (num_parse_size(argument, INT64_MAX, &o->size_bytes))
			break;
		err_set(e, "--size: \"%s\" is not a size (a number of bytes, or one with K, M, G or T)",
			argument);
		return -1;
	case OPTION_SMTPUTF8:
		o->smtputf8 = true;
		break;
	case OPTION_SPOOL:
		o->spool = argument;
		break;
	case OPTION_DEBUG:
		o->debug = true;
		break;
	case OPTION_HANDOVER:
		if (num_parse_u64(argument, strlen(argument), INT_MAX, &number)) {
			o->handover_fd = (int)number;
			break;
		}
		err_set(e, "--handover: \"%s\" is no descriptor", argument);
		return -1;
	case OPTION_PID_FILE:
		o->pid_file = argument;
		if (argument[0] == '/')
			break;
		err_set(e, "--pid-file: \"%s\" is not an absolute path", argument);
		return -1;
	default:
		ASSERT(false); /* the table has an option that is not taken here */
	}
	return 0;
}

/* The local and the remote address of the quick form. */
static int take_addresses(struct daemon_options *o, int count, char *const text[], struct err *e)
{
	const char *local = count > 0 ? text[0] : DEFAULT_LOCAL,
		   *remote = count > 1 ? text[1] : DEFAULT_REMOTE;

	if (endpoint_parse(local, -1, &o->local, e) != 0) {
		err_prefix(e, "local address");
		return -1;
	}
	if (config_remote_parse(remote, -1, &o->remote, e) != 0) {
		err_prefix(e, "remote address");
		return -1;
	}
	return 0;
}

/* Tells the two forms apart. quick: the first option given that only the quick form has, or NULL. */
static int choose_form(struct daemon_options *o, const struct daemon_option *quick, int count,
		       char *const text[], struct err *e)
{
	if (o->config_file && quick) {
		err_set(e, "--%s goes with LOCALHOST:PORT on the command line, not with --config: %s",
			quick->name, quick->quick);
		return -1;
	}
	if (o->config_file && count > 0) {
		err_set(e,
			"\"%s\": addresses go on the command line or into the file, not both: set localaddr "
			"and remoteaddr "
			"in %s",
			text[0], o->config_file);
		return -1;
	}
	if (count > 2) {
		err_set(e, "\"%s\": at most two addresses, LOCALHOST:PORT and REMOTEHOST:PORT", text[2]);
		return -1;
	}
	if (count > 0 || quick)
		return take_addresses(o, count, text, e);
	if (!o->config_file)
		o->config_file = CONFIG_DEFAULT_FILE;
	return 0;
}

int daemon_options_parse(struct daemon_options *o, int argc, char *const argv[], struct err *e)
{
	const struct daemon_option *quick = NULL;
	struct option names[OPTION_COUNT + 1];
	char letters[2 * OPTION_COUNT + 2];
	int val, index;

	memset(o, 0, sizeof(*o));
	o->handover_fd = -1;
	make_getopt_tables(letters, names);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	while ((val = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		index = option_index(val);
		if (val == ':') {
			index = option_index(optopt);
			err_set(e, "--%s needs an argument: %s", daemon_option_table[index].name,
				daemon_option_table[index].argument);
			return -1;
		}
		if (index < 0) {
			if (optopt > 0 && optopt < LONG_ONLY && option_index(optopt) < 0)
				err_set(e, "unknown option -%c", optopt);
			else
				err_set(e, "unknown or ambiguous option, or one that takes no argument: %s",
					argv[optind - 1]);
			return -1;
		}
		if (index == OPTION_HELP || index == OPTION_VERSION) { /* as smtpd: whatever else there is */
			o->action = index == OPTION_HELP ? DAEMON_HELP : DAEMON_VERSION;
			return 0;
		}
		if (daemon_option_table[index].quick && !quick)
			quick = &daemon_option_table[index];
		if (take_option(o, index, optarg, e) != 0)
			return -1;
	}
	return choose_form(o, quick, argc - optind, argv + optind, e);
}

/* "./hello.so" where smtpd would have "module.Class" */
static bool is_module(const char *class)
{
	size_t len = strlen(class);

	return len > 3 && strcmp(class + len - 3, ".so") == 0;
}

/* Of a name as it was given; NULL stays NULL, and nothing is resolved. */
static char *absolute(const char *name)
{
	char *here, *path;

	if (!name || name[0] == '/' || !name[0])
		return mem_strdup_or_null(name);
	here = getcwd(NULL, 0);
	path = here ? mem_printf("%s/%s", strcmp(here, "/") == 0 ? "" : here, name) : mem_strdup(name);
	free(here);
	return path;
}

void daemon_options_keep(struct daemon_options *o)
{
	o->config_file = absolute(o->config_file);
	o->spool = absolute(o->spool);
	o->pid_file = mem_strdup_or_null(o->pid_file);
	o->class_name = o->class_name && is_module(o->class_name) ? absolute(o->class_name)
								  : mem_strdup_or_null(o->class_name);
	o->pid_file = mem_strdup_or_null(o->pid_file);
}

void daemon_options_release(struct daemon_options *o)
{
	/* allocated by daemon_options_keep */
	free((char *)(uintptr_t)o->config_file);
	free((char *)(uintptr_t)o->spool);
	free((char *)(uintptr_t)o->pid_file);
	free((char *)(uintptr_t)o->class_name);
	o->config_file = o->spool = o->pid_file = o->class_name = NULL;
}

/* ---- the configuration -------------------------------------------------------------- */

static void replace(char **field, char *text)
{
	free(*field);
	*field = text;
}

/* NULL and e when there is no place for one. */
static char *quick_spool(const struct daemon_options *o, uid_t euid, struct err *e)
{
	char private[PATH_MAX], *path;

	if (o->spool && o->spool[0] == '/')
		return mem_strdup(o->spool);
	if (o->spool) {
		char *here = getcwd(NULL, 0);

		if (!o->spool[0]) {
			err_set(e, "--spool: the name of the directory is empty");
			free(here);
			return NULL;
		}
		if (!here) {
			err_set_os(e, errno, "--spool %s: the current directory is not known", o->spool);
			return NULL;
		}
		path = mem_printf("%s/%s", strcmp(here, "/") == 0 ? "" : here, o->spool);
		free(here);
		return path;
	}
	if (euid == 0)
		return mem_strdup(o->no_setuid ? PH_LOCALSTATEDIR "/spool/posthouse-root"
					       : PH_LOCALSTATEDIR "/spool/posthouse-nobody");
	if (config_private_spool(private, sizeof(private), e) == 0)
		return mem_strdup(private);
	err_prefix(e, "no place for a spool without --spool DIR");
	return NULL;
}

static int take_module(struct config *cfg, const char *class, struct err *e)
{
	char *path = realpath(class, NULL);

	if (!path) {
		err_set_os(e, errno, "--class %s: cannot find this module", class);
		return -1;
	}
	replace(&cfg->module, path);
	replace(&cfg->handler, mem_strdup("module"));
	return 0;
}

/*
 * Not a word that was mistyped (config_check lists those there are), but a class that only Python could run.
 */
static bool is_python_class(const char *class)
{
	return strchr(class, '.') || strcmp(class, "SMTPServer") == 0;
}

static int configure_quick(const struct daemon_options *o, uid_t euid, struct config *cfg,
			   config_report *report, void *ctx)
{
	enum handler_id handler;
	struct config_listener *listener;
	struct config_upstream *upstream;
	struct err e;
	char *spool;

	if (o->class_name && is_module(o->class_name)) {
		if (take_module(cfg, o->class_name, &e) < 0) {
			report(ctx, e.text);
			return -1;
		}
	} else if (o->class_name && handler_find(o->class_name) == HANDLER_COUNT &&
		   is_python_class(o->class_name)) {
		err_set(&e,
			"--class %s: no classes of Python here; process_message() can be in a module (-c "
			"FILE.so, "
			"posthouse-module(3)) or a program (posthouse-program(7)), and posthouse-smtpd(7) "
			"has the rest",
			o->class_name);
		report(ctx, e.text);
		return -1;
	} else if (o->class_name) { /* unknown: config_check says so */
		replace(&cfg->handler, mem_strdup(o->class_name));
	}
	handler = handler_find(cfg->handler);
	if (handler != HANDLER_COUNT)
		replace(&cfg->handler, mem_strdup(handler_facts[handler].name));
	listener = config_add_listener(cfg, "default");
	listener->localaddr = mem_alloc(sizeof(*listener->localaddr));
	listener->localaddr[0] = o->local;
	listener->localaddr_count = 1;
	if (handler == HANDLER_COUNT || handler_facts[handler].relays) {
		upstream = config_add_upstream(cfg, "default");
		upstream->remoteaddr = mem_alloc(sizeof(*upstream->remoteaddr));
		upstream->remoteaddr[0] = o->remote;
		upstream->remoteaddr_count = 1;
		upstream->tls = config_remote_default_tls(&o->remote);
	}
	config_complete_mailman(cfg);
	if (o->has_size)
		cfg->data_size_limit_bytes = o->size_bytes;
	cfg->enable_smtputf8 = o->smtputf8;
	replace(&cfg->user, mem_strdup("nobody"));
	replace(&cfg->smtp_user, mem_strdup("nobody"));
	replace(&cfg->auth_user, mem_strdup("nobody"));
	replace(&cfg->program_user, mem_strdup("nobody"));
	replace(&cfg->keys_user, mem_strdup("nobody"));
	spool = quick_spool(o, euid, &e);
	if (!spool) {
		report(ctx, e.text);
		return -1;
	}
	replace(&cfg->spool, spool);
	return config_check(cfg, NULL, report, ctx);
}

int daemon_options_configure(const struct daemon_options *o, uid_t euid, struct config *cfg,
			     config_report *report, void *ctx)
{
	int result;

	config_init(cfg);
	if (o->config_file)
		result = config_load(cfg, o->config_file, report, ctx);
	else
		result = configure_quick(o, euid, cfg, report, ctx);
	if (result == 0 && o->action != DAEMON_DUMP) /* which shows the file as it is */
		result = config_find_credentials(cfg, report, ctx);
	if (o->debug)
		log_levels_set(&cfg->log_levels, LOG_LEVEL_DEBUG);
	if (o->pid_file)
		replace(&cfg->pid_file, mem_strdup(o->pid_file));
	if (euid != 0 || o->no_setuid) {
		replace(&cfg->user, NULL);
		replace(&cfg->smtp_user, NULL);
		replace(&cfg->auth_user, NULL);
		replace(&cfg->program_user, NULL);
		replace(&cfg->keys_user, NULL);
	}
	return result;
}

int daemon_options_make_parents(const struct config *cfg, struct err *e)
{
	/* root's are passed through by the user that the spool is for */
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	char *path = mem_strdup(cfg->spool), *slash = path;
	int result = 0;

	while (result == 0 && (slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (mkdir(path, mode) != 0 && errno != EEXIST) {
			err_set_os(e, errno, "cannot make the folder %s for the spool, name another one with --spool", path);
			result = -1;
		}
		*slash = '/';
	}
	free(path);
	return result;
}

/* ---- --help ---------------------------------------------------------------------------- */

void daemon_options_usage(struct buf *out)
{
	buf_adds(out,
		 "usage: posthoused [-F] [-dntu] [--dump] [-c CLASS] [-s LIMIT] [--spool DIR]\n"
		 "                  [--pid-file FILE] LOCALHOST:PORT [REMOTEHOST:PORT]\n"
		 "       posthoused [-F] [-dnt] [--dump] [--pid-file FILE] [-f FILE]\n\n"
		 "Takes mail on LOCALHOST:PORT, keeps it safe on disk and delivers it to REMOTEHOST:PORT\n"
		 "(default: " DEFAULT_REMOTE "); or does as the configuration file says.\n\n");
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct daemon_option *o = &daemon_option_table[i];
		char left[40];

		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name, o->argument ? " " : "",
			 o->argument ? o->argument : "");
		buf_addf(out, "  %-21s %s%s\n", left, o->help, o->quick ? " *" : "");
	}
	buf_adds(out, "\n* without a configuration file; any of these alone listens on " DEFAULT_LOCAL ".\n"
		      "posthoused(8) and posthouse.conf(5) tell the rest.\n");
}
