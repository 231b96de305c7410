/* SPDX-License-Identifier: ISC */
/* What a process keeps from others and takes from itself without filters: core files, debuggers, descriptors. */
#ifndef SANDBOX_LIMITS_H
#define SANDBOX_LIMITS_H

/* What its memory holds is for no core file, no debugger of the same user, and not to be seen in /proc. */
void sandbox_limits_secret(void);
/* No process can be begun here any more, nor a thread; root is not bound by it. */
void sandbox_limits_alone(void);
/* At most so many descriptors more than are open now. */
void sandbox_limits_files(unsigned more);

#endif
