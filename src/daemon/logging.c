/* SPDX-License-Identifier: ISC */
/* See logging.h. Runs in the master; children only lose what is the master's alone. */
#include "daemon/logging.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/confine.h"
#include "daemon/log_writer.h"
#include "master/child.h"
#include "master/rights.h"

/* Some thousand lines of a moment in which the disk is slow. */
#define PIPE_BYTES (1 << 20)
#define REOPEN_PAUSE_MS 10000 /* after a file could not be opened, unless somebody asks */
#define END_WAIT_MS 2000

static struct {
	bool is_starting_writer;
	bool begun; /* there is a master, and the writer may be started */
	char *path; /* NULL: the log is no file */
	gid_t group; /* of a file that is made; -1: ours */
	int file_fd; /* before the writer has it; else -1 */
	struct rights rights; /* of the writer */
	struct config confined; /* how it is confined: nothing else is set in it */
	pid_t writer; /* 0: none */
	int pipe_fd[2], line_fd; /* to the writer; -1 without one */
	bool look; /* the writer cannot see whether the file was moved */
	int64_t not_before_mono_ms; /* of another try to open it */
	struct stat file; /* what is open */
	_Atomic uint64_t *lost; /* in memory that all processes share */
	uint64_t lost_told;
	enum log_sink sink;
} my = { .group = (gid_t)-1, .file_fd = -1, .pipe_fd = { -1, -1 }, .line_fd = -1 };

/* ---- the file ------------------------------------------------------------------------ */

/* Not through a symbolic link: who owns the folder may be less than we are. */
static int open_file(const char *path, gid_t group, struct stat *st, struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		      0640);

	if (fd < 0 && errno == ELOOP) {
		err_set(e, "%s: cannot log to a symbolic link: name the file itself", path);
		return -1;
	}
	if (fd < 0 || fstat(fd, st) < 0) {
		err_set_os(e, errno, "%s: cannot open the log", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (!S_ISREG(st->st_mode)) {
		err_set(e, "%s: cannot log to what is no ordinary file", path);
		close(fd);
		return -1;
	}
	/* one that was there keeps the group that somebody gave it */
	if (st->st_size == 0 && group != (gid_t)-1 && st->st_gid != group &&
	    fchown(fd, (uid_t)-1, group) < 0) {
		/* then its members cannot read it, and hear so */
	}
	return fd;
}

bool logging_is_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx)
{
	struct stat st;
	struct err e;
	char *folder;
	bool usable;

	if (cfg->log[0] != '/')
		return true;
	if (strlen(cfg->log) >= LOG_WRITER_PATH_MAX) {
		report(ctx, "log: the path is too long");
		return false;
	}
	if (lstat(cfg->log, &st) == 0) {
		if (S_ISREG(st.st_mode))
			return true;
		err_set(&e, "%s: cannot log to what is no ordinary file", cfg->log);
		report(ctx, e.text);
		return false;
	}
	folder = mem_strndup(cfg->log, (size_t)(strrchr(cfg->log, '/') - cfg->log) + 1);
	usable = stat(folder, &st) == 0 && S_ISDIR(st.st_mode);
	if (!usable) {
		err_set(&e, "%s: cannot log there: there is no folder %s", cfg->log, folder);
		report(ctx, e.text);
	}
	free(folder);
	return usable;
}

/* ---- the writer ------------------------------------------------------------------------ */

/* In each child that is forked: the ends of the writer's lines are the master's. */
static void in_child(void)
{
	if (my.is_starting_writer)
		return; /* which keeps what it needs itself */
	descriptors_close(&my.pipe_fd[0]);
	descriptors_close(&my.line_fd);
}

/* It must have no writing end of the pipe, or would never see its end; and nothing else of what the master has. */
static _Noreturn void be_writer(const struct rights *rights, const char *path, int pipe_fd, int line_fd,
				int file_fd)
{
	enum { FIRST = 3, COUNT = 3 };
	int fds[COUNT] = { pipe_fd, line_fd, file_fd };
	struct err e;

	child_take_signals();
	proctitle_set("logger");
	for (int i = 0; i < COUNT; i++)
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 16 + COUNT);
	for (int i = 0; i < COUNT; i++)
		if (fds[i] < 0 || dup3(fds[i], FIRST + i, O_CLOEXEC) < 0)
			_exit(EXIT_FAILURE);
	closefrom(FIRST + COUNT);
	if (rights_drop(rights, &e) < 0 || confine_log_writer(&my.confined, &e) < 0)
		_exit(EXIT_FAILURE);
	log_writer_run(&(struct log_writer_start){ FIRST, FIRST + 1, FIRST + 2, path });
	_exit(EXIT_SUCCESS);
}

static int make_pipe(struct err *e)
{
	if (my.pipe_fd[0] >= 0)
		return 0;
	if (pipe2(my.pipe_fd, O_CLOEXEC | O_NONBLOCK) < 0) {
		err_set_os(e, errno, "cannot make the pipe to who writes the log");
		return -1;
	}
	/* refused when the user's pipe budget is used up */
	(void)fcntl(my.pipe_fd[1], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

/* The file passes to it. Where one died, the next takes the pipe over with what is in it. */
static int start_writer(int file_fd, struct err *e)
{
	int line[2];

	if (make_pipe(e) < 0)
		return -1;
	if (descriptors_pair(line) < 0) {
		err_set_os(e, errno, "cannot make the line to who writes the log");
		return -1;
	}
	descriptors_close(&my.line_fd);
	fflush(NULL);
	my.is_starting_writer = true;
	my.writer = fork();
	if (my.writer == 0)
		be_writer(&my.rights, my.path, my.pipe_fd[0], line[0], file_fd);
	my.is_starting_writer = false;
	close(line[0]);
	if (my.writer < 0) {
		my.writer = 0;
		close(line[1]);
		err_set_os(e, errno, "cannot start who writes the log");
		return -1;
	}
	my.line_fd = line[1];
	close(file_fd);
	return 0;
}

/* ---- opening --------------------------------------------------------------------------- */

/* systemd tells by device and inode which descriptor it has connected with the journal. */
static bool stderr_is_the_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

static enum log_sink sink_of(const struct config *cfg, bool foreground)
{
	if (cfg->log[0] == '/')
		return LOG_TO_FD;
	if (strcmp(cfg->log, "journal") == 0)
		return LOG_TO_JOURNAL;
	if (strcmp(cfg->log, "stderr") == 0)
		return LOG_TO_STDERR;
	if (strcmp(cfg->log, "syslog") == 0 || !foreground)
		return LOG_TO_SYSLOG;
	/* who wants JSON lines wants them on standard error, where they are text to the journal */
	return stderr_is_the_journal() && cfg->log_format == LOG_FORMAT_TEXT ? LOG_TO_JOURNAL : LOG_TO_STDERR;
}

bool logging_is_to_stderr(void)
{
	return my.sink == LOG_TO_STDERR;
}

static void use(const struct config *cfg)
{
	struct log_setup setup = { .sink = my.sink,
				   .format = cfg->log_format,
				   .ident = "posthoused",
				   .levels = cfg->log_levels,
				   .fd = my.pipe_fd[1] >= 0 ? my.pipe_fd[1] : my.file_fd };

	log_open_with(&setup);
}

/* The writer has the next file from here on, and we what it is known by. */
static void pass_file(int fd)
{
	char packet[1 + LOG_WRITER_PATH_MAX];
	size_t len = strlen(my.path);

	packet[0] = LOG_WRITER_FILE;
	memcpy(packet + 1, my.path, len);
	if (descriptors_send(my.line_fd, packet, 1 + len, &fd, 1) < 0) {
		/* it died: the tick sees that, and the next one gets the file */
	}
	close(fd);
	my.look = false;
}

/* Those who have the pipe go on writing into it; its writer ends when they have. */
static void leave_writer(void)
{
	descriptors_close(&my.pipe_fd[0]);
	descriptors_close(&my.pipe_fd[1]);
	descriptors_close(&my.line_fd);
	my.writer = 0;
}

static int open_named(const struct config *cfg, struct err *e)
{
	gid_t group = (gid_t)-1;
	struct stat st;
	int fd;

	if (strlen(cfg->log) >= LOG_WRITER_PATH_MAX) {
		err_set(e, "log: the path is too long");
		return -1;
	}
	if (geteuid() == 0 && cfg->view_group && rights_of_group(&group, cfg->view_group, e) < 0)
		return -1;
	fd = open_file(cfg->log, group, &st, e);
	if (fd < 0)
		return -1;
	free(my.path);
	my.path = mem_strdup(cfg->log);
	my.group = group;
	my.file = st;
	my.not_before_mono_ms = 0;
	if (my.line_fd >= 0)
		pass_file(fd);
	else if (my.begun)
		return start_writer(fd, e);
	else
		my.file_fd = fd;
	return 0;
}

int logging_open(const struct config *cfg, bool foreground, struct err *e)
{
	enum log_sink sink = sink_of(cfg, foreground);

	if (sink == LOG_TO_FD && open_named(cfg, e) < 0)
		return -1;
	my.sink = sink;
	my.confined = (struct config){ .seccomp = cfg->seccomp, .landlock = cfg->landlock };
	if (sink != LOG_TO_FD)
		leave_writer();
	use(cfg);
	return 0;
}

int64_t logging_describe(int fd[3])
{
	fd[0] = my.pipe_fd[0];
	fd[1] = my.pipe_fd[1];
	fd[2] = my.line_fd;
	return my.writer;
}

void logging_adopt(const int fd[3], int64_t writer)
{
	struct log_setup setup = { .sink = LOG_TO_FD, .ident = "posthoused", .fd = fd[1] };

	my.pipe_fd[0] = fd[0];
	my.pipe_fd[1] = fd[1];
	my.line_fd = fd[2];
	my.writer = (pid_t)writer;
	if (fd[1] < 0)
		return;
	log_levels_set(&setup.levels, LOG_LEVEL_INFO); /* until the configuration is known */
	log_open_with(&setup);
}

int logging_begin(const struct config *cfg, struct err *e)
{
	void *shared =
		mmap(NULL, sizeof(*my.lost), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = my.file_fd;

	if (geteuid() == 0 && cfg->user && rights_of_user(&my.rights, cfg->user, e) < 0)
		return -1;
	if (shared != MAP_FAILED) {
		my.lost = shared;
		log_count_lost_in(my.lost);
	}
	my.begun = true;
	my.confined = (struct config){ .seccomp = cfg->seccomp, .landlock = cfg->landlock };
	pthread_atfork(NULL, NULL, in_child);
	my.file_fd = -1;
	if (fd >= 0 && start_writer(fd, e) < 0)
		return -1;
	use(cfg);
	return 0;
}

/* ---- while it runs ---------------------------------------------------------------------- */

static void log_reopened(void)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, "log_reopened");
	log_str(&line, "file", my.path);
	log_end(&line);
}

static void reopen(void)
{
	struct err e;
	int fd = open_file(my.path, my.group, &my.file, &e);

	if (fd >= 0 && my.line_fd >= 0) {
		pass_file(fd);
		log_reopened();
		return;
	}
	if (fd < 0 || start_writer(fd, &e) < 0) {
		my.not_before_mono_ms = clock_mono_ms() + REOPEN_PAUSE_MS;
		log_msg(LOG_LEVEL_ERROR, "log_failed", "%s", e.text);
	}
}

void logging_reopen(void)
{
	if (my.sink == LOG_TO_FD)
		reopen();
	else
		log_msg(LOG_LEVEL_WARNING, "signal_ignored",
			"USR1: the log is no file that could be opened anew");
}

static bool was_moved(void)
{
	struct stat st;

	return stat(my.path, &st) < 0 ? errno == ENOENT
				      : st.st_ino != my.file.st_ino || st.st_dev != my.file.st_dev;
}

/* Returns whether the file is to be opened. */
static bool hear_writer(void)
{
	struct log_writer_said said;
	bool moved = false;
	size_t len, count;
	int none;

	if (my.line_fd < 0)
		return true;
	while (descriptors_receive(my.line_fd, &said, sizeof(said), &len, &none, 0, &count)) {
		if (len == 0) {
			log_msg(LOG_LEVEL_ERROR, "log_failed",
				"%s: who writes it has ended; the next one goes on", my.path);
			descriptors_close(&my.line_fd);
			return true;
		}
		if (len != sizeof(said) || said.device != my.file.st_dev || said.inode != my.file.st_ino)
			continue;
		moved = moved || said.what == LOG_WRITER_MOVED;
		my.look = my.look || said.what == LOG_WRITER_BLIND;
	}
	return moved || (my.look && was_moved());
}

/* The line about it may be lost itself: then it is none of them, and they are told of later. */
static void tell_lost(void)
{
	uint64_t lost = log_lost(), told = my.lost_told;
	struct log_line line;

	if (!my.lost || lost == told)
		return;
	log_begin(&line, LOG_LEVEL_WARNING, "log_lost");
	log_int(&line, "lines", (int64_t)(lost - told));
	if (log_end(&line))
		my.lost_told = lost;
	else
		atomic_fetch_sub(my.lost, 1);
}

void logging_tick(void)
{
	if (my.sink == LOG_TO_FD && clock_mono_ms() >= my.not_before_mono_ms && hear_writer())
		reopen();
	tell_lost();
}

void logging_end(void)
{
	struct pollfd gone = { .fd = my.line_fd, .events = POLLIN };
	char stop = LOG_WRITER_STOP, said[1];

	if (my.line_fd < 0)
		return;
	tell_lost();
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "posthoused");
	if (descriptors_send(my.line_fd, &stop, 1, NULL, 0) == 0) {
		/* its end of the line closes when it has ended */
		while (poll(&gone, 1, END_WAIT_MS) > 0 && !(gone.revents & POLLHUP) &&
		       recv(my.line_fd, said, sizeof(said), MSG_DONTWAIT) > 0)
			;
		waitpid(my.writer, NULL, gone.revents & POLLHUP ? 0 : WNOHANG);
	}
	leave_writer();
}
