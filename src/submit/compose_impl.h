/* SPDX-License-Identifier: ISC */
/* What compose.c and compose_attach.c share: a message on its way out. */
#ifndef SUBMIT_COMPOSE_IMPL_H
#define SUBMIT_COMPOSE_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "submit/compose.h"

#define COMPOSE_BLOCK (48u << 10) /* of a file; as base64 it is a third more, and line ends */

struct composing {
	const struct compose *c;
	const struct compose_sink *sink;
	struct compose_result *result;
	struct buf head; /* of the message or of a part, before it goes out */
	char *block;
	bool owes_line_end; /* what went out last ends with a line end of its own */
};

/* False: no more is wanted. */
bool compose_put(struct composing *m, const char *data, size_t len);
/* The same, and b is empty afterwards. */
bool compose_put_buf(struct composing *m, struct buf *b);
/* SUBMIT_INVALID, and e */
enum submit_result compose_too_long(struct err *e);
bool compose_is_utf8(const struct compose_text *text);
/* Its fields, the empty line, and the file. */
enum submit_result compose_put_attachment(struct composing *m, const struct compose_attachment *a,
					  struct err *e);

#endif
