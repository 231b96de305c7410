/* SPDX-License-Identifier: ISC */
/* See envelope.h. */
#include "smtp/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

const char *const envelope_body_names[ENVELOPE_BODY_COUNT] = { "7BIT", "8BITMIME", "BINARYMIME" };

const struct envelope_notify_name envelope_notify_names[ENVELOPE_NOTIFY_COUNT] = {
	{ ENVELOPE_NOTIFY_NEVER, "NEVER" },
	{ ENVELOPE_NOTIFY_SUCCESS, "SUCCESS" },
	{ ENVELOPE_NOTIFY_FAILURE, "FAILURE" },
	{ ENVELOPE_NOTIFY_DELAY, "DELAY" },
};

static unsigned notify_meaning(unsigned notify)
{
	if (notify == 0)
		return ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY;
	return notify & ~(unsigned)ENVELOPE_NOTIFY_NEVER;
}

unsigned envelope_notify_merge(unsigned a, unsigned b)
{
	return a == b ? a : notify_meaning(a) | notify_meaning(b);
}

void envelope_init(struct envelope *env)
{
	memset(env, 0, sizeof(*env));
	env->peer = mem_strdup("");
	env->helo = mem_strdup("");
	env->protocol = mem_strdup("");
	env->listener = mem_strdup("");
}

void envelope_reset(struct envelope *env)
{
	for (size_t i = 0; i < env->rcpt_count; i++) {
		free(env->rcpt[i].address);
		free(env->rcpt[i].orcpt);
	}
	free(env->rcpt);
	free(env->sender);
	free(env->envid);
	free(env->hold);
	free(env->mail_options);
	free(env->rcpt_options);
	free(env->tls_cipher);
	env->id[0] = '\0';
	env->arrived_wall_us = 0;
	env->sender = NULL;
	env->rcpt = NULL;
	env->rcpt_count = 0;
	env->rcpt_cap = 0;
	env->body = BODY_7BIT;
	env->smtputf8 = false;
	env->requiretls = false;
	env->stays_here = false;
	env->by = (struct deliver_by){ DELIVER_BY_NONE, false, 0 };
	env->ret = RET_UNSET;
	env->envid = NULL;
	env->hold = NULL;
	env->declared_size_bytes = 0;
	env->mail_options = NULL;
	env->rcpt_options = NULL;
	env->tls_cipher = NULL;
}

void envelope_release(struct envelope *env)
{
	envelope_reset(env);
	free(env->peer);
	free(env->helo);
	free(env->protocol);
	free(env->listener);
	free(env->auth_user);
	memset(env, 0, sizeof(*env));
}

void envelope_set(char **field, const char *text, size_t len)
{
	free(*field);
	*field = mem_strndup(text, len);
}

struct envelope_rcpt *envelope_add_rcpt(struct envelope *env, const char *address, size_t len)
{
	struct envelope_rcpt *r;

	if (env->rcpt_count == env->rcpt_cap) {
		env->rcpt_cap = env->rcpt_cap ? env->rcpt_cap * 2 : 4;
		env->rcpt = mem_resize(env->rcpt, env->rcpt_cap, sizeof(*env->rcpt));
	}
	r = &env->rcpt[env->rcpt_count++];
	memset(r, 0, sizeof(*r));
	r->address = mem_strndup(address, len);
	return r;
}
