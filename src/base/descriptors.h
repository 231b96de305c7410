/* SPDX-License-Identifier: ISC */
/* Packets with descriptors beside them (SCM_RIGHTS) over a unix SOCK_SEQPACKET socket. Never block. */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DESCRIPTORS_MAX 4

/* A line for them: two ends, CLOEXEC, non-blocking. -1 and errno. */
int descriptors_pair(int line[2]);
/*
 * The same for requests of many processes that may come while the one that answers them is being restarted: room
 * for a few hundred. They write to line[1], it reads from line[0].
 */
int descriptors_request_line(int line[2]);

/* All of it as one packet: 0, or -1 and errno. Signals interrupt nothing. */
int descriptors_send(int fd, const void *data, size_t len, const int *pass, size_t pass_count);

/*
 * One packet: its octets in *data_len, its descriptors (CLOEXEC) in taken and
 * *count. When more than `most` came with it, all are closed and *count is
 * SIZE_MAX: who sends what nobody asked for is not to be believed. A packet
 * longer than cap is cut, *data_len is its true length. Returns false with
 * errno when there is none; the end of the file is an empty packet without
 * descriptors.
 */
bool descriptors_receive(int fd, void *data, size_t cap, size_t *data_len, int *taken, size_t most,
			 size_t *count);

/* Closes it, if it is one, and makes it -1. */
void descriptors_close(int *fd);
/* Closes all but standard input, output and error, and these: for what runs foreign code. */
void descriptors_close_others(const int *keep, size_t count);

/* A socket as this is meant for: AF_UNIX, SOCK_SEQPACKET. */
bool descriptors_is_seqpacket(int fd);

#endif
