/* SPDX-License-Identifier: ISC */
/* See trial.h. Runs in the master, and try() in a child of it. */
#include "daemon/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"

void trial_init(struct trial *t)
{
	*t = (struct trial){ .words_fd = -1 };
	buf_init(&t->words, TRIAL_WORDS_MAX);
}

static _Noreturn void run(int (*try)(void *ctx, int words_fd), void *ctx, int words_fd, pid_t master,
			  int64_t timeout_ms)
{
	sigset_t none;

	log_tap(NULL, NULL);
	/* with the master gone nobody wants to know; it has its end of each control line, too */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master)
		_exit(EXIT_FAILURE);
	for (int number = 1; number < NSIG; number++)
		if (number != SIGPIPE)
			signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	alarm((unsigned)(timeout_ms / 1000) + 2);
	_exit(try(ctx, words_fd) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int trial_begin(struct trial *t, int (*try)(void *ctx, int words_fd), void *ctx, int64_t timeout_ms,
		struct err *e)
{
	pid_t master = getpid();
	int line[2];

	if (pipe2(line, O_CLOEXEC) < 0) {
		err_set_os(e, errno, "cannot make a pipe to a process that tries it");
		return -1;
	}
	t->pid = fork();
	if (t->pid == 0) {
		close(line[0]);
		run(try, ctx, line[1], master, timeout_ms);
	}
	close(line[1]);
	if (t->pid < 0) {
		err_set_os(e, errno, "cannot start a process that tries it");
		close(line[0]);
		t->pid = 0;
		return -1;
	}
	(void)fcntl(line[0], F_SETFL, O_NONBLOCK);
	t->words_fd = line[0];
	t->deadline_mono_ms = clock_mono_ms() + timeout_ms;
	return 0;
}

static void take_words(struct trial *t)
{
	char data[4096];
	ssize_t n;

	while ((n = read(t->words_fd, data, sizeof(data))) > 0)
		(void)buf_add(&t->words, data, (size_t)n);
}

void trial_tick(struct trial *t)
{
	if (t->pid == 0)
		return;
	take_words(t);
	if (clock_mono_ms() < t->deadline_mono_ms)
		return;
	kill(t->pid, SIGKILL);
	(void)buf_adds(&t->words, "\nit took too long, and was ended\n");
	t->deadline_mono_ms = CLOCK_NEVER;
}

bool trial_ended(struct trial *t, pid_t pid)
{
	if (t->pid == 0 || pid != t->pid)
		return false;
	take_words(t);
	close(t->words_fd);
	t->words_fd = -1;
	t->pid = 0;
	return true;
}

unsigned trial_hear(struct trial *t, void (*line)(void *ctx, const char *text), void *ctx)
{
	char *save = NULL, *text = t->words.len > 0 ? strtok_r(t->words.data, "\n", &save) : NULL;
	unsigned n = 0;

	for (; text; text = strtok_r(NULL, "\n", &save), n++)
		line(ctx, text);
	buf_release(&t->words);
	return n;
}

void trial_abandon(struct trial *t, bool kill_it)
{
	if (t->pid > 0 && kill_it)
		kill(t->pid, SIGKILL);
	descriptors_close(&t->words_fd);
	t->pid = 0;
	buf_release(&t->words);
}
