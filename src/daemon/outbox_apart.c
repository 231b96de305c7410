/* SPDX-License-Identifier: ISC */
/*
 * A file of the outbox played in a child of the worker: what is played may end the process that plays it (a
 * module that crashes on it), again and again, and would else take each new worker along.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "daemon/outbox_internal.h"

/* In the child: its verdict and the reason go to the parent. */
static _Noreturn void play_and_tell(const struct outbox_player *p, struct control *control, int result_fd,
				    int fd, const struct stat *st)
{
	struct buf reason;
	char fate;
	bool told;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* what hangs in it is to end with the worker */
	buf_init(&reason, OUTBOX_REASON_MAX);
	fate = (char)outbox_play_here(p, control, result_fd, fd, st, &reason);
	told = file_write_all(result_fd, &fate, 1) == 0 &&
	       file_write_all(result_fd, reason.data, reason.len) == 0;
	_exit(told ? 0 : 1);
}

/* What the child told. False: it died before it had a verdict. */
static bool take_verdict(const char *text, size_t len, enum outbox_fate *fate, struct buf *reason)
{
	bool in_spool = len > 0 && text[0] == OUTBOX_IN_SPOOL;

	text += in_spool;
	len -= in_spool;
	if (len > 0 && (unsigned char)text[0] <= FATE_REFUSED) {
		*fate = (enum outbox_fate)text[0];
		buf_add(reason, text + 1, len - 1);
		return true;
	}
	if (in_spool) { /* put aside: whether there was more in it nobody knows */
		*fate = FATE_REFUSED;
		buf_adds(reason, "it is in the spool, and behind that ");
	}
	return false;
}

/* Waits for the child's verdict; a stop of ours goes on to it. False: it died without one. */
static bool hear_verdict(const struct outbox_player *p, int result_fd, int control_fd, enum outbox_fate *fate,
			 struct buf *reason)
{
	char text[2 + OUTBOX_REASON_MAX];
	size_t len = 0;
	bool told = false;

	for (;;) {
		struct pollfd fds[2] = { { result_fd, POLLIN, 0 },
					 { told ? -1 : p->control->fd, POLLIN, 0 } };
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			control_read(p->control);
		if (p->control->stopping && !told)
			told = write(control_fd, &(char){ CONTROL_STOP }, 1) == 1;
		if (!fds[0].revents || len == sizeof(text))
			continue;
		n = read(result_fd, text + len, sizeof(text) - len);
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	return take_verdict(text, len, fate, reason);
}

enum outbox_fate outbox_play_apart(const struct outbox_player *p, int fd, const struct stat *st,
				   struct buf *reason)
{
	int result[2] = { -1, -1 }, line[2] = { -1, -1 };
	enum outbox_fate fate = FATE_LATER;
	struct control control;
	pid_t pid = -1;

	if (pipe2(result, O_CLOEXEC) == 0 && control_pair(line) == 0)
		pid = fork();
	if (pid == 0) {
		close(result[0]);
		close(line[1]);
		control_init(&control, line[0], p->control->grace_ms);
		play_and_tell(p, &control, result[1], fd, st);
	}
	if (result[1] >= 0)
		close(result[1]);
	if (pid < 0) {
		buf_addf(reason, "it cannot be played: %s", strerror(errno));
	} else {
		if (!hear_verdict(p, result[0], line[1], &fate, reason)) {
			buf_adds(reason, "the session died in a module");
			p->died(p->died_ctx);
		}
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (int i = 0; i < 2; i++)
		if (line[i] >= 0)
			close(line[i]);
	if (result[0] >= 0)
		close(result[0]);
	return fate;
}
