/* SPDX-License-Identifier: ISC */
/*
 * Makes system calls inside a running process, as somebody would who took it over: for test_sandbox.py.
 *
 *     inject PID CALL [ARG]... [, CALL [ARG]...]...
 *     inject --listener PROGRAM [ARG]...
 *     inject --without seccomp|landlock ENOSYS|EPERM PROGRAM [ARG]...
 *
 * An argument is a number, @ (what the call before returned), s:TEXT (a pointer to it), p:TEXT (a pointer to a NULL
 * terminated array with a pointer to it), 4:PORT (a sockaddr_in of loopback), u:PATH (a sockaddr_un), or z:SIZE (a
 * pointer to so many zeros). For each call a line: its result, or the name of the error, or "killed" and the
 * signal's name when the process is no more. --listener: the program is run as in a container that watches it by a
 * seccomp listener of its own. --without: the program is run as on a kernel, or in a container, where the calls of
 * that name fail.
 *
 * Only x86-64: exit status 77 says so elsewhere. Needs root, as our processes are not dumpable.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

#ifdef __x86_64__

static const struct {
	const char *name;
	long number;
} calls[] = {
	{ "bpf", SYS_bpf },
	{ "chmod", SYS_chmod },
	{ "clone", SYS_clone },
	{ "clone3", 435 },
	{ "connect", SYS_connect },
	{ "execve", SYS_execve },
	{ "fork", SYS_fork },
	{ "getdents64", SYS_getdents64 },
	{ "getpid", SYS_getpid },
	{ "io_uring_setup", 425 },
	{ "kill", SYS_kill },
	{ "link", SYS_link },
	{ "mkdir", SYS_mkdir },
	{ "mmap", SYS_mmap },
	{ "mount", SYS_mount },
	{ "mprotect", SYS_mprotect },
	{ "open", SYS_open },
	{ "process_vm_readv", SYS_process_vm_readv },
	{ "ptrace", SYS_ptrace },
	{ "rename", SYS_rename },
	{ "sendto", SYS_sendto },
	{ "setresuid", SYS_setresuid },
	{ "socket", SYS_socket },
	{ "socketpair", SYS_socketpair },
	{ "unlink", SYS_unlink },
	{ "unshare", SYS_unshare },
};

static long number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	fprintf(stderr, "%s: not in the table\n", name);
	exit(EXIT_FAILURE);
}

/* ---- the other's memory ------------------------------------------------------------------- */

static pid_t target;
static unsigned long room; /* below its stack, which grows down */

static unsigned long put(const void *data, size_t len)
{
	unsigned long at = room;

	for (size_t i = 0; i < len; i += sizeof(long)) {
		long word = 0;

		memcpy(&word, (const char *)data + i, len - i < sizeof(long) ? len - i : sizeof(long));
		if (ptrace(PTRACE_POKEDATA, target, (void *)(at + i), (void *)word) < 0)
			fail("PTRACE_POKEDATA");
	}
	room += (len + 15) & ~15ul;
	return at;
}

static unsigned long put_text(const char *text)
{
	return put(text, strlen(text) + 1);
}

static unsigned long value_of(const char *arg, long before)
{
	static const char zeros[256];

	if (strcmp(arg, "@") == 0)
		return (unsigned long)before;
	if (strncmp(arg, "s:", 2) == 0)
		return put_text(arg + 2);
	if (strncmp(arg, "p:", 2) == 0) {
		unsigned long array[2] = { put_text(arg + 2), 0 };

		return put(array, sizeof(array));
	}
	if (strncmp(arg, "4:", 2) == 0) {
		struct sockaddr_in to = { .sin_family = AF_INET,
					  .sin_port = htons((uint16_t)atoi(arg + 2)),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		return put(&to, sizeof(to));
	}
	if (strncmp(arg, "u:", 2) == 0) {
		struct sockaddr_un to = { .sun_family = AF_UNIX };

		snprintf(to.sun_path, sizeof(to.sun_path), "%s", arg + 2);
		return put(&to, sizeof(to));
	}
	if (strncmp(arg, "z:", 2) == 0)
		return put(zeros, (size_t)atoi(arg + 2));
	return (unsigned long)strtol(arg, NULL, 0);
}

/* ---- the other's life --------------------------------------------------------------------- */

/* False: it is no more, which was said. */
static bool stopped(void)
{
	int status;

	if (waitpid(target, &status, __WALL) < 0)
		fail("waitpid");
	if (WIFSTOPPED(status))
		return true;
	if (WIFSIGNALED(status))
		printf("killed %s\n", sigabbrev_np(WTERMSIG(status)));
	else
		printf("ended %d\n", WEXITSTATUS(status));
	return false;
}

static void get(struct user_regs_struct *r)
{
	if (ptrace(PTRACE_GETREGS, target, NULL, r) < 0)
		fail("PTRACE_GETREGS");
}

static void set(const struct user_regs_struct *r)
{
	if (ptrace(PTRACE_SETREGS, target, NULL, r) < 0)
		fail("PTRACE_SETREGS");
}

/* At the instruction that it waits in; what it waited for begins again when it is let go. */
static void hold(struct user_regs_struct *saved)
{
	long code;

	if (ptrace(PTRACE_SEIZE, target, NULL, PTRACE_O_TRACESYSGOOD) < 0)
		fail("PTRACE_SEIZE");
	if (ptrace(PTRACE_INTERRUPT, target, NULL, NULL) < 0)
		fail("PTRACE_INTERRUPT");
	if (!stopped())
		exit(EXIT_FAILURE);
	get(saved);
	errno = 0;
	code = ptrace(PTRACE_PEEKTEXT, target, (void *)(saved->rip - 2), NULL);
	if (errno != 0 || (code & 0xffff) != 0x050f || (long)saved->orig_rax < 0) {
		fprintf(stderr, "process %ld does not wait in a system call\n", (long)target);
		exit(EXIT_FAILURE);
	}
	saved->rip -= 2;
	saved->rax = saved->orig_rax;
	saved->orig_rax = (unsigned long)-1;
	room = (saved->rsp - 16384) & ~15ul;
}

/* False: the process did not survive it. */
static bool make(const struct user_regs_struct *saved, long number, const unsigned long *arg, long *result)
{
	struct user_regs_struct r = *saved;

	r.rax = (unsigned long)number;
	r.rdi = arg[0];
	r.rsi = arg[1];
	r.rdx = arg[2];
	r.r10 = arg[3];
	r.r8 = arg[4];
	r.r9 = arg[5];
	set(&r);
	for (int stop = 0; stop < 2; stop++) { /* before and behind the call */
		do {
			if (ptrace(PTRACE_SYSCALL, target, NULL, NULL) < 0)
				fail("PTRACE_SYSCALL");
			if (!stopped())
				return false;
			get(&r);
		} while (stop == 0 && (long)r.orig_rax != number);
	}
	*result = (long)r.rax;
	if (*result < 0 && *result > -4096)
		printf("%s\n", strerrorname_np((int)-*result) ? strerrorname_np((int)-*result) : "?");
	else
		printf("%ld\n", *result);
	return true;
}

static int inject(char **word)
{
	struct user_regs_struct saved;
	bool alive = true;
	long result = 0;

	hold(&saved);
	while (*word && alive) {
		long number = number_of(*word++);
		unsigned long arg[6] = { 0 };

		for (int i = 0; *word && strcmp(*word, ",") != 0; word++)
			if (i < 6)
				arg[i++] = value_of(*word, result);
		if (*word)
			word++;
		alive = make(&saved, number, arg, &result);
		fflush(stdout);
	}
	if (alive) {
		set(&saved);
		ptrace(PTRACE_DETACH, target, NULL, NULL);
	}
	return EXIT_SUCCESS;
}

#else

static pid_t target;

static int inject(char **word)
{
	(void)word;
	fprintf(stderr, "only written for x86-64\n");
	return SKIPPED;
}

#endif

static int run_with_listener(char **argv)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog program = { 1, &allow };
	int listener = -1;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
					&program);
	if (listener < 0 || dup(listener) < 0) { /* the copy lives on over execv() */
		perror("seccomp");
		return SKIPPED;
	}
	execv(argv[0], argv);
	perror(argv[0]);
	return EXIT_FAILURE;
}

static int run_without(const char *what, const char *error, char **argv)
{
	/* 444 to 446: of Landlock, on every architecture */
	bool landlock = strcmp(what, "landlock") == 0;
	unsigned first = landlock ? 444 : SYS_seccomp, last = landlock ? 446 : SYS_seccomp;
	struct sock_filter refuse[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | (unsigned)(strcmp(error, "EPERM") == 0 ? EPERM : ENOSYS)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(refuse) / sizeof(refuse[0]), refuse };

	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		fail("PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		fail("PR_SET_SECCOMP");
	execv(argv[0], argv);
	fail(argv[0]);
}

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "--without") == 0)
		return run_without(argv[2], argv[3], argv + 4);
	if (argc >= 3 && strcmp(argv[1], "--listener") == 0)
		return run_with_listener(argv + 2);
	if (argc < 3) {
		fprintf(stderr, "usage: inject PID CALL [ARG]... [, CALL [ARG]...]...\n");
		return EXIT_FAILURE;
	}
	target = (pid_t)atol(argv[1]);
	return inject(argv + 2);
}
