/* SPDX-License-Identifier: ISC */
/* See spawn.h. Runs in the child of a run, and for its last steps in the program's own process. */
#include "program/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/file.h"

enum { OUR_OUT, CHILD_OUT, OUR_ERR, CHILD_ERR, OUR_FAILURE, CHILD_FAILURE, ENDS };

static void close_ends(int *end)
{
	for (int i = 0; i < ENDS; i++)
		descriptors_close(&end[i]);
}

static int open_pipes(int *end, struct err *e)
{
	for (int i = 0; i < ENDS; i++)
		end[i] = -1;
	for (int i = 0; i < ENDS; i += 2) {
		if (pipe2(end + i, O_CLOEXEC) == 0)
			continue;
		err_set_os(e, errno, "no pipe to a program");
		close_ends(end);
		return -1;
	}
	return 0;
}

/* What is ignored stays ignored in a new program, and what is blocked blocked: it starts as from a shell. */
static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Ours are closed by exec anyway; what the service inherited from who started it may not be. */
static void close_the_rest(void)
{
	long most = sysconf(_SC_OPEN_MAX);

	if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return;
	for (int fd = STDERR_FILENO + 1; fd < most; fd++) /* Linux before 5.11 */
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* In the new process. Says errno on the failure pipe, which a good exec closes. */
static _Noreturn void become(const int *end, int in, char *const argv[], char *const envp[],
			     const struct rlimit *files, pid_t parent)
{
	const struct rlimit none = { 0, 0 };
	int failed;

	/* without us nobody would end it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	reset_signals();
	umask(077);
	if (setsid() >= 0 && chdir("/") == 0 && setrlimit(RLIMIT_CORE, &none) == 0 &&
	    setrlimit(RLIMIT_NOFILE, files) == 0 && dup2(in, STDIN_FILENO) >= 0 &&
	    dup2(end[CHILD_OUT], STDOUT_FILENO) >= 0 && dup2(end[CHILD_ERR], STDERR_FILENO) >= 0) {
		close_the_rest();
		execve(argv[0], argv, envp);
	}
	failed = errno;
	(void)file_write_all(end[CHILD_FAILURE], &failed, sizeof(failed));
	_exit(127);
}

/* Waits until the program runs, or cannot. */
static int learn(int *end, const char *program, struct err *e)
{
	int failed = 0;
	size_t len = 0;

	close(end[CHILD_FAILURE]);
	end[CHILD_FAILURE] = -1;
	if (file_read_all(end[OUR_FAILURE], &failed, sizeof(failed), &len) == 0 && len == 0)
		return 0;
	err_set_os(e, failed ? failed : EIO, "cannot start %s%s", program,
		   failed == ENOENT && access(program, F_OK) == 0
			   ? ": the interpreter of its first line is missing"
			   : "");
	return -1;
}

int spawn_program(struct spawned *p, int in, char *const argv[], char *const envp[],
		  const struct rlimit *files, struct err *e)
{
	pid_t parent = getpid();
	int end[ENDS];

	if (open_pipes(end, e) < 0)
		return -1;
	p->pid = fork();
	if (p->pid == 0)
		become(end, in, argv, envp, files, parent);
	if (p->pid < 0) {
		err_set_os(e, errno, "cannot start a process for %s", argv[0]);
		close_ends(end);
		return -1;
	}
	if (learn(end, argv[0], e) < 0) {
		close_ends(end);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
		return -1;
	}
	p->out = end[OUR_OUT];
	p->err = end[OUR_ERR];
	end[OUR_OUT] = end[OUR_ERR] = -1;
	close_ends(end);
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	fcntl(p->err, F_SETFL, O_NONBLOCK);
	return 0;
}
