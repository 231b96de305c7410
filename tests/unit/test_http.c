/* SPDX-License-Identifier: ISC */
/* upstream/http over real sockets, blocking and on the event loop; and bearer.h, the reason in a challenge. */
#include "upstream/http.h"

#include "unit.h"
#include "upstream/bearer.h"
#include "upstream_client.h"

#define HEAD(length) "> HTTP/1.1 200 OK", "> Content-Length: " length, "> "
#define POSTED "< POST /t HTTP/1.1", "< Host: ", "< User-Agent: posthouse/", "< Accept: application/json", \
	"< Content-Length: 3", "< Content-Type: application/x-www-form-urlencoded", "<"

struct played {
	bool done;
	long status;
	char body[100];
	size_t len;
	char error[512];
};

static void take(void *ctx, const struct http_answer *answer, const struct err *e)
{
	struct played *p = ctx;

	ck_assert(!p->done && !answer != !e);
	p->done = true;
	p->status = answer ? answer->status : 0;
	p->len = answer ? answer->body.len : 0;
	snprintf(p->body, sizeof(p->body), "%.99s", answer ? answer->body.data : "");
	snprintf(p->error, sizeof(p->error), "%s", e ? e->text : "");
}

static struct played blocking(const struct http_request *r)
{
	struct played p = { 0 };
	struct http_answer answer;
	struct err e;

	if (http_perform(r, &answer, &e) == 0) {
		take(&p, &answer, NULL);
		http_answer_release(&answer);
	} else {
		take(&p, NULL, &e);
	}
	return p;
}

static struct played looping(const struct http_request *r)
{
	struct event_base *base = event_base_new();
	struct timeval guard = { 2 * GUARD_MS / 1000, 0 };
	struct played p = { 0 };
	struct upstream *u;
	struct err e;

	ck_assert_int_eq(upstream_open(&u, base, &e), 0);
	http_begin(u, r, take, &p);
	ck_assert(!p.done);
	event_base_loopexit(base, &guard);
	while (!p.done)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	upstream_close(u);
	event_base_free(base);
	return p;
}

static struct played play(const char *const *script, struct http_request r, bool loops, bool tls)
{
	struct script_server s = server_start(script);
	struct played p;
	char url[100];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%u/t", tls ? "https" : "http", s.port);
	r.url = url;
	r.timeout_ms = r.timeout_ms ? r.timeout_ms : GUARD_MS;
	p = loops ? looping(&r) : blocking(&r);
	ck_assert_msg(server_end(&s), "%s", p.error);
	if (p.error[0])
		ck_assert_msg(strncmp(p.error, url, strlen(url)) == 0, "%s", p.error);
	return p;
}

START_TEST(answers)
{
	static const char body[] = "a=b";
	const char *const *post = SCRIPT(POSTED, "| ", HEAD("5"), "| hello", "eof");
	const char *const *get = SCRIPT("< GET /t HTTP/1.1", "< Host: ", "< Authorization: Basic aWQ6c2VjcmV0", "< User-Agent", "< Accept", "<",
					"> HTTP/1.1 404 Not Found", "> Content-Length: 0", "> ", "eof");
	const char *const *bearer = SCRIPT("< GET", "< Host: ", "< User-Agent", "< Accept", "< Authorization: Bearer tok", "<", HEAD("0"), "eof");
	struct played p;

	for (int loops = 0; loops < 2; loops++) {
		p = play(post, (struct http_request){ .form = body }, loops, false);
		ck_assert_msg(p.status == 200 && strcmp(p.body, "hello") == 0, "%s", p.error);
		p = play(get, (struct http_request){ .user = "id", .password = "secret" }, loops, false);
		ck_assert_msg(p.status == 404 && p.len == 0, "%s", p.error);
		p = play(bearer, (struct http_request){ .bearer = "tok" }, loops, false);
		ck_assert_msg(p.status == 200, "%s", p.error);
	}
}
END_TEST

#define ASKED "< GET", "< Host", "< User-Agent", "< Accept", "<"

START_TEST(faults)
{
	const struct {
		const char *const *script;
		const char *words;
		int64_t timeout_ms;
	} rows[] = {
		{ SCRIPT(ASKED, "close"), "mpty reply", 0 },
		{ SCRIPT(ASKED, "reset"), "reset", 0 },
		{ SCRIPT(ASKED, "> 220 mail.example ESMTP", "close"), "HTTP/0.9", 0 },
		{ SCRIPT(ASKED, HEAD("10"), "| short", "close"), "remaining", 0 },
		{ SCRIPT(ASKED, HEAD("10"), "| short", "eof"), "timed out", 300 },
		{ SCRIPT(ASKED, "eof"), "timed out", 300 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (int loops = 0; loops < 2; loops++) {
			struct played p = play(rows[i].script, (struct http_request){ .timeout_ms = rows[i].timeout_ms }, loops, false);

			ck_assert_msg(p.status == 0 && strcasestr(p.error, rows[i].words), "%zu: %s", i, p.error);
		}
}
END_TEST

START_TEST(too_large)
{
	static char header[1500] = "> X: ", body[1990] = "| ";
	const char *script[100] = { ASKED, "> HTTP/1.1 200 OK" };
	struct played p;
	size_t n;

	script_server_is_quiet = true;
	memset(header + 5, 'h', sizeof(header) - 6);
	memset(body + 2, 'b', sizeof(body) - 3);
	for (n = 6; n < 60; n++)
		script[n] = header;
	script[n++] = "eof";
	p = play(script, (struct http_request){ 0 }, true, false);
	ck_assert_msg(p.status == 0 && strstr(p.error, "larger"), "%s", p.error);
	/* without a length, until it stops */
	script[6] = "> ";
	for (n = 7; n < 60; n++)
		script[n] = body;
	p = play(script, (struct http_request){ 0 }, false, false);
	ck_assert_msg(p.status == 0 && strstr(p.error, "larger than 65536"), "%s", p.error);
	/* as much as may be: 33 * 1987 = 65571 is too much, 32 are not */
	script[7 + 32] = "close";
	script[7 + 33] = NULL;
	p = play(script, (struct http_request){ 0 }, true, false);
	ck_assert_msg(p.status == 200 && p.len == 32 * 1987, "%zu %s", p.len, p.error);
}
END_TEST

START_TEST(redirects_are_not_followed)
{
	const char *const *script = SCRIPT(ASKED, "> HTTP/1.1 302 Found", "> Location: http://127.0.0.1:1/", "> Content-Length: 0", "> ", "eof");

	ck_assert_int_eq(play(script, (struct http_request){ 0 }, true, false).status, 302);
}
END_TEST

START_TEST(tls)
{
	static const struct {
		const char *step;
		bool with_ca;
		const char *words;
	} rows[] = {
		{ "tls 0", true, NULL },
		{ "tls? 0", false, "certificate" },
		{ "tls? 1", true, "match" },
		{ "tls? 2", true, "expired" },
		{ "tls? 3", true, "certificate" },
	};

	certs_open();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *const *good = SCRIPT(rows[i].step, ASKED, HEAD("0"), "eof"), *const *bad = SCRIPT(rows[i].step);
		struct played p = play(rows[i].words ? bad : good,
				       (struct http_request){ .ca_file = rows[i].with_ca ? certs_ca_file : NULL }, i % 2, true);

		if (rows[i].words)
			ck_assert_msg(strcasestr(p.error, rows[i].words), "%s: %s", rows[i].step, p.error);
		else
			ck_assert_msg(p.status == 200, "%s", p.error);
	}
	certs_close();
}
END_TEST

START_TEST(where_to)
{
	static const char *const urls[] = { "http://192.0.2.1/", "ftp://127.0.0.1/", "file:///etc/passwd", "", "https://" };
	struct played p;

	/* nothing of it is said to a server: both forms tell, the second one from the loop */
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		ck_assert_int_eq(blocking(&(struct http_request){ .url = urls[i], .timeout_ms = 1000 }).status, 0);
		p = looping(&(struct http_request){ .url = urls[i], .timeout_ms = 1000 });
		ck_assert(p.done && p.status == 0 && p.error[0]);
	}
	/* what the environment says about proxies counts for nothing */
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	p = play(SCRIPT(ASKED, HEAD("0"), "eof"), (struct http_request){ 0 }, false, false);
	ck_assert_msg(p.status == 200, "%s", p.error);
	/* nor is a proxy asked for what is to stay here */
	p = play(SCRIPT(ASKED, HEAD("0"), "eof"), (struct http_request){ .proxy = "http://127.0.0.1:1" }, false, false);
	ck_assert_msg(p.status == 200, "%s", p.error);
}
END_TEST

START_TEST(cancelled)
{
	struct event_base *base = event_base_new();
	struct script_server s = server_start(SCRIPT("eof"));
	struct played p = { 0 };
	struct http_call *call;
	struct upstream *u;
	char url[100];
	struct err e;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/t", s.port);
	ck_assert_int_eq(upstream_open(&u, base, &e), 0);
	call = http_begin(u, &(struct http_request){ .url = url, .timeout_ms = GUARD_MS }, take, &p);
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	http_cancel(call);
	http_cancel(http_begin(u, &(struct http_request){ .url = "", .timeout_ms = GUARD_MS }, take, &p));
	event_base_loop(base, EVLOOP_NONBLOCK);
	upstream_close(u);
	event_base_free(base);
	ck_assert(!p.done);
	kill(s.pid, SIGKILL);
	server_end(&s);
}
END_TEST

/* ---- the reason in a challenge ----------------------------------------------------------------- */

START_TEST(challenges)
{
	static const struct {
		const char *base64, *text;
	} rows[] = {
		{ "eyJzdGF0dXMiOiI0MDAifQ==", "{\"status\":\"400\"}" },
		{ "eyJzIjoiG1syShsifQ==", "{\"s\":\"?[2J?\"}" },
		{ "eyJhIjoxfQ==\nmore lines", "{\"a\":1}" },
		{ "", "" },
		{ "VXNlcm5hbWU6", "" }, /* "Username:" */
		{ "!!!!", "" },
		{ "e", "" },
		{ "gAAA", "" },
	};
	static struct smtp_reply reply;
	char out[BEARER_REASON_MAX], big[5000] = "ew";

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bearer_read_challenge(rows[i].base64, out);
		ck_assert_str_eq(out, rows[i].text);
	}
	memset(big, 'e', sizeof(big) - 1);
	bearer_read_challenge(big, out);
	ck_assert_uint_le(strlen(out), BEARER_REASON_MAX - 1);
	bearer_explain(&reply, "");
	ck_assert_str_eq(reply.text, "");
	for (int i = 0; i < 1000; i++)
		bearer_explain(&reply, "{why}");
	ck_assert_uint_lt(strlen(reply.text), sizeof(reply.text));
	ck_assert_ptr_eq(strstr(reply.text, "({why}) ({why})"), reply.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http");

	UNIT_CASE(s, answers, faults, too_large, redirects_are_not_followed, tls, where_to, cancelled, challenges);
	return unit_run(s);
}
