/* SPDX-License-Identifier: ISC */
/* Small things about JSON that jansson leaves to us; writing it out is in listing.h. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdint.h>

#include <jansson.h>

#include "cli/listing.h"

/* Fresh objects and values only: cannot fail but for memory. The value's reference is stolen. */
void json_put_new(json_t *object, const char *key, json_t *value);
void json_append_new(json_t *array, json_t *value);
json_t *json_of_text(const char *text); /* NULL: null; octets of strangers */
json_t *json_of_time(int64_t wall_us); /* seconds; 0: null */

/*
 * Members of what another process sent: absent, of another type or NULL object reads as the default. Numbers may be
 * reals; what does not fit is cut to the range.
 */
const char *json_get_text(const json_t *object, const char *key); /* NULL: none */
int64_t json_get_int(const json_t *object, const char *key, int64_t otherwise);
int64_t json_get_time_us(const json_t *object, const char *key); /* seconds there; 0: none */
const json_t *json_get_array(const json_t *object, const char *key); /* NULL: none; its size is 0 */

#endif
