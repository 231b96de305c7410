/* SPDX-License-Identifier: ISC */
/* What a process keeps from others and takes from itself without filters: core files, debuggers, descriptors. */
#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

/* What its memory holds is for no core file, no debugger of the same user, and not to be seen in /proc. */
void sandbox_limits_secret(void);
/*
 * The debugger and /proc alone: what the process has open is not to be had by /proc/PID/fd either. Forks have it
 * from the beginning, a program that is executed not. Not in a build with a sanitizer, which debugs itself.
 */
void sandbox_limits_unseen(void);
/* No process can be begun here any more, nor a thread; root is not bound by it. */
void sandbox_limits_alone(void);
/* At most so many descriptors more than are open now. */
void sandbox_limits_files(unsigned more);

#endif
