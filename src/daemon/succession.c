/* SPDX-License-Identifier: ISC */
/* See succession.h. Runs in the master, as root if it was started so. */
#include "daemon/succession.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/changes.h"
#include "daemon/generation.h"
#include "daemon/house.h"
#include "daemon/listener_tls.h"
#include "daemon/logging.h"
#include "daemon/options.h"
#include "daemon/prepared.h"
#include "daemon/reload.h"
#include "daemon/upgrade.h"
#include "figures/figures.h"

#define TRY_CONFIGURATION_MS 120000 /* a module has its time, too, and users may be known elsewhere */

/* ---- trying ---------------------------------------------------------------------------- */

static void log_refused(void *ctx, const char *text)
{
	static const char prefix[] = "posthoused: ";
	struct house *h = ctx;
	struct log_line line;

	h->refused = true;
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	figures_add(FIGURE_RELOADS, 1, 0, 1);
	log_begin(&line, LOG_LEVEL_ERROR,
		  h->tries == HOUSE_TRIES_RELOAD ? "reload_refused" : "upgrade_refused");
	log_str(&line, "what", h->tries == HOUSE_TRIES_EXECUTABLE ? "executable" : "configuration");
	log_str(&line, "msg", text);
	log_str(&line, "kept", "the old");
	log_end(&line);
}

/* In the child: what is wrong is written to words_fd, a line each. */
static void write_line(void *ctx, const char *text)
{
	dprintf(*(int *)ctx, "%s\n", text);
}

static int try_configuration(void *ctx, int words_fd)
{
	const struct house *h = ctx;
	struct config cfg;

	if (daemon_options_configure(h->setup->options, geteuid(), &cfg, write_line, &words_fd) < 0 ||
	    !changes_are_possible(h->now->cfg, &cfg, write_line, &words_fd))
		return -1;
	activation_apply(h->setup->passed, &cfg);
	return machine_is_prepared(&cfg, false, write_line, &words_fd) ? 0 : -1;
}

/* NULL: it cannot be used, and that has been logged. */
static struct service *make_next(struct house *h)
{
	struct config *cfg = mem_alloc(sizeof(*cfg));
	struct service *s;
	struct err e;

	/* once more: it may be another by now */
	if (daemon_options_configure(h->setup->options, geteuid(), cfg, log_refused, h) < 0 ||
	    !changes_are_possible(h->now->cfg, cfg, log_refused, h)) {
		config_release(cfg);
		free(cfg);
		return NULL;
	}
	activation_apply(h->setup->passed, cfg);
	s = generation_new(h, cfg);
	if (generation_open(s, h, &h->now->listening, &e) == 0 &&
	    house_move_pid_file(h, cfg->pid_file, &e) == 0 &&
	    logging_open(cfg, h->setup->options->foreground, &e) == 0)
		return s;
	if (e.text[0])
		log_refused(h, e.text);
	listening_give_back(&h->now->listening);
	listening_give_back(&h->now->metrics);
	generation_free(s);
	return NULL;
}

static enum master_change replace(struct house *h)
{
	struct service *next = make_next(h);
	struct log_line line;

	if (!next) {
		house_tell_ready(h);
		return MASTER_SAME;
	}
	house_use(h, next, &h->now->listening);
	reload_tell(next->reload);
	figures_add(FIGURE_RELOADS, 0, 0, 1);
	log_begin(&line, LOG_LEVEL_INFO, "reloaded");
	log_str(&line, "what", "configuration");
	log_end(&line);
	return MASTER_GENERATION;
}

static void try(struct house *h, enum house_trial what)
{
	struct err e;

	h->tries = what;
	h->refused = false;
	if (trial_begin(&h->trial, try_configuration, h, TRY_CONFIGURATION_MS, &e) == 0)
		return;
	log_refused(h, e.text);
	h->tries = HOUSE_NO_TRIAL;
	house_tell_ready(h);
}

enum master_change succession_of_files(struct service *s, bool changed)
{
	unsigned turn = listener_tls_turn(s->tls);
	bool other_keys = turn != s->keys_turn;

	s->keys_turn = turn;
	if (!changed)
		return MASTER_SAME;
	return other_keys ? MASTER_KEYS : MASTER_WORKERS;
}

static enum master_change reload_files(struct house *h)
{
	bool changed = reload_now(h->now->reload);

	house_tell_ready(h);
	return succession_of_files(h->now, changed);
}

enum master_change succession_reload(void *ctx)
{
	struct house *h = ((struct service *)ctx)->house;

	if (h->tries != HOUSE_NO_TRIAL) { /* what is being read now may be what was there before */
		h->again = true;
		return MASTER_SAME;
	}
	notify_reloading(&h->notify);
	if (!h->setup->options->config_file)
		return reload_files(h);
	log_msg(LOG_LEVEL_INFO, "reload", "the configuration, and the files that it names, are read again");
	try(h, HOUSE_TRIES_RELOAD);
	return MASTER_SAME;
}

enum master_change succession_upgrade(void *ctx)
{
	struct house *h = ((struct service *)ctx)->house;

	if (h->tries != HOUSE_NO_TRIAL) {
		log_msg(LOG_LEVEL_WARNING, "upgrade_refused",
			"a reload or an upgrade is under way: try again");
		return MASTER_SAME;
	}
	log_msg(LOG_LEVEL_INFO, "upgrade", "the executable is to be replaced");
	notify_reloading(&h->notify);
	try(h, HOUSE_TRIES_UPGRADE);
	return MASTER_SAME;
}

static void log_bad_end(struct house *h, int wait_status)
{
	struct err e;

	if (WIFSIGNALED(wait_status))
		err_set(&e, "what tried it was killed by a signal: SIG%s",
			sigabbrev_np(WTERMSIG(wait_status)));
	else
		err_set(&e, "what tried it ended with status %d", WEXITSTATUS(wait_status));
	log_refused(h, e.text);
}

/* What has been tried is good. */
static enum master_change go_on(struct house *h)
{
	enum house_trial tried = h->tries;
	enum master_change change = MASTER_SAME;

	switch (tried) {
	case HOUSE_NO_TRIAL:
		return MASTER_SAME;
	case HOUSE_TRIES_RELOAD:
		change = replace(h);
		break;
	case HOUSE_TRIES_UPGRADE:
		if (upgrade_try(h))
			return MASTER_SAME;
		house_tell_ready(h);
		break;
	case HOUSE_TRIES_EXECUTABLE:
		change = MASTER_EXECUTE;
		break;
	}
	h->tries = HOUSE_NO_TRIAL;
	return change;
}

/* A HUP that had to wait comes now: what it changes is the master's to take. */
static void take_up_again(struct house *h)
{
	if (h->again)
		kill(getpid(), SIGHUP);
	h->again = false;
}

enum master_change succession_ended(void *ctx, pid_t pid, int wait_status)
{
	struct house *h = ((struct service *)ctx)->house;
	bool good = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_SUCCESS;
	enum master_change change = MASTER_SAME;

	if (!trial_ended(&h->trial, pid))
		return MASTER_SAME;
	if (good) {
		trial_abandon(&h->trial, false);
		change = go_on(h);
	} else {
		if (trial_hear(&h->trial, log_refused, h) == 0)
			log_bad_end(h, wait_status);
		h->tries = HOUSE_NO_TRIAL;
		house_tell_ready(h);
	}
	if (h->tries == HOUSE_NO_TRIAL && change != MASTER_EXECUTE)
		take_up_again(h);
	return change;
}

void succession_execute(void *ctx, const struct child *const *child, unsigned count)
{
	struct house *h = ((struct service *)ctx)->house;

	upgrade_execute(ctx, child, count); /* still here: it failed, and all goes on */
	house_tell_ready(h);
	take_up_again(h);
}
