/* SPDX-License-Identifier: ISC */
/* The key process in two files: server.c (connections), server_answer.c (the threads that answer). */
#ifndef KEYS_SERVER_INTERNAL_H
#define KEYS_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keys/server.h"

struct keys_client {
	int fd; /* -1: a free place */
	pid_t pid; /* who made the connection, as the kernel has it; 0: unknown */
	_Atomic int64_t used_mono_us; /* taken, or asked last */
};

struct keys_server {
	const struct keys_server_config *cfg;
	int epoll_fd; /* of all connections (one event each, until it is answered) and of end_fd */
	int wake_fd; /* the threads write: a connection has ended */
	int end_fd; /* written once: the threads end */
	pthread_t *thread; /* owned */
	unsigned threads; /* running */
	pthread_mutex_t lock; /* of client[] and clients; who was given an event may use that one without */
	struct keys_client *client; /* places of them; owned */
	unsigned places;
	unsigned clients; /* connections */
	_Atomic unsigned long refused;
	/* of the first thread */
	bool line_ended;
	bool full; /* no place is free: the next connection waits for the end of one */
	unsigned long refused_told;
	int64_t tell_mono_ms; /* not before */
};

int keys_threads_start(struct keys_server *s, struct err *e);
/* Also when none runs. */
void keys_threads_end(struct keys_server *s);

#endif
