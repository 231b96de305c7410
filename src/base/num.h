/* SPDX-License-Identifier: ISC */
/*
 * Numbers with and without units, read strictly: the whole text or nothing,
 * no sign, no space, no overflow. Pure.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1*DIGIT, value <= max */
bool num_parse_u64(const char *text, size_t len, uint64_t max, uint64_t *value);
/* 1*DIGIT [k|K|M|G|T], powers of 1024, value in bytes */
bool num_parse_size(const char *text, uint64_t max_bytes, uint64_t *bytes);
/* 1*DIGIT (ms|s|m|h|d|w), or a bare number of seconds; value in milliseconds */
bool num_parse_duration(const char *text, int64_t max_ms, int64_t *ms);
/* "yes|true|on|1" or "no|false|off|0", any case */
bool num_parse_bool(const char *text, bool *value);

/* "812", "4.0K", "12M" into out (at least 16 bytes); returns out */
const char *num_format_size(uint64_t bytes, char *out, size_t cap);
/* "0s", "45s", "12m", "3h", "5d" into out (at least 16 bytes); returns out */
const char *num_format_age(int64_t ms, char *out, size_t cap);

#endif
