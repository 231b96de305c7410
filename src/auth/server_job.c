/* SPDX-License-Identifier: ISC */
/* One exchange as the auth process sees it: a request, a child, its outcome, an answer. See server_internal.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/address.h"
#include "auth/channel.h"
#include "auth/server_internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "figures/figures.h"

/* An exchange is a few responses of a client, each with its own time; this only ends what would never. */
#define EXCHANGE_STEPS 4

void job_release(struct server *s, struct job *j)
{
	if (j->fd >= 0)
		close(j->fd);
	*j = (struct job){ .state = JOB_FREE, .fd = -1 };
	s->free_jobs++;
}

/* ---- the answer ------------------------------------------------------------------------- */

static void answer(int fd, const char *result, const char *user)
{
	struct buf message;

	buf_init(&message, AUTH_MESSAGE_MAX);
	kv_puts(&message, "result", result);
	if (user)
		kv_puts(&message, "user", user);
	(void)channel_send(fd, &message); /* a worker that is gone hears nothing */
	buf_release(&message);
}

static void answer_and_release(struct server *s, struct job *j, const char *result, const char *user)
{
	answer(j->fd, result, user);
	job_release(s, j);
}

/* ---- the log ---------------------------------------------------------------------------- */

static void log_outcome(const struct job *j, const struct exchange_outcome *o, enum log_level level,
			const char *event, unsigned failures)
{
	char address[AUTH_ADDRESS_TEXT_MAX];
	struct log_line line;

	log_begin(&line, level, event);
	log_str(&line, "peer", auth_address_format(&j->client, address));
	if (o->user[0])
		log_str(&line, "user", o->user);
	if (o->mechanism[0])
		log_str(&line, "mechanism", o->mechanism);
	if (failures > 0)
		log_int(&line, "failures", failures);
	if (o->reason[0])
		log_str(&line, "reason", o->reason);
	log_end(&line);
}

static void log_ban(const struct server *s, const struct job *j, const struct exchange_outcome *o,
		    unsigned failures)
{
	char address[AUTH_ADDRESS_TEXT_MAX];
	struct log_line line;

	log_begin(&line, LOG_LEVEL_WARNING, "auth_banned");
	log_str(&line, "peer", auth_address_format(&j->client, address));
	if (o->user[0])
		log_str(&line, "user", o->user);
	log_str(&line, "mechanism", o->mechanism);
	log_int(&line, "failures", failures);
	log_seconds(&line, "for", s->cfg->ban.time_ms);
	log_end(&line);
}

/* o NULL: it did not come to a mechanism. */
static void count_attempt(const struct exchange_outcome *o, const char *result)
{
	const char *mechanism = o ? o->mechanism : "";

	figures_add(FIGURE_AUTH_ATTEMPTS, figure_word(FIGURE_AUTH_ATTEMPTS, 0, mechanism, strlen(mechanism)),
		    figure_word(FIGURE_AUTH_ATTEMPTS, 1, result, strlen(result)), 1);
}

/* Its worker hung up: nobody waits for an answer. */
static bool is_abandoned(const struct job *j)
{
	return j->fd < 0;
}

/* ---- what came of it -------------------------------------------------------------------- */

static void hold_back(struct server *s, struct job *j, const struct exchange_outcome *o, uint64_t guess)
{
	int64_t now = clock_mono_ms();
	struct ban_note note = ban_note(&s->bans, &j->client, guess, now);

	if (o->by_challenge && o->name)
		ban_may_pardon(&s->bans, &j->client, o->name, now);
	log_outcome(j, o, LOG_LEVEL_INFO, "auth_failed", note.failures);
	if (note.banned)
		log_ban(s, j, o, note.failures);
	figures_add(FIGURE_AUTH_BANS, 0, 0, note.banned);
	count_attempt(o, "failed");
	j->state = JOB_HELD_BACK;
	j->pid = 0;
	j->until_mono_ms = now + note.delay_ms;
	if (note.delay_ms == 0 || is_abandoned(j))
		answer_and_release(s, j, "failed", NULL);
}

/* A password that is found while its finder is banned already (by other exchanges at the same time) is not told. */
static void admit(struct server *s, struct job *j, const struct exchange_outcome *o)
{
	if (ban_is_banned(&s->bans, &j->client, clock_mono_ms())) {
		count_attempt(o, "banned");
		answer_and_release(s, j, "banned", NULL);
		return;
	}
	count_attempt(o, "ok");
	if (o->name)
		ban_pardon(&s->bans, &j->client, o->name, clock_mono_ms());
	log_outcome(j, o, LOG_LEVEL_INFO, "authenticated", 0);
	answer_and_release(s, j, "ok", o->user);
}

/* What a child wrote, as far as it is to be believed: texts end. */
static struct exchange_outcome outcome_of(const struct server *s, const struct job *j, int wait_status)
{
	struct exchange_outcome o = s->outcome[j - s->job];

	o.mechanism[sizeof(o.mechanism) - 1] = '\0';
	o.user[sizeof(o.user) - 1] = '\0';
	o.reason[sizeof(o.reason) - 1] = '\0';
	if (o.end == EXCHANGE_OK && o.user[0] == '\0')
		o.end = EXCHANGE_DIED;
	if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0)
		o.end = EXCHANGE_DIED;
	if (o.end != EXCHANGE_DIED)
		return o;
	if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGALRM)
		snprintf(o.reason, sizeof(o.reason), "no result within %d s", AUTH_ANSWER_MS / 1000);
	else if (WIFSIGNALED(wait_status))
		snprintf(o.reason, sizeof(o.reason), "the process was killed by signal %d",
			 WTERMSIG(wait_status));
	else
		snprintf(o.reason, sizeof(o.reason), "the process ended without a result");
	return o;
}

void job_reaped(struct server *s, struct job *j, int wait_status)
{
	struct exchange_outcome o = outcome_of(s, j, wait_status);

	explicit_bzero(&s->outcome[j - s->job], sizeof(o));
	switch (o.end) {
	case EXCHANGE_OK:
		admit(s, j, &o);
		return;
	case EXCHANGE_FAILED:
		hold_back(s, j, &o, o.guess);
		return;
	case EXCHANGE_NO_SECRET:
		/* held back as any other; as no password would have done it counts once */
		hold_back(s, j, &o, UINT64_MAX);
		return;
	case EXCHANGE_MALFORMED:
		log_outcome(j, &o, LOG_LEVEL_INFO, "auth_malformed", 0);
		count_attempt(&o, "malformed");
		answer_and_release(s, j, "malformed", NULL);
		return;
	case EXCHANGE_NO_MECHANISM:
		log_outcome(j, &o, LOG_LEVEL_INFO, "auth_malformed", 0);
		count_attempt(&o, "malformed");
		answer_and_release(s, j, "no_mechanism", NULL);
		return;
	case EXCHANGE_CANCELLED:
		count_attempt(&o, "cancelled");
		job_release(s, j);
		return;
	case EXCHANGE_DIED:
		if (!is_abandoned(j) || !WIFSIGNALED(wait_status) || WTERMSIG(wait_status) != SIGKILL)
			break;
		/* we did, because its client has cancelled */
		count_attempt(&o, "cancelled");
		job_release(s, j);
		return;
	case EXCHANGE_TEMPORARY:
		break;
	}
	count_attempt(&o, "error");
	log_outcome(j, &o, LOG_LEVEL_ERROR, "auth_error", 0);
	answer_and_release(s, j, "temporary", NULL);
}

void job_abandoned(struct server *s, struct job *j)
{
	if (j->state == JOB_HELD_BACK) {
		job_release(s, j);
		return;
	}
	/* the worker sees to its own; the child may be anywhere. It is reaped as any other, and nobody is told */
	kill(j->pid, SIGKILL);
	close(j->fd);
	j->fd = -1;
}

void job_due(struct server *s, struct job *j)
{
	if (j->state == JOB_HELD_BACK) {
		answer_and_release(s, j, "failed", NULL);
		return;
	}
	kill(j->pid, SIGKILL);
	j->until_mono_ms = CLOCK_NEVER;
}

/* ---- a request -------------------------------------------------------------------------- */

static _Noreturn void child(struct server *s, const struct job *j)
{
	char address[AUTH_ADDRESS_TEXT_MAX];

	server_become_child(s, j);
	proctitle_set("auth %s", auth_address_format(&j->client, address));
	exchange_run(&s->setup, j->fd, &j->client, &s->outcome[j - s->job]);
	_exit(EXIT_SUCCESS);
}

static struct job *free_job(struct server *s)
{
	struct job *j = s->job;

	while (j->state != JOB_FREE)
		j++;
	return j;
}

void job_begin(struct server *s, int fd, const struct auth_address *client)
{
	struct pollfd worker = { fd, 0, 0 };
	int64_t now = clock_mono_ms();
	struct job *j;
	pid_t pid;

	/* it may have waited long, and nobody waits for it any more */
	if (poll(&worker, 1, 0) > 0) {
		close(fd);
		return;
	}
	if (ban_is_banned(&s->bans, client, now)) {
		count_attempt(NULL, "banned");
		answer(fd, "banned", NULL);
		close(fd);
		return;
	}
	j = free_job(s);
	s->free_jobs--;
	*j = (struct job){ .state = JOB_RUNNING,
			   .fd = fd,
			   .client = *client,
			   .until_mono_ms =
				   now + EXCHANGE_STEPS * (s->cfg->client_timeout_ms + AUTH_ANSWER_MS) };
	memset(&s->outcome[j - s->job], 0, sizeof(*s->outcome));
	pid = fork();
	if (pid == 0)
		child(s, j);
	if (pid < 0) {
		log_msg(LOG_LEVEL_ERROR, "auth_error", "cannot start a process for an exchange: %s",
			strerror(errno));
		answer_and_release(s, j, "temporary", NULL);
		return;
	}
	j->pid = pid;
}
