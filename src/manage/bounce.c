/* SPDX-License-Identifier: ISC */
/* See bounce.h. Being written: until then failures stay in the spool, visible. */
#include "manage/bounce.h"

bool bounce_prepare(const struct bounce_settings *settings, const struct envelope *env, struct spool_state *st)
{
	(void)settings;
	(void)env;
	(void)st;
	return false;
}

int bounce_commit(const struct bounce_settings *settings, struct spool *s, struct spool_message *m,
		  struct spool_state *st, const char **to, struct err *e)
{
	(void)settings;
	(void)s;
	(void)m;
	(void)st;
	(void)to;
	err_set(e, "reports are not written yet");
	return -1;
}
