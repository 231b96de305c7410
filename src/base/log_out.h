/* SPDX-License-Identifier: ISC */
/*
 * Where the lines of a process's log go: descriptors and sockets. Nobody waits for a log that takes nothing:
 * what is full has a moment once, and then none until it has taken something again.
 */
#ifndef BASE_LOG_OUT_H
#define BASE_LOG_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LOG_SYSLOG_SOCKET "/dev/log"
#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LOG_OUT_PATIENCE_MS 100

enum log_out_kind {
	LOG_OUT_FILE, /* write() and be done: files, terminals */
	LOG_OUT_PIPE, /* what may be full */
	LOG_OUT_STREAM, /* the same, of which nothing is known: looked at before each write */
	LOG_OUT_SOCKET, /* a stream socket */
	LOG_OUT_DATAGRAM /* to a path: nothing is connected, so whoever listens there may come and go */
};

struct log_out {
	int fd;
	enum log_out_kind kind;
	bool owned; /* fd is closed by log_out_close */
	bool dull; /* it took nothing last time: no patience */
	bool torn; /* it took a part of the last line */
	struct sockaddr_un to;
};

/*
 * Standard error. A pipe is opened anew through /proc, if that is allowed, so that it need not block and nobody else who
 * has it is changed.
 */
void log_out_stderr(struct log_out *o);
void log_out_fd(struct log_out *o, int fd); /* a file, or a pipe that does not block; stays the caller's */
void log_out_socket(struct log_out *o, const char *path);
void log_out_close(struct log_out *o);

/* One line, its newline included, or one datagram: false when it was dropped. */
bool log_out_write(struct log_out *o, const char *data, size_t len);

#endif
