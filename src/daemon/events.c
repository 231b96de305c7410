/* SPDX-License-Identifier: ISC */
/* See events.h. Runs in the master and the workers, with each line they log. */
#include "daemon/events.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/descriptors.h"
#include "daemon/service.h"

int events_open(int fd[2], struct err *e)
{
	/* packets and not datagrams: these could be sent elsewhere, by who took a worker over */
	if (descriptors_pair(fd) == 0)
		return 0;
	err_set_os(e, errno, "cannot make the line for events to the relay");
	return -1;
}

void events_send(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct service *s = ctx;

	(void)level;
	if (atomic_load_explicit(&s->board->shared->watched, memory_order_relaxed) &&
	    send(s->event_fd[1], line, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		atomic_fetch_add(&s->board->shared->watch_lost, 1);
}
