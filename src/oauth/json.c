/* SPDX-License-Identifier: ISC */
/* See json.h. */
#include "oauth/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const char *oauth_json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

void oauth_json_wipe(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		/* jansson's own copy, which nobody else holds when this is the last reference */
		if (json_is_string(value) && object->refcount == 1 && value->refcount == 1)
			explicit_bzero((char *)(uintptr_t)json_string_value(value),
				       json_string_length(value));
	}
	json_decref(object);
}

void oauth_wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}
