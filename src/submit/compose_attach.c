/* SPDX-License-Identifier: ISC */
/* See compose.h: attached files, read while the message goes out. */
#include "submit/compose_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t read_block(int fd, char *block, const char *path, struct err *e)
{
	ssize_t n;

	do {
		n = read(fd, block, COMPOSE_BLOCK);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		err_set_os(e, errno, "%s: cannot read it", path);
	return n;
}

/* How a file that can be read twice is made; what cannot stays unknown. */
static enum submit_result look_at(struct composing *m, int fd, const char *path, bool whole,
				  struct mime_nature *nature, bool *utf8, struct err *e)
{
	struct compose_text first = { m->block, 0 };
	ssize_t n = 0;

	do {
		n = read_block(fd, m->block, path, e);
		if (n > 0) {
			mime_look(nature, m->block, (size_t)n);
			if (nature->octets == (size_t)n) {
				/* a character may be cut at the block's end */
				first.len = n == COMPOSE_BLOCK ? (size_t)n - 3 : (size_t)n;
				while (n == COMPOSE_BLOCK && first.len > 0 &&
				       ((unsigned char)m->block[first.len] & 0xc0) == 0x80)
					first.len--;
				*utf8 = compose_is_utf8(&first);
			}
		}
	} while (n > 0 && whole);
	if (n >= 0 && lseek(fd, 0, SEEK_SET) < 0) {
		err_set_os(e, errno, "%s", path);
		n = -1;
	}
	return n < 0 ? SUBMIT_FAILED : SUBMIT_OK;
}

static enum submit_result put_file_base64(struct composing *m, int fd, const char *path, struct err *e)
{
	struct mime_base64 b = { 0 };
	struct buf out;
	ssize_t n;

	buf_init(&out, 2 * COMPOSE_BLOCK);
	do {
		n = read_block(fd, m->block, path, e);
		if (n > 0)
			mime_base64_write(&b, m->block, (size_t)n, &out);
		else
			mime_base64_end(&b, &out);
	} while (compose_put_buf(m, &out) && n > 0);
	buf_release(&out);
	return n < 0 ? SUBMIT_FAILED : SUBMIT_OK;
}

static enum submit_result put_file_plain(struct composing *m, int fd, const char *path, struct err *e)
{
	ssize_t n;

	do {
		n = read_block(fd, m->block, path, e);
	} while (n > 0 && compose_put(m, m->block, (size_t)n));
	return n < 0 ? SUBMIT_FAILED : SUBMIT_OK;
}

/* What stands above a file, and how it goes. */
static enum submit_result put_opened(struct composing *m, const struct compose_attachment *a, int fd,
				     struct err *e)
{
	const char *slash = strrchr(a->path, '/');
	const char *name = a->name                     ? a->name
			   : strcmp(a->path, "-") == 0 ? "standard-input"
			   : slash                     ? slash + 1
						       : a->path;
	const char *type = a->type ? a->type : mime_type_of(name);
	bool message = strcasecmp(type, "message/rfc822") == 0, plain = false, utf8 = false;
	bool text = strncasecmp(type, "text/", 5) == 0;
	struct mime_nature nature = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
		err_set(e, "%s: is a directory", a->path);
		return SUBMIT_INVALID;
	}
	if ((message || text) && S_ISREG(st.st_mode)) {
		enum submit_result r = look_at(m, fd, a->path, message, &nature, &utf8, e);

		if (r != SUBMIT_OK)
			return r;
		plain = message && mime_is_plain(&nature);
	}
	/*
	 * RFC 2046 5.2.1: a message is not to be encoded; one that cannot travel as it is, is a file like
	 * others
	 */
	if (message && !plain)
		type = "application/octet-stream";
	buf_addf(&m->head, "Content-Type: %s%s", type,
		 !text || !utf8    ? ""
		 : nature.eightbit ? "; charset=utf-8"
				   : "; charset=us-ascii");
	if (!buf_addf(&m->head, "\r\nContent-Transfer-Encoding: %s\r\nContent-Disposition: attachment",
		      !plain            ? "base64"
		      : nature.eightbit ? "8bit"
					: "7bit") ||
	    !mime_parameter("filename", name, &m->head) || !buf_adds(&m->head, "\r\n\r\n"))
		return compose_too_long(e);
	compose_put_buf(m, &m->head);
	m->owes_line_end = plain;
	return plain ? put_file_plain(m, fd, a->path, e) : put_file_base64(m, fd, a->path, e);
}

enum submit_result compose_put_attachment(struct composing *m, const struct compose_attachment *a,
					  struct err *e)
{
	bool is_stdin = strcmp(a->path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(a->path, O_RDONLY | O_CLOEXEC);
	enum submit_result r;

	if (fd < 0) {
		err_set_os(e, errno, "%s: cannot attach it", a->path);
		return SUBMIT_FAILED;
	}
	r = put_opened(m, a, fd, e);
	if (!is_stdin)
		close(fd);
	return r;
}
