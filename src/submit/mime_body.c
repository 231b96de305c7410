/* SPDX-License-Identifier: ISC */
/* See mime.h: how octets travel in a body, and what a file is called. Pure. */
#include <string.h>
#include <strings.h>

#include "submit/mime.h"

#define ENCODED_LINE 76 /* RFC 2045 6.7 (5), 6.8 */
#define PLAIN_LINE 998 /* RFC 5321 4.5.3.1.6, without the CRLF */

const char *const mime_encoding_names[MIME_ENCODING_COUNT] = {
	[MIME_AUTO] = "auto",     [MIME_7BIT] = "7bit",
	[MIME_8BIT] = "8bit",     [MIME_QUOTED_PRINTABLE] = "quoted-printable",
	[MIME_BASE64] = "base64",
};

/* ---- looking ------------------------------------------------------------------------ */

void mime_look(struct mime_nature *n, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		n->bare_cr |= n->after_cr && c != '\n';
		n->after_cr = c == '\r';
		n->eightbit |= c >= 0x80;
		n->nul |= c == '\0';
		n->escapes += (c < ' ' && c != '\n' && c != '\r' && c != '\t') || c >= 0x7f || c == '=';
		if (c == '\n')
			n->line = 0;
		else if (c != '\r' && ++n->line > n->longest_line)
			n->longest_line = n->line;
	}
	n->octets += len;
}

bool mime_is_plain(const struct mime_nature *n)
{
	return !n->nul && !n->bare_cr && !n->after_cr && n->longest_line <= PLAIN_LINE;
}

enum mime_encoding mime_choose(const struct mime_nature *n)
{
	if (!n->eightbit && !n->nul && n->longest_line <= PLAIN_LINE)
		return MIME_7BIT;
	/* an escape is two octets more, base64 is a third more */
	return n->escapes * 6 <= n->octets ? MIME_QUOTED_PRINTABLE : MIME_BASE64;
}

/* ---- base64 --------------------------------------------------------------------------- */

/* A group of one to three octets; the line's end behind the last one that fits. */
static size_t encode_group(const unsigned char *from, size_t len, size_t *column, char to[6])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	to[0] = digits[from[0] >> 2];
	to[1] = digits[(from[0] & 3) << 4 | (len > 1 ? from[1] >> 4 : 0)];
	to[2] = len > 1 ? digits[(from[1] & 15) << 2 | (len > 2 ? from[2] >> 6 : 0)] : '=';
	to[3] = len > 2 ? digits[from[2] & 63] : '=';
	*column += 4;
	if (*column < ENCODED_LINE)
		return 4;
	*column = 0;
	to[4] = '\r';
	to[5] = '\n';
	return 6;
}

static bool put_group(struct mime_base64 *b, struct buf *out)
{
	char group[6];
	size_t n = encode_group(b->held, b->held_len, &b->column, group);

	b->held_len = 0;
	return buf_add(out, group, n);
}

bool mime_base64_write(struct mime_base64 *b, const char *data, size_t len, struct buf *out)
{
	const unsigned char *from = (const unsigned char *)data;
	bool ok = true;

	while (ok && len > 0) {
		char some[600];
		size_t n = 0;

		if (b->held_len > 0 || len < 3) {
			b->held[b->held_len++] = *from++;
			len--;
			ok = b->held_len < 3 || put_group(b, out);
			continue;
		}
		for (; len >= 3 && n + 6 <= sizeof(some); from += 3, len -= 3)
			n += encode_group(from, 3, &b->column, some + n);
		ok = buf_add(out, some, n);
	}
	return ok;
}

bool mime_base64_end(struct mime_base64 *b, struct buf *out)
{
	bool ok = true;

	if (b->held_len > 0)
		ok = put_group(b, out);
	if (ok && b->column > 0)
		ok = buf_adds(out, "\r\n");
	b->column = 0;
	return ok;
}

/* ---- quoted-printable ------------------------------------------------------------------- */

/* RFC 2045 6.7: printable ASCII stands for itself, blanks not at the end of a line. */
static bool is_literal(unsigned char c, bool line_ends)
{
	if (c == ' ' || c == '\t')
		return !line_ends;
	return c > ' ' && c < 0x7f && c != '=';
}

bool mime_quoted_printable(const char *text, size_t len, struct buf *out)
{
	size_t column = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		bool last = i + 1 == len || text[i + 1] == '\n' || text[i + 1] == '\r';
		size_t n;

		if (c == '\n' || c == '\r') {
			i += c == '\r' && i + 1 < len && text[i + 1] == '\n';
			ok = buf_adds(out, "\r\n");
			column = 0;
			continue;
		}
		n = is_literal(c, last) ? 1 : 3;
		/* the "=" of a soft line break is one of the 76 */
		if (column + n + !last > ENCODED_LINE) {
			ok = buf_adds(out, "=\r\n");
			column = 0;
		}
		column += n;
		ok = ok && (n == 1 ? buf_addc(out, (char)c) : buf_addf(out, "=%02X", c));
	}
	return ok && (column == 0 || buf_adds(out, "\r\n"));
}

/* ---- types ---------------------------------------------------------------------------------- */

static const struct {
	const char *suffix, *type;
} types[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "avi", "video/x-msvideo" },
	{ "bmp", "image/bmp" },
	{ "bz2", "application/x-bzip2" },
	{ "c", "text/x-c" },
	{ "css", "text/css" },
	{ "csv", "text/csv" },
	{ "diff", "text/x-diff" },
	{ "doc", "application/msword" },
	{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "eml", "message/rfc822" },
	{ "epub", "application/epub+zip" },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "h", "text/x-c" },
	{ "heic", "image/heic" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ics", "text/calendar" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "log", "text/plain" },
	{ "md", "text/markdown" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "odp", "application/vnd.oasis.opendocument.presentation" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "odt", "application/vnd.oasis.opendocument.text" },
	{ "ogg", "audio/ogg" },
	{ "patch", "text/x-diff" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "ppt", "application/vnd.ms-powerpoint" },
	{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "ps", "application/postscript" },
	{ "py", "text/x-python" },
	{ "rtf", "application/rtf" },
	{ "sh", "text/x-sh" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "text", "text/plain" },
	{ "tgz", "application/gzip" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "tsv", "text/tab-separated-values" },
	{ "txt", "text/plain" },
	{ "vcf", "text/vcard" },
	{ "wav", "audio/x-wav" },
	{ "webm", "video/webm" },
	{ "webp", "image/webp" },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", "application/xml" },
	{ "xz", "application/x-xz" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" },
};

const char *mime_type_of(const char *file_name)
{
	const char *dot = strrchr(file_name, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(dot + 1, types[i].suffix) == 0)
			return types[i].type;
	return "application/octet-stream";
}

bool mime_type_is_valid(const char *type)
{
	static const char token[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`{|}~";
	size_t major = strspn(type, token), minor;

	if (major == 0 || type[major] != '/')
		return false;
	minor = strspn(type + major + 1, token);
	return minor > 0 && type[major + 1 + minor] == '\0' && major + minor <= 127; /* RFC 6838 4.2 */
}
