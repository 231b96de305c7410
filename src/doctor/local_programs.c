/* SPDX-License-Identifier: ISC */
/* See local.h: the programs that get messages. */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "config/programs.h"
#include "doctor/local.h"

/* Who runs them; NULL: whoever runs this, or nobody that is known. */
static const struct passwd *program_user(const struct doctor_local *d)
{
	return d->cfg->program_user && d->world->euid == 0 ? getpwnam(d->cfg->program_user) : NULL;
}

void check_programs(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	const struct passwd *pw = program_user(d);
	struct config_programs p;

	config_programs_init(&p, d->cfg);
	for (int i = 0; i < PROGRAM_COMMANDS; i++) {
		const char *name = program_command_names[i], *program;
		int error;

		if (p.setting[i].word_count == 0)
			continue;
		program = p.setting[i].word[0];
		error = pw                           ? doctor_error_for_user(program, X_OK, pw)
			: access(program, X_OK) == 0 ? 0
						     : errno;
		if (error == 0) {
			finding_add(f, FINDING_OK, "%s_command: %s can be executed", name, program);
			continue;
		}
		finding_add(f, FINDING_FAILED, "%s_command: %s cannot be executed%s%s: %s", name, program,
			    pw ? " by user " : "", pw ? pw->pw_name : "", strerror(error));
		finding_advise(f,
			       "posthoused does not start with it, and clients would get 451: chmod a+x, and "
			       "`namei -l "
			       "%s` shows whether a folder keeps that user out",
			       program);
	}
}
