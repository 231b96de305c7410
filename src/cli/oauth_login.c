/* SPDX-License-Identifier: ISC */
/*
 * posthouse oauth login: a person logs in with a browser, here or on another
 * machine (RFC 8628), or brings a refresh token on standard input. Nothing is
 * stored before a token was granted; interrupted, nothing is left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/form.h"
#include "base/num.h"
#include "cli/oauth.h"
#include "cli/password.h"

#define SLOWER_S 5 /* RFC 8628 3.5 */

static void wait_s(int64_t s)
{
	struct timespec left = { s, 0 };

	while (nanosleep(&left, &left) < 0)
		;
}

/* The answer to a POST; -1 and e: there was none. The form is overwritten. */
static int post(const struct oauth_session *s, const char *url, struct buf *form, struct http_answer *answer,
		struct err *e)
{
	struct http_request request = s->way;
	int r;

	request.url = url;
	request.form = form->data;
	r = http_perform(&request, answer, e);
	buf_wipe(form);
	return r;
}

/* ---- the device flow -------------------------------------------------------------------- */

static enum cli_status ask_device(const struct oauth_session *s, struct oauth_device *device)
{
	struct http_answer answer;
	enum oauth_answer result;
	struct buf form;
	struct err e;

	buf_init(&form, FORM_MAX);
	if (!oauth_ask_device(&s->client, &form)) {
		cli_error("the request for a device code is too long");
		return CLI_NOTHING;
	}
	if (post(s, s->client.device_url, &form, &answer, &e) < 0) {
		cli_error("%s", e.text);
		return CLI_UNREACHABLE;
	}
	result = oauth_read_device(answer.status, answer.body.data, answer.body.len, device, &e);
	http_answer_release(&answer);
	if (result == OAUTH_GRANTED)
		return CLI_DONE;
	cli_error("%s: %s", s->client.device_url, e.text);
	return CLI_NOTHING;
}

static void show_code(const struct oauth_session *s, const struct oauth_device *device)
{
	char lifetime[16];

	oauth_say(s, "open", "%s", device->verification_uri);
	oauth_say(s, "enter", "%s", device->user_code);
	if (device->verification_uri_complete)
		oauth_say(s, "or open", "%s", device->verification_uri_complete);
	oauth_say(s, "waiting", "for you to log in as %s there; the code is good for %s", s->upstream->user,
		  num_format_age(device->lifetime_s * 1000, lifetime, sizeof(lifetime)));
}

/* One question. GRANTED: *next is to be stored. */
static enum oauth_answer ask_once(const struct oauth_session *s, const struct oauth_device *device,
				  struct oauth_stored *next, struct err *e)
{
	const struct oauth_stored none = { 0 };
	struct http_answer answer;
	enum oauth_answer result;
	struct buf form;
	bool rotated;

	buf_init(&form, FORM_MAX);
	memset(next, 0, sizeof(*next));
	if (!oauth_ask_device_token(&s->client, device->device_code, &form)) {
		err_set(e, "the request for a token is too long");
		return OAUTH_REFUSED;
	}
	if (post(s, s->client.token_url, &form, &answer, e) < 0)
		return OAUTH_TROUBLE;
	result = oauth_renew_take(&s->client, &none, answer.status, answer.body.data, answer.body.len,
				  clock_wall_us() / 1000000, next, &rotated, e);
	http_answer_release(&answer);
	return result;
}

/*
 * RFC 8628 3.5: asks until it is granted or refused, no more often than the server wants; and less often when it
 * cannot be reached.
 */
static enum cli_status poll(const struct oauth_session *s, const struct oauth_device *device,
			    struct oauth_stored *next)
{
	int64_t interval_s = device->interval_s, until = clock_mono_ms() + device->lifetime_s * 1000;
	struct err e;

	while (clock_mono_ms() + interval_s * 1000 < until) {
		wait_s(interval_s);
		switch (ask_once(s, device, next, &e)) {
		case OAUTH_GRANTED:
			return CLI_DONE;
		case OAUTH_PENDING:
			break;
		case OAUTH_SLOW_DOWN:
			interval_s += SLOWER_S;
			break;
		case OAUTH_TROUBLE:
			oauth_say(s, "trouble", "%s", e.text);
			interval_s *= 2;
			break;
		case OAUTH_REFUSED:
			cli_error("%s", e.text);
			return CLI_NOTHING;
		}
	}
	cli_error("the code is over: nobody logged in with it in time: log in again");
	return CLI_NOTHING;
}

static enum cli_status keep(const struct oauth_session *s, const struct oauth_stored *next)
{
	enum cli_status status = CLI_DONE;
	struct err e;
	int fd;

	if (oauth_lock(s, &fd) < 0)
		return CLI_UNREACHABLE;
	if (oauth_store_save(s->file, next, &e) < 0) {
		cli_error("%s: what was granted is lost: log in again", e.text);
		status = CLI_UNREACHABLE;
	} else {
		oauth_say(s, "stored", "%s", s->file);
	}
	close(fd);
	if (!next->refresh_token) {
		cli_error("the server gave no refresh token, so this lasts only until the access token is "
			  "over: "
			  "does oauth_scope ask for one (offline_access at Microsoft)?");
		return CLI_NOTHING;
	}
	return status;
}

static enum cli_status login_device(const struct oauth_session *s)
{
	struct oauth_stored next = { 0 };
	struct oauth_device device;
	enum cli_status status = ask_device(s, &device);

	if (status != CLI_DONE)
		return status;
	show_code(s, &device);
	status = poll(s, &device, &next);
	if (status == CLI_DONE)
		status = keep(s, &next);
	oauth_stored_release(&next);
	oauth_device_release(&device);
	return status;
}

/* ---- a refresh token that is there already --------------------------------------------------- */

/* One line of standard input; on a terminal it is not shown. NULL: it is said. */
static char *read_token(void)
{
	char *line = mem_alloc(OAUTH_TOKEN_MAX + 1);
	struct err e;
	int got = isatty(STDIN_FILENO) ? password_ask_once("Refresh token (it is not shown): ", line,
							   OAUTH_TOKEN_MAX + 1, &e)
				       : password_read(line, OAUTH_TOKEN_MAX + 1, &e);
	size_t len;

	if (got == 0) {
		len = strcspn(line, "\r");
		line[len] = '\0';
		for (const char *c = line; *c; c++)
			if (*c <= ' ' || *c >= 0x7f)
				len = 0;
		if (len > 0)
			return line;
		err_set(&e, "it is not one line, printable, without blanks");
	}
	cli_error("no refresh token: %s", e.text);
	explicit_bzero(line, OAUTH_TOKEN_MAX + 1);
	free(line);
	return NULL;
}

static enum cli_status login_token(const struct oauth_session *s)
{
	struct oauth_stored stored = { .refresh_token = read_token() };
	enum cli_status status = CLI_UNREACHABLE;
	int fd;

	if (!stored.refresh_token)
		return CLI_NOTHING;
	if (oauth_lock(s, &fd) == 0) {
		status = oauth_renew_now(s, &stored);
		close(fd);
	}
	oauth_stored_release(&stored);
	return status;
}

enum cli_status oauth_login(const struct oauth_session *s)
{
	switch (s->client.grant) {
	case OAUTH_DEVICE_CODE:
		return login_device(s);
	case OAUTH_REFRESH_TOKEN:
		return login_token(s);
	case OAUTH_CLIENT_CREDENTIALS:
	case OAUTH_NONE:
		break;
	}
	cli_error("nobody logs in with oauth = client_credentials: posthouse oauth refresh %s",
		  s->upstream->name);
	return CLI_NOTHING;
}
