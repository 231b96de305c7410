/* SPDX-License-Identifier: ISC */
/*
 * USR2: another executable in the place of this one, in the same process, so that whoever started it, the pid file
 * and the children see no change. The configuration has been found good by this executable, then by the new one
 * (posthoused --check --handover, in a process of its own); then it is executed, with what handover.h says left
 * to it. It makes a generation of its own beside the children that are there, who serve until its workers do.
 * If it cannot, it executes the old one back, of which it has a descriptor. Runs in the master.
 */
#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/handover.h"
#include "daemon/house.h"
#include "daemon/logging.h"
#include "daemon/options.h"
#include "sandbox/watch.h"

#define TRY_EXECUTABLE_MS 120000
#define BACK_TRIES 20
#define BACK_PAUSE_MS 500 /* between two of them */
#define SESSION_MARGIN_MS 60000 /* a session that lasts longer than it may hangs */

/* ---- where it is ------------------------------------------------------------------- */

static bool is_this_executable(const char *path)
{
	struct stat there, here;

	return stat(path, &there) == 0 && stat("/proc/self/exe", &here) == 0 && there.st_dev == here.st_dev &&
	       there.st_ino == here.st_ino;
}

/* As the shell found it. */
static char *find_in_path(const char *name)
{
	char *all = mem_strdup(getenv("PATH") ? getenv("PATH") : ""), *save = NULL, *found = NULL;

	for (char *folder = strtok_r(all, ":", &save); folder && !found;
	     folder = strtok_r(NULL, ":", &save)) {
		found = mem_printf("%s/%s", folder, name);
		if (found[0] == '/' && is_this_executable(found))
			break;
		free(found);
		found = NULL;
	}
	free(all);
	return found;
}

char *program_path(const char *argv0)
{
	char *path, *here;

	if (!strchr(argv0, '/')) {
		path = find_in_path(argv0);
	} else if (argv0[0] == '/') {
		path = mem_strdup(argv0);
	} else {
		here = getcwd(NULL, 0);
		path = mem_printf("%s/%s", here ? here : "", argv0);
		free(here);
	}
	if (path && is_this_executable(path))
		return path;
	free(path);
	return realpath("/proc/self/exe", NULL);
}

/* ---- command lines ----------------------------------------------------------------- */

/* Ours without an earlier --handover, and `more` behind it (in front of "--"); ends with NULL. */
static char **command_line(const struct service_setup *setup, const char *const *more)
{
	size_t count = 0, n = 0;
	char **argv;

	while (setup->argv[count])
		count++;
	argv = mem_array(count + 10, sizeof(*argv));
	for (size_t i = 0; i < count; i++) {
		if (strcmp(setup->argv[i], "--") == 0) {
			while (*more)
				argv[n++] = (char *)(uintptr_t)*more++;
		}
		if (strncmp(setup->argv[i], "--handover=", 11) != 0)
			argv[n++] = setup->argv[i];
	}
	while (*more)
		argv[n++] = (char *)(uintptr_t)*more++;
	return argv;
}

/* In these words, as by the executable before this one: else the command line would grow with each. */
static bool is_given(const struct service_setup *setup, const char *option, const char *value)
{
	for (size_t i = 0; setup->argv[i]; i++)
		if (strcmp(setup->argv[i], option) == 0 && setup->argv[i + 1] &&
		    strcmp(setup->argv[i + 1], value) == 0)
			return true;
	return false;
}

/* fd: of the handover. Only returns when it failed. exe_fd: a file that is executed, -1: the program. */
static void execute(const struct service_setup *setup, int exe_fd, int fd, bool check)
{
	/* the names of files are absolute, as the background has another directory */
	const struct {
		const char *option, *value;
	} names[] = { { "--config", setup->options->config_file },
		      { "--spool", setup->options->spool },
		      { "--class", setup->options->class_name } };
	char handover[32];
	const char *more[9] = { handover };
	size_t n = 1;
	char **argv;

	snprintf(handover, sizeof(handover), "--handover=%d", fd);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!names[i].value || is_given(setup, names[i].option, names[i].value))
			continue;
		more[n++] = names[i].option;
		more[n++] = names[i].value;
	}
	if (check)
		more[n++] = "--check";
	argv = command_line(setup, more);
	(void)fcntl(fd, F_SETFD, 0);
	if (exe_fd >= 0)
		syscall(SYS_execveat, exe_fd, "", argv, environ, 0x1000 /* AT_EMPTY_PATH */);
	else
		execv(setup->program, argv);
	n = (size_t)errno;
	free(argv);
	errno = (int)n;
}

/* ---- trying it ----------------------------------------------------------------------- */

struct candidate {
	const struct house *house;
	int fd;
};

/* In a child: what it says on standard error are the words. */
static int try_executable(void *ctx, int words_fd)
{
	const struct candidate *c = ctx;

	dup2(words_fd, STDOUT_FILENO);
	dup2(words_fd, STDERR_FILENO);
	execute(c->house->setup, -1, c->fd, true);
	dprintf(words_fd, "%s: cannot execute it: %s\n", c->house->setup->program, strerror(errno));
	return -1;
}

static void refuse(const char *why)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "upgrade_refused");
	log_str(&line, "what", "executable");
	log_str(&line, "msg", why);
	log_str(&line, "kept", "the old");
	log_end(&line);
}

bool upgrade_try(struct house *h)
{
	struct candidate c = { .house = h };
	struct handover nothing;
	struct err e;
	int r;

	if (!h->setup->program) {
		refuse("it is not known where the executable was started from: restart the service instead");
		return false;
	}
	if (stat(h->setup->program, &h->tried) < 0) {
		err_set_os(&e, errno, "%s: cannot find it", h->setup->program);
		refuse(e.text);
		return false;
	}
	handover_init(&nothing);
	c.fd = handover_write(&nothing, &e);
	if (c.fd < 0) {
		refuse(e.text);
		return false;
	}
	h->tries = HOUSE_TRIES_EXECUTABLE;
	r = trial_begin(&h->trial, try_executable, &c, TRY_EXECUTABLE_MS, &e);
	close(c.fd);
	if (r == 0)
		return true;
	refuse(e.text);
	return false;
}

/* ---- doing it ------------------------------------------------------------------------- */

/* When a worker must be gone: the next executable cannot see whether it moves. */
static int64_t gone_by(const struct config *cfg)
{
	return clock_mono_ms() + cfg->session_timeout_ms + cfg->message_timeout_ms + SESSION_MARGIN_MS;
}

static void add_watched(void *ctx, const struct sandbox_subject *subject, int listener)
{
	handover_add_watch(ctx, listener, subject);
}

static void describe(struct handover *o, const struct house *h, const struct child *const *child,
		     unsigned count)
{
	const struct service *s = h->now;

	handover_init(o);
	o->program = mem_strdup_or_null(h->setup->program);
	o->spool = mem_strdup_or_null(h->spool);
	o->pid_file = mem_strdup_or_null(h->pid_file);
	o->lock_fd = h->lock_fd;
	o->unsaved_fd = h->unsaved_fd;
	memcpy(o->notice_fd, h->notice_fd, sizeof(o->notice_fd));
	memcpy(o->event_fd, h->event_fd, sizeof(o->event_fd));
	o->started_wall_us = h->started_wall_us;
	o->log_writer = logging_describe(o->log_fd);
	for (size_t i = 0; i < s->listening.count; i++)
		handover_add_socket(o, s->listening.item[i].fd, s->listening.item[i].listener,
				    &s->listening.item[i].endpoint);
	/* a listener of the configuration has a name */
	for (size_t i = 0; i < s->metrics.count; i++)
		handover_add_socket(o, s->metrics.item[i].fd, "", &s->metrics.item[i].endpoint);
	if (h->watch)
		sandbox_watch_each(h->watch, add_watched, o);
	for (unsigned i = 0; i < count; i++) {
		struct child c = *child[i];

		if (c.role == ROLE_WORKER && c.kill_at_mono_ms == 0)
			c.kill_at_mono_ms = gone_by(s->cfg);
		handover_add_child(o, &c);
	}
}

/* Or has another package come meanwhile, whose executable nobody has tried? */
static bool is_what_was_tried(const struct house *h)
{
	const struct stat *was = &h->tried;
	struct stat is;

	return stat(h->setup->program, &is) == 0 && is.st_dev == was->st_dev && is.st_ino == was->st_ino &&
	       is.st_size == was->st_size && is.st_mtim.tv_sec == was->st_mtim.tv_sec &&
	       is.st_mtim.tv_nsec == was->st_mtim.tv_nsec;
}

/* Returns only when it failed. */
static void leave(struct house *h, struct handover *o, int exe_fd)
{
	struct err e;
	int fd = handover_write(o, &e);

	if (fd >= 0) {
		handover_keep(o, true);
		activation_hand_over(h->setup->passed);
		execute(h->setup, exe_fd, fd, false);
		err_set_os(&e, errno, "%s: cannot execute it",
			   exe_fd >= 0 ? "the old executable" : h->setup->program);
		handover_keep(o, false);
		close(fd);
	}
	refuse(e.text);
}

void upgrade_execute(void *ctx, const struct child *const *child, unsigned count)
{
	struct house *h = ((struct service *)ctx)->house;
	struct handover o;

	if (h->going.count > 0) {
		refuse("clients of a listener that was removed are being served yet: try again");
		return;
	}
	if (!is_what_was_tried(h)) {
		refuse("it was replaced while it was tried: try again");
		return;
	}
	describe(&o, h, child, count);
	o.old_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (o.old_fd < 0)
		refuse("/proc/self/exe cannot be opened, and without it there is no way back: restart the service instead");
	else
		leave(h, &o, -1);
	if (o.old_fd >= 0)
		close(o.old_fd);
	handover_release(&o);
}

/* ---- the way back ------------------------------------------------------------------------ */

static bool has_way_back(const struct handover *from)
{
	return from && !from->back && from->old_fd >= 0;
}

static void log_way_back(const char *why)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "upgrade_failed");
	log_str(&line, "msg", why);
	log_str(&line, "kept", "the old");
	log_end(&line);
}

void upgrade_revert(void *ctx, const struct child *const *child, unsigned count)
{
	struct house *h = ((struct service *)ctx)->house;
	struct handover o;

	log_way_back("a process of the new executable could not start: its own line in the log says why");
	describe(&o, h, child, count);
	o.back = 1;
	leave(h, &o, h->setup->handover->old_fd);
	handover_release(&o);
}

/*
 * The old one cannot start either: somebody writes the configuration at this very moment, or replaces a key and
 * its certificate. Sessions and mail under way are worth a few more tries.
 */
static int open_for_another_try(const struct handover *o)
{
	if (o->back >= BACK_TRIES)
		return -1;
	(void)poll(NULL, 0, BACK_PAUSE_MS);
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

void upgrade_give_up(const struct service_setup *setup, const struct err *why)
{
	struct handover *o = setup->handover;
	struct err e;
	int exe_fd, fd;

	if (!o)
		return;
	exe_fd = o->back ? open_for_another_try(o) : o->old_fd;
	if (exe_fd < 0)
		return;
	log_way_back(why->text);
	o->back++;
	fd = handover_write(o, &e);
	if (fd < 0)
		return;
	handover_keep(o, true);
	activation_hand_over(setup->passed);
	execute(setup, exe_fd, fd, false);
}

/* ---- on the other side ------------------------------------------------------------------- */

static int copy_of(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int upgrade_enter(struct house *h, struct err *e)
{
	const struct handover *o = h->setup->handover;

	if (has_way_back(o))
		h->roles.revert = upgrade_revert;
	if (!o)
		return 0;
	h->spool = mem_strdup_or_null(o->spool);
	h->pid_file = mem_strdup_or_null(o->pid_file);
	h->lock_fd = copy_of(o->lock_fd);
	h->unsaved_fd = copy_of(o->unsaved_fd);
	for (int i = 0; i < 2; i++) {
		h->notice_fd[i] = copy_of(o->notice_fd[i]);
		h->event_fd[i] = copy_of(o->event_fd[i]);
	}
	h->started_wall_us = o->started_wall_us;
	notify_go_on(&h->notify);
	for (unsigned i = 0; i < o->socket_count; i++) {
		const struct handover_socket *s = &o->socket[i];
		bool is_ours = !s->listener[0];
		int fd = copy_of(s->fd);

		if (fd < 0 ||
		    listening_adopt(is_ours ? &h->metrics : &h->setup->passed->open, fd, &s->endpoint,
				    is_ours ? "metrics" : s->listener, SOMAXCONN, e) < 0) {
			err_prefix(e, "a socket of the executable before this one");
			return -1;
		}
	}
	for (unsigned i = 0; i < o->child_count; i++)
		h->strangers += o->child[i].role == ROLE_WORKER;
	h->roles.inherited = o->child;
	h->roles.inherited_count = o->child_count;
	return 0;
}

void upgrade_watch(struct house *h)
{
	const struct handover *o = h->setup->handover;
	struct err e;

	for (unsigned i = 0; o && h->watch && i < o->watch_count; i++) {
		int fd = copy_of(o->watch[i].fd);

		/* who is not watched is refused what is not allowed all the same, and nobody hears of it */
		if (fd >= 0 && sandbox_watch_add(h->watch, &o->watch[i].subject, fd, &e) < 0)
			close(fd);
	}
}
