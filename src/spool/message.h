/* SPDX-License-Identifier: ISC */
/*
 * Reading a message file of queue/: the envelope, the facts of its first
 * line, the content. Used by the relay and the CLI.
 *
 * File format (posthouse-spool(5)):
 *   posthouse/1 envelope=NNNNNNNNNN content=NNNNNNNNNNNNNNNNNNNN dots=N eightbit=N xxh3=HHHHHHHHHHHHHHHH LF
 *   envelope octets of key=value lines (base/kv.h), LF ended, the last one empty
 *   content octets, lines ended by CRLF, not dot-stuffed
 * xxh3 is XXH3-64 over envelope, content and the first line up to "xxh3=".
 */
#ifndef SPOOL_MESSAGE_H
#define SPOOL_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "smtp/envelope.h"
#include "spool/spool.h"

struct spool_message {
	int fd; /* read only */
	struct envelope env; /* id included */
	uint64_t content_offset, content_bytes;
	bool has_dot_lines; /* some content line begins with '.' */
	bool has_eightbit; /* some content octet is >= 0x80 */
};

enum spool_read {
	SPOOL_READ_OK,
	SPOOL_READ_GONE, /* there is no such message (any more) */
	SPOOL_READ_CORRUPT, /* torn or damaged: e says how; quarantine it */
	SPOOL_READ_FAILED /* the system refused (permission, I/O): try again later */
};

/*
 * Opens and reads the envelope. verify also reads the whole content and
 * compares the checksum. Release with spool_message_close.
 */
enum spool_read spool_message_open(struct spool_message *m, const struct spool *s, const char *id, bool verify,
				   struct err *e);
/*
 * The same from an open descriptor of it, which is the message's from now on (closed on failure): for who
 * is given it by the relay. It counts as gone when it has no name any more.
 */
enum spool_read spool_message_adopt(struct spool_message *m, const struct spool *s, const char *id, int fd,
				    bool verify, struct err *e);
/* Whether queue/ has this id, whatever it is like. */
bool spool_has(const struct spool *s, const char *id);
/* Whether the open file still has a name in the spool. */
bool spool_message_is_there(const struct spool_message *m);
/* Only the file; the envelope stays. For who will not read the content any more. */
void spool_message_close_file(struct spool_message *m);
void spool_message_close(struct spool_message *m);
/* pread of the content: bytes read, 0 at its end, -1 and e on failure (a short file is a failure). */
ssize_t spool_message_read(const struct spool_message *m, uint64_t offset, void *data, size_t cap, struct err *e);

#endif
