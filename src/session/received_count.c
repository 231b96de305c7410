/* SPDX-License-Identifier: ISC */
/* See received_count.h. */
#include "session/received_count.h"

#include <string.h>

static const char name[] = "received";

/* values of matched above 0 (start of a line) and the length of a part of the name */
enum {
	NAME_LEN = sizeof(name) - 1, /* the whole name; now blanks (RFC 5322 4.5.8) and the colon */
	OTHER, /* in some other line, or behind the colon */
	EMPTY_CR, /* a CR at the start of a line */
	BODY /* the header section is over */
};

void received_count_init(struct received_count *rc)
{
	rc->fields = 0;
	rc->matched = 0;
}

static void step(struct received_count *rc, char o)
{
	char lower = o >= 'A' && o <= 'Z' ? (char)(o - 'A' + 'a') : o;

	if (rc->matched == EMPTY_CR && o == '\n') {
		rc->matched = BODY;
	} else if (o == '\n') {
		rc->matched = 0;
	} else if (rc->matched == 0 && o == '\r') {
		rc->matched = EMPTY_CR;
	} else if (rc->matched < NAME_LEN && lower == name[rc->matched]) {
		rc->matched++;
	} else if (rc->matched == NAME_LEN && o == ':') {
		rc->fields++;
		rc->matched = OTHER;
	} else if (rc->matched != NAME_LEN || (o != ' ' && o != '\t')) {
		rc->matched = OTHER;
	}
}

void received_count_add(struct received_count *rc, const char *data, size_t len)
{
	const char *p = data, *end = data + len;

	while (p < end && rc->matched != BODY) {
		if (rc->matched == OTHER) {
			p = memchr(p, '\n', (size_t)(end - p));
			if (!p)
				return;
		}
		step(rc, *p++);
	}
}
