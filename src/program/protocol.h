/* SPDX-License-Identifier: ISC */
/*
 * How a worker, or the relay, has a program run (client.c), and how the
 * process that runs them answers (server.c, run.c).
 *
 * 1. The master makes one SOCK_SEQPACKET pair at the start, which outlives
 *    both sides. Who asks writes to it, the program process reads; nothing
 *    goes the other way. For a run a pair of its own is made, and one end of
 *    it sent (SCM_RIGHTS) with a struct program_request. This fixed structure
 *    is all that the program process itself reads.
 *
 * 2. In the new pair one packet: a struct program_job_header and the facts,
 *    each an octet (its number) and a text ended by NUL; with it the
 *    descriptors of the message and, for a filter, of the file for its
 *    output: regular files. It is read by the child that was forked for the
 *    run.
 *
 * 3. One packet back: a struct program_answer, cut behind its text. The end of
 *    file instead of one means that the process died. Who asked and closes its
 *    end gives up: the program is killed.
 */
#ifndef PROGRAM_PROTOCOL_H
#define PROGRAM_PROTOCOL_H

#include <stdint.h>

#define PROGRAM_VERSION 1
#define PROGRAM_JOB_MAX                                                                                      \
	(128 << 10) /* below the room of a socket (net.core.wmem_default): sent without waiting */
#define PROGRAM_TEXT_MAX 2048
#define PROGRAM_QUEUE_MS 30000 /* what a request may wait while as many programs as may run do */
#define PROGRAM_KILL_MS 1000 /* between TERM and KILL */
/* What may come on top of a command's timeout before the answer is there */
#define PROGRAM_WAIT_MS (PROGRAM_QUEUE_MS + PROGRAM_KILL_MS + 4000)

struct program_request {
	uint32_t version;
	uint32_t command; /* enum program_command */
};

struct program_job_header {
	uint32_t version;
	uint32_t fact_count;
	uint64_t offset, length; /* of the message in its file, in octets */
};

struct program_answer {
	uint32_t version;
	uint32_t end; /* enum program_end */
	int32_t status; /* exit status, or signal */
	uint32_t text_len;
	uint64_t output_octets; /* of a filter: what was written to its file */
	char text[PROGRAM_TEXT_MAX];
};

#endif
