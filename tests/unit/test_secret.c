/* SPDX-License-Identifier: ISC */
/* config/secret: files that may hold a secret, and those that may not. */
#include "config/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config_files.h"
#include "unit.h"

static void check_secret(const char *content, size_t len, mode_t mode, const char *secret, const char *error)
{
	char *path = mem_printf("%s/secret", files_dir), *got = NULL;
	struct err e = { 0, "" };

	files_put("secret", content, len);
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
	char *path = mem_printf("%s/secret", files_dir), *secret;
	struct err e;

	ck_assert_int_eq(secret_read(path, &secret, &e), -1);
	ck_assert_int_eq(e.os_error, ENOENT);
	ck_assert_int_eq(secret_read(files_dir, &secret, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is not a regular file"));
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(secret_read(path, &secret, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is not a regular file"));
	secret_free(NULL);
	free(path);
}
END_TEST

START_TEST(test_credentials)
{
	char *secret;
	struct err e;

	files_put("smtp-password", "sesame\n", 7);
	unsetenv("CREDENTIALS_DIRECTORY");
	ck_assert_int_eq(secret_read("credential:smtp-password", &secret, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "LoadCredential=smtp-password:PATH"));
	setenv("CREDENTIALS_DIRECTORY", files_dir, 1);
	ck_assert_int_eq(chmod(files_dir, 0700), 0);
	{
		char *path = mem_printf("%s/smtp-password", files_dir);

		ck_assert_int_eq(chmod(path, 0400), 0);
		ck_assert_msg(secret_read("credential:smtp-password", &secret, &e) == 0, "%s", e.text);
		ck_assert_str_eq(secret, "sesame");
		secret_free(secret);
		ck_assert_int_eq(chmod(path, 0444), 0);
		ck_assert_int_eq(secret_read("credential:smtp-password", &secret, &e), -1);
		ck_assert_ptr_nonnull(strstr(e.text, "can be read by everyone"));
		unlink(path);
		free(path);
	}
	ck_assert_int_eq(secret_read("credential:other", &secret, &e), -1);
	ck_assert_int_eq(e.os_error, ENOENT);
	ck_assert_int_eq(secret_name_check("credential:a", &e), 0);
	ck_assert_int_eq(secret_name_check("/a", &e), 0);
	ck_assert_int_eq(secret_name_check("credential:", &e), -1);
	ck_assert_int_eq(secret_name_check("credential:..", &e), -1);
	ck_assert_int_eq(secret_name_check("a", &e), -1);
}
END_TEST

START_TEST(test_data)
{
	char *path = mem_printf("%s/data", files_dir), *data = NULL, *big = mem_alloc(SECRET_FILE_BYTES_MAX + 1);
	struct err e;
	size_t len;

	files_put("data", "a\nb\r\n\0", 6);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(secret_read_data(path, false, &data, &len, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "can be read by everyone"));
	ck_assert_int_eq(secret_read_data(path, true, &data, &len, &e), 0);
	ck_assert_uint_eq(len, 6);
	ck_assert_mem_eq(data, "a\nb\r\n\0", 7);
	secret_free_data(data, len);
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_int_eq(secret_read_data(path, true, &data, &len, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "can be written by others"));
	unlink(path);
	files_put("data", big, SECRET_FILE_BYTES_MAX + 1);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(secret_read_data(path, false, &data, &len, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is longer than"));
	unlink(path);
	files_put("data", big, SECRET_FILE_BYTES_MAX);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(secret_read_data(path, false, &data, &len, &e), 0);
	ck_assert_uint_eq(len, SECRET_FILE_BYTES_MAX);
	secret_free_data(data, len);
	unlink(path);
	files_put("data", "", 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(secret_read_data(path, false, &data, &len, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "is empty"));
	unlink(path);
	secret_free_data(NULL, 0);
	free(big);
	free(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("secret");
	TCase *c = tcase_create("secret");
	const TTest *const tests[] = {
		test_secret, test_secret_not_a_file, test_credentials, test_data,
	};

	tcase_add_checked_fixture(c, files_enter, files_leave);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
