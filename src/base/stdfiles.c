/* SPDX-License-Identifier: ISC */
/* See stdfiles.h. */
#include "base/stdfiles.h"

#include <fcntl.h>
#include <unistd.h>

void stdfiles_open(void)
{
	int fd;

	for (int wanted = STDIN_FILENO; wanted <= STDERR_FILENO; wanted++) {
		if (fcntl(wanted, F_GETFD) >= 0)
			continue;
		/* the lowest free number, so this one; without a /dev/null it stays as it was */
		fd = open("/dev/null", wanted == STDIN_FILENO ? O_WRONLY : O_RDONLY);
		if (fd >= 0 && fd != wanted)
			close(fd);
	}
}
