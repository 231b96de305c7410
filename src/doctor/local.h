/* SPDX-License-Identifier: ISC */
/* The checks of this machine: configuration, secrets, spool, sockets, clock ... (posthouse(1), doctor). */
#ifndef DOCTOR_LOCAL_H
#define DOCTOR_LOCAL_H

#include <sys/types.h>

#include "config/config.h"
#include "doctor/finding.h"
#include "doctor/world.h"

/* What the checks are about, and what the earlier ones found out for the later ones. */
struct doctor_local {
	const struct doctor_world *world;
	int timeout_ms; /* of each question */
	const char *config_file; /* NULL: there is none, the defaults count */
	char *const *config_error; /* each line that config_load reported */
	size_t config_error_count;
	const struct config *cfg; /* usable when there was no error */
	const char *spool; /* where the spool is */
	/* found out */
	enum doctor_daemon daemon;
	pid_t master; /* when the daemon runs and says so, else 0 */
};

extern const struct doctor_check doctor_local_checks[];
extern const size_t doctor_local_check_count;

/*
 * What another user's access(2) says, with all its groups, tried in a child: 0, or the errno. local_clients.c
 */
struct passwd;
int doctor_error_for_user(const char *file, int mode, const struct passwd *pw);

/* ---- the checks, a file or two each ------------------------------------------------------ */

void check_configuration(void *subject, struct findings *f);
void check_users(void *subject, struct findings *f);
void check_secrets(void *subject, struct findings *f);
void check_files(void *subject, struct findings *f);
void check_spool(void *subject, struct findings *f); /* local_spool.c */
void check_filesystem(void *subject, struct findings *f);
void check_space(void *subject, struct findings *f);
void check_daemon(void *subject, struct findings *f);
void check_listeners(void *subject, struct findings *f); /* local_listen.c */
void check_certificates(void *subject, struct findings *f); /* local_clients.c */
void check_tables(void *subject, struct findings *f);
void check_logins(void *subject, struct findings *f);
void check_programs(void *subject, struct findings *f); /* local_programs.c */
void check_mailman(void *subject, struct findings *f); /* local_mailman.c */
void check_hostname(void *subject, struct findings *f); /* local_machine.c */
void check_clock(void *subject, struct findings *f);
void check_limits(void *subject, struct findings *f);
void check_sandbox(void *subject, struct findings *f);

#endif
