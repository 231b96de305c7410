/* SPDX-License-Identifier: ISC */
/*
 * The directories of a spool: making them with the right owners (master, as
 * root if it is), opening them (worker, relay, CLI), the lock.
 *
 * Owners, when workers and relay are different users:
 *   SPOOL           relay : worker group   0711
 *   incoming queue  relay : worker group  03730  workers create, cannot list, cannot remove what
 *                                                other users made; setgid, so that what root makes
 *                                                there (posthouse send) is for the relay too
 *   message files   worker: worker group   0040  the relay reads by its membership in the group;
 *                                                the owner class denies the workers themselves
 *   its own reports relay : worker group   0600  made by the relay, or by root's command for it
 *   state corrupt   relay : relay group    0750
 *   lock            root                   0600  who could open it could hold it
 * With one user for all: 0700 and 0600, but for SPOOL, which those who may use the relay's sockets pass
 * through, unless we are that user already.
 *
 * All workers are one user to the kernel. A hostile one may give itself the right to read, or
 * remove, a message of another worker whose ID it knows; it cannot list them.
 */
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "spool/sys.h"

#define MODE_DROP_BOX 03730
#define MODE_MESSAGE_SHARED 0040
#define MODE_MESSAGE_PRIVATE 0600

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static const struct directory {
	const char *name;
	size_t fd_offset;
	bool for_workers;
} directories[] = {
	{ "incoming", offsetof(struct spool, incoming_fd), true },
	{ "queue", offsetof(struct spool, queue_fd), true },
	{ "state", offsetof(struct spool, state_fd), false },
	{ "corrupt", offsetof(struct spool, corrupt_fd), false },
};
#define DIRECTORIES (sizeof(directories) / sizeof(*directories))

static int *directory_fd(struct spool *s, const struct directory *d)
{
	return (int *)(void *)((char *)s + d->fd_offset);
}

/* ---- preparing (master) ---------------------------------------------------- */

/* mkdir -p for the parents, so that the default private spool works in a fresh home. */
static int make_parents(const char *path, struct err *e)
{
	char *copy = mem_strdup(path);
	int r = 0;

	for (char *slash = strchr(copy + 1, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (sys_mkdir(AT_FDCWD, copy, 0755) < 0 && errno != EEXIST) {
			err_set_os(e, errno, "%s: cannot make this directory for the spool", copy);
			r = -1;
		}
		*slash = '/';
	}
	free(copy);
	return r;
}

/*
 * Makes the name of the spool durable, and those of its parents, which may be new: a power cut
 * must not forget the way to acknowledged mail.
 */
static int sync_parents(const char *path, int root_fd, struct err *e)
{
	char *copy = mem_strdup(path);
	bool at_top = false;
	int r = 0;

	while (r == 0 && !at_top) {
		char *slash = strrchr(copy, '/');
		const char *parent = slash == copy ? "/" : slash ? copy : ".";
		int fd;

		at_top = !slash || slash == copy;
		if (slash)
			*slash = '\0';
		fd = sys_open(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, 0);
		if (fd < 0) { /* a user may pass through it and not list it: then all that is there, once */
			r = sys_syncfs(root_fd);
			at_top = true;
		} else {
			/* EINVAL: a file system without fsync of directories */
			r = sys_fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
		}
		if (r < 0)
			err_set_os(e, errno, "%s: cannot sync this directory", parent);
		if (fd >= 0)
			sys_close(fd);
	}
	free(copy);
	return r;
}

/* Makes or adopts one directory; refuses one that others could have prepared for us. */
static int prepare_directory(int at_fd, const char *name, const char *shown, uid_t uid, gid_t gid, mode_t mode,
			     int *fd, struct err *e)
{
	uid_t wanted_uid = uid == (uid_t)-1 ? geteuid() : uid;
	bool made = sys_mkdir(at_fd, name, 0700) == 0;
	struct stat st;

	if (!made && errno != EEXIST) {
		err_set_os(e, errno, "%s: cannot make this directory for the spool", shown);
		return -1;
	}
	*fd = sys_open(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (*fd < 0 || sys_fstat(*fd, &st) < 0) {
		err_set_os(e, errno, "%s: cannot open this directory of the spool", shown);
		return -1;
	}
	if (!made && st.st_uid != wanted_uid && st.st_uid != 0) {
		err_set(e, "%s: belongs to user id %ld, not to %ld: chown it or name another spool", shown,
			(long)st.st_uid, (long)wanted_uid);
		return -1;
	}
	if (!made && (st.st_mode & 0002)) {
		err_set(e, "%s: is writable by everyone (mode %04o): chmod o-w it, then look at what is in it", shown,
			(unsigned)st.st_mode & 07777);
		return -1;
	}
	/* as root owners are put right at each start; as a user they are ours already */
	if (geteuid() == 0 && uid != (uid_t)-1 && sys_chown(*fd, uid, gid) < 0) {
		err_set_os(e, errno, "%s: cannot change the owner", shown);
		return -1;
	}
	if ((made || st.st_uid == geteuid() || geteuid() == 0) && sys_chmod(*fd, mode) < 0) {
		err_set_os(e, errno, "%s: cannot change the mode", shown);
		return -1;
	}
	return 0;
}

int spool_prepare(const char *path, uid_t relay_uid, gid_t relay_gid, gid_t worker_gid, struct err *e)
{
	bool shared = worker_gid != relay_gid;
	char shown[4096];
	int root_fd = -1, fd = -1, r;

	if (make_parents(path, e) < 0)
		return -1;
	r = prepare_directory(AT_FDCWD, path, path, relay_uid, shared ? worker_gid : relay_gid,
			      relay_uid == (uid_t)-1 ? 0700 : 0711, &root_fd, e);
	for (size_t i = 0; r == 0 && i < DIRECTORIES; i++) {
		const struct directory *d = &directories[i];
		bool to_workers = shared && d->for_workers;

		snprintf(shown, sizeof(shown), "%s/%s", path, d->name);
		r = prepare_directory(root_fd, d->name, shown, relay_uid, to_workers ? worker_gid : relay_gid,
				      to_workers ? MODE_DROP_BOX : shared ? 0750 : 0700, &fd, e);
		if (fd >= 0)
			sys_close(fd);
		fd = -1;
	}
	/* the new directories must not be forgotten by a power cut after the first 250 */
	if (r == 0 && sys_fsync(root_fd) < 0) {
		err_set_os(e, errno, "%s: cannot sync this directory", path);
		r = -1;
	}
	if (r == 0)
		r = sync_parents(path, root_fd, e);
	if (root_fd >= 0)
		sys_close(root_fd);
	return r;
}

/* ---- opening --------------------------------------------------------------- */

enum journal { JOURNAL_NONE, JOURNAL_OF_NAMES, JOURNAL_BTRFS };

/* Without a journal ext4 (and ext2, which has its magic number) keeps no order of names, and promises less. */
static enum journal journal_of(const struct spool *s)
{
	struct statfs fs;

	if (sys_fstatfs(s->root_fd, &fs) < 0)
		return JOURNAL_NONE;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
		return sys_ext4_has_journal(s->root_fd) ? JOURNAL_OF_NAMES : JOURNAL_NONE;
	case XFS_SUPER_MAGIC:
		return JOURNAL_OF_NAMES;
	case BTRFS_SUPER_MAGIC:
		return JOURNAL_BTRFS;
	default:
		return JOURNAL_NONE;
	}
}

/* Whom the spool belongs to, where that is not root who looks at it. */
static int find_owner(struct spool *s, const struct stat *queue)
{
	struct stat st = *queue;

	s->give_uid = (uid_t)-1;
	if (geteuid() != 0 || queue->st_uid == 0)
		return 0;
	/* the workers' group is that of queue/; all else is the relay's alone */
	if (s->state_fd >= 0 && sys_fstat(s->state_fd, &st) < 0)
		return -1;
	s->give_uid = queue->st_uid;
	s->give_gid = st.st_gid;
	return 0;
}

int spool_give(const struct spool *s, int fd)
{
	return s->give_uid == (uid_t)-1 ? 0 : sys_chown(fd, s->give_uid, s->give_gid);
}

int spool_create_file(const struct spool *s, int dir_fd, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, fd;

	/* what is there may have been put there by the relay, to be written and given away by root: ours is new */
	if (s->give_uid != (uid_t)-1) {
		(void)sys_unlink(dir_fd, name);
		flags |= O_EXCL;
	}
	fd = sys_open(dir_fd, name, flags, 0640);
	if (fd >= 0 && spool_give(s, fd) < 0) {
		int os_error = errno;

		sys_close(fd);
		errno = os_error;
		return -1;
	}
	return fd;
}

int spool_open(struct spool *s, const char *path, enum spool_access access, enum spool_sync sync, struct err *e)
{
	enum journal journal;
	struct stat st;

	memset(s, 0, sizeof(*s));
	s->root_fd = s->incoming_fd = s->queue_fd = s->state_fd = s->corrupt_fd = -1;
	s->path = mem_strdup(path);
	s->root_fd = sys_open(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (s->root_fd < 0) {
		err_set_os(e, errno, "%s: cannot open the spool", path);
		goto fail;
	}
	for (size_t i = 0; i < DIRECTORIES; i++) {
		const struct directory *d = &directories[i];
		int *fd = directory_fd(s, d);

		if (access == SPOOL_CREATE && !d->for_workers)
			continue;
		*fd = sys_open(s->root_fd, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		/* a worker may not list: then a descriptor that can only name things must do */
		if (*fd < 0 && errno == EACCES && access == SPOOL_CREATE)
			*fd = sys_open(s->root_fd, d->name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
		if (*fd < 0) {
			err_set_os(e, errno, "%s/%s: cannot open this directory of the spool", path, d->name);
			goto fail;
		}
	}
	if (sys_fstat(s->queue_fd, &st) < 0 || find_owner(s, &st) < 0) {
		err_set_os(e, errno, "%s/queue: cannot look at this directory of the spool", path);
		goto fail;
	}
	/* what the relay makes it must read as the owner, and the group, the workers, must not */
	s->shared = st.st_mode & S_IWGRP;
	s->message_mode = access != SPOOL_MANAGE && s->shared ? MODE_MESSAGE_SHARED : MODE_MESSAGE_PRIVATE;
	journal = journal_of(s);
	/* both kinds log a new name together with the file when that file is synced: txn.c has the argument */
	s->sync_directory = sync == SPOOL_SYNC_STRICT || (sync == SPOOL_SYNC_AUTO && journal == JOURNAL_NONE);
	/*
	 * No change of names can reach the disk before an older one. Not on btrfs: a name that only its log tree
	 * holds, for it was fsynced since the last full commit, is taken out of it when it is removed, and the next
	 * fsync of anybody writes that, ahead of an older removal of a committed name.
	 */
	s->keep_order = sync == SPOOL_SYNC_STRICT || journal != JOURNAL_OF_NAMES;
	return 0;
fail:
	spool_close(s);
	return -1;
}

void spool_close(struct spool *s)
{
	for (size_t i = 0; i < DIRECTORIES; i++) {
		int *fd = directory_fd(s, &directories[i]);

		if (*fd >= 0)
			sys_close(*fd);
		*fd = -1;
	}
	if (s->root_fd >= 0)
		sys_close(s->root_fd);
	s->root_fd = -1;
	free(s->path);
	s->path = NULL;
}

/*
 * Our pid, of fixed width so that it covers the last holder's. It is for
 * people, the lock is the flock: a full disk that does not take it does not
 * keep us from starting.
 */
static void write_holder(int lock_fd)
{
	char name[40], text[24];
	int n = snprintf(text, sizeof(text), "%-15ld\n", (long)getpid());
	int fd;

	/* the file that we have looked at, not what may have its name by now */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", lock_fd);
	fd = sys_open(AT_FDCWD, name, O_WRONLY, 0);
	if (fd < 0)
		return;
	(void)sys_write_all(fd, text, (size_t)n);
	sys_close(fd);
}

int spool_lock(const char *path, struct err *e)
{
	char *name = mem_printf("%s/lock", path);
	char holder[24] = "";
	/* read only, so that holding it does not keep the file system from being remounted read-only */
	int fd = sys_open(AT_FDCWD, name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || sys_fstat(fd, &st) < 0) {
		err_set_os(e, errno, "%s: cannot open the lock", name);
		if (fd >= 0)
			sys_close(fd);
		fd = -1;
	} else if (!S_ISREG(st.st_mode) || st.st_nlink != 1) {
		/* the directory belongs to the relay, and root is about to write into this */
		err_set(e, "%s: is not a regular file with one name: remove it", name);
		sys_close(fd);
		fd = -1;
	} else if (sys_flock_exclusive(fd) < 0) {
		ssize_t got = errno == EWOULDBLOCK ? sys_pread(fd, holder, sizeof(holder) - 1, 0) : -1;

		if (got < 0) {
			err_set_os(e, errno, "%s: cannot take the lock", name);
		} else {
			holder[strcspn(holder, " \n")] = '\0';
			err_set(e, "%s: this spool is in use by process %s: stop it first, or name another spool",
				path, holder[0] ? holder : "(unknown)");
		}
		sys_close(fd);
		fd = -1;
	} else {
		write_holder(fd);
	}
	free(name);
	return fd;
}

int spool_free_bytes(const struct spool *s, uint64_t *bytes, struct err *e)
{
	struct statfs fs;

	if (sys_fstatfs(s->queue_fd, &fs) < 0) {
		err_set_os(e, errno, "%s: cannot ask for the free space", s->path);
		return -1;
	}
	*bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	return 0;
}

const char *spool_filesystem(const struct spool *s, bool *is_volatile)
{
	static const struct {
		unsigned long magic;
		const char *name;
		bool is_volatile;
	} known[] = {
		{ EXT4_SUPER_MAGIC, "ext4", false },
		{ XFS_SUPER_MAGIC, "xfs", false },
		{ BTRFS_SUPER_MAGIC, "btrfs", false },
		{ TMPFS_MAGIC, "tmpfs", true },
		{ RAMFS_MAGIC, "ramfs", true },
		{ OVERLAYFS_SUPER_MAGIC, "overlay", true },
		{ NFS_SUPER_MAGIC, "nfs", false },
		{ F2FS_SUPER_MAGIC, "f2fs", false },
	};
	struct statfs fs;

	*is_volatile = false;
	if (sys_fstatfs(s->root_fd, &fs) < 0)
		return "unknown";
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if ((unsigned long)fs.f_type == known[i].magic) {
			*is_volatile = known[i].is_volatile;
			return known[i].name;
		}
	}
	return "other";
}
