/* SPDX-License-Identifier: ISC */
/*
 * Having a program run (protocol.h): for workers, which wait, and for the
 * relay, which watches a descriptor. The facts are copied; the files stay the
 * caller's, are read and written by position and may be closed as soon as the
 * run has begun.
 */
#ifndef PROGRAM_CLIENT_H
#define PROGRAM_CLIENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/control.h"
#include "base/err.h"
#include "program/command.h"
#include "program/protocol.h"

struct program_job {
	enum program_command command;
	int input_fd; /* a regular file: the message, lines ended by CRLF; -1: there is none */
	uint64_t input_offset, input_octets;
	int output_fd; /* a filter: a regular file, empty, for what it writes; else -1 */
	struct buf facts; /* program_job_put */
	unsigned fact_count;
};

void program_job_init(struct program_job *job, enum program_command command);
void program_job_release(struct program_job *job);
/* Control characters become '?'. NULL: the fact is left out. False: no more fits (nothing was added). */
bool program_job_put(struct program_job *job, enum program_fact fact, const char *value);

enum program_end {
	PROGRAM_EXITED, /* by itself: status is its exit status (exit.h) */
	PROGRAM_KILLED, /* by a signal: status */
	PROGRAM_TIMED_OUT, /* it was killed */
	PROGRAM_FAILED, /* it could not be started, or given the message: text says why */
	PROGRAM_TOO_MUCH, /* a filter wrote more than it may, and was killed */
	PROGRAM_BAD_OUTPUT, /* a filter's output holds NUL or CR without LF */
	PROGRAM_REFUSED, /* the facts are not for this command (program_takes); text says why */
	PROGRAM_LOST /* no answer: the process that runs programs ended, or is not there, or the service stops */
};
#define PROGRAM_ENDS 8
extern const char *const program_end_names[PROGRAM_ENDS]; /* "exited", "killed" ... */

struct program_outcome {
	enum program_end end;
	int status;
	uint64_t output_octets; /* of a filter */
	size_t text_len;
	char text[PROGRAM_TEXT_MAX +
		  1]; /* the beginning of its output, or why it was not started; NUL ended */
};

/*
 * Begins a run and does not wait: the descriptor to watch (CLOEXEC), which is
 * readable when there is an outcome; closing it before kills the program. -1:
 * it could not be begun; e->os_error is EAGAIN while too many others wait.
 * request_fd is the write end of the shared pair.
 */
int program_begin(int request_fd, const struct program_job *job, struct err *e);
/* Takes the outcome; does not wait: false when there is none yet. fd stays the caller's, to be closed. */
bool program_finish(int fd, struct program_outcome *out);

/* What a worker needs to have programs run. */
struct program_line {
	int request_fd; /* write end of the shared pair */
	struct control *control;
	const struct program_setting *setting; /* by enum program_command */
};

/* Begins, and waits for the outcome: at most the timeout_ms of the command and PROGRAM_WAIT_MS, and at a stop until its
 * grace is over. */
void program_run(const struct program_line *line, const struct program_job *job, struct program_outcome *out);

#endif
