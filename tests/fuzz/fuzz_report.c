/* SPDX-License-Identifier: ISC */
/*
 * A report on what strangers said: octets that choose the kind, then, ended by NUL each, recipient, orcpt, reply,
 * envid, remote, and the address it goes to; the rest is the original.
 * Promise: whatever they hold, the report has our fields and no others, lines of 998 octets at most that end
 * with CRLF, no control characters, and four boundaries; a whole original is in it as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fuzz.h"
#include "manage/report.h"

enum { RCPT, ORCPT, REPLY, ENVID, REMOTE, TO, TEXTS };

static const char *const known_fields[] = {
	"From",           "To",           "Subject",
	"Date",           "Message-ID",   "MIME-Version",
	"Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
};
static const char *const known_status[] = {
	"Reporting-MTA",    "Original-Envelope-Id", "X-Posthouse-Queue-ID", "X-Posthouse-Sender",
	"Arrival-Date",     "Original-Recipient",   "Final-Recipient",      "Action",
	"Status",           "Remote-MTA",           "Diagnostic-Code",      "Last-Attempt-Date",
	"Will-Retry-Until",
};

static int collect(void *ctx, const char *data, size_t len, struct err *e)
{
	(void)e;
	ASSERT(len > 0 && buf_add(ctx, data, len));
	return 0;
}

/* The line at p without its CRLF; what is behind it. */
static const char *next_line(const char *p, const char *end, size_t *len)
{
	const char *crlf = memmem(p, (size_t)(end - p), "\r\n", 2);

	ASSERT(crlf);
	*len = (size_t)(crlf - p);
	ASSERT(*len <= 998);
	for (size_t i = 0; i < *len; i++)
		ASSERT(((unsigned char)p[i] >= ' ' || p[i] == '\t') && p[i] != 0x7f);
	return crlf + 2;
}

/* Fields up to an empty line, each known and there once; what is behind it. */
static const char *check_fields(const char *p, const char *end, const char *const *known, size_t count)
{
	unsigned seen = 0;
	size_t len;

	for (;;) {
		const char *line = p;
		size_t i = 0;

		p = next_line(p, end, &len);
		if (len == 0)
			return p;
		if (*line == ' ' || *line == '\t') {
			ASSERT(seen && strspn(line, " \t") < len);
			continue;
		}
		while (i < count &&
		       (strncmp(line, known[i], strlen(known[i])) != 0 || line[strlen(known[i])] != ':'))
			i++;
		ASSERT(i < count && !(seen & 1u << i));
		seen |= 1u << i;
	}
}

/* From a boundary line to the body behind its header. */
static const char *skip_to_body(const char *p, const char *end, const char *boundary)
{
	size_t len;

	for (;;) {
		const char *line = p;

		p = next_line(p, end, &len);
		if (len == strlen(boundary) && memcmp(line, boundary, len) == 0)
			break;
	}
	do
		p = next_line(p, end, &len);
	while (len > 0);
	return p;
}

static void check(const struct buf *out, const char *content, size_t len, bool whole)
{
	const char *p = out->data, *end = out->data + out->len, *at;
	char boundary[80] = "--";

	at = strstr(out->data, "\r\n\tboundary=\"");
	ASSERT(at);
	ASSERT(sscanf(at + 3, "boundary=\"%60[^\"]\"", boundary + 2) == 1 && strlen(boundary) > 18);
	p = check_fields(p, end, known_fields, sizeof(known_fields) / sizeof(*known_fields));
	p = skip_to_body(p, end, boundary);
	p = skip_to_body(p, end, boundary);
	p = check_fields(p, end, known_status, sizeof(known_status) / sizeof(*known_status));
	p = check_fields(p, end, known_status, sizeof(known_status) / sizeof(*known_status));
	p = skip_to_body(p, end, boundary);
	ASSERT((size_t)(end - p) >= strlen(boundary) + 6);
	end -= strlen(boundary) + 6;
	ASSERT(memcmp(end, "\r\n", 2) == 0 && memcmp(end + 2, boundary, strlen(boundary)) == 0 &&
	       memcmp(end + 2 + strlen(boundary), "--\r\n", 4) == 0);
	if (whole)
		ASSERT((size_t)(end - p) == len && memcmp(p, content, len) == 0);
	else
		while (p < end)
			for (size_t n = 0; p < end; p++) {
				n = *p == '\n' ? 0 : n + 1;
				ASSERT(n <= 998);
			}
}

static void write_report(uint8_t choice, char *const text[TEXTS], const char *content, size_t len)
{
	struct rcpt_state rs = { .status = choice & 4 ? RCPT_EXPIRED : RCPT_FAILED,
				 .reply = text[REPLY],
				 .remote = text[REMOTE],
				 .when_wall_us = 1 };
	struct spool_state st = { .rcpt = &rs, .rcpt_count = 1 };
	struct spool_message m = { .fd = memfd_create("original", MFD_CLOEXEC), .content_bytes = len };
	const size_t first = 0;
	struct report r = {
		.kind = (enum report_kind)(choice & 3) % 3,
		.hostname = "mx.example.org",
		.to = text[TO],
		.for_postmaster = choice & 8,
		.original = &m,
		.state = &st,
		.rcpt = &first,
		.rcpt_count = 1,
		.report_id = "0m4x7f3q9zkab1ce",
		.now_wall_us = 1,
		.retry_until_wall_us = choice & 16 ? 2 : 0,
		.return_limit_bytes = choice & 32 ? UINT64_MAX : 0,
	};
	struct err e;
	struct buf out;

	ASSERT(m.fd >= 0 && write(m.fd, content, len) == (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		m.has_eightbit |= (content[i] & 0x80) != 0;
	envelope_init(&m.env);
	strcpy(m.env.id, "0m4x7f3q9zkab1cd");
	envelope_set(&m.env.sender, text[TO], strlen(text[TO]));
	envelope_set(&m.env.envid, text[ENVID], strlen(text[ENVID]));
	m.env.smtputf8 = choice & 64;
	envelope_add_rcpt(&m.env, text[RCPT], strlen(text[RCPT]));
	m.env.rcpt[0].orcpt = *text[ORCPT] ? mem_strdup(text[ORCPT]) : NULL;
	buf_init(&out, 64u << 20);
	ASSERT(report_write(&r, collect, &out, &e) == 0);
	check(&out, content, len, r.kind == REPORT_FAILED && choice & 32);
	buf_release(&out);
	spool_message_close(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy, *text[TEXTS], *p, *end;

	if (size < 1)
		return 0;
	copy = mem_alloc(size);
	memcpy(copy, data + 1, size - 1);
	p = copy;
	end = copy + size - 1; /* where the NUL of mem_alloc is */
	for (size_t i = 0; i < TEXTS; i++) {
		text[i] = p;
		p += strlen(p);
		p += p < end;
	}
	write_report(data[0], text, p, (size_t)(end - p));
	free(copy);
	return 0;
}
