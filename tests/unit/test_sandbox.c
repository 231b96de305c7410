/* SPDX-License-Identifier: ISC */
/*
 * sandbox/: what is allowed works and what is not does not, tried with the real kernel in processes of their own.
 * What this kernel or this build cannot do is left out, and said.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/calls.h"
#include "sandbox/domain.h"
#include "sandbox/filter.h"
#include "sandbox/limits.h"
#include "sandbox/support.h"
#include "sandbox/watch.h"
#include "unit.h"

static struct sandbox_support support;

/* A sanitizer's own threads and calls are in no table. */
static bool can_filter(enum sandbox_seccomp least)
{
	sandbox_support_find(&support);
	if (!support.checked_build && support.seccomp >= least)
		return true;
	fprintf(stderr, "# not tried: this build, kernel or container cannot\n");
	return false;
}

/* The status with which a child ends that does this. */
static int in_child(void (*act)(void *ctx), void *ctx)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		act(ctx);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- filters ------------------------------------------------------------------------------ */

struct attempt {
	const char *what;
	unsigned calls; /* one group more or less decides */
	bool allowed;
	long number, arg[5];
};

static char text[64];
static struct msghdr no_message;

static const struct attempt attempts[] = {
	{ "read", CALLS_LIVE, true, SYS_read, { -1 } },
	{ "open a file", CALLS_LIVE, false, SYS_openat, { AT_FDCWD, (long)"/", 0 } },
	{ "open a file", CALLS_FILES, true, SYS_openat, { AT_FDCWD, (long)"/", 0 } },
	{ "list a folder", CALLS_FILES, false, SYS_getdents64, { -1 } },
	{ "list a folder", CALLS_LIST, true, SYS_getdents64, { -1 } },
	{ "change a mode by path", CALLS_FILES, false, SYS_fchmodat, { AT_FDCWD, (long)"/nowhere", 0 } },
	{ "change a mode by path", CALLS_MODES, true, SYS_fchmodat, { AT_FDCWD, (long)"/nowhere", 0 } },
	{ "run a program", CALLS_FILES | CALLS_FORK | CALLS_CONNECT | CALLS_CODE, false, SYS_execve, { 0 } },
	{ "run a program", CALLS_ANY, true, SYS_execve, { 0 } },
	{ "a unix socket", CALLS_LIVE, false, SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "a unix socket", CALLS_LOCAL, true, SYS_socket, { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0 } },
	{ "a TCP socket", CALLS_LOCAL, false, SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "a TCP socket", CALLS_CONNECT, true, SYS_socket, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0 } },
	{ "a raw socket", CALLS_CONNECT, false, SYS_socket, { AF_INET, SOCK_RAW, IPPROTO_ICMP } },
	{ "a packet socket", CALLS_CONNECT, false, SYS_socket, { AF_PACKET, SOCK_DGRAM, 0 } },
	{ "routes", CALLS_CONNECT, true, SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
	{ "netfilter", CALLS_CONNECT, false, SYS_socket, { AF_NETLINK, SOCK_RAW, 12 } },
	{ "connect", CALLS_LIVE | CALLS_ACCEPT, false, SYS_connect, { -1 } },
	{ "connect by fast open", CALLS_LIVE, false, SYS_sendto, { -1, 0, 0, 0x20000000, 0 } },
	{ "connect by fast open", CALLS_LIVE, false, SYS_sendmsg, { -1, (long)&no_message, 0x20000000 } },
	{ "send", CALLS_LIVE, true, SYS_sendto, { -1, 0, 0, MSG_NOSIGNAL, 0 } },
	{ "listen", CALLS_LIVE | CALLS_ACCEPT, false, SYS_listen, { -1, 1 } },
	{ "a pair", CALLS_LIVE, true, SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, 0 } },
	{ "a pair", CALLS_LIVE, true, SYS_socketpair, { AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0 } },
	{ "a socket that sends to any path", CALLS_LIVE, false, SYS_socketpair, { AF_UNIX, SOCK_DGRAM, 0, 0 } },
	{ "keep a connection alive", CALLS_LIVE, true, SYS_setsockopt, { -1, SOL_SOCKET, SO_KEEPALIVE } },
	{ "code at a socket", CALLS_LIVE, false, SYS_setsockopt, { -1, SOL_SOCKET, SO_ATTACH_FILTER } },
	{ "another protocol above TCP", CALLS_LIVE, false, SYS_setsockopt, { -1, IPPROTO_TCP, TCP_ULP } },
	{ "writable code", CALLS_LIVE, false, SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1 } },
	{ "code from data", CALLS_LIVE, false, SYS_mprotect, { 0, 4096, PROT_EXEC } },
	{ "a shared object", CALLS_CODE, true, SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1 } },
	{ "a signal to another process", CALLS_LIVE, false, SYS_tgkill, { 1, 1, 0 } },
	{ "a signal to another process", CALLS_LIVE, false, SYS_kill, { 1, 0 } },
	{ "a signal by way of a descriptor", CALLS_LIVE, false, SYS_fcntl, { 0, F_SETOWN, 1 } },
	{ "a signal by way of a descriptor", CALLS_LIVE, false, SYS_fcntl, { 0, F_SETFL, O_ASYNC } },
	{ "a signal by way of a descriptor", CALLS_CONNECT, false, SYS_fcntl, { 0, F_SETFL, O_ASYNC } },
	{ "have others wait", CALLS_LIVE, false, SYS_fcntl, { -1, F_SETFL, 0 } },
	{ "have others wait", CALLS_LIVE, false, SYS_ioctl, { -1, FIONBIO } },
	{ "not to wait", CALLS_CONNECT, true, SYS_fcntl, { -1, F_SETFL, O_NONBLOCK } },
	{ "to type for others", CALLS_LIVE, false, SYS_ioctl, { 0, TIOCSTI } },
	{ "to type for others, upper half set", CALLS_LIVE, false, SYS_ioctl,
	  { 0, (long)(UINT64_C(0x100000000) | TIOCSTI) } },
	{ "how much is there", CALLS_LIVE, true, SYS_ioctl, { -1, FIONREAD } },
	{ "a name", CALLS_LIVE, true, SYS_prctl, { PR_SET_NAME, (long)text } },
	{ "dumpable again", CALLS_LIVE, false, SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "dumpable no more", CALLS_LIVE, true, SYS_prctl, { PR_SET_DUMPABLE, 0 } },
	{ "limits", CALLS_LIVE, true, SYS_prlimit64, { 0, RLIMIT_CORE, 0, (long)text } },
	{ "higher limits", CALLS_LIVE, false, SYS_prlimit64, { 0, RLIMIT_CORE, (long)text, 0 } },
	{ "another's limits", CALLS_LIVE, false, SYS_prlimit64, { 1, RLIMIT_CORE, 0, (long)text } },
	{ "a namespace", CALLS_FORK, false, SYS_clone, { CLONE_NEWUSER, 0 } },
	{ "a namespace", CALLS_ANY, false, SYS_clone, { CLONE_NEWUSER | SIGCHLD, 0 } },
	{ "a process", CALLS_THREADS, false, SYS_clone, { SIGCHLD, 0 } },
	{ "a debugger", CALLS_FORK | CALLS_FILES, false, SYS_ptrace, { 0 } },
	{ "a debugger", CALLS_ANY, false, SYS_ptrace, { 0 } },
	{ "another's memory", CALLS_ANY, false, SYS_process_vm_readv, { 1 } },
	{ "the kernel's rings", CALLS_ANY, false, SYS_io_uring_setup, { 0 } },
	{ "a mount", CALLS_ANY, false, SYS_mount, { 0 } },
	{ "keys", CALLS_ANY, false, SYS_keyctl, { 0 } },
	{ "keys", CALLS_ANY | CALLS_KEYRING, true, SYS_keyctl, { 0 } },
	{ "another user", CALLS_FORK | CALLS_FILES | CALLS_MODES, false, SYS_setresuid, { -1, -1, -1 } },
	{ "another root", CALLS_ANY, false, SYS_chroot, { (long)"/nowhere" } },
	{ "what nobody knows", CALLS_LIVE, false, 4000, { 0 } },
};

static void enter(const struct sandbox_filter *f, int *listener)
{
	struct err e;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_filter_enter(f, listener, &e) < 0)
		_exit(99);
}

struct trial {
	const struct attempt *attempt;
	const struct sandbox_filter *filter;
};

static void try_one(void *ctx)
{
	const struct trial *t = ctx;
	const long *arg = t->attempt->arg;
	int listener;
	long r;

	enter(t->filter, &listener);
	errno = 0;
	r = syscall(t->attempt->number, arg[0], arg[1], arg[2], arg[3], arg[4], 0);
	_exit(r < 0 && (errno == EPERM || errno == ENOSYS) ? 1 : 0);
}

START_TEST(test_what_groups_allow)
{
	if (!can_filter(SECCOMP_FILTERS))
		return;
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		struct err e = { .text = "" };
		unsigned calls = a->calls & CALLS_ANY ? a->calls : a->calls | CALLS_LIVE;
		struct trial t = { a, sandbox_filter_new(calls, SANDBOX_ENFORCE, false, &e) };
		int status;

		ck_assert_msg(t.filter != NULL, "%s", e.text);
		status = in_child(try_one, &t);
		if (a->allowed)
			ck_assert_msg(status == 0, "%s, group %x: status %x", a->what, calls, (unsigned)status);
		else if (calls & CALLS_ANY)
			ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s, any: status %x", a->what,
				      (unsigned)status);
		else
			ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s, group %x: status %x",
				      a->what, calls, (unsigned)status);
		sandbox_filter_free((struct sandbox_filter *)t.filter);
	}
}
END_TEST

static void abort_in(void *ctx)
{
	int listener;

	enter(ctx, &listener);
	abort();
}

START_TEST(test_abort_is_allowed)
{
	struct sandbox_filter *f;
	struct err e;
	int status;

	if (!can_filter(SECCOMP_FILTERS))
		return;
	f = sandbox_filter_new(CALLS_LIVE, SANDBOX_ENFORCE, false, &e);
	status = in_child(abort_in, f);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", (unsigned)status);
	sandbox_filter_free(f);
}
END_TEST

/* ---- the master's side -------------------------------------------------------------------- */

struct seen {
	int count, role;
	char call[48];
	enum sandbox_action action;
	pid_t pid;
};

static void on_violation(void *ctx, const struct sandbox_violation *v)
{
	struct seen *s = ctx;

	s->count++;
	s->role = v->role;
	s->action = v->action;
	s->pid = v->pid;
	snprintf(s->call, sizeof(s->call), "%s", v->call);
}

struct watched {
	struct sandbox_watch *watch;
	struct sandbox_filter *filter;
	struct seen seen;
	pid_t pid;
};

/* A child that enters the filter, hands over, and then makes five calls that it may not. */
static void begin(struct watched *w, enum sandbox_mode mode, unsigned calls, bool grandchild)
{
	const struct sandbox_subject subject = { 7, mode, calls & CALLS_ANY };
	struct err e = { .text = "" };

	memset(w, 0, sizeof(*w));
	w->watch = sandbox_watch_new(on_violation, &w->seen, &e);
	ck_assert_msg(w->watch != NULL, "%s", e.text);
	w->filter = sandbox_filter_new(calls, mode, true, &e);
	ck_assert_msg(w->filter != NULL, "%s", e.text);
	w->pid = fork();
	if (w->pid == 0) {
		int listener, status = 0;
		pid_t pid;

		enter(w->filter, &listener);
		if (listener < 0 || sandbox_watch_hand_over(w->watch, &subject, listener, &e) < 0)
			_exit(98);
		pid = grandchild ? fork() : 0;
		if (pid > 0) {
			waitpid(pid, &status, 0);
			_exit(WIFSIGNALED(status) ? 50 + WTERMSIG(status) : WEXITSTATUS(status));
		}
		for (int i = 0; i < 4; i++)
			(void)!chroot("/nowhere");
		_exit(chroot("/nowhere") < 0 ? errno : 0);
	}
}

/* Watches until the child has ended; its status. */
static int watch_to_the_end(struct watched *w)
{
	int status;

	while (waitpid(w->pid, &status, WNOHANG) == 0) {
		struct pollfd p = { sandbox_watch_fd(w->watch), POLLIN, 0 };

		poll(&p, 1, 20);
		sandbox_watch_run(w->watch);
	}
	return status;
}

static void end(struct watched *w)
{
	sandbox_watch_free(w->watch);
	sandbox_filter_free(w->filter);
}

START_TEST(test_enforce_ends_the_process)
{
	struct watched w;
	int status;

	if (!can_filter(SECCOMP_LISTENERS))
		return;
	begin(&w, SANDBOX_ENFORCE, CALLS_LIVE, false);
	status = watch_to_the_end(&w);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
	ck_assert_int_eq(w.seen.count, 1);
	ck_assert_int_eq(w.seen.role, 7);
	ck_assert_int_eq(w.seen.pid, w.pid);
	ck_assert_int_eq(w.seen.action, SANDBOX_KILLED);
	ck_assert_str_eq(w.seen.call, "chroot");
	end(&w);
}
END_TEST

START_TEST(test_a_child_of_the_process)
{
	struct watched w;
	int status;

	if (!can_filter(SECCOMP_LISTENERS))
		return;
	begin(&w, SANDBOX_ENFORCE, CALLS_LIVE | CALLS_FORK, true);
	status = watch_to_the_end(&w);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 50 + SIGKILL, "status %x", (unsigned)status);
	ck_assert_int_ne(w.seen.pid, w.pid);
	ck_assert_int_eq(w.seen.count, 1);
	end(&w);
}
END_TEST

START_TEST(test_log_lets_it_go_on)
{
	struct watched w;
	int status;

	if (!can_filter(SECCOMP_LISTENERS))
		return;
	begin(&w, SANDBOX_LOG, CALLS_LIVE, false);
	status = watch_to_the_end(&w);
	/* the kernel's own answer: no such file, or not root */
	ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == ENOENT || WEXITSTATUS(status) == EPERM),
		      "status %x", (unsigned)status);
	ck_assert_int_eq(w.seen.action, SANDBOX_ALLOWED);
	ck_assert_int_eq(w.seen.count, 5);
	end(&w);
}
END_TEST

START_TEST(test_foreign_code_is_refused)
{
	struct watched w;
	int status;

	if (!can_filter(SECCOMP_LISTENERS))
		return;
	begin(&w, SANDBOX_ENFORCE, CALLS_ANY, false);
	status = watch_to_the_end(&w);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == EPERM, "status %x", (unsigned)status);
	ck_assert_int_eq(w.seen.action, SANDBOX_REFUSED);
	end(&w);
}
END_TEST

START_TEST(test_without_a_master)
{
	struct watched w;
	int status;

	if (!can_filter(SECCOMP_LISTENERS))
		return;
	begin(&w, SANDBOX_ENFORCE, CALLS_LIVE, false);
	sandbox_watch_free(w.watch);
	w.watch = NULL;
	ck_assert_int_eq(waitpid(w.pid, &status, 0), w.pid);
	/* refused, one way or the other: the line may have gone before the listener did */
	ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == ENOSYS || WEXITSTATUS(status) == 98), "status %x",
		      (unsigned)status);
	ck_assert_int_eq(w.seen.count, 0);
	end(&w);
}
END_TEST

static void count_one(void *ctx, const struct sandbox_subject *s, int listener)
{
	ck_assert_int_eq(s->role, 7);
	ck_assert_int_ge(listener, 0);
	++*(int *)ctx;
}

START_TEST(test_listeners_go_with_their_processes)
{
	struct watched w;
	int count = 0;

	if (!can_filter(SECCOMP_LISTENERS))
		return;
	begin(&w, SANDBOX_ENFORCE, CALLS_LIVE, false);
	watch_to_the_end(&w);
	for (int i = 0; i < 1000; i++) {
		struct pollfd p = { sandbox_watch_fd(w.watch), POLLIN, 0 };

		count = 0;
		poll(&p, 1, 10);
		sandbox_watch_run(w.watch);
		sandbox_watch_each(w.watch, count_one, &count);
		if (count == 0)
			break;
	}
	ck_assert_int_eq(count, 0);
	end(&w);
}
END_TEST

/* ---- Landlock ------------------------------------------------------------------------------------ */

static char root[] = "/tmp/posthouse-domain-XXXXXX";

static int touch(const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? errno : 0;
}

static int move(const char *from, const char *to)
{
	char a[128], b[128];

	snprintf(a, sizeof(a), "%s/%s", root, from);
	snprintf(b, sizeof(b), "%s/%s", root, to);
	return rename(a, b) < 0 ? errno : 0;
}

#define MUST(what)                                                                                           \
	do {                                                                                                 \
		if (!(what))                                                                                 \
			_exit(__LINE__ & 0xff);                                                              \
	} while (0)

/* A worker's view of a spool: made here, moved there, read nowhere. */
static void in_domain(void *ctx)
{
	struct sandbox_domain d;
	struct err e;
	char path[128];

	(void)ctx;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(sandbox_domain_begin(&d, DOMAIN_FILES | DOMAIN_TCP, &e) == 0);
	snprintf(path, sizeof(path), "%s/in", root);
	MUST(sandbox_domain_path(&d, path, MAY_WRITE | MAY_MAKE | MAY_REMOVE | MAY_MOVE, &e) == 0);
	snprintf(path, sizeof(path), "%s/queue", root);
	MUST(sandbox_domain_path(&d, path, MAY_MAKE | MAY_MOVE, &e) == 0);
	snprintf(path, sizeof(path), "%s/read/file", root);
	MUST(sandbox_domain_folder_of(&d, path, MAY_READ, &e) == 0);
	MUST(sandbox_domain_path(&d, "/nowhere/at/all", MAY_ALL_FILES, &e) == 0);
	MUST(sandbox_domain_path(&d, NULL, MAY_ALL_FILES, &e) == 0);
	MUST(sandbox_domain_connect(&d, 1, &e) == 0);
	MUST(sandbox_domain_enter(&d, &e) == 0);
	MUST(touch("in/new", O_WRONLY | O_CREAT) == 0);
	MUST(touch("in/new", O_RDONLY) == EACCES);
	MUST(move("in/new", "queue/new") == 0);
	MUST(touch("queue/new", O_RDONLY) == EACCES);
	MUST(touch("queue/new", O_WRONLY) == EACCES);
	MUST(move("queue/old", "in/old") == EACCES);
	MUST(touch("read/file", O_RDONLY) == 0);
	MUST(touch("read/file", O_WRONLY) == EACCES);
	MUST(touch("read", O_RDONLY | O_DIRECTORY) == EACCES);
	MUST(touch("secret", O_RDONLY) == EACCES);
	MUST(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
}

static int connect_error(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), r = connect(fd, (struct sockaddr *)&to, sizeof(to)), error = errno;

	close(fd);
	return r < 0 ? error : 0;
}

static int bind_error(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), r = bind(fd, (struct sockaddr *)&to, sizeof(to)), error = errno;

	close(fd);
	return r < 0 ? error : 0;
}

static void ports_bound(void *ctx)
{
	struct sandbox_domain d;
	struct err e;

	(void)ctx;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(sandbox_domain_begin(&d, DOMAIN_TCP, &e) == 0);
	MUST(sandbox_domain_bind_any(&d, &e) == 0);
	MUST(sandbox_domain_enter(&d, &e) == 0);
	MUST(bind_error(0) == 0);
	MUST(bind_error(40000) == EACCES);
}

static void ports(void *ctx)
{
	struct sandbox_domain d;
	struct err e;

	(void)ctx;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(sandbox_domain_begin(&d, DOMAIN_TCP | DOMAIN_SIGNALS, &e) == 0);
	MUST(sandbox_domain_connect(&d, 1, &e) == 0);
	MUST(sandbox_domain_enter(&d, &e) == 0);
	MUST(connect_error(1) == ECONNREFUSED);
	MUST(connect_error(2) == EACCES);
	MUST(bind_error(0) == EACCES);
	MUST(touch("secret", O_RDONLY) == 0); /* files were not taken away */
	if (sandbox_domain_abi() >= DOMAIN_SCOPE_ABI) {
		MUST(kill(getppid(), 0) < 0 && errno == EPERM);
		MUST(kill(getpid(), 0) == 0);
	}
}

static void make_world(void)
{
	static const char *const folder[] = { "in", "queue", "read" };
	char path[128];

	ck_assert_ptr_nonnull(mkdtemp(root));
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, folder[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	ck_assert_int_eq(touch("queue/old", O_WRONLY | O_CREAT), 0);
	ck_assert_int_eq(touch("read/file", O_WRONLY | O_CREAT), 0);
	ck_assert_int_eq(touch("secret", O_WRONLY | O_CREAT), 0);
}

static void remove_world(void)
{
	static const char *const name[] = { "in/new", "queue/new", "queue/old", "in/old", "read/file", "secret",
					    "in",     "queue",	   "read",	"" };
	char path[128];

	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, name[i]);
		remove(path);
	}
}

START_TEST(test_files)
{
	int status;

	if (sandbox_domain_abi() < DOMAIN_LEAST_ABI)
		return;
	make_world();
	status = in_child(in_domain, NULL);
	remove_world();
	ck_assert_msg(status == 0, "line %d (of 256)", WEXITSTATUS(status));
}
END_TEST

START_TEST(test_ports_and_signals)
{
	int status;

	if (sandbox_domain_abi() < DOMAIN_TCP_ABI)
		return;
	make_world();
	status = in_child(ports, NULL);
	remove_world();
	ck_assert_msg(status == 0, "line %d (of 256)", WEXITSTATUS(status));
	status = in_child(ports_bound, NULL);
	ck_assert_msg(status == 0, "line %d (of 256)", WEXITSTATUS(status));
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------------------- */

static void limited(void *ctx)
{
	struct rlimit limit;
	int first;

	(void)ctx;
	sandbox_limits_secret();
	MUST(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	MUST(prctl(PR_GET_DUMPABLE) == 0);
	first = dup(0);
	sandbox_limits_files(3);
	for (int i = 0; i < 3; i++)
		MUST(dup(0) > first);
	MUST(dup(0) < 0 && errno == EMFILE);
	sandbox_limits_alone();
	MUST(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0);
	MUST(geteuid() == 0 || (fork() < 0 && errno == EAGAIN));
}

START_TEST(test_limits)
{
	int status = in_child(limited, NULL);

	ck_assert_msg(status == 0, "line %d (of 256)", WEXITSTATUS(status));
}
END_TEST

/* ---- what is said of it --------------------------------------------------------------------------------- */

START_TEST(test_what_is_missing_is_said)
{
	static const struct {
		struct sandbox_support support;
		const char *says; /* NULL: nothing */
	} cases[] = {
		{ { SECCOMP_LISTENERS, true, false, 7 }, NULL },
		{ { SECCOMP_LISTENERS, true, true, 7 }, "sanitizer" },
		{ { SECCOMP_FILTERS, true, false, 7 }, "not logged here" },
		{ { SECCOMP_NONE, true, false, 7 }, "kernel or container" },
		{ { SECCOMP_NONE, false, false, 7 }, "built without" },
		{ { SECCOMP_LISTENERS, true, false, 0 }, "no Landlock in this kernel" },
		{ { SECCOMP_LISTENERS, true, false, 1 }, "5.19" },
		{ { SECCOMP_LISTENERS, true, false, 3 }, "for TCP" },
		{ { SECCOMP_LISTENERS, true, false, 5 }, "for signals" },
		{ { SECCOMP_NONE, false, false, 0 }, "; no Landlock" },
	};
	char said[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_int_eq(sandbox_support_lacks(&cases[i].support, said, sizeof(said)), cases[i].says != NULL);
		ck_assert_msg(!cases[i].says || strstr(said, cases[i].says), "%zu: %s", i, said);
	}
}
END_TEST

START_TEST(test_names_of_calls)
{
	if (!sandbox_filter_is_built())
		return;
	ck_assert_str_eq(sandbox_call_name(0xdead, 0), "?");
	ck_assert_int_gt((int)sandbox_allowed_count, 50);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sandbox");

	UNIT_CASE(s, test_what_groups_allow, test_abort_is_allowed, test_enforce_ends_the_process,
		  test_a_child_of_the_process, test_log_lets_it_go_on, test_foreign_code_is_refused,
		  test_without_a_master, test_listeners_go_with_their_processes, test_files, test_ports_and_signals,
		  test_limits, test_what_is_missing_is_said, test_names_of_calls);
	return unit_run(s);
}
