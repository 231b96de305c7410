/* SPDX-License-Identifier: ISC */
/* See content_file.h. Runs in a worker. */
#include "handler/content_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

void content_file_init(struct content_file *f)
{
	f->fd = -1;
	f->size = 0;
}

void content_file_close(struct content_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	content_file_init(f);
}

/* The client hears a class of trouble, the operator the reason. */
static enum handler_verdict refuse(int os_error, struct smtp_reply *reply)
{
	log_msg(LOG_LEVEL_ERROR, "content_error", "no temporary file for a message in TMPDIR or /tmp: %s",
		strerror(os_error));
	if (os_error == ENOSPC || os_error == EDQUOT || os_error == EFBIG)
		smtp_reply_set(reply, 452, "4.3.1", "Insufficient system storage");
	else
		smtp_reply_set(reply, 451, "4.3.0", "Error: message could not be stored");
	return HANDLER_REFUSE;
}

enum handler_verdict content_file_begin(struct content_file *f, struct smtp_reply *reply)
{
	if (f->fd < 0)
		f->fd = file_open_unnamed();
	if (f->fd < 0 || lseek(f->fd, 0, SEEK_SET) != 0 || ftruncate(f->fd, 0) != 0)
		return refuse(errno, reply);
	sink_init(&f->sink, f->fd);
	f->size = 0;
	return HANDLER_ACCEPT;
}

enum handler_verdict content_file_put(struct content_file *f, const char *data, size_t len,
				      struct smtp_reply *reply)
{
	sink_put(&f->sink, data, len);
	f->size += len;
	return f->sink.os_error ? refuse(f->sink.os_error, reply) : HANDLER_ACCEPT;
}

enum handler_verdict content_file_end(struct content_file *f, struct smtp_reply *reply)
{
	return sink_flush(&f->sink) != 0 ? refuse(f->sink.os_error, reply) : HANDLER_ACCEPT;
}

void content_file_clear(struct content_file *f)
{
	if (f->fd >= 0 && ftruncate(f->fd, 0) != 0)
		content_file_close(f);
	f->size = 0;
}
