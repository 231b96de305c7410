/* SPDX-License-Identifier: ISC */
/* See json.h. */
#include "cli/json.h"

#include "base/assert.h"

void json_append_new(json_t *array, json_t *value)
{
	ASSERT(json_array_append_new(array, value) == 0);
}

json_t *json_of_time(int64_t wall_us)
{
	return wall_us > 0 ? json_integer(wall_us / 1000000) : json_null();
}

const char *json_get_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int64_t json_get_int(const json_t *object, const char *key, int64_t otherwise)
{
	const json_t *value = json_object_get(object, key);
	double real;

	if (json_is_integer(value))
		return json_integer_value(value);
	if (!json_is_real(value))
		return otherwise;
	real = json_real_value(value);
	if (real >= 9.2e18)
		return INT64_MAX;
	return real <= -9.2e18 ? INT64_MIN : (int64_t)real;
}

int64_t json_get_time_us(const json_t *object, const char *key)
{
	const int64_t most = INT64_C(253402300799); /* the year 9999 */
	double seconds = json_number_value(json_object_get(object, key));

	if (!(seconds > 0))
		return 0;
	return seconds > (double)most ? most * 1000000 : (int64_t)(seconds * 1e6);
}

const json_t *json_get_array(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_array(value) ? value : NULL;
}
