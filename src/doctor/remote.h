/* SPDX-License-Identifier: ISC */
/* The checks of one address of an upstream, in the order of a session (posthouse(1), doctor). */
#ifndef DOCTOR_REMOTE_H
#define DOCTOR_REMOTE_H

#include "config/client.h"
#include "config/config.h"
#include "doctor/finding.h"
#include "doctor/world.h"

struct doctor_remote {
	const struct doctor_world *world;
	int timeout_ms; /* of each step */
	const struct config *cfg;
	const struct config_upstream *upstream;
	const struct config_remote *remote;
	const struct config_client_secrets *secrets; /* NULL: they could not be read: */
	const char *secrets_error; /* why */
	const struct submission *message; /* to be sent; NULL: none */
	/* each line of the session as it comes; may be NULL */
	void (*trace)(void *ctx, bool from_upstream, const char *text, size_t len);
	void *ctx;
	/* found out, for the later checks; doctor_remote_release */
	char *token; /* OAuth 2; NULL: none that is valid */
	struct doctor_address address[DOCTOR_ADDRESSES_MAX];
	size_t address_count;
	bool talked;
	struct dialogue dialogue;
};

extern const struct doctor_check doctor_remote_checks[];
extern const size_t doctor_remote_check_count;

void doctor_remote_release(struct doctor_remote *d);

/* Settings for the client, of the configuration, with what secrets there are. */
void doctor_remote_settings(const struct doctor_remote *d, struct upstream_settings *s);
/* Does not leave this machine: what is said of encryption does not matter there. */
bool doctor_remote_is_near(const struct doctor_remote *d);
/* How the session ended, as text: "535 5.7.8 wrong", "timed out ...". */
const char *doctor_remote_why(const struct doctor_remote *d, struct buf *out);

/* Makes the session, if it was not made: d->dialogue. */
void doctor_remote_talk(struct doctor_remote *d);
/* A finding of that reason. */
void doctor_remote_failed(const struct doctor_remote *d, struct findings *f);

/* A phrase of a reason, and what to do about it. Tables end with NULL; the first one that is found counts. */
struct doctor_phrase {
	const char *text, *advice;
};
bool doctor_advise_by(struct findings *f, const struct doctor_phrase *table, const char *reason);

void check_settings(void *subject, struct findings *f); /* remote.c */
void check_resolve(void *subject, struct findings *f);
void check_connect(void *subject, struct findings *f);
void check_greeting(void *subject, struct findings *f); /* remote_session.c */
void check_auth(void *subject, struct findings *f);
void check_send(void *subject, struct findings *f);
void check_tls(void *subject, struct findings *f); /* remote_tls.c */
void check_ehlo(void *subject, struct findings *f); /* remote_ehlo.c */
void check_token(void *subject, struct findings *f); /* remote_token.c */

#endif
