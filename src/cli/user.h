/* SPDX-License-Identifier: ISC */
/* What the files of `posthouse user` share. */
#ifndef CLI_USER_H
#define CLI_USER_H

#include <stdbool.h>

#include "auth/backend.h"
#include "auth/credential.h"
#include "cli/cli.h"

/* What is to be kept of a new password. */
struct user_keep {
	const struct credential_method *method; /* of crypt(3); NULL: no hash */
	bool scram, clear;
	unsigned iterations; /* of SCRAM */
};

struct user_job {
	struct cli *cli;
	char *file; /* the users file; owned */
	char *auth_user; /* who is to read it, when it is made; owned */
	const char *spelt; /* the operand; NULL: none */
	char name[AUTH_USER_MAX]; /* prepared */
	bool from_stdin, json;
	struct user_keep keep;
};

enum cli_status user_add(const struct user_job *job);
enum cli_status user_passwd(const struct user_job *job);
enum cli_status user_remove(const struct user_job *job);
enum cli_status user_list(const struct user_job *job);

#endif
