/* SPDX-License-Identifier: ISC */
/* See aliases.h: the table in use. aliases_parse.c makes it. */
#include "rewrite/aliases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "rewrite/aliases_internal.h"
#include "smtp/path.h"

void aliases_free(struct aliases *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++) {
		for (size_t k = 0; k < a->alias[i].target_count; k++)
			free(a->alias[i].target[k].address);
		free(a->alias[i].target);
		free(a->alias[i].name);
	}
	for (size_t i = 0; i < a->domain_count; i++)
		free(a->domain[i]);
	free(a->domain);
	free(a->alias);
	free(a);
}

size_t aliases_count(const struct aliases *a)
{
	return a->count;
}

size_t aliases_find(const struct aliases *a, const char *name)
{
	size_t low = 0, high = a->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcasecmp(name, a->alias[middle].name);

		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return ALIAS_NONE;
}

/* The '@' before the domain, or the end. The address is one (RFC 5321 4.1.2), so only quotes need care. */
static const char *end_of_local_part(const char *address)
{
	const char *p = address;

	if (*p != '"')
		return p + strcspn(p, "@");
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

bool aliases_local_name(const struct aliases *a, const char *address, char *name)
{
	const char *end = end_of_local_part(address);
	bool local = *end == '\0', quoted = *address == '"';

	for (size_t i = 0; !local && i < a->domain_count; i++)
		local = strcasecmp(end + 1, a->domain[i]) == 0;
	if (!local)
		return false;
	/* "a\b" and "ab" are the same name (RFC 5321 4.1.2) */
	for (const char *p = address + quoted; p < end - quoted; p++) {
		if (quoted && *p == '\\' && p + 1 < end - 1)
			p++;
		*name++ = *p;
	}
	*name = '\0';
	return true;
}

static bool expand(struct aliases *a, struct alias *one, bool (*each)(void *ctx, const char *address),
		   void *ctx)
{
	if (one->turn == a->turn)
		return true;
	one->turn = a->turn;
	/* not deeper than ALIASES_DEPTH_MAX: aliases_parse() has seen to it */
	for (size_t i = 0; i < one->target_count; i++) {
		const struct alias_target *t = &one->target[i];

		if (t->alias != ALIAS_NONE ? !expand(a, &a->alias[t->alias], each, ctx)
					   : !each(ctx, t->address))
			return false;
	}
	return true;
}

void aliases_expand_at(struct aliases *a, size_t index, bool (*each)(void *ctx, const char *address),
		       void *ctx)
{
	if (++a->turn == 0) { /* once in four thousand million: the marks of long ago must not count */
		for (size_t i = 0; i < a->count; i++)
			a->alias[i].turn = 0;
		a->turn = 1;
	}
	(void)expand(a, &a->alias[index], each, ctx);
}

bool aliases_expand(struct aliases *a, const char *address, bool (*each)(void *ctx, const char *address),
		    void *ctx)
{
	char name[SMTP_PATH_MAX];
	size_t i;

	if (strlen(address) >= sizeof(name) || !aliases_local_name(a, address, name))
		return false;
	i = aliases_find(a, name);
	if (i == ALIAS_NONE)
		return false;
	aliases_expand_at(a, i, each, ctx);
	return true;
}

/* ---- the file ------------------------------------------------------------------------- */

static int read_all(int fd, const char *file, struct buf *text, struct err *e)
{
	char block[16384];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0) {
		err_set_os(e, errno, "%s: cannot read the aliases", file);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, "%s: not a regular file", file);
		return -1;
	}
	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set_os(e, errno, "%s: cannot read the aliases", file);
			return -1;
		}
		if (!buf_add(text, block, (size_t)n)) {
			err_set(e, "%s: larger than %u octets", file, ALIASES_FILE_MAX);
			return -1;
		}
	}
	return 0;
}

struct aliases *aliases_load(const char *file, const struct aliases_setup *setup, aliases_report *report,
			     void *ctx)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct aliases *a = NULL;
	struct buf text;
	struct err e;

	buf_init(&text, ALIASES_FILE_MAX);
	if (fd < 0) {
		err_set_os(&e, errno, "%s: cannot open the aliases", file);
		report(ctx, e.text);
	} else if (read_all(fd, file, &text, &e) < 0) {
		report(ctx, e.text);
	} else {
		a = aliases_parse(file, text.data, text.len, setup, report, ctx);
	}
	if (fd >= 0)
		close(fd);
	buf_release(&text);
	return a;
}
