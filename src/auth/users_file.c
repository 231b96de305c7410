/* SPDX-License-Identifier: ISC */
/* See users_file.h. */
#include "auth/users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/prep.h"
#include "base/alloc.h"
#include "config/secret.h"

/* ---- reading ---------------------------------------------------------------------- */

int users_file_read_fd(struct users_file *f, int fd, const char *path, struct err *e)
{
	size_t cap;
	ssize_t n;

	memset(f, 0, sizeof(*f));
	if (fstat(fd, &f->st) < 0) {
		err_set_os(e, errno, "users file %s", path);
		return -1;
	}
	if (secret_check_file("users file", path, &f->st, e) < 0)
		return -1;
	if (f->st.st_size > USERS_FILE_MAX) {
		err_set(e, "users file %s is longer than %d bytes", path, USERS_FILE_MAX);
		return -1;
	}
	cap = (size_t)f->st.st_size;
	f->path = mem_strdup(path);
	f->text = mem_alloc(cap + 1);
	/* what a writer that does not rename appends meanwhile is seen the next time */
	while (f->len < cap && (n = pread(fd, f->text + f->len, cap - f->len, (off_t)f->len)) != 0) {
		if (n < 0) {
			err_set_os(e, errno, "users file %s", path);
			users_file_release(f);
			return -1;
		}
		f->len += (size_t)n;
	}
	return 0;
}

int users_file_read(struct users_file *f, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int result;

	memset(f, 0, sizeof(*f));
	if (fd < 0) {
		if (errno == ENOENT)
			err_set_os(e, errno, "users file %s ('posthouse user add NAME' makes it)", path);
		else
			err_set_os(e, errno, "users file %s", path);
		return -1;
	}
	result = users_file_read_fd(f, fd, path, e);
	close(fd);
	return result;
}

void users_file_release(struct users_file *f)
{
	if (f->text)
		explicit_bzero(f->text, f->len);
	free(f->text);
	free(f->path);
	memset(f, 0, sizeof(*f));
}

/* ---- walking ------------------------------------------------------------------------ */

bool users_file_next(const struct users_file *f, struct users_cursor *at)
{
	while (at->next < f->len) {
		const char *line = f->text + at->next;
		const char *end = memchr(line, '\n', f->len - at->next);

		at->line = line;
		at->len = end ? (size_t)(end - line) : f->len - at->next;
		at->next += at->len + (end ? 1 : 0);
		at->number++;
		if (users_line_name(at->line, at->len, &at->name, &at->name_len))
			return true;
	}
	return false;
}

bool users_cursor_is(const struct users_cursor *at, const char *name)
{
	char raw[AUTH_USER_MAX], prepared[AUTH_USER_MAX];
	struct err e;

	if (at->name_len >= sizeof(raw))
		return false;
	memcpy(raw, at->name, at->name_len);
	raw[at->name_len] = '\0';
	return prep_name(raw, PREP_STORE, prepared, &e) == 0 && prep_same_name(prepared, name);
}

enum users_found users_file_find(const struct users_file *f, const char *name, struct users_entry *out,
				 struct err *e)
{
	struct users_cursor at = { 0 };
	unsigned first = 0;

	while (users_file_next(f, &at)) {
		if (!users_cursor_is(&at, name))
			continue;
		if (first) {
			err_set(e, "%s:%u: the user stands in line %u already", f->path, at.number, first);
			users_entry_cleanse(out);
			return USERS_UNUSABLE;
		}
		first = at.number;
		if (users_line_parse(at.line, at.len, out, e) < 0) {
			err_prefix(e, "%s:%u", f->path, at.number);
			return USERS_UNUSABLE;
		}
	}
	return first ? USERS_FOUND : USERS_UNKNOWN;
}

/* FNV-1a. Whoever does not know the file cannot tell what comes out. */
static uint64_t mix(uint64_t h, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
	return h;
}

bool users_file_stand_in(const struct users_file *f, const char *name, struct users_entry *out)
{
	uint64_t h = mix(mix(UINT64_C(14695981039346656037), f->text, f->len), name, strlen(name));
	struct users_cursor at = { 0 };
	uint64_t count = 0, chosen;
	struct err e;

	while (users_file_next(f, &at))
		count++;
	chosen = count ? (h ^ h >> 32) % count : 0;
	/* from the chosen one on, and around: the first that can log in */
	for (int round = 0; round < 2; round++) {
		uint64_t i = 0;

		at = (struct users_cursor){ 0 };
		for (; users_file_next(f, &at); i++)
			if ((i >= chosen || round == 1) && users_line_parse(at.line, at.len, out, &e) == 0 &&
			    !users_entry_locked(out))
				return true;
	}
	return false;
}

/* ---- the whole ------------------------------------------------------------------------ */

struct seen {
	char *name; /* prepared and folded */
	unsigned number;
};

static int by_name(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

struct checking {
	const struct users_file *f;
	struct users_summary *sum;
	void (*report)(void *ctx, const char *message);
	void *ctx;
	struct seen *seen;
	size_t count, cap;
};

static void complain(struct checking *c, unsigned number, struct err *e)
{
	c->sum->wrong++;
	err_prefix(e, "%s:%u", c->f->path, number);
	if (c->report)
		c->report(c->ctx, e->text);
}

static void remember(struct checking *c, const char *name, unsigned number)
{
	char *folded = mem_strdup(name);

	for (char *p = folded; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	if (c->count == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->seen = mem_resize(c->seen, c->cap, sizeof(*c->seen));
	}
	c->seen[c->count++] = (struct seen){ folded, number };
}

static void find_doubles(struct checking *c)
{
	struct err e;

	if (c->count > 1)
		qsort(c->seen, c->count, sizeof(*c->seen), by_name);
	for (size_t i = 1; i < c->count; i++) {
		if (strcmp(c->seen[i].name, c->seen[i - 1].name) != 0)
			continue;
		err_set(&e, "user %s stands in line %u already", c->seen[i].name, c->seen[i - 1].number);
		complain(c, c->seen[i].number, &e);
	}
}

void users_file_check(const struct users_file *f, struct users_summary *sum,
		      void (*report)(void *ctx, const char *message), void *ctx)
{
	struct checking c = { .f = f, .sum = sum, .report = report, .ctx = ctx };
	struct users_cursor at = { 0 };
	struct users_entry u;
	struct err e;

	memset(sum, 0, sizeof(*sum));
	while (users_file_next(f, &at)) {
		if (users_line_parse(at.line, at.len, &u, &e) < 0) {
			complain(&c, at.number, &e);
			continue;
		}
		if (!users_entry_locked(&u)) {
			sum->users++;
			sum->with_scram += users_entry_find(&u, CREDENTIAL_SCRAM) != NULL;
			sum->with_clear += users_entry_find(&u, CREDENTIAL_CLEAR) != NULL;
		}
		remember(&c, u.name, at.number);
		users_entry_cleanse(&u);
	}
	find_doubles(&c);
	for (size_t i = 0; i < c.count; i++)
		free(c.seen[i].name);
	free(c.seen);
}
