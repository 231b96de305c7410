/* SPDX-License-Identifier: ISC */
/*
 * auth/pam: against the real PAM, with services in a folder of our own, so
 * that the machine's accounts are left alone. pam_exec runs a script that
 * knows one password (what it refuses is a system error to pam_exec, hence
 * pam_deny behind it); pam_debug returns whatever it is told.
 */
#include "auth/pam.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "unit.h"

#ifdef HAVE_PAM

static char folder[PATH_MAX];

static void put(const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	fclose(f);
	free(path);
}

static void enter(void)
{
	const char *tmp = getenv("TMPDIR");
	char *service;

	snprintf(folder, sizeof(folder), "%s/posthouse-pam-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	/* pam_exec gives the password with its NUL; only who has it, and comes from there, gets in */
	put("script", "password=$(tr -d '\\000')\n"
		      "[ \"$password\" = 'open sesame' ] && [ \"$PAM_USER\" = alibaba ] &&\n"
		      "[ \"$PAM_RHOST\" = \"$1\" ] && [ \"$PAM_TTY\" = posthouse ]\n");
	service = mem_printf("auth sufficient pam_exec.so expose_authtok quiet /bin/sh %s/script 192.0.2.1\n"
			     "auth required pam_deny.so\naccount required pam_permit.so\n",
			     folder);
	put("cave", service);
	free(service);
	service = mem_printf("auth sufficient pam_exec.so expose_authtok quiet /bin/sh %s/script\n"
			     "auth required pam_deny.so\naccount required pam_permit.so\n",
			     folder);
	put("local", service);
	free(service);
}

static void leave(void)
{
	static const char *const names[] = { "script", "cave", "local", "debug" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = mem_printf("%s/%s", folder, names[i]);

		unlink(path);
		free(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

static struct auth_backend *open_service(const char *service)
{
	struct err e = { 0, "" };
	struct auth_backend *b = auth_pam_open_in(service, folder, &e);

	ck_assert_msg(b != NULL, "%s", e.text);
	return b;
}

static void check_verify(struct auth_backend *b, const char *address, const char *name, const char *password,
			 enum auth_result wanted, const char *text)
{
	struct auth_client client = { address, true, INT64_MAX };
	char user[AUTH_USER_MAX] = "";
	struct err e = { 0, "" };

	ck_assert_msg(b->ops->verify(b, &client, name, password, user, &e) == wanted, "%s %s", name, e.text);
	ck_assert_str_eq(user, wanted == AUTH_OK ? text : "");
	if (wanted != AUTH_OK)
		ck_assert_msg(strstr(e.text, text) != NULL, "%s", e.text);
	ck_assert_ptr_null(strstr(e.text, "sesame"));
}

START_TEST(test_verify)
{
	struct auth_backend *b = open_service("cave");
	struct buf mechanisms;
	struct err e;

	check_verify(b, "192.0.2.1", "alibaba", "open sesame", AUTH_OK, "alibaba");
	check_verify(b, "192.0.2.1", "\xef\xbd\x81libaba", "open sesame", AUTH_OK, "alibaba");
	check_verify(b, "192.0.2.1", "alibaba", "open barley", AUTH_FAILED,
		     "PAM service cave: authentication: ");
	check_verify(b, "192.0.2.1", "kasim", "open sesame", AUTH_FAILED,
		     "PAM service cave: authentication: ");
	check_verify(b, "192.0.2.2", "alibaba", "open sesame", AUTH_FAILED,
		     "PAM service cave: authentication: ");
	check_verify(b, "192.0.2.1", "alibaba", "", AUTH_FAILED, "empty password");
	check_verify(b, "192.0.2.1", "ali\nbaba", "open sesame", AUTH_FAILED, "cannot be the name");
	check_verify(b, "192.0.2.1", "", "open sesame", AUTH_FAILED, "cannot be the name");
	buf_init(&mechanisms, 100);
	ck_assert_int_eq(b->ops->mechanisms(b, &mechanisms, &e), 0);
	ck_assert_str_eq(mechanisms.data, "PLAIN LOGIN");
	buf_release(&mechanisms);
	ck_assert(!b->ops->lookup && !b->ops->exchange);
	b->ops->close(b);
	b = open_service("local");
	check_verify(b, "unix", "alibaba", "open sesame", AUTH_OK, "alibaba");
	check_verify(b, "192.0.2.1", "alibaba", "open sesame", AUTH_FAILED, "authentication");
	b->ops->close(b);
}
END_TEST

START_TEST(test_what_modules_return)
{
	static const struct {
		const char *line;
		enum auth_result result;
		const char *error;
	} returns[] = {
		{ "auth required pam_debug.so auth=success\naccount required pam_debug.so acct=success\n",
		  AUTH_OK, "alibaba" },
		{ "auth required pam_debug.so auth=auth_err\naccount required pam_permit.so\n", AUTH_FAILED,
		  "authentication" },
		{ "auth required pam_debug.so auth=user_unknown\naccount required pam_permit.so\n",
		  AUTH_FAILED, "authentication" },
		{ "auth required pam_debug.so auth=maxtries\naccount required pam_permit.so\n", AUTH_FAILED,
		  "authentication" },
		{ "auth required pam_debug.so auth=authinfo_unavail\naccount required pam_permit.so\n",
		  AUTH_TEMPORARY, "authentication" },
		{ "auth required pam_debug.so auth=system_err\naccount required pam_permit.so\n",
		  AUTH_TEMPORARY, "authentication" },
		{ "auth required pam_no_such_module.so\naccount required pam_permit.so\n", AUTH_TEMPORARY,
		  "authentication" },
		{ "auth required pam_permit.so\naccount required pam_debug.so acct=acct_expired\n",
		  AUTH_FAILED, "account" },
		{ "auth required pam_permit.so\naccount required pam_debug.so acct=new_authtok_reqd\n",
		  AUTH_FAILED, "account" },
		{ "auth required pam_permit.so\naccount required pam_debug.so acct=perm_denied\n",
		  AUTH_FAILED, "account" },
		{ "auth required pam_permit.so\naccount required pam_deny.so\n", AUTH_FAILED, "account" },
	};

	for (size_t i = 0; i < sizeof(returns) / sizeof(returns[0]); i++) {
		struct auth_backend *b;

		put("debug", returns[i].line);
		b = open_service("debug");
		check_verify(b, "192.0.2.1", "alibaba", "x", returns[i].result, returns[i].error);
		b->ops->close(b);
	}
}
END_TEST

/*
 * A module that asks for seconds after a failure does not get them: how long to wait is not its to say here.
 */
START_TEST(test_no_delay_of_modules)
{
	int64_t began = clock_mono_ms();
	struct auth_backend *b;

	put("debug", "auth required pam_faildelay.so delay=20000000\nauth required pam_deny.so\n");
	b = open_service("debug");
	check_verify(b, "192.0.2.1", "alibaba", "x", AUTH_FAILED, "authentication");
	ck_assert_int_lt(clock_mono_ms() - began, 10000);
	b->ops->close(b);
}
END_TEST

START_TEST(test_open)
{
	static const char *const bad[] = { "", "../cave", "a/b", "Cave", ".cave", "-cave", "ca ve" };
	struct err e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_ptr_null(auth_pam_open_in(bad[i], folder, &e));
		ck_assert_msg(strstr(e.text, "a name is of small letters") != NULL, "%s", e.text);
	}
	ck_assert_ptr_null(auth_pam_open_in("nothing", folder, &e));
	ck_assert_msg(strstr(e.text, "PAM has no service nothing: make the file ") != NULL, "%s", e.text);
	ck_assert_ptr_null(auth_pam_open("posthouse-no-such-service", &e));
	ck_assert_msg(strstr(e.text, "make the file /etc/pam.d/posthouse-no-such-service") != NULL, "%s",
		      e.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pam");
	TCase *c = tcase_create("pam");
	const TTest *const tests[] = { test_verify, test_what_modules_return, test_no_delay_of_modules,
				       test_open };

	tcase_add_checked_fixture(c, enter, leave);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}

#else

/* Built without it: a configuration that names it is told so. */
START_TEST(test_without_pam)
{
	struct err e;

	ck_assert_ptr_null(auth_pam_open("login", &e));
	ck_assert_msg(strstr(e.text, "was built without PAM") != NULL, "%s", e.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pam");

	UNIT_CASE(s, test_without_pam);
	return unit_run(s);
}

#endif
