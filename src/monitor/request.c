/* SPDX-License-Identifier: ISC */
/* See request.h. */
#include "monitor/request.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"

struct span {
	const char *at;
	size_t len;
};

/* The next line, without CRLF or LF (RFC 9112 2.2 lets a server take a bare LF). False: it is not complete. */
static bool next_line(struct span *rest, struct span *line)
{
	const char *lf = memchr(rest->at, '\n', rest->len);

	if (!lf)
		return false;
	*line = (struct span){ rest->at, (size_t)(lf - rest->at) };
	rest->at += line->len + 1;
	rest->len -= line->len + 1;
	if (line->len > 0 && line->at[line->len - 1] == '\r')
		line->len--;
	return true;
}

static bool is_complete(struct span rest)
{
	struct span line;

	while (next_line(&rest, &line))
		if (line.len == 0)
			return true;
	return false;
}

/* Up to the next blank, which is taken away. False: there is none. */
static bool next_word(struct span *line, struct span *word)
{
	const char *blank = memchr(line->at, ' ', line->len);

	if (!blank || blank == line->at)
		return false;
	*word = (struct span){ line->at, (size_t)(blank - line->at) };
	line->at += word->len + 1;
	line->len -= word->len + 1;
	return true;
}

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static bool holds(struct span s, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= s.len; i++)
		if (strncasecmp(s.at + i, word, len) == 0)
			return true;
	return false;
}

/* RFC 9112 3.2.2: "http://host/path" is to be taken as well. */
static void take_path(struct span target, char path[MONITOR_PATH_MAX])
{
	static const char scheme[] = "http://";
	const char *end;

	if (target.len >= sizeof(scheme) - 1 && strncasecmp(target.at, scheme, sizeof(scheme) - 1) == 0) {
		const char *slash = memchr(target.at + 7, '/', target.len - 7);

		if (!slash) {
			strcpy(path, "/");
			return;
		}
		target.len -= (size_t)(slash - target.at);
		target.at = slash;
	}
	end = memchr(target.at, '?', target.len);
	if (end)
		target.len = (size_t)(end - target.at);
	if (target.len >= MONITOR_PATH_MAX || memchr(target.at, '\0', target.len))
		target.len = 0;
	memcpy(path, target.at, target.len);
	path[target.len] = '\0';
}

static int take_request_line(struct span line, struct monitor_request *out, bool *needs_host)
{
	struct span method, target;

	if (!next_word(&line, &method) || !next_word(&line, &target))
		return 400;
	if (!is(line, "HTTP/1.0") && !is(line, "HTTP/1.1"))
		return 400;
	*needs_host = is(line, "HTTP/1.1"); /* RFC 9112 3.2 */
	out->head = is(method, "HEAD");
	take_path(target, out->path);
	return out->head || is(method, "GET") ? 200 : 405;
}

static int take_fields(struct span rest, struct monitor_request *out, bool needs_host)
{
	bool plain = false, open = false, has_host = false;
	struct span line;

	while (next_line(&rest, &line) && line.len > 0) {
		const char *colon = memchr(line.at, ':', line.len);
		struct span name, value;

		if (!colon || colon == line.at)
			return 400;
		name = (struct span){ line.at, (size_t)(colon - line.at) };
		value = (struct span){ colon + 1, line.len - name.len - 1 };
		has_host = has_host || (name.len == 4 && strncasecmp(name.at, "Host", 4) == 0);
		if (name.len != 6 || strncasecmp(name.at, "Accept", 6) != 0)
			continue;
		plain = plain || holds(value, "text/plain");
		open = open || holds(value, "application/openmetrics-text");
	}
	out->prefers_plain = plain && !open;
	return needs_host && !has_host ? 400 : 200;
}

int monitor_request_parse(const char *data, size_t len, struct monitor_request *out)
{
	struct span rest = { data, len }, line;
	bool needs_host = false;
	int status, fields;

	*out = (struct monitor_request){ .head = false };
	/* RFC 9112 2.2: an empty line before the request line is passed over */
	while (rest.len > 0 && (*rest.at == '\r' || *rest.at == '\n')) {
		rest.at++;
		rest.len--;
	}
	if (!is_complete(rest))
		return len >= MONITOR_REQUEST_MAX ? 431 : 0;
	ASSERT(next_line(&rest, &line));
	status = take_request_line(line, out, &needs_host);
	fields = take_fields(rest, out, needs_host);
	return status == 200 ? fields : status;
}

static const char *phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	}
	return "Bad Request";
}

void monitor_answer(struct buf *out, int status, const char *content_type, const char *body, size_t body_len,
		    bool head)
{
	buf_addf(out, "HTTP/1.1 %d %s\r\n", status, phrase(status));
	buf_addf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body_len);
	if (status == 405)
		buf_adds(out, "Allow: GET, HEAD\r\n");
	/* figures of now are of no use later, and are no page */
	buf_adds(out,
		 "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
	if (!head)
		buf_add(out, body, body_len);
}
