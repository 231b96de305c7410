/* SPDX-License-Identifier: ISC */
/* See limits.h. Each is one fence of several, so what the system refuses is no failure. */
#include "sandbox/limits.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void lower(__rlimit_resource_t what, rlim_t to)
{
	struct rlimit limit;

	if (getrlimit(what, &limit) < 0 || limit.rlim_max <= to)
		return;
	limit.rlim_max = to;
	if (limit.rlim_cur > to)
		limit.rlim_cur = to;
	(void)setrlimit(what, &limit);
}

void sandbox_limits_secret(void)
{
	lower(RLIMIT_CORE, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void sandbox_limits_unseen(void)
{
#ifndef PH_CHECKED_BUILD
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void sandbox_limits_alone(void)
{
	lower(RLIMIT_NPROC,
	      0); /* counted for the user, compared by who forks: other processes of the user may */
}

void sandbox_limits_files(unsigned more)
{
	int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

	if (next < 0)
		return;
	close(next);
	/* the lowest free number is taken for each new one: what is open above the limit stays */
	lower(RLIMIT_NOFILE, (rlim_t)next + more);
}
