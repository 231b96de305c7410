/* SPDX-License-Identifier: ISC */
/* See sys_fault.h. */
#include "sys_fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/assert.h"
#include "disk.h"
#include "spool/sys.h"

#define DESCRIPTORS 1024

/* What kind of call it is: failures that last do not hit those that only look. */
enum kind { LOOK, CHANGE, WRITE };
/* What becomes of it. */
enum course { DO_IT, DO_HALF, DO_NOT };

static struct {
	char base[256];
	struct fault_plan plan;
	unsigned at, count;
	bool armed, met, dead, deny_listing;
	unsigned mutations, skip_syncfs, syncfs_count;
	unsigned long calls;
	int open_descriptors;
	long filesystem;
	char where[128];
	struct {
		struct disk_node *node; /* NULL: not in the model */
		off_t offset;
	} fds[DESCRIPTORS];
} f;

void fault_model(const char *base)
{
	ASSERT(strlen(base) < sizeof(f.base));
	strcpy(f.base, base);
	memset(f.fds, 0, sizeof(f.fds));
}

void fault_arm(const struct fault_plan *plan, unsigned at)
{
	f.plan = *plan;
	f.at = at;
	f.count = 0;
	f.armed = true;
	f.met = f.dead = false;
	f.where[0] = '\0';
	f.syncfs_count = 0;
}

void fault_disarm(void)
{
	f.armed = f.dead = false;
}

bool fault_was_met(void)
{
	return f.met;
}

bool fault_is_dead(void)
{
	return f.dead;
}

const char *fault_where(void)
{
	return f.where;
}

unsigned long fault_calls(void)
{
	return f.calls;
}

int fault_open_descriptors(void)
{
	return f.open_descriptors;
}

void fault_mutate(unsigned mutations)
{
	f.mutations = mutations;
}

void fault_skip_syncfs(unsigned n)
{
	f.skip_syncfs = n;
}

void fault_deny_listing(bool deny)
{
	f.deny_listing = deny;
}

void fault_set_filesystem(long magic)
{
	f.filesystem = magic;
}

/* Counts the call and decides. errno is set unless it is to be done whole. */
static enum course gate(enum kind kind, const char *what, const char *name)
{
	bool fires;

	f.calls++;
	if (f.dead) {
		errno = EIO;
		return DO_NOT;
	}
	/* an end before a call that only looks is an end before the next that does something */
	if (!f.armed || (kind == LOOK && f.plan.os_error == 0))
		return DO_IT;
	fires = ++f.count == f.at;
	if (fires) {
		f.met = true;
		snprintf(f.where, sizeof(f.where), "call %u: %s %s", f.at, what, name);
		if (f.plan.half_way && kind != WRITE)
			return DO_IT;
	} else if (!f.met || !f.plan.ever_after || kind == LOOK) {
		return DO_IT;
	}
	f.dead = f.plan.os_error == 0;
	errno = f.dead ? EIO : f.plan.os_error;
	return fires && f.plan.half_way ? DO_HALF : DO_NOT;
}

/* ---- from descriptors and paths to the model ------------------------------------- */

static struct disk_node *node_of(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS ? f.fds[fd].node : NULL;
}

/* The directory of the model in which the last component of name stands; NULL: not in the model. */
static struct disk_node *directory_of(int dir_fd, const char *name, const char **last)
{
	size_t base_len = strlen(f.base);
	struct disk_node *dir;
	const char *slash;

	*last = name;
	if (dir_fd != AT_FDCWD)
		return node_of(dir_fd);
	if (strncmp(name, f.base, base_len) != 0 || name[base_len] != '/')
		return NULL;
	dir = disk_root();
	for (name += base_len + 1; dir && (slash = strchr(name, '/')); name = slash + 1) {
		char part[64];

		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		dir = disk_lookup(dir, part);
	}
	*last = name;
	return dir;
}

static struct disk_node *lookup(int dir_fd, const char *name)
{
	const char *last;
	struct disk_node *dir;

	if (dir_fd == AT_FDCWD && strcmp(name, f.base) == 0)
		return disk_root();
	dir = directory_of(dir_fd, name, &last);
	if (dir && strcmp(last, ".") == 0)
		return dir;
	return dir ? disk_lookup(dir, last) : NULL;
}

/* ---- sys.h ------------------------------------------------------------------------ */

int sys_open(int dir_fd, const char *name, int flags, mode_t mode)
{
	enum course course = gate(flags & O_CREAT ? CHANGE : LOOK, "open", name);
	struct disk_node *node, *dir;
	const char *last;
	int fd;

	if (course != DO_IT)
		return -1;
	if (f.deny_listing && (flags & O_DIRECTORY) && !(flags & O_PATH)) {
		errno = EACCES;
		return -1;
	}
	fd = openat(dir_fd, name, flags | O_CLOEXEC, mode);
	if (fd < 0)
		return -1;
	ASSERT(fd < DESCRIPTORS);
	f.open_descriptors++;
	node = lookup(dir_fd, name);
	dir = directory_of(dir_fd, name, &last);
	if (!node && dir && (flags & O_CREAT))
		node = disk_create(dir, last, false);
	else if (node && (flags & O_TRUNC))
		disk_truncate(node);
	f.fds[fd].node = node;
	f.fds[fd].offset = 0;
	return fd;
}

int sys_close(int fd)
{
	enum course course = gate(LOOK, "close", "");

	ASSERT(fd >= 0 && close(fd) == 0); /* also by a dying process, and when it fails */
	f.open_descriptors--;
	f.fds[fd].node = NULL;
	return course == DO_IT ? 0 : -1;
}

ssize_t sys_pread(int fd, void *data, size_t cap, off_t offset)
{
	return gate(LOOK, "pread", "") == DO_IT ? pread(fd, data, cap, offset) : -1;
}

int sys_pwrite_all(int fd, const void *data, size_t len, off_t offset)
{
	enum course course = gate(WRITE, "write", "");
	int os_error = errno;

	if (course == DO_NOT)
		return -1;
	if (course == DO_HALF)
		len /= 2;
	if (len > 0) {
		ASSERT(pwrite(fd, data, len, offset) == (ssize_t)len);
		if (node_of(fd))
			disk_write(node_of(fd), (size_t)offset, data, len);
	}
	errno = os_error;
	return course == DO_IT ? 0 : -1;
}

int sys_write_all(int fd, const void *data, size_t len)
{
	off_t offset = f.fds[fd].offset;

	f.fds[fd].offset += (off_t)len; /* no write follows half of one */
	return sys_pwrite_all(fd, data, len, offset);
}

int sys_fsync(int fd)
{
	struct disk_node *node = node_of(fd);
	struct stat st;

	if (gate(CHANGE, "fsync", "") != DO_IT) {
		if (node && !f.dead)
			disk_fsync_failed(node);
		return -1;
	}
	if (fcntl(fd, F_GETFL) & O_PATH) {
		errno = EBADF;
		return -1;
	}
	ASSERT(fstat(fd, &st) == 0);
	if (node && !(f.mutations & (S_ISDIR(st.st_mode) ? FAULT_DIRECTORY_SYNC_DOES_NOTHING
							 : FAULT_FILE_SYNC_DOES_NOTHING)))
		disk_fsync(node);
	return 0;
}

int sys_syncfs(int fd)
{
	if (gate(CHANGE, "syncfs", "") != DO_IT) {
		if (node_of(fd) && !f.dead)
			disk_syncfs_failed();
		return -1;
	}
	if (node_of(fd) && ++f.syncfs_count != f.skip_syncfs && !(f.mutations & FAULT_DIRECTORY_SYNC_DOES_NOTHING))
		disk_syncfs();
	return 0;
}

int sys_rename_exclusive(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name)
{
	/* of the two steps of a link and an unlink the first alone is only seen when we end between them */
	enum course course = gate(f.plan.os_error == 0 ? WRITE : CHANGE, "rename", new_name);
	struct disk_node *node = lookup(old_dir_fd, old_name), *dir = node_of(new_dir_fd);

	if (course == DO_NOT)
		return -1;
	if (course == DO_HALF) {
		if (linkat(old_dir_fd, old_name, new_dir_fd, new_name, 0) == 0 && node)
			disk_link(node, dir, new_name);
		errno = EIO;
		return -1;
	}
	if (renameat2(old_dir_fd, old_name, new_dir_fd, new_name, RENAME_NOREPLACE) < 0)
		return -1;
	if (node)
		disk_rename(node_of(old_dir_fd), old_name, dir, new_name);
	return 0;
}

int sys_rename_replace(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name)
{
	if (gate(CHANGE, "rename", new_name) != DO_IT ||
	    renameat(old_dir_fd, old_name, new_dir_fd, new_name) < 0)
		return -1;
	if (node_of(old_dir_fd))
		disk_rename(node_of(old_dir_fd), old_name, node_of(new_dir_fd), new_name);
	return 0;
}

int sys_unlink(int dir_fd, const char *name)
{
	const char *last;
	struct disk_node *dir = directory_of(dir_fd, name, &last);

	if (gate(CHANGE, "unlink", name) != DO_IT || unlinkat(dir_fd, name, 0) < 0)
		return -1;
	if (dir)
		disk_unlink(dir, last);
	return 0;
}

int sys_mkdir(int dir_fd, const char *name, mode_t mode)
{
	const char *last;
	struct disk_node *dir = directory_of(dir_fd, name, &last);

	if (gate(CHANGE, "mkdir", name) != DO_IT || mkdirat(dir_fd, name, mode) < 0)
		return -1;
	if (dir)
		disk_create(dir, last, true);
	return 0;
}

int sys_chown(int fd, uid_t uid, gid_t gid)
{
	return gate(CHANGE, "chown", "") == DO_IT ? fchown(fd, uid, gid) : -1;
}

int sys_chmod(int fd, mode_t mode)
{
	return gate(CHANGE, "chmod", "") == DO_IT ? fchmod(fd, mode) : -1;
}

int sys_fstat(int fd, struct stat *st)
{
	return gate(LOOK, "fstat", "") == DO_IT ? fstat(fd, st) : -1;
}

int sys_stat_at(int dir_fd, const char *name, struct stat *st)
{
	return gate(LOOK, "stat", name) == DO_IT ? fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW) : -1;
}

int sys_fstatfs(int fd, struct statfs *fs)
{
	if (gate(LOOK, "statfs", "") != DO_IT || fstatfs(fd, fs) < 0)
		return -1;
	if (f.filesystem)
		fs->f_type = f.filesystem;
	return 0;
}

/* The disk that is played here has one. */
bool sys_ext4_has_journal(int fd)
{
	(void)fd;
	return true;
}

int sys_flock_exclusive(int fd)
{
	return gate(LOOK, "flock", "") == DO_IT ? flock(fd, LOCK_EX | LOCK_NB) : -1;
}

DIR *sys_opendir(int dir_fd)
{
	DIR *dir;
	int fd;

	if (gate(LOOK, "opendir", "") != DO_IT)
		return NULL;
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir)
		f.open_descriptors++;
	else if (fd >= 0)
		close(fd);
	return dir;
}

struct dirent *sys_readdir(DIR *dir)
{
	if (gate(LOOK, "readdir", "") != DO_IT)
		return NULL;
	errno = 0;
	return readdir(dir);
}

void sys_closedir(DIR *dir)
{
	closedir(dir);
	f.open_descriptors--;
}
