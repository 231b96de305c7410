/* SPDX-License-Identifier: ISC */
/*
 * A seccomp filter: which system calls a process may make. The program is made once (by libseccomp, in the
 * master), so a child that enters it costs one system call and no memory.
 *
 * With a listener (SECCOMP_RET_USER_NOTIF) a call that is not allowed waits for whoever holds the listener to say
 * what becomes of it (watch.h); nobody holding it, the call fails with ENOSYS. Without one (old kernels,
 * containers that have a listener already) the kernel does what the mode says by itself.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum sandbox_mode {
	SANDBOX_ENFORCE, /* not allowed: the process ends; code that is not ours (CALLS_ANY) gets EPERM */
	SANDBOX_LOG, /* not allowed: logged, and done */
	SANDBOX_OFF,
};

struct sandbox_filter;

/* Whether this program was built with libseccomp. */
bool sandbox_filter_is_built(void);
/* Whether the kernel knows listeners, and how to let a call go on. */
bool sandbox_filter_can_notify(void);

/* For these calls (enum sandbox_calls); not with SANDBOX_OFF. NULL and e when it cannot be made. */
struct sandbox_filter *sandbox_filter_new(unsigned calls, enum sandbox_mode mode, bool notify, struct err *e);
void sandbox_filter_free(struct sandbox_filter *f);

/*
 * This process, and those that it forks from here on, are under it for good; PR_SET_NO_NEW_PRIVS must be set.
 * *listener: a descriptor, which others are to hold and not this process; -1 when the filter is without one.
 */
int sandbox_filter_enter(const struct sandbox_filter *f, int *listener, struct err *e);

/* The name of a call by what the kernel says of it; a static text, "?" when it has none. Not for threads. */
const char *sandbox_call_name(uint32_t arch, int number);

#endif
