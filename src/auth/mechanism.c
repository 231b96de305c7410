/* SPDX-License-Identifier: ISC */
/* See mechanism.h: which code runs a mechanism, what they share, and LOGIN. */
#include "auth/mechanism.h"

#include <gsasl.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/introspect.h"
#include "auth/prep.h"

/* What Outlook and its like compare with, octet by octet */
#define LOGIN_USER "VXNlcm5hbWU6" /* "Username:" */
#define LOGIN_PASSWORD "UGFzc3dvcmQ6" /* "Password:" */

enum exchange_end mechanism_end(struct mechanism *m, enum exchange_end end, const char *why)
{
	snprintf(m->outcome->reason, sizeof(m->outcome->reason), "%s", why);
	return end;
}

enum exchange_end mechanism_judged(struct mechanism *m, enum auth_result result, const struct err *e)
{
	switch (result) {
	case AUTH_OK:
		return EXCHANGE_OK;
	case AUTH_FAILED:
		return mechanism_end(m, EXCHANGE_FAILED, e->text);
	case AUTH_TEMPORARY:
		break;
	}
	return mechanism_end(m, EXCHANGE_TEMPORARY, e->text);
}

char *mechanism_decode(const char *base64, size_t *len)
{
	char *data = NULL, *text;

	if (gsasl_base64_from(base64, strlen(base64), &data, len) != GSASL_OK)
		return NULL;
	text = malloc(*len + 1);
	if (text) {
		memcpy(text, data, *len);
		text[*len] = '\0';
	}
	mechanism_forget(data, *len);
	return text;
}

void mechanism_forget(char *data, size_t len)
{
	if (data)
		explicit_bzero(data, len);
	free(data);
}

/* Nobody can work the guess out of this without the secret, and that ends with the auth process. */
static uint64_t guess_of(const struct mechanism *m, const char *name, const char *password)
{
	unsigned char text[AUTH_USER_MAX + AUTH_PASSWORD_MAX], digest[32];
	size_t name_len = strlen(name), len = strlen(password);
	uint64_t guess = 0;

	memcpy(text, name, name_len + 1);
	memcpy(text + name_len + 1, password, len);
	if (HMAC(EVP_sha256(), m->setup->secret, EXCHANGE_SECRET_BYTES, text, name_len + 1 + len, digest,
		 NULL))
		memcpy(&guess, digest, sizeof(guess));
	explicit_bzero(text, sizeof(text));
	return guess;
}

uint64_t mechanism_name(const struct mechanism *m, const char *name)
{
	return guess_of(m, name, "") | 1;
}

static enum exchange_end ask_backend(struct mechanism *m, const char *name, const char *password)
{
	struct auth_backend *b = m->setup->backend;
	struct err e = { .text = "" };
	char user[AUTH_USER_MAX] = "";
	enum auth_result result;
	unsigned place = 0;

	m->outcome->guess = guess_of(m, name, password);
	m->outcome->name = mechanism_name(m, name);
	if (b->ops->hashes)
		place = gate_enter(&m->setup->gate);
	result = b->ops->verify(b, m->client, name, password, user, &e);
	if (b->ops->hashes)
		gate_leave(&m->setup->gate, place);
	if (result == AUTH_OK)
		memcpy(m->outcome->user, user, sizeof(user));
	return mechanism_judged(m, result, &e);
}

enum exchange_end mechanism_verify(struct mechanism *m, const char *name, const char *password)
{
	char prepared[AUTH_USER_MAX], *secret = NULL;
	enum exchange_end end = EXCHANGE_FAILED;
	struct err e;

	snprintf(m->outcome->user, sizeof(m->outcome->user), "%s", name);
	if (!m->setup->backend->ops->verify)
		return mechanism_end(m, EXCHANGE_NO_MECHANISM, "this backend knows no passwords");
	if (prep_name(name, PREP_QUERY, prepared, &e) < 0)
		return mechanism_end(m, EXCHANGE_FAILED, "this cannot be the name of a user");
	memcpy(m->outcome->user, prepared, sizeof(prepared));
	if (prep_text(password, PREP_QUERY, &secret, &e) < 0)
		mechanism_end(m, end, "this cannot be a password (RFC 4013)");
	else if (secret[0] == '\0' || strlen(secret) >= AUTH_PASSWORD_MAX)
		mechanism_end(m, end, "the password is empty or too long");
	else
		end = ask_backend(m, prepared, secret);
	prep_free(secret);
	return end;
}

/* ---- LOGIN ---------------------------------------------------------------------------- */

/* Text without NUL; NULL: it is none. */
static char *decode_text(const char *base64)
{
	size_t len;
	char *text = base64 ? mechanism_decode(base64, &len) : NULL;

	if (text && strlen(text) != len) {
		mechanism_forget(text, len);
		return NULL;
	}
	return text;
}

/* draft-murchison-sasl-login; with the name as initial response, as many clients send it. */
enum exchange_end mechanism_login(struct mechanism *m)
{
	const char *response = m->initial ? m->initial : m->conversation->ask(m->conversation, LOGIN_USER);
	enum exchange_end end = EXCHANGE_CANCELLED;
	char *name, *password = NULL;

	if (!response)
		return end;
	name = decode_text(response);
	response = m->conversation->ask(m->conversation, LOGIN_PASSWORD);
	if (!response)
		goto out;
	password = decode_text(response);
	end = name && password ? mechanism_verify(m, name, password)
			       : mechanism_end(m, EXCHANGE_MALFORMED, "no base64, or a NUL in it");
out:
	if (password)
		mechanism_forget(password, strlen(password));
	free(name);
	return end;
}

/* ---- which one ------------------------------------------------------------------------- */

static enum exchange_end pass_through(struct mechanism *m)
{
	struct auth_backend *b = m->setup->backend;
	struct err e = { .text = "" };
	char user[AUTH_USER_MAX] = "";
	enum auth_result result =
		b->ops->exchange(b, m->client, m->outcome->mechanism, m->initial, m->conversation, user, &e);

	user[AUTH_USER_MAX - 1] = '\0';
	memcpy(m->outcome->user, user, sizeof(user));
	/* who says nothing has guessed nothing */
	if (m->cancelled && result != AUTH_OK)
		return EXCHANGE_CANCELLED;
	return mechanism_judged(m, result, &e);
}

enum exchange_end mechanism_run(struct mechanism *m)
{
	const char *name = m->outcome->mechanism;
	unsigned bit = smtp_mechanism_bit(name, strlen(name));
	bool token = bit & (SMTP_MECHANISM_BIT(SMTP_MECHANISM_OAUTHBEARER) |
			    SMTP_MECHANISM_BIT(SMTP_MECHANISM_XOAUTH2));

	if (bit == 0)
		return mechanism_end(m, EXCHANGE_NO_MECHANISM, "no such mechanism");
	if (token && m->setup->introspect)
		return mechanism_token(m);
	if (m->setup->backend->ops->exchange)
		return pass_through(m);
	if (token)
		return mechanism_end(m, EXCHANGE_NO_MECHANISM, "no introspection of tokens is configured");
	if (bit == SMTP_MECHANISM_BIT(SMTP_MECHANISM_LOGIN))
		return mechanism_login(m);
	return mechanism_gsasl(m);
}
