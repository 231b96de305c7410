/* SPDX-License-Identifier: ISC */
/*
 * The messages that `posthouse send` is given: files, mboxes, Maildirs,
 * folders of .eml files, standard input; one after the other, whatever there
 * is of them. In memory are the names of one folder, and one block of a file.
 */
#ifndef CLI_SEND_SOURCE_H
#define CLI_SEND_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "submit/submit.h"

enum source_format { SOURCE_EML, SOURCE_MBOX, SOURCE_MAILDIR };
#define SOURCE_FORMAT_COUNT (SOURCE_MAILDIR + 1)
extern const char *const source_format_names[SOURCE_FORMAT_COUNT];

struct send_source;

/*
 * path: count of them, "-" is standard input; none: that alone. format NULL: by what each looks like, and
 * standard input is one message. What the pointers point to must outlive it. Opens nothing yet.
 */
struct send_source *send_source_new(char *const *path, size_t count, const enum source_format *format);
void send_source_free(struct send_source *s); /* NULL is allowed */
/* Several messages may come: each is to be told by its name. */
bool send_source_is_many(const struct send_source *s);

enum source_next {
	SOURCE_MESSAGE, /* in *out, to be released */
	SOURCE_REFUSED, /* this one cannot be sent: *why (INVALID, NOBODY) and e; the next one may */
	SOURCE_FAILED, /* a file or a folder could not be read: e; the next one may */
	SOURCE_END
};
enum source_next send_source_next(struct send_source *s, const struct submit_options *options,
				  struct submission *out, enum submit_result *why, struct err *e);
/* Of what came last: "mail/cur/1", "inbox, message 3", "standard input". Valid until the next call. */
const char *send_source_name(const struct send_source *s);

#endif
