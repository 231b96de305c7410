/* SPDX-License-Identifier: ISC */
/*
 * Drives a backend of auth/ directly, for system tests against the real
 * PAM and Dovecot. auth_check users|pam|dovecot TARGET [ADDRESS [tls]]
 * reads orders from standard input, fields between tabs, and answers each:
 *
 *   mechanisms                     mechanisms TAB PLAIN LOGIN
 *   verify TAB name TAB password   ok TAB user, failed TAB why, temporary TAB why
 *   lookup TAB name                secret TAB user TAB iterations TAB salt TAB stored TAB server TAB password
 *   exchange TAB mech [TAB init]   challenge TAB text; then a line is the answer ("-": the client is gone)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/backend.h"
#include "base/clock.h"

#define LINE 40000

static char answer_line[LINE];

static bool read_line(char *line)
{
	if (!fgets(line, LINE, stdin))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

static const char *ask(struct auth_conversation *c, const char *challenge)
{
	(void)c;
	printf("challenge\t%s\n", challenge);
	fflush(stdout);
	return read_line(answer_line) && strcmp(answer_line, "-") != 0 ? answer_line : NULL;
}

static void put_result(enum auth_result r, const char *user, const struct err *e)
{
	switch (r) {
	case AUTH_OK:
		printf("ok\t%s\n", user);
		break;
	case AUTH_FAILED:
		printf("failed\t%s\n", e->text);
		break;
	case AUTH_TEMPORARY:
		printf("temporary\t%s\n", e->text);
		break;
	}
}

static void put_mechanisms(struct auth_backend *b)
{
	struct buf out;
	struct err e;

	buf_init(&out, 4096);
	if (b->ops->mechanisms(b, &out, &e) == 0)
		printf("mechanisms\t%s\n", out.data);
	else
		printf("temporary\t%s\n", e.text);
	buf_release(&out);
}

static void look_up(struct auth_backend *b, const char *name)
{
	struct auth_secret s;
	struct err e = { 0, "" };
	enum auth_result r = b->ops->lookup(b, name, &s, &e);

	if (r == AUTH_OK)
		printf("secret\t%s\t%u\t%s\t%s\t%s\t%s\n", s.user, s.iterations, s.salt, s.stored_key,
		       s.server_key, s.password);
	else
		put_result(r, "", &e);
}

static void obey(struct auth_backend *b, struct auth_client *client, char *line)
{
	char *rest = line, *order = strsep(&rest, "\t"), *first = strsep(&rest, "\t");
	struct auth_conversation talk = { ask };
	char user[AUTH_USER_MAX] = "";
	struct err e = { 0, "" };

	client->deadline_mono_ms = clock_mono_ms() + 20000;
	if (strcmp(order, "mechanisms") == 0)
		put_mechanisms(b);
	else if (strcmp(order, "verify") == 0 && b->ops->verify && first && rest)
		put_result(b->ops->verify(b, client, first, rest, user, &e), user, &e);
	else if (strcmp(order, "lookup") == 0 && b->ops->lookup && first)
		look_up(b, first);
	else if (strcmp(order, "exchange") == 0 && b->ops->exchange && first)
		put_result(b->ops->exchange(b, client, first, rest, &talk, user, &e), user, &e);
	else
		puts("usage");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct auth_client client = { argc > 3 ? argv[3] : "192.0.2.1", argc > 4, 0 };
	struct auth_backend *b = NULL;
	struct err e = { 0, "usage" };
	static char line[LINE];

	if (argc > 2 && strcmp(argv[1], "users") == 0)
		b = auth_users_open(argv[2], &e);
	else if (argc > 2 && strcmp(argv[1], "pam") == 0)
		b = auth_pam_open(argv[2], &e);
	else if (argc > 2 && strcmp(argv[1], "dovecot") == 0)
		b = auth_dovecot_open(argv[2], &e);
	if (!b) {
		fprintf(stderr, "auth_check: %s\n", e.text);
		return EXIT_FAILURE;
	}
	while (read_line(line))
		obey(b, &client, line);
	b->ops->close(b);
	return EXIT_SUCCESS;
}
