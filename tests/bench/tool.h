/* SPDX-License-Identifier: ISC */
/*
 * What the small programs of `make bench` share: numbers on the command line,
 * the clock, loopback sockets, ending with a message. They stand beside the
 * relay, not in it: none of this is linked into Posthouse.
 */
#ifndef TESTS_BENCH_TOOL_H
#define TESTS_BENCH_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

extern const char *tool_name; /* of the program, for messages */

/* One line on standard error, then exit status 2. */
_Noreturn void tool_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A whole number within the limits, or the program ends with a message. */
uint64_t tool_number(const char *text, uint64_t min, uint64_t max);
/* Seconds with an optional fraction, more than 0 and at most an hour. */
double tool_seconds(const char *text);

int64_t tool_now_ns(void); /* CLOCK_MONOTONIC: the same in all processes of a machine */
double tool_between(int64_t begin_ns, int64_t end_ns); /* seconds */

/* Room for `files` descriptors: raises the soft limit, or the program ends with a message. */
void tool_need_files(size_t files);

/*
 * Non-blocking sockets on 127.0.0.1, TCP_NODELAY. tool_connect returns before
 * the connection stands (EINPROGRESS is no failure); -1 with errno otherwise.
 */
int tool_connect(uint16_t port);
/* Listens at a port (0: the system chooses); *port becomes the real one. */
int tool_listen(uint16_t *port);
/* The same for a socket that was bound by the parent process and inherited. */
int tool_listen_inherited(int fd, uint16_t *port);
/* The next connection, or -1 with errno. */
int tool_accept(int listener);

#endif
