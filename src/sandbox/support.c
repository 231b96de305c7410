/* SPDX-License-Identifier: ISC */
/* See support.h. Runs in the master before the first fork, and in `posthouse doctor`. */
#include "sandbox/support.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/domain.h"
#include "sandbox/filter.h"

/* Only in a child: a filter that allows everything, but a filter. */
static enum sandbox_seccomp try(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog program = { 1, &allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return SECCOMP_NONE;
	/* EBUSY: a container has a listener already, and there is one for each process */
	if (sandbox_filter_can_notify() &&
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) >= 0)
		return SECCOMP_LISTENERS;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? SECCOMP_FILTERS
									       : SECCOMP_NONE;
}

void sandbox_support_find(struct sandbox_support *s)
{
	int status;
	pid_t pid;

	*s = (struct sandbox_support){ .built = sandbox_filter_is_built(),
				       .landlock_abi = sandbox_domain_abi() };
#ifdef PH_CHECKED_BUILD
	s->checked_build = true;
#endif
	if (!s->built)
		return;
	pid = fork();
	if (pid == 0)
		_exit((int)try());
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) <= SECCOMP_LISTENERS)
		s->seccomp = (enum sandbox_seccomp)WEXITSTATUS(status);
}

static const char *lack_of_seccomp(const struct sandbox_support *s)
{
	switch (s->seccomp) {
	case SECCOMP_NONE:
		return s->built ? "no seccomp filters in this kernel or container"
				: "no seccomp filters: built without libseccomp";
	case SECCOMP_FILTERS:
		return "no seccomp listeners (Linux 5.9, and none of the container's own): what is refused is not "
		       "logged here";
	case SECCOMP_LISTENERS:
		return NULL;
	}
	return NULL;
}

static const char *lack_of_landlock(const struct sandbox_support *s)
{
	if (s->landlock_abi == 0)
		return "no Landlock in this kernel or container";
	if (s->landlock_abi < DOMAIN_LEAST_ABI)
		return "a Landlock before Linux 5.19, of no use here";
	if (s->landlock_abi < DOMAIN_TCP_ABI)
		return "no Landlock for TCP (Linux 6.7)";
	if (s->landlock_abi < DOMAIN_SCOPE_ABI)
		return "no Landlock for signals (Linux 6.12)";
	return NULL;
}

bool sandbox_support_is_poor(const struct sandbox_support *s)
{
	return s->checked_build || s->seccomp != SECCOMP_LISTENERS || s->landlock_abi < DOMAIN_LEAST_ABI;
}

bool sandbox_support_lacks(const struct sandbox_support *s, char *text, unsigned cap)
{
	const char *seccomp = lack_of_seccomp(s), *landlock = lack_of_landlock(s);

	if (s->checked_build)
		snprintf(text, cap, "no sandbox at all: built with a sanitizer or for coverage");
	else
		snprintf(text, cap, "%s%s%s", seccomp ? seccomp : "", seccomp && landlock ? "; " : "",
			 landlock ? landlock : "");
	return text[0] != '\0';
}
