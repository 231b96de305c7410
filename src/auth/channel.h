/* SPDX-License-Identifier: ISC */
/* Messages of an exchange (protocol.h) over its socket, for both ends. */
#ifndef AUTH_CHANNEL_H
#define AUTH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/protocol.h"
#include "base/buf.h"
#include "base/control.h"
#include "base/kv.h"

/* Never waits: both sides speak in turns, so there is room. False: it cannot be sent. */
bool channel_send(int fd, const struct buf *message);

enum channel_result {
	CHANNEL_MESSAGE,
	CHANNEL_GONE, /* the other side closed, or sent what is no message */
	CHANNEL_TIMEOUT,
	CHANNEL_STOP /* the service stops */
};

struct channel_message {
	char text[AUTH_MESSAGE_MAX + 1];
	char *at, *end; /* for kv_next */
};

/* One message. control may be NULL. Descriptors that come with it are not taken. */
enum channel_result channel_receive(int fd, struct channel_message *m, int64_t deadline_mono_ms,
				    struct control *control);
/* The next pair of it; false at the end, and when the rest is not of this notation (*bad). */
bool channel_next(struct channel_message *m, struct kv_pair *pair, bool *bad);

#endif
