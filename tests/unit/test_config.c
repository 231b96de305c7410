/* SPDX-License-Identifier: ISC */
/* config/: files good and bad, defaults, dump, rules, secrets. Works in a temporary folder of its own. */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "config/dump.h"
#include "config/options.h"
#include "config/secret.h"
#include "config/types.h"
#include "handler/handler.h"
#include "unit.h"

static char dir[] = "/tmp/posthouse-config-XXXXXX";

static void put_file(const char *name, const char *text, size_t len)
{
	char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

static void remove_file(const char *name)
{
	char *path = mem_printf("%s/%s", dir, name);

	unlink(path);
	free(path);
}

static void enter(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void leave(void)
{
	static const char *const names[] = { "t.conf", "a.conf", "b.conf", "secret" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove_file(names[i]);
	ck_assert_int_eq(rmdir(dir), 0);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
}

/* Appends the message, without our folder in front, and a newline. */
static void collect(void *ctx, const char *message)
{
	struct buf *b = ctx;
	const char *at;

	while ((at = strstr(message, dir))) {
		buf_add(b, message, (size_t)(at - message));
		message = at + strlen(dir) + 1;
	}
	buf_adds(b, message);
	buf_addc(b, '\n');
}

/* Loads t.conf; the errors are in *errors. */
static int load(struct config *cfg, const char *text, struct buf *errors)
{
	char *path = mem_printf("%s/t.conf", dir);
	int result;

	if (text)
		put_file("t.conf", text, strlen(text));
	buf_init(errors, 1 << 20);
	config_init(cfg);
	result = config_load(cfg, path, collect, errors);
	ck_assert_int_eq(result, errors->len == 0 ? 0 : -1);
	free(path);
	return result;
}

static void load_good(struct config *cfg, const char *text)
{
	struct buf errors;

	load(cfg, text, &errors);
	ck_assert_str_eq(errors.data, "");
	buf_release(&errors);
}

static char *dump(const struct config *cfg)
{
	struct buf b;
	char *text;

	buf_init(&b, CONFIG_DUMP_MAX);
	config_dump(cfg, &b);
	text = mem_strdup(b.data);
	buf_release(&b);
	return text;
}

/* ---- bad files --------------------------------------------------------------------- */

#define GOOD "localaddr = \"127.0.0.1:25\"\nremoteaddr = \"localhost:26\"\n" /* lines 1 and 2 */

static const struct {
	const char *text, *errors;
} bad_files[] = {
	/* keys */
	{ GOOD "spol = x\n", "t.conf:3: unknown key \"spol\"\n" },
	{ GOOD "spol = { x, y } min_spare = 6 zork=1", "t.conf:3: unknown key \"spol\"\nt.conf:3: unknown key \"zork\"\n" },
	{ GOOD "a|b = x", "t.conf:3: unknown key \"a|b\"\n" },
	{ GOOD "_ = x\ntitle = x", "t.conf:3: unknown key \"_\"\nt.conf:4: unknown key \"title\"\n" },
	{ GOOD "'spool' = x", "t.conf:3: unknown key \"'spool'\"\n" },
	{ GOOD "tls = none", "t.conf:3: unknown key \"tls\"\n" },
	{ "remoteaddr = a\nlistener l {\n localaddr = :1\n spool = /x\n title = x }",
	  "t.conf:4: unknown key \"spool\" in section listener\nt.conf:5: unknown key \"title\" in section listener\n" },
	{ GOOD "spool = /a\n#\nspool = /b", "t.conf:5: spool is set twice, first at t.conf:3\n" },
	{ GOOD "spool = /a\nspool = { /b }", "t.conf:4: spool is set twice, first at t.conf:3\n" },
	{ GOOD "relay_from = {} relay_from = {}", "t.conf:3: relay_from is set twice, first at t.conf:3\n" },
	{ GOOD "handler += spool", "t.conf:3: \"+=\" is not known: write the whole list with \"=\"\n" },
	{ GOOD "handler+=spool", "t.conf:3: \"+=\" is not known: write the whole list with \"=\"\n" },
	/* the line, past everything that can stand on lines before */
	{ "# one\n\n/* two\n three */ // four\nlocaladdr = { # five\n ':1', /* six\n seven */ ':2'\n}\nremoteaddr = a\nzork = 1",
	  "t.conf:10: unknown key \"zork\"\n" },
	{ "remoteaddr=a\nlistener x {\n#\n localaddr = {\n':1',\n#\n'x y'\n}\n}\n#\nmin_spare =\n\nx",
	  "t.conf:7: localaddr: \"x y\": not a host name or address\nt.conf:13: min_spare: \"x\" is not a number\n" },
	{ "\r\n" GOOD "min_spare = 5\r\nmin_spire = 5\r\n", "t.conf:5: unknown key \"min_spire\"\n" },
	/* values */
	{ GOOD "min_spare = 0", "t.conf:3: min_spare: \"0\" is not from 1 to 10000\n" },
	{ GOOD "min_spare = -1", "t.conf:3: min_spare: \"-1\" is not a number\n" },
	{ GOOD "min_spare = ''", "t.conf:3: min_spare: \"\" is not a number\n" },
	{ GOOD "max_workers = 99999999999999999999", "t.conf:3: max_workers: \"99999999999999999999\" is not a number\n" },
	{ GOOD "min_free = 1E", "t.conf:3: min_free: \"1E\" is not a size (a number of bytes, or one with K, M, G or T)\n" },
	{ GOOD "data_size_limit = 2T", "t.conf:3: data_size_limit: \"2T\" is not from 0 to 1T\n" },
	{ GOOD "stop_timeout = 5 retry_min = '5 m'",
	  "t.conf:3: retry_min: \"5 m\" is not a time (a number of seconds, or one with ms, s, m, h, d or w)\n" },
	{ GOOD "command_timeout = 0", "t.conf:3: command_timeout: \"0\" is not from 1ms to 1d\n" },
	{ GOOD "retry_factor = 0.5", "t.conf:3: retry_factor: \"0.5\" is not from 1 to 100\n" },
	{ GOOD "retry_factor = 1.2345", "t.conf:3: retry_factor: \"1.2345\" is not a number with at most three decimals\n" },
	{ GOOD "retry_factor = '1,5'", "t.conf:3: retry_factor: \"1,5\" is not a number with at most three decimals\n" },
	{ GOOD "retry_factor = .5", "t.conf:3: retry_factor: \".5\" is not a number with at most three decimals\n" },
	{ GOOD "retry_factor = 1.", "t.conf:3: retry_factor: \"1.\" is not a number with at most three decimals\n" },
	{ GOOD "spool_sync = fast", "t.conf:3: spool_sync: \"fast\" is not one of auto, file or strict\n" },
	{ GOOD "log_level = INFO", "t.conf:3: log_level: \"INFO\" is not one of info or debug\n" },
	{ GOOD "log = /dev/null", "t.conf:3: log: \"/dev/null\" is not one of auto, stderr or syslog\n" },
	{ GOOD "bare_newline = 1", "t.conf:3: bare_newline: \"1\" is not one of reject or normalize\n" },
	{ GOOD "decode_data = maybe", "t.conf:3: decode_data: \"maybe\" is neither yes nor no\n" },
	{ GOOD "spool = here", "t.conf:3: spool: \"here\" is not an absolute path\n" },
	{ GOOD "spool = \"\"", "t.conf:3: spool: it is empty\n" },
	{ GOOD "user = 'a b' smtp_user = -x",
	  "t.conf:3: user: \"a b\" is not the name of a user\nt.conf:3: smtp_user: \"-x\" is not the name of a user\n" },
	{ GOOD "hostname = a..b",
	  "t.conf:3: hostname: \"a..b\" is neither a domain name nor an address literal like [192.0.2.1]\n" },
	{ GOOD "relay_from = { 10.0.0.1/8, ::1, x }",
	  "t.conf:3: relay_from: \"10.0.0.1/8\": bits are set behind the prefix length 8; write the network's first address\n"
	  "t.conf:3: relay_from: \"x\" is not a network (ADDRESS/BITS)\n" },
	{ "localaddr = :1 remoteaddr = unix:/x",
	  "t.conf:1: remoteaddr: \"unix:/x\": an upstream is reached by TCP only\n" },
	{ "localaddr = :1 remoteaddr = :25",
	  "t.conf:1: remoteaddr: \":25\": a host, and a port from 1 to 65535, are needed to connect to\n" },
	{ GOOD "handler = { spool }", "t.conf:3: handler takes one value, not a list\n" },
	/* words and signs */
	{ GOOD "spool\n", "t.conf:3: spool has no value: write spool = VALUE\n" },
	{ GOOD "spool /x\nzork", "t.conf:3: spool has no value: write spool = VALUE\n"
				 "t.conf:4: \"zork\" is neither a key with \"=\" nor the name of a section\n" },
	{ GOOD "spool =", "t.conf:3: spool has no value\n" },
	{ GOOD "spool = = /x", "t.conf:3: spool has no value\nt.conf:3: unexpected \"=\"\n"
			       "t.conf:3: \"/x\" is neither a key with \"=\" nor the name of a section\n" },
	{ GOOD "}\n,\n)\n", "t.conf:3: unexpected \"}\"\nt.conf:4: unexpected \",\"\nt.conf:5: unexpected \")\"\n" },
	{ GOOD "{ }", "t.conf:3: unexpected \"{\"\n" },
	{ GOOD "relay_from = { ::1,\n {", "t.conf:3: the list that begins here is not closed with \"}\"\n"
					     "t.conf:4: unexpected \"{\" in a list\n" },
	{ GOOD "relay_from = {\n", "t.conf:3: the list that begins here is not closed with \"}\"\n" },
	{ GOOD "spool = \"/x\nmin_spare = x", "t.conf:3: the string that begins here is not closed on its line\n"
					      "t.conf:4: min_spare: \"x\" is not a number\n" },
	{ GOOD "spool = '/x", "t.conf:3: the string that begins here is not closed on its line\n" },
	{ GOOD "spool = \"/x\\", "t.conf:3: the string that begins here is not closed on its line\n" },
	{ GOOD "spool = \"/\\n\"", "t.conf:3: a backslash in \"...\" may only stand before \", \\ or $\n" },
	{ GOOD "spool = '/\\\"'", "t.conf:3: a backslash in '...' may only stand before ' or \\\n" },
	{ GOOD "spool = '/a\tb'", "t.conf:3: a string may not have control characters\n" },
	{ GOOD "spool = /a*b/c", "t.conf:3: '*' has no place here: put the value in \"...\"\n" },
	{ GOOD "spool = $HOME/x", "t.conf:3: '$' has no place here: put the value in \"...\"\n" },
	{ GOOD "spool = C:\\x", "t.conf:3: '\\' has no place here: put the value in \"...\"\n" },
	{ GOOD "spool = /a\001b\nzork = 1", "t.conf:3: byte 0x01 has no place here\nt.conf:4: unknown key \"zork\"\n" },
	{ GOOD "* = 1", "t.conf:3: '*' has no place here: put the value in \"...\"\n" },
	{ GOOD "\n/* x\n", "t.conf:4: the comment that begins here is not closed with */\n" },
	{ GOOD "spool = \"${PH_TEST_UNSET}\"",
	  "t.conf:3: the environment variable PH_TEST_UNSET is not set; ${PH_TEST_UNSET:-TEXT} gives it a default\n" },
	{ GOOD "spool = \"${a\"\nspool_sync = \"}\"",
	  "t.conf:3: write ${NAME} or ${NAME:-DEFAULT} for an environment variable, \\$ for a dollar sign\n"
	  "t.conf:4: spool_sync: \"}\" is not one of auto, file or strict\n" },
	/* what libconfuse finds ends the parse; what came before is still told, what is missing is not */
	{ "zork = 1\nmin_spare = x\nrelay_from = { ::1 ::2 }\nmax_spare = x",
	  "t.conf:1: unknown key \"zork\"\nt.conf:2: min_spare: \"x\" is not a number\nt.conf:3: unexpected token '::2'\n" },
	/* sections */
	{ GOOD "lisener x { localaddr = :1 zork = 2 y { } }\nzork = 1",
	  "t.conf:3: unknown section \"lisener\"\nt.conf:4: unknown key \"zork\"\n" },
	{ "remoteaddr = a\nlistener { localaddr = :1 }", "t.conf:2: section listener needs a name: listener \"NAME\" { ... }\n" },
	{ "remoteaddr = a\nlistener '' { localaddr = :1 }",
	  "t.conf:2: listener \"\": a name has 1 to 64 letters, digits, dots, hyphens and underscores\n" },
	{ "remoteaddr = a\nlistener a { localaddr = :1 }\nlistener \"a\" { localaddr = :2 }",
	  "t.conf:3: listener \"a\" stands twice\n" },
	{ "remoteaddr = a\nlistener a { localaddr = :1 upstream b { } }", "t.conf:2: unknown section \"upstream\"\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = a }\nupstream b {\nremoteaddr = b\ntls = x }",
	  "t.conf:3: upstream \"b\" is a second one: this version delivers to one upstream\n"
	  "t.conf:5: tls: \"x\" is not one of none, opportunistic, required or implicit\n" },
	{ GOOD "upstream a {\n remoteaddr = a\n}\nlistener b {\n localaddr = :1\n}",
	  "t.conf:1: localaddr and a section listener exclude each other: put it into the section\n"
	  "t.conf:2: remoteaddr and a section upstream exclude each other: put it into the section\n" },
	{ "localaddr = :1\nupstream a {\nremoteaddr = a", "t.conf:2: the section that begins here is not closed with \"}\"\n" },
	{ "localaddr = :1 upstream a {\n tls = none }", "t.conf:1: upstream \"a\" has no remoteaddr\n" },
	{ "remoteaddr = a listener a {\n }", "t.conf:1: listener \"a\" has no localaddr\n" },
	{ "remoteaddr = a\nlistener a {\n localaddr = {} }", "t.conf:2: listener \"a\" has no localaddr\n" },
	/* rules */
	{ "", "t.conf: remoteaddr is missing: handler \"spool\" relays to an upstream\n"
	      "t.conf: localaddr is missing: there is nothing to listen on\n" },
	{ "localaddr = 'x y'\nremoteaddr = :x",
	  "t.conf:1: localaddr: \"x y\": not a host name or address\n"
	  "t.conf:2: remoteaddr: \":x\": the port must be a number from 0 to 65535\n" },
	{ GOOD "\n\nmin_spare = 21", "t.conf:5: min_spare (21) is more than max_spare (20)\n" },
	{ GOOD "min_spare = 4\nmax_spare = 3", "t.conf:4: min_spare (4) is more than max_spare (3)\n" },
	{ GOOD "max_spare = 201", "t.conf:3: max_spare (201) is more than max_workers (200)\n" },
	{ GOOD "max_spare = x\nmax_workers = 1", "t.conf:3: max_spare: \"x\" is not a number\n" },
	{ GOOD "decode_data = yes enable_smtputf8 = on", "t.conf:3: decode_data and enable_smtputf8 exclude each other\n" },
	{ GOOD "message_timeout = 3h", "t.conf:3: message_timeout is longer than session_timeout\n" },
	{ GOOD "retry_max = 1s", "t.conf:3: retry_min is longer than retry_max\n" },
	{ "localaddr = { :1, :0, :0,\n 'unix:/a', ':1' }\nremoteaddr = a", "t.conf:1: localaddr: \":1\" stands twice\n" },
	{ "remoteaddr = a\nlistener a { localaddr = 'unix:/a' }\nlistener b {\n localaddr = { :1, 'unix:/a' } }",
	  "t.conf:4: localaddr: \"unix:/a\" stands twice\n" },
	{ GOOD "relay_from = { 10.0.0.0/8, 0.0.0.0/0 }",
	  "t.conf:3: relay_from lets everyone relay; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = ::/0",
	  "t.conf:3: relay_from lets everyone relay; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = { 0.0.0.0/1, 128.0.0.0/2, 129.0.0.0/8, 192.0.0.0/2 }",
	  "t.conf:3: relay_from lets everyone relay; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = { 2000::/4, 3000::/4 }",
	  "t.conf:3: relay_from lets everyone relay; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b:587\n user = u }", "t.conf:3: user without password_file\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b:587\n password_file = /p }", "t.conf:3: password_file without user\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b\n user = u password_file = /p }",
	  "t.conf:3: user: the password could be read on its way to b: set tls = required or implicit\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b:587\n user = u password_file = /p\n tls = none }",
	  "t.conf:4: user: the password could be read on its way to b: set tls = required or implicit\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b\n tls_ca_file = /p }",
	  "t.conf:3: tls_ca_file has no effect: certificates are verified with tls = required or implicit only\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b\n probe_max = 1s }", "t.conf:3: probe_min is longer than probe_max\n" },
	/* include */
	{ GOOD "include(\"none.conf\")", "t.conf:3: include(\"none.conf\"): cannot be opened: No such file or directory\n" },
	{ GOOD "include(\"/\")", "t.conf:3: include(\"/\"): is not a regular file\n" },
	{ GOOD "include(none.conf)\nzork = 1", "t.conf:3: write include(\"FILE\")\nt.conf:4: unknown key \"zork\"\n" },
	{ GOOD "include(\"\")", "t.conf:3: write include(\"FILE\")\n" },
	{ GOOD "include(\"a\", \"b\")", "t.conf:3: write include(\"FILE\")\n" },
	{ GOOD "include(\"${HOME}\")", "t.conf:3: the name of an included file may not have \\ or $\n" },
	{ GOOD "exec(\"a\")", "t.conf:3: unexpected \"(\": only include(\"FILE\") has one\n" },
	{ GOOD "spool = include(\"a\")", "t.conf:3: unexpected \"(\": only include(\"FILE\") has one\n"
					 "t.conf:3: spool: \"include\" is not an absolute path\n" },
};

START_TEST(test_bad_files)
{
	struct config cfg;
	struct buf errors;

	unsetenv("PH_TEST_UNSET");
	load(&cfg, bad_files[_i].text, &errors);
	ck_assert_msg(strcmp(errors.data, bad_files[_i].errors) == 0, "for\n%s\nexpected\n%sgot\n%s", bad_files[_i].text,
		      bad_files[_i].errors, errors.data);
	buf_release(&errors);
	config_release(&cfg);

	/* libconfuse's lexer is global: nothing of a bad file may be left in it */
	load_good(&cfg, GOOD);
	config_release(&cfg);
}
END_TEST

static void check_errors(const char *text, const char *expected)
{
	struct config cfg;
	struct buf errors;

	load(&cfg, text, &errors);
	ck_assert_str_eq(errors.data, expected);
	buf_release(&errors);
	config_release(&cfg);
}

START_TEST(test_not_a_file)
{
	char *path = mem_printf("%s/t.conf", dir);
	struct config cfg;
	struct buf errors;

	load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf: cannot be opened: No such file or directory\n");
	buf_release(&errors);
	config_release(&cfg);
	ck_assert_int_eq(mkdir(path, 0700), 0); /* flex would end the process here */
	load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf: is not a regular file\n");
	buf_release(&errors);
	config_release(&cfg);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* reading it would wait for ever */
	load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf: is not a regular file\n");
	buf_release(&errors);
	config_release(&cfg);
	free(path);
}
END_TEST

START_TEST(test_nul_and_size)
{
	static const char text[] = GOOD "spool = /a\0b\nmin_spare = \"\0\"\nzork = 1";
	struct config cfg;
	struct buf errors;
	char *big = mem_alloc(1 << 21);

	put_file("t.conf", text, sizeof(text) - 1);
	load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf:3: byte 0x00 has no place here\n"
				      "t.conf:3: \"b\" is neither a key with \"=\" nor the name of a section\n"
				      "t.conf:4: a string may not have control characters\n"
				      "t.conf:5: unknown key \"zork\"\n");
	buf_release(&errors);
	config_release(&cfg);

	memset(big, ' ', (1 << 21) - 1);
	check_errors(big, "t.conf: too long: a configuration has at most 1048576 bytes, includes counted\n");
	free(big);
}
END_TEST

START_TEST(test_many_errors)
{
	struct config cfg;
	struct buf text, errors;
	size_t lines = 0;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 150; i++)
		buf_adds(&text, "zork = 1\n");
	load(&cfg, text.data, &errors);
	for (const char *c = errors.data; *c; c++)
		lines += *c == '\n';
	ck_assert_uint_eq(lines, 101);
	ck_assert_ptr_nonnull(strstr(errors.data, "t.conf:100: unknown key \"zork\"\nand 52 more errors\n"));
	buf_release(&errors);
	buf_release(&text);
	config_release(&cfg);
}
END_TEST

START_TEST(test_ceilings)
{
	struct config cfg;
	struct buf text, errors;

	buf_init(&text, 1 << 20);
	buf_adds(&text, GOOD "relay_from = {\n");
	for (int i = 0; i < 1001; i++)
		buf_addf(&text, "%s::1", i ? ",\n" : "");
	buf_adds(&text, "}");
	check_errors(text.data, "t.conf:1004: relay_from: a list has at most 1000 values\n");
	buf_clear(&text);
	buf_adds(&text, "remoteaddr = a\n");
	for (int i = 0; i < 101; i++)
		buf_addf(&text, "listener l%d { localaddr = :%d }\n", i, i + 1);
	check_errors(text.data, "t.conf: more than 100 sections listener\n");
	buf_clear(&text);
	buf_adds(&text, GOOD);
	for (int i = 0; i < 100; i++)
		buf_adds(&text, "a { ");
	load(&cfg, text.data, &errors);
	ck_assert_ptr_nonnull(strstr(errors.data, "t.conf:3: too many braces within braces\n"));
	buf_release(&errors);
	config_release(&cfg);
	buf_release(&text);
}
END_TEST

/* ---- include ------------------------------------------------------------------------ */

START_TEST(test_include)
{
	static const char a[] = "min_spare = 7\n\nlistener one {\n include(\"b.conf\") }\n";
	static const char b[] = "# comment\nlocaladdr = :1025\n";
	char *absolute = mem_printf("remoteaddr = a include(\"%s/a.conf\") max_spare = 8", dir);
	struct config cfg;

	put_file("a.conf", a, strlen(a));
	put_file("b.conf", b, strlen(b));
	load_good(&cfg, "remoteaddr = a\ninclude(\"a.conf\")\nmax_spare = 8");
	ck_assert_uint_eq(cfg.min_spare, 7);
	ck_assert_uint_eq(cfg.max_spare, 8);
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_uint_eq(cfg.listener[0].localaddr[0].port, 1025);
	config_release(&cfg);
	load_good(&cfg, absolute);
	ck_assert_uint_eq(cfg.max_spare, 8);
	config_release(&cfg);
	free(absolute);
}
END_TEST

START_TEST(test_include_errors)
{
	static const char a[] = "#\nmin_spare = x\ninclude(\"b.conf\") zork = 1\n";
	static const char b[] = "\nspool = /a\n}\nlistener x {\nspool =\n";

	put_file("a.conf", a, strlen(a));
	put_file("b.conf", b, strlen(b));
	check_errors("max_spare = x remoteaddr = a\ninclude('a.conf')\nspool = /b\nmax_workers = x\ninclude(\"b.conf\")",
		     "t.conf:1: max_spare: \"x\" is not a number\n"
		     "t.conf:3: spool is set twice, first at b.conf:2\n"
		     "t.conf:4: max_workers: \"x\" is not a number\n"
		     "a.conf:2: min_spare: \"x\" is not a number\n"
		     "a.conf:3: unknown key \"zork\"\n"
		     "b.conf:3: unexpected \"}\"\n"
		     "b.conf:4: the section that begins here is not closed with \"}\"\n"
		     "b.conf:4: listener \"x\" has no localaddr\n"
		     "b.conf:5: spool has no value\n"
		     "b.conf:2: spool is set twice, first at b.conf:2\n"
		     "b.conf:3: unexpected \"}\"\n"
		     "b.conf:4: the section that begins here is not closed with \"}\"\n"
		     "b.conf:4: listener \"x\" stands twice\n"
		     "b.conf:4: listener \"x\" has no localaddr\n"
		     "b.conf:5: spool has no value\n");
	/* circles end, whatever way round */
	check_errors(GOOD "include(\"t.conf\")", "t.conf:3: include(\"t.conf\"): it would include itself\n");
	put_file("a.conf", "include('b.conf')", strlen("include('b.conf')"));
	put_file("b.conf", "\ninclude('./a.conf')", strlen("\ninclude('./a.conf')"));
	check_errors(GOOD "include('a.conf')", "b.conf:2: include(\"./a.conf\"): it would include itself\n");
}
END_TEST

/* ---- good files ------------------------------------------------------------------------ */

START_TEST(test_defaults)
{
	struct config cfg;
	char host[256];

	load_good(&cfg, "localaddr = 127.0.0.1:2525 remoteaddr = \"smtp.example.net:587\"");
	gethostname(host, sizeof(host));
	ck_assert_str_eq(cfg.hostname, config_is_hostname(host) ? host : "localhost");
	ck_assert_str_eq(cfg.spool, PH_LOCALSTATEDIR "/spool/posthouse");
	ck_assert_uint_eq(cfg.data_size_limit_bytes, 33554432);
	ck_assert_uint_eq(cfg.min_spare, 5);
	ck_assert_uint_eq(cfg.max_spare, 20);
	ck_assert_uint_eq(cfg.max_workers, 200);
	ck_assert_uint_eq(cfg.max_requests, 1000);
	ck_assert_int_eq(cfg.command_timeout_ms, 300000);
	ck_assert_int_eq(cfg.client_data_timeout_ms, 300000);
	ck_assert_uint_eq(cfg.relay_from_count, 2);
	ck_assert_int_eq(cfg.relay_from[0].family, AF_INET);
	ck_assert_uint_eq(cfg.relay_from[0].prefix_bits, 8);
	ck_assert_uint_eq(cfg.relay_from[1].prefix_bits, 128);
	ck_assert_ptr_null(cfg.pid_file);
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_str_eq(cfg.listener[0].name, "default");
	ck_assert_uint_eq(cfg.upstream_count, 1);
	ck_assert_str_eq(cfg.upstream[0].name, "default");
	ck_assert_int_eq(cfg.upstream[0].tls, UPSTREAM_TLS_REQUIRED);
	ck_assert(cfg.upstream[0].pipelining);
	ck_assert_int_eq(cfg.upstream[0].final_timeout_ms, 600000);
	ck_assert(cfg.retry_factor == 2);
	config_release(&cfg);
}
END_TEST

/* Every default, printed, is the table's text: the manual and the example file quote that. */
START_TEST(test_defaults_print_as_written)
{
	struct config cfg;

	config_init(&cfg);
	config_add_listener(&cfg, "l");
	config_add_upstream(&cfg, "u");
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		const void *objects[] = { &cfg, cfg.listener, cfg.upstream };
		struct buf b;

		if (!o->fallback)
			continue;
		buf_init(&b, 4096);
		ck_assert(o->type->format(o, objects[o->object], &b));
		if (b.data[0] == '"' && b.len == strlen(o->fallback) + 2)
			ck_assert_int_eq(strncmp(b.data + 1, o->fallback, b.len - 2), 0);
		else
			ck_assert_str_eq(b.data, o->fallback);
		buf_release(&b);
	}
	config_release(&cfg);
}
END_TEST

/* Every key with a value that is not its default. */
static const char every_key[] =
	"hostname = \"[192.0.2.1]\"\nhandler = debug\nspool = /s\nspool_sync = strict\nmin_free = 1G\n"
	"user = u smtp_user = v\nlog = syslog\nlog_level = debug\npid_file = /run/p\n"
	"min_spare = 1\nmax_spare = 2\nmax_workers = 3\nmax_requests = 4\nstop_timeout = 5\nlisten_backlog = 6\n"
	"relay_from = { 0.0.0.0/0, 2001:db8::/32, \"192.0.2.1\" }\nrelay_from_anyone = yes\n"
	"data_size_limit = 7K\nmax_recipients = 108\nmax_received = 9\nmax_errors = 10\nmax_transactions = 11\n"
	"bare_newline = normalize\nenable_smtputf8 = TRUE\ndecode_data = 0\n"
	"command_timeout = 12s\ndata_timeout = 13m\nmessage_timeout = 14h\nsession_timeout = 15h\n"
	"retry_min = 16ms\nretry_max = 1d\nretry_factor = 1.25\n"
	"listener a { localaddr = { \"127.0.0.1\", \"[::1]:0\", \"unix:/run/a b\" } }\n"
	"listener 'b-c.d_E' { localaddr = \":2525\" }\n"
	"upstream u {\nremoteaddr = \"[2001:db8::1]:1465\"\ntls = implicit\ntls_ca_file = \"/ca\"\n"
	"user = \"a\\\"b\\\\c\\${d} \xc3\xa4\"\npassword_file = '/p\\'w'\neight_bit = pass\npipelining = no\n"
	"max_connections = 17\nmessages_per_connection = 18\nconnect_timeout = 19s\ngreeting_timeout = 20s\n"
	"command_timeout = 21s\ndata_timeout = 22s\nblock_timeout = 23s\nfinal_timeout = 24s\nidle_timeout = 25s\n"
	"probe_min = 26s\nprobe_max = 27s\n}\n";

static void check_every_key(const struct config *cfg)
{
	const struct config_upstream *u = &cfg->upstream[0];

	ck_assert_str_eq(cfg->hostname, "[192.0.2.1]");
	ck_assert_str_eq(cfg->handler, "debug");
	ck_assert_str_eq(cfg->spool, "/s");
	ck_assert_int_eq(cfg->spool_sync, SPOOL_SYNC_STRICT);
	ck_assert_uint_eq(cfg->min_free_bytes, (uint64_t)1 << 30);
	ck_assert_str_eq(cfg->user, "u");
	ck_assert_str_eq(cfg->smtp_user, "v");
	ck_assert_str_eq(cfg->log, "syslog");
	ck_assert(cfg->debug);
	ck_assert_str_eq(cfg->pid_file, "/run/p");
	ck_assert_uint_eq(cfg->min_spare, 1);
	ck_assert_uint_eq(cfg->max_spare, 2);
	ck_assert_uint_eq(cfg->max_workers, 3);
	ck_assert_uint_eq(cfg->max_requests, 4);
	ck_assert_int_eq(cfg->stop_timeout_ms, 5000);
	ck_assert_uint_eq(cfg->listen_backlog, 6);
	ck_assert_uint_eq(cfg->relay_from_count, 3);
	ck_assert_uint_eq(cfg->relay_from[0].prefix_bits, 0);
	ck_assert_uint_eq(cfg->relay_from[1].prefix_bits, 32);
	ck_assert_uint_eq(cfg->relay_from[2].prefix_bits, 32);
	ck_assert(cfg->relay_from_anyone);
	ck_assert_uint_eq(cfg->data_size_limit_bytes, 7168);
	ck_assert_uint_eq(cfg->max_recipients, 108);
	ck_assert_uint_eq(cfg->max_received, 9);
	ck_assert_uint_eq(cfg->max_errors, 10);
	ck_assert_uint_eq(cfg->max_transactions, 11);
	ck_assert_int_eq(cfg->bare_newline, BARE_NEWLINE_NORMALIZE);
	ck_assert(cfg->enable_smtputf8);
	ck_assert(!cfg->decode_data);
	ck_assert_int_eq(cfg->command_timeout_ms, 12000);
	ck_assert_int_eq(cfg->client_data_timeout_ms, 780000);
	ck_assert_int_eq(cfg->message_timeout_ms, 14 * 3600000);
	ck_assert_int_eq(cfg->session_timeout_ms, 15 * 3600000);
	ck_assert_int_eq(cfg->retry_min_ms, 16);
	ck_assert_int_eq(cfg->retry_max_ms, 86400000);
	ck_assert(cfg->retry_factor == 1.25);
	ck_assert_uint_eq(cfg->listener_count, 2);
	ck_assert_str_eq(cfg->listener[0].name, "a");
	ck_assert_uint_eq(cfg->listener[0].localaddr_count, 3);
	ck_assert_uint_eq(cfg->listener[0].localaddr[0].port, 25);
	ck_assert_str_eq(cfg->listener[0].localaddr[1].host, "::1");
	ck_assert_str_eq(cfg->listener[0].localaddr[2].path, "/run/a b");
	ck_assert_str_eq(cfg->listener[1].name, "b-c.d_E");
	ck_assert_uint_eq(cfg->upstream_count, 1);
	ck_assert_str_eq(u->name, "u");
	ck_assert_str_eq(u->remoteaddr.host, "2001:db8::1");
	ck_assert_uint_eq(u->remoteaddr.port, 1465);
	ck_assert_int_eq(u->tls, UPSTREAM_TLS_IMPLICIT);
	ck_assert_str_eq(u->tls_ca_file, "/ca");
	ck_assert_str_eq(u->user, "a\"b\\c${d} \xc3\xa4");
	ck_assert_str_eq(u->password_file, "/p'w");
	ck_assert_int_eq(u->eight_bit, UPSTREAM_EIGHTBIT_PASS);
	ck_assert(!u->pipelining);
	ck_assert_uint_eq(u->max_connections, 17);
	ck_assert_uint_eq(u->messages_per_connection, 18);
	ck_assert_int_eq(u->connect_timeout_ms, 19000);
	ck_assert_int_eq(u->greeting_timeout_ms, 20000);
	ck_assert_int_eq(u->command_timeout_ms, 21000);
	ck_assert_int_eq(u->data_timeout_ms, 22000);
	ck_assert_int_eq(u->block_timeout_ms, 23000);
	ck_assert_int_eq(u->final_timeout_ms, 24000);
	ck_assert_int_eq(u->idle_timeout_ms, 25000);
	ck_assert_int_eq(u->probe_min_ms, 26000);
	ck_assert_int_eq(u->probe_max_ms, 27000);
}

START_TEST(test_every_key)
{
	struct config cfg;

	load_good(&cfg, every_key);
	check_every_key(&cfg);
	config_release(&cfg);
}
END_TEST

/* A key that is new in the table but not in every_key would be dumped with its default: found here. */
START_TEST(test_every_key_is_in_the_test)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		char *needle = mem_printf("%s = ", o->key);

		if (o->object == o->section)
			ck_assert_msg(strstr(every_key, needle) != NULL, "%s", o->key);
		ck_assert_msg(o->help && *o->help, "%s", o->key);
		ck_assert_ptr_eq(config_option_find(o->section, o->key, strlen(o->key)), o);
		free(needle);
	}
}
END_TEST

START_TEST(test_dump_round_trip)
{
	static const char *const texts[] = { every_key, GOOD, GOOD "relay_from = {}" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config first, second;
		char *one, *two;

		load_good(&first, texts[i]);
		one = dump(&first);
		load_good(&second, one);
		two = dump(&second);
		ck_assert_str_eq(one, two);
		if (texts[i] == every_key)
			check_every_key(&second);
		free(one);
		free(two);
		config_release(&first);
		config_release(&second);
	}
}
END_TEST

START_TEST(test_environment)
{
	struct config cfg;

	setenv("PH_TEST", "/from/there", 1);
	load_good(&cfg, GOOD "spool = \"${PH_TEST}/x\" pid_file = \"${PH_TEST_UNSET:-/run/y}\" user = 'a${b}'");
	ck_assert_str_eq(cfg.spool, "/from/there/x");
	ck_assert_str_eq(cfg.pid_file, "/run/y");
	ck_assert_str_eq(cfg.user, "a${b}");
	config_release(&cfg);
	setenv("PH_TEST", "/a\nuser = \"root\"", 1);
	check_errors(GOOD "spool = \"${PH_TEST}\"", "t.conf:3: spool: it has control characters\n");
	unsetenv("PH_TEST");
}
END_TEST

START_TEST(test_tls_by_port)
{
	static const struct {
		const char *remote;
		enum upstream_tls tls;
	} cases[] = {
		{ "smtp.example.net", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "smtp.example.net:25", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "smtp.example.net:587", UPSTREAM_TLS_REQUIRED },
		{ "smtp.example.net:465", UPSTREAM_TLS_IMPLICIT },
		{ "127.0.0.2:587", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "LOCALHOST:587", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "[::1]:587", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "[::2]:587", UPSTREAM_TLS_REQUIRED },
		{ "127.0.0.1:465", UPSTREAM_TLS_IMPLICIT },
		{ "127.example.net:587", UPSTREAM_TLS_REQUIRED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = mem_printf("localaddr = :1 remoteaddr = \"%s\"", cases[i].remote);
		struct config cfg;

		load_good(&cfg, text);
		ck_assert_msg(cfg.upstream[0].tls == cases[i].tls, "%s", cases[i].remote);
		config_release(&cfg);
		free(text);
		text = mem_printf("localaddr = :1 upstream x { remoteaddr = \"%s\" }", cases[i].remote);
		load_good(&cfg, text);
		ck_assert_msg(cfg.upstream[0].tls == cases[i].tls, "%s", cases[i].remote);
		config_release(&cfg);
		free(text);
	}
}
END_TEST

START_TEST(test_allowed)
{
	static const char *const texts[] = {
		GOOD "relay_from = { 0.0.0.0/1, 128.0.0.0/2, 192.0.0.0/3 }",
		GOOD "relay_from = { 0.0.0.0/1, 0.0.0.0/1, 0.0.0.0/2 }",
		GOOD "relay_from = { 0.0.0.0/0 } relay_from_anyone = yes",
		GOOD "relay_from = { 2000::/4, fe80::/10 }",
		"localaddr = :1 handler = debug",
		"localaddr = :1 upstream x { remoteaddr = 127.0.0.1 user = u password_file = /p tls = none }",
		"localaddr = :1 upstream x { remoteaddr = a:465 user = u password_file = /p tls_ca_file = /c }",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config cfg;

		load_good(&cfg, texts[i]);
		config_release(&cfg);
	}
}
END_TEST

/* ---- config_check, handlers, names ---------------------------------------------------- */

static const struct handler_ops only_ops = { .name = "only", .relays = true };
static const struct handler_kind only = { &only_ops, NULL };

static const struct handler_kind *find_only(const char *name)
{
	return strcmp(name, "only") == 0 ? &only : NULL;
}

static const char *names_only(void)
{
	return "only";
}

START_TEST(test_check_and_handlers)
{
	char *path = mem_printf("%s/t.conf", dir);
	struct config cfg;
	struct buf errors;

	put_file("t.conf", "localaddr = :1\nhandler = nine", strlen("localaddr = :1\nhandler = nine"));
	buf_init(&errors, 4096);
	config_init(&cfg);
	cfg.find_handler = find_only;
	cfg.handler_names = names_only;
	ck_assert_int_eq(config_load(&cfg, path, collect, &errors), -1);
	ck_assert_str_eq(errors.data, "t.conf:2: handler: \"nine\" is not one of: only\n");
	buf_clear(&errors);
	strcpy(cfg.handler, "only");
	ck_assert_int_eq(config_check(&cfg, "f", collect, &errors), -1);
	ck_assert_str_eq(errors.data, "f: remoteaddr is missing: handler \"only\" relays to an upstream\n");
	buf_clear(&errors);
	cfg.max_spare = 1;
	ck_assert_int_eq(config_check(&cfg, NULL, collect, &errors), -1);
	ck_assert_str_eq(errors.data, "remoteaddr is missing: handler \"only\" relays to an upstream\n"
				      "min_spare (5) is more than max_spare (1)\n");
	buf_release(&errors);
	config_release(&cfg);
	free(path);
}
END_TEST

START_TEST(test_hostnames)
{
	static const char *const good[] = { "a", "a.b", "a-1.example", "under_score.example", "[192.0.2.1]",
					    "[IPv6:2001:db8::1]" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "[", "[]", "[x]", "[192.0.2.1",
					   "[IPv6:192.0.2.1]", "\xc3\xa4.example",
					   "a123456789b123456789c123456789d123456789e123456789f123456789g123" "x" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(config_is_hostname(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!config_is_hostname(bad[i]), "%s", bad[i]);
}
END_TEST

/* ---- the example file --------------------------------------------------------------------- */

/* The built etc/posthouse.conf, with the '#' of each "#key" (or "#\tkey") taken away if `open`. */
static char *example(bool open)
{
	const char *top = getenv("PH_TOP_BUILDDIR");
	char *path = mem_printf("%s/etc/posthouse.conf", top ? top : ".");
	FILE *f = fopen(path, "r");
	char line[512];
	struct buf b;

	ck_assert_msg(f != NULL, "%s", path);
	buf_init(&b, 1 << 20);
	while (fgets(line, sizeof(line), f)) {
		bool commented = line[0] == '#' && line[1] != ' ' && line[1] != '\n' && line[1] != '#';

		buf_adds(&b, open && commented ? line + 1 : line);
	}
	fclose(f);
	free(path);
	return b.data;
}

START_TEST(test_example_loads)
{
	char *text = example(false);
	struct config cfg;

	load_good(&cfg, text);
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_uint_eq(cfg.upstream_count, 1);
	config_release(&cfg);
	free(text);
}
END_TEST

/*
 * "#key = DEFAULT" stands there for every key that has a default, and an
 * example for those that have none, each as it is written when active.
 */
START_TEST(test_example_has_every_key)
{
	char *text = example(true), *shut = example(false), *want;
	enum config_section section = CONFIG_TOP;
	bool there[CONFIG_OPTIONS_MAX] = { false };

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		const char *key = line + strspn(line, "\t");
		const struct config_option *o;

		if (strncmp(key, "listener ", 9) == 0)
			section = CONFIG_LISTENER;
		if (strncmp(key, "upstream ", 9) == 0)
			section = CONFIG_UPSTREAM;
		o = config_option_find(section, key, strcspn(key, " ="));
		if (*key == '}')
			section = CONFIG_TOP;
		if (*key == '#' || *key == '}' || key[strlen(key) - 1] == '{')
			continue;
		ck_assert_msg(o != NULL, "%s", line);
		there[o - config_options] = true;
		if (!o->fallback)
			continue;
		want = mem_printf("%s = %s%s%s", o->key, o->type->format == config_type_text.format ? "\"" : "",
				  o->fallback, o->type->format == config_type_text.format ? "\"" : "");
		ck_assert_str_eq(key, want);
		free(want);
	}
	for (size_t i = 0; i < config_option_count; i++)
		ck_assert_msg(there[i], "%s %s is not in etc/posthouse.conf",
			      config_section_names[config_options[i].section], config_options[i].key);
	free(text);
	free(shut);
}
END_TEST

/* ---- secrets -------------------------------------------------------------------------------- */

static void check_secret(const char *content, size_t len, mode_t mode, const char *secret, const char *error)
{
	char *path = mem_printf("%s/secret", dir), *got = NULL;
	struct err e = { 0, "" };

	put_file("secret", content, len);
	ck_assert_int_eq(chmod(path, mode), 0);
	if (secret) {
		ck_assert_msg(secret_read(path, &got, &e) == 0, "%s", e.text);
		ck_assert_str_eq(got, secret);
		secret_free(got);
	} else {
		ck_assert_int_eq(secret_read(path, &got, &e), -1);
		ck_assert_msg(strstr(e.text, error) != NULL, "%s", e.text);
		ck_assert_msg(strstr(e.text, path) != NULL, "%s", e.text);
		ck_assert_ptr_null(strstr(e.text, "pass"));
	}
	unlink(path);
	free(path);
}

START_TEST(test_secret)
{
	char big[4098];

	memset(big, 'x', sizeof(big));
	check_secret("pass word", 9, 0600, "pass word", NULL);
	check_secret("pass\n", 5, 0400, "pass", NULL);
	check_secret("pass\n", 5, 0640, "pass", NULL);
	check_secret("pass \n", 6, 0600, "pass ", NULL);
	check_secret("pass\n\n", 6, 0600, NULL, "more than one line");
	check_secret("pass\r\n", 6, 0600, NULL, "carriage returns");
	check_secret("pass\0x", 6, 0600, NULL, "NUL");
	check_secret("", 0, 0600, NULL, "is empty");
	check_secret("\n", 1, 0600, NULL, "is empty");
	check_secret("pass", 4, 0604, NULL, "can be read by everyone (mode 0604): chmod o-rwx ");
	check_secret("pass", 4, 0644, NULL, "can be read by everyone (mode 0644): chmod o-rwx ");
	check_secret("pass", 4, 0620, NULL, "can be written by others than its owner (mode 0620): chmod go-w,o-rwx ");
	check_secret("pass", 4, 0602, NULL, "can be written by others than its owner (mode 0602): chmod go-w,o-rwx ");
	check_secret(big, 4097, 0600, NULL, "longer than 4096 bytes");
	check_secret(big, 4098, 0600, NULL, "longer than 4096 bytes");
	big[4096] = '\0';
	check_secret(big, 4096, 0600, big, NULL);
}
END_TEST

START_TEST(test_secret_not_a_file)
{
	char *path = mem_printf("%s/secret", dir), *secret;
	struct err e;

	ck_assert_int_eq(secret_read(path, &secret, &e), -1);
	ck_assert_int_eq(e.os_error, ENOENT);
	ck_assert_int_eq(secret_read(dir, &secret, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is not a regular file"));
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(secret_read(path, &secret, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is not a regular file"));
	secret_free(NULL);
	free(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config");
	TCase *c = tcase_create("config");
	const TTest *const tests[] = {
		test_not_a_file, test_nul_and_size, test_many_errors, test_ceilings, test_include, test_include_errors,
		test_defaults, test_defaults_print_as_written, test_every_key, test_every_key_is_in_the_test,
		test_dump_round_trip, test_environment, test_tls_by_port, test_allowed, test_check_and_handlers,
		test_hostnames, test_example_loads, test_example_has_every_key, test_secret, test_secret_not_a_file,
	};

	tcase_add_checked_fixture(c, enter, leave);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, test_bad_files, 0, (int)(sizeof(bad_files) / sizeof(bad_files[0])));
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
