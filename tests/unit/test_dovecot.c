/* SPDX-License-Identifier: ISC */
/* auth/dovecot: the protocol's words, and the backend against a server that does what a script says. */
#include "auth/dovecot_protocol.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "unit.h"

/* ---- words ------------------------------------------------------------------------------ */

START_TEST(test_split)
{
	char line[] = "OK\t1\tuser=a\001tb\001rc\001ld\0011e\001xf\001\t\tlast\001";
	struct dovecot_line l;
	struct buf out;
	char many[400] = "";

	dovecot_split(line, &l);
	ck_assert_uint_eq(l.count, 5);
	ck_assert_str_eq(l.field[0], "OK");
	ck_assert_str_eq(l.field[2], "user=a\tb\rc\nd\001exf");
	ck_assert_str_eq(l.field[3], "");
	ck_assert_str_eq(l.field[4], "last");
	buf_init(&out, 100);
	dovecot_escape(&out, "a\tb\rc\nd\001e");
	ck_assert_str_eq(out.data, "a\001tb\001rc\001nd\0011e");
	buf_release(&out);
	for (int i = 0; i < 100; i++)
		strcat(many, "x\t");
	dovecot_split(many, &l);
	ck_assert_uint_eq(l.count, DOVECOT_FIELDS_MAX);
}
END_TEST

static enum dovecot_step feed(struct dovecot_handshake *h, const char *text, struct err *e)
{
	char *line = mem_strdup(text);
	enum dovecot_step step = dovecot_handshake_line(h, line, e);

	free(line);
	return step;
}

START_TEST(test_handshake)
{
	static const char *const lines[] = {
		"VERSION\t1\t2",
		"MECH\tPLAIN\tplaintext",
		"MECH\tLOGIN\tplaintext",
		"MECH\tANONYMOUS\tanonymous",
		"MECH\tGUEST\tanonymous",
		"MECH\tSECRET\tprivate",
		"MECH\tEXTERNAL",
		"MECH\tSCRAM-SHA-256-PLUS",
		"MECH\tSCRAM-SHA-256\tmutual-auth",
		"MECH\tPLAIN\tplaintext",
		"MECH\tinjec\001nted",
		"MECH",
		"MECH\tA B",
		"NEWS\tof\tthe\tday",
		"COOKIE\t0123",
	};
	struct dovecot_handshake h;
	struct err e = { 0, "" };

	dovecot_handshake_init(&h);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(feed(&h, lines[i], &e) == DOVECOT_MORE, "%s", lines[i]);
	ck_assert_int_eq(feed(&h, "DONE", &e), DOVECOT_DONE);
	ck_assert_str_eq(h.mechanisms.data, "PLAIN LOGIN SCRAM-SHA-256");
	ck_assert(dovecot_handshake_offers(&h, "LOGIN") && dovecot_handshake_offers(&h, "SCRAM-SHA-256"));
	ck_assert(!dovecot_handshake_offers(&h, "SCRAM-SHA") && !dovecot_handshake_offers(&h, "SHA-256") &&
		  !dovecot_handshake_offers(&h, "") && !dovecot_handshake_offers(&h, "PLAIN LOGIN"));
	dovecot_handshake_release(&h);
}
END_TEST

START_TEST(test_bad_handshakes)
{
	static const char *const bad[][2] = {
		{ "VERSION\t2\t0", "version 2" },
		{ "VERSION", "version (none)" },
		{ "DONE", "does not begin" },
		{ "MECH\tPLAIN", "does not begin" },
		{ "220 smtp.test ESMTP", "does not begin" },
		{ "", "does not begin" },
	};
	struct dovecot_handshake h;
	struct err e = { 0, "" };
	enum dovecot_step step = DOVECOT_MORE;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		dovecot_handshake_init(&h);
		ck_assert_int_eq(feed(&h, bad[i][0], &e), DOVECOT_BAD);
		ck_assert_msg(strstr(e.text, bad[i][1]) != NULL, "%s", e.text);
		dovecot_handshake_release(&h);
	}
	dovecot_handshake_init(&h);
	ck_assert_int_eq(feed(&h, "VERSION\t1\t1", &e), DOVECOT_MORE);
	for (int i = 0; i < 2 * DOVECOT_HANDSHAKE_LINES_MAX && step == DOVECOT_MORE; i++) {
		char line[40];

		snprintf(line, sizeof(line), "MECH\tMECHANISM-%d", i);
		step = feed(&h, line, &e);
	}
	ck_assert_int_eq(step, DOVECOT_BAD);
	ck_assert_uint_le(h.mechanisms.len, DOVECOT_MECHANISMS_MAX);
	dovecot_handshake_release(&h);
}
END_TEST

START_TEST(test_requests)
{
	static const struct {
		struct auth_client client;
		const char *initial, *line;
	} requests[] = {
		{ { "192.0.2.1", true, 0 },
		  "AGEAYg==",
		  "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\trip=192.0.2.1\tresp=AGEAYg==\n" },
		{ { "2001:db8::1", false, 0 },
		  NULL,
		  "AUTH\t1\tPLAIN\tservice=smtp\tnologin\trip=2001:db8::1\n" },
		{ { "unix", false, 0 }, "", "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\tresp=\n" },
		{ { "a\tb", false, 0 }, NULL, "AUTH\t1\tPLAIN\tservice=smtp\tnologin\trip=a\001tb\n" },
	};
	struct buf out;

	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		buf_clear(&out);
		dovecot_begin(&out, &requests[i].client, "PLAIN", requests[i].initial);
		ck_assert_str_eq(out.data, requests[i].line);
	}
	buf_clear(&out);
	dovecot_continue(&out, "AGE=");
	ck_assert_str_eq(out.data, "CONT\t1\tAGE=\n");
	buf_release(&out);
	ck_assert(dovecot_is_base64("") && dovecot_is_base64("aZ09+/=="));
	ck_assert(!dovecot_is_base64("a\nCONT") && !dovecot_is_base64("a\tb") && !dovecot_is_base64("a b"));
}
END_TEST

START_TEST(test_replies)
{
	static const struct {
		const char *line;
		enum dovecot_reply_kind kind;
		const char *text; /* user, challenge, or of the error */
	} replies[] = {
		{ "OK\t1\tuser=bob", DOVECOT_REPLY_OK, "bob" },
		{ "OK\t1\tquota\tuser=bob@x.test\tpass=secret", DOVECOT_REPLY_OK, "bob@x.test" },
		{ "OK\t1\tuser=", DOVECOT_REPLY_BAD, "names no user" },
		{ "OK\t1\tuser", DOVECOT_REPLY_BAD, "names no user" },
		{ "OK\t1\tusername=bob", DOVECOT_REPLY_BAD, "names no user" },
		{ "OK\t1\tuser=bob\001nevil", DOVECOT_REPLY_BAD, "names no user" },
		{ "OK\t1\tuser=bob\0010evil", DOVECOT_REPLY_BAD, "names no user" },
		{ "OK\t2\tuser=bob", DOVECOT_REPLY_OTHER, "" },
		{ "OK", DOVECOT_REPLY_OTHER, "" },
		{ "", DOVECOT_REPLY_OTHER, "" },
		{ "CONT\t1\tAGE=", DOVECOT_REPLY_CONT, "AGE=" },
		{ "CONT\t1\t", DOVECOT_REPLY_CONT, "" },
		{ "CONT\t1", DOVECOT_REPLY_CONT, "" },
		{ "CONT\t1\tAG\001nE=", DOVECOT_REPLY_BAD, "not base64" },
		{ "FAIL\t1", DOVECOT_REPLY_FAIL, "wrong password or unknown user" },
		{ "FAIL\t1\tuser=bob", DOVECOT_REPLY_FAIL, "wrong password or unknown user" },
		{ "FAIL\t1\tuser=bob\treason=Go\001taway", DOVECOT_REPLY_FAIL, "Go\taway" },
		{ "FAIL\t1\tuser_disabled", DOVECOT_REPLY_FAIL, "disabled" },
		{ "FAIL\t1\tpass_expired", DOVECOT_REPLY_FAIL, "expired" },
		{ "FAIL\t1\tauthz", DOVECOT_REPLY_FAIL, "not allowed" },
		{ "FAIL\t1\tcode=user_disabled", DOVECOT_REPLY_FAIL, "user_disabled" },
		{ "FAIL\t1\ttemp", DOVECOT_REPLY_TEMPORARY, "internal failure" },
		{ "FAIL\t1\tuser=bob\ttemp\treason=down", DOVECOT_REPLY_TEMPORARY, "down" },
		{ "FAIL\t1\tcode=temp_fail", DOVECOT_REPLY_TEMPORARY, "temp_fail" },
		{ "FAIL\t1\ttempting=yes", DOVECOT_REPLY_FAIL, "wrong password" },
		{ "GREETINGS\t1\tuser=bob", DOVECOT_REPLY_OTHER, "" },
	};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		char *line = mem_strdup(replies[i].line);
		struct dovecot_reply r;
		struct err e = { 0, "" };

		dovecot_reply_parse(line, &r, &e);
		ck_assert_msg(r.kind == replies[i].kind, "%s", replies[i].line);
		if (r.kind == DOVECOT_REPLY_OK)
			ck_assert_str_eq(r.user, replies[i].text);
		else if (r.kind == DOVECOT_REPLY_CONT)
			ck_assert_str_eq(r.challenge, replies[i].text);
		else
			ck_assert_msg(strstr(e.text, replies[i].text) != NULL, "%s: %s", replies[i].line,
				      e.text);
		free(line);
	}
}
END_TEST

START_TEST(test_user_too_long)
{
	char line[400] = "OK\t1\tuser=";
	struct dovecot_reply r;
	struct err e;

	memset(line + 10, 'u', AUTH_USER_MAX);
	dovecot_reply_parse(line, &r, &e);
	ck_assert_int_eq(r.kind, DOVECOT_REPLY_BAD);
	strcpy(line, "OK\t1\tuser=");
	memset(line + 10, 'u', AUTH_USER_MAX - 1);
	line[10 + AUTH_USER_MAX - 1] = '\0';
	dovecot_reply_parse(line, &r, &e);
	ck_assert_int_eq(r.kind, DOVECOT_REPLY_OK);
}
END_TEST

/* ---- a server by script -------------------------------------------------------------------- */

static char folder[60], path[100];

/*
 * Of a script: "> text" sends a line, "| text" sends it without its end, "< text" wants a line that begins
 * so, "flood" sends a line without end, "hang" waits to be killed; at the end it closes.
 */
static void play(FILE *peer, const char *const *script)
{
	char line[40000];

	for (; *script; script++) {
		const char *step = *script;

		if (step[0] == '>' || step[0] == '|') {
			fprintf(peer, "%s%s", step + 2, step[0] == '>' ? "\n" : "");
			fflush(peer);
		} else if (step[0] == '<') {
			if (!fgets(line, sizeof(line), peer) ||
			    strncmp(line, step + 2, strlen(step + 2)) != 0) {
				fprintf(stderr, "# \"%s\" instead of \"%s\"\n", line, step);
				_exit(1);
			}
		} else if (strcmp(step, "flood") == 0) {
			while (fputs("xxxxxxxxxxxxxxxx", peer) >= 0 && fflush(peer) == 0)
				;
		} else {
			pause();
		}
	}
}

static pid_t serve(const char *const *script)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t pid;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		FILE *peer;

		signal(SIGPIPE, SIG_IGN);
		alarm(30);
		peer = fdopen(accept(fd, NULL, NULL), "r+");
		if (!peer)
			_exit(2);
		play(peer, script);
		_exit(0);
	}
	close(fd);
	return pid;
}

static void enter(void)
{
	snprintf(folder, sizeof(folder), "/tmp/posthouse-dovecot-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/auth-client", folder);
}

static void leave(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Answers in turn, and what it was asked. */
struct talk {
	struct auth_conversation conversation;
	const char *const *answers; /* NULL ended: then the client is gone */
	struct buf challenges;
	struct auth_client *late; /* whose deadline has passed when this answer comes; NULL: nobody's */
};

static const char *ask(struct auth_conversation *c, const char *challenge)
{
	struct talk *t = (struct talk *)c;

	buf_addf(&t->challenges, "[%s]", challenge);
	if (t->late)
		t->late->deadline_mono_ms = clock_mono_ms() - 1;
	return *t->answers ? *t->answers++ : NULL;
}

#define HELLO                                                                                                \
	"> VERSION\t1\t2", "< VERSION\t1\t2", "< CPID\t", "> SPID\t17", "> CUID\t3", "> COOKIE\tabc",        \
		"> MECH\tPLAIN\tplaintext", "> MECH\tLOGIN\tplaintext", "> DONE"

struct played {
	const char *mechanism, *initial;
	const char *const *answers;
	enum auth_result result;
	const char *text; /* the user, or of the error */
	const char *challenges;
	int64_t timeout_ms;
};

static void check_exchange(const char *const *script, const struct played *p)
{
	static const char *const nothing[] = { NULL };
	struct auth_client client = { "192.0.2.1", true,
				      clock_mono_ms() + (p->timeout_ms ? p->timeout_ms : 20000) };
	struct talk talk = { .conversation = { ask }, .answers = p->answers ? p->answers : nothing };
	bool hangs = false;
	char user[AUTH_USER_MAX] = "";
	pid_t pid = serve(script);
	struct auth_backend *b;
	struct err e = { 0, "" };
	int status;

	for (const char *const *step = script; *step; step++)
		hangs = hangs || strcmp(*step, "hang") == 0;
	buf_init(&talk.challenges, 1000);
	b = auth_dovecot_open(path, &e);
	ck_assert_ptr_nonnull(b);
	ck_assert_msg(b->ops->exchange(b, &client, p->mechanism, p->initial, &talk.conversation, user, &e) ==
			      p->result,
		      "%s", e.text);
	b->ops->close(b);
	if (p->result == AUTH_OK)
		ck_assert_str_eq(user, p->text);
	else
		ck_assert_msg(!user[0] && strstr(e.text, p->text), "%s", e.text);
	ck_assert_str_eq(talk.challenges.data, p->challenges);
	buf_release(&talk.challenges);
	if (hangs)
		kill(pid, SIGKILL);
	ck_assert(waitpid(pid, &status, 0) == pid && (hangs || status == 0));
	unlink(path);
}

START_TEST(test_exchange)
{
	static const char *const plain[] = {
		HELLO,
		"< AUTH\t1\tPLAIN\tservice=smtp\tnologin\tsecured\trip=192.0.2.1\tresp=AGEAYg==\n",
		"> NEWS\t1",
		"> OK\t7\tuser=other",
		"> OK\t1\tuser=a\tx=y",
		NULL
	};
	static const char *const login[] = {
		HELLO,
		"< AUTH\t1\tLOGIN\tservice=smtp\tnologin\tsecured\trip=192.0.2.1\n",
		"> CONT\t1\tVXNlcm5hbWU6",
		"< CONT\t1\tYQ==\n",
		"| CONT\t1\tUGFz",
		"> c3dvcmQ6",
		"< CONT\t1\t\n",
		"> OK\t1\tuser=b",
		NULL
	};
	static const char *const answers[] = { "YQ==", "", NULL };
	static const char *const refused[] = { HELLO, "< AUTH\t1\tPLAIN", "> FAIL\t1\tuser=a\treason=no way",
					       NULL };
	static const char *const temporary[] = { HELLO, "< AUTH\t1\tPLAIN", "> FAIL\t1\tuser=a\ttemp", NULL };

	check_exchange(plain, &(struct played){ "PLAIN", "AGEAYg==", NULL, AUTH_OK, "a", "", 0 });
	check_exchange(login, &(struct played){ "LOGIN", NULL, answers, AUTH_OK, "b",
						"[VXNlcm5hbWU6][UGFzc3dvcmQ6]", 0 });
	check_exchange(refused,
		       &(struct played){ "PLAIN", "AGEAYg==", NULL, AUTH_FAILED, "Dovecot: no way", "", 0 });
	check_exchange(temporary, &(struct played){ "PLAIN", "AGEAYg==", NULL, AUTH_TEMPORARY,
						    "internal failure of Dovecot", "", 0 });
}
END_TEST

START_TEST(test_client_gives_up)
{
	static const char *const login[] = { HELLO, "< AUTH\t1\tLOGIN", "> CONT\t1\tVXNlcm5hbWU6", NULL };
	static const char *const unread[] = { HELLO, NULL };
	static const char *const injected[] = { "YQ==\nAUTH\t2\tPLAIN", NULL };

	check_exchange(login, &(struct played){ "LOGIN", NULL, NULL, AUTH_FAILED, "cancelled",
						"[VXNlcm5hbWU6]", 0 });
	check_exchange(login, &(struct played){ "LOGIN", NULL, injected, AUTH_FAILED, "not base64",
						"[VXNlcm5hbWU6]", 0 });
	check_exchange(unread,
		       &(struct played){ "CRAM-MD5", NULL, NULL, AUTH_TEMPORARY, "does not offer", "", 0 });
	check_exchange(unread,
		       &(struct played){ "PLAIN\tx", NULL, NULL, AUTH_TEMPORARY, "does not offer", "", 0 });
}
END_TEST

START_TEST(test_initial_is_checked)
{
	struct auth_client client = { "192.0.2.1", true, clock_mono_ms() + 20000 };
	char user[AUTH_USER_MAX];
	struct auth_backend *b;
	struct talk talk = { .conversation = { ask } };
	struct err e;

	b = auth_dovecot_open(path, &e);
	ck_assert_int_eq(b->ops->exchange(b, &client, "PLAIN", "YQ==\nAUTH", &talk.conversation, user, &e),
			 AUTH_FAILED);
	ck_assert_ptr_nonnull(strstr(e.text, "not base64"));
	b->ops->close(b);
}
END_TEST

START_TEST(test_server_out_of_order)
{
	static const char *const gone[] = { HELLO, "< AUTH", NULL };
	static const char *const torn[] = { HELLO, "< AUTH", "| OK\t1\tuser=a", NULL };
	static const char *const early[] = { "> VERSION\t1\t2", NULL };
	static const char *const smtp[] = { "> 220 hello", NULL };
	static const char *const newer[] = { "> VERSION\t2\t0", NULL };
	static const char *const flood[] = { HELLO, "< AUTH", "flood", NULL };
	static const char *const hung[] = { HELLO, "< AUTH", "| OK\t1\tuser=a", "hang", NULL };
	static const char *const silent[] = { "hang", NULL };
	static const char *const nonsense[] = { HELLO, "< AUTH", "> CONT\t1\t!!", NULL };

	check_exchange(gone,
		       &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "closed the connection", "", 0 });
	check_exchange(torn,
		       &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "closed the connection", "", 0 });
	check_exchange(early, &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "", "", 0 });
	check_exchange(smtp, &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY,
					       "does not begin with a version", "", 0 });
	check_exchange(newer, &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "version 2", "", 0 });
	check_exchange(flood,
		       &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "a line of more than", "", 0 });
	check_exchange(hung, &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "does not answer in time",
					       "", 300 });
	check_exchange(silent, &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "does not answer in time",
						 "", 300 });
	check_exchange(nonsense, &(struct played){ "PLAIN", "", NULL, AUTH_TEMPORARY, "not base64", "", 0 });
}
END_TEST

/* The auth process gives each wait a new deadline: the one that counts is that behind the client's answer. */
START_TEST(test_deadline_moves)
{
	static const char *const script[] = { HELLO, "< AUTH\t1\tLOGIN", "> CONT\t1\tVXNlcm5hbWU6", "hang",
					      NULL };
	static const char *const answers[] = { "YQ==", NULL };
	struct auth_client client = { "192.0.2.1", true, clock_mono_ms() + 20000 };
	struct talk talk = { .conversation = { ask }, .answers = answers, .late = &client };
	char user[AUTH_USER_MAX];
	pid_t pid = serve(script);
	struct auth_backend *b;
	struct err e = { 0, "" };

	buf_init(&talk.challenges, 1000);
	b = auth_dovecot_open(path, &e);
	ck_assert_int_eq(b->ops->exchange(b, &client, "LOGIN", NULL, &talk.conversation, user, &e),
			 AUTH_TEMPORARY);
	ck_assert_int_eq(e.os_error, ETIMEDOUT);
	b->ops->close(b);
	buf_release(&talk.challenges);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(test_mechanisms)
{
	static const char *const script[] = { HELLO, NULL };
	struct auth_backend *b;
	struct buf out;
	struct err e = { 0, "" };
	pid_t pid;
	int status;

	buf_init(&out, 4096);
	b = auth_dovecot_open(path, &e);
	ck_assert_int_lt(b->ops->mechanisms(b, &out, &e), 0);
	ck_assert_msg(strstr(e.text, path) && strstr(e.text, "No such file"), "%s", e.text);
	pid = serve(script);
	ck_assert_msg(b->ops->mechanisms(b, &out, &e) == 0, "%s", e.text);
	ck_assert_str_eq(out.data, "PLAIN LOGIN");
	ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
	ck_assert(!b->ops->verify && !b->ops->lookup);
	b->ops->close(b);
	buf_release(&out);
	ck_assert_ptr_null(auth_dovecot_open("auth-client", &e));
	ck_assert_ptr_nonnull(strstr(e.text, "not an absolute path"));
}
END_TEST

/* Its backlog is full and nobody takes from it: that ends at the deadline too. */
START_TEST(test_full_backlog)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct auth_client client = { "192.0.2.1", true, clock_mono_ms() + 300 };
	struct talk talk = { .conversation = { ask } };
	char user[AUTH_USER_MAX];
	struct auth_backend *b;
	struct err e = { 0, "" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), fill[3];

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	for (int i = 0; i < 3; i++) {
		fill[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&at, sizeof(at));
	}
	b = auth_dovecot_open(path, &e);
	ck_assert_int_eq(b->ops->exchange(b, &client, "PLAIN", "", &talk.conversation, user, &e),
			 AUTH_TEMPORARY);
	ck_assert_int_eq(e.os_error, ETIMEDOUT);
	b->ops->close(b);
	for (int i = 0; i < 3; i++)
		close(fill[i]);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dovecot");
	TCase *c = tcase_create("exchange");
	const TTest *const tests[] = {
		test_exchange,       test_client_gives_up, test_initial_is_checked, test_server_out_of_order,
		test_deadline_moves, test_mechanisms,      test_full_backlog,
	};

	UNIT_CASE(s, test_split, test_handshake, test_bad_handshakes, test_requests, test_replies,
		  test_user_too_long);
	tcase_add_checked_fixture(c, enter, leave);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
