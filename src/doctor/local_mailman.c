/* SPDX-License-Identifier: ISC */
/* See local.h: the local Mailman that handler "mailman" asks. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/mailman.h"
#include "config/secret.h"
#include "doctor/local.h"
#include "mailman/map_file.h"
#include "mailman/rest.h"

/* NULL: it cannot be read, which the check of secrets tells. The caller's, of secret_free. */
static char *password_of(const struct config *cfg)
{
	char *password = NULL;
	struct err ignored;

	if (!cfg->mailman_password_file)
		return mem_strdup(CONFIG_MAILMAN_PASSWORD);
	return secret_read(cfg->mailman_password_file, &password, &ignored) == 0 ? password : NULL;
}

/* The first page of its lists, which tells how many there are. */
static int ask(const struct doctor_local *d, const char *password, size_t *lists, struct err *e)
{
	char *url = rest_url(d->cfg->mailman_url, REST_LISTS, 1);
	struct http_request request = { .url = url,
					.user = d->cfg->mailman_user,
					.password = password,
					.timeout_ms = d->timeout_ms,
					.answer_max = REST_ANSWER_MAX };
	struct lists *into = lists_new(LISTS_OF_LISTS);
	struct http_answer answer;
	struct rest_page page;
	int r = d->world->http(d->world->ctx, &request, &answer, e);

	if (r == 0) {
		r = rest_read(into, REST_LISTS, answer.status, answer.body.data, answer.body.len, &page, e);
		if (r < 0)
			err_prefix(e, "%s", d->cfg->mailman_url);
		else
			*lists = page.total;
		http_answer_release(&answer);
	}
	lists_free(into);
	free(url);
	return r;
}

static void check_rest(const struct doctor_local *d, struct findings *f)
{
	char *password = password_of(d->cfg);
	size_t lists = 0;
	struct err e;

	if (!password) {
		finding_add(f, FINDING_SKIPPED, "%s cannot be asked without its password",
			    d->cfg->mailman_url);
		return;
	}
	if (ask(d, password, &lists, &e) < 0) {
		finding_add(f, FINDING_FAILED, "%s", e.text);
		finding_advise(f, "what may be for a list waits until it answers: does Mailman run, and its "
				  "REST runner?");
	} else {
		finding_add(f, FINDING_OK, "%s answers: %zu %s", d->cfg->mailman_url, lists,
			    lists == 1 ? "list" : "lists");
		if (!d->cfg->mailman_password_file) {
			finding_add(f, FINDING_WARNING,
				    "it takes Mailman's default password, which everybody knows");
			finding_advise(
				f, "admin_pass in Mailman's [webservice], and mailman_password_file here");
		}
	}
	secret_free(password);
}

/* The relay reads it, as its user. */
static void check_map(const struct doctor_local *d, struct findings *f, const char *path)
{
	const struct passwd *pw = d->cfg->user && d->world->euid == 0 ? getpwnam(d->cfg->user) : NULL;
	int error = pw ? doctor_error_for_user(path, R_OK, pw) : access(path, R_OK) == 0 ? 0 : errno;
	struct lists *into = lists_new(LISTS_OF_ADDRESSES);
	struct map_file file;
	struct err e;

	if (error != 0) {
		finding_add(f, FINDING_FAILED, "mailman_maps: %s cannot be read%s%s: %s", path,
			    pw ? " by user " : "", pw ? pw->pw_name : "", strerror(error));
		finding_advise(f, "the relay reads it: that user belongs into the file's group");
	} else if (map_file_read(&file, path, into, &e) < 0) {
		finding_add(f, FINDING_FAILED, "mailman_maps: %s", e.text);
	} else {
		lists_seal(into);
		finding_add(f, FINDING_OK, "mailman_maps: %s has %zu addresses", path, lists_count(into));
	}
	lists_free(into);
}

void check_mailman(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;

	if (!config_is_mailman(d->cfg))
		return;
	if (config_mailman_url(d->cfg))
		check_rest(d, f);
	for (size_t i = 0; i < d->cfg->mailman_maps_count; i++)
		check_map(d, f, d->cfg->mailman_maps[i]);
}
