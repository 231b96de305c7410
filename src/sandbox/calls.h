/* SPDX-License-Identifier: ISC */
/*
 * System calls by what they are for: the words in which daemon/confine.c says what a role may do. Pure data;
 * filter.c makes a program for the kernel of it.
 */
#ifndef SANDBOX_CALLS_H
#define SANDBOX_CALLS_H

#include <stddef.h>
#include <stdint.h>

/* What a process may do; a set of bits. */
enum sandbox_calls {
	CALLS_LIVE =
		1 << 0, /* memory that is not executable, time, and what is open already; with all of these */
	CALLS_FILES =
		1 << 1, /* open, make, rename and remove files: which, is Landlock's and the modes' matter */
	CALLS_LIST = 1 << 2, /* read folders */
	CALLS_MODES = 1 << 3, /* change a file's owner and mode */
	CALLS_NOTICE = 1 << 4, /* be told of changed files (inotify) */
	CALLS_ACCEPT = 1 << 5, /* take connections from sockets that listen */
	CALLS_LISTEN = 1 << 6, /* make unix sockets that listen */
	CALLS_LOCAL = 1 << 7, /* connect to unix sockets */
	CALLS_CONNECT = 1 << 8, /* connect by IP, look names up */
	CALLS_THREADS = 1 << 9, /* begin threads */
	CALLS_FORK = 1 << 10, /* begin processes of the same program, signal them, wait for them */
	CALLS_CODE = 1 << 11, /* map files as code: shared objects that are loaded later */
	CALLS_LIMITS = 1 << 12, /* its own limits, as far as they go */
	/*
	 * Everything that no ordinary program is refused, for code that is not ours: only what is in
	 * sandbox_refused is kept from it. Not to be joined with others but CALLS_KEYRING.
	 */
	CALLS_ANY = 1 << 13,
	CALLS_KEYRING = 1 << 14, /* besides: the kernel's keyrings, where Kerberos may keep its tickets */
};

/* The value of an argument stands for the process itself; filter.c puts it in. */
#define CALL_SELF 0x5e1f5e1fu

#define CALL_CONDITIONS 3

struct call_condition {
	unsigned char arg;
	uint64_t mask,
		value; /* (argument & mask) == value; of an int only the 32 bits that the kernel looks at */
};

/*
 * What is allowed: to roles with one of the groups, when all conditions hold, each of another argument. A call may
 * have several rows.
 */
struct call_row {
	unsigned groups;
	const char *names; /* with blanks between them */
	unsigned char conditions;
	struct call_condition when[CALL_CONDITIONS];
};

extern const struct call_row sandbox_allowed[];
extern const size_t sandbox_allowed_count;
/* What CALLS_ANY is refused; `groups`: not to those. */
extern const struct call_row sandbox_refused[];
extern const size_t sandbox_refused_count;
/* Names of what is answered with ENOSYS, without a word: others then take a way that can be judged. */
extern const char sandbox_absent[];

#endif
