/* SPDX-License-Identifier: ISC */
/* See endpoint.h. */
#include "base/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

static int parse_unix(const char *path, struct endpoint *out, struct err *e)
{
	if (path[0] != '/') {
		err_set(e, "\"unix:%s\": the socket's path must be absolute", path);
		return -1;
	}
	if (strlen(path) >= sizeof(out->path)) {
		err_set(e, "\"unix:%s\": a socket's path has at most %zu bytes", path,
			sizeof(out->path) - 1);
		return -1;
	}
	out->kind = ENDPOINT_UNIX;
	strcpy(out->path, path);
	return 0;
}

static bool is_host_byte(unsigned char c)
{
	return c > ' ' && c < 0x7f && !strchr("\"'/<>@[]\\,;", c);
}

int endpoint_parse(const char *text, int default_port, struct endpoint *out, struct err *e)
{
	const char *host = text, *port = NULL;
	size_t host_len;
	uint64_t n;

	memset(out, 0, sizeof(*out));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, out, e);
	out->kind = ENDPOINT_TCP;
	if (text[0] == '[') {
		const char *close = strchr(text, ']');

		if (!close || (close[1] && close[1] != ':')) {
			err_set(e, "\"%s\": expected [ADDRESS]:PORT", text);
			return -1;
		}
		host = text + 1;
		host_len = (size_t)(close - host);
		port = close[1] ? close + 2 : NULL;
	} else {
		const char *colon = strrchr(text, ':');

		if (colon && strchr(text, ':') != colon) {
			err_set(e, "\"%s\": write an IPv6 address in brackets: [ADDRESS]:PORT", text);
			return -1;
		}
		host_len = colon ? (size_t)(colon - text) : strlen(text);
		port = colon ? colon + 1 : NULL;
	}
	if (host_len >= sizeof(out->host)) {
		err_set(e, "\"%.40s...\": a host name has at most %zu bytes", text, sizeof(out->host) - 1);
		return -1;
	}
	for (size_t i = 0; i < host_len; i++) {
		if (!is_host_byte((unsigned char)host[i])) {
			err_set(e, "\"%s\": not a host name or address", text);
			return -1;
		}
	}
	memcpy(out->host, host, host_len);
	if (!port && default_port < 0) {
		err_set(e, "\"%s\": the port is missing (HOST:PORT)", text);
		return -1;
	}
	if (port && !num_parse_u64(port, strlen(port), 65535, &n)) {
		err_set(e, "\"%s\": the port must be a number from 0 to 65535", text);
		return -1;
	}
	out->port = (uint16_t)(port ? n : (uint64_t)default_port);
	return 0;
}

void endpoint_make_reachable(struct endpoint *ep)
{
	if (ep->kind != ENDPOINT_TCP)
		return;
	if (ep->host[0] == '\0')
		strcpy(ep->host, "localhost");
	else if (strcmp(ep->host, "0.0.0.0") == 0)
		strcpy(ep->host, "127.0.0.1");
	else if (strcmp(ep->host, "::") == 0)
		strcpy(ep->host, "::1");
}

const char *endpoint_format(const struct endpoint *ep, char out[ENDPOINT_TEXT_MAX])
{
	if (ep->kind == ENDPOINT_UNIX)
		snprintf(out, ENDPOINT_TEXT_MAX, "unix:%s", ep->path);
	else if (strchr(ep->host, ':'))
		snprintf(out, ENDPOINT_TEXT_MAX, "[%s]:%u", ep->host, (unsigned)ep->port);
	else
		snprintf(out, ENDPOINT_TEXT_MAX, "%s:%u", ep->host, (unsigned)ep->port);
	return out;
}
