/* SPDX-License-Identifier: ISC */
/*
 * See calls.h. Calls go by name, in all the variants that C libraries use on any architecture; names that
 * this one does not have are left out by filter.c. A new row: which part needs it, and what can somebody who
 * took that process over do with it?
 */
#include "sandbox/calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <termios.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

#define L CALLS_LIVE
#define F CALLS_FILES
#define ALL_BITS 0xffffffffu
#define IS(n, v)                                                                                             \
	{                                                                                                    \
		n, ALL_BITS, (uint32_t)(v)                                                                   \
	}
#define IS_NULL(n)                                                                                           \
	{                                                                                                    \
		n, UINT64_MAX, 0                                                                             \
	}
#define WITHOUT(n, bits)                                                                                     \
	{                                                                                                    \
		n, (uint32_t)(bits), 0                                                                       \
	}
#define WITH(n, bits)                                                                                        \
	{                                                                                                    \
		n, (uint32_t)(bits), (uint32_t)(bits)                                                        \
	}
#define IF(n, ...)                                                                                           \
	n,                                                                                                   \
	{                                                                                                    \
		__VA_ARGS__                                                                                  \
	}
#define ALWAYS                                                                                               \
	0,                                                                                                   \
	{                                                                                                    \
		{                                                                                            \
			0, 0, 0                                                                              \
		}                                                                                            \
	}
#define TYPE_BITS 0xf /* of socket(2)'s type: SOCK_CLOEXEC and SOCK_NONBLOCK left out */

/* Namespaces: who makes one is root in it, and reaches parts of the kernel that were not written for strangers. */
#define NAMESPACES                                                                                           \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |        \
	 CLONE_NEWNET)

const struct call_row sandbox_allowed[] = {
	/* what is open */
	{ L,
	  "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek "
	  "_llseek close close_range dup dup2 dup3 pipe pipe2 eventfd2 fstat fstat64",
	  ALWAYS },
	{ L, "newfstatat", ALWAYS }, /* fstat() of glibc */
	{ L, "fstatat64 statx fadvise64 fadvise64_64", ALWAYS },
	/* F_SETOWN and F_SETSIG are not there: they send signals to others */
	{ L, "fcntl fcntl64", IF(1, IS(1, F_DUPFD)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_DUPFD_CLOEXEC)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_GETFD)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_SETFD)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_GETFL)) },
	/* what is open is shared: who makes the log's pipe or a listening socket wait has others wait in it */
	{ CALLS_CONNECT, "fcntl fcntl64", IF(2, IS(1, F_SETFL), WITHOUT(2, O_ASYNC)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_GETLK)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_SETLK)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_SETLKW)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_OFD_GETLK)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_OFD_SETLK)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_OFD_SETLKW)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_GETPIPE_SZ)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_SETPIPE_SZ)) },
	{ L, "fcntl fcntl64", IF(1, IS(1, F_GET_SEALS)) },
	/* TIOCSTI, which types for whoever owns the terminal, is not */
	{ L, "ioctl", IF(1, IS(1, FIONREAD)) },
	{ CALLS_CONNECT, "ioctl", IF(1, IS(1, FIONBIO)) },
	{ L, "ioctl", IF(1, IS(1, SIOCOUTQ)) },
	{ L, "ioctl", IF(1, IS(1, TCGETS)) },
	{ L, "ioctl", IF(1, IS(1, TIOCGWINSZ)) },

	/* waiting */
	{ L,
	  "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create "
	  "epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 timerfd_create "
	  "timerfd_settime timerfd_settime64 nanosleep clock_nanosleep clock_nanosleep_time64 "
	  "futex futex_time64",
	  ALWAYS },

	/* sockets that are there, and pairs. Fast open would be a connect() */
	{ L, "recv recvfrom recvmsg", ALWAYS },
	{ CALLS_CONNECT, "recvmmsg recvmmsg_time64", ALWAYS },
	{ L, "send", IF(1, WITHOUT(3, MSG_FASTOPEN)) },
	{ L, "sendto", IF(1, WITHOUT(3, MSG_FASTOPEN)) },
	{ L, "sendmsg", IF(1, WITHOUT(2, MSG_FASTOPEN)) },
	{ CALLS_CONNECT, "sendmmsg", IF(1, WITHOUT(3, MSG_FASTOPEN)) },
	{ L, "shutdown getsockname getpeername getsockopt", ALWAYS },
	{ L, "setsockopt", IF(2, IS(1, SOL_SOCKET), IS(2, SO_SNDBUF)) }, /* and none that is code (BPF) */
	{ L, "setsockopt", IF(2, IS(1, SOL_SOCKET), IS(2, SO_KEEPALIVE)) },
	{ L, "setsockopt", IF(2, IS(1, IPPROTO_TCP), IS(2, TCP_NODELAY)) },
	{ CALLS_CONNECT, "setsockopt", IF(1, IS(1, SOL_SOCKET)) },
	{ CALLS_CONNECT, "setsockopt", IF(1, IS(1, IPPROTO_TCP)) },
	{ CALLS_CONNECT, "setsockopt", IF(1, IS(1, IPPROTO_IP)) },
	{ CALLS_CONNECT, "setsockopt", IF(1, IS(1, IPPROTO_IPV6)) },
	{ CALLS_CONNECT, "setsockopt", IF(1, IS(1, IPPROTO_UDP)) },
	/* connected for good; by one of datagrams any socket that has a path could be written to */
	{ L, "socketpair", IF(2, IS(0, AF_UNIX), { 1, TYPE_BITS, SOCK_SEQPACKET }) },
	{ L, "socketpair", IF(2, IS(0, AF_UNIX), { 1, TYPE_BITS, SOCK_STREAM }) },
	{ CALLS_ACCEPT | CALLS_LISTEN, "accept accept4", ALWAYS },
	{ CALLS_LOCAL | CALLS_LISTEN, "socket", IF(1, IS(0, AF_UNIX)) },
	{ CALLS_LOCAL | CALLS_CONNECT, "connect", ALWAYS },
	{ CALLS_LISTEN | CALLS_CONNECT, "bind", ALWAYS },
	{ CALLS_LISTEN, "listen", ALWAYS },
	{ CALLS_CONNECT, "socket", IF(2, IS(0, AF_INET), { 1, TYPE_BITS, SOCK_STREAM }) },
	{ CALLS_CONNECT, "socket", IF(2, IS(0, AF_INET), { 1, TYPE_BITS, SOCK_DGRAM }) },
	{ CALLS_CONNECT, "socket", IF(2, IS(0, AF_INET6), { 1, TYPE_BITS, SOCK_STREAM }) },
	{ CALLS_CONNECT, "socket", IF(2, IS(0, AF_INET6), { 1, TYPE_BITS, SOCK_DGRAM }) },
	/* the resolver: a name service's socket, and which addresses this machine has */
	{ CALLS_CONNECT, "socket", IF(1, IS(0, AF_UNIX)) },
	{ CALLS_CONNECT, "socket", IF(2, IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)) },

	/* memory: never writable today and code tomorrow */
	{ L, "brk", ALWAYS },
	{ L, "mmap", IF(1, WITHOUT(2, PROT_EXEC)) },
	{ L, "mmap2", IF(1, WITHOUT(2, PROT_EXEC)) },
	{ L, "mprotect", IF(1, WITHOUT(2, PROT_EXEC)) },
	{ CALLS_CODE, "mmap mmap2 mprotect", ALWAYS },
	{ L, "munmap mremap madvise membarrier", ALWAYS },

	/* time, chance, who and where one is */
	{ L,
	  "clock_gettime clock_gettime64 clock_getres clock_getres_time64 gettimeofday time "
	  "times getrandom getpid getppid gettid getuid getuid32 geteuid geteuid32 getgid "
	  "getgid32 getegid getegid32 getgroups getgroups32 getrusage getrlimit ugetrlimit",
	  ALWAYS },
	{ L, "prlimit64", IF(2, IS(0, 0), IS_NULL(2)) }, /* to ask, of itself */
	{ CALLS_LIMITS, "prlimit64", IF(1, IS(0, 0)) },
	{ CALLS_LIMITS, "setrlimit", ALWAYS },
	{ L, "uname sysinfo getcpu sched_yield sched_getaffinity", ALWAYS },

	/* being a process */
	{ L,
	  "rt_sigaction rt_sigprocmask rt_sigreturn sigreturn sigaltstack restart_syscall "
	  "set_robust_list rseq alarm setitimer exit exit_group",
	  ALWAYS },
	{ L, "tgkill", IF(1, IS(0, CALL_SELF)) }, /* abort() */
	{ L, "prctl", IF(1, IS(0, PR_SET_NAME)) },
	{ L, "prctl", IF(2, IS(0, PR_SET_VMA), IS(1, 0)) }, /* glibc names its heaps */
	{ L, "prctl", IF(2, IS(0, PR_SET_DUMPABLE), IS(1, 0)) },

	/* files */
	{ F,
	  "open openat openat2 creat access faccessat faccessat2 stat stat64 lstat lstat64 "
	  "readlink readlinkat",
	  ALWAYS },
	{ CALLS_LIST, "getdents getdents64", ALWAYS },
	{ F,
	  "getcwd mkdir mkdirat rmdir rename renameat renameat2 link linkat unlink unlinkat "
	  "fsync fdatasync syncfs sync_file_range ftruncate ftruncate64 fallocate statfs statfs64 "
	  "fstatfs fstatfs64 flock copy_file_range memfd_create umask fchmod",
	  ALWAYS },
	{ CALLS_MODES,
	  "chmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown "
	  "lchown32 utimensat utimensat_time64",
	  ALWAYS },
	{ CALLS_NOTICE, "inotify_init1 inotify_add_watch inotify_rm_watch", ALWAYS },

	/* threads and children. clone3 is in sandbox_absent */
	{ CALLS_THREADS, "clone", IF(1, { 0, NAMESPACES | CLONE_THREAD, CLONE_THREAD }) },
	{ CALLS_FORK, "clone", IF(1, WITHOUT(0, NAMESPACES)) },
	{ CALLS_FORK, "fork vfork set_tid_address wait4 waitid waitpid kill tgkill signalfd4", ALWAYS },
	{ CALLS_FORK, "prctl", IF(1, IS(0, PR_SET_PDEATHSIG)) },
};
const size_t sandbox_allowed_count = sizeof(sandbox_allowed) / sizeof(sandbox_allowed[0]);

const struct call_row sandbox_refused[] = {
	/* other processes' memory and descriptors */
	{ 0,
	  "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp "
	  "perf_event_open",
	  ALWAYS },
	/* the kernel: its code, its keys, parts with a bad record */
	{ 0,
	  "bpf init_module finit_module delete_module create_module kexec_load kexec_file_load "
	  "userfaultfd",
	  ALWAYS },
	{ CALLS_KEYRING, "add_key request_key keyctl", ALWAYS },
	{ 0, "syslog iopl ioperm", ALWAYS },
	/* what the machine looks like */
	{ 0,
	  "mount umount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree "
	  "move_mount mount_setattr name_to_handle_at open_by_handle_at quotactl quotactl_fd "
	  "swapon swapoff acct reboot sethostname setdomainname settimeofday stime "
	  "clock_settime clock_settime64",
	  ALWAYS },
	/* namespaces */
	{ 0, "setns unshare", ALWAYS },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWNS)) },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWCGROUP)) },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWUTS)) },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWIPC)) },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWUSER)) },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWPID)) },
	{ 0, "clone", IF(1, WITH(0, CLONE_NEWNET)) },
	/* what lies behind a terminal, or a socket of the kernel's own families */
	{ 0, "ioctl", IF(1, IS(1, TIOCSTI)) },
	{ 0, "socket", IF(1, IS(0, AF_PACKET)) },
	{ 0, "socket", IF(1, IS(0, AF_ALG)) },
	{ 0, "socket", IF(1, IS(0, AF_VSOCK)) },
};
const size_t sandbox_refused_count = sizeof(sandbox_refused) / sizeof(sandbox_refused[0]);

const char sandbox_absent[] =
	/* its flags are in memory, where no filter looks: the C library takes clone() then */
	"clone3 "
	/* what is done through these passes no filter; libuv and others look whether they are there */
	"io_uring_setup io_uring_enter io_uring_register";
