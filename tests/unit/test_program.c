/* SPDX-License-Identifier: ISC */
/* The program process and who asks it: words and lines (pure), runs, faults of both sides, ceilings, stop. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/file.h"
#include "program/client.h"
#include "program/exit.h"
#include "program/lines.h"
#include "program/server.h"
#include "program/words.h"
#include "unit.h"

/* ---- line ends -------------------------------------------------------------------------- */

static const char *to_lf(const char *text, size_t step)
{
	static char out[256];
	struct lines_to_lf l = { .cr = false };
	size_t n = 0, len = strlen(text);

	for (size_t at = 0; at < len; at += step)
		n += lines_to_lf(&l, text + at, step < len - at ? step : len - at, out + n);
	n += lines_to_lf_end(&l, out + n);
	out[n] = '\0';
	return out;
}

static const char *to_crlf(const char *text, size_t len, size_t step, bool *bad)
{
	static char out[256];
	struct lines_to_crlf l = { .cr = false };
	size_t n = 0;

	for (size_t at = 0; at < len; at += step)
		n += lines_to_crlf(&l, text + at, step < len - at ? step : len - at, out + n);
	n += lines_to_crlf_end(&l, out + n);
	out[n] = '\0';
	*bad = l.bad;
	return out;
}

START_TEST(lines_however_they_are_cut)
{
	bool bad;

	for (size_t step = 1; step < 12; step++) {
		ck_assert_str_eq(to_lf("a\r\nb\r\r\nc\nd\r", step), "a\nb\r\nc\nd\r");
		ck_assert_str_eq(to_lf("", step), "");
		ck_assert_str_eq(to_crlf("a\nb\r\n\nc", 7, step, &bad), "a\r\nb\r\n\r\nc\r\n");
		ck_assert(!bad);
		ck_assert_str_eq(to_crlf("", 0, step, &bad), "");
		ck_assert(!bad);
		to_crlf("a\rb\n", 4, step, &bad);
		ck_assert(bad);
		to_crlf("a\0b\n", 4, step, &bad);
		ck_assert(bad);
		to_crlf("a\r\r\n", 4, step, &bad);
		ck_assert(bad);
		to_crlf("a\n\r", 3, step, &bad);
		ck_assert(bad);
	}
}
END_TEST

/* ---- words ------------------------------------------------------------------------------- */

static struct program_setting setting_of(const char *const *word)
{
	struct program_setting s = { .word = word, .timeout_ms = 20000, .output_max = 1 << 20 };

	while (word[s.word_count])
		s.word_count++;
	return s;
}

static void check_words(const char *const *word, const char *expected)
{
	struct program_setting s = setting_of(word);
	struct program_job job;
	struct word_list list;
	struct facts facts;
	char text[1000] = "", **argv;
	struct err e;

	program_job_init(&job, PROGRAM_EXEC);
	program_job_put(&job, FACT_SENDER, "s@a.example");
	program_job_put(&job, FACT_RECIPIENT, "$(x)@b.example");
	program_job_put(&job, FACT_RECIPIENT, "y z@b.example");
	program_job_put(&job, FACT_CLIENT_HELO, "-h\n");
	ck_assert(facts_read(&facts, job.facts.data, job.facts.len, job.fact_count));
	if (words_of_command(&list, &s, &facts, &e) < 0) {
		ck_assert_str_eq(e.text, expected);
	} else {
		argv = words_pointers(&list);
		for (size_t i = 0; argv[i]; i++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "[%s]", argv[i]);
		ck_assert_str_eq(text, expected);
		free(argv);
		words_release(&list);
	}
	facts_release(&facts);
	program_job_release(&job);
}

START_TEST(words_of_a_command)
{
	check_words((const char *const[]){ "/p", NULL }, "[/p]");
	check_words((const char *const[]){ "/p", "-f", "%{sender}", "to:%{recipient};", "x%",
					   "%{sasl_username}", NULL },
		    "[/p][-f][s@a.example][to:$(x)@b.example;][to:y z@b.example;][x%][]");
	check_words((const char *const[]){ "/p", "--helo=%{client_helo}", NULL }, "[/p][--helo=-h?]");
	check_words((const char *const[]){ "/p", "%{client_helo}", NULL },
		    "CLIENT_HELO \"-h?\" would be taken for an option: put \"--\" before it in the command");
	/* what stands before it is empty */
	check_words((const char *const[]){ "/p", "%{sasl_username}%{client_helo}", "--", NULL },
		    "CLIENT_HELO \"-h?\" would be taken for an option: put \"--\" before it in the command");
	check_words((const char *const[]){ "/p", "--", "%{client_helo}%{sender}", NULL },
		    "[/p][--][-h?s@a.example]");
}
END_TEST

START_TEST(words_that_are_good)
{
	static const char *const good[] = { "", "a", "%", "%%", "%s{}", "%{sender}", "%{recipient}%{list}x" };
	static const char *const bad[] = { "%{",    "%{}",        "%{Sender}",   "%{sender",
					   "a%{x}", "%{sender }", "%{%{sender}}" };
	struct err e;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		ck_assert_msg(program_word_is_good(good[i], &e), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!program_word_is_good(bad[i], &e), "%s", bad[i]);
	/* every fact has a name of its own, and can be written */
	for (unsigned i = 0; i < PROGRAM_FACTS; i++) {
		char word[64] = "%{";

		for (size_t k = 0; program_fact_names[i][k]; k++)
			word[2 + k] =
				(char)(program_fact_names[i][k] == '_' ? '_' : program_fact_names[i][k] + 32);
		strcat(word, "}");
		ck_assert_msg(program_word_is_good(word, &e), "%s", word);
	}
}
END_TEST

/* What a worker that was taken over may say instead of facts. */
START_TEST(facts_that_are_none)
{
	static const struct {
		const char *data;
		size_t len, count;
	} bad[] = {
		{ "\1a", 2, 1 },     { "\1a\0", 3, 2 },       { "\1a\0", 3, 0 },    { "\0a\0", 3, 1 },
		{ "\x10z\0", 3, 1 }, { "\1a\nb\0", 5, 1 },    { "\1\x7f\0", 3, 1 }, { "\xff\0", 2, 1 },
		{ "\1\0\0", 3, 2 },  { "\1a\0", 3, 1000000 },
	};
	struct facts f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		ck_assert_msg(!facts_read(&f, bad[i].data, bad[i].len, bad[i].count), "%zu", i);
		facts_release(&f);
	}
	ck_assert(facts_read(&f, "\1\0\2b\0", 5, 2));
	ck_assert_str_eq(facts_get(&f, FACT_SENDER), "");
	ck_assert_str_eq(facts_get(&f, FACT_RECIPIENT), "b");
	ck_assert_ptr_null(facts_get(&f, FACT_PEER));
	facts_release(&f);
}
END_TEST

START_TEST(a_job_has_a_ceiling)
{
	char address[200];
	struct program_job job;
	unsigned n = 0;

	memset(address, 'a', sizeof(address) - 1);
	address[sizeof(address) - 1] = '\0';
	program_job_init(&job, PROGRAM_EXEC);
	while (program_job_put(&job, FACT_RECIPIENT, address))
		ck_assert_uint_lt(++n, 10000);
	ck_assert_uint_eq(job.fact_count, n);
	ck_assert_uint_eq(job.facts.len, n * 201u);
	program_job_release(&job);
}
END_TEST

START_TEST(every_exit_status_is_a_reply)
{
	for (size_t i = 0; i < program_exit_count; i++) {
		const struct program_exit *x = &program_exits[i];

		ck_assert_ptr_eq(program_exit_of(x->status), x);
		ck_assert_int_eq(x->enhanced[0], '0' + x->code / 100);
		ck_assert((x->status == 0) == (x->code == 250));
	}
	for (int status = EX__BASE; status <= EX__MAX; status++)
		ck_assert_int_eq(program_exit_of(status)->status, status);
	ck_assert_int_eq(program_exit_of(1)->code, 451);
	ck_assert_int_eq(program_exit_of(127)->code, 451);
}
END_TEST

/* ---- a world ------------------------------------------------------------------------------- */

static struct {
	char folder[64];
	char script[PROGRAM_COMMANDS][80];
	const char *word[PROGRAM_COMMANDS][6];
	struct program_setting setting[PROGRAM_COMMANDS];
	struct program_server_config config;
	struct program_line line;
	int request_fd[2], server_line[2], worker_line[2];
	struct control control; /* of who asks */
	_Atomic bool *ready;
	pid_t pid;
	int log_fd;
	int file, made; /* message, and what a filter makes of it */
	struct program_outcome out;
} w;

static void write_script(enum program_command command, const char *text)
{
	int fd = open(w.script[command], O_WRONLY | O_CREAT | O_TRUNC, 0700);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(file_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void set_message(const char *text)
{
	ck_assert_int_eq(ftruncate(w.file, 0), 0);
	ck_assert_int_eq(pwrite(w.file, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void init(void)
{
	static const char *const names[PROGRAM_COMMANDS] = { "exec", "filter", "mailman" };

	signal(SIGPIPE, SIG_IGN);
	snprintf(w.folder, sizeof(w.folder), "/tmp/posthouse-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w.folder));
	for (int i = 0; i < PROGRAM_COMMANDS; i++) {
		snprintf(w.script[i], sizeof(w.script[i]), "%s/%s", w.folder, names[i]);
		w.word[i][0] = w.script[i];
		w.setting[i] = setting_of(w.word[i]);
	}
	w.setting[PROGRAM_FILTER].filters = true;
	w.ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, w.request_fd),
			 0);
	ck_assert_int_eq(control_pair(w.worker_line), 0);
	control_init(&w.control, w.worker_line[0], 300);
	w.log_fd = memfd_create("log", MFD_CLOEXEC);
	w.file = memfd_create("message", MFD_CLOEXEC);
	w.made = memfd_create("made", MFD_CLOEXEC);
	w.config.request_fd = w.request_fd[0];
	w.config.command = w.setting;
	w.config.max_programs = 3;
	w.config.ready = w.ready;
	w.line = (struct program_line){ w.request_fd[1], &w.control, w.setting };
	set_message("Subject: x\r\n\r\nbody\r\n");
}

static _Noreturn void serve(void)
{
	struct control control;
	struct err e;

	dup2(w.log_fd, STDERR_FILENO);
	close(w.request_fd[1]);
	close(w.server_line[1]);
	control_init(&control, w.server_line[0], 300);
	w.config.control = &control;
	_exit(program_server_run(&w.config, &e) == 0 ? 0 : 1);
}

static void start(void)
{
	atomic_store(w.ready, false);
	ck_assert_int_eq(control_pair(w.server_line), 0);
	w.pid = fork();
	if (w.pid == 0)
		serve();
	close(w.server_line[0]);
	while (!atomic_load(w.ready))
		usleep(1000);
}

/* The end of the file means: stop. */
static int stop(void)
{
	int status = -1;

	close(w.server_line[1]);
	ck_assert_int_eq(waitpid(w.pid, &status, 0), w.pid);
	return status;
}

static void finish(void)
{
	char command[100];

	ck_assert_int_eq(stop(), 0);
	snprintf(command, sizeof(command), "rm -rf %s", w.folder);
	ck_assert_int_eq(system(command), 0);
}

static const char *log_text(void)
{
	static char text[65536];
	ssize_t n = pread(w.log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void fill_job(struct program_job *job, enum program_command command)
{
	struct stat st;

	program_job_init(job, command);
	program_job_put(job, FACT_SENDER, "s@a.example");
	program_job_put(job, FACT_RECIPIENT, "r@b.example");
	program_job_put(job, FACT_RECIPIENT, "q@b.example");
	program_job_put(job, FACT_PEER, "192.0.2.1:4711");
	fstat(w.file, &st);
	job->input_fd = w.file;
	job->input_octets = (uint64_t)st.st_size;
	if (command == PROGRAM_FILTER) {
		ck_assert_int_eq(ftruncate(w.made, 0), 0);
		job->output_fd = w.made;
	}
}

static enum program_end ask(enum program_command command)
{
	struct program_job job;

	fill_job(&job, command);
	program_run(&w.line, &job, &w.out);
	program_job_release(&job);
	return w.out.end;
}

static enum program_end run(const char *script)
{
	write_script(PROGRAM_EXEC, script);
	return ask(PROGRAM_EXEC);
}

static enum program_end filter(const char *script, const char *expected)
{
	static char text[4096];
	enum program_end end;

	write_script(PROGRAM_FILTER, script);
	end = ask(PROGRAM_FILTER);
	if (expected) {
		ssize_t n = pread(w.made, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		ck_assert_str_eq(text, expected);
		ck_assert_uint_eq(w.out.output_octets, strlen(expected));
	}
	return end;
}

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 2000; i++) {
		if (kill(pid, 0) != 0)
			return true;
		usleep(1000);
	}
	return false;
}

/* ---- runs ------------------------------------------------------------------------------------ */

START_TEST(what_a_program_gets)
{
	setenv("SECRET", "x", 1);
	setenv("LD_PRELOAD", "", 1);
	init();
	w.word[PROGRAM_EXEC][1] = "a b";
	w.word[PROGRAM_EXEC][2] = "%{recipient}";
	w.setting[PROGRAM_EXEC] = setting_of(w.word[PROGRAM_EXEC]);
	start();
	/* descriptors: 0, 1, 2, and the one that ls reads the folder with */
	ck_assert_int_eq(
		run("#!/bin/sh\necho \"$# $1 $2 $3|$SENDER|$RECIPIENT|$PEER\"; echo \"$RECIPIENTS\"; pwd; "
		    "umask; cat;"
		    "ls /proc/self/fd | wc -l; env | grep -c -e SECRET -e LD_; ulimit -c; trap\nexit 0\n"),
		PROGRAM_EXITED);
	ck_assert_str_eq(w.out.text, "3 a b r@b.example q@b.example|s@a.example|r@b.example|192.0.2.1:4711\n"
				     "r@b.example\nq@b.example\n/\n0077\nSubject: x\n\nbody\n4\n0\n0\n");
	ck_assert_int_eq(w.out.status, 0);
	/*
	 * Signals are not ignored, whatever they are here: a shell could not trap one that is. 32 and 33 are the C
	 * library's own, which lets nobody change them.
	 */
	ck_assert_int_eq(run("#!/bin/sh\nfor set in SigIgn SigBlk; do mask=$(grep $set /proc/self/status);"
			     "echo $((0x${mask#*:?} & ~0x180000000)); done\n"),
			 PROGRAM_EXITED);
	ck_assert_str_eq(w.out.text, "0\n0\n");
	finish();
}
END_TEST

START_TEST(crlf_when_it_is_wanted_and_a_part_of_a_file)
{
	struct program_job job;

	init();
	w.setting[PROGRAM_EXEC].crlf = true;
	start();
	ck_assert_int_eq(run("#!/bin/sh\nod -An -c\n"), PROGRAM_EXITED);
	ck_assert_ptr_nonnull(strstr(w.out.text, "x  \\r  \\n"));
	/* as the relay does with a message of the spool */
	fill_job(&job, PROGRAM_EXEC);
	write_script(PROGRAM_EXEC, "#!/bin/sh\ncat\n");
	job.input_offset = 9;
	job.input_octets = 2;
	program_run(&w.line, &job, &w.out);
	ck_assert_str_eq(w.out.text, "x\r");
	/* less than was said is there: nobody sees a part of a message */
	job.input_octets = 3000;
	program_run(&w.line, &job, &w.out);
	ck_assert_int_eq(w.out.end, PROGRAM_FAILED);
	ck_assert_str_eq(w.out.text, "the message cannot be read: Input/output error");
	/* and a run without one */
	program_job_release(&job);
	program_job_init(&job, PROGRAM_EXEC);
	write_script(PROGRAM_EXEC, "#!/bin/sh\nwc -c\n");
	program_run(&w.line, &job, &w.out);
	ck_assert_int_eq(w.out.end, PROGRAM_EXITED);
	ck_assert_str_eq(w.out.text, "0\n");
	program_job_release(&job);
	finish();
}
END_TEST

START_TEST(ends_of_programs)
{
	init();
	w.setting[PROGRAM_EXEC].timeout_ms = 300;
	start();
	ck_assert_int_eq(run("#!/bin/sh\necho 550 no; exit 69\n"), PROGRAM_EXITED);
	ck_assert_int_eq(w.out.status, EX_UNAVAILABLE);
	ck_assert_str_eq(w.out.text, "550 no\n");
	ck_assert_int_eq(run("#!/bin/sh\nkill -SEGV $$\n"), PROGRAM_KILLED);
	ck_assert_int_eq(w.out.status, SIGSEGV);
	ck_assert_int_eq(run("#!/bin/sh\nsleep 60\n"), PROGRAM_TIMED_OUT);
	/* who does not listen is killed */
	ck_assert_int_eq(run("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n"), PROGRAM_TIMED_OUT);
	/* who does, may tidy up, and it is too late all the same */
	ck_assert_int_eq(run("#!/bin/sh\ntrap 'echo tidy; exit 0' TERM\nwhile :; do sleep 0.01; done\n"),
			 PROGRAM_TIMED_OUT);
	ck_assert_int_eq(run("#!/bin/sh\nkill -STOP $$\n"), PROGRAM_TIMED_OUT);
	ck_assert_int_eq(run("#!/no/such/interpreter\n"), PROGRAM_FAILED);
	ck_assert_ptr_nonnull(strstr(w.out.text, "the interpreter of its first line is missing"));
	ck_assert_int_eq(chmod(w.script[PROGRAM_EXEC], 0600), 0);
	ck_assert_int_eq(ask(PROGRAM_EXEC), PROGRAM_FAILED);
	ck_assert_ptr_nonnull(strstr(w.out.text, "Permission denied"));
	unlink(w.script[PROGRAM_EXEC]);
	ck_assert_int_eq(ask(PROGRAM_EXEC), PROGRAM_FAILED);
	ck_assert_ptr_nonnull(strstr(w.out.text, "No such file or directory"));
	ck_assert_ptr_nonnull(strstr(log_text(), "event=program command=exec run="));
	ck_assert_ptr_nonnull(
		strstr(log_text(),
		       "peer=192.0.2.1:4711 from=s@a.example end=exited exit=69 sysexit=EX_UNAVAILABLE"));
	ck_assert_ptr_nonnull(strstr(log_text(), "end=killed signal=SEGV"));
	ck_assert_ptr_nonnull(strstr(log_text(), "end=failed reason=\"cannot start "));
	finish();
}
END_TEST

START_TEST(much_output)
{
	init();
	start();
	ck_assert_int_eq(run("#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x; exit 3\n"), PROGRAM_EXITED);
	ck_assert_int_eq(w.out.status, 3);
	ck_assert_uint_eq(w.out.text_len, PROGRAM_TEXT_MAX);
	ck_assert_int_eq(run("#!/bin/sh\nprintf 'a\\033[2J\\nb\\n' >&2; seq 1 100 >&2; head -c 3000 "
			     "/dev/zero | tr '\\0' y >&2\n"),
			 PROGRAM_EXITED);
	ck_assert_ptr_nonnull(strstr(log_text(), "text=\"a\\x1b[2J\"\n"));
	ck_assert_ptr_nonnull(strstr(log_text(), " text=18\n"));
	ck_assert_ptr_null(strstr(log_text(), " text=19\n"));
	ck_assert_ptr_null(strstr(log_text(), "yy"));
	/* standard input that is not read is no fault */
	ck_assert_int_eq(run("#!/bin/sh\nexec <&- >&- 2>&-\nexit 0\n"), PROGRAM_EXITED);
	ck_assert_int_eq(w.out.status, 0);
	finish();
}
END_TEST

START_TEST(filters)
{
	init();
	w.setting[PROGRAM_FILTER].output_max = 30;
	start();
	ck_assert_int_eq(filter("#!/bin/sh\ncat; printf end\n", "Subject: x\r\n\r\nbody\r\nend\r\n"),
			 PROGRAM_EXITED);
	ck_assert_int_eq(w.out.status, 0);
	ck_assert_int_eq(filter("#!/bin/sh\ntrue\n", ""), PROGRAM_EXITED);
	ck_assert_int_eq(filter("#!/bin/sh\nprintf 'a\\rb'\n", NULL), PROGRAM_BAD_OUTPUT);
	ck_assert_int_eq(filter("#!/bin/sh\nprintf 'a\\0b'\n", NULL), PROGRAM_BAD_OUTPUT);
	ck_assert_int_eq(filter("#!/bin/sh\nyes\n", NULL), PROGRAM_TOO_MUCH);
	/* 28 and the last line end: as many as may be */
	ck_assert_int_eq(filter("#!/bin/sh\nprintf 1234567890123456789012345678\n",
				"1234567890123456789012345678\r\n"),
			 PROGRAM_EXITED);
	ck_assert_int_eq(filter("#!/bin/sh\nprintf 12345678901234567890123456789\n", NULL), PROGRAM_TOO_MUCH);
	ck_assert_int_eq(filter("#!/bin/sh\necho 554 5.7.1 spam; exit 69\n", NULL), PROGRAM_EXITED);
	ck_assert_str_eq(w.out.text, "554 5.7.1 spam\n");
	finish();
}
END_TEST

/* Whatever a program leaves behind, where it may be. */
START_TEST(descendants_end_with_it)
{
	int child = 0, daemon = 0;

	init();
	start();
	ck_assert_int_eq(run("#!/bin/sh\nsleep 60 & echo $!\nsetsid sh -c 'echo $$; exec sleep 60' &\nwhile "
			     "[ \"$(ps -o comm= -p $!)\" != sleep ]; do :; done\n"),
			 PROGRAM_EXITED);
	ck_assert_int_eq(sscanf(w.out.text, "%d %d", &child, &daemon), 2);
	ck_assert(is_gone(child));
	ck_assert(is_gone(daemon));
	/* a grandchild that its parent left, in a session of its own, holding the output open */
	ck_assert_int_eq(run("#!/bin/sh\n(setsid sh -c 'echo $$; trap \"\" TERM; sleep 60' & wait) & sleep "
			     "0.3; exit 7\n"),
			 PROGRAM_EXITED);
	ck_assert_int_eq(w.out.status, 7);
	ck_assert_int_eq(sscanf(w.out.text, "%d", &daemon), 1);
	ck_assert(is_gone(daemon));
	finish();
}
END_TEST

/* ---- ceilings, and ends of the others ------------------------------------------------------------ */

static int begin(const char *script)
{
	struct program_job job;
	struct err e;
	int fd;

	if (script)
		write_script(PROGRAM_EXEC, script);
	fill_job(&job, PROGRAM_EXEC);
	fd = program_begin(w.request_fd[1], &job, &e);
	ck_assert_msg(fd >= 0, "%s", e.text);
	program_job_release(&job);
	return fd;
}

static pid_t pid_in(const char *name)
{
	char path[100], text[32] = "";

	snprintf(path, sizeof(path), "%s/%s", w.folder, name);
	for (int i = 0; i < 5000 && !strchr(text, '\n'); i++) {
		int fd = open(path, O_RDONLY);

		if (fd >= 0) {
			ssize_t n = read(fd, text, sizeof(text) - 1);

			text[n > 0 ? n : 0] = '\0';
			close(fd);
		}
		usleep(1000);
	}
	ck_assert(strchr(text, '\n'));
	return (pid_t)atoi(text);
}

static void sleeper(char *script, size_t cap)
{
	snprintf(script, cap, "#!/bin/sh\necho $$ > %s/pid.$$ && mv %s/pid.$$ %s/pid\nsleep 60\n", w.folder,
		 w.folder, w.folder);
}

START_TEST(as_many_as_may_run)
{
	char script[700];
	int fd[6];

	init();
	start();
	snprintf(script, sizeof(script),
		 "#!/bin/sh\nmkdir %s/r.$$; ls -d %s/r.* | wc -l; sleep 0.2; rmdir %s/r.$$\n", w.folder,
		 w.folder, w.folder);
	for (int i = 0; i < 6; i++)
		fd[i] = begin(i == 0 ? script : NULL);
	for (int i = 0; i < 6; i++) {
		while (!program_finish(fd[i], &w.out))
			usleep(1000);
		ck_assert_int_eq(w.out.end, PROGRAM_EXITED);
		ck_assert_int_le(atoi(w.out.text), 3);
		close(fd[i]);
	}
	finish();
}
END_TEST

START_TEST(who_asked_hangs_up)
{
	char script[700];
	pid_t pid;
	int fd;

	init();
	start();
	sleeper(script, sizeof(script));
	fd = begin(script);
	pid = pid_in("pid");
	ck_assert(!program_finish(fd, &w.out));
	close(fd);
	ck_assert(is_gone(pid));
	/* before anything was begun: nothing is run */
	fd = begin("#!/bin/sh\nexit 77\n");
	close(fd);
	ck_assert_int_eq(run("#!/bin/sh\n"), PROGRAM_EXITED);
	ck_assert_ptr_nonnull(strstr(log_text(), "end=abandoned"));
	finish();
}
END_TEST

START_TEST(the_process_is_killed)
{
	char script[700];
	pid_t pid;
	int fd;

	init();
	start();
	sleeper(script, sizeof(script));
	fd = begin(script);
	pid = pid_in("pid");
	kill(w.pid, SIGKILL);
	ck_assert_int_eq(waitpid(w.pid, NULL, 0), w.pid);
	close(w.server_line[1]);
	/* the run ends its program, and says nothing */
	ck_assert(is_gone(pid));
	while (!program_finish(fd, &w.out))
		usleep(1000);
	ck_assert_int_eq(w.out.end, PROGRAM_LOST);
	close(fd);
	/* a request that comes while nobody is there waits for the next one */
	fd = begin("#!/bin/sh\necho later\n");
	start();
	while (!program_finish(fd, &w.out))
		usleep(1000);
	ck_assert_str_eq(w.out.text, "later\n");
	close(fd);
	finish();
}
END_TEST

START_TEST(a_run_is_killed)
{
	char script[700], command[100];
	pid_t pid, daemon;
	int fd;

	init();
	start();
	snprintf(script, sizeof(script),
		 "#!/bin/sh\nsetsid sh -c 'echo $$ > %s/d; mv %s/d %s/daemon; sleep 60' &\nwhile [ ! -e "
		 "%s/daemon ]; do :; done\necho $PPID > %s/p; mv %s/p %s/pid\nsleep 60\n",
		 w.folder, w.folder, w.folder, w.folder, w.folder, w.folder, w.folder);
	fd = begin(script);
	pid = pid_in("pid");
	daemon = pid_in("daemon");
	kill(pid, SIGKILL);
	while (!program_finish(fd, &w.out))
		usleep(1000);
	ck_assert_int_eq(w.out.end, PROGRAM_LOST);
	close(fd);
	ck_assert(is_gone(daemon));
	snprintf(command, sizeof(command), "died; what it ran is killed");
	ck_assert_ptr_nonnull(strstr(log_text(), command));
	ck_assert_int_eq(run("#!/bin/sh\n"), PROGRAM_EXITED);
	finish();
}
END_TEST

START_TEST(a_stop)
{
	char script[700];
	pid_t pid;
	int fd, later;

	init();
	start();
	/* what ends within the grace is waited for */
	fd = begin("#!/bin/sh\nsleep 0.1; echo done\n");
	later = begin(NULL);
	ck_assert_int_eq(stop(), 0);
	ck_assert(program_finish(fd, &w.out));
	ck_assert_str_eq(w.out.text, "done\n");
	ck_assert(program_finish(later, &w.out));
	close(fd);
	close(later);
	start();
	sleeper(script, sizeof(script));
	fd = begin(script);
	pid = pid_in("pid");
	ck_assert_int_eq(stop(), 0);
	ck_assert(is_gone(pid));
	ck_assert(program_finish(fd, &w.out));
	ck_assert_int_eq(w.out.end, PROGRAM_LOST);
	close(fd);
	/* and who asks gives up at the end of its own grace */
	fd = begin(script);
	close(w.worker_line[1]);
	ck_assert_int_eq(ask(PROGRAM_EXEC), PROGRAM_LOST);
	close(fd);
	start();
	finish();
}
END_TEST

/* ---- a worker that was taken over ------------------------------------------------------------------ */

static int raw_request(uint32_t version, uint32_t command, size_t len, int kind)
{
	struct program_request request = { version, command };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, kind | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(descriptors_send(w.request_fd[1], &request, len, &pair[1], 1), 0);
	close(pair[1]);
	return pair[0];
}

/* The other end is closed without a word. */
static void check_closed(int fd)
{
	struct timeval limit = { 5, 0 }; /* a run waits longer for its job */
	char octet;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ck_assert_int_le(recv(fd, &octet, 1, 0), 0);
	ck_assert(errno != EAGAIN);
	close(fd);
}

static void send_job(const struct program_job_header *header, const char *facts, size_t len, const int *pass,
		     size_t count, uint32_t command)
{
	int fd = raw_request(PROGRAM_VERSION, command, sizeof(struct program_request), SOCK_SEQPACKET);
	char packet[1000];

	memcpy(packet, header, sizeof(*header));
	memcpy(packet + sizeof(*header), facts, len);
	ck_assert_int_eq(descriptors_send(fd, packet, sizeof(*header) + len, pass, count), 0);
	errno = 0;
	check_closed(fd);
}

START_TEST(requests_that_are_none)
{
	int three[3] = { 0, 1, 2 };

	init();
	w.setting[PROGRAM_MAILMAN].word_count = 0;
	start();
	errno = 0;
	check_closed(raw_request(2, PROGRAM_EXEC, sizeof(struct program_request), SOCK_SEQPACKET));
	check_closed(raw_request(PROGRAM_VERSION, PROGRAM_COMMANDS, sizeof(struct program_request),
				 SOCK_SEQPACKET));
	check_closed(
		raw_request(PROGRAM_VERSION, 0xffffffff, sizeof(struct program_request), SOCK_SEQPACKET));
	/* one that is not configured */
	check_closed(raw_request(PROGRAM_VERSION, PROGRAM_MAILMAN, sizeof(struct program_request),
				 SOCK_SEQPACKET));
	check_closed(raw_request(PROGRAM_VERSION, PROGRAM_EXEC, 3, SOCK_SEQPACKET));
	check_closed(raw_request(PROGRAM_VERSION, PROGRAM_EXEC, sizeof(struct program_request), SOCK_STREAM));
	ck_assert_int_eq(descriptors_send(w.request_fd[1], "x", 1, NULL, 0), 0);
	ck_assert_int_eq(descriptors_send(w.request_fd[1], "x", 1, three, 3), 0);
	ck_assert_int_eq(run("#!/bin/sh\necho still here\n"), PROGRAM_EXITED);
	ck_assert_str_eq(w.out.text, "still here\n");
	finish();
}
END_TEST

START_TEST(jobs_that_are_none)
{
	const struct program_job_header good = { PROGRAM_VERSION, 1, 0, 5 };
	struct program_job_header h;
	int fifo[2], read_only = open("/dev/null", O_RDONLY), pass[3];

	init();
	write_script(PROGRAM_EXEC, "#!/bin/sh\nexit 0\n");
	write_script(PROGRAM_FILTER, "#!/bin/sh\ncat\n");
	start();
	ck_assert_int_eq(pipe2(fifo, O_CLOEXEC), 0);
	pass[0] = w.file;
	h = good;
	h.version = 7;
	send_job(&h, "\1a\0", 3, pass, 1, PROGRAM_EXEC);
	h = good;
	h.length = UINT64_MAX;
	send_job(&h, "\1a\0", 3, pass, 1, PROGRAM_EXEC);
	h = good;
	h.offset = UINT64_MAX - 1;
	send_job(&h, "\1a\0", 3, pass, 1, PROGRAM_EXEC);
	/* no file: it would keep us waiting */
	pass[0] = fifo[0];
	send_job(&good, "\1a\0", 3, pass, 1, PROGRAM_EXEC);
	pass[0] = read_only;
	send_job(&good, "\1a\0", 3, pass, 1, PROGRAM_EXEC);
	/* a variable that is none, a line end in one */
	pass[0] = w.file;
	send_job(&good, "\x7fLD_PRELOAD=/x\0", 15, pass, 1, PROGRAM_EXEC);
	send_job(&good, "\1a\nLD_PRELOAD=/x\0", 17, pass, 1, PROGRAM_EXEC);
	/* descriptors: too many, and too few */
	pass[1] = pass[2] = w.made;
	send_job(&good, "\1a\0", 3, pass, 2, PROGRAM_EXEC);
	send_job(&good, "\1a\0", 3, pass, 3, PROGRAM_FILTER);
	send_job(&good, "\1a\0", 3, pass, 1, PROGRAM_FILTER);
	/* a file that cannot be written */
	pass[1] = open("/proc/self/exe", O_RDONLY);
	send_job(&good, "\1a\0", 3, pass, 2, PROGRAM_FILTER);
	ck_assert_int_eq(ask(PROGRAM_EXEC), PROGRAM_EXITED);
	ck_assert_int_eq(ask(PROGRAM_FILTER), PROGRAM_EXITED);
	finish();
}
END_TEST

START_TEST(the_line_is_shut_down)
{
	int status;

	init();
	start();
	shutdown(w.request_fd[1], SHUT_RDWR);
	ck_assert_int_eq(waitpid(w.pid, &status, 0), w.pid);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	ck_assert_int_eq(ask(PROGRAM_EXEC), PROGRAM_LOST);
}
END_TEST

/* ---- answers that are none ---------------------------------------------------------------------------- */

static enum program_end read_answer(uint32_t version, uint32_t end, uint32_t text_len, size_t len)
{
	struct program_answer answer = { .version = version, .end = end, .text_len = text_len };
	struct program_outcome out;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert(!program_finish(pair[0], &out));
	ck_assert_int_eq(send(pair[1], &answer, len, 0), (ssize_t)len);
	close(pair[1]);
	ck_assert(program_finish(pair[0], &out));
	close(pair[0]);
	return out.end;
}

START_TEST(answers_that_are_none)
{
	const size_t head = offsetof(struct program_answer, text);

	ck_assert_int_eq(read_answer(PROGRAM_VERSION, PROGRAM_EXITED, 0, head), PROGRAM_EXITED);
	ck_assert_int_eq(read_answer(PROGRAM_VERSION, PROGRAM_KILLED, 4, head + 4), PROGRAM_KILLED);
	ck_assert_int_eq(read_answer(9, PROGRAM_EXITED, 0, head), PROGRAM_LOST);
	ck_assert_int_eq(read_answer(PROGRAM_VERSION, 99, 0, head), PROGRAM_LOST);
	ck_assert_int_eq(read_answer(PROGRAM_VERSION, PROGRAM_EXITED, 1, head), PROGRAM_LOST);
	ck_assert_int_eq(read_answer(PROGRAM_VERSION, PROGRAM_EXITED, 0, head + 1), PROGRAM_LOST);
	ck_assert_int_eq(read_answer(PROGRAM_VERSION, PROGRAM_EXITED, 0, head - 1), PROGRAM_LOST);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("program");

	UNIT_CASE(suite, lines_however_they_are_cut, words_of_a_command, words_that_are_good,
		  facts_that_are_none, a_job_has_a_ceiling, every_exit_status_is_a_reply,
		  answers_that_are_none);
	UNIT_CASE(suite, what_a_program_gets, crlf_when_it_is_wanted_and_a_part_of_a_file, ends_of_programs,
		  much_output, filters, descendants_end_with_it);
	UNIT_CASE(suite, as_many_as_may_run, who_asked_hangs_up, the_process_is_killed, a_run_is_killed,
		  a_stop, requests_that_are_none, jobs_that_are_none, the_line_is_shut_down);
	return unit_run(suite);
}
