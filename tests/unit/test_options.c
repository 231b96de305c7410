/* SPDX-License-Identifier: ISC */
/* daemon/options: the command line, and the configuration of the quick form. */
#include "daemon/options.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "unit.h"

enum { ROOT = 0, ORDINARY = 1000 };

/* Splits at spaces. The options point into words: until the next call. */
static int parse(struct daemon_options *o, const char *line, struct err *e)
{
	static char *words;
	char *argv[32];
	int argc = 0;

	free(words);
	words = mem_printf("posthoused %s", line);
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	e->text[0] = '\0';
	return daemon_options_parse(o, argc, argv, e);
}

static void parse_good(struct daemon_options *o, const char *line)
{
	struct err e;

	ck_assert_msg(parse(o, line, &e) == 0, "%s: %s", line, e.text);
}

static void collect(void *ctx, const char *message)
{
	buf_adds(ctx, message);
	buf_addc(ctx, '\n');
}

static void configure(struct config *cfg, const char *line, uid_t euid, const char *errors)
{
	struct daemon_options o;
	struct buf got;

	buf_init(&got, 65536);
	parse_good(&o, line);
	ck_assert_int_eq(daemon_options_configure(&o, euid, cfg, collect, &got), *errors ? -1 : 0);
	ck_assert_str_eq(got.data, errors);
	buf_release(&got);
}

static const struct {
	const char *line, *error;
} wrong[] = {
	{ "-x", "unknown option -x" },
	{ "-Fx", "unknown option -x" },
	{ "--zork", "unknown or ambiguous option, or one that takes no argument: --zork" },
	{ "--s=1 :1", "unknown or ambiguous option, or one that takes no argument: --s=1" },
	{ "--debug=1", "unknown or ambiguous option, or one that takes no argument: --debug=1" },
	{ "-f", "--config needs an argument: FILE" },
	{ "-c", "--class needs an argument: CLASS" },
	{ "--spool", "--spool needs an argument: DIR" },
	{ "-s x :25", "--size: \"x\" is not a size (a number of bytes, or one with K, M, G or T)" },
	{ "-s -1 :25", "--size: \"-1\" is not a size (a number of bytes, or one with K, M, G or T)" },
	{ "localhost", "local address: \"localhost\": the port is missing (HOST:PORT)" },
	{ "localhost:x", "local address: \"localhost:x\": the port must be a number from 0 to 65535" },
	{ "localhost:1 remote", "remote address: \"remote\": the port is missing (HOST:PORT)" },
	{ "localhost:1 remote:0", "remote address: \"remote:0\": a host, and a port from 1 to 65535, are needed to connect to" },
	{ "localhost:1 :25", "remote address: \":25\": a host, and a port from 1 to 65535, are needed to connect to" },
	{ "localhost:1 unix:/x", "remote address: \"unix:/x\": an upstream is reached by TCP only, but for lmtp://unix:PATH" },
	{ "a:1 b:2 c:3", "\"c:3\": at most two addresses, LOCALHOST:PORT and REMOTEHOST:PORT" },
	{ "-f x a:1", "\"a:1\": addresses go on the command line or into the file, not both: set localaddr and remoteaddr in x" },
	{ "-f x -c debug", "--class goes with LOCALHOST:PORT on the command line, not with --config: set handler in the file" },
	{ "-s 1 -f x", "--size goes with LOCALHOST:PORT on the command line, not with --config: set data_size_limit in the file" },
	{ "-u -f x", "--smtputf8 goes with LOCALHOST:PORT on the command line, not with --config: set enable_smtputf8 in the file" },
	{ "-f x --spool y", "--spool goes with LOCALHOST:PORT on the command line, not with --config: set spool in the file" },
};

START_TEST(test_wrong_usage)
{
	struct daemon_options o;
	struct err e;

	ck_assert_int_eq(parse(&o, wrong[_i].line, &e), -1);
	ck_assert_str_eq(e.text, wrong[_i].error);
}
END_TEST

START_TEST(test_file_form)
{
	struct daemon_options o;

	parse_good(&o, "");
	ck_assert_str_eq(o.config_file, PH_SYSCONFDIR "/posthouse.conf");
	ck_assert_int_eq(o.action, DAEMON_RUN);
	ck_assert(!o.foreground && !o.no_setuid && !o.debug);
	parse_good(&o, "-t -F -n -d --config /x");
	ck_assert_str_eq(o.config_file, "/x");
	ck_assert_int_eq(o.action, DAEMON_CHECK);
	ck_assert(o.foreground && o.no_setuid && o.debug);
	parse_good(&o, "--dump -t");
	ck_assert_int_eq(o.action, DAEMON_DUMP);
	parse_good(&o, "-t --dump");
	ck_assert_int_eq(o.action, DAEMON_DUMP);
	parse_good(&o, "-h zork zork zork");
	ck_assert_int_eq(o.action, DAEMON_HELP);
	parse_good(&o, "--version");
	ck_assert_int_eq(o.action, DAEMON_VERSION);
}
END_TEST

START_TEST(test_file_is_read)
{
	char path[] = "/tmp/posthouse-options-XXXXXX";
	static const char text[] = "localaddr = :1 remoteaddr = a user = u smtp_user = v";
	int fd = mkstemp(path);
	char *line = mem_printf("-f %s", path), *same = mem_printf("-n -d -f %s", path);
	struct config cfg;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	configure(&cfg, line, ROOT, "");
	ck_assert_str_eq(cfg.user, "u");
	ck_assert_str_eq(cfg.smtp_user, "v");
	ck_assert_int_eq(cfg.log_levels.of[LOG_PART_CLIENT], LOG_LEVEL_INFO);
	config_release(&cfg);
	configure(&cfg, line, ORDINARY, "");
	ck_assert_ptr_null(cfg.user);
	ck_assert_ptr_null(cfg.smtp_user);
	config_release(&cfg);
	configure(&cfg, same, ROOT, "");
	ck_assert_ptr_null(cfg.user);
	ck_assert_ptr_null(cfg.smtp_user);
	ck_assert_int_eq(cfg.log_levels.of[LOG_PART_CLIENT], LOG_LEVEL_DEBUG);
	config_release(&cfg);
	unlink(path);
	free(line);
	free(same);
}
END_TEST

START_TEST(test_quick_form)
{
	struct config cfg;

	setenv("HOME", "/home/u", 1);
	unsetenv("XDG_STATE_HOME");
	configure(&cfg, "127.0.0.1:0 smtp.example.net:587", ORDINARY, "");
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_uint_eq(cfg.listener[0].localaddr_count, 1);
	ck_assert_str_eq(cfg.listener[0].localaddr[0].host, "127.0.0.1");
	ck_assert_uint_eq(cfg.listener[0].localaddr[0].port, 0);
	ck_assert_uint_eq(cfg.upstream_count, 1);
	ck_assert_str_eq(cfg.upstream[0].remoteaddr[0].endpoint.host, "smtp.example.net");
	ck_assert_int_eq(cfg.upstream[0].tls, UPSTREAM_TLS_REQUIRED);
	ck_assert_str_eq(cfg.handler, "spool");
	ck_assert_uint_eq(cfg.data_size_limit_bytes, 33554432);
	ck_assert_uint_eq(cfg.relay_from_count, 2);
	ck_assert(!cfg.enable_smtputf8);
	ck_assert_ptr_null(cfg.user);
	ck_assert_str_eq(cfg.spool, "/home/u/.local/state/posthouse/spool");
	config_release(&cfg);

	/* smtpd's defaults */
	configure(&cfg, ":8026", ORDINARY, "");
	ck_assert_str_eq(cfg.upstream[0].remoteaddr[0].endpoint.host, "localhost");
	ck_assert_uint_eq(cfg.upstream[0].remoteaddr[0].endpoint.port, 25);
	ck_assert_int_eq(cfg.upstream[0].tls, UPSTREAM_TLS_OPPORTUNISTIC);
	config_release(&cfg);
	configure(&cfg, "-u -s 1000 -d", ORDINARY, "");
	ck_assert_str_eq(cfg.listener[0].localaddr[0].host, "localhost");
	ck_assert_uint_eq(cfg.listener[0].localaddr[0].port, 8025);
	ck_assert_uint_eq(cfg.data_size_limit_bytes, 1000);
	ck_assert(cfg.enable_smtputf8);
	ck_assert_int_eq(cfg.log_levels.of[LOG_PART_CLIENT], LOG_LEVEL_DEBUG);
	config_release(&cfg);
	configure(&cfg, "-s 0 unix:/run/x", ORDINARY, "");
	ck_assert_uint_eq(cfg.data_size_limit_bytes, 0);
	ck_assert_int_eq(cfg.listener[0].localaddr[0].kind, ENDPOINT_UNIX);
	config_release(&cfg);
}
END_TEST

START_TEST(test_class)
{
	struct config cfg;

	setenv("HOME", "/home/u", 1);
	configure(&cfg, "-c DebuggingServer :1", ORDINARY, "");
	ck_assert_str_eq(cfg.handler, "debug");
	ck_assert_uint_eq(cfg.upstream_count, 0);
	config_release(&cfg);
	configure(&cfg, "--class debug :1 ignored:25", ORDINARY, "");
	ck_assert_str_eq(cfg.handler, "debug");
	ck_assert_uint_eq(cfg.upstream_count, 0);
	config_release(&cfg);
	configure(&cfg, "-c Zork :1", ORDINARY, "handler: \"Zork\" is not one of: spool, proxy, mailman, exec, module, debug\n");
	config_release(&cfg);
	configure(&cfg, "-c my.module.Class :1", ORDINARY,
		  "--class my.module.Class: no classes of Python here; process_message() can be in a module (-c "
		  "FILE.so, posthouse-module(3)) or a program (posthouse-program(7)), and posthouse-smtpd(7) has the "
		  "rest\n");
	config_release(&cfg);
}
END_TEST

START_TEST(test_spool_and_users)
{
	struct config cfg;
	char *here = getcwd(NULL, 0), *want = mem_printf("%s/x/y", here);

	setenv("HOME", "/home/u", 1);
	setenv("XDG_STATE_HOME", "/state", 1);
	configure(&cfg, ":1", ORDINARY, "");
	ck_assert_str_eq(cfg.spool, "/state/posthouse/spool");
	config_release(&cfg);
	setenv("XDG_STATE_HOME", "relative", 1);
	configure(&cfg, ":1", ORDINARY, "");
	ck_assert_str_eq(cfg.spool, "/home/u/.local/state/posthouse/spool");
	config_release(&cfg);
	configure(&cfg, "--spool /a :1", ORDINARY, "");
	ck_assert_str_eq(cfg.spool, "/a");
	config_release(&cfg);
	configure(&cfg, "--spool x/y :1", ORDINARY, "");
	ck_assert_str_eq(cfg.spool, want);
	config_release(&cfg);

	configure(&cfg, ":1", ROOT, "");
	ck_assert_str_eq(cfg.spool, PH_LOCALSTATEDIR "/spool/posthouse-nobody");
	ck_assert_str_eq(cfg.user, "nobody");
	ck_assert_str_eq(cfg.smtp_user, "nobody");
	config_release(&cfg);
	configure(&cfg, "-n :1", ROOT, "");
	ck_assert_str_eq(cfg.spool, PH_LOCALSTATEDIR "/spool/posthouse-root");
	ck_assert_ptr_null(cfg.user);
	ck_assert_ptr_null(cfg.smtp_user);
	config_release(&cfg);
	free(here);
	free(want);
}
END_TEST

START_TEST(test_parents)
{
	char dir[] = "/tmp/posthouse-options-XXXXXX", *a, *b;
	struct config cfg;
	struct stat st;
	struct err e;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	a = mem_printf("%s/a", dir);
	b = mem_printf("%s/b", a);
	config_init(&cfg);
	free(cfg.spool);
	cfg.spool = mem_printf("%s/spool", b);
	ck_assert_msg(daemon_options_make_parents(&cfg, &e) == 0, "%s", e.text);
	ck_assert_msg(daemon_options_make_parents(&cfg, &e) == 0, "%s", e.text);
	ck_assert_int_eq(stat(b, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, geteuid() == 0 ? 0755 : 0700);
	ck_assert_int_ne(stat(cfg.spool, &st), 0);
	config_release(&cfg);
	rmdir(b);
	rmdir(a);
	ck_assert_int_eq(rmdir(dir), 0);
	free(a);
	free(b);
}
END_TEST

/* Every option of the table works by letter and name, and stands in the usage text. */
START_TEST(test_table)
{
	struct buf usage;

	buf_init(&usage, 65536);
	daemon_options_usage(&usage);
	for (size_t i = 0; i < daemon_option_count; i++) {
		const struct daemon_option *o = &daemon_option_table[i];
		const char *argument = !o->argument ? "" : strcmp(o->argument, "LIMIT") == 0 || strcmp(o->argument, "FD") == 0 ? "7" : "/x";
		char *by_name = mem_printf("--%s %s", o->name, argument), *by_letter, *mention;
		struct daemon_options x, y;

		parse_good(&x, by_name);
		mention = mem_printf("--%s%s%s ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
		ck_assert_msg(strstr(usage.data, mention) != NULL, "%s", mention);
		free(mention);
		ck_assert_ptr_nonnull(strstr(usage.data, o->help));
		if (o->letter) {
			by_letter = mem_printf("-%c %s", o->letter, argument);
			parse_good(&y, by_letter);
			ck_assert_int_eq(x.action, y.action);
			ck_assert(x.foreground == y.foreground && x.no_setuid == y.no_setuid && x.debug == y.debug &&
				  x.has_size == y.has_size && x.smtputf8 == y.smtputf8 &&
				  !x.class_name == !y.class_name && !x.config_file == !y.config_file);
			mention = mem_printf("  -%c, --%s", o->letter, o->name);
			ck_assert_msg(strstr(usage.data, mention) != NULL, "%s", mention);
			free(mention);
			free(by_letter);
		}
		free(by_name);
	}
	for (const char *line = usage.data; *line; line = strchr(line, '\n') + 1)
		if (!strstr(line, PH_SYSCONFDIR) || strstr(line, PH_SYSCONFDIR) > strchr(line, '\n'))
			ck_assert_msg(strcspn(line, "\n") <= 110, "%s", line); /* how long the other is, is up to --prefix */
	buf_release(&usage);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *c = tcase_create("usage");

	tcase_add_loop_test(c, test_wrong_usage, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
	suite_add_tcase(s, c);
	UNIT_CASE(s, test_file_form, test_file_is_read, test_quick_form, test_class, test_spool_and_users, test_parents,
		  test_table);
	return unit_run(s);
}
