/* SPDX-License-Identifier: ISC */
/* How `posthouse doctor` shows findings: lines for people, or JSON lines (posthouse-json(5)). */
#ifndef CLI_DOCTOR_PRINT_H
#define CLI_DOCTOR_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/term.h"
#include "doctor/finding.h"

struct doctor_printer {
	const struct term *term;
	FILE *out;
	bool json;
	/* what the findings are about; NULL: this machine */
	const char *upstream, *remoteaddr;
	bool titled; /* the heading is out */
	bool began; /* something was written */
	size_t total[FINDING_LEVEL_COUNT];
};

/* What comes next is about this (NULL: about this machine). */
void doctor_print_begin(struct doctor_printer *p, const char *upstream, const char *remoteaddr);
/* The findings from `first` on; for doctor_run. */
void doctor_print_findings(void *printer, const struct findings *f, size_t first);
/* The last line: how many of each. */
void doctor_print_end(struct doctor_printer *p);
/* A line of the session, for --verbose; on standard error. */
void doctor_print_trace(void *printer, bool from_upstream, const char *text, size_t len);

#endif
