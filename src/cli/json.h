/* SPDX-License-Identifier: ISC */
/* What the command adds to manage/json.h: reading members of what another process sent. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdint.h>

#include <jansson.h>

#include "cli/listing.h"
#include "manage/json.h"

void json_append_new(json_t *array, json_t *value); /* of fresh ones; the reference is stolen */
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
