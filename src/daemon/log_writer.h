/* SPDX-License-Identifier: ISC */
/*
 * The process that writes the log's file (log = /PATH). All others write their lines into a pipe that does not
 * block: a disk that is full, slow or gone holds up this process and no mail. It alone has the file, so one
 * that was moved away (rotated) is not written to by anybody once it has been told of another. Runs as `user`,
 * with the file opened for it; it opens none.
 */
#ifndef DAEMON_LOG_WRITER_H
#define DAEMON_LOG_WRITER_H

#include <sys/types.h>

/* What is said on the line to it (SOCK_SEQPACKET), a packet each. */
#define LOG_WRITER_FILE                                                                                      \
	'l' /* down, with a descriptor, its path behind the octet: write to that from now on */
#define LOG_WRITER_STOP 's' /* down: write what is there, then end */
#define LOG_WRITER_MOVED                                                                                     \
	'm' /* up, each second until there is another: the file is not at its path any more */
#define LOG_WRITER_BLIND 'x' /* up, once a file: whether it is cannot be seen with these rights */

/* A packet upwards. */
struct log_writer_said {
	char what;
	dev_t device; /* of the file that it has: the master may have sent another one meanwhile */
	ino_t inode;
};

#define LOG_WRITER_PATH_MAX 1024 /* octets of a path, NUL included */

struct log_writer_start {
	int pipe_fd; /* read end, non-blocking */
	int line_fd; /* non-blocking; its end means that the master is gone */
	int file_fd;
	const char *path;
};

/*
 * Until it is told to stop, or nobody has the pipe any more. Lines are written whole: what the disk took half of
 * is completed later, or written to the next file from its beginning.
 */
void log_writer_run(const struct log_writer_start *start);

#endif
