/* SPDX-License-Identifier: ISC */
/*
 * PLAIN, CRAM-MD5 and SCRAM-SHA-256 by libgsasl, see mechanism.h: it knows the
 * messages, and asks through a callback for what we know.
 *
 * For a user who is unknown, or has no such secret, CRAM-MD5 and SCRAM go on
 * with made-up ones (RFC 5802 9), the salt always the same for a name, so that
 * neither the messages nor the time tell who exists; nor does a ban: all failures count alike.
 */
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/mechanism.h"
#include "auth/prep.h"

#define FAKE_SALT_BYTES 16 /* as `posthouse user` makes them */
#define FAKE_ITERATIONS 20000
#define KEY_BYTES 32

struct state {
	struct mechanism *m;
	bool looked_up;
	struct auth_secret secret;
	enum exchange_end end; /* what the backend said, before the mechanism's word */
	struct err e;
};

/* ---- what is known of a user ------------------------------------------------------------ */

/* name may be what no name can be: of what is too long the beginning counts. */
static void derive(const struct mechanism *m, const char *what, const char *name, unsigned char out[32])
{
	char text[AUTH_USER_MAX + 32];

	snprintf(text, sizeof(text), "%s:%s", what, name);
	HMAC(EVP_sha256(), m->setup->secret, EXCHANGE_SECRET_BYTES, (unsigned char *)text, strlen(text), out,
	     NULL);
}

static void encode(const unsigned char *data, size_t len, char *out, size_t cap)
{
	char *text = NULL;

	if (gsasl_base64_to((const char *)data, len, &text, NULL) == GSASL_OK)
		snprintf(out, cap, "%s", text);
	free(text);
}

/* Somebody whose password nobody knows. What the same name leads to is the same each time. */
static void make_up(struct state *s, const char *name)
{
	unsigned iterations = s->secret.iterations; /* the backend's: as others have them */
	unsigned char bytes[32];

	memset(&s->secret, 0, sizeof(s->secret));
	derive(s->m, "salt", name, bytes);
	encode(bytes, FAKE_SALT_BYTES, s->secret.salt, sizeof(s->secret.salt));
	derive(s->m, "stored", name, bytes);
	encode(bytes, KEY_BYTES, s->secret.stored_key, sizeof(s->secret.stored_key));
	derive(s->m, "server", name, bytes);
	encode(bytes, KEY_BYTES, s->secret.server_key, sizeof(s->secret.server_key));
	derive(s->m, "password", name, bytes);
	encode(bytes, KEY_BYTES, s->secret.password, sizeof(s->secret.password));
	s->secret.iterations = iterations ? iterations : FAKE_ITERATIONS;
	s->secret.has_scram_sha256 = true;
}

/* Whose password is known in the clear has no salt of its own. */
static void salt_password(struct state *s, const char *name)
{
	unsigned char bytes[32];

	derive(s->m, "salt", name, bytes);
	encode(bytes, FAKE_SALT_BYTES, s->secret.salt, sizeof(s->secret.salt));
	s->secret.iterations = FAKE_ITERATIONS;
}

static bool is_scram(const struct state *s)
{
	return strncmp(s->m->outcome->mechanism, "SCRAM-", 6) == 0;
}

static void judge_secret(struct state *s, enum auth_result result)
{
	bool usable = is_scram(s) ? s->secret.has_scram_sha256 || s->secret.password[0]
				  : s->secret.password[0] != '\0';

	switch (result) {
	case AUTH_OK:
		s->end = usable ? EXCHANGE_OK : EXCHANGE_FAILED;
		if (!usable)
			err_set(&s->e, "the user has no secret for this mechanism");
		break;
	case AUTH_FAILED:
		s->end = EXCHANGE_FAILED;
		break;
	case AUTH_TEMPORARY:
		s->end = EXCHANGE_TEMPORARY;
		break;
	}
}

static void look_up(struct state *s, const char *given)
{
	struct auth_backend *b = s->m->setup->backend;
	struct exchange_outcome *o = s->m->outcome;
	char name[AUTH_USER_MAX];

	if (s->looked_up)
		return;
	s->looked_up = true;
	o->by_challenge = true;
	snprintf(o->user, sizeof(o->user), "%s", given);
	if (prep_name(given, PREP_QUERY, name, &s->e) < 0) {
		err_set(&s->e, "this cannot be the name of a user");
		s->end = EXCHANGE_FAILED;
		make_up(s, given);
		return;
	}
	memcpy(o->user, name, sizeof(name));
	o->name = mechanism_name(s->m, name);
	judge_secret(s, b->ops->lookup(b, name, &s->secret, &s->e));
	if (s->end != EXCHANGE_OK)
		make_up(s, name);
	else if (is_scram(s) && !s->secret.has_scram_sha256)
		salt_password(s, name);
	if (s->end == EXCHANGE_OK && s->secret.user[0])
		memcpy(o->user, s->secret.user, sizeof(o->user));
}

/* ---- what libgsasl asks ----------------------------------------------------------------- */

static int give(Gsasl_session *session, Gsasl_property property, const char *value)
{
	return gsasl_property_set(session, property, value);
}

/* Only when -PLUS was offered: a client that could, and believes it was not, is refused (RFC 5802 6). */
static int give_binding(const struct state *s, Gsasl_session *session, Gsasl_property property,
			const char *type, int missing)
{
	const struct mechanism *m = s->m;
	char text[4 * 64];

	if (!m->plus_offered || !m->binding_type || strcmp(m->binding_type, type) != 0)
		return missing;
	encode(m->binding, m->binding_len, text, sizeof(text));
	return give(session, property, text);
}

static int give_secret(struct state *s, Gsasl_session *session, Gsasl_property property)
{
	const char *name = gsasl_property_fast(session, GSASL_AUTHID);
	char iterations[16];

	look_up(s, name ? name : "");
	switch (property) {
	case GSASL_SCRAM_ITER:
		snprintf(iterations, sizeof(iterations), "%u", s->secret.iterations);
		return give(session, property, iterations);
	case GSASL_SCRAM_SALT:
		return give(session, property, s->secret.salt);
	case GSASL_SCRAM_STOREDKEY:
		return s->secret.has_scram_sha256 ? give(session, property, s->secret.stored_key)
						  : GSASL_NO_CALLBACK;
	case GSASL_SCRAM_SERVERKEY:
		return s->secret.has_scram_sha256 ? give(session, property, s->secret.server_key)
						  : GSASL_NO_CALLBACK;
	case GSASL_PASSWORD:
		return give(session, property, s->secret.password);
	default:
		return GSASL_NO_CALLBACK;
	}
}

/* RFC 4616 2, RFC 5802 5.1: who one wants to act as. Acting as another is not for us to allow. */
static bool acts_as_itself(Gsasl_session *session)
{
	const char *authzid = gsasl_property_fast(session, GSASL_AUTHZID);
	const char *authid = gsasl_property_fast(session, GSASL_AUTHID);

	return !authzid || authzid[0] == '\0' || (authid && strcmp(authzid, authid) == 0);
}

/* PLAIN came whole. */
static int validate(struct state *s, Gsasl_session *session)
{
	const char *name = gsasl_property_fast(session, GSASL_AUTHID);
	const char *password = gsasl_property_fast(session, GSASL_PASSWORD);

	s->end = mechanism_verify(s->m, name ? name : "", password ? password : "");
	if (s->end == EXCHANGE_OK && !acts_as_itself(session))
		s->end = mechanism_end(s->m, EXCHANGE_FAILED, "it wants to act as another user");
	return s->end == EXCHANGE_OK ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int callback(Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
	struct state *s = gsasl_callback_hook_get(ctx);

	switch (property) {
	case GSASL_VALIDATE_SIMPLE:
		return validate(s, session);
	case GSASL_CB_TLS_EXPORTER:
		return give_binding(s, session, property, "tls-exporter", GSASL_NO_CB_TLS_EXPORTER);
	case GSASL_CB_TLS_UNIQUE:
		return give_binding(s, session, property, "tls-unique", GSASL_NO_CB_TLS_UNIQUE);
	default:
		return give_secret(s, session, property);
	}
}

/* ---- the exchange ------------------------------------------------------------------------ */

/* How the library's word is the client's: malformed, or wrong. */
static enum exchange_end conclude(struct state *s, int code)
{
	if (s->end == EXCHANGE_TEMPORARY || s->end == EXCHANGE_NO_MECHANISM)
		return s->end;
	switch (code) {
	case GSASL_MECHANISM_PARSE_ERROR:
	case GSASL_BASE64_ERROR:
		return mechanism_end(s->m, EXCHANGE_MALFORMED, gsasl_strerror(code));
	case GSASL_MALLOC_ERROR:
	case GSASL_CRYPTO_ERROR:
		return mechanism_end(s->m, EXCHANGE_TEMPORARY, gsasl_strerror(code));
	}
	if (s->end != EXCHANGE_OK && s->end != EXCHANGE_DIED)
		return s->end;
	return mechanism_end(s->m, EXCHANGE_FAILED,
			     code == GSASL_SASLPREP_ERROR ? "name or password is not text (RFC 4013)"
			     : s->looked_up               ? "wrong password"
							  : gsasl_strerror(code));
}

/* What SCRAM's first message says of channel binding, beyond what the library asks: 'p' is for -PLUS alone. */
static bool binding_fits(const struct mechanism *m, const char *first)
{
	size_t len = 0;
	char *text = mechanism_decode(first, &len);
	bool binds = text && len > 0 && text[0] == 'p';
	size_t name = strlen(m->outcome->mechanism);
	bool plus = name > 5 && strcmp(m->outcome->mechanism + name - 5, "-PLUS") == 0;

	mechanism_forget(text, len);
	return binds == plus;
}

static enum exchange_end step_all(struct state *s, Gsasl_session *session, const char *input)
{
	struct auth_conversation *c = s->m->conversation;
	int code;

	do {
		char *output = NULL;

		code = gsasl_step64(session, input, &output);
		/* SCRAM's last word is a challenge too: 235 has no room for it (RFC 4954 4) */
		if (code == GSASL_NEEDS_MORE || (code == GSASL_OK && output && output[0])) {
			input = c->ask(c, output);
			gsasl_free(output);
			if (!input)
				return EXCHANGE_CANCELLED;
			/* the library would take that for the beginning */
			if (code == GSASL_NEEDS_MORE && input[0] == '\0')
				return mechanism_end(s->m, EXCHANGE_MALFORMED, "empty");
		} else {
			gsasl_free(output);
		}
	} while (code == GSASL_NEEDS_MORE);
	if (code != GSASL_OK || s->end != EXCHANGE_OK)
		return conclude(s, code);
	if (!acts_as_itself(session))
		return mechanism_end(s->m, EXCHANGE_FAILED, "it wants to act as another user");
	return EXCHANGE_OK;
}

/* The first message of the client; NULL: *end says why there is none. */
static const char *first_message(struct mechanism *m, enum exchange_end *end)
{
	bool server_first = strcmp(m->outcome->mechanism, "CRAM-MD5") == 0;
	const char *first = m->initial;

	/* RFC 4954 4: no initial response where the server begins */
	if (server_first && first) {
		*end = mechanism_end(m, EXCHANGE_MALFORMED, "an initial response, where the server begins");
		return NULL;
	}
	if (server_first)
		return "";
	if (!first)
		first = m->conversation->ask(m->conversation, "");
	*end = EXCHANGE_CANCELLED;
	if (first && first[0] == '\0') {
		*end = mechanism_end(m, EXCHANGE_MALFORMED, "empty");
		return NULL;
	}
	if (first && strncmp(m->outcome->mechanism, "SCRAM-", 6) == 0 && !binding_fits(m, first)) {
		*end = mechanism_end(m, EXCHANGE_MALFORMED,
				     "channel binding and mechanism do not go together");
		return NULL;
	}
	return first;
}

static bool is_ours(const struct mechanism *m)
{
	unsigned bit = smtp_mechanism_bit(m->outcome->mechanism, strlen(m->outcome->mechanism));

	switch (bit) {
	case SMTP_MECHANISM_BIT(SMTP_MECHANISM_PLAIN):
		return true;
	case SMTP_MECHANISM_BIT(SMTP_MECHANISM_CRAM_MD5):
	case SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256):
	case SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256_PLUS):
		return m->setup->backend->ops->lookup != NULL;
	}
	return false;
}

enum exchange_end mechanism_gsasl(struct mechanism *m)
{
	struct state s = { .m = m };
	enum exchange_end end = EXCHANGE_TEMPORARY;
	Gsasl_session *session = NULL;
	const char *first;
	Gsasl *ctx = NULL;

	if (!is_ours(m))
		return mechanism_end(m, EXCHANGE_NO_MECHANISM, "not with this backend");
	if (gsasl_init(&ctx) != GSASL_OK)
		return mechanism_end(m, end, "libgsasl cannot start");
	gsasl_callback_set(ctx, callback);
	gsasl_callback_hook_set(ctx, &s);
	first = first_message(m, &end);
	if (first && gsasl_server_start(ctx, m->outcome->mechanism, &session) == GSASL_OK)
		end = step_all(&s, session, first);
	else if (first)
		end = mechanism_end(m, EXCHANGE_NO_MECHANISM, "libgsasl does not have it");
	/* the reason is the backend's where it had one */
	if (end == EXCHANGE_FAILED || end == EXCHANGE_TEMPORARY)
		if (m->outcome->reason[0] == '\0')
			mechanism_end(m, end, s.e.text);
	if (session)
		gsasl_finish(session);
	gsasl_done(ctx);
	explicit_bzero(&s.secret, sizeof(s.secret));
	return end;
}
