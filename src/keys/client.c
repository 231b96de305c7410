/* SPDX-License-Identifier: ISC */
/* See client.h. Runs in a worker. */
#include "keys/client.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

static struct {
	int line_fd; /* -1: none */
	struct control *control;
	int fd; /* to the key process; -1: not yet, or it is gone */
	const char *trouble;
} asker = { .line_fd = -1, .fd = -1 };

static void hang_up(void)
{
	descriptors_close(&asker.fd);
}

void keys_client_use(int line_fd, struct control *control)
{
	hang_up();
	asker.line_fd = line_fd;
	asker.control = control;
	asker.trouble = NULL;
}

const char *keys_client_trouble(void)
{
	return asker.trouble;
}

void keys_client_forget_trouble(void)
{
	asker.trouble = NULL;
}

/* Until that can be read or written. False: the time is up, or the service stops. */
static bool await(int fd, short events, int64_t deadline_mono_ms)
{
	struct pollfd fds[2] = { { fd, events, 0 }, { asker.control ? asker.control->fd : -1, POLLIN, 0 } };

	for (;;) {
		int64_t left = deadline_mono_ms - clock_mono_ms();

		if (asker.control && asker.control->stopping)
			return false;
		if (poll(fds, 2, left > 0 ? (int)left : 0) > 0 && fds[0].revents)
			return true;
		if (fds[1].revents)
			control_read(asker.control);
		if (left <= 0)
			return false;
	}
}

/* One end of a new pair goes to the key process. While that is being restarted the line's queue may be full. */
static bool connect_to_keys(int64_t deadline_mono_ms)
{
	const struct keys_hello hello = { .version = KEYS_VERSION };
	int pair[2];
	bool sent;

	if (descriptors_pair(pair) < 0)
		return false;
	while (!(sent = descriptors_send(asker.line_fd, &hello, sizeof(hello), &pair[1], 1) == 0))
		if (errno != EAGAIN || !await(asker.line_fd, POLLOUT, deadline_mono_ms))
			break;
	close(pair[1]);
	if (sent)
		asker.fd = pair[0];
	else
		close(pair[0]);
	return sent;
}

enum turn { TURN_ANSWERED, TURN_GONE, TURN_LATE };

static bool is_answer(const struct keys_answer *answer, ssize_t len)
{
	const size_t head = offsetof(struct keys_answer, data);

	return len >= (ssize_t)head && answer->version == KEYS_VERSION && answer->len <= KEYS_ANSWER_MAX &&
	       (size_t)len == head + answer->len;
}

/* The question and its answer. Whatever is not one ends the connection, or it would be out of step for good. */
static enum turn take_turn(const struct keys_request *request, struct keys_answer *answer,
			   int64_t deadline_mono_ms)
{
	size_t len = offsetof(struct keys_request, data) + request->len;
	ssize_t n;

	if (send(asker.fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
		return TURN_GONE;
	if (!await(asker.fd, POLLIN, deadline_mono_ms))
		return TURN_LATE;
	n = recv(asker.fd, answer, sizeof(*answer), 0);
	return is_answer(answer, n) ? TURN_ANSWERED : TURN_GONE;
}

static bool judge(const struct keys_answer *answer)
{
	switch ((enum keys_result)answer->result) {
	case KEYS_DONE:
		asker.trouble = NULL;
		return true;
	case KEYS_REFUSED:
		asker.trouble = "the key process refused to use the private key for that";
		return false;
	case KEYS_FAILED:
		break;
	}
	asker.trouble = "the key process could not use the private key for that";
	return false;
}

bool keys_client_ask(struct keys_request *request, struct keys_answer *answer)
{
	int64_t deadline = clock_mono_ms() + KEYS_WAIT_MS;

	request->version = KEYS_VERSION;
	asker.trouble = "the key process cannot be reached";
	if (asker.line_fd < 0)
		return false;
	/* a connection that was closed meanwhile, one that breaks now, and no more: it may be the question that kills */
	for (int attempt = 0; attempt < 3; attempt++) {
		if (asker.fd < 0 && !connect_to_keys(deadline))
			break;
		switch (take_turn(request, answer, deadline)) {
		case TURN_ANSWERED:
			return judge(answer);
		case TURN_GONE:
			hang_up();
			break;
		case TURN_LATE:
			hang_up();
			asker.trouble = "the key process did not answer in time";
			return false;
		}
	}
	return false;
}
