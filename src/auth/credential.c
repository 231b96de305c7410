/* SPDX-License-Identifier: ISC */
/* See credential.h. */
#include "auth/credential.h"

#include <crypt.h>
#include <errno.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/prep.h"
#include "base/alloc.h"
#include "base/num.h"

_Static_assert(CREDENTIAL_HASH_MAX >= CRYPT_OUTPUT_SIZE, "a hash fits");

#define SALT_BYTES 16
#define KEY_BYTES GSASL_HASH_SHA256_SIZE

/* ---- hashes of crypt(3) ----------------------------------------------------------- */

/* bcrypt hashes the first 72 octets only: what is longer would be cut without a word. */
const struct credential_method credential_methods[] = {
	{ "yescrypt", "$y$", CRYPT_MAX_PASSPHRASE_SIZE - 1 },
	{ "sha512crypt", "$6$", CRYPT_MAX_PASSPHRASE_SIZE - 1 },
	{ "bcrypt", "$2b$", 72 },
	{ NULL, NULL, 0 },
};

const struct credential_method *credential_method_find(const char *name)
{
	for (const struct credential_method *m = credential_methods; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

/* Names of hashes for people; the first that fits. */
static const struct {
	const char *prefix, *name;
} hash_names[] = {
	{ "$y$", "yescrypt" },    { "$gy$", "gost-yescrypt" }, { "$7$", "scrypt" },   { "$2", "bcrypt" },
	{ "$6$", "sha512crypt" }, { "$5$", "sha256crypt" },    { "$1$", "md5crypt" }, { "", "crypt" },
};

static const char *setting_of(const struct credential *c)
{
	return c->hash + strspn(c->hash, "!*");
}

static bool is_locked(const char *hash)
{
	return hash[0] == '!' || hash[0] == '*';
}

/*
 * crypt_checksalt looks at the beginning only, and many a word begins like a hash of DES: a password in the
 * clear, its {PLAIN} forgotten, is none. Of those with '$' the shortest digest, that of MD5, has 22
 * characters.
 */
static bool is_whole(const char *setting)
{
	const char *last = strrchr(setting, '$');

	if (last)
		return strlen(last + 1) >= 22;
	return strspn(setting, "_./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") ==
		       strlen(setting) &&
	       strlen(setting) == (setting[0] == '_' ? 20 : 13);
}

static int parse_crypt(struct credential *c, const char *value, size_t len, struct err *e)
{
	const char *setting;

	if (len >= sizeof(c->hash)) {
		err_set(e, "the hash is longer than %d octets", CREDENTIAL_HASH_MAX - 1);
		return -1;
	}
	memcpy(c->hash, value, len);
	c->hash[len] = '\0';
	c->kind = CREDENTIAL_CRYPT;
	c->locked = is_locked(c->hash);
	setting = setting_of(c);
	if (c->locked && !*setting)
		return 0;
	switch (crypt_checksalt(setting)) {
	case CRYPT_SALT_OK:
	case CRYPT_SALT_METHOD_LEGACY:
	case CRYPT_SALT_TOO_CHEAP:
		break;
	default:
		err_set(e, "it is no hash that this system's crypt(3) knows");
		return -1;
	}
	if (is_whole(setting))
		return 0;
	err_set(e, "it is no whole hash of crypt(3)");
	return -1;
}

/* Hashes password by the setting; false when crypt(3) refuses. */
static bool hash_with(const char *setting, const char *password, char out[CREDENTIAL_HASH_MAX])
{
	void *data = NULL;
	int size = 0;
	const char *hash = crypt_ra(password, setting, &data, &size);
	bool done = hash && hash[0] != '*' && strlen(hash) < CREDENTIAL_HASH_MAX;

	if (done)
		memcpy(out, hash, strlen(hash) + 1);
	if (data)
		explicit_bzero(data, (size_t)size);
	free(data);
	return done;
}

static bool same_text(const char *a, const char *b)
{
	size_t len = strlen(a);

	return strlen(b) == len && CRYPTO_memcmp(a, b, len) == 0;
}

static bool crypt_matches(const struct credential *c, const char *password)
{
	char hash[CREDENTIAL_HASH_MAX];
	const char *setting = setting_of(c);
	bool same = *setting && hash_with(setting, password, hash) && same_text(hash, setting);

	explicit_bzero(hash, sizeof(hash));
	return same && !c->locked;
}

int credential_make_crypt(struct credential *c, const struct credential_method *method, const char *password,
			  struct err *e)
{
	char *setting = crypt_gensalt_ra(method->prefix, 0, NULL, 0);
	int result = -1;

	memset(c, 0, sizeof(*c));
	c->kind = CREDENTIAL_CRYPT;
	if (strlen(password) > method->password_max)
		err_set(e, "the password is too long for %s, of which %zu octets count", method->name,
			method->password_max);
	else if (!setting)
		err_set_os(e, errno, "this system's crypt(3) makes no hash of %s", method->name);
	else if (!hash_with(setting, password, c->hash))
		err_set(e, "this system's crypt(3) makes no hash of %s", method->name);
	else
		result = 0;
	free(setting);
	return result;
}

int credential_make_dummy(struct credential *c, struct err *e)
{
	return credential_make_crypt(c, &credential_methods[0], "", e);
}

/* ---- SCRAM-SHA-256 ------------------------------------------------------------------ */

static bool base64_decode(const char *text, char **out, size_t *len)
{
	*out = NULL;
	return gsasl_base64_from(text, strlen(text), out, len) == GSASL_OK;
}

static bool base64_encode(const char *data, size_t len, char *out, size_t cap)
{
	char *text = NULL;
	size_t n = 0;
	bool fits = gsasl_base64_to(data, len, &text, &n) == GSASL_OK && n < cap;

	if (fits) {
		memcpy(out, text, n);
		out[n] = '\0';
	}
	if (text)
		explicit_bzero(text, n);
	free(text);
	return fits;
}

static bool is_base64_of(const char *text, size_t least, size_t most)
{
	char *data;
	size_t len = 0;
	bool good = base64_decode(text, &data, &len) && len >= least && len <= most;

	if (data)
		explicit_bzero(data, len);
	free(data);
	return good;
}

/* The next of the parts between commas; false when there is none, or it does not fit. */
static bool take_part(const char **at, const char *end, char *out, size_t cap)
{
	const char *comma = *at <= end ? memchr(*at, ',', (size_t)(end - *at)) : NULL;
	const char *stop = comma ? comma : end;

	if (*at > end || (size_t)(stop - *at) >= cap)
		return false;
	memcpy(out, *at, (size_t)(stop - *at));
	out[stop - *at] = '\0';
	*at = stop + 1;
	return true;
}

static int parse_scram(struct credential *c, const char *value, size_t len, struct err *e)
{
	const char *end = value + len;
	char digits[12] = "";
	uint64_t iterations = 0;

	c->kind = CREDENTIAL_SCRAM;
	if (!take_part(&value, end, digits, sizeof(digits)) ||
	    !take_part(&value, end, c->salt, sizeof(c->salt)) ||
	    !take_part(&value, end, c->stored_key, sizeof(c->stored_key)) ||
	    !take_part(&value, end, c->server_key, sizeof(c->server_key)) || value != end + 1) {
		err_set(e, "SCRAM-SHA-256: expected ITERATIONS,SALT,STOREDKEY,SERVERKEY");
		return -1;
	}
	if (!num_parse_u64(digits, strlen(digits), CREDENTIAL_ITERATIONS_MAX, &iterations) ||
	    iterations == 0) {
		err_set(e, "SCRAM-SHA-256: the iterations are not a number from 1 to %d",
			CREDENTIAL_ITERATIONS_MAX);
		return -1;
	}
	if (!is_base64_of(c->salt, 1, 95) || !is_base64_of(c->stored_key, KEY_BYTES, KEY_BYTES) ||
	    !is_base64_of(c->server_key, KEY_BYTES, KEY_BYTES)) {
		err_set(e, "SCRAM-SHA-256: salt or keys are not base64, or not of their length");
		return -1;
	}
	c->iterations = (unsigned)iterations;
	return 0;
}

struct scram_keys {
	char salted[KEY_BYTES], client[KEY_BYTES], server[KEY_BYTES], stored[KEY_BYTES];
};

static bool derive(unsigned iterations, const char *salt, size_t salt_len, const char *password,
		   struct scram_keys *k)
{
	return gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, password, iterations, salt, salt_len,
						 k->salted, k->client, k->server, k->stored) == GSASL_OK;
}

static bool scram_matches(const struct credential *c, const char *password)
{
	struct scram_keys k;
	char *salt;
	char stored[sizeof(c->stored_key)] = "";
	size_t len = 0;
	bool same = base64_decode(c->salt, &salt, &len) && derive(c->iterations, salt, len, password, &k) &&
		    base64_encode(k.stored, KEY_BYTES, stored, sizeof(stored)) &&
		    same_text(stored, c->stored_key);

	free(salt);
	explicit_bzero(&k, sizeof(k));
	explicit_bzero(stored, sizeof(stored));
	return same;
}

int credential_make_scram(struct credential *c, unsigned iterations, const char *password, struct err *e)
{
	char salt[SALT_BYTES];
	struct scram_keys k;
	bool made;

	memset(c, 0, sizeof(*c));
	c->kind = CREDENTIAL_SCRAM;
	c->iterations = iterations;
	made = gsasl_random(salt, sizeof(salt)) == GSASL_OK &&
	       derive(iterations, salt, sizeof(salt), password, &k) &&
	       base64_encode(salt, sizeof(salt), c->salt, sizeof(c->salt)) &&
	       base64_encode(k.stored, KEY_BYTES, c->stored_key, sizeof(c->stored_key)) &&
	       base64_encode(k.server, KEY_BYTES, c->server_key, sizeof(c->server_key));
	explicit_bzero(&k, sizeof(k));
	if (made)
		return 0;
	err_set(e, "the SCRAM-SHA-256 verifier cannot be computed (libgsasl)");
	return -1;
}

/* ---- the password itself -------------------------------------------------------------- */

static int take_clear(struct credential *c, const char *value, size_t len, struct err *e)
{
	if (len == 0 || len >= sizeof(c->clear) || memchr(value, '\0', len)) {
		err_set(e, "the password is empty, longer than %d octets, or holds a NUL",
			AUTH_PASSWORD_MAX - 1);
		return -1;
	}
	memcpy(c->clear, value, len);
	c->clear[len] = '\0';
	c->kind = CREDENTIAL_CLEAR;
	return 0;
}

static int parse_clear64(struct credential *c, const char *value, size_t len, struct err *e)
{
	char *data = NULL;
	size_t n = 0;
	int result;

	if (gsasl_base64_from(value, len, &data, &n) != GSASL_OK) {
		free(data);
		err_set(e, "the password is not base64");
		return -1;
	}
	result = take_clear(c, data, n, e);
	explicit_bzero(data, n);
	free(data);
	return result;
}

int credential_make_clear(struct credential *c, const char *password, struct err *e)
{
	memset(c, 0, sizeof(*c));
	return take_clear(c, password, strlen(password), e);
}

/* ---- all of them ------------------------------------------------------------------------ */

typedef int parse_value(struct credential *c, const char *value, size_t len, struct err *e);

/* Dovecot's names of schemes; the first of a kind is what we write. */
static const struct {
	const char *name;
	enum credential_kind kind;
	parse_value *parse;
} schemes[] = {
	{ "CRYPT", CREDENTIAL_CRYPT, parse_crypt },
	{ "BLF-CRYPT", CREDENTIAL_CRYPT, parse_crypt },
	{ "SHA512-CRYPT", CREDENTIAL_CRYPT, parse_crypt },
	{ "SHA256-CRYPT", CREDENTIAL_CRYPT, parse_crypt },
	{ "MD5-CRYPT", CREDENTIAL_CRYPT, parse_crypt },
	{ "DES-CRYPT", CREDENTIAL_CRYPT, parse_crypt },
	{ "SCRAM-SHA-256", CREDENTIAL_SCRAM, parse_scram },
	{ "PLAIN.b64", CREDENTIAL_CLEAR, parse_clear64 },
	{ "PLAIN", CREDENTIAL_CLEAR, take_clear },
	{ "CLEAR", CREDENTIAL_CLEAR, take_clear },
	{ "CLEARTEXT", CREDENTIAL_CLEAR, take_clear },
	{ "PLAIN.base64", CREDENTIAL_CLEAR, parse_clear64 },
};
#define SCHEME_COUNT (sizeof(schemes) / sizeof(schemes[0]))

/* The scheme's name is shown, as far as it is one: the rest might be somebody's password. */
static int unknown_scheme(const char *name, size_t len, struct err *e)
{
	size_t n = 0;

	while (n < len && (strchr("-._", name[n]) || (name[n] >= '0' && name[n] <= '9') ||
			   (name[n] >= 'A' && name[n] <= 'Z') || (name[n] >= 'a' && name[n] <= 'z')))
		n++;
	if (n == len && len <= 32)
		err_set(e, "unknown scheme {%.*s}", (int)len, name);
	else
		err_set(e, "unknown scheme");
	return -1;
}

int credential_parse(struct credential *c, const char *text, size_t len, struct err *e)
{
	const char *close;
	size_t name_len;

	memset(c, 0, sizeof(*c));
	if (len == 0) {
		err_set(e, "there is no password");
		return -1;
	}
	if (text[0] != '{')
		return parse_crypt(c, text, len, e);
	close = memchr(text, '}', len);
	if (!close) {
		err_set(e, "a '}' is missing behind the scheme");
		return -1;
	}
	name_len = (size_t)(close - text) - 1;
	for (size_t i = 0; i < SCHEME_COUNT; i++)
		if (strlen(schemes[i].name) == name_len &&
		    strncasecmp(schemes[i].name, text + 1, name_len) == 0)
			return schemes[i].parse(c, close + 1, len - name_len - 2, e);
	return unknown_scheme(text + 1, name_len, e);
}

static void format_clear(const struct credential *c, struct buf *out)
{
	char text[4 * AUTH_PASSWORD_MAX / 3 + 8];

	if (base64_encode(c->clear, strlen(c->clear), text, sizeof(text)))
		buf_adds(out, text);
	explicit_bzero(text, sizeof(text));
}

void credential_format(const struct credential *c, struct buf *out)
{
	for (size_t i = 0; i < SCHEME_COUNT; i++) {
		if (schemes[i].kind == c->kind) {
			buf_addf(out, "{%s}", schemes[i].name);
			break;
		}
	}
	switch (c->kind) {
	case CREDENTIAL_CRYPT:
		buf_adds(out, c->hash);
		break;
	case CREDENTIAL_SCRAM:
		buf_addf(out, "%u,%s,%s,%s", c->iterations, c->salt, c->stored_key, c->server_key);
		break;
	case CREDENTIAL_CLEAR:
		format_clear(c, out);
		break;
	}
}

void credential_cleanse(struct credential *c)
{
	explicit_bzero(c, sizeof(*c));
}

const char *credential_name(const struct credential *c)
{
	size_t i = 0;

	switch (c->kind) {
	case CREDENTIAL_CRYPT:
		break;
	case CREDENTIAL_SCRAM:
		return "SCRAM-SHA-256";
	case CREDENTIAL_CLEAR:
		return "clear";
	}
	while (strncmp(setting_of(c), hash_names[i].prefix, strlen(hash_names[i].prefix)) != 0)
		i++;
	return hash_names[i].name;
}

static bool matches(const struct credential *c, const char *password)
{
	switch (c->kind) {
	case CREDENTIAL_CRYPT:
		return crypt_matches(c, password);
	case CREDENTIAL_SCRAM:
		return scram_matches(c, password);
	case CREDENTIAL_CLEAR:
		return same_text(c->clear, password);
	}
	return false;
}

/*
 * Beyond ASCII a client may send what its keyboard made, and whoever made the hash may have prepared it or
 * not: both forms are tried.
 */
bool credential_matches(const struct credential *c, const char *password)
{
	char *prepared;
	struct err e;
	bool same = matches(c, password);

	if (prep_text(password, PREP_QUERY, &prepared, &e) < 0)
		return same;
	if (prepared[0] && strcmp(prepared, password) != 0)
		same |= matches(c, prepared);
	prep_free(prepared);
	return same;
}
