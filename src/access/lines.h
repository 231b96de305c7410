/* SPDX-License-Identifier: ISC */
/*
 * The lines of a table file: comments and blank lines left out, blanks at
 * both ends taken off; what is wrong is reported with file and line, all in one run.
 */
#ifndef ACCESS_LINES_H
#define ACCESS_LINES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LINES_LONGEST 4096 /* octets of a line */
#define LINES_ERRORS_MAX 50 /* that are told one by one */

/* Receives each error, "file:line: " in front where there is one. */
typedef void access_report(void *ctx, const char *message);

struct lines {
	const char *path; /* the caller's */
	FILE *file;
	char *text;
	size_t cap;
	unsigned line; /* number of the one that was read last */
	unsigned errors;
	access_report *report;
	void *ctx;
};

/* 0; -1: it is told why the file cannot be used. */
int lines_open(struct lines *l, const char *path, access_report *report, void *ctx);
/* The same over an open stream, which is closed at the end. */
void lines_use(struct lines *l, const char *path, FILE *file, access_report *report, void *ctx);
/* NULL at the end. The line may be written into; it is valid until the next call. */
char *lines_next(struct lines *l);
void lines_error(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Cuts the first word off *at, which then stands at the next one; NULL: there is none. */
char *lines_word(char **at);
/* 0 when there was no error. */
int lines_close(struct lines *l);

#endif
