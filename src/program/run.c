/* SPDX-License-Identifier: ISC */
/* See run.h. */
#include "program/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "program/client.h"
#include "program/exit.h"
#include "program/lines.h"
#include "program/orphans.h"
#include "program/protocol.h"
#include "program/spawn.h"
#include "program/words.h"

#define JOB_WAIT_MS 10000 /* the job comes with the request */
#define PIECE 16384
#define STDERR_LINES 20 /* of a run that are logged */
#define STDERR_LINE_MAX 500
#define REAP_MS 1000 /* for what was killed to be gone: in a system call it may take its time */

struct run {
	const struct run_setup *setup;
	enum program_command command;
	const struct program_setting *setting;
	int fd; /* of who asked */
	int signal_fd;

	/* the job */
	char *packet; /* owned */
	struct facts facts;
	int input_fd, output_fd; /* owned; -1: none */
	uint64_t offset, length; /* of the message in it */

	struct spawned program; /* pid 0: it is not running (any more); its pipes -1 when they are closed */
	int64_t began_mono_ms, until_mono_ms;
	bool ending; /* it was told to end by TERM; at until_mono_ms KILL follows */
	bool abandoned; /* nobody waits for the answer */

	struct lines_to_crlf to_crlf;
	struct program_answer answer;

	char line[STDERR_LINE_MAX]; /* the unfinished one */
	size_t line_len;
	unsigned lines, lines_dropped;
};

/* ---- the log -------------------------------------------------------------------------- */

static void put_who(struct log_line *line, const struct run *r)
{
	log_str(line, "command", program_command_names[r->command]);
	log_int(line, "run", getpid());
	log_str(line, "peer", facts_get(&r->facts, FACT_PEER));
	log_str(line, "from", facts_get(&r->facts, FACT_SENDER));
	log_str(line, "list", facts_get(&r->facts, FACT_LIST));
}

static void log_stderr(struct run *r)
{
	struct log_line line;

	if (r->line_len == 0)
		return;
	if (r->lines++ < STDERR_LINES) {
		log_begin(&line, LOG_LEVEL_INFO, "program_stderr");
		put_who(&line, r);
		log_strn(&line, "text", r->line, r->line_len);
		log_end(&line);
	} else {
		r->lines_dropped++;
	}
	r->line_len = 0;
}

/* A verdict about the message is no trouble; all else is the operator's to look at. */
static enum log_level level_of(const struct run *r)
{
	const struct program_answer *a = &r->answer;

	if (r->abandoned)
		return LOG_LEVEL_WARNING;
	if (a->end != PROGRAM_EXITED)
		return LOG_LEVEL_ERROR;
	if (a->status == 0)
		return LOG_LEVEL_DEBUG;
	return program_exit_of(a->status)->status < 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;
}

static void log_end_of_run(const struct run *r)
{
	const struct program_answer *a = &r->answer;
	struct log_line line;

	log_begin(&line, level_of(r), "program");
	put_who(&line, r);
	log_str(&line, "end", r->abandoned ? "abandoned" : program_end_names[a->end]);
	if (a->end == PROGRAM_EXITED) {
		log_int(&line, "exit", a->status);
		log_str(&line, "sysexit", program_exit_of(a->status)->name);
	} else if (a->end == PROGRAM_KILLED) {
		log_str(&line, "signal", sigabbrev_np(a->status));
	} else if (a->end == PROGRAM_FAILED || a->end == PROGRAM_REFUSED) {
		log_strn(&line, "reason", a->text, a->text_len);
	}
	if (r->lines_dropped > 0)
		log_int(&line, "stderr_lines_dropped", r->lines_dropped);
	log_seconds(&line, "time", clock_mono_ms() - r->began_mono_ms);
	log_end(&line);
}

/* ---- the job ---------------------------------------------------------------------------- */

static void fail(struct run *r, enum program_end end, const struct err *e)
{
	size_t len = strlen(e->text);

	r->answer.end = end;
	r->answer.text_len = (uint32_t)len;
	memcpy(r->answer.text, e->text, len);
}

/* Anything but a file could keep us waiting. */
static bool is_file(int fd, int unwanted_mode)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flags >= 0 &&
			  (flags & O_ACCMODE) != unwanted_mode && !(flags & O_PATH));
}

static bool take_job(struct run *r)
{
	struct pollfd asker = { r->fd, POLLIN, 0 };
	struct program_job_header header;
	size_t len, count, wanted = r->setting->filters ? 2 : 1;
	int fds[2] = { -1, -1 };
	bool good;

	r->packet = mem_alloc(PROGRAM_JOB_MAX);
	if (poll(&asker, 1, JOB_WAIT_MS) <= 0 ||
	    !descriptors_receive(r->fd, r->packet, PROGRAM_JOB_MAX, &len, fds, 2, &count) || count > 2)
		return false;
	good = len >= sizeof(header) && len <= PROGRAM_JOB_MAX &&
	       (count == wanted || (wanted == 1 && count == 0));
	r->input_fd = fds[0];
	r->output_fd = fds[1];
	if (!good || !is_file(fds[0], O_WRONLY) || !is_file(fds[1], O_RDONLY))
		return false;
	memcpy(&header, r->packet, sizeof(header));
	r->offset = header.offset;
	r->length = count > 0 ? header.length : 0;
	return header.version == PROGRAM_VERSION && header.offset <= INT64_MAX &&
	       header.length <= INT64_MAX && header.offset + header.length <= INT64_MAX &&
	       facts_read(&r->facts, r->packet + sizeof(header), len - sizeof(header), header.fact_count);
}

/* The message as the program's lines end: its standard input, or -1. */
static int open_input(const struct run *r, struct err *e)
{
	struct lines_to_lf to_lf = { .cr = false };
	char data[PIECE], converted[PIECE + 1];
	uint64_t at = r->offset, left = r->length;
	int fd = r->input_fd >= 0 ? file_open_unnamed() : open("/dev/null", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && left > 0) {
		ssize_t n = pread(r->input_fd, data, left < PIECE ? (size_t)left : PIECE, (off_t)at);
		size_t len = n > 0 && !r->setting->crlf ? lines_to_lf(&to_lf, data, (size_t)n, converted)
							: (size_t)n;

		if (n <= 0) {
			err_set_os(e, n < 0 ? errno : EIO, "the message cannot be read");
			close(fd);
			return -1;
		}
		at += (uint64_t)n;
		left -= (uint64_t)n;
		if (left == 0)
			len += lines_to_lf_end(&to_lf, converted + len);
		if (file_write_all(fd, r->setting->crlf ? data : converted, len) < 0)
			break;
	}
	if (fd >= 0 && left == 0 && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	err_set_os(e, errno, "no temporary file for the message");
	if (fd >= 0)
		close(fd);
	return -1;
}

static int spawn(struct run *r, const struct word_list *command, const struct word_list *environment,
		 struct err *e)
{
	char **argv = words_pointers(command), **envp = words_pointers(environment);
	int in = open_input(r, e), result = -1;

	if (in >= 0) {
		result = spawn_program(&r->program, in, argv, envp, &r->setup->files, e);
		close(in);
	}
	free(argv);
	free(envp);
	return result;
}

static bool start(struct run *r)
{
	struct word_list command, environment;
	struct err e;
	bool started = false;

	if (words_of_command(&command, r->setting, &r->facts, &e) < 0) {
		fail(r, PROGRAM_REFUSED, &e);
		return false;
	}
	if (words_of_environment(&environment, &r->facts, r->setup->user, r->setup->home, &e) < 0) {
		fail(r, PROGRAM_REFUSED, &e);
	} else {
		started = spawn(r, &command, &environment, &e) == 0;
		if (!started)
			fail(r, PROGRAM_FAILED, &e);
		words_release(&environment);
	}
	words_release(&command);
	return started;
}

/* ---- what it writes ----------------------------------------------------------------------- */

static void keep_text(struct program_answer *a, const char *data, size_t len)
{
	size_t room = PROGRAM_TEXT_MAX - a->text_len;

	if (len > room)
		len = room;
	memcpy(a->text + a->text_len, data, len);
	a->text_len += (uint32_t)len;
}

/* Octets of a filter into its file. False: it is over. */
static bool put_output(struct run *r, const char *data, size_t len)
{
	uint64_t before = r->answer.output_octets;

	if (len > r->setting->output_max - before) {
		r->answer.end = PROGRAM_TOO_MUCH;
		return false;
	}
	while (len > 0) {
		ssize_t n = pwrite(r->output_fd, data, len, (off_t)r->answer.output_octets);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			struct err e;

			err_set_os(&e, n < 0 ? errno : EIO,
				   "its output cannot be written to a temporary file");
			r->answer.text_len = 0;
			fail(r, PROGRAM_FAILED, &e);
			return false;
		}
		r->answer.output_octets += (uint64_t)n;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool take_output(struct run *r, const char *data, size_t len)
{
	char converted[2 * PIECE];

	keep_text(&r->answer, data, len);
	return !r->setting->filters ||
	       put_output(r, converted, lines_to_crlf(&r->to_crlf, data, len, converted));
}

static void take_stderr(struct run *r, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n')
			log_stderr(r);
		else if (r->line_len < STDERR_LINE_MAX)
			r->line[r->line_len++] = data[i];
	}
}

enum source_state { SOURCE_OPEN, SOURCE_DRY, SOURCE_CLOSED };

/* One piece of what there is. */
static enum source_state read_piece(int fd, char *data, size_t *len)
{
	ssize_t n = read(fd, data, PIECE);

	*len = n > 0 ? (size_t)n : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return SOURCE_DRY;
	return n > 0 ? SOURCE_OPEN : SOURCE_CLOSED;
}

static enum source_state read_stderr(struct run *r)
{
	char data[PIECE];
	size_t len;
	enum source_state state = read_piece(r->program.err, data, &len);

	take_stderr(r, data, len);
	if (state == SOURCE_CLOSED)
		descriptors_close(&r->program.err);
	return state;
}

/* False: a filter must not go on. */
static bool read_output(struct run *r, enum source_state *state)
{
	char data[PIECE];
	size_t len;

	*state = read_piece(r->program.out, data, &len);
	if (*state == SOURCE_CLOSED)
		descriptors_close(&r->program.out);
	return take_output(r, data, len);
}

/* ---- its end ---------------------------------------------------------------------------------- */

/* The program is told to end, and killed if it does not. end: what the answer is going to say. */
static void end_program(struct run *r, enum program_end end)
{
	if (r->ending)
		return;
	r->ending = true;
	if (r->answer.end == PROGRAM_EXITED) /* not said yet */
		r->answer.end = end;
	r->until_mono_ms = clock_mono_ms() + PROGRAM_KILL_MS;
	kill(-r->program.pid, SIGTERM);
	kill(-r->program.pid, SIGCONT);
}

static void note_exit(struct run *r, int wait_status)
{
	r->program.pid = 0;
	if (r->answer.end != PROGRAM_EXITED)
		return;
	if (WIFSIGNALED(wait_status)) {
		r->answer.end = PROGRAM_KILLED;
		r->answer.status = WTERMSIG(wait_status);
	} else {
		r->answer.status = WEXITSTATUS(wait_status);
	}
}

/* The program ended itself; it is not reaped, and nobody else can have its number. */
static bool is_dead(const struct run *r, siginfo_t *info)
{
	info->si_pid = 0;
	return r->program.pid != 0 &&
	       waitid(P_PID, (id_t)r->program.pid, info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info->si_pid != 0;
}

/*
 * A filter that says that all is well, while somebody it started still holds its output: what came of it so
 * far may be a part of the message, which is not to be taken for the whole. The end of the output is waited
 * for, up to the deadline.
 */
static bool is_output_unfinished(const struct run *r, const siginfo_t *info)
{
	return r->setting->filters && !r->ending && r->program.out >= 0 && info->si_code == CLD_EXITED &&
	       info->si_status == 0;
}

/* The program, and those that it lost. False: there are no children any more. */
static bool reap(struct run *r)
{
	siginfo_t info;
	int wait_status;
	pid_t pid;

	if (is_dead(r, &info)) {
		if (is_output_unfinished(r, &info))
			return true;
		kill(-r->program.pid, SIGKILL);
	}
	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		if (pid == r->program.pid)
			note_exit(r, wait_status);
	return pid == 0;
}

/* What left its process group. */
static void kill_the_rest(struct run *r)
{
	int64_t until = clock_mono_ms() + REAP_MS;

	while (reap(r) && clock_mono_ms() < until) {
		struct pollfd wait = { r->signal_fd, POLLIN, 0 };
		struct signalfd_siginfo info;

		/* each that dies may leave us its children */
		orphans_kill(NULL, NULL);
		if (poll(&wait, 1, 10) > 0)
			(void)!read(r->signal_fd, &info, sizeof(info));
	}
}

/* What was written before the end is still in the pipes; nobody writes any more. */
static void drain(struct run *r)
{
	enum source_state state = SOURCE_OPEN;

	while (r->program.err >= 0 && read_stderr(r) == SOURCE_OPEN)
		;
	log_stderr(r);
	while (r->program.out >= 0 && state == SOURCE_OPEN)
		if (!read_output(r, &state))
			break;
	descriptors_close(&r->program.err);
	descriptors_close(&r->program.out);
}

/* A filter's output is whole, or it is not one. */
static void judge_output(struct run *r)
{
	char last[2];
	struct program_answer *a = &r->answer;

	if (!r->setting->filters || a->end != PROGRAM_EXITED || a->status != 0)
		return;
	if (put_output(r, last, lines_to_crlf_end(&r->to_crlf, last)) && r->to_crlf.bad)
		a->end = PROGRAM_BAD_OUTPUT;
}

/* ---- the loop ---------------------------------------------------------------------------------- */

enum { FD_ASKER, FD_SIGNAL, FD_OUT, FD_ERR, FDS };

static void handle_signals(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		/* the process that runs programs stops, or is gone */
		if (info.ssi_signo == SIGTERM) {
			r->abandoned = true;
			end_program(r, PROGRAM_KILLED);
		}
	}
	reap(r);
}

static void handle(struct run *r, const struct pollfd *fds)
{
	enum source_state state;

	if (fds[FD_OUT].revents && !read_output(r, &state)) {
		descriptors_close(&r->program.out);
		end_program(r, PROGRAM_TOO_MUCH);
	}
	if (fds[FD_ERR].revents)
		read_stderr(r);
	if (fds[FD_ASKER].revents) {
		r->abandoned = true;
		end_program(r, PROGRAM_KILLED);
	}
	if (fds[FD_SIGNAL].revents)
		handle_signals(r);
	else if (fds[FD_OUT].revents)
		reap(r); /* it may have waited for the end of its output */
}

static void watch(struct run *r)
{
	while (r->program.pid != 0) {
		struct pollfd fds[FDS] = { [FD_ASKER] = { r->abandoned ? -1 : r->fd, 0, 0 },
					   [FD_SIGNAL] = { r->signal_fd, POLLIN, 0 },
					   [FD_OUT] = { r->program.out, POLLIN, 0 },
					   [FD_ERR] = { r->program.err, POLLIN, 0 } };
		int64_t left = r->until_mono_ms - clock_mono_ms();

		if (left > 0) {
			if (poll(fds, FDS, left > INT_MAX ? INT_MAX : (int)left) > 0)
				handle(r, fds);
		} else if (!r->ending) {
			end_program(r, PROGRAM_TIMED_OUT);
		} else {
			kill(-r->program.pid, SIGKILL);
			r->until_mono_ms = clock_mono_ms() + REAP_MS;
			reap(r); /* it may be dead, and who has its output in no group of ours */
		}
	}
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static bool prepare(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	r->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return r->signal_fd >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

static void release(struct run *r)
{
	descriptors_close(&r->input_fd);
	descriptors_close(&r->output_fd);
	descriptors_close(&r->signal_fd);
	descriptors_close(&r->fd);
	facts_release(&r->facts);
	free(r->packet);
}

static void execute(struct run *r)
{
	r->began_mono_ms = clock_mono_ms();
	r->until_mono_ms = r->began_mono_ms + r->setting->timeout_ms;
	proctitle_set("program %s", program_command_names[r->command]);
	if (start(r)) {
		watch(r);
		kill_the_rest(r);
		drain(r);
		judge_output(r);
	}
	log_end_of_run(r);
	if (!r->abandoned)
		(void)!send(r->fd, &r->answer, offsetof(struct program_answer, text) + r->answer.text_len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
}

void run_job(const struct run_setup *setup, enum program_command command, int fd)
{
	struct run r = { .setup = setup,
			 .command = command,
			 .setting = &setup->command[command],
			 .fd = fd,
			 .signal_fd = -1,
			 .input_fd = -1,
			 .output_fd = -1,
			 .program = { 0, -1, -1 },
			 .answer = { .version = PROGRAM_VERSION, .end = PROGRAM_EXITED } };

	/* who asks for what is no job is none of our clients, and hears nothing */
	if (prepare(&r) && take_job(&r))
		execute(&r);
	release(&r);
}
