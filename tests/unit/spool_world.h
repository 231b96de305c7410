/* SPDX-License-Identifier: ISC */
/* A spool in a folder of its own, and a message in it, for unit tests of what stands above spool/. */
#ifndef TESTS_SPOOL_WORLD_H
#define TESTS_SPOOL_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spool/spool.h"
#include "spool/txn.h"

static inline void spool_world_open(struct spool *s)
{
	char dir[64] = "/tmp/posthouse-unit-XXXXXX";
	struct err e;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	strcat(dir, "/spool"); /* still to be made */
	ck_assert_msg(spool_prepare(dir, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0, "%s", e.text);
	ck_assert_msg(spool_open(s, dir, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e) == 0, "%s", e.text);
}

static inline void spool_world_close(struct spool *s)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%.*s'", (int)(strrchr(s->path, '/') - s->path), s->path);
	spool_close(s);
	ck_assert_int_eq(system(command), 0);
}

/* Begins an envelope to a@, b@ and the third one, which are entries 0 to 2. */
static inline void spool_world_envelope(struct envelope *env, int64_t arrived_wall_us, const char *sender,
					const char *third)
{
	envelope_init(env);
	env->arrived_wall_us = arrived_wall_us;
	envelope_set(&env->sender, sender, strlen(sender));
	envelope_add_rcpt(env, "a@example.org", 13);
	envelope_add_rcpt(env, "b@example.org", 13);
	envelope_add_rcpt(env, third, strlen(third));
}

/* Commits it with that content, releases it, and says its id. */
static inline void spool_world_commit(struct spool *s, struct envelope *env, const char *content,
				      char id[ENVELOPE_ID_MAX])
{
	struct spool_txn *t = spool_txn_begin(s, env);
	struct err e;

	ck_assert_int_eq(spool_txn_write(t, content, strlen(content), &e), SPOOL_OK);
	ck_assert_int_eq(spool_txn_commit(t, &e), SPOOL_OK);
	strcpy(id, env->id);
	envelope_release(env);
}

#endif
