/* SPDX-License-Identifier: ISC */
/* auth/: the users file, its lines, credentials, editing, and the backend over it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/backend.h"
#include "auth/credential.h"
#include "auth/prep.h"
#include "auth/users_edit.h"
#include "auth/users_file.h"
#include "base/alloc.h"
#include "unit.h"

/* "pencil" and its verifier of RFC 7677 3: salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 iterations */
#define SCRAM_PENCIL                                                                                         \
	"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"         \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
/* the same by `doveadm pw`, and hashes of other programs: openssl passwd, htpasswd */
#define DOVEADM_PENCIL                                                                                       \
	"{SCRAM-SHA-256}4096,bijR/1SPzo9t3FS7D4D5kA==,yzQ6OGv5JO6YJ7q6NBvmGX8AYg0L8CjZFxxfgAAIu/Q=,"         \
	"VksGQUeRtQ5LDwje+fk7vrg90F9smKOEOi5tbvQfwqg="
#define MD5_PENCIL "$1$saltsalt$wCrc3hcrR95SV83Xh8Z.41"
#define SHA256_PENCIL "$5$saltsalt$hl9BvcGsj7AkON13nbqeQHDgRpHyFxt7WDzLoS.OCQ/"
#define SHA512_PENCIL                                                                                        \
	"$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0"
#define BCRYPT_PENCIL "$2y$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2"

static char folder[PATH_MAX];
static char file[PATH_MAX + 16];

static void enter(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/posthouse-users-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/users", folder);
}

static void leave(void)
{
	unlink(file);
	ck_assert_msg(rmdir(folder) == 0, "something is left in %s: %s", folder, strerror(errno));
}

static void put(const char *text)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void check_content(const char *wanted)
{
	char text[8192] = "";
	int fd = open(file, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	ck_assert_str_eq(text, wanted);
}

static struct credential credential_of(const char *text)
{
	struct credential c;
	struct err e = { 0, "" };

	ck_assert_msg(credential_parse(&c, text, strlen(text), &e) == 0, "%s: %s", text, e.text);
	return c;
}

/* ---- credentials ---------------------------------------------------------------------- */

/* What crypt(3) itself makes of "pencil", so that the test knows no library's options. */
static void hash_of(const char *method, char text[CREDENTIAL_TEXT_MAX])
{
	const struct credential_method *m = credential_method_find(method);
	struct credential c;
	struct buf out;
	struct err e = { 0, "" };

	ck_assert_ptr_nonnull(m);
	ck_assert_msg(credential_make_crypt(&c, m, "pencil", &e) == 0, "%s", e.text);
	buf_init(&out, CREDENTIAL_TEXT_MAX);
	credential_format(&c, &out);
	snprintf(text, CREDENTIAL_TEXT_MAX, "%s", out.data);
	buf_release(&out);
}

START_TEST(test_matches)
{
	static const struct {
		const char *text, *name;
	} known[] = {
		{ SCRAM_PENCIL, "SCRAM-SHA-256" },
		{ "{scram-sha-256}"
		  "4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		  "SCRAM-SHA-256" },
		{ DOVEADM_PENCIL, "SCRAM-SHA-256" },
		{ MD5_PENCIL, "md5crypt" },
		{ "{SHA256-CRYPT}" SHA256_PENCIL, "sha256crypt" },
		{ "{SHA512-CRYPT}" SHA512_PENCIL, "sha512crypt" },
		{ "{BLF-CRYPT}" BCRYPT_PENCIL, "bcrypt" },
		{ "{CRYPT}abJ32bJMdTsnY", "crypt" },
		{ "_J9..rasmc4dDPuFCaAQ", "crypt" },
		{ "{PLAIN}pencil", "clear" },
		{ "{cleartext}pencil", "clear" },
		{ "{PLAIN.b64}cGVuY2ls", "clear" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct credential c = credential_of(known[i].text);

		ck_assert_str_eq(credential_name(&c), known[i].name);
		ck_assert_msg(credential_matches(&c, "pencil"), "%s", known[i].text);
		ck_assert_msg(!credential_matches(&c, "Pencil"), "%s", known[i].text);
		ck_assert_msg(!credential_matches(&c, "pencil "), "%s", known[i].text);
		ck_assert_msg(!credential_matches(&c, ""), "%s", known[i].text);
	}
}
END_TEST

START_TEST(test_hashes_of_crypt)
{
	char text[CREDENTIAL_TEXT_MAX];

	for (const struct credential_method *m = credential_methods; m->name; m++) {
		struct credential c, bare, locked;
		char *shut;

		hash_of(m->name, text);
		ck_assert_int_eq(strncmp(text, "{CRYPT}$", 8), 0);
		c = credential_of(text);
		bare = credential_of(text + 7);
		shut = mem_printf("{CRYPT}!%s", text + 7);
		locked = credential_of(shut);
		free(shut);
		ck_assert_str_eq(credential_name(&c), m->name);
		ck_assert_str_eq(credential_name(&locked), m->name);
		ck_assert(credential_matches(&c, "pencil"));
		ck_assert(credential_matches(&bare, "pencil"));
		ck_assert(!credential_matches(&c, "pencils"));
		ck_assert(!credential_matches(&c, ""));
		ck_assert(locked.locked && !credential_matches(&locked, "pencil"));
	}
	ck_assert_ptr_null(credential_method_find("des"));
}
END_TEST

START_TEST(test_bad_credentials)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "", "there is no password" },
		{ "{PLAIN", "a '}' is missing" },
		{ "{ARGON2ID}$argon2id$v=19$m=1", "unknown scheme {ARGON2ID}" },
		{ "{CRAM-MD5}0123", "unknown scheme {CRAM-MD5}" },
		{ "{my secret}x", "unknown scheme" },
		{ "{}x", "unknown scheme {}" },
		{ "{PLAIN}", "is empty" },
		{ "{PLAIN.b64}cGVuY2l", "not base64" },
		{ "{PLAIN.b64}AGE=", "holds a NUL" },
		{ "correcthorsebatterystaple", "no whole hash" }, /* a DES hash by its first letters */
		{ "secret", "no whole hash" },
		{ "$6$saltsalt$tooshort", "no whole hash" },
		{ "$9$saltsalt$0123456789012345678901", "no hash that" },
		{ "pass word", "no" },
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,x", "expected ITERATIONS,SALT" },
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,",
		  "expected ITERATIONS,SALT" },
		{ "{SCRAM-SHA-256}0,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		  "the iterations" },
		{ "{SCRAM-SHA-256}99999999,W22ZaJ0SNY7soEsUEjb6gQ==,"
		  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		  "the iterations" },
		{ "{SCRAM-SHA-256}4096,,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		  "not base64" },
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4g==,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		  "not base64, or not of their length" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct credential c;
		struct err e = { 0, "" };

		ck_assert_msg(credential_parse(&c, bad[i].text, strlen(bad[i].text), &e) < 0, "%s",
			      bad[i].text);
		ck_assert_msg(strstr(e.text, bad[i].error) != NULL, "%s: %s", bad[i].text, e.text);
		ck_assert_ptr_null(strstr(e.text, "secret"));
	}
}
END_TEST

START_TEST(test_made_credentials)
{
	struct credential c, again;
	struct buf text;
	struct err e = { 0, "" };
	char long_one[100];

	buf_init(&text, CREDENTIAL_TEXT_MAX);
	ck_assert_int_eq(credential_make_scram(&c, 5000, "pencil", &e), 0);
	ck_assert_uint_eq(c.iterations, 5000);
	credential_format(&c, &text);
	again = credential_of(text.data);
	ck_assert(credential_matches(&again, "pencil") && !credential_matches(&again, "pen"));
	ck_assert_int_eq(credential_make_scram(&again, 5000, "pencil", &e), 0);
	ck_assert_str_ne(again.salt, c.salt);

	buf_clear(&text);
	ck_assert_int_eq(credential_make_clear(&c, "pen: {cil} = 2", &e), 0);
	credential_format(&c, &text);
	ck_assert_ptr_null(strchr(text.data, ':'));
	again = credential_of(text.data);
	ck_assert_str_eq(again.clear, "pen: {cil} = 2");
	ck_assert_int_lt(credential_make_clear(&c, "", &e), 0);

	memset(long_one, 'x', 73);
	long_one[73] = '\0';
	ck_assert_int_lt(credential_make_crypt(&c, credential_method_find("bcrypt"), long_one, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "72 octets"));
	ck_assert_int_eq(credential_make_dummy(&c, &e), 0);
	ck_assert(!credential_matches(&c, "pencil"));
	buf_release(&text);
}
END_TEST

/* Both spellings of e with an accent, and what was hashed without preparing. */
START_TEST(test_prepared_passwords)
{
	const char *composed = "caf\xc3\xa9", *apart = "cafe\xcc\x81", *latin1 = "caf\xe9";
	struct credential c;
	struct err e;

	ck_assert_int_eq(credential_make_clear(&c, composed, &e), 0);
	ck_assert(credential_matches(&c, composed) && credential_matches(&c, apart));
	ck_assert(!credential_matches(&c, latin1));
	ck_assert_int_eq(credential_make_clear(&c, latin1, &e), 0);
	ck_assert(credential_matches(&c, latin1));
	/* a soft hyphen is mapped to nothing, which is no password */
	ck_assert_int_eq(credential_make_crypt(&c, credential_method_find("sha512crypt"), "", &e), 0);
	ck_assert(!credential_matches(&c, "\xc2\xad"));
}
END_TEST

START_TEST(test_names)
{
	static const char *const good[][2] = {
		{ "alice", "alice" },
		{ "Alice@Example.org", "Alice@Example.org" },
		{ "\xef\xbd\x81lice", "alice" }, /* a wide a */
		{ "andr\x65\xcc\x81", "andr\xc3\xa9" },
	};
	static const char *const bad[] = { "", "a:b", "a b", "#a", "a\nb", "a\x7f", "\xff", "a\xe2\x80\xae" };
	char out[AUTH_USER_MAX], long_one[300];
	struct err e;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(prep_name(good[i][0], PREP_STORE, out, &e), 0);
		ck_assert_str_eq(out, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(prep_name(bad[i], PREP_QUERY, out, &e) < 0, "%zu", i);
	memset(long_one, 'a', sizeof(long_one));
	long_one[255] = '\0';
	ck_assert_int_eq(prep_name(long_one, PREP_QUERY, out, &e), 0);
	long_one[255] = 'a', long_one[256] = '\0';
	ck_assert_int_lt(prep_name(long_one, PREP_QUERY, out, &e), 0);
	ck_assert(prep_same_name("aLice", "Alice") && !prep_same_name("alice", "alic") &&
		  !prep_same_name("alic", "alice"));
	ck_assert(!prep_same_name("\xc3\xa9", "\xc3\x89"));
}
END_TEST

/* ---- lines -------------------------------------------------------------------------------- */

START_TEST(test_lines)
{
	static const struct {
		const char *line, *error; /* error NULL: good */
		size_t count;
		const char *locked;
	} lines[] = {
		{ "bob:{PLAIN}x", NULL, 1, NULL },
		{ "bob:{PLAIN}x:", NULL, 1, NULL },
		{ "bob:{PLAIN}x:1000:1000:Bob, of room 3:/home/bob:/bin/sh", NULL, 1, NULL },
		{ "bob:{PLAIN}x:1000:1000::/home/bob::userdb_quota=a:b userdb_x", NULL, 1, NULL },
		{ "bob:{PLAIN}x::::::nologin", NULL, 1, "nologin" },
		{ "bob:{PLAIN}x::::::nologin=on holiday", "extra field \"holiday\"", 0, NULL },
		{ "bob:!::::::", NULL, 1, "locked" },
		{ "bob:*", NULL, 1, "locked" },
		{ "bob:" SCRAM_PENCIL
		  "::::::posthouse_credential={PLAIN}y  posthouse_credential={PLAIN.b64}eA==",
		  NULL, 3, NULL },
		{ "bob", "there is no password", 0, NULL },
		{ "bob:", "there is no password", 0, NULL },
		{ "bob::1000:1000", "there is no password", 0, NULL },
		{ ":{PLAIN}x", "the name cannot be used", 0, NULL },
		{ "b b:{PLAIN}x", "the name cannot be used", 0, NULL },
		{ "bob:{PLAIN}x\r", "carriage return", 0, NULL },
		{ "bob:{PLAIN}x\x01y", "control character", 0, NULL },
		{ "bob:{PLAIN}x::::::allow_nets=10.0.0.0/8", "extra field \"allow_nets\" is not known", 0,
		  NULL },
		{ "bob:{PLAIN}x::::::nopassword", "extra field \"nopassword\" is not known", 0, NULL },
		{ "bob:{PLAIN}x:19000:0:99999:7::19500:", "extra field \"\" is not known", 0,
		  NULL }, /* shadow(5) */
		{ "bob:{PLAIN}x::::::posthouse_credential={FOO}y", "unknown scheme {FOO}", 0, NULL },
		{ "bob:{PLAIN}x::::::posthouse_credential={PLAIN}a posthouse_credential={PLAIN}a "
		  "posthouse_credential={PLAIN}a posthouse_credential={PLAIN}a",
		  "more than 4 credentials", 0, NULL },
	};
	const char *name;
	size_t len;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct users_entry u;
		struct err e = { 0, "" };
		int r = users_line_parse(lines[i].line, strlen(lines[i].line), &u, &e);

		ck_assert(users_line_name(lines[i].line, strlen(lines[i].line), &name, &len));
		if (lines[i].error) {
			ck_assert_msg(r < 0, "%s", lines[i].line);
			ck_assert_msg(strstr(e.text, lines[i].error) != NULL, "%s: %s", lines[i].line,
				      e.text);
			continue;
		}
		ck_assert_msg(r == 0, "%s: %s", lines[i].line, e.text);
		ck_assert_str_eq(u.name, "bob");
		ck_assert_uint_eq(u.count, lines[i].count);
		ck_assert_pstr_eq(users_entry_locked(&u), lines[i].locked);
	}
	ck_assert(!users_line_name("", 0, &name, &len));
	ck_assert(!users_line_name("  \t", 3, &name, &len));
	ck_assert(!users_line_name("# bob:x", 7, &name, &len));
}
END_TEST

START_TEST(test_line_too_long)
{
	char line[USERS_LINE_MAX + 2];
	struct users_entry u;
	struct err e;

	memset(line, 'x', sizeof(line));
	memcpy(line, "bob:{PLAIN}y:", 13);
	ck_assert_int_eq(users_line_parse(line, USERS_LINE_MAX, &u, &e), 0);
	ck_assert_int_lt(users_line_parse(line, USERS_LINE_MAX + 1, &u, &e), 0);
}
END_TEST

static void check_written(const char *old, size_t count, const char *wanted)
{
	struct credential two[2];
	struct buf out;
	struct err e;

	ck_assert_int_eq(credential_make_clear(&two[0], "a", &e), 0);
	ck_assert_int_eq(credential_make_clear(&two[1], "b", &e), 0);
	buf_init(&out, USERS_LINE_MAX);
	users_line_write("bob", two, count, old, old ? strlen(old) : 0, &out);
	ck_assert_str_eq(out.data, wanted);
	buf_release(&out);
}

START_TEST(test_written_lines)
{
	check_written(NULL, 1, "bob:{PLAIN.b64}YQ==");
	check_written(NULL, 2, "bob:{PLAIN.b64}YQ==::::::posthouse_credential={PLAIN.b64}Yg==");
	check_written("bob", 1, "bob:{PLAIN.b64}YQ==");
	check_written("bob:old", 1, "bob:{PLAIN.b64}YQ==");
	check_written("bob:old", 2, "bob:{PLAIN.b64}YQ==::::::posthouse_credential={PLAIN.b64}Yg==");
	check_written("bob:old:1:2:gecos", 1, "bob:{PLAIN.b64}YQ==:1:2:gecos");
	check_written("bob:old:1:2:gecos:/h:/s", 2,
		      "bob:{PLAIN.b64}YQ==:1:2:gecos:/h:/s:posthouse_credential={PLAIN.b64}Yg==");
	check_written(
		"bob:old:1:2:gecos:/h:/s:x posthouse_credential=old userdb_y=a:b", 2,
		"bob:{PLAIN.b64}YQ==:1:2:gecos:/h:/s:posthouse_credential={PLAIN.b64}Yg== x userdb_y=a:b");
	check_written("bob:old::::::posthouse_credential=old", 1, "bob:{PLAIN.b64}YQ==:::::");
	check_written("bob:old::::::x", 1, "bob:{PLAIN.b64}YQ==::::::x");
}
END_TEST

/* ---- the file -------------------------------------------------------------------------------- */

static void read_users(struct users_file *f)
{
	struct err e = { 0, "" };

	ck_assert_msg(users_file_read(f, file, &e) == 0, "%s", e.text);
}

static void check_unreadable(mode_t mode, const char *error)
{
	struct users_file f;
	struct err e;

	ck_assert_int_eq(chmod(file, mode), 0);
	ck_assert_int_lt(users_file_read(&f, file, &e), 0);
	ck_assert_msg(strstr(e.text, error) && strstr(e.text, file), "%s", e.text);
	ck_assert_ptr_null(auth_users_open(file, &e));
	ck_assert_ptr_nonnull(strstr(e.text, error));
}

START_TEST(test_file_rights)
{
	struct users_file f;
	struct err e;

	ck_assert_int_lt(users_file_read(&f, file, &e), 0);
	ck_assert_int_eq(e.os_error, ENOENT);
	put("bob:{PLAIN}x\n");
	check_unreadable(0644, "can be read by everyone (mode 0644): chmod o-rwx ");
	check_unreadable(0620, "can be written by others");
	ck_assert_int_eq(chmod(file, 0640), 0);
	read_users(&f);
	users_file_release(&f);
	ck_assert_int_eq(truncate(file, USERS_FILE_MAX + 1), 0);
	check_unreadable(0600, "is longer than");
	unlink(file);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	check_unreadable(0600, "is not a regular file");
}
END_TEST

#define SEVERAL                                                                                              \
	"# who may send\n\nbob:{PLAIN}x\nAlice@Example.org:{PLAIN}y\nbad:{FOO}z\ntwice:{PLAIN}a\n"           \
	"TWICE:{PLAIN}b\nshut:!::::\nlast:{PLAIN}l"

START_TEST(test_find)
{
	static const struct {
		const char *name;
		enum users_found found;
		const char *text; /* the name as it stands, or of the error */
	} look[] = {
		{ "bob", USERS_FOUND, "bob" },
		{ "BOB", USERS_FOUND, "bob" },
		{ "alice@example.ORG", USERS_FOUND, "Alice@Example.org" },
		{ "bo", USERS_UNKNOWN, NULL },
		{ "bobb", USERS_UNKNOWN, NULL },
		{ "# who may send", USERS_UNKNOWN, NULL },
		{ "", USERS_UNKNOWN, NULL },
		{ "bad", USERS_UNUSABLE, "users:5: unknown scheme {FOO}" },
		{ "twice", USERS_UNUSABLE, "users:7: the user stands in line 6 already" },
		{ "last", USERS_FOUND, "last" },
	};
	struct users_file f;

	put(SEVERAL);
	read_users(&f);
	for (size_t i = 0; i < sizeof(look) / sizeof(look[0]); i++) {
		struct users_entry u = { .count = 0 };
		struct err e = { 0, "" };

		ck_assert_msg(users_file_find(&f, look[i].name, &u, &e) == look[i].found, "%s", look[i].name);
		if (look[i].found == USERS_FOUND)
			ck_assert_str_eq(u.name, look[i].text);
		else if (look[i].text)
			ck_assert_msg(strstr(e.text, look[i].text) != NULL, "%s", e.text);
	}
	users_file_release(&f);
}
END_TEST

static void collect(void *ctx, const char *message)
{
	const char *name = strstr(message, "/users:");

	ck_assert_ptr_nonnull(name);
	buf_addf(ctx, "%s\n", name + 1);
}

START_TEST(test_check)
{
	struct users_summary sum;
	struct users_file f;
	struct buf errors;

	buf_init(&errors, 8192);
	put(SEVERAL);
	read_users(&f);
	users_file_check(&f, &sum, collect, &errors);
	users_file_release(&f);
	ck_assert_str_eq(errors.data, "users:5: unknown scheme {FOO}\n"
				      "users:7: user twice stands in line 6 already\n");
	ck_assert_uint_eq(sum.wrong, 2);
	ck_assert_uint_eq(sum.users, 5); /* twice counts twice */
	ck_assert_uint_eq(sum.with_clear, 5);
	ck_assert_uint_eq(sum.with_scram, 0);
	buf_release(&errors);
}
END_TEST

START_TEST(test_stand_in)
{
	char text[4096] = "# nobody\nshut:!\nbad:{FOO}x\n";
	bool seen[10] = { false };
	struct users_entry u;
	struct users_file f;

	put(text);
	read_users(&f);
	ck_assert(!users_file_stand_in(&f, "mallory", &u));
	users_file_release(&f);
	for (int i = 0; i < 10; i++)
		sprintf(text + strlen(text), "user%d:{PLAIN}x\n", i);
	put(text);
	read_users(&f);
	for (int i = 0; i < 1000; i++) {
		char name[20], first[AUTH_USER_MAX];

		sprintf(name, "mallory%d", i);
		ck_assert(users_file_stand_in(&f, name, &u));
		strcpy(first, u.name);
		ck_assert(users_file_stand_in(&f, name, &u));
		ck_assert_str_eq(u.name, first);
		seen[u.name[4] - '0'] = true;
	}
	for (int i = 0; i < 10; i++)
		ck_assert_msg(seen[i], "user%d is never taken", i);
	users_file_release(&f);
}
END_TEST

/* ---- the backend --------------------------------------------------------------------------------- */

static struct auth_backend *open_backend(const char *text)
{
	struct auth_backend *b;
	struct err e = { 0, "" };

	put(text);
	b = auth_users_open(file, &e);
	ck_assert_msg(b != NULL, "%s", e.text);
	return b;
}

static const struct auth_client client = { "192.0.2.1", true, INT64_MAX };

static void check_verify(struct auth_backend *b, const char *name, const char *password,
			 enum auth_result wanted, const char *text)
{
	char user[AUTH_USER_MAX] = "";
	struct err e = { 0, "" };

	ck_assert_msg(b->ops->verify(b, &client, name, password, user, &e) == wanted, "%s %s", name, e.text);
	if (wanted == AUTH_OK)
		ck_assert_str_eq(user, text);
	else
		ck_assert_msg(user[0] == '\0' && strstr(e.text, text) != NULL, "%s: %s", name, e.text);
}

START_TEST(test_verify)
{
	char hash[CREDENTIAL_TEXT_MAX], *text;
	struct auth_backend *b;

	hash_of("sha512crypt", hash);
	text = mem_printf("bob:%s\nCarol:%s\nshut:!\nlate:{PLAIN}x::::::nologin\nbad:{FOO}y\n"
			  "dave:{PLAIN}x::::::posthouse_credential={PLAIN}y\n",
			  hash, SCRAM_PENCIL);
	b = open_backend(text);
	free(text);
	check_verify(b, "bob", "pencil", AUTH_OK, "bob");
	check_verify(b, "CAROL", "pencil", AUTH_OK, "Carol");
	check_verify(b, "bob", "Pencil", AUTH_FAILED, "wrong password");
	check_verify(b, "carol", "", AUTH_FAILED, "wrong password");
	check_verify(b, "mallory", "pencil", AUTH_FAILED, "unknown user");
	check_verify(b, "a:b", "pencil", AUTH_FAILED, "cannot be the name");
	check_verify(b, "shut", "pencil", AUTH_FAILED, "user shut may not log in (locked in ");
	check_verify(b, "late", "x", AUTH_FAILED, "user late may not log in (nologin in ");
	check_verify(b, "bad", "y", AUTH_FAILED, "users:5: unknown scheme {FOO}");
	check_verify(b, "dave", "x", AUTH_OK, "dave");
	check_verify(b, "dave", "y", AUTH_FAILED, "wrong password"); /* the second field counts */
	/* a change counts at once */
	put("bob:{PLAIN}new\n");
	check_verify(b, "bob", "pencil", AUTH_FAILED, "wrong password");
	check_verify(b, "bob", "new", AUTH_OK, "bob");
	ck_assert_int_eq(chmod(file, 0644), 0);
	check_verify(b, "bob", "new", AUTH_TEMPORARY, "can be read by everyone");
	unlink(file);
	check_verify(b, "bob", "new", AUTH_TEMPORARY, "No such file");
	b->ops->close(b);
}
END_TEST

START_TEST(test_no_empty_password)
{
	struct credential c;
	struct auth_backend *b;
	struct err e;
	char *text;

	ck_assert_int_eq(credential_make_crypt(&c, credential_method_find("sha512crypt"), "", &e), 0);
	ck_assert(credential_matches(&c, ""));
	text = mem_printf("bob:%s\n", c.hash);
	b = open_backend(text);
	free(text);
	check_verify(b, "bob", "", AUTH_FAILED, "wrong password");
	b->ops->close(b);
}
END_TEST

START_TEST(test_lookup)
{
	struct auth_backend *b = open_backend(
		"bob:*::::::posthouse_credential=" SCRAM_PENCIL "\nBob2:" SCRAM_PENCIL "\ncram:{PLAIN}x\n"
		"both:" SCRAM_PENCIL "::::::posthouse_credential={PLAIN}pencil\nnone:" MD5_PENCIL
		"\nbad:x\n");
	struct auth_secret s;
	struct err e = { 0, "" };

	ck_assert_int_eq(b->ops->lookup(b, "bob2", &s, &e), AUTH_OK);
	ck_assert_str_eq(s.user, "Bob2");
	ck_assert(s.has_scram_sha256 && s.password[0] == '\0' && s.iterations == 4096);
	ck_assert_str_eq(s.salt, "W22ZaJ0SNY7soEsUEjb6gQ==");
	ck_assert_str_eq(s.stored_key, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
	ck_assert_str_eq(s.server_key, "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	ck_assert_int_eq(b->ops->lookup(b, "cram", &s, &e), AUTH_OK);
	ck_assert(!s.has_scram_sha256 && strcmp(s.password, "x") == 0);
	ck_assert_int_eq(b->ops->lookup(b, "both", &s, &e), AUTH_OK);
	ck_assert(s.has_scram_sha256 && strcmp(s.password, "pencil") == 0);
	for (size_t i = 0; i < 5; i++) {
		static const char *const look[][3] = { { "bob", "may not log in", "bob" },
						       { "none", "no secret for this mechanism", "none" },
						       { "mallory", "unknown user", "" },
						       { "a b", "cannot be the name", "" },
						       { "bad", "users:6: ", "" } };

		ck_assert_int_eq(b->ops->lookup(b, look[i][0], &s, &e), AUTH_FAILED);
		ck_assert_msg(strstr(e.text, look[i][1]) != NULL, "%s", e.text);
		ck_assert(!s.has_scram_sha256 && !s.password[0]);
		/* whom no secret would let in is named; and what is made up then has the costs of others */
		ck_assert_str_eq(s.user, look[i][2]);
		ck_assert(s.iterations == 4096 || s.iterations == 0);
	}
	b->ops->close(b);
}
END_TEST

START_TEST(test_mechanisms)
{
	static const char *const files[][2] = {
		{ "", "PLAIN LOGIN" },
		{ "bob:" MD5_PENCIL "\n", "PLAIN LOGIN" },
		{ "bob:" SCRAM_PENCIL "\nshut:!\nbad:x\n", "PLAIN LOGIN SCRAM-SHA-256" },
		{ "bob:" SCRAM_PENCIL "\ncarol:" MD5_PENCIL "\n", "PLAIN LOGIN" },
		{ "bob:" SCRAM_PENCIL "\ncarol:{PLAIN}x\n", "PLAIN LOGIN CRAM-MD5" },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct auth_backend *b = open_backend(files[i][0]);
		struct buf out;
		struct err e;

		buf_init(&out, 256);
		ck_assert_int_eq(b->ops->mechanisms(b, &out, &e), 0);
		ck_assert_str_eq(out.data, files[i][1]);
		buf_release(&out);
		b->ops->close(b);
	}
}
END_TEST

/* ---- editing ------------------------------------------------------------------------------------------ */

static const struct credential *one_credential(void)
{
	static struct credential c;
	struct err e;

	ck_assert_int_eq(credential_make_clear(&c, "a", &e), 0);
	return &c;
}

static void begin(struct users_edit *x)
{
	struct err e = { 0, "" };

	ck_assert_msg(users_edit_begin(x, file, NULL, &e) == 0, "%s", e.text);
}

static void commit(struct users_edit *x)
{
	struct err e = { 0, "" };

	ck_assert_msg(users_edit_commit(x, &e) == 0, "%s", e.text);
}

START_TEST(test_edit)
{
	const char *odd = "# a comment\r\n\nodd line: :::\nbob:old:1:2\n\x01\x02";
	struct users_edit x;
	struct err e;

	put(odd);
	begin(&x);
	ck_assert_int_eq(users_edit_add(&x, "BOB", one_credential(), 1), USERS_EDIT_EXISTS);
	users_edit_abort(&x);
	check_content(odd);
	begin(&x);
	ck_assert_int_eq(users_edit_add(&x, "carol", one_credential(), 1), USERS_EDIT_DONE);
	commit(&x);
	check_content("# a comment\r\n\nodd line: :::\nbob:old:1:2\n\x01\x02\ncarol:{PLAIN.b64}YQ==\n");
	begin(&x);
	ck_assert_int_eq(users_edit_change(&x, "Bob", one_credential(), 1, &e), USERS_EDIT_DONE);
	commit(&x);
	check_content(
		"# a comment\r\n\nodd line: :::\nbob:{PLAIN.b64}YQ==:1:2\n\x01\x02\ncarol:{PLAIN.b64}YQ==\n");
	begin(&x);
	ck_assert_int_eq(users_edit_remove(&x, "bob"), USERS_EDIT_DONE);
	commit(&x);
	check_content("# a comment\r\n\nodd line: :::\n\x01\x02\ncarol:{PLAIN.b64}YQ==\n");
	begin(&x);
	ck_assert_int_eq(users_edit_remove(&x, "bob"), USERS_EDIT_UNKNOWN);
	users_edit_abort(&x);
	begin(&x);
	ck_assert_int_eq(users_edit_change(&x, "bob", one_credential(), 1, &e), USERS_EDIT_UNKNOWN);
	users_edit_abort(&x);
}
END_TEST

START_TEST(test_edit_doubles)
{
	struct users_edit x;
	struct err e = { 0, "" };

	put("a:x\nbob:1\nb:x\nBOB:2\nbob:3");
	begin(&x);
	ck_assert_int_eq(users_edit_change(&x, "bob", one_credential(), 1, &e), USERS_EDIT_FAILED);
	ck_assert_ptr_nonnull(strstr(e.text, "user bob has 3 lines"));
	users_edit_abort(&x);
	begin(&x);
	ck_assert_int_eq(users_edit_remove(&x, "bob"), USERS_EDIT_DONE);
	commit(&x);
	check_content("a:x\nb:x\n");
}
END_TEST

START_TEST(test_edit_keeps_rights)
{
	char *link = mem_printf("%s/link", folder);
	struct users_edit x;
	struct stat st, before;
	struct err e = { 0, "" };

	put("a:x\n");
	if (geteuid() == 0)
		ck_assert_int_eq(chown(file, 12345, 54321), 0);
	ck_assert_int_eq(chmod(file, 0440), 0);
	ck_assert_int_eq(stat(file, &before), 0);
	ck_assert_int_eq(symlink("users", link), 0);
	if (geteuid() == 0) { /* an ordinary user cannot open it for writing, and need not */
		ck_assert_msg(users_edit_begin(&x, link, NULL, &e) == 0, "%s", e.text);
		ck_assert_int_eq(users_edit_remove(&x, "a"), USERS_EDIT_DONE);
		commit(&x);
		ck_assert_int_eq(stat(file, &st), 0);
		ck_assert_uint_eq(st.st_mode, before.st_mode);
		ck_assert_uint_eq(st.st_uid, before.st_uid);
		ck_assert_uint_eq(st.st_gid, before.st_gid);
		ck_assert_uint_ne(st.st_ino, before.st_ino);
		ck_assert(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	}
	unlink(link);
	free(link);
}
END_TEST

START_TEST(test_edit_new_file)
{
	struct users_edit_new create = { 0640, (gid_t)-1 };
	struct users_edit x;
	struct stat st;
	struct err e = { 0, "" };

	ck_assert_int_lt(users_edit_begin(&x, file, NULL, &e), 0);
	ck_assert_int_eq(e.os_error, ENOENT);
	ck_assert_msg(users_edit_begin(&x, file, &create, &e) == 0, "%s", e.text);
	ck_assert_int_eq(users_edit_add(&x, "bob", one_credential(), 1), USERS_EDIT_DONE);
	commit(&x);
	check_content("bob:{PLAIN.b64}YQ==\n");
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(chmod(file, 0644), 0);
	ck_assert_int_lt(users_edit_begin(&x, file, &create, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "can be read by everyone"));
}
END_TEST

/* Many at once, from no file: each addition is in it at the end. */
START_TEST(test_edit_at_once)
{
	enum { WRITERS = 8, EACH = 20 };
	struct users_edit_new create = { 0600, (gid_t)-1 };
	struct users_summary sum;
	struct users_file f;
	int status;

	for (int w = 0; w < WRITERS; w++) {
		if (fork() != 0)
			continue;
		for (int i = 0; i < EACH; i++) {
			struct users_edit x;
			struct err e;
			char name[20];

			snprintf(name, sizeof(name), "user%d-%d", w, i);
			if (users_edit_begin(&x, file, &create, &e) < 0 ||
			    users_edit_add(&x, name, one_credential(), 1) != USERS_EDIT_DONE ||
			    users_edit_commit(&x, &e) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int w = 0; w < WRITERS; w++)
		ck_assert(wait(&status) > 0 && status == 0);
	read_users(&f);
	users_file_check(&f, &sum, NULL, NULL);
	users_file_release(&f);
	ck_assert_uint_eq(sum.users, WRITERS * EACH);
	ck_assert_uint_eq(sum.wrong, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("users");
	TCase *c = tcase_create("files");
	const TTest *const with_folder[] = {
		test_file_rights,
		test_find,
		test_check,
		test_stand_in,
		test_verify,
		test_no_empty_password,
		test_lookup,
		test_mechanisms,
		test_edit,
		test_edit_doubles,
		test_edit_keeps_rights,
		test_edit_new_file,
		test_edit_at_once,
	};

	UNIT_CASE(s, test_matches, test_hashes_of_crypt, test_bad_credentials, test_made_credentials,
		  test_prepared_passwords, test_names, test_lines, test_line_too_long, test_written_lines);
	tcase_add_checked_fixture(c, enter, leave);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(with_folder) / sizeof(with_folder[0]); i++)
		tcase_add_test(c, with_folder[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
