/* SPDX-License-Identifier: ISC */
/* What of the sandbox is possible with this program, on this machine, in this container: tried and not guessed. */
#ifndef SANDBOX_SUPPORT_H
#define SANDBOX_SUPPORT_H

#include <stdbool.h>

enum sandbox_seccomp {
	SECCOMP_NONE, /* not in this program, or not in this kernel */
	SECCOMP_FILTERS, /* the kernel acts by itself, and the name of a refused call stands in its own log */
	SECCOMP_LISTENERS, /* the master is told */
};

struct sandbox_support {
	enum sandbox_seccomp seccomp;
	bool built; /* with libseccomp */
	bool checked_build; /* with a sanitizer or for coverage, which need more than any role may: nothing is used */
	int landlock_abi; /* 0: none */
};

/* Forks and waits for a child that tries; for a process without threads. */
void sandbox_support_find(struct sandbox_support *s);
/* What is missing, as a text for people in `text`; false: nothing. */
bool sandbox_support_lacks(const struct sandbox_support *s, char *text, unsigned cap);
/* Whether that is much: more than what only younger kernels have. */
bool sandbox_support_is_poor(const struct sandbox_support *s);

#endif
