/* SPDX-License-Identifier: ISC */
/* See sink.h. */
#include "base/sink.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void sink_init(struct sink *s, int fd)
{
	s->fd = fd;
	s->os_error = 0;
	s->len = 0;
}

static void write_all(struct sink *s, const char *data, size_t len)
{
	while (len > 0 && !s->os_error) {
		ssize_t n = write(s->fd, data, len);

		if (n < 0 && errno != EINTR)
			s->os_error = errno;
		if (n <= 0)
			continue;
		data += n;
		len -= (size_t)n;
	}
}

int sink_flush(struct sink *s)
{
	write_all(s, s->data, s->len);
	s->len = 0;
	return s->os_error ? -1 : 0;
}

void sink_put(struct sink *s, const void *data, size_t len)
{
	if (len > sizeof(s->data) - s->len)
		sink_flush(s);
	if (len >= sizeof(s->data)) {
		write_all(s, data, len);
	} else {
		memcpy(s->data + s->len, data, len);
		s->len += len;
	}
}

void sink_puts(struct sink *s, const char *text)
{
	sink_put(s, text, strlen(text));
}
