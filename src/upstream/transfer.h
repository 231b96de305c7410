/* SPDX-License-Identifier: ISC */
/* What libcurl's multi handle is driven for: glue.c calls done, found by CURLINFO_PRIVATE, outside libcurl. */
#ifndef UPSTREAM_TRANSFER_H
#define UPSTREAM_TRANSFER_H

#include <curl/curl.h>

struct transfer { /* the first member of whatever is private data */
	void (*done)(struct transfer *t, CURLcode result); /* may free it */
};

#endif
