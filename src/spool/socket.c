/* SPDX-License-Identifier: ISC */
/* See socket.h. Listening runs in the relay, with its rights; connecting in the operator's command. */
#include "spool/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "spool/sys.h"

#define BACKLOG 32
#define STAGED_MAX 32

/* The spool is open as dir_fd: by its path where that fits, else through the descriptor. */
static struct sockaddr_un address_of(int dir_fd, const char *path, const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", path, name);

	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d/%.32s", dir_fd, name);
	return un;
}

static int make(const struct spool *s, int fd, const char *staged, gid_t gid)
{
	struct sockaddr_un un = address_of(s->root_fd, s->path, staged);
	mode_t mask;
	int r;

	(void)sys_unlink(s->root_fd, staged);
	mask = umask(0177); /* nobody else meets it before it has its group */
	r = bind(fd, (const struct sockaddr *)&un, sizeof(un));
	umask(mask);
	if (r < 0)
		return -1;
	if (gid != (gid_t)-1 &&
	    (sys_chown_at(s->root_fd, staged, (uid_t)-1, gid) < 0 || sys_chmod_at(s->root_fd, staged, 0660) < 0))
		return -1;
	return listen(fd, BACKLOG);
}

int spool_socket_listen(const struct spool *s, const char *name, gid_t gid, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char staged[STAGED_MAX];

	snprintf(staged, sizeof(staged), "%.27s.new", name);
	if (fd >= 0 && make(s, fd, staged, gid) == 0 &&
	    sys_rename_replace(s->root_fd, staged, s->root_fd, name) == 0)
		return fd;
	if (gid != (gid_t)-1)
		err_set_os(e, errno, "%s/%s: cannot make this socket for group id %ld", s->path, name, (long)gid);
	else
		err_set_os(e, errno, "%s/%s: cannot make this socket", s->path, name);
	if (fd >= 0)
		close(fd);
	(void)sys_unlink(s->root_fd, staged);
	return -1;
}

void spool_socket_remove(const char *spool_path, const char *name)
{
	int dir_fd = sys_open(AT_FDCWD, spool_path, O_PATH | O_DIRECTORY, 0);

	if (dir_fd < 0)
		return;
	(void)sys_unlink(dir_fd, name);
	sys_close(dir_fd);
}

int spool_socket_connect(const char *spool_path, const char *name, gid_t *gid, struct err *e)
{
	int dir_fd = sys_open(AT_FDCWD, spool_path, O_PATH | O_DIRECTORY, 0), fd = -1;
	struct sockaddr_un un;
	struct stat st;

	*gid = (gid_t)-1;
	if (dir_fd < 0)
		goto fail;
	if (sys_stat_at(dir_fd, name, &st) == 0)
		*gid = st.st_gid;
	un = address_of(dir_fd, spool_path, name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&un, sizeof(un)) < 0)
		goto fail;
	sys_close(dir_fd);
	return fd;
fail:
	err_set_os(e, errno, "%s/%s: cannot connect", spool_path, name);
	if (fd >= 0)
		close(fd);
	if (dir_fd >= 0)
		sys_close(dir_fd);
	return -1;
}
