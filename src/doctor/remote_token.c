/* SPDX-License-Identifier: ISC */
/*
 * The OAuth 2 token of an upstream: what the file has, as the relay would find it. It is not refreshed here, which
 * would be a change; `posthouse oauth refresh` does. See remote.h.
 */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "config/paths.h"
#include "doctor/remote.h"
#include "oauth/store.h"

#define SECOND_US INT64_C(1000000)

static void judge(struct doctor_remote *d, const struct oauth_stored *s, int64_t now_wall_s,
		  struct findings *f)
{
	const char *name = d->upstream->name;
	bool renews = s->refresh_token || d->upstream->oauth == OAUTH_CLIENT_CREDENTIALS;
	bool valid = s->access_token && s->expires_wall_s > now_wall_s;
	char until[CLOCK_UTC_MAX];

	clock_format_utc(s->expires_wall_s * SECOND_US, until);
	snprintf(until + 19, sizeof(until) - 19, "Z");
	if (valid && renews) {
		finding_add(f, FINDING_OK, "valid until %s, and then refreshed", until);
	} else if (valid) {
		finding_add(f, FINDING_WARNING, "valid until %s, and there is nothing to get a new one with",
			    until);
		finding_advise(f, "posthouse oauth login %s", name);
	} else if (renews) {
		finding_add(f, FINDING_WARNING,
			    "the token is over; the relay gets a new one when it has mail to send");
		finding_advise(f, "posthouse oauth refresh %s gets one now", name);
	} else {
		finding_add(f, FINDING_FAILED,
			    "the token is over, and there is nothing to get a new one with");
		finding_advise(f, "posthouse oauth login %s", name);
	}
	if (s->last_error) {
		finding_add(f, FINDING_WARNING, "the last attempt to get a token failed: %s", s->last_error);
		finding_advise(f, "posthouse oauth refresh %s tries again and says more", name);
	}
	if (valid)
		d->token = mem_strdup(s->access_token);
}

/* Where the relay is to keep it: a folder of its own. The default one is made at the start. False: it is told. */
static bool folder_is_usable(const struct doctor_remote *d, const char *file, struct findings *f)
{
	const char *slash = strrchr(file, '/'), *user = d->cfg->user;
	const struct passwd *pw = user && d->world->euid == 0 ? getpwnam(user) : NULL;
	char folder[PATH_MAX];
	struct stat st;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file) : 0, file);
	if (!folder[0] || !pw)
		return true;
	if (stat(folder, &st) == 0 ? st.st_uid == pw->pw_uid
				   : errno != ENOENT || !d->upstream->oauth_token_file)
		return true;
	finding_add(f, FINDING_FAILED,
		    "the folder of %s is not there, or not user \"%s\"'s: the relay cannot store a token",
		    file, user);
	finding_advise(f, "install -d -m 700 -o %s %s", user, folder);
	return false;
}

void check_token(void *subject, struct findings *f)
{
	struct doctor_remote *d = subject;
	struct oauth_stored s = { 0 };
	char file[PATH_MAX];
	struct err e;

	config_oauth_token_file(d->upstream, file, sizeof(file));
	switch (oauth_store_load(file, &s, &e)) {
	case OAUTH_STORE_OK:
		judge(d, &s, d->world->now_wall_us(d->world->ctx) / SECOND_US, f);
		break;
	case OAUTH_STORE_MISSING:
		if (!folder_is_usable(d, file, f))
			return;
		if (d->upstream->oauth == OAUTH_CLIENT_CREDENTIALS)
			finding_add(f, FINDING_WARNING,
				    "there is none yet (%s): the relay gets one when it has mail to send",
				    file);
		else
			finding_add(f, FINDING_FAILED, "there is none (%s)", file);
		finding_advise(f, "posthouse oauth %s %s",
			       d->upstream->oauth == OAUTH_CLIENT_CREDENTIALS ? "refresh" : "login",
			       d->upstream->name);
		return; /* nothing to release */
	case OAUTH_STORE_BAD:
		finding_add(f, FINDING_FAILED, "%s", e.text);
		return;
	}
	oauth_stored_release(&s);
}
