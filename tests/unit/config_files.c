/* SPDX-License-Identifier: ISC */
/* See config_files.h. */
#include "config_files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "unit.h"

char files_dir[] = "/tmp/posthouse-config-XXXXXX";

void files_put(const char *name, const char *text, size_t len)
{
	char *path = mem_printf("%s/%s", files_dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
	free(path);
}

static void remove_file(const char *name)
{
	char *path = mem_printf("%s/%s", files_dir, name);

	unlink(path);
	free(path);
}

void files_enter(void)
{
	ck_assert_ptr_nonnull(mkdtemp(files_dir));
}

void files_leave(void)
{
	static const char *const names[] = { "t.conf", "a.conf", "b.conf", "secret" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove_file(names[i]);
	ck_assert_int_eq(rmdir(files_dir), 0);
	strcpy(files_dir + strlen(files_dir) - 6, "XXXXXX");
}

/* Appends the message, without our folder in front, and a newline. */
void files_collect(void *ctx, const char *message)
{
	struct buf *b = ctx;
	const char *at;

	while ((at = strstr(message, files_dir))) {
		buf_add(b, message, (size_t)(at - message));
		message = at + strlen(files_dir) + 1;
	}
	buf_adds(b, message);
	buf_addc(b, '\n');
}

/* Loads t.conf; the errors are in *errors. */
int files_load(struct config *cfg, const char *text, struct buf *errors)
{
	char *path = mem_printf("%s/t.conf", files_dir);
	int result;

	if (text)
		files_put("t.conf", text, strlen(text));
	buf_init(errors, 1 << 20);
	config_init(cfg);
	result = config_load(cfg, path, files_collect, errors);
	ck_assert_int_eq(result, errors->len == 0 ? 0 : -1);
	free(path);
	return result;
}

void files_load_good(struct config *cfg, const char *text)
{
	struct buf errors;

	files_load(cfg, text, &errors);
	ck_assert_str_eq(errors.data, "");
	buf_release(&errors);
}

void files_check_errors(const char *text, const char *expected)
{
	struct config cfg;
	struct buf errors;

	files_load(&cfg, text, &errors);
	ck_assert_str_eq(errors.data, expected);
	buf_release(&errors);
	config_release(&cfg);
}
