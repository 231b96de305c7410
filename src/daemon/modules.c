/* SPDX-License-Identifier: ISC */
/* See modules.h. */
#include "daemon/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "master/rights.h"

static void settings_of(const struct config *cfg, int fd, struct module_settings *s)
{
	*s = (struct module_settings){ .path = cfg->module,
				       .fd = fd,
				       .argument = (const char *const *)cfg->module_arguments,
				       .argument_count = cfg->module_argument_count,
				       .handler = handler_facts[handler_find(cfg->handler)].name,
				       .hostname = cfg->hostname,
				       .data_size_limit_bytes = cfg->data_size_limit_bytes,
				       .decode_data = cfg->decode_data,
				       .enable_smtputf8 = cfg->enable_smtputf8 };
}

/* ---- trying it -------------------------------------------------------------------------- */

/* Never as root: its constructors run when it is loaded. */
static int become_worker(const struct config *cfg, struct err *e)
{
	struct rights rights = { .uid = (uid_t)-1, .gid = (gid_t)-1 };

	if (geteuid() == 0 && cfg->user && cfg->smtp_user && rights_of_user(&rights, cfg->smtp_user, e) < 0)
		return -1;
	return rights_drop(&rights, e);
}

/* In the child. What is wrong goes into the pipe; nothing: it is good. */
static _Noreturn void try_it(const struct config *cfg, int module_fd, int pipe_fd)
{
	struct module_settings settings;
	struct module *m = NULL;
	struct err e = { .text = "" };
	ssize_t n;

	log_tap(NULL, NULL);
	/* nothing that the master holds is for it: sockets, the spool's lock, private keys */
	descriptors_close_others((const int[]){ module_fd, pipe_fd }, 2);
	settings_of(cfg, module_fd, &settings);
	if (become_worker(cfg, &e) == 0)
		m = module_open(&settings, &e);
	n = write(pipe_fd, m ? "+" : e.text, m ? 1 : strlen(e.text));
	module_close(m);
	_exit(n > 0 ? 0 : 1);
}

/* The child's words, or "" when it died, or was killed at the deadline, before it had any. */
static bool hear(int fd, int64_t deadline_mono_ms, char *words, size_t cap)
{
	struct pollfd p = { fd, POLLIN, 0 };
	ssize_t n = 0;
	int r;

	do {
		int64_t left = deadline_mono_ms - clock_mono_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	if (r > 0)
		n = read(fd, words, cap - 1);
	words[n > 0 ? n : 0] = '\0';
	return r > 0;
}

static int judge(const struct config *cfg, pid_t pid, int fd, struct err *e)
{
	bool in_time;
	char words[sizeof(e->text)];
	int status = 0;

	in_time = hear(fd, clock_mono_ms() + cfg->module_timeout_ms, words, sizeof(words));
	if (words[0] != '+') /* what it does when it closes is its own business, within the same time */
		kill(pid, SIGKILL);
	else
		hear(fd, clock_mono_ms() + cfg->module_timeout_ms, words + 1, sizeof(words) - 1);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (words[0] == '+')
		return 0;
	if (words[0])
		err_set(e, "%s", words);
	else if (!in_time)
		err_set(e, "%s: this module did not begin within module_timeout", cfg->module);
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		err_set(e, "%s: this module crashed when it was loaded: SIG%s", cfg->module,
			sigabbrev_np(WTERMSIG(status)));
	else
		err_set(e, "%s: this module ended the process when it was loaded", cfg->module);
	return -1;
}

static int try_in_child(const struct config *cfg, int module_fd, struct err *e)
{
	int fd[2], r;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0) {
		err_set_os(e, errno, "%s: cannot try this module", cfg->module);
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		try_it(cfg, module_fd, fd[1]);
	}
	close(fd[1]);
	if (pid < 0) {
		err_set_os(e, errno, "%s: cannot try this module", cfg->module);
		r = -1;
	} else {
		r = judge(cfg, pid, fd[0], e);
	}
	close(fd[0]);
	return r;
}

/* ---- for reload.h ------------------------------------------------------------------------ */

static const char *file(void *ctx, size_t index)
{
	const struct modules *m = ctx;

	return index == 0 ? m->cfg->module : NULL;
}

static int load(void *ctx, struct err *e)
{
	struct modules *m = ctx;

	m->beside = open(m->cfg->module, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (m->beside < 0) {
		err_set_os(e, errno, "%s: cannot open this module", m->cfg->module);
		return -1;
	}
	if (try_in_child(m->cfg, m->beside, e) == 0)
		return 0;
	descriptors_close(&m->beside);
	return -1;
}

static void swap(void *ctx)
{
	struct modules *m = ctx;

	descriptors_close(&m->fd);
	m->fd = m->beside;
	m->beside = -1;
}

static void drop(void *ctx)
{
	descriptors_close(&((struct modules *)ctx)->beside);
}

static void release(void *ctx)
{
	struct modules *m = ctx;

	descriptors_close(&m->beside);
	descriptors_close(&m->fd);
}

void modules_init(struct modules *m, const struct config *cfg)
{
	*m = (struct modules){ .cfg = cfg, .fd = -1, .beside = -1 };
}

void modules_settings(const struct modules *m, struct module_settings *s)
{
	settings_of(m->cfg, m->fd, s);
}

void modules_reload(struct modules *m, struct reload *to)
{
	if (m->cfg->module)
		reload_add(to, &(struct reloadable){ .what = "module",
						     .file = file,
						     .load = load,
						     .swap = swap,
						     .drop = drop,
						     .release = release,
						     .ctx = m });
}
