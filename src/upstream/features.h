/* SPDX-License-Identifier: ISC */
/* What an EHLO reply announces (RFC 5321 4.1.1.1), as struct upstream_features. Pure. */
#ifndef UPSTREAM_FEATURES_H
#define UPSTREAM_FEATURES_H

#include <stddef.h>

#include "upstream/upstream.h"

/*
 * Notes one keyword line of an EHLO reply, without code and line end
 * ("SIZE 35882577"). Unknown keywords are skipped. The first line of the
 * reply is the server's name and greeting, not a keyword: do not pass it.
 * discard: a set of extensions (SMTP_EXTENSION_BIT) to be skipped, too.
 */
void upstream_features_note(struct upstream_features *f, const char *line, size_t len, unsigned discard);

#endif
