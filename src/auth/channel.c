/* SPDX-License-Identifier: ISC */
/* See channel.h. */
#include "auth/channel.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

bool channel_send(int fd, const struct buf *message)
{
	return send(fd, message->data, message->len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)message->len;
}

static int wait_ms(int64_t deadline_mono_ms)
{
	int64_t left;

	if (deadline_mono_ms == CLOCK_NEVER)
		return -1;
	left = deadline_mono_ms - clock_mono_ms();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

static enum channel_result take(int fd, struct channel_message *m)
{
	/* MSG_TRUNC: the true length, also of what is too long */
	ssize_t n = recv(fd, m->text, AUTH_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);

	/* told once, before what was sent to us, when the other side closed without having read all */
	if (n < 0 && errno == ECONNRESET)
		n = recv(fd, m->text, AUTH_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return CHANNEL_TIMEOUT;
	if (n <= 0 || n > AUTH_MESSAGE_MAX)
		return CHANNEL_GONE;
	m->at = m->text;
	m->end = m->text + n;
	return CHANNEL_MESSAGE;
}

enum channel_result channel_receive(int fd, struct channel_message *m, int64_t deadline_mono_ms,
				    struct control *control)
{
	for (;;) {
		struct pollfd fds[2] = { { fd, POLLIN, 0 }, { control ? control->fd : -1, POLLIN, 0 } };
		enum channel_result result;
		int n;

		if (control && control->stopping)
			return CHANNEL_STOP;
		n = poll(fds, 2, wait_ms(deadline_mono_ms));
		if (n < 0 && errno != EINTR)
			return CHANNEL_GONE;
		if (n > 0 && fds[1].revents)
			control_read(control);
		if (n > 0 && fds[0].revents) {
			result = take(fd, m);
			if (result != CHANNEL_TIMEOUT)
				return result;
		}
		if (clock_mono_ms() >= deadline_mono_ms)
			return CHANNEL_TIMEOUT;
	}
}

bool channel_next(struct channel_message *m, struct kv_pair *pair, bool *bad)
{
	switch (kv_next(&m->at, m->end, pair)) {
	case KV_PAIR:
		return true;
	case KV_END:
		*bad = false;
		return false;
	case KV_BAD:
		break;
	}
	*bad = true;
	return false;
}
