/* SPDX-License-Identifier: ISC */
/* See lines.h. Runs in the master. */
#include "access/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

void lines_use(struct lines *l, const char *path, FILE *file, access_report *report, void *ctx)
{
	memset(l, 0, sizeof(*l));
	l->path = path;
	l->file = file;
	l->report = report;
	l->ctx = ctx;
}

static void tell(struct lines *l, const char *text)
{
	struct buf line;

	buf_init(&line, 8 * LINES_LONGEST);
	if (l->line > 0)
		buf_addf(&line, "%s:%u: %s", l->path, l->line, text);
	else
		buf_addf(&line, "%s: %s", l->path, text);
	l->report(l->ctx, line.data);
	buf_release(&line);
}

/* The file's words may be anything: what is told of them goes to a terminal and a log. */
static void escape(char *text)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

void lines_error(struct lines *l, const char *fmt, ...)
{
	char text[LINES_LONGEST + 512];
	va_list ap;

	if (l->errors++ >= LINES_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	escape(text);
	tell(l, text);
}

/* Rules that everyone may change are nobody's rules. */
static const char *why_not(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is no regular file";
	if (st->st_mode & S_IWOTH)
		return "everyone may write to it: chmod o-w";
	return NULL;
}

int lines_open(struct lines *l, const char *path, access_report *report, void *ctx)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* not to wait for a fifo's other end */
	const char *why = NULL;
	struct stat st;

	lines_use(l, path, NULL, report, ctx);
	if (fd < 0 || fstat(fd, &st) < 0)
		why = strerror(errno);
	else
		why = why_not(&st);
	if (!why) {
		l->file = fdopen(fd, "r");
		if (l->file)
			return 0;
		why = strerror(errno);
	}
	if (fd >= 0)
		close(fd);
	lines_error(l, "cannot be used: %s", why);
	return -1;
}

static char *trim(char *text, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text + strspn(text, " \t");
}

char *lines_next(struct lines *l)
{
	ssize_t n;

	while ((n = getline(&l->text, &l->cap, l->file)) >= 0) {
		char *at;

		l->line++;
		if (memchr(l->text, '\0', (size_t)n)) {
			lines_error(l, "the line has a NUL in it");
			continue;
		}
		if (n > LINES_LONGEST) {
			lines_error(l, "the line is longer than %d octets", LINES_LONGEST);
			continue;
		}
		at = trim(l->text, (size_t)n);
		if (*at && *at != '#')
			return at;
	}
	if (ferror(l->file))
		lines_error(l, "cannot be read: %s", strerror(errno));
	return NULL;
}

char *lines_word(char **at)
{
	char *word = *at + strspn(*at, " \t"), *end;

	if (!*word)
		return NULL;
	end = word + strcspn(word, " \t");
	*at = end + strspn(end, " \t");
	*end = '\0';
	return word;
}

int lines_close(struct lines *l)
{
	if (l->errors > LINES_ERRORS_MAX) {
		char text[64];

		l->line = 0;
		snprintf(text, sizeof(text), "%u errors more", l->errors - LINES_ERRORS_MAX);
		tell(l, text);
	}
	if (l->file)
		fclose(l->file);
	free(l->text);
	l->file = NULL;
	l->text = NULL;
	return l->errors > 0 ? -1 : 0;
}
