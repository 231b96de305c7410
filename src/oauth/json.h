/* SPDX-License-Identifier: ISC */
/* JSON that holds secrets, over jansson: read with care, overwritten when done with. */
#ifndef OAUTH_JSON_H
#define OAUTH_JSON_H

#include <jansson.h>

/* A member's text; NULL: there is none, it is no text, or it has a NUL inside (jansson takes none by default). */
const char *oauth_json_text(const json_t *object, const char *key);
/* Overwrites the texts of an object's members and gives up the reference. NULL is allowed. */
void oauth_json_wipe(json_t *object);
/* Overwrites and frees. NULL is allowed. */
void oauth_wipe(char *text);

#endif
