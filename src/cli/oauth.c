/* SPDX-License-Identifier: ISC */
/*
 * posthouse oauth login|refresh|status UPSTREAM: the tokens with which the
 * relay logs in to an upstream. A running relay takes over at once what is
 * stored here (oauth/keeper.h).
 */
#include "cli/oauth.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/form.h"
#include "base/num.h"
#include "cli/settings.h"
#include "cli/verbs.h"
#include "config/paths.h"

#define LOCK_WAIT_MS 45000 /* longer than one request of the relay takes */
#define LOCK_LOOK_MS 100

enum { OPT_JSON = ARGS_LONG_ONLY };

const struct args_option oauth_options[] = {
	{ "json", OPT_JSON, NULL, "status: as JSON objects, one a line" },
	ARGS_OPTIONS_END,
};

void oauth_say(const struct oauth_session *s, const char *step, const char *fmt, ...)
{
	struct buf line;
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&line, 4 * sizeof(text));
	term_escapes(&s->cli->out, text, &line);
	printf("%-8s %s\n", step, line.data);
	fflush(stdout); /* somebody waits for it, and what comes next may take minutes */
	buf_release(&line);
}

/* ---- whose the file is -------------------------------------------------------------------- */

/* From here on with the rights of that user only; what is made is theirs. */
static int become(const char *name, bool makes_folder, struct err *e)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw) {
		err_set(e, "user \"%s\" does not exist: it runs the relay, and owns its tokens", name);
		return -1;
	}
	if (makes_folder && oauth_store_make_folder(CONFIG_OAUTH_FOLDER, pw->pw_uid, pw->pw_gid, e) < 0)
		return -1;
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		err_set_os(e, errno, "cannot become user %s", name);
		return -1;
	}
	return 0;
}

/* ---- asking ----------------------------------------------------------------------------------- */

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

int oauth_lock(const struct oauth_session *s, int *fd)
{
	int64_t until = clock_mono_ms() + LOCK_WAIT_MS;
	struct err e;

	while ((*fd = oauth_store_lock(s->file, &e)) < 0 && e.os_error == EWOULDBLOCK &&
	       clock_mono_ms() < until)
		wait_ms(LOCK_LOOK_MS);
	if (*fd >= 0)
		return 0;
	/* who was not root at the start is not the one that the folder is to be for */
	if (e.os_error == EACCES && !s->was_root)
		cli_error("token file %s: %s: run it as root", s->file, strerror(EACCES));
	else
		cli_error("%s", e.text);
	return -1;
}

static enum cli_status store(const struct oauth_session *s, const struct oauth_stored *next, bool rotated)
{
	char lifetime[16];
	struct err e;

	oauth_say(s, "granted", "for %s%s",
		  num_format_age((next->expires_wall_s - next->obtained_wall_s) * 1000, lifetime,
				 sizeof(lifetime)),
		  rotated ? ", with a new refresh token" : "");
	if (oauth_store_save(s->file, next, &e) < 0) {
		cli_error("%s%s", e.text,
			  rotated ? ": the refresh token that came is lost: log in again" : "");
		return CLI_UNREACHABLE;
	}
	oauth_say(s, "stored", "%s", s->file);
	return CLI_DONE;
}

enum cli_status oauth_renew_now(const struct oauth_session *s, const struct oauth_stored *stored)
{
	struct http_request request = s->way;
	enum cli_status status = CLI_NOTHING;
	struct http_answer answer;
	struct oauth_stored next;
	struct buf body;
	struct err e;
	bool rotated;

	buf_init(&body, FORM_MAX);
	request.url = s->client.token_url;
	if (oauth_renew_ask(&s->client, stored, &body, &e) < 0) {
		cli_error("%s", e.text);
		goto out;
	}
	oauth_say(s, "asking", "%s", request.url);
	request.form = body.data;
	if (http_perform(&request, &answer, &e) < 0) {
		cli_error("%s", e.text);
		status = CLI_UNREACHABLE;
		goto out;
	}
	if (oauth_renew_take(&s->client, stored, answer.status, answer.body.data, answer.body.len,
			     clock_wall_us() / 1000000, &next, &rotated, &e) == OAUTH_GRANTED)
		status = store(s, &next, rotated);
	else
		cli_error("%s", e.text);
	oauth_stored_release(&next);
	http_answer_release(&answer);
out:
	buf_wipe(&body);
	return status;
}

static enum cli_status refresh(const struct oauth_session *s)
{
	enum cli_status status = CLI_NOTHING;
	struct oauth_stored stored;
	struct err e;
	int fd;

	if (oauth_lock(s, &fd) < 0)
		return CLI_UNREACHABLE;
	if (oauth_store_load(s->file, &stored, &e) == OAUTH_STORE_BAD)
		cli_error("%s", e.text);
	else
		status = oauth_renew_now(s, &stored);
	oauth_stored_release(&stored);
	close(fd);
	return status;
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum cli_status (*run)(const struct oauth_session *s);
	bool shows; /* takes all upstreams, and --json */
} actions[] = {
	{ "login", oauth_login, false },
	{ "refresh", refresh, false },
	{ "status", oauth_status, true },
};

static enum cli_status run_one(struct oauth_session *s, const struct config_upstream *u,
			       enum cli_status (*run)(const struct oauth_session *s))
{
	char file[PATH_MAX];
	enum cli_status status;

	s->upstream = u;
	s->file = mem_strdup(config_oauth_token_file(u, file, sizeof(file)));
	config_client_oauth(&s->client, &s->way, u, &s->secrets);
	status = run(s);
	free(s->file);
	return status;
}

static const struct config_upstream *find(const struct config *cfg, const char *name)
{
	for (size_t i = 0; i < cfg->upstream_count; i++) {
		if (strcmp(cfg->upstream[i].name, name) != 0)
			continue;
		if (cfg->upstream[i].oauth != OAUTH_NONE)
			return &cfg->upstream[i];
		cli_error("upstream \"%s\" does not use oauth: its section has no key oauth", name);
		return NULL;
	}
	cli_error("there is no upstream \"%s\"", name);
	return NULL;
}

/* One upstream, with its secrets: those are read before root is given up. */
static enum cli_status run_named(struct oauth_session *s, const struct config *cfg, size_t action,
				 const char *name)
{
	const struct config_upstream *u = find(cfg, name);
	enum cli_status status = CLI_NOTHING;
	struct err e;

	if (!u)
		return CLI_NOTHING;
	s->upstream = u;
	s->was_root = s->was_root || geteuid() == 0; /* with several, the first one gives it up */
	if (!actions[action].shows && config_client_read_secrets(&s->secrets, u, &e) < 0)
		cli_error("upstream \"%s\": %s", u->name, e.text);
	else if (geteuid() == 0 && cfg->user &&
		 become(cfg->user, !actions[action].shows && !u->oauth_token_file, &e) < 0)
		cli_error("%s", e.text);
	else
		status = run_one(s, u, actions[action].run);
	config_client_release_secrets(&s->secrets);
	return status;
}

static enum cli_status show_all(struct oauth_session *s, const struct config *cfg, size_t action)
{
	enum cli_status status = CLI_DONE, one;
	size_t count = 0;

	for (size_t i = 0; i < cfg->upstream_count; i++) {
		if (cfg->upstream[i].oauth == OAUTH_NONE)
			continue;
		one = run_one(s, &cfg->upstream[i], actions[action].run);
		status = one > status ? one : status;
		count++;
	}
	if (count > 0)
		return status;
	cli_error("no upstream uses oauth");
	return CLI_NOTHING;
}

static enum cli_status with_config(struct oauth_session *s, size_t action, const char *name)
{
	enum cli_status status;
	struct config cfg;
	struct err e;

	if (settings_config(s->cli->config_file, &cfg, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	status = name ? run_named(s, &cfg, action, name) : show_all(s, &cfg, action);
	config_release(&cfg);
	return status;
}

enum cli_status verb_oauth(struct cli *cli)
{
	struct oauth_session s = { .cli = cli };
	char **operands;
	int key, count;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return cli->ended;
		s.json = true;
	}
	operands = args_operands(&cli->args, &count);
	if (count == 0)
		return cli_usage_error(cli, "what is to be done? login, refresh or status");
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (strcmp(actions[i].name, operands[0]) != 0)
			continue;
		if (count > 2 || (count < 2 && !actions[i].shows))
			return cli_usage_error(cli, "%s: one upstream is to be named", operands[0]);
		if (s.json && !actions[i].shows)
			return cli_usage_error(cli, "--json goes with status");
		return cli_finish_output(with_config(&s, i, count > 1 ? operands[1] : NULL));
	}
	return cli_usage_error(cli, "%s: not login, refresh or status", operands[0]);
}
