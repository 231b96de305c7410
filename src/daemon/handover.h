/* SPDX-License-Identifier: ISC */
/*
 * What an executable leaves to the one that takes its place in the same process (USR2): the numbers of descriptors
 * that stay open, what they are, and the children. Text in an anonymous file, with a version: who does not know
 * it says so while it is tried (posthoused --check --handover), and nothing has happened.
 *
 * In the master. Descriptors that came this way are closed by handover_close, once the service is ready; until
 * then they are there for the way back.
 */
#ifndef DAEMON_HANDOVER_H
#define DAEMON_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "master/child.h"
#include "sandbox/watch.h"

#define HANDOVER_VERSION 1

struct handover_socket {
	int fd;
	char *listener; /* its name; "": it is for figures; owned */
	struct endpoint endpoint; /* as configured */
};

struct handover_watch {
	int fd; /* the listener of a child's filter */
	struct sandbox_subject subject;
};

struct handover {
	char *release; /* of the executable that wrote it; owned */
	char *program; /* its path, where the next one is looked for; owned */
	int old_fd; /* of it, as a file: the way back; -1: none */
	int64_t back; /* this is that executable again, as the new one has failed: its tries to start; else 0 */

	char *spool; /* NULL: none; owned */
	int lock_fd, notice_fd[2], event_fd[2], unsaved_fd; /* -1 without a spool */
	char *pid_file; /* NULL: none; owned */
	/* the pipe to who writes the log's file, and the line to it (logging.h), which adopts them; -1: there is none */
	int log_fd[3];
	int64_t log_writer; /* its process; 0: there is none */
	int64_t started_wall_us;
	struct handover_socket *socket; /* owned */
	unsigned socket_count;
	struct handover_watch *watch; /* owned */
	unsigned watch_count;
	struct child *child; /* owned */
	unsigned child_count;
};

/* Nothing in it. */
void handover_init(struct handover *h);
void handover_add_socket(struct handover *h, int fd, const char *listener, const struct endpoint *ep);
void handover_add_watch(struct handover *h, int fd, const struct sandbox_subject *subject);
void handover_add_child(struct handover *h, const struct child *c);
/* Frees; closes nothing. */
void handover_release(struct handover *h);
/* Closes all that came with it but the children's lines. NULL is allowed, and a second time. */
void handover_close(struct handover *h);

/* A new anonymous file with all of it, CLOEXEC. */
int handover_write(const struct handover *h, struct err *e);
/* Of such a file, which is closed. All descriptors in it are open, and CLOEXEC from here on; after -1 nothing is read. */
int handover_read(struct handover *h, int fd, struct err *e);

/* Whether what it names stays open across exec(). */
void handover_keep(const struct handover *h, bool keep);

#endif
