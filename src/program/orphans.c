/* SPDX-License-Identifier: ISC */
/* See orphans.h. A look through /proc: only done when there are children that nobody knows. */
#include "program/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Field 4 of /proc/PID/stat: behind the name, which may hold anything. -1: it is gone. */
static pid_t parent_of(const char *pid)
{
	char name[64], text[512], *end;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%.20s/stat", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : -1;
}

unsigned orphans_kill(bool (*known)(void *ctx, pid_t pid), void *ctx)
{
	DIR *all = opendir("/proc");
	struct dirent *entry;
	unsigned count = 0;

	while (all && (entry = readdir(all))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || parent_of(entry->d_name) != getpid() || (known && known(ctx, pid)))
			continue;
		/* nobody but us reaps it, so the number is still its own */
		count += kill(pid, SIGKILL) == 0;
	}
	if (all)
		closedir(all);
	return count;
}
