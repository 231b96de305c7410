/* SPDX-License-Identifier: ISC */
/* See confine.h. Prepared in the master, entered in each child. */
#include "daemon/confine.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/programs.h"
#include "daemon/confine_internal.h"
#include "handler/facts.h"
#include "sandbox/calls.h"
#include "sandbox/limits.h"
#include "sandbox/watch.h"

#define FILES_OF_A_SESSION 64 /* descriptors that a worker, or who speaks for it, opens at most at a time */
/*
 * What is passed to another process counts against the limit of who passes, together with all that is on its way
 * between processes of that user. So this many for each worker there can be.
 */
#define FILES_ON_THEIR_WAY 4

/* ---- the table ------------------------------------------------------------------------- */

struct confinement {
	unsigned calls; /* always */
	/* and what the configuration asks for; NULL: nothing */
	unsigned (*more_calls)(const struct config *cfg);
	unsigned domain; /* what Landlock takes away; DOMAIN_FILES only where no code is that is not ours */
	confine_paths *paths; /* and gives back; NULL: nothing */
	unsigned limits;
};

enum { LIMIT_SECRET = 1 << 0, LIMIT_ALONE = 1 << 1, LIMIT_FILES = 1 << 2 };

#define CLIENT                                                                                               \
	(CALLS_CONNECT | CALLS_LOCAL | CALLS_THREADS | CALLS_CODE | CALLS_LIST) /* libcurl and the resolver */

static bool is_proxy(const struct config *cfg)
{
	return handler_find(cfg->handler) == HANDLER_PROXY;
}

static unsigned calls_of_worker(const struct config *cfg)
{
	unsigned calls = 0; /* the log needs none: base/log_out.c sends by a socket that is open */

	if (cfg->module)
		return CALLS_ANY;
	if (is_proxy(cfg))
		calls |= CLIENT;
	if (cfg->outbox)
		calls |= CALLS_LIST;
	return calls;
}

static unsigned calls_of_auth(const struct config *cfg)
{
	unsigned calls = 0;

	if (cfg->auth_pam_service)
		return CALLS_ANY | CALLS_KEYRING;
	if (cfg->auth_dovecot_socket)
		calls |= CALLS_LOCAL;
	if (cfg->auth_oauth_introspection_url)
		calls |= CLIENT;
	return calls;
}

#define OURS (DOMAIN_FILES | DOMAIN_TCP | DOMAIN_SIGNALS | DOMAIN_ABSTRACT)

static const struct confinement table[CHILD_ROLES] = {
	[ROLE_WORKER] = { .calls = CALLS_LIVE | CALLS_FILES | CALLS_ACCEPT,
			  .more_calls = calls_of_worker,
			  .domain = OURS,
			  .paths = confine_worker_paths,
			  .limits = LIMIT_SECRET | LIMIT_ALONE | LIMIT_FILES },
	[ROLE_RELAY] = { .calls = CALLS_LIVE | CALLS_FILES | CALLS_MODES | CALLS_NOTICE | CALLS_LISTEN |
				  CLIENT,
			 .domain = OURS,
			 .paths = confine_relay_paths,
			 .limits = LIMIT_SECRET },
	[ROLE_AUTH] = { .calls = CALLS_LIVE | CALLS_FILES | CALLS_FORK | CALLS_LIMITS,
			.more_calls = calls_of_auth,
			.domain = OURS,
			.paths = confine_auth_paths,
			.limits = LIMIT_SECRET },
	/* runs what the operator likes; it has no secret, and its limits would be its programs' */
	[ROLE_PROGRAMS] = { .calls = CALLS_ANY, .domain = DOMAIN_SIGNALS },
	[ROLE_KEYS] = { .calls = CALLS_LIVE | CALLS_THREADS | CALLS_LIMITS, /* and no files at all */
			.domain = OURS,
			.limits = LIMIT_SECRET },
	[ROLE_MONITOR] = { .calls = CALLS_LIVE | CALLS_FILES | CALLS_ACCEPT,
			   .domain = OURS,
			   .paths = confine_monitor_paths,
			   .limits = LIMIT_SECRET | LIMIT_ALONE | LIMIT_FILES },
};

/* Code of others may do what its author thought of. */
static bool is_foreign(unsigned calls)
{
	return calls & CALLS_ANY;
}

static unsigned calls_of(enum child_role role, const struct config *cfg)
{
	unsigned more = table[role].more_calls ? table[role].more_calls(cfg) : 0;

	return is_foreign(more) ? more : table[role].calls | more;
}

/* ---- what was not allowed ---------------------------------------------------------------- */

static const char *action_name(enum sandbox_action action)
{
	switch (action) {
	case SANDBOX_KILLED:
		return "killed";
	case SANDBOX_REFUSED:
		return "refused";
	case SANDBOX_ALLOWED:
		return "allowed";
	}
	return "?";
}

/* Who goes on and on, refused or allowed, is told of once a second; who is ended cannot go on. */
static void on_violation(void *ctx, const struct sandbox_violation *v)
{
	static int last_role = -1, last_number, since;
	static int64_t last_mono_ms;
	int64_t now = clock_mono_ms();
	struct log_line line;

	(void)ctx;
	if (v->action != SANDBOX_KILLED && v->role == last_role && v->number == last_number &&
	    now - last_mono_ms < 1000) {
		since++;
		return;
	}
	log_begin(&line, v->action == SANDBOX_ALLOWED ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
		  "sandbox_violation");
	log_str(&line, "role", child_role_name((enum child_role)v->role));
	log_int(&line, "pid", v->pid);
	log_str(&line, "syscall", v->call);
	log_int(&line, "number", v->number);
	log_str(&line, "action", action_name(v->action));
	if (v->action == SANDBOX_KILLED)
		log_str(&line, "msg",
			"it was taken over, or our table lacks this call: then seccomp = log helps until that is put right");
	if (since > 0)
		log_int(&line, "not_told", since);
	log_end(&line);
	last_role = v->role;
	last_number = v->number;
	last_mono_ms = now;
	since = 0;
}

/* ---- in the master -------------------------------------------------------------------------- */

static bool uses_seccomp(const struct confine *c)
{
	return c->cfg->seccomp != SANDBOX_OFF && c->support.seccomp != SECCOMP_NONE &&
	       !c->support.checked_build;
}

static bool uses_landlock(const struct confine *c)
{
	return c->cfg->landlock && !c->support.checked_build;
}

/* What there is, once, and what the configuration asks for in vain. */
static void tell(const struct confine *c)
{
	static const char *const mode[] = { "enforce", "log", "off" };
	char lacks[400];
	bool wanted = c->cfg->seccomp != SANDBOX_OFF || c->cfg->landlock;
	bool limited = sandbox_support_lacks(&c->support, lacks, sizeof(lacks)) && wanted;
	struct log_line line;

	log_begin(&line, limited && sandbox_support_is_poor(&c->support) ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		  "sandbox");
	log_str(&line, "seccomp", mode[uses_seccomp(c) ? c->cfg->seccomp : SANDBOX_OFF]);
	log_int(&line, "landlock", uses_landlock(c) ? c->support.landlock_abi : 0);
	if (limited)
		log_str(&line, "lacks", lacks);
	log_end(&line);
}

int confine_prepare(struct confine *c, const struct config *cfg, struct sandbox_watch **watch, struct err *e)
{
	bool notify;

	memset(c, 0, sizeof(*c));
	c->cfg = cfg;
	sandbox_support_find(&c->support);
	tell(c);
	c->watch = *watch;
	if (!uses_seccomp(c))
		return 0;
	notify = c->support.seccomp == SECCOMP_LISTENERS;
	for (int role = 0; role < CHILD_ROLES; role++) {
		c->filter[role] =
			sandbox_filter_new(calls_of((enum child_role)role, cfg), cfg->seccomp, notify, e);
		if (!c->filter[role])
			return -1;
	}
	if (!notify)
		return 0;
	if (!*watch)
		*watch = c->watch = sandbox_watch_new(on_violation, NULL, e);
	return c->watch ? 0 : -1;
}

void confine_release(struct confine *c)
{
	for (int role = 0; role < CHILD_ROLES; role++)
		sandbox_filter_free(c->filter[role]);
}

/* ---- in a child -------------------------------------------------------------------------------- */

static void set_limits(const struct confine *c, const struct confinement *what, bool foreign)
{
	if (c->support.checked_build)
		return;
	if (what->limits & LIMIT_SECRET)
		sandbox_limits_secret();
	if (foreign)
		return;
	if (what->limits & LIMIT_ALONE && !is_proxy(c->cfg)) /* libcurl looks names up in threads */
		sandbox_limits_alone();
	if (what->limits & LIMIT_FILES)
		sandbox_limits_files(FILES_OF_A_SESSION + FILES_ON_THEIR_WAY * c->cfg->max_workers);
}

static int enter_domain(const struct confine *c, const struct confinement *what, bool foreign, struct err *e)
{
	struct sandbox_domain d;
	int r;

	if (!uses_landlock(c))
		return 0;
	r = sandbox_domain_begin(&d, foreign ? what->domain & DOMAIN_SIGNALS : what->domain, e);
	if (r == 0 && !foreign && what->paths && what->paths(&d, c->cfg, e) < 0) {
		sandbox_domain_abort(&d);
		r = -1;
	}
	return r == 0 ? sandbox_domain_enter(&d, e) : -1;
}

static int enter_filter(struct confine *c, enum child_role role, bool foreign, struct err *e)
{
	const struct sandbox_subject subject = { (int)role, c->cfg->seccomp, foreign };
	int listener;

	if (!c->filter[role]) {
		/* with the listeners of those before a reload it could answer for them */
		sandbox_watch_leave(c->watch);
		return 0;
	}
	if (sandbox_filter_enter(c->filter[role], &listener, e) < 0)
		return -1;
	return listener < 0 ? 0 : sandbox_watch_hand_over(c->watch, &subject, listener, e);
}

int confine_enter(struct confine *c, enum child_role role, struct err *e)
{
	const struct confinement *what = &table[role];
	bool foreign = is_foreign(calls_of(role, c->cfg));

	set_limits(c, what, foreign);
	return enter_domain(c, what, foreign, e) < 0 ? -1 : enter_filter(c, role, foreign, e);
}

/* Nothing can be opened: it looks at its path, and writes to what it has. */
int confine_log_writer(const struct config *cfg, struct err *e)
{
	static const struct confinement what = { .domain = OURS };
	struct confine c = { .cfg = cfg };
	struct sandbox_filter *filter;
	int listener, r;

	sandbox_support_find(&c.support);
	if (enter_domain(&c, &what, false, e) < 0)
		return -1;
	if (!uses_seccomp(&c))
		return 0;
	filter = sandbox_filter_new(CALLS_LIVE | CALLS_FILES, cfg->seccomp, false, e);
	r = filter ? sandbox_filter_enter(filter, &listener, e) : -1;
	sandbox_filter_free(filter);
	return r;
}
