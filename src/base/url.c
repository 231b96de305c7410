/* SPDX-License-Identifier: ISC */
/* See url.h. */
#include "base/url.h"

#include <string.h>
#include <strings.h>

static bool begins(const char *text, const char *with)
{
	return strncasecmp(text, with, strlen(with)) == 0;
}

bool url_is_plain(const char *url)
{
	return begins(url, "http://");
}

/* The authority is exactly one of these, with a port or without. */
static bool is_loopback(const char *host, size_t len)
{
	static const char *const names[] = { "127.0.0.1", "[::1]", "localhost" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = strlen(names[i]);

		if (len >= n && strncasecmp(host, names[i], n) == 0 && (len == n || host[n] == ':'))
			return true;
	}
	return false;
}

int url_check(const char *url, struct err *e)
{
	const char *host;
	size_t len;

	if (strlen(url) > URL_MAX) {
		err_set(e, "it is longer than %d octets", URL_MAX);
		return -1;
	}
	for (const char *c = url; *c; c++) {
		if (*c <= ' ' || *c >= 0x7f || strchr("\"\\^`{|}<>#", *c)) {
			err_set(e, "it has characters that a URL does not have");
			return -1;
		}
	}
	if (!begins(url, "https://") && !begins(url, "http://")) {
		err_set(e, "it does not begin with https://");
		return -1;
	}
	host = strstr(url, "://") + 3;
	len = strcspn(host, "/?");
	if (len == 0 || *host == ':') {
		err_set(e, "it names no host");
		return -1;
	}
	if (memchr(host, '@', len)) {
		err_set(e, "a user or password does not belong there");
		return -1;
	}
	if (url_is_plain(url) && !is_loopback(host, len)) {
		err_set(e, "http would show secrets on their way: https, or a server on this machine "
			   "(127.0.0.1)");
		return -1;
	}
	return 0;
}
