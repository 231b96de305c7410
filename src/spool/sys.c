/* SPDX-License-Identifier: ISC */
/* See sys.h: the real system calls. */
#include "spool/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define RETRY(call)                                     \
	({                                              \
		__typeof__(call) result_;               \
		do                                      \
			result_ = (call);               \
		while (result_ == -1 && errno == EINTR); \
		result_;                                \
	})

int sys_open(int dir_fd, const char *name, int flags, mode_t mode)
{
	return RETRY(openat(dir_fd, name, flags | O_CLOEXEC, mode));
}

int sys_close(int fd)
{
	/* not retried: Linux has closed it even when it says EINTR */
	return close(fd);
}

ssize_t sys_pread(int fd, void *data, size_t cap, off_t offset)
{
	return RETRY(pread(fd, data, cap, offset));
}

/* A write of nothing without an error would be tried for ever. */
static bool wrote_some(ssize_t n)
{
	if (n == 0)
		errno = EIO;
	return n > 0;
}

int sys_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = RETRY(write(fd, p, len));

		if (!wrote_some(n))
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int sys_pwrite_all(int fd, const void *data, size_t len, off_t offset)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = RETRY(pwrite(fd, p, len, offset));

		if (!wrote_some(n))
			return -1;
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

int sys_fsync(int fd)
{
	return RETRY(fsync(fd));
}

int sys_syncfs(int fd)
{
	return RETRY(syncfs(fd));
}

int sys_rename_exclusive(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name)
{
	int r = RETRY(renameat2(old_dir_fd, old_name, new_dir_fd, new_name, RENAME_NOREPLACE));
	int os_error;

	if (r == 0 || (errno != EINVAL && errno != ENOSYS))
		return r;
	/* a file system without RENAME_NOREPLACE: two names for a moment, never none */
	if (RETRY(linkat(old_dir_fd, old_name, new_dir_fd, new_name, 0)) < 0)
		return -1;
	if (RETRY(unlinkat(old_dir_fd, old_name, 0)) == 0)
		return 0;
	/* who hears of a failure expects the old name */
	os_error = errno;
	(void)unlinkat(new_dir_fd, new_name, 0);
	errno = os_error;
	return -1;
}

int sys_rename_replace(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name)
{
	return RETRY(renameat(old_dir_fd, old_name, new_dir_fd, new_name));
}

int sys_unlink(int dir_fd, const char *name)
{
	return RETRY(unlinkat(dir_fd, name, 0));
}

int sys_mkdir(int dir_fd, const char *name, mode_t mode)
{
	return RETRY(mkdirat(dir_fd, name, mode));
}

int sys_chown(int fd, uid_t uid, gid_t gid)
{
	return RETRY(fchown(fd, uid, gid));
}

int sys_chmod(int fd, mode_t mode)
{
	return RETRY(fchmod(fd, mode));
}

int sys_chown_at(int dir_fd, const char *name, uid_t uid, gid_t gid)
{
	return RETRY(fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

int sys_chmod_at(int dir_fd, const char *name, mode_t mode)
{
	return RETRY(fchmodat(dir_fd, name, mode, 0));
}

int sys_fstat(int fd, struct stat *st)
{
	return fstat(fd, st);
}

int sys_stat_at(int dir_fd, const char *name, struct stat *st)
{
	return RETRY(fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW));
}

int sys_fstatfs(int fd, struct statfs *fs)
{
	return RETRY(fstatfs(fd, fs));
}

bool sys_ext4_has_journal(int fd)
{
	char link[64], device[256], journal[320];
	const char *name;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return false;
	/* .../block/sda/sda1: the last part is what the kernel calls the device; its journal is inode 8 */
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	n = readlink(link, device, sizeof(device) - 1);
	if (n < 0)
		return false;
	device[n] = '\0';
	name = strrchr(device, '/');
	snprintf(journal, sizeof(journal), "/proc/fs/jbd2/%s-8", name ? name + 1 : device);
	return stat(journal, &st) == 0;
}

int sys_flock_exclusive(int fd)
{
	return RETRY(flock(fd, LOCK_EX | LOCK_NB));
}

DIR *sys_opendir(int dir_fd)
{
	/* opened anew, not dup()ed: a duplicate would share the position */
	int fd = sys_open(dir_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *dir;

	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		sys_close(fd);
	return dir;
}

struct dirent *sys_readdir(DIR *dir)
{
	errno = 0;
	return readdir(dir);
}

void sys_closedir(DIR *dir)
{
	closedir(dir);
}
