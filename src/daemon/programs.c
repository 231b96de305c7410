/* SPDX-License-Identifier: ISC */
/*
 * See programs.h. The program process holds no listening socket, no spool, no
 * key of a certificate and no secret; it becomes program_user before it does
 * anything else.
 */
#include "daemon/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proctitle.h"
#include "config/programs.h"
#include "daemon/inherit.h"
#include "daemon/service.h"
#include "figures/figures.h"
#include "program/server.h"

int programs_find_rights(struct rights *rights, const struct config *cfg, struct err *e)
{
	if (rights_of_user(rights, cfg->program_user, e) < 0) {
		err_prefix(e, "program_user");
		return -1;
	}
	rights_add_groups_of(rights, cfg->program_user);
	return 0;
}

/* ---- before the start --------------------------------------------------------------- */

static bool is_usable(const char *name, const char *program, const char *user, struct err *e)
{
	struct stat st;

	if (stat(program, &st) != 0 || access(program, X_OK) != 0)
		err_set_os(e, errno, "%s_command: %s cannot be executed by user \"%s\"", name, program, user);
	else if (!S_ISREG(st.st_mode))
		err_set(e, "%s_command: %s is no program", name, program);
	else
		return true;
	return false;
}

static bool look(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx)
{
	struct config_programs programs;
	bool good = true, change = geteuid() == 0 && cfg->user && cfg->smtp_user;
	struct rights rights = { 0 };
	struct err e;

	if (change && (programs_find_rights(&rights, cfg, &e) < 0 || rights_drop(&rights, &e) < 0)) {
		report(ctx, e.text);
		return false;
	}
	config_programs_init(&programs, cfg);
	for (int i = 0; i < PROGRAM_COMMANDS; i++) {
		if (programs.setting[i].word_count == 0 ||
		    is_usable(program_command_names[i], programs.setting[i].word[0],
			      change ? cfg->program_user : "that starts us", &e))
			continue;
		report(ctx, e.text);
		good = false;
	}
	return good;
}

bool programs_are_usable(const struct config *cfg, void (*report)(void *ctx, const char *text), void *ctx)
{
	int status = 0;
	pid_t pid;

	if (!config_runs_programs(cfg))
		return true;
	pid = fork();
	if (pid == 0)
		_exit(look(cfg, report, ctx) ? EXIT_SUCCESS : EXIT_FAILURE);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* ---- the process ----------------------------------------------------------------------- */

/* While the service stops: sessions under way may come to the end of a message. */
static bool sessions_are_open(void *ctx)
{
	const struct service *s = ctx;
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	return count.busy > 0;
}

int programs_main(void *ctx, struct child_start *start)
{
	struct service *s = ctx;
	struct config_programs programs;
	struct program_server_config config = {
		.request_fd = s->program_fd[0],
		.control = &start->control,
		.max_programs = s->cfg->max_programs,
		.ready = &s->board->shared->ready[ROLE_PROGRAMS],
		.wanted = sessions_are_open,
		.ctx = s,
	};
	struct err e;
	int r = -1;

	figures_become_nobody();
	proctitle_set("programs");
	config_programs_init(&programs, s->cfg);
	config.command = programs.setting;
	inherit_as(s, ROLE_PROGRAMS);
	if (rights_drop(&s->program_rights, &e) == 0 && confine_enter(&s->confine, ROLE_PROGRAMS, &e) == 0)
		r = program_server_run(&config, &e);
	if (r < 0)
		log_msg(LOG_LEVEL_ERROR, "programs_failed", "%s", e.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
