/* SPDX-License-Identifier: ISC */
/* JSON as Posthouse writes it: pure printable ASCII, whatever strangers sent. Over jansson. */
#ifndef MANAGE_JSON_H
#define MANAGE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A string of strangers' octets: what is not UTF-8 becomes U+FFFD. */
json_t *json_text(const char *text, size_t len);
json_t *json_text_or_null(const char *text); /* NULL: null */
json_t *json_seconds_or_null(int64_t wall_us); /* since 1970, with a fraction; 0: null */
/* Into an object; the reference is stolen. Can only fail for memory, which ends the process. */
void json_put_key(json_t *object, const char *key, json_t *value);

/* Its text in pieces, with jansson's flags, in ASCII; -1 when `write` said so. */
int json_write(const json_t *value, size_t flags, json_dump_callback_t write, void *ctx);
/* Appends it and a newline, compact; false when it does not fit. */
bool json_add_line(const json_t *value, struct buf *out);

#endif
