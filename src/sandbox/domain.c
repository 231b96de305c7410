/* SPDX-License-Identifier: ISC */
/* See domain.h. System calls and numbers of our own: C libraries have none of these, and headers not all. */
#include "sandbox/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/descriptors.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* linux/landlock.h as of ABI 6; its oldest part may be all that is installed */
#define CREATE_RULESET_VERSION (1u << 0)
enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* ABI 4 */
	uint64_t scoped; /* ABI 6 */
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13, /* ABI 2 */
	FS_TRUNCATE = 1 << 14, /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
	NET_BIND_TCP = 1 << 0,
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0,
	SCOPE_SIGNAL = 1 << 1,
};

/* What can be allowed of a file that is no folder. */
#define FS_OF_FILE ((uint64_t)(FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV))

static const struct {
	unsigned may;
	uint64_t access;
} rights[] = {
	{ MAY_READ, FS_READ_FILE },
	{ MAY_LIST, FS_READ_DIR },
	{ MAY_WRITE, FS_WRITE_FILE | FS_TRUNCATE },
	{ MAY_MAKE, FS_MAKE_REG },
	{ MAY_REMOVE, FS_REMOVE_FILE },
	{ MAY_MOVE, FS_REFER },
	{ MAY_MAKE_FOLDERS, FS_MAKE_DIR | FS_REMOVE_DIR },
	{ MAY_MAKE_SOCKETS, FS_MAKE_SOCK },
	{ MAY_MAKE_ODD, FS_MAKE_SYM | FS_MAKE_FIFO | FS_MAKE_CHAR | FS_MAKE_BLOCK },
};

int sandbox_domain_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t files_known(int abi)
{
	uint64_t all = FS_REFER - 1; /* ABI 1 */

	if (abi >= 2)
		all |= FS_REFER;
	if (abi >= 3)
		all |= FS_TRUNCATE;
	if (abi >= 5)
		all |= FS_IOCTL_DEV;
	return all;
}

int sandbox_domain_begin(struct sandbox_domain *d, unsigned kinds, struct err *e)
{
	struct ruleset_attr attr = { 0 };
	int abi = sandbox_domain_abi();
	size_t size = abi >= DOMAIN_SCOPE_ABI ? sizeof(attr)
		      : abi >= DOMAIN_TCP_ABI ? offsetof(struct ruleset_attr, scoped)
					      : offsetof(struct ruleset_attr, handled_access_net);

	*d = (struct sandbox_domain){ .fd = -1 };
	if (abi < DOMAIN_LEAST_ABI)
		return 0;
	if (kinds & DOMAIN_FILES)
		attr.handled_access_fs = files_known(abi);
	if (kinds & DOMAIN_TCP && abi >= DOMAIN_TCP_ABI)
		attr.handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (kinds & DOMAIN_SIGNALS && abi >= DOMAIN_SCOPE_ABI)
		attr.scoped |= SCOPE_SIGNAL;
	if (kinds & DOMAIN_ABSTRACT && abi >= DOMAIN_SCOPE_ABI)
		attr.scoped |= SCOPE_ABSTRACT_UNIX_SOCKET;
	if (attr.handled_access_fs == 0 && attr.handled_access_net == 0 && attr.scoped == 0)
		return 0; /* an empty one is refused */
	d->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (d->fd < 0) {
		err_set_os(e, errno, "cannot make a Landlock domain");
		return -1;
	}
	d->files = attr.handled_access_fs;
	d->tcp = attr.handled_access_net != 0;
	return 0;
}

int sandbox_domain_path(struct sandbox_domain *d, const char *path, unsigned may, struct err *e)
{
	struct path_beneath_attr rule = { .parent_fd = -1 };
	struct stat st;
	int r = 0;

	if (d->fd < 0 || d->files == 0 || !path)
		return 0;
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		if (may & rights[i].may)
			rule.allowed_access |= rights[i].access & d->files;
	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return 0; /* what cannot be reached now is not to be */
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILE;
	if (rule.allowed_access != 0 &&
	    syscall(SYS_landlock_add_rule, d->fd, RULE_PATH_BENEATH, &rule, 0) < 0) {
		err_set_os(e, errno, "%s: cannot allow it in a Landlock domain", path);
		r = -1;
	}
	close(rule.parent_fd);
	return r;
}

int sandbox_domain_folder_of(struct sandbox_domain *d, const char *file, unsigned may, struct err *e)
{
	const char *slash = file ? strrchr(file, '/') : NULL;
	char *folder;
	int r;

	if (!slash)
		return 0;
	folder = slash == file ? mem_strdup("/") : mem_strndup(file, (size_t)(slash - file));
	r = sandbox_domain_path(d, folder, may, e);
	free(folder);
	return r;
}

static int allow_port(struct sandbox_domain *d, uint64_t access, uint16_t port, struct err *e)
{
	const struct net_port_attr rule = { access, port };

	if (d->fd < 0 || !d->tcp || syscall(SYS_landlock_add_rule, d->fd, RULE_NET_PORT, &rule, 0) == 0)
		return 0;
	err_set_os(e, errno, "cannot allow port %u in a Landlock domain", port);
	return -1;
}

int sandbox_domain_connect(struct sandbox_domain *d, uint16_t port, struct err *e)
{
	return allow_port(d, NET_CONNECT_TCP, port, e);
}

int sandbox_domain_bind_any(struct sandbox_domain *d, struct err *e)
{
	return allow_port(d, NET_BIND_TCP, 0, e);
}

int sandbox_domain_enter(struct sandbox_domain *d, struct err *e)
{
	int r = d->fd < 0 ? 0 : (int)syscall(SYS_landlock_restrict_self, d->fd, 0), os_error = errno;

	sandbox_domain_abort(d);
	if (r == 0)
		return 0;
	err_set_os(e, os_error, "cannot enter the Landlock domain");
	return -1;
}

void sandbox_domain_abort(struct sandbox_domain *d)
{
	descriptors_close(&d->fd);
}
