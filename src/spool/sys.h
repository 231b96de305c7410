/* SPDX-License-Identifier: ISC */
/*
 * Every system call that touches the spool, so that one file can be audited
 * and a test can stand in for it: tests/spool/ links another implementation
 * that fails or ends the process at the n-th call and forgets what was not
 * synced. Same results and errno as the calls they are named after; EINTR is
 * retried inside. Nothing else in spool/ calls the kernel.
 */
#ifndef SPOOL_SYS_H
#define SPOOL_SYS_H

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

int sys_open(int dir_fd, const char *name, int flags, mode_t mode); /* O_CLOEXEC is added */
int sys_close(int fd);
ssize_t sys_pread(int fd, void *data, size_t cap, off_t offset);
/* All of it, or -1: a short write without an error is continued until one. */
int sys_write_all(int fd, const void *data, size_t len);
int sys_pwrite_all(int fd, const void *data, size_t len, off_t offset);
int sys_fsync(int fd);
int sys_syncfs(int fd);
/* Moves a name; fails with EEXIST when the new one is taken. */
int sys_rename_exclusive(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name);
/* Moves a name, replacing what has the new one. */
int sys_rename_replace(int old_dir_fd, const char *old_name, int new_dir_fd, const char *new_name);
int sys_unlink(int dir_fd, const char *name);
int sys_mkdir(int dir_fd, const char *name, mode_t mode);
int sys_chown(int fd, uid_t uid, gid_t gid);
int sys_chmod(int fd, mode_t mode);
int sys_chown_at(int dir_fd, const char *name, uid_t uid, gid_t gid); /* for what cannot be opened: a socket */
int sys_chmod_at(int dir_fd, const char *name, mode_t mode);
int sys_fstat(int fd, struct stat *st);
int sys_stat_at(int dir_fd, const char *name, struct stat *st); /* does not follow a symbolic link */
int sys_fstatfs(int fd, struct statfs *fs);
/* Whether the ext4 file system of fd is seen to have a journal of its own; no, when that cannot be seen. */
bool sys_ext4_has_journal(int fd);
int sys_flock_exclusive(int fd); /* EWOULDBLOCK when another holds it */
DIR *sys_opendir(int dir_fd); /* a fresh listing of an open directory; sys_closedir ends it */
struct dirent *sys_readdir(DIR *dir); /* NULL with errno 0 at the end */
void sys_closedir(DIR *dir);

#endif
