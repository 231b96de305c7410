/* SPDX-License-Identifier: ISC */
/* See child.h. Runs in the master, and for its first steps in the child. */
#include "master/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/log.h"
#include "figures/figures.h"

const char *child_role_name(enum child_role role)
{
	switch (role) {
	case ROLE_WORKER:
		return "worker";
	case ROLE_RELAY:
		return "relay";
	case ROLE_AUTH:
		return "auth";
	case ROLE_PROGRAMS:
		return "programs";
	case ROLE_KEYS:
		return "keys";
	case ROLE_MONITOR:
		return "monitor";
	}
	return "?";
}

void child_take_signals(void)
{
	static const int masters[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(masters) / sizeof(*masters); i++)
		signal(masters[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t child_spawn(struct child *c, enum child_role role, int *control_fd, struct err *e)
{
	int line[2];
	pid_t pid;

	if (control_pair(line) < 0) {
		err_set_os(e, errno, "cannot make a control line for a new %s", child_role_name(role));
		return -1;
	}
	pid = fork();
	if (pid < 0) {
		err_set_os(e, errno, "cannot start a new %s", child_role_name(role));
		close(line[0]);
		close(line[1]);
		return -1;
	}
	if (pid == 0) {
		close(line[1]);
		*control_fd = line[0];
		child_take_signals();
		return 0;
	}
	close(line[0]);
	memset(c, 0, sizeof(*c));
	c->pid = pid;
	c->role = role;
	c->control_fd = line[1];
	c->born_mono_ms = clock_mono_ms();
	return pid;
}

void child_tell(struct child *c, char what)
{
	c->told = c->told || what == CONTROL_RETIRE || what == CONTROL_STOP;
	if (write(c->control_fd, &what, 1) < 0) {
		/* EPIPE: it is on its way out; waitpid will tell */
	}
}

bool child_bury(struct child *c, int wait_status, const char *guest, const char *function)
{
	bool failed = !WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0 || guest;
	struct log_line line;

	figures_add(FIGURE_PROCESS_EXITS, c->role, WIFSIGNALED(wait_status) ? 2 : failed, 1);
	log_begin(&line, failed ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "child_exited");
	log_str(&line, "role", child_role_name(c->role));
	log_int(&line, "pid", c->pid);
	if (WIFSIGNALED(wait_status)) {
		log_str(&line, "status", "killed");
		log_str(&line, "signal", sigabbrev_np(WTERMSIG(wait_status)));
	} else {
		log_str(&line, "status", failed ? "failed" : "done");
		log_int(&line, "exit", WEXITSTATUS(wait_status));
	}
	log_str(&line, "module", guest);
	log_str(&line, "function", function);
	log_seconds(&line, "lived", clock_mono_ms() - c->born_mono_ms);
	log_end(&line);
	close(c->control_fd);
	c->pid = 0;
	return failed;
}
