/* SPDX-License-Identifier: ISC */
/* See background.h. Runs in the master. */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void wait_for_child(int fd)
{
	char text[sizeof(((struct err *)0)->text)];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) != 0) {
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			break;
		/* not until the end of file: children of the service hold the line too */
		if (len > 0 && text[0] == '\0')
			_exit(EXIT_SUCCESS);
	}
	if (len > 0)
		fprintf(stderr, "posthoused: %.*s\n", (int)len, text);
	else
		fprintf(stderr, "posthoused: the service ended before it was ready: its log says why\n");
	_exit(EXIT_FAILURE);
}

static void detach(bool keep_stderr)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < (keep_stderr ? 2 : 3) && null_fd >= 0; fd++)
		dup2(null_fd, fd);
	if (null_fd > 2)
		close(null_fd);
	setsid();
	if (chdir("/") < 0) {
		/* it only keeps a file system busy */
	}
}

int background_begin(struct background *bg, bool keep_stderr, struct err *e)
{
	int line[2];
	pid_t pid;

	if (pipe2(line, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		err_set_os(e, errno, "cannot go into the background");
		return -1;
	}
	if (pid > 0) {
		close(line[1]);
		wait_for_child(line[0]);
	}
	close(line[0]);
	bg->ready_fd = line[1];
	detach(keep_stderr);
	return 0;
}

void background_ready(void *ctx)
{
	struct background *bg = ctx;

	if (bg->ready_fd < 0)
		return;
	if (write(bg->ready_fd, "", 1) < 0) {
		/* who started us did not wait */
	}
	close(bg->ready_fd);
	bg->ready_fd = -1;
}

void background_failed(struct background *bg, const struct err *e)
{
	if (bg->ready_fd < 0)
		return;
	if (write(bg->ready_fd, e->text, strlen(e->text)) < 0) {
		/* who started us did not wait */
	}
	close(bg->ready_fd);
	bg->ready_fd = -1;
}
