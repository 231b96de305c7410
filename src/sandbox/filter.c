/* SPDX-License-Identifier: ISC */
/* See filter.h. Made in the master, entered in each child. The only one that knows libseccomp beside watch.c. */
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "sandbox/calls.h"

#define NOTIFY_API 6 /* of libseccomp: listeners (Linux 5.0), calls that go on (5.5) */
#define PROGRAM_MAX 4096 /* the kernel's BPF_MAXINSNS */

struct sandbox_filter {
	struct sock_filter *code;
	unsigned short length;
	bool notify;
};

bool sandbox_filter_is_built(void)
{
	return true;
}

bool sandbox_filter_can_notify(void)
{
	struct utsname system;
	int major, minor;

	/* 5.9 tells when the last process under a filter is gone */
	return seccomp_api_get() >= NOTIFY_API && uname(&system) == 0 &&
	       sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 9));
}

/* ---- made ------------------------------------------------------------------------ */

static uint32_t action_of(unsigned calls, enum sandbox_mode mode, bool notify)
{
	if (notify)
		return SCMP_ACT_NOTIFY;
	if (mode == SANDBOX_LOG)
		return SCMP_ACT_LOG;
	return calls & CALLS_ANY ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS;
}

/* A call that this architecture, or this libseccomp, does not have needs no rule. */
static int add_one(scmp_filter_ctx ctx, uint32_t action, const char *name, const struct call_row *row)
{
	struct scmp_arg_cmp cmp[CALL_CONDITIONS];
	int number = seccomp_syscall_resolve_name(name), r;

	if (number == __NR_SCMP_ERROR)
		return 0;
	for (unsigned i = 0; i < row->conditions; i++)
		cmp[i] =
			SCMP_CMP(row->when[i].arg, SCMP_CMP_MASKED_EQ, row->when[i].mask, row->when[i].value);
	r = seccomp_rule_add_array(ctx, action, number, row->conditions, cmp);
	/* below zero: a call of another architecture */
	return number < 0 ? 0 : r;
}

static int add(scmp_filter_ctx ctx, uint32_t action, const struct call_row *row)
{
	char *names = mem_strdup(row->names), *rest = names;
	int r = 0;

	for (const char *name; r == 0 && (name = strsep(&rest, " "));)
		r = add_one(ctx, action, name, row);
	free(names);
	return r;
}

static int add_rules(scmp_filter_ctx ctx, unsigned calls, uint32_t action)
{
	bool any = calls & CALLS_ANY;
	int r = add(ctx, SCMP_ACT_ERRNO(ENOSYS), &(struct call_row){ .names = sandbox_absent });

	for (size_t i = 0; !any && i < sandbox_allowed_count && r == 0; i++)
		if (sandbox_allowed[i].groups & calls)
			r = add(ctx, SCMP_ACT_ALLOW, &sandbox_allowed[i]);
	for (size_t i = 0; any && i < sandbox_refused_count && r == 0; i++)
		if (!(sandbox_refused[i].groups & calls))
			r = add(ctx, action, &sandbox_refused[i]);
	return r;
}

/* Programs of the same processor's narrow kind may be run by who may run programs; all else stays one kind. */
static int choose_architectures(scmp_filter_ctx ctx, unsigned calls)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
				 calls & CALLS_ANY ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_KILL_PROCESS);

	if (r == 0 && calls & CALLS_ANY && seccomp_arch_native() == SCMP_ARCH_X86_64)
		r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
	if (r == 0 && calls & CALLS_ANY && seccomp_arch_native() == SCMP_ARCH_AARCH64)
		r = seccomp_arch_add(ctx, SCMP_ARCH_ARM);
	return r;
}

/* All that libseccomp does, into a file; 0 or a negative errno. */
static int write_program(int fd, unsigned calls, uint32_t action)
{
	scmp_filter_ctx ctx = seccomp_init(calls & CALLS_ANY ? SCMP_ACT_ALLOW : action);
	int r = ctx ? 0 : -ENOMEM;

	if (r == 0)
		r = choose_architectures(ctx, calls);
	if (r == 0)
		r = add_rules(ctx, calls, action);
	if (r == 0) {
		/* a tree instead of a list of comparisons; an older libseccomp has none */
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		r = seccomp_export_bpf(ctx, fd);
	}
	if (ctx)
		seccomp_release(ctx);
	return r;
}

/*
 * In a process of its own: what libseccomp needs and frees would leave holes in the heap that all workers
 * inherit, and each would fill others of them, at the price of pages of its own.
 */
static int write_program_apart(int fd, unsigned calls, uint32_t action)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(-write_program(fd, calls, action) & 0xff);
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int take_program(struct sandbox_filter *f, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0 || (size_t)st.st_size > PROGRAM_MAX * sizeof(*f->code))
		return -E2BIG;
	f->length = (unsigned short)((size_t)st.st_size / sizeof(*f->code));
	f->code = mem_array(f->length, sizeof(*f->code));
	return pread(fd, f->code, (size_t)st.st_size, 0) == st.st_size ? 0 : -EIO;
}

struct sandbox_filter *sandbox_filter_new(unsigned calls, enum sandbox_mode mode, bool notify, struct err *e)
{
	struct sandbox_filter *f = mem_array(1, sizeof(*f));
	int fd = memfd_create("posthouse-filter", MFD_CLOEXEC), r = fd < 0 ? -errno : 0;

	ASSERT(mode != SANDBOX_OFF);
	f->notify = notify;
	if (r == 0)
		r = write_program_apart(fd, calls, action_of(calls, mode, notify));
	if (r == 0)
		r = take_program(f, fd);
	if (fd >= 0)
		close(fd);
	if (r == 0)
		return f;
	err_set_os(e, -r, "cannot make the seccomp filter");
	sandbox_filter_free(f);
	return NULL;
}

void sandbox_filter_free(struct sandbox_filter *f)
{
	if (!f)
		return;
	free(f->code);
	free(f);
}

/* ---- entered ----------------------------------------------------------------------- */

int sandbox_filter_enter(const struct sandbox_filter *f, int *listener, struct err *e)
{
	/* a few kilobytes: a worker is to cost little memory of its own, on the stack neither */
	struct sock_filter *code = mem_array(f->length, sizeof(*code));
	const struct sock_fprog program = { f->length, code };
	uint32_t self = (uint32_t)getpid();
	long r;

	*listener = -1;
	memcpy(code, f->code, f->length * sizeof(*code));
	for (unsigned i = 0; i < f->length; i++)
		if (BPF_CLASS(code[i].code) == BPF_JMP && code[i].k == CALL_SELF)
			code[i].k = self;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0,
		    &program);
	if (r < 0)
		err_set_os(e, errno, "cannot enter the seccomp filter");
	free(code);
	if (r < 0)
		return -1;
	if (f->notify)
		*listener = (int)r;
	return 0;
}

/* ---- told of --------------------------------------------------------------------------- */

const char *sandbox_call_name(uint32_t arch, int number)
{
	static char text[48];
	char *name = seccomp_syscall_resolve_num_arch(arch, number);

	snprintf(text, sizeof(text), "%s", name ? name : "?");
	free(name);
	return text;
}
