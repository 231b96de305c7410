/* SPDX-License-Identifier: ISC */
/* What the files of the auth process share (server.c: its loop, server_job.c: one exchange). */
#ifndef AUTH_SERVER_INTERNAL_H
#define AUTH_SERVER_INTERNAL_H

#include <sys/types.h>

#include "auth/exchange.h"
#include "auth/server.h"

enum job_state {
	JOB_FREE,
	JOB_RUNNING, /* a child is at it */
	JOB_HELD_BACK /* it failed; the worker is told later */
};

struct job {
	enum job_state state;
	pid_t pid;
	int fd; /* the worker's other end; the child had a copy */
	struct auth_address client;
	int64_t until_mono_ms; /* RUNNING: then it is killed; HELD_BACK: then the worker is told */
};

struct server {
	const struct auth_server_config *cfg;
	struct exchange_setup setup;
	struct ban_table bans;
	struct job *job; /* max_exchanges */
	struct exchange_outcome *outcome; /* shared memory: by job, and one more for the probe */
	pid_t pid; /* the auth process's own */
	int signal_fd; /* SIGCHLD */
	pid_t probe_pid; /* 0: none is running */
	int64_t probe_due_mono_ms, probed_mono_ms;
	bool probe_failed; /* the last one did, and it was logged */
	bool channel_lost;
	bool line_ended; /* with the last of an old generation */
	unsigned free_jobs;
};

/* In the child that was just forked: what belongs to the auth process is closed. keep: its job; NULL: none. */
void server_become_child(struct server *s, const struct job *keep);

/* A request came with that descriptor, which is the job's from here on. Banned: answered and closed. */
void job_begin(struct server *s, int fd, const struct auth_address *client);
/* Its child ended. */
void job_reaped(struct server *s, struct job *j, int wait_status);
/* The worker closed its end. */
void job_abandoned(struct server *s, struct job *j);
/* until_mono_ms has come. */
void job_due(struct server *s, struct job *j);
void job_release(struct server *s, struct job *j);

#endif
