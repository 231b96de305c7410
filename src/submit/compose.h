/* SPDX-License-Identifier: ISC */
/*
 * A message built from its parts (RFC 5322, MIME): header fields, a text, the
 * same as HTML, attached files. Files are read while the message goes out, so
 * their size is not memory. Date and Message-ID are not made here but by
 * whoever takes it in (submit.h).
 */
#ifndef SUBMIT_COMPOSE_H
#define SUBMIT_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "submit/mime.h"
#include "submit/submit.h"

#define COMPOSE_TEXT_MAX (64u << 20) /* octets of a text; larger ones are attachments */

struct compose_list {
	char *const *item;
	size_t count;
};

struct compose_text {
	const char *data; /* line ends of any kind; NULL: there is none */
	size_t len;
};

struct compose_attachment {
	const char *path; /* "-": standard input */
	const char *type; /* NULL: by name */
	const char *name; /* shown to the recipient; NULL: the last part of path */
};

struct compose {
	const char *from; /* one address, or authors; NULL: the field is left to the submission */
	const char *subject; /* NULL: none */
	struct compose_list to, cc, reply_to; /* lists of addresses each */
	struct compose_list fields; /* "Name: value" */
	struct compose_text text, html; /* both: alternatives of which one is shown */
	const char *charset; /* of both; NULL: UTF-8, and then they must be that */
	enum mime_encoding encoding; /* of both; AUTO: what fits */
	const struct compose_attachment *attachment;
	size_t attachment_count;
};

/* Gets the message piece by piece, its texts with the line ends they have; false: no more is wanted. */
struct compose_sink {
	bool (*write)(void *ctx, const char *data, size_t len);
	void *ctx;
};

struct compose_result {
	bool utf8; /* an address of the header is not ASCII: the message needs SMTPUTF8 (RFC 6532) */
	bool stopped; /* by the sink; then the result is SUBMIT_OK, though not all was written */
};

/* SUBMIT_INVALID: a part cannot be in a message, SUBMIT_FAILED: a file cannot be read; e says which. */
enum submit_result compose_write(const struct compose *c, const struct compose_sink *sink,
				 struct compose_result *result, struct err *e);
/* Builds it as a submission; as submission_read. */
enum submit_result compose_submission(const struct compose *c, struct submission *s,
				      const struct submit_options *options, struct err *e);

#endif
