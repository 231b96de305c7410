/* SPDX-License-Identifier: ISC */
/*
 * A users file. Promise: a walk over it meets each line once; of a line that
 * is right, what is kept can be written again and says the same; of one that
 * is wrong, something is said in printable words. Finding a user agrees with
 * the walk.
 */
#include <string.h>

#include "auth/prep.h"
#include "auth/users_file.h"
#include "base/alloc.h"
#include "fuzz.h"

static void check_again(const struct users_cursor *at, const struct users_entry *u)
{
	struct users_entry again;
	struct buf line;
	struct err e;

	buf_init(&line, 4 * USERS_LINE_MAX);
	users_line_write(u->name, u->credential, u->count, at->line, at->len, &line);
	/* base64 of a password in the clear is longer than the password */
	if (line.len <= USERS_LINE_MAX) {
		ASSERT(users_line_parse(line.data, line.len, &again, &e) == 0);
		ASSERT(strcmp(again.name, u->name) == 0 && again.count == u->count &&
		       again.nologin == u->nologin);
		for (size_t i = 0; i < u->count; i++)
			ASSERT(memcmp(&again.credential[i], &u->credential[i], sizeof(u->credential[i])) ==
			       0);
	}
	buf_release(&line);
}

static void check_line(const struct users_file *f, const struct users_cursor *at, size_t *good)
{
	struct users_entry u, found;
	struct err e = { 0, "" };

	if (users_line_parse(at->line, at->len, &u, &e) < 0) {
		ASSERT(e.text[0]);
		for (const char *p = e.text; *p; p++)
			ASSERT(*p >= ' ' && *p != 0x7f);
		return;
	}
	++*good;
	ASSERT(u.name[0] && u.count > 0 && !strpbrk(u.name, ": \r\n"));
	ASSERT(users_cursor_is(at, u.name));
	check_again(at, &u);
	switch (users_file_find(f, u.name, &found, &e)) {
	case USERS_FOUND:
		ASSERT(memcmp(&found, &u, sizeof(u)) == 0);
		break;
	case USERS_UNUSABLE:
		ASSERT(e.text[0]);
		break;
	case USERS_UNKNOWN:
		assert_failed("the walk has met it", __FILE__, __LINE__);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct users_file f = { .len = size };
	struct users_cursor at = { 0 };
	struct users_summary sum;
	struct users_entry u;
	size_t good = 0, lines = 0;

	if (size > 1 << 14)
		return 0;
	f.path = mem_strdup("users");
	f.text = mem_alloc(size + 1);
	memcpy(f.text, data, size);
	while (users_file_next(&f, &at) && lines++ < 64)
		check_line(&f, &at, &good);
	users_file_check(&f, &sum, NULL, NULL);
	ASSERT(sum.users <= good || lines > 64);
	if (users_file_stand_in(&f, "nobody", &u))
		ASSERT(!users_entry_locked(&u) && sum.users > 0);
	else
		ASSERT(sum.users == 0);
	users_file_release(&f);
	return 0;
}
