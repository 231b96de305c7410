/* SPDX-License-Identifier: ISC */
/*
 * Deliver By (RFC 2852 4): MAIL's BY= parameter and what it means to whoever
 * keeps the message. On the wire it is seconds from now, said anew at each
 * hop; in between it is a moment. Pure.
 *
 *   by-value = by-time ";" by-mode [by-trace]
 *   by-time  = ["-" / "+"] 1*9DIGIT
 *   by-mode  = "N" / "R"
 *   by-trace = "T"
 */
#ifndef SMTP_DELIVER_BY_H
#define SMTP_DELIVER_BY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum deliver_by_mode {
	DELIVER_BY_NONE, /* nothing was asked for */
	DELIVER_BY_NOTIFY, /* "N": behind the time the sender is told of the delay, and it is tried on */
	DELIVER_BY_RETURN /* "R": behind the time it is returned, and only servers that promise the same may get it */
};

struct deliver_by {
	enum deliver_by_mode mode;
	bool trace; /* the sender is to be told of each relay that takes it */
	int64_t wall_us; /* the moment; with NOTIFY it may be over from the start; 0 with NONE */
};

#define DELIVER_BY_TEXT_MAX 16 /* with the NUL */
#define DELIVER_BY_SECONDS_MAX 999999999

/*
 * BY='s value. 0, or -1 and *why, a constant phrase for a 501 reply: no such value, or a time that is over
 * with mode R. now_wall_us: when MAIL came.
 */
int deliver_by_parse(const char *value, size_t len, int64_t now_wall_us, struct deliver_by *out,
		     const char **why);
/* Whole seconds that are left, rounded down, so that no hop gains time; 0 and less: it is over. */
int64_t deliver_by_seconds(const struct deliver_by *by, int64_t now_wall_us);
/* The value for the next hop, at this moment; returns out. Not for NONE. */
const char *deliver_by_format(const struct deliver_by *by, int64_t now_wall_us,
			      char out[DELIVER_BY_TEXT_MAX]);
/* "N", "R", "NT", "RT": mode and trace as they stand in a file. Not for NONE. */
const char *deliver_by_letters(const struct deliver_by *by);
/* Reads them (any case); false: they are none of these. Leaves the moment alone. */
bool deliver_by_parse_letters(const char *text, size_t len, struct deliver_by *by);

#endif
