/* SPDX-License-Identifier: ISC */
/* access/: tables read from text, what is wrong in them, which entry counts; users and their senders. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/owners.h"
#include "access/rules.h"
#include "base/buf.h"
#include "unit.h"

static struct buf told;

static void take_error(void *ctx, const char *message)
{
	(void)ctx;
	buf_addf(&told, "%s\n", message);
}

static void begin_telling(void)
{
	if (told.data)
		buf_release(&told);
	buf_init(&told, 1 << 20);
}

static FILE *stream(const char *text)
{
	FILE *f = fmemopen((char *)(uintptr_t)text, strlen(text), "r");

	ck_assert(f);
	begin_telling();
	return f;
}

/* The table of this text, in which nothing is wrong. */
static void load(struct rules *r, enum rules_kind kind, const char *text)
{
	int result = rules_load_from(r, kind, "t", stream(text), true, take_error, NULL);

	ck_assert_msg(result == 0 && told.len == 0, "%s", told.data);
}

static void load_owners(struct owners *o, const char *text)
{
	int result = owners_load_from(o, "t", stream(text), take_error, NULL);

	ck_assert_msg(result == 0 && told.len == 0, "%s", told.data);
}

/* The line of the entry that counts, 0: none. */
static unsigned line_of(const struct rules *r, const char *address)
{
	struct rule rule;

	return rules_find_address(r, address, &rule) ? rule.line : 0;
}

static unsigned line_of_client(const struct rules *r, const char *text)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	unsigned char address[16];
	struct rule rule;

	if (strcmp(text, "unix") == 0)
		family = AF_UNIX;
	else
		ck_assert_int_eq(inet_pton(family, text, address), 1);
	return rules_find_client(r, family, address, &rule) ? rule.line : 0;
}

/* ---- which entry counts ------------------------------------------------------------- */

static const char senders[] =
	"# the most specific counts, wherever it stands\n"
	"*		reject	554 5.7.1 no\n"
	"user@		allow\n"
	".example.org	hold	look at it\n"
	".a.example.org	allow\n"
	"example.org	defer	later\n"
	"  user@example.org  allow \r\n"
	"<>		allow\n"
	"\"odd@one\"@example.net	allow\n"
	"[192.0.2.1]	allow\n"
	"@at.example	allow\n"
	"*@star.example	allow\n"
	"a.b@example.com	allow\n"
	"\n";

static const struct {
	const char *address;
	unsigned line;
} found[] = {
	{ "user@example.org", 7 },	  { "USER@Example.ORG", 7 },	   { "\"user\"@example.org", 7 },
	{ "\"us\\er\"@example.org", 7 },  { "other@example.org", 6 },	   { "user@x.example.org", 4 },
	{ "o@x.y.example.org", 4 },	  { "o@a.example.org", 4 },	   { "o@b.a.example.org", 5 },
	{ "user@example.net", 3 },	  { "\"user\"@elsewhere.example", 3 }, { "xuser@example.net", 2 },
	{ "", 8 },			  { "odd@one@example.net", 9 },	   { "\"odd@one\"@example.net", 9 },
	{ "user@[192.0.2.1]", 10 },	  { "user@[192.0.2.2]", 3 },	   { "x@[192.0.2.2]", 2 },
	{ "o@notexample.org", 2 },	  { "o@example.org.evil.test", 2 }, { "x@at.example", 11 },
	{ "x@star.example", 12 },	  { "x@sub.star.example", 2 },	   { "postmaster", 2 },
	{ "user", 3 },			  { "A.B@example.com", 13 },	   { "ab@example.com", 2 },
	{ "\"example.org\"@x.test", 2 },  { "\"user@example.org\"@x.test", 2 }, { "x@.example.org", 4 },
};

START_TEST(the_most_specific_entry_counts)
{
	struct rules r;

	load(&r, RULES_SENDER, senders);
	for (size_t i = 0; i < sizeof(found) / sizeof(*found); i++)
		ck_assert_msg(line_of(&r, found[i].address) == found[i].line, "%s: %u", found[i].address,
			      line_of(&r, found[i].address));
	rules_release(&r);
	load(&r, RULES_SENDER, "example.org allow\n");
	ck_assert_uint_eq(line_of(&r, ""), 0);
	ck_assert_uint_eq(line_of(&r, "a@example.com"), 0);
	rules_release(&r);
	load(&r, RULES_SENDER, "");
	ck_assert_uint_eq(line_of(&r, "a@example.com"), 0);
	rules_release(&r);
	load(&r, RULES_SENDER, "* allow\n"); /* the null reverse-path is an address, too */
	ck_assert_uint_eq(line_of(&r, ""), 1);
	rules_release(&r);
}
END_TEST

START_TEST(the_smallest_network_counts)
{
	static const struct {
		const char *client;
		unsigned line;
	} clients[] = {
		{ "10.1.2.3", 5 },   { "10.1.2.4", 3 },	 { "10.1.3.1", 2 },    { "10.2.0.1", 2 },   { "192.0.2.1", 6 },
		{ "2001:db8::1", 4 }, { "2001:db8:1::1", 8 }, { "2001:db9::1", 6 }, { "unix", 7 },	    { "10.128.0.1", 9 },
		{ "10.127.255.255", 2 }, { "::ffff:10.1.2.3", 6 }, /* whoever asks has made that an IPv4 address */
	};
	struct rules r;

	load(&r, RULES_CLIENT,
	     "\n10.0.0.0/8 allow\n10.1.2.0/24 reject\n2001:db8::/32 reject\n10.1.2.3 allow\n* defer\nunix allow\n"
	     "2001:db8:1::/48 allow\n10.128.0.0/9 reject\n");
	for (size_t i = 0; i < sizeof(clients) / sizeof(*clients); i++)
		ck_assert_msg(line_of_client(&r, clients[i].client) == clients[i].line, "%s: %u", clients[i].client,
			      line_of_client(&r, clients[i].client));
	rules_release(&r);
	load(&r, RULES_CLIENT, "0.0.0.0/0 reject\n");
	ck_assert_uint_eq(line_of_client(&r, "192.0.2.1"), 1);
	ck_assert_uint_eq(line_of_client(&r, "2001:db8::1"), 0);
	ck_assert_uint_eq(line_of_client(&r, "unix"), 0);
	rules_release(&r);
}
END_TEST

/* ---- actions ---------------------------------------------------------------------------- */

START_TEST(actions_and_their_words)
{
	static const struct {
		const char *entry;
		enum rule_action action;
		int code;
		const char *enhanced, *text;
	} actions[] = {
		{ "allow", RULE_ALLOW, 0, "", "" },
		{ "ALLOW  ", RULE_ALLOW, 0, "", "" },
		{ "reject", RULE_REJECT, 554, "5.7.1", "Access denied" },
		{ "Reject go  away", RULE_REJECT, 554, "5.7.1", "go  away" },
		{ "reject 550", RULE_REJECT, 550, "5.7.1", "Access denied" },
		{ "reject 550 5.1.1 No such user", RULE_REJECT, 550, "5.1.1", "No such user" },
		{ "reject\t5.1.10\tMoved # not a comment", RULE_REJECT, 554, "5.1.10", "Moved # not a comment" },
		{ "reject 5.1 is no code, 55 neither", RULE_REJECT, 554, "5.7.1", "5.1 is no code, 55 neither" },
		{ "reject 1000 bottles", RULE_REJECT, 554, "5.7.1", "1000 bottles" },
		{ "defer", RULE_DEFER, 450, "4.7.1", "Try again later" },
		{ "defer 421 4.3.2 Come back %s", RULE_DEFER, 421, "4.3.2", "Come back %s" },
		{ "hold", RULE_HOLD, 0, "", "held by recipient_access" },
		{ "hold 550 is part of the text", RULE_HOLD, 0, "", "550 is part of the text" },
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		char text[200];
		struct rules r;
		struct rule rule;

		snprintf(text, sizeof(text), "example.org %s", actions[i].entry);
		load(&r, RULES_RECIPIENT, text);
		ck_assert(rules_find_address(&r, "a@example.org", &rule));
		ck_assert_msg(rule.action == actions[i].action, "%s", text);
		if (actions[i].code) {
			ck_assert_int_eq(rule.reply.code, actions[i].code);
			ck_assert_str_eq(rule.reply.enhanced, actions[i].enhanced);
			ck_assert_str_eq(rule.reply.text, actions[i].text);
		} else {
			ck_assert_str_eq(rule.text, actions[i].text);
		}
		rules_release(&r);
	}
}
END_TEST

/* Entries with the same words share them; none gets another's. */
START_TEST(words_are_not_mixed_up)
{
	struct rules r;
	struct rule rule;

	load(&r, RULES_SENDER,
	     "a.example reject one\nb.example reject one\nc.example reject on\nd.example reject one two\ne.example reject 5.1.1\n"
	     "f.example reject 5.1.1 one\ng.example hold one\nh.example allow\n");
	static const char *const texts[] = { "one", "one", "on", "one two", "Access denied", "one" };

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		char address[] = "x@a.example";

		address[2] = (char)('a' + i);
		ck_assert(rules_find_address(&r, address, &rule));
		ck_assert_str_eq(rule.reply.text, texts[i]);
		ck_assert_str_eq(rule.reply.enhanced, i == 4 || i == 5 ? "5.1.1" : "5.7.1");
	}
	ck_assert(rules_find_address(&r, "x@g.example", &rule) && rule.action == RULE_HOLD);
	ck_assert_str_eq(rule.text, "one");
	ck_assert(rules_find_address(&r, "x@h.example", &rule) && rule.action == RULE_ALLOW);
	rules_release(&r);
}
END_TEST

/* As many as an answer to EXPN has room for, and not one more. */
START_TEST(lists_fit_their_answer)
{
	struct buf text;
	struct rules r;
	struct rule rule;

	buf_init(&text, 1 << 16);
	buf_adds(&text, "l@example.org list");
	for (int i = 0; i < 93; i++) /* in brackets, with a line end: 11 octets */
		buf_addf(&text, " a%02d@b.de", i);
	load(&r, RULES_VRFY, text.data);
	ck_assert(rules_find_address(&r, "l@example.org", &rule) && rule.action == RULE_LIST);
	ck_assert(strncmp(rule.text, "a00@b.de a01@b.de", 17) == 0);
	rules_release(&r);
	buf_adds(&text, " x@b.de");
	ck_assert_int_eq(rules_load_from(&r, RULES_VRFY, "t", stream(text.data), true, take_error, NULL), -1);
	ck_assert_str_eq(told.data, "t:1: the list is longer than an answer of 1023 octets can be\n");
	rules_release(&r);
	buf_release(&text);
}
END_TEST

/* ---- errors ------------------------------------------------------------------------------- */

#define PATTERNS "write user@domain, domain, .domain (its subdomains), user@, <> or *"
#define ACTIONS "write one of allow, reject, defer and hold behind the pattern"

#define VRFY_ACTIONS "write one of allow, reject, defer, unknown and list behind the pattern"

static const struct {
	enum rules_kind kind;
	const char *text, *told;
} wrong[] = {
	{ RULES_SENDER, "a b@example.org", "t:1: \"b@example.org\" is no action: " ACTIONS "\n" },
	{ RULES_SENDER, "example.org", "t:1: the action is missing: " ACTIONS "\n" },
	{ RULES_SENDER, "a@b@ allow", "t:1: \"a@b@\" is no pattern: " PATTERNS "\n" },
	{ RULES_SENDER, "a*@example.org allow", "t:1: \"a*@example.org\" is no pattern: " PATTERNS "\n" },
	{ RULES_SENDER, "@ allow\n-x allow", "t:1: \"\" is no pattern: " PATTERNS "\nt:2: \"-x\" is no pattern: " PATTERNS "\n" },
	{ RULES_RECIPIENT, "<> allow", "t:1: \"<>\" is no pattern: write user@domain, domain, .domain (its subdomains), user@, or *\n" },
	{ RULES_SENDER, "a.example reject 450 no",
	  "t:1: 450: the reply code of \"reject\" is one from 500 to 559\n" },
	{ RULES_SENDER, "a.example defer 599 no", "t:1: 599: the reply code of \"defer\" is one from 400 to 459\n" },
	{ RULES_SENDER, "a.example reject 4.7.1 no",
	  "t:1: 4.7.1: an enhanced status code of \"reject\" begins with 5\n" },
	{ RULES_SENDER, "a.example allow it", "t:1: nothing may follow \"allow\"\n" },
	{ RULES_SENDER, "a.example reject gr\xc3\xbc\xc3\x9f" "e", "t:1: the text may hold printable ASCII only\n" },
	{ RULES_SENDER, "a.example reject a\rb", "t:1: the text may hold printable ASCII only\n" },
	{ RULES_SENDER, "a.example allow\n#\nA.Example reject\na.example allow\n",
	  "t:3: \"A.Example\" stands twice, first in line 1, and says something else there\n" },
	{ RULES_SENDER, "x\x1b[2J\x07@ nonsense", "t:1: \"x?[2J?@\" is no pattern: " PATTERNS "\nt:1: \"nonsense\" is no action: " ACTIONS "\n" },
	{ RULES_VRFY, "example.org hold", "t:1: \"hold\" is no action: " VRFY_ACTIONS "\n" },
	{ RULES_VRFY, "example.org", "t:1: the action is missing: " VRFY_ACTIONS "\n" },
	{ RULES_VRFY, "example.org unknown why", "t:1: nothing may follow \"unknown\"\n" },
	{ RULES_VRFY, "a@example.org list", "t:1: the members of the list are missing\n" },
	{ RULES_VRFY, "a@example.org list ,, ,", "t:1: the members of the list are missing\n" },
	{ RULES_VRFY, "a@example.org list b@example.org <c@example.org>,d@", "t:1: \"d@\" is no address\n" },
	{ RULES_VRFY, "a@example.org list b@example.org;c@example.org", "t:1: \"b@example.org;c@example.org\" is no address\n" },
	{ RULES_VRFY, "a@example.org list j\xc3\xbcrgen@example.org", "t:1: \"j\xc3\xbcrgen@example.org\" is no address\n" },
	{ RULES_SENDER, "example.org list a@example.org", "t:1: \"list\" is no action: " ACTIONS "\n" },
	{ RULES_CLIENT, "10.0.0.1/8 allow",
	  "t:1: \"10.0.0.1/8\": bits are set behind the prefix length 8; write the network's first address, nor \"unix\" or *\n" },
	{ RULES_CLIENT, "host.example.org allow",
	  "t:1: \"host.example.org\" is not a network (ADDRESS/BITS), nor \"unix\" or *\n" },
	{ RULES_CLIENT, "192.0.2.1 allow\n192.0.2.1/32 reject\n",
	  "t:2: \"192.0.2.1/32\" stands twice, first in line 1, and says something else there\n" },
};

START_TEST(what_is_wrong_is_told_with_its_line)
{
	struct rules r;

	ck_assert_int_eq(rules_load_from(&r, wrong[_i].kind, "t", stream(wrong[_i].text), true, take_error, NULL), -1);
	ck_assert_str_eq(told.data, wrong[_i].told);
	rules_release(&r);
}
END_TEST

START_TEST(all_errors_in_one_run)
{
	struct rules r;
	struct buf text;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 100; i++)
		buf_addf(&text, "%s\n", i % 2 ? "ok.example allow" : "nonsense");
	ck_assert_int_eq(rules_load_from(&r, RULES_SENDER, "t", stream(text.data), true, take_error, NULL), -1);
	ck_assert(strstr(told.data, "t:1: ") && strstr(told.data, "t:99: ") && !strstr(told.data, "more"));
	rules_release(&r);
	for (int i = 0; i < 100; i++)
		buf_adds(&text, "nonsense\n");
	ck_assert_int_eq(rules_load_from(&r, RULES_SENDER, "t", stream(text.data), true, take_error, NULL), -1);
	ck_assert(strstr(told.data, "\nt: 100 errors more\n"));
	rules_release(&r);
	buf_release(&text);
	/* hold is for those who keep mail */
	ck_assert_int_eq(rules_load_from(&r, RULES_SENDER, "t", stream("* hold"), false, take_error, NULL), -1);
	ck_assert_str_eq(told.data, "t:1: hold: only the handler \"spool\" can keep mail\n");
	rules_release(&r);
}
END_TEST

START_TEST(odd_lines)
{
	char text[LINES_LONGEST + 100];
	struct rules r;
	FILE *f;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(rules_load_from(&r, RULES_SENDER, "t", stream(text), true, take_error, NULL), -1);
	ck_assert_str_eq(told.data, "t:1: the line is longer than 4096 octets\n");
	rules_release(&r);
	memcpy(text, "example.org reject ", 19);
	text[19 + 401] = '\0';
	ck_assert_int_eq(rules_load_from(&r, RULES_SENDER, "t", stream(text), true, take_error, NULL), -1);
	ck_assert_str_eq(told.data, "t:1: the text is longer than 400 octets\n");
	rules_release(&r);
	begin_telling();
	f = fmemopen((char *)(uintptr_t) "a.example\0 allow\nb.example allow", 32, "r");
	ck_assert_int_eq(rules_load_from(&r, RULES_SENDER, "t", f, true, take_error, NULL), -1);
	ck_assert_str_eq(told.data, "t:1: the line has a NUL in it\n");
	rules_release(&r);
	load(&r, RULES_SENDER, "a.example allow"); /* no line feed at the end */
	ck_assert_uint_eq(line_of(&r, "x@a.example"), 1);
	rules_release(&r);
}
END_TEST

START_TEST(files_that_cannot_be_used)
{
	char folder[] = "/tmp/posthouse-access-XXXXXX", path[100], expected[200];
	struct rules r;
	FILE *f;

	ck_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/t", folder);
	begin_telling();
	ck_assert_int_eq(rules_load(&r, RULES_SENDER, path, true, take_error, NULL), -1);
	snprintf(expected, sizeof(expected), "%s: cannot be used: No such file or directory\n", path);
	ck_assert_str_eq(told.data, expected);
	rules_release(&r);
	f = fopen(path, "w");
	ck_assert(f && fputs("example.org reject\n", f) >= 0 && fclose(f) == 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	buf_clear(&told);
	ck_assert_int_eq(rules_load(&r, RULES_SENDER, path, true, take_error, NULL), -1);
	ck_assert(strstr(told.data, "everyone may write to it: chmod o-w"));
	rules_release(&r);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(rules_load(&r, RULES_SENDER, path, true, take_error, NULL), 0);
	ck_assert_uint_eq(line_of(&r, "a@example.org"), 1);
	rules_release(&r);
	unlink(path);
	buf_clear(&told);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* nobody writes: not waited for */
	ck_assert_int_eq(rules_load(&r, RULES_SENDER, path, true, take_error, NULL), -1);
	ck_assert(strstr(told.data, "it is no regular file"));
	rules_release(&r);
	unlink(path);
	rmdir(folder);
}
END_TEST

START_TEST(large_tables)
{
	enum { COUNT = 200000 };
	struct rules r;
	struct buf text;

	buf_init(&text, 64u << 20);
	for (unsigned i = 0; i < COUNT; i++)
		buf_addf(&text, "user%u@host%u.example.org %s\n", i, i % 1000, i % 2 ? "reject no" : "allow");
	load(&r, RULES_RECIPIENT, text.data);
	ck_assert_uint_eq(r.table.count, COUNT);
	for (unsigned i = 0; i < COUNT; i += 7) {
		char address[64];

		snprintf(address, sizeof(address), "User%u@host%u.example.org", i, i % 1000);
		ck_assert_uint_eq(line_of(&r, address), i + 1);
	}
	ck_assert_uint_eq(line_of(&r, "user1@host2.example.org"), 0);
	/* the words of the refusal are not kept a hundred thousand times */
	ck_assert_uint_lt(r.table.text_len, text.len * 2);
	rules_release(&r);
	buf_release(&text);
}
END_TEST

/* ---- users ----------------------------------------------------------------------------------- */

START_TEST(users_and_their_senders)
{
	static const struct {
		const char *user, *sender;
		bool may;
	} cases[] = {
		{ "carol", "carol@example.org", true },	   { "carol", "Sales@Example.net", true },
		{ "carol", "other@example.net", false },   { "carol", "x@sub.example.com", true },
		{ "carol", "x@example.com", false },	   { "carol", "", true },
		/* not past her lines by another way to write her name; who has lines of his own has those */
		{ "Carol", "sales@example.net", true },	   { "CAROL", "Carol@fallback.example", false },
		{ "Dora", "a@dora.example", true },	   { "dora", "a@dora.example", false },
		{ "DORA", "a@dora.example", true },
		{ "admin", "anybody@anywhere.example", true }, { "admin", "", true },
		{ "dave", "dave@fallback.example", true }, { "dave", "DAVE@fallback.example", true },
		{ "dave", "carol@fallback.example", false }, { "dave", "dave@example.org", false },
		{ "dave", "\"dave\"@fallback.example", true }, { "dave", "info@shared.example", true },
		{ "erin@mail.example", "erin@mail.example", true },
		{ "erin@mail.example", "Erin@Mail.Example", true },
		{ "erin@mail.example", "frank@mail.example", false },
		{ "*", "anybody@shared.example", true },   { "nobody", "x@y.example", false },
		{ "none", "none@fallback.example", false }, { "none", "", true },
		{ "own", "own@own.example", false },	   { "grace@own.example", "grace@own.example", true },
	};
	struct owners o;

	load_owners(&o, "# users\ncarol carol@example.org  sales@example.net\ncarol .example.com\nadmin *\n"
			"* %u@fallback.example shared.example %u\nnone nobody@nowhere.example\n"
			"Dora dora.example\ndora other.example\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_msg(owners_permit(&o, cases[i].user, cases[i].sender) == cases[i].may, "%s as %s", cases[i].user,
			      cases[i].sender);
	owners_release(&o);
	/* without a default, who has no line may use none */
	load_owners(&o, "carol *\n");
	ck_assert(owners_permit(&o, "carol", "a@b.example"));
	ck_assert(!owners_permit(&o, "dave", "dave@b.example"));
	ck_assert(owners_permit(&o, "dave", ""));
	owners_release(&o);
	load_owners(&o, "");
	ck_assert(!owners_permit(&o, "dave", "dave@b.example"));
	owners_release(&o);
}
END_TEST

START_TEST(users_that_are_wrong)
{
	static const char expected[] = "t:1: user \"carol\": a pattern of addresses is missing behind the name\n"
				       "t:2: \"a@b@\" is no pattern: write user@domain, domain, .domain (its subdomains), user@, "
				       "*, %u (the user's name is the address) or %u@domain\n"
				       "t:3: \"%u@\" is no pattern";
	struct owners o;

	ck_assert_int_eq(owners_load_from(&o, "t", stream("carol\ndave a@b@ x@y.example\nerin %u@\n"), take_error, NULL), -1);
	ck_assert_msg(strncmp(told.data, expected, sizeof(expected) - 1) == 0, "%s", told.data);
	owners_release(&o);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access tables");
	TCase *errors = tcase_create("errors");

	UNIT_CASE(suite, the_most_specific_entry_counts, the_smallest_network_counts, actions_and_their_words,
		  words_are_not_mixed_up, lists_fit_their_answer, all_errors_in_one_run, odd_lines, files_that_cannot_be_used, large_tables,
		  users_and_their_senders, users_that_are_wrong);
	tcase_add_loop_test(errors, what_is_wrong_is_told_with_its_line, 0, sizeof(wrong) / sizeof(*wrong));
	suite_add_tcase(suite, errors);
	return unit_run(suite);
}
