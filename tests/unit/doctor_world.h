/* SPDX-License-Identifier: ISC */
/* A world for the checks of doctor/: what they are told is what a test says. */
#ifndef TESTS_DOCTOR_WORLD_H
#define TESTS_DOCTOR_WORLD_H

#include "doctor/local.h"
#include "doctor/remote.h"

#define WORLD_NOW_US INT64_C(1790000000000000) /* September 2026 */

struct fake_world {
	struct doctor_world world;
	/* answers */
	const char *resolve[4]; /* addresses; none: */
	const char *resolve_error;
	int connect_error[4]; /* by the order of calls; errno, 0: connected */
	unsigned connects;
	const char *line; /* what a connection says */
	const char *const *script; /* of a session: "S: ...", "C: ...", NULL ended */
	struct dialogue outcome; /* but for its lines */
	struct upstream_settings asked; /* what the session was asked for */
	unsigned talks;
	long http_status; /* 0: no answer, http_body says why */
	const char *http_body;
	const char *listening[4]; /* "127.0.0.1:25" */
	int listening_result;
	pid_t owner; /* of all of them; 0: cannot be seen */
	bool is_elsewhere; /* no address is ours */
	enum doctor_daemon daemon;
	pid_t master;
	struct statvfs statvfs;
	const char *filesystem; /* NULL: cannot be opened */
	bool is_volatile, has_journal;
	int synchronised;
	int64_t now_wall_us;
	uint64_t open_files;
	struct sandbox_support sandbox;
};

/* All is well in it: nothing is taken, much room, a good clock. */
void fake_world_init(struct fake_world *w);

/* A check's findings, then fails unless there is one of that level with that in its text. */
void expect(const struct findings *f, const char *check, enum finding_level level, const char *text);
/* And its advice. */
void expect_advice(const struct findings *f, const char *check, enum finding_level level, const char *text,
		   const char *advice);

#endif
