/* SPDX-License-Identifier: ISC */
/*
 * The content of a message in a file without a name until its end has come: so
 * that memory does not grow with it, and nothing is done with a message that is
 * broken off. One for all messages of a handler.
 */
#ifndef HANDLER_CONTENT_FILE_H
#define HANDLER_CONTENT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "handler/handler.h"
#include "base/sink.h"

struct content_file {
	int fd; /* -1 until the first message */
	uint64_t size; /* octets of the content */
	struct sink sink;
};

void content_file_init(struct content_file *f);
void content_file_close(struct content_file *f);

/*
 * A new message. The verdict of each: HANDLER_REFUSE fills the reply (451, 452 when the disk is full) and
 * logs why.
 */
enum handler_verdict content_file_begin(struct content_file *f, struct smtp_reply *reply);
enum handler_verdict content_file_put(struct content_file *f, const char *data, size_t len,
				      struct smtp_reply *reply);
/* All of it is in the file now. */
enum handler_verdict content_file_end(struct content_file *f, struct smtp_reply *reply);
/* Gives its space back; nothing when nothing was begun. */
void content_file_clear(struct content_file *f);

#endif
