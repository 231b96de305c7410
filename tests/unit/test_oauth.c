/* SPDX-License-Identifier: ISC */
/* oauth/: what is asked, what Microsoft, Google and others answer, and the file. */
#include "oauth/renew.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/form.h"
#include "base/url.h"
#include "unit.h"

/* ---- URLs and forms ------------------------------------------------------------------- */

START_TEST(urls)
{
	static const char *const good[] = {
		"https://login.microsoftonline.com/common/oauth2/v2.0/token", "https://oauth2.googleapis.com/token",
		"HTTPS://x", "https://[2001:db8::1]:8443/t?a=b", "http://127.0.0.1:80/t", "http://localhost/",
		"http://[::1]:1/", "http://LOCALHOST:8080",
	};
	static const char *const bad[] = {
		"", "token", "ftp://x/", "https://", "https:///t", "https://:443/t", "https://user:pw@host/t",
		"https://host/t#f", "https://ho st/", "https://host/\n", "https://h\xc3\xb6st/", "http://example.org/t",
		"http://127.0.0.1.example.org/", "http://127.0.0.1@example.org/", "http://127.0.0.2/",
		"http://localhost.example/", "file:///etc/passwd", "https://host\\@evil/",
	};
	struct err e;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		ck_assert_msg(url_check(good[i], &e) == 0, "%s: %s", good[i], e.text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(url_check(bad[i], &e) < 0, "%s", bad[i]);
	ck_assert(url_is_plain("http://127.0.0.1/") && url_is_plain("HTTP://[::1]") && !url_is_plain("https://x"));
}
END_TEST

START_TEST(forms)
{
	struct buf b;

	buf_init(&b, 40);
	ck_assert(form_add(&b, "a b", "1&2=3+4 \xc3\xa9\n"));
	ck_assert_str_eq(b.data, "a+b=1%262%3D3%2B4+%C3%A9%0A");
	ck_assert(!form_add(&b, "toolong", "0123456789"));
	ck_assert_str_eq(b.data, "a+b=1%262%3D3%2B4+%C3%A9%0A");
	ck_assert(form_add(&b, "c", ""));
	ck_assert_str_eq(b.data, "a+b=1%262%3D3%2B4+%C3%A9%0A&c=");
	buf_wipe(&b);
}
END_TEST

/* ---- requests ----------------------------------------------------------------------------- */

static struct oauth_client client = { .upstream = "main", .grant = OAUTH_REFRESH_TOKEN, .token_url = "https://s.example/token",
				      .client_id = "id&1", .client_secret = "s=1", .scope = "a b" };

START_TEST(requests)
{
	const struct oauth_stored none = { 0 };
	struct oauth_client public = client;
	struct buf b;
	struct err e;

	buf_init(&b, FORM_MAX);
	ck_assert(oauth_ask_refresh(&client, "r/1", &b));
	ck_assert_str_eq(b.data, "grant_type=refresh_token&refresh_token=r%2F1&client_id=id%261&client_secret=s%3D1&scope=a+b");
	buf_clear(&b);
	ck_assert(oauth_ask_client_credentials(&client, &b));
	ck_assert_str_eq(b.data, "grant_type=client_credentials&client_id=id%261&client_secret=s%3D1&scope=a+b");
	buf_clear(&b);
	ck_assert(oauth_ask_device(&client, &b)); /* RFC 8628 3.1: no secret */
	ck_assert_str_eq(b.data, "client_id=id%261&scope=a+b");
	buf_clear(&b);
	public.client_secret = public.scope = NULL;
	ck_assert(oauth_ask_device_token(&public, "d", &b));
	ck_assert_str_eq(b.data, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=d&client_id=id%261");
	buf_clear(&b);
	ck_assert(oauth_renew_ask(&client, &none, &b, &e) < 0);
	ck_assert_str_eq(e.text, "no token: run posthouse oauth login main");
	buf_wipe(&b);
}
END_TEST

/* ---- answers -------------------------------------------------------------------------------- */

static enum oauth_answer read_token(long status, const char *body, struct oauth_token *t, struct err *e)
{
	size_t len = strlen(body);
	char *exact = memcpy(mem_alloc(len + 1), body, len);
	enum oauth_answer r = oauth_read_token(status, exact, len, t, e);

	free(exact);
	return r;
}

START_TEST(tokens)
{
	static const struct {
		const char *body, *access, *refresh;
		int64_t lifetime_s;
	} rows[] = {
		/* Microsoft, v2.0 */
		{ "{\"token_type\":\"Bearer\",\"scope\":\"https://outlook.office.com/SMTP.Send\",\"expires_in\":4521,"
		  "\"ext_expires_in\":4521,\"access_token\":\"eyJ0eXAi.J-_K\",\"refresh_token\":\"0.AX8A~b\"}",
		  "eyJ0eXAi.J-_K", "0.AX8A~b", 4521 },
		/* Microsoft, v1 */
		{ "{\"token_type\":\"Bearer\",\"expires_in\":\"3599\",\"expires_on\":\"1388444763\",\"access_token\":\"x\"}", "x", NULL, 3599 },
		/* Google: no refresh token in the answer to a refresh */
		{ "{\"access_token\":\"ya29.a0\",\"expires_in\":3599,\"scope\":\"https://mail.google.com/\",\"token_type\":\"Bearer\"}",
		  "ya29.a0", NULL, 3599 },
		{ "{\"access_token\":\"x\"}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"token_type\":\"bearer\",\"refresh_token\":null}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":null}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":-1}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":0}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":[1]}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":\"soon\"}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":\"99999999999999999999\"}", "x", NULL, OAUTH_LIFETIME_DEFAULT_S },
		{ "{\"access_token\":\"x\",\"expires_in\":12.7}", "x", NULL, 12 },
		{ "{\"access_token\":\"x\",\"expires_in\":1e300}", "x", NULL, OAUTH_LIFETIME_MAX_S },
		{ "{\"access_token\":\"x\",\"expires_in\":9223372036854775807}", "x", NULL, OAUTH_LIFETIME_MAX_S },
	};
	struct oauth_token t;
	struct err e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ck_assert_msg(read_token(200, rows[i].body, &t, &e) == OAUTH_GRANTED, "%zu: %s", i, e.text);
		ck_assert_str_eq(t.access_token, rows[i].access);
		ck_assert_pstr_eq(t.refresh_token, rows[i].refresh);
		ck_assert_int_eq(t.lifetime_s, rows[i].lifetime_s);
		oauth_token_release(&t);
	}
}
END_TEST

START_TEST(refusals)
{
	static const struct {
		long status;
		const char *body;
		enum oauth_answer answer;
		const char *words;
	} rows[] = {
		/* Microsoft */
		{ 400, "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS700082: The refresh token has expired due to inactivity.\\r\\nTrace ID: 1\","
		       "\"error_codes\":[700082],\"timestamp\":\"2024-01-01 00:00:00Z\",\"trace_id\":\"1\",\"correlation_id\":\"2\"}",
		  OAUTH_REFUSED, "invalid_grant: AADSTS700082: The refresh token has expired" },
		{ 401, "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret provided.\"}", OAUTH_REFUSED, "AADSTS7000215" },
		{ 400, "{\"error\":\"authorization_pending\",\"error_description\":\"AADSTS70016\"}", OAUTH_PENDING, "authorization_pending" },
		{ 400, "{\"error\":\"authorization_declined\"}", OAUTH_REFUSED, "declined" },
		{ 400, "{\"error\":\"expired_token\"}", OAUTH_REFUSED, "expired_token" },
		{ 400, "{\"error\":\"temporarily_unavailable\"}", OAUTH_TROUBLE, "temporarily_unavailable" },
		/* Google */
		{ 428, "{\"error\":\"authorization_pending\",\"error_description\":\"Precondition Required\"}", OAUTH_PENDING, "pending" },
		{ 403, "{\"error\":\"slow_down\",\"error_description\":\"Forbidden\"}", OAUTH_SLOW_DOWN, "slow_down" },
		{ 400, "{\"error\":\"invalid_grant\",\"error_description\":\"Token has been expired or revoked.\"}", OAUTH_REFUSED, "expired or revoked" },
		{ 403, "{\"error\":{\"code\":403,\"message\":\"blocked\",\"status\":\"PERMISSION_DENIED\"}}", OAUTH_TROUBLE, "PERMISSION_DENIED: blocked" },
		/* others: 200 with an error, an error of a server that is ill */
		{ 200, "{\"error\":\"bad_verification_code\"}", OAUTH_REFUSED, "bad_verification_code" },
		{ 200, "{\"error\":\"invalid_grant\",\"access_token\":\"x\"}", OAUTH_REFUSED, "invalid_grant" },
		{ 500, "{\"error\":\"invalid_grant\"}", OAUTH_TROUBLE, "invalid_grant" },
		{ 429, "{\"error\":\"invalid_request\"}", OAUTH_TROUBLE, "invalid_request" },
		/* what is none */
		{ 500, "", OAUTH_TROUBLE, "HTTP status 500" },
		{ 200, "", OAUTH_TROUBLE, "not a JSON object" },
		{ 200, "[]", OAUTH_TROUBLE, "not a JSON object" },
		{ 200, "{", OAUTH_TROUBLE, "not a JSON object" },
		{ 200, "{}", OAUTH_TROUBLE, "no access_token" },
		{ 400, "{}", OAUTH_TROUBLE, "HTTP status 400" },
		{ 400, "{\"error\":7}", OAUTH_TROUBLE, "HTTP status 400" },
		{ 200, " \n<!DOCTYPE html><html></html>", OAUTH_TROUBLE, "web page" },
		{ 302, "{\"access_token\":\"x\"}", OAUTH_TROUBLE, "302" },
		{ 200, "{\"access_token\":7}", OAUTH_TROUBLE, "no access_token" },
		{ 200, "{\"access_token\":\"\"}", OAUTH_TROUBLE, "no access_token" },
		{ 200, "{\"access_token\":\"a\\u0001auth=Bearer b\"}", OAUTH_TROUBLE, "no access_token" },
		{ 200, "{\"access_token\":\"a\\r\\nb\"}", OAUTH_TROUBLE, "no access_token" },
		{ 200, "{\"access_token\":\"a\\u0000b\"}", OAUTH_TROUBLE, "not a JSON object" },
		{ 200, "{\"access_token\":\"x\",\"token_type\":\"mac\"}", OAUTH_TROUBLE, "\"mac\"" },
		{ 200, "{\"access_token\":\"x\",\"refresh_token\":7}", OAUTH_TROUBLE, "refresh_token" },
		{ 200, "{\"access_token\":\"x\",\"refresh_token\":\"a b\"}", OAUTH_TROUBLE, "refresh_token" },
	};
	struct oauth_token t;
	struct err e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum oauth_answer answer = read_token(rows[i].status, rows[i].body, &t, &e);

		ck_assert_msg(answer == rows[i].answer && strstr(e.text, rows[i].words), "%zu: %d %s", i, answer, e.text);
		ck_assert(!t.access_token && !t.refresh_token);
	}
}
END_TEST

/* However long a server talks: the sentence ends with what is to be done. */
START_TEST(long_descriptions)
{
	static char body[60000], big[OAUTH_TOKEN_MAX + 100];
	const struct oauth_stored none = { 0 };
	struct oauth_stored next;
	struct oauth_token t;
	struct err e;
	bool rotated;

	snprintf(body, sizeof(body), "{\"error\":\"invalid_grant\",\"error_description\":\"%050000d\"}", 7);
	ck_assert_int_eq(oauth_renew_take(&client, &none, 400, body, strlen(body), 1000, &next, &rotated, &e), OAUTH_REFUSED);
	ck_assert_msg(strstr(e.text, "https://s.example/token: invalid_grant: 0000") == e.text &&
			      strstr(e.text, ": run posthouse oauth login main"), "%s", e.text);
	snprintf(body, sizeof(body), "{\"error\":\"%050000d\"}", 7);
	ck_assert_int_eq(read_token(400, body, &t, &e), OAUTH_TROUBLE);
	memset(big, 'x', OAUTH_TOKEN_MAX - 1);
	snprintf(body, sizeof(body), "{\"access_token\":\"%s\"}", big);
	ck_assert_int_eq(read_token(200, body, &t, &e), OAUTH_GRANTED);
	oauth_token_release(&t);
	big[OAUTH_TOKEN_MAX - 1] = 'x';
	snprintf(body, sizeof(body), "{\"access_token\":\"%s\"}", big);
	ck_assert_int_eq(read_token(200, body, &t, &e), OAUTH_TROUBLE);
}
END_TEST

START_TEST(advice)
{
	static const struct {
		const char *error, *words;
	} rows[] = {
		{ "invalid_grant", "run posthouse oauth login main" },
		{ "invalid_client", "check oauth_client_id" },
		{ "invalid_scope", "check oauth_scope" },
	};
	const struct oauth_stored none = { 0 };
	struct oauth_stored next;
	char body[100];
	struct err e;
	bool rotated;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(body, sizeof(body), "{\"error\":\"%s\"}", rows[i].error);
		oauth_renew_take(&client, &none, 400, body, strlen(body), 1000, &next, &rotated, &e);
		ck_assert_msg(strstr(e.text, rows[i].words), "%s", e.text);
	}
}
END_TEST

START_TEST(rotation)
{
	const struct oauth_stored stored = { .refresh_token = (char *)"r1", .scope = (char *)"s", .last_error = (char *)"old" };
	static const char plain[] = "{\"access_token\":\"a\",\"expires_in\":60}";
	static const char other[] = "{\"access_token\":\"a\",\"refresh_token\":\"r2\"}";
	static const char same[] = "{\"access_token\":\"a\",\"refresh_token\":\"r1\"}";
	struct oauth_stored next;
	struct err e;
	bool rotated;

	ck_assert_int_eq(oauth_renew_take(&client, &stored, 200, plain, strlen(plain), 1000, &next, &rotated, &e),
			 OAUTH_GRANTED);
	ck_assert(!rotated && next.expires_wall_s == 1060 && next.obtained_wall_s == 1000 && !next.last_error);
	ck_assert_str_eq(next.refresh_token, "r1"); /* RFC 6749 6: none in the answer means that the old one stays */
	ck_assert_str_eq(next.scope, "s");
	ck_assert(oauth_stored_is_valid(&next, 1059) && !oauth_stored_is_valid(&next, 1060));
	oauth_stored_release(&next);
	ck_assert_int_eq(oauth_renew_take(&client, &stored, 200, other, strlen(other), 1000, &next, &rotated, &e),
			 OAUTH_GRANTED);
	ck_assert(rotated);
	ck_assert_str_eq(next.refresh_token, "r2");
	oauth_stored_release(&next);
	ck_assert_int_eq(oauth_renew_take(&client, &stored, 200, same, strlen(same), 1000, &next, &rotated, &e),
			 OAUTH_GRANTED);
	ck_assert(!rotated);
	oauth_stored_release(&next);
}
END_TEST

START_TEST(devices)
{
	static const struct {
		const char *body;
		enum oauth_answer answer;
		int64_t lifetime_s, interval_s;
	} rows[] = {
		/* RFC 8628 3.2 */
		{ "{\"device_code\":\"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS\",\"user_code\":\"WDJB-MJHT\",\"verification_uri\":"
		  "\"https://example.com/device\",\"verification_uri_complete\":\"https://example.com/device?user_code=WDJB-MJHT\","
		  "\"expires_in\":1800,\"interval\":5}", OAUTH_GRANTED, 1800, 5 },
		/* Google's */
		{ "{\"device_code\":\"4/4-GM\",\"user_code\":\"GQVQ-JKEC\",\"verification_url\":\"https://www.google.com/device\",\"expires_in\":1800}",
		  OAUTH_GRANTED, 1800, 5 },
		{ "{\"device_code\":\"d\",\"user_code\":\"u\",\"verification_uri\":\"v\",\"expires_in\":99999999,\"interval\":99999999}",
		  OAUTH_GRANTED, 3600, 300 },
		{ "{\"user_code\":\"u\",\"verification_uri\":\"v\"}", OAUTH_TROUBLE, 0, 0 },
		{ "{\"device_code\":\"d\",\"verification_uri\":\"v\"}", OAUTH_TROUBLE, 0, 0 },
		{ "{\"device_code\":\"d\",\"user_code\":\"\",\"verification_uri\":\"v\"}", OAUTH_TROUBLE, 0, 0 },
		{ "{\"device_code\":\"d\",\"user_code\":\"u\"}", OAUTH_TROUBLE, 0, 0 },
		{ "{\"error\":\"unauthorized_client\"}", OAUTH_REFUSED, 0, 0 },
		{ "<html>", OAUTH_TROUBLE, 0, 0 },
	};
	struct oauth_device d;
	struct err e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum oauth_answer answer = oauth_read_device(200, rows[i].body, strlen(rows[i].body), &d, &e);

		ck_assert_msg(answer == rows[i].answer, "%zu: %d", i, answer);
		ck_assert_int_eq(d.lifetime_s, rows[i].lifetime_s);
		ck_assert_int_eq(d.interval_s, rows[i].interval_s);
		oauth_device_release(&d);
	}
}
END_TEST

START_TEST(times)
{
	ck_assert_int_eq(oauth_margin_ms(3600, 0), 360000);
	ck_assert_int_eq(oauth_margin_ms(3600, 1), 540000);
	ck_assert_int_eq(oauth_margin_ms(OAUTH_LIFETIME_MAX_S, 0), 600000);
	ck_assert_int_eq(oauth_margin_ms(0, 1), 0);
	ck_assert_int_eq(oauth_retry_ms(1, false, 0), 5000);
	ck_assert_int_eq(oauth_retry_ms(2, false, 0), 10000);
	ck_assert_int_eq(oauth_retry_ms(UINT32_MAX, false, 0), 300000);
	ck_assert_int_eq(oauth_retry_ms(1, true, 0), 300000);
	ck_assert_int_eq(oauth_retry_ms(UINT32_MAX, true, 1), 2700000);
}
END_TEST

/* ---- the file ----------------------------------------------------------------------------------- */

static char folder[] = "/tmp/posthouse-oauth-XXXXXX";
static char file[64];

static void open_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/t.json", folder);
}

static void close_folder(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(stored_and_loaded)
{
	struct oauth_stored s = { .access_token = (char *)"a", .refresh_token = (char *)"r", .scope = (char *)"s",
				  .obtained_wall_s = 5, .expires_wall_s = 10, .last_error = (char *)"x\x1b\xff", .last_error_wall_s = 7 };
	struct oauth_stored back, twin;
	struct oauth_stamp one, other;
	struct stat st;
	struct err e;
	char name[80];

	open_folder();
	ck_assert_int_eq(oauth_store_load(file, &back, &e), OAUTH_STORE_MISSING);
	one = oauth_store_stamp(file);
	ck_assert_int_eq(oauth_store_save(file, &s, &e), 0);
	other = oauth_store_stamp(file);
	ck_assert(!oauth_stamp_equal(&one, &other));
	ck_assert(stat(file, &st) == 0 && (st.st_mode & 07777) == 0600);
	ck_assert_int_eq(oauth_store_load(file, &back, &e), OAUTH_STORE_OK);
	oauth_stored_copy(&twin, &back);
	ck_assert_str_eq(twin.access_token, "a");
	ck_assert_str_eq(twin.refresh_token, "r");
	ck_assert_str_eq(twin.last_error, "x??");
	ck_assert(twin.obtained_wall_s == 5 && twin.expires_wall_s == 10 && twin.last_error_wall_s == 7);
	oauth_stored_release(&twin);
	oauth_stored_release(&back);
	/* a leftover of a crash, whoever made it, is in nobody's way, and not followed */
	snprintf(name, sizeof(name), "%s.new", file);
	ck_assert_int_eq(symlink("/etc/passwd", name), 0);
	s.access_token = s.scope = s.last_error = NULL;
	ck_assert_int_eq(oauth_store_save(file, &s, &e), 0);
	ck_assert_int_lt(lstat(name, &st), 0);
	ck_assert_int_eq(oauth_store_load(file, &back, &e), OAUTH_STORE_OK);
	ck_assert(!back.access_token && !back.scope && !back.last_error);
	oauth_stored_release(&back);
	close_folder();
}
END_TEST

static void put(const char *text, size_t len, mode_t mode)
{
	FILE *f = fopen(file, "w");

	ck_assert(f && fwrite(text, 1, len, f) == len && fclose(f) == 0 && chmod(file, mode) == 0);
}

START_TEST(files_that_are_refused)
{
	static const char good[] = "{\"version\":1,\"refresh_token\":\"SECRET\"}";
	static const char *const bad[] = {
		"", "{", "[]", "null", "{}", "{\"version\":2}", "{\"version\":\"1\"}", "{\"version\":1,\"access_token\":7}",
		"{\"version\":1,\"access_token\":\"\"}", "{\"version\":1,\"access_token\":\"SEC RET\"}",
		"{\"version\":1,\"refresh_token\":\"SECRET\\u0001\"}", "{\"version\":1,\"expires_at\":\"1\"}",
		"{\"version\":1,\"expires_at\":-1}", "{\"version\":1,\"expires_at\":1.5}", "{\"version\":1,\"expires_at\":9999999999999}",
		"{\"version\":1,\"refresh_token\":\"SECRET\"} x",
	};
	static const mode_t open_modes[] = { 0644, 0604, 0620, 0602, 0610, 04600 };
	static char big[STORE_BYTES_MAX + 10];
	struct oauth_stored s;
	struct err e;
	char name[80];

	open_folder();
	put(good, strlen(good), 0640);
	ck_assert_int_eq(oauth_store_load(file, &s, &e), OAUTH_STORE_OK);
	oauth_stored_release(&s);
	for (size_t i = 0; i < sizeof(open_modes) / sizeof(*open_modes); i++) {
		put(good, strlen(good), open_modes[i]);
		ck_assert_int_eq(oauth_store_load(file, &s, &e), OAUTH_STORE_BAD);
		ck_assert_msg(strstr(e.text, "chmod 0600") && !strstr(e.text, "SEC"), "%s", e.text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put(bad[i], strlen(bad[i]), 0600);
		ck_assert_msg(oauth_store_load(file, &s, &e) == OAUTH_STORE_BAD, "%s", bad[i]);
		ck_assert_msg(strstr(e.text, file) && !strstr(e.text, "SEC") && !s.access_token && !s.refresh_token, "%s", e.text);
	}
	put(big, sizeof(big), 0600);
	ck_assert_int_eq(oauth_store_load(file, &s, &e), OAUTH_STORE_BAD);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(mkfifo(file, 0600), 0); /* does not hang */
	ck_assert_int_eq(oauth_store_load(file, &s, &e), OAUTH_STORE_BAD);
	ck_assert_int_eq(unlink(file), 0);
	snprintf(name, sizeof(name), "%s/real", folder);
	ck_assert_int_eq(symlink(name, file), 0);
	ck_assert_int_eq(oauth_store_load(file, &s, &e), OAUTH_STORE_BAD);
	close_folder();
}
END_TEST

START_TEST(locks)
{
	struct err e;
	int one, other;

	open_folder();
	one = oauth_store_lock(file, &e);
	ck_assert_int_ge(one, 0);
	other = oauth_store_lock(file, &e);
	ck_assert(other < 0 && e.os_error == EWOULDBLOCK);
	close(one);
	other = oauth_store_lock(file, &e);
	ck_assert_int_ge(other, 0);
	close(other);
	close_folder();
	ck_assert(oauth_store_lock(file, &e) < 0 && e.os_error == ENOENT);
	ck_assert(strstr(e.text, "folder"));
	ck_assert(oauth_store_save(file, &(struct oauth_stored){ 0 }, &e) < 0 && strstr(e.text, file));
}
END_TEST

START_TEST(folders)
{
	struct stat st;
	struct err e;
	char deep[80];

	open_folder();
	snprintf(deep, sizeof(deep), "%s/a/b", folder);
	ck_assert_int_eq(oauth_store_make_folder(deep, geteuid(), getegid(), &e), 0);
	ck_assert_int_eq(oauth_store_make_folder(deep, geteuid(), getegid(), &e), 0);
	ck_assert(stat(deep, &st) == 0 && (st.st_mode & 07777) == 0700);
	if (geteuid() == 0) {
		ck_assert_int_eq(oauth_store_make_folder(deep, 1, 1, &e), 0);
		ck_assert(stat(deep, &st) == 0 && st.st_uid == 1);
		ck_assert(oauth_store_make_folder(deep, 2, 2, &e) < 0 && strstr(e.text, "chown"));
	}
	close_folder();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("oauth");

	UNIT_CASE(s, urls, forms, requests, tokens, refusals, long_descriptions, advice, rotation, devices, times,
		  stored_and_loaded, files_that_are_refused, locks, folders);
	return unit_run(s);
}
