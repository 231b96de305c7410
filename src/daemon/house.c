/* SPDX-License-Identifier: ISC */
/* See house.h. Runs in the master. */
#include "daemon/house.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/listener.h"
#include "daemon/events.h"
#include "daemon/listener_tls.h"
#include "daemon/monitor.h"
#include "sandbox/watch.h"

/* ---- the pid file ------------------------------------------------------------------ */

/*
 * Once lock and sockets are ours: a second service that fails to start must not touch the file of the
 * first. Not through a symbolic link: who owns the directory may be less than we are.
 */
static int write_pid_file(const char *name, struct err *e)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, (size_t)n) != n) {
		err_set_os(e, errno, "%s: cannot write the pid file", name);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

int house_move_pid_file(struct house *h, const char *name, struct err *e)
{
	if (name && h->pid_file && strcmp(name, h->pid_file) == 0)
		return 0;
	if (name && write_pid_file(name, e) < 0)
		return -1;
	if (h->pid_file)
		unlink(h->pid_file);
	free(h->pid_file);
	h->pid_file = mem_strdup_or_null(name);
	return 0;
}

/* ---- coming into use ----------------------------------------------------------------- */

static void set_roles(struct house *h, struct service *s)
{
	const struct config *cfg = s->cfg;

	h->master_limits =
		(struct master_limits){ .pool = { cfg->min_spare, cfg->max_spare, cfg->max_workers },
					.shed = admission_shed_policy(cfg),
					.stop_timeout_ms = cfg->stop_timeout_ms };
	h->roles.run[ROLE_WORKER] = worker_main;
	h->roles.run[ROLE_RELAY] = s->has_relay ? relay_main : NULL;
	h->roles.run[ROLE_AUTH] = s->has_auth ? auth_main : NULL;
	h->roles.run[ROLE_PROGRAMS] = s->has_programs ? programs_main : NULL;
	h->roles.run[ROLE_KEYS] = config_has_tls(cfg) ? keys_main : NULL;
	h->roles.run[ROLE_MONITOR] = s->has_monitor ? monitor_main : NULL;
	h->roles.guests = cfg->module;
	h->roles.watch_fd = h->watch ? sandbox_watch_fd(h->watch) : -1;
	h->roles.ctx = s;
}

void house_use(struct house *h, struct service *s, struct listening_set *open)
{
	struct listening_set dropped;

	listening_init(&dropped);
	listener_tls_take_over(s->tls);
	listening_settle(&s->listening, open, &h->going);
	h->going_since_mono_ms = clock_mono_ms();
	/* who asked for figures asks again */
	listening_settle(&s->metrics, h->now ? &h->now->metrics : &h->metrics, &dropped);
	listening_release(&dropped, false);
	h->before = h->now;
	h->now = s;
	set_roles(h, s);
	log_tap(s->has_relay ? events_send : NULL, s); /* the workers inherit it */
	monitor_name_figures(s->cfg);
	activation_close(h->setup->passed);
}

/* ---- what the supervisor is told ------------------------------------------------------- */

void house_gather(const struct service *s, struct notify_facts *f)
{
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	*f = (struct notify_facts){ .workers = count.total,
				    .busy = count.busy,
				    .has_queue = s->has_relay,
				    .queued = atomic_load(&s->board->shared->relay_queued),
				    .refused = s->house->refused };
}

void house_tell_ready(struct house *h)
{
	struct notify_facts facts;

	house_gather(h->now, &facts);
	notify_ready(&h->notify, &facts);
}
