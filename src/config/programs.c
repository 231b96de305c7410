/* SPDX-License-Identifier: ISC */
/* See programs.h. */
#include "config/programs.h"

#include <string.h>

#include "config/mailman.h"
#include "handler/facts.h"

static void set_exec(struct program_setting *s, const struct config *cfg)
{
	if (handler_find(cfg->handler) != HANDLER_EXEC)
		return;
	s->word = (const char *const *)cfg->exec_command;
	s->word_count = cfg->exec_command_count;
	s->timeout_ms = cfg->exec_timeout_ms;
	s->crlf = cfg->exec_crlf;
}

static void set_filter(struct program_setting *s, const struct config *cfg)
{
	s->word = (const char *const *)cfg->filter_command;
	s->word_count = cfg->filter_command_count;
	s->timeout_ms = cfg->filter_timeout_ms;
	s->crlf = cfg->filter_crlf;
	s->filters = true;
	s->output_max = cfg->data_size_limit_bytes > 0 ? cfg->data_size_limit_bytes : UINT64_MAX;
}

static void set_mailman(struct config_programs *p, const struct config *cfg)
{
	if (!config_is_mailman(cfg) || !cfg->mailman_command)
		return;
	p->mailman[0] = cfg->mailman_command;
	p->mailman[1] = "%{action}";
	p->mailman[2] = "%{list}";
	p->setting[PROGRAM_MAILMAN] = (struct program_setting){ .word = p->mailman,
								.word_count = 3,
								.timeout_ms = cfg->mailman_timeout_ms };
}

void config_programs_init(struct config_programs *p, const struct config *cfg)
{
	memset(p, 0, sizeof(*p));
	set_exec(&p->setting[PROGRAM_EXEC], cfg);
	set_filter(&p->setting[PROGRAM_FILTER], cfg);
	set_mailman(p, cfg);
}

bool config_runs_programs(const struct config *cfg)
{
	struct config_programs p;

	config_programs_init(&p, cfg);
	for (int i = 0; i < PROGRAM_COMMANDS; i++)
		if (p.setting[i].word_count > 0)
			return true;
	return false;
}
