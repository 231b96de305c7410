/* SPDX-License-Identifier: ISC */
/* Mailman 3's REST API, as far as it tells which lists there are: what is asked, what is answered. Pure. */
#ifndef MAILMAN_REST_H
#define MAILMAN_REST_H

#include <stddef.h>

#include "base/err.h"
#include "mailman/lists.h"

#define REST_PAGE 100 /* entries asked for at a time: some 50 kB */
#define REST_ANSWER_MAX (1u << 20) /* octets of a page: descriptions are free text */
#define REST_TOTAL_MAX 1000000u /* lists */

enum rest_collection { REST_DOMAINS, REST_LISTS };

struct rest_page {
	size_t total; /* entries there are */
	size_t count; /* of these, on this page */
};

/*
 * The URL of a page, the first one is 1; base is the API's, "http://localhost:8001/3.1". Owned by the caller.
 */
char *rest_url(const char *base, enum rest_collection what, size_t page);

/*
 * Reads an answer into the set. -1 and e, without the URL: it is none, which for 401 and 404 says what the
 * operator can do. A name in it that none can be is an error too: a set with holes is no listing.
 */
int rest_read(struct lists *into, enum rest_collection what, long status, const char *body, size_t len,
	      struct rest_page *page, struct err *e);

#endif
