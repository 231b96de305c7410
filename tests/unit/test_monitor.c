/* SPDX-License-Identifier: ISC */
/* monitor/: the HTTP server against slow, many and rude clients, the question to a worker, the file. */
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "monitor/probe.h"
#include "monitor/request.h"
#include "monitor/server.h"
#include "monitor/textfile.h"
#include "unit.h"

static struct event_base *base;
static struct server *server;
static int listening, answers, last_status;
static bool allowed;
static struct sockaddr_in address;

static bool may_ask(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return allowed;
}

static int answer(void *ctx, const struct monitor_request *request, struct buf *body, const char **content_type)
{
	(void)ctx;
	(void)content_type;
	buf_addf(body, "you asked for %s\n", request->path);
	answers++;
	return strcmp(request->path, "/") == 0 ? 200 : 404;
}

static void answered(void *ctx, int status)
{
	(void)ctx;
	last_status = status;
}

static void begin(int deadline_ms)
{
	const struct server_ops ops = { may_ask, answer, answered, NULL };
	socklen_t len = sizeof(address);

	base = event_base_new();
	address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listening, 64), 0);
	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &len), 0);
	server = server_new(base, &ops, deadline_ms);
	server_listen(server, listening);
	allowed = true;
}

static void end(void)
{
	server_free(server);
	event_base_free(base);
	close(listening);
}

static int client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
}

/* Lets the server work until this client hears the end; what it heard. */
static const char *hear(int fd)
{
	static char text[4096];
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		if (n > 0)
			len += (size_t)n;
		if (n == 0)
			break;
		ck_assert(n > 0 || errno == EAGAIN || errno == ECONNRESET);
		if (n < 0 && errno == ECONNRESET)
			break;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	text[len] = '\0';
	close(fd);
	return text;
}

static void turn(int times)
{
	while (times-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

START_TEST(it_answers)
{
	int fd;

	begin(10000);
	fd = client();
	say(fd, "GET / HT");
	turn(3);
	ck_assert_int_eq(answers, 0);
	say(fd, "TP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "200 OK"));
	fd = client();
	say(fd, "GET /x HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "you asked for /x\n"));
	ck_assert_int_eq(last_status, 404);
	fd = client();
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	shutdown(fd, SHUT_WR); /* as nc -N does */
	ck_assert_ptr_nonnull(strstr(hear(fd), "200 OK"));
	end();
}
END_TEST

START_TEST(it_answers_once_and_for_those_who_may)
{
	int fd;

	begin(10000);
	fd = client();
	say(fd, "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
	hear(fd);
	ck_assert_int_eq(answers, 1);
	allowed = false;
	fd = client();
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "403 Forbidden"));
	ck_assert_int_eq(answers, 1);
	end();
}
END_TEST

static void note_done(void *ctx)
{
	(*(int *)ctx)++;
}

START_TEST(who_was_accepted_is_answered_before_it_retires)
{
	int asks, late, done = 0;

	begin(10000);
	asks = client();
	turn(3);
	late = client();
	turn(3);
	server_retire(server, note_done, &done);
	say(asks, "GET / HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(asks), "200 OK"));
	ck_assert_int_eq(done, 0);
	/* who says nothing has a second, whatever the deadline is */
	ck_assert_ptr_nonnull(strstr(hear(late), "408 "));
	while (done == 0)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(done, 1);
	/* nobody who came since was taken: the next process has them */
	close(client());
	turn(3);
	ck_assert_int_ge(accept(listening, NULL, NULL), 0);
	end();
	ck_assert_int_eq(done, 1);
}
END_TEST

START_TEST(rubbish_is_told_so)
{
	static char much[10000];
	int fd;

	begin(10000);
	fd = client();
	say(fd, "EHLO there\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "400 Bad Request"));
	fd = client();
	memset(much, 'x', sizeof(much) - 1);
	say(fd, much);
	ck_assert_ptr_nonnull(strstr(hear(fd), "431 "));
	fd = client();
	say(fd, "DELETE / HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "405 "));
	ck_assert_int_eq(answers, 0);
	end();
}
END_TEST

START_TEST(who_is_slow_has_a_deadline)
{
	const char *heard;
	int fd;

	begin(50);
	fd = client();
	say(fd, "GET / HTTP/1.0\r\n");
	heard = hear(fd);
	ck_assert_msg(strstr(heard, "408 Request Timeout") != NULL, "%s", heard);
	end();
}
END_TEST

START_TEST(a_crowd_is_in_nobodys_way)
{
	int slow[3 * SERVER_CONNECTIONS_MAX], fd;
	char byte;

	begin(600000);
	for (size_t i = 0; i < sizeof(slow) / sizeof(*slow); i++) {
		slow[i] = client();
		say(slow[i], "GET ");
		turn(2);
	}
	fd = client();
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd), "200 OK"));
	/* the first ones had to go, the last ones have not */
	turn(3);
	ck_assert_int_eq((int)read(slow[0], &byte, 1), 0);
	ck_assert_int_eq((int)read(slow[sizeof(slow) / sizeof(*slow) - 1], &byte, 1), -1);
	for (size_t i = 0; i < sizeof(slow) / sizeof(*slow); i++)
		close(slow[i]);
	end();
}
END_TEST

START_TEST(who_goes_away_leaves_nothing)
{
	begin(600000);
	for (int i = 0; i < 100; i++) {
		int fd = client();
		struct linger reset = { 1, 0 };

		say(fd, i % 2 ? "GET / HTTP/1.0\r\n\r\n" : "GET");
		if (i % 3 == 0)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		turn(1);
		close(fd);
		turn(3);
	}
	end();
}
END_TEST

/* ---- the question to a worker -------------------------------------------------------- */

static int probed = -1, line[2];

static void on_probed(void *ctx, enum probe_result result, int64_t took_us)
{
	(void)ctx;
	ck_assert_int_ge(took_us, 0);
	probed = (int)result;
}

/* As a worker: takes the question and answers it with the lines; "" means it hangs up. */
static void answer_probe(const char *const *lines, const char *expected)
{
	char byte, heard[512] = "";
	size_t len, count, n = 0;
	ssize_t got;
	int fd;

	ck_assert(descriptors_receive(line[0], &byte, 1, &len, &fd, 1, &count) && count == 1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (; *lines && **lines; lines++) {
		say(fd, *lines);
		for (int i = 0; i < 3; i++) {
			event_base_loop(base, EVLOOP_NONBLOCK);
			got = read(fd, heard + n, sizeof(heard) - 1 - n);
			n += got > 0 ? (size_t)got : 0;
		}
	}
	heard[n] = '\0';
	close(fd);
	turn(3);
	ck_assert_str_eq(heard, expected);
}

START_TEST(a_worker_is_asked)
{
	static const struct {
		const char *answers[6], *expected;
		enum probe_result result;
	} cases[] = {
		{ { "220 x\r\n", "250-x\r\n250 SIZE\r\n", "250 ok\r\n", "221 bye\r\n" },
		  "EHLO monitor\r\nMAIL FROM:<>\r\nQUIT\r\n", PROBE_GOOD },
		{ { "220-a\r\n", "220 x\r\n", "250 x\r\n", "452 full\r\n", "221 bye\r\n" },
		  "EHLO monitor\r\nMAIL FROM:<>\r\nQUIT\r\n", PROBE_NO_STORE },
		{ { "421 stopping\r\n" }, "", PROBE_LOST },
		{ { "220 x\r\n", "250 x\r\n", "421 late\r\n" }, "EHLO monitor\r\nMAIL FROM:<>\r\n", PROBE_LOST },
		{ { "220 x\r\n", "500 what\r\n" }, "EHLO monitor\r\n", PROBE_LOST },
		{ { "220 x\r\n", "" }, "EHLO monitor\r\n", PROBE_LOST },
		{ { "hi\r\n" }, "", PROBE_LOST },
	};
	struct probe *p;

	base = event_base_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, line), 0);
	p = probe_new(base, line[1], true, 60000, on_probed, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		probed = -1;
		ck_assert(!probe_is_open(p));
		probe_ask(p);
		ck_assert(probe_is_open(p));
		probe_ask(p); /* one at a time */
		answer_probe(cases[i].answers, cases[i].expected);
		ck_assert_msg(probed == (int)cases[i].result, "%zu: %d", i, probed);
	}
	/* nobody takes it: it waits, and there is no second one on the line */
	probe_ask(p);
	turn(3);
	ck_assert(probe_is_open(p));
	probe_free(p);
	event_base_free(base);
}
END_TEST

START_TEST(one_that_hangs_is_given_up)
{
	struct probe *p;
	size_t len, count;
	char byte;
	int fd;

	base = event_base_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, line), 0);
	p = probe_new(base, line[1], true, 20, on_probed, NULL);
	probed = -1;
	probe_ask(p);
	ck_assert(descriptors_receive(line[0], &byte, 1, &len, &fd, 1, &count) && count == 1);
	say(fd, "220 x\r\n");
	while (probe_is_open(p)) /* or the test's own time is over */
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(probed, PROBE_LOST);
	probe_ask(p);
	answer_probe((const char *const[]){ "220 x\r\n", "250 x\r\n", "250 ok\r\n", "221 bye\r\n", NULL },
		     "EHLO monitor\r\nMAIL FROM:<>\r\nQUIT\r\n");
	ck_assert_int_eq(probed, PROBE_GOOD);
	close(fd);
	probe_free(p);
	event_base_free(base);
}
END_TEST

START_TEST(endless_answers_end)
{
	static char much[6000];
	const char *answers_[] = { much, NULL };
	struct probe *p;

	memset(much, 'x', sizeof(much) - 1);
	base = event_base_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, line), 0);
	p = probe_new(base, line[1], false, 60000, on_probed, NULL);
	probe_ask(p);
	answer_probe(answers_, "");
	ck_assert_int_eq(probed, PROBE_LOST);
	probe_free(p);
	event_base_free(base);
}
END_TEST

/* ---- the file --------------------------------------------------------------------------- */

START_TEST(the_file_is_replaced_as_a_whole)
{
	char folder[] = "/tmp/posthouse-textfile-XXXXXX", path[80], made[100], text[32] = "";
	struct buf b;
	struct err e;
	struct stat st;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/x.prom", folder);
	snprintf(made, sizeof(made), "%s.new", path);
	buf_init(&b, 100);
	buf_adds(&b, "one\n");
	/* what somebody put in the place of the new one is not followed */
	ck_assert_int_eq(symlink("/dev/null", made), 0);
	ck_assert_int_eq(textfile_write(path, &b, &e), 0);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0644);
	buf_adds(&b, "two\n");
	ck_assert_int_eq(textfile_write(path, &b, &e), 0);
	f = fopen(path, "r");
	ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, f), 8);
	fclose(f);
	ck_assert_int_ne(access(made, F_OK), 0);
	unlink(path);
	rmdir(folder);
	ck_assert_int_eq(textfile_write(path, &b, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "x.prom"));
	buf_release(&b);
}
END_TEST

static bool ends_in(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && strcmp(s + len - n, end) == 0;
}

/* ---- requests -------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int status;
	const char *path;
	bool head, plain;
} requests[] = {
	{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/metrics", false, false },
	{ "GET /metrics HTTP/1.0\r\n\r\n", 200, "/metrics", false, false },
	{ "GET /metrics HTTP/1.0\n\n", 200, "/metrics", false, false },
	{ "\r\nGET /metrics HTTP/1.0\r\n\r\n", 200, "/metrics", false, false },
	{ "HEAD /health?x=y HTTP/1.1\r\nHOST:x\r\n\r\n", 200, "/health", true, false },
	{ "GET http://h:1/live HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/live", false, false },
	{ "GET http://h HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/", false, false },
	{ "GET /m HTTP/1.0\r\nAccept: text/plain\r\n\r\n", 200, "/m", false, true },
	{ "GET /m HTTP/1.0\r\nAccept: text/plain;q=0.5, Application/OpenMetrics-Text;q=0.9\r\n\r\n", 200, "/m", false, false },
	{ "GET /m HTTP/1.0\r\naccept: */*\r\n\r\n", 200, "/m", false, false },
	{ "GET /m HTTP/1.1\r\n\r\n", 400, NULL, false, false }, /* no Host */
	{ "GET /m\r\n\r\n", 400, NULL, false, false },
	{ "GET /m HTTP/2.0\r\n\r\n", 400, NULL, false, false },
	{ "GET  /m HTTP/1.0\r\n\r\n", 400, NULL, false, false },
	{ " GET /m HTTP/1.0\r\n\r\n", 400, NULL, false, false },
	{ "GET /m HTTP/1.0\r\nno colon\r\n\r\n", 400, NULL, false, false },
	{ "GET /m HTTP/1.0\r\n: x\r\n\r\n", 400, NULL, false, false },
	{ "POST /m HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 405, NULL, false, false },
	{ "EHLO x\r\n\r\n", 400, NULL, false, false },
	{ "GET /0123456789012345678901234567890123456789012345678901234567890123456789 HTTP/1.0\r\n\r\n", 200, "", false, false },
};

START_TEST(requests_are_read_byte_by_byte)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		struct monitor_request r;
		size_t len = strlen(requests[i].text), head;
		const char *end = strstr(requests[i].text + 2, "\r\n\r\n");

		head = end ? (size_t)(end - requests[i].text) + 4 : len;
		for (size_t n = 0; n < head; n++)
			if (n != head - 1 || requests[i].text[n] == '\n') /* CR LF LF is an end, too */
				ck_assert_msg(monitor_request_parse(requests[i].text, n, &r) == 0, "%zu at %zu", i, n);
		ck_assert_msg(monitor_request_parse(requests[i].text, len, &r) == requests[i].status, "%zu: %s", i, requests[i].text);
		if (requests[i].status != 200)
			continue;
		ck_assert_str_eq(r.path, requests[i].path);
		ck_assert_msg(r.head == requests[i].head && r.prefers_plain == requests[i].plain, "%zu", i);
	}
}
END_TEST

START_TEST(a_request_has_a_ceiling)
{
	static char endless[MONITOR_REQUEST_MAX];
	struct monitor_request r;

	memset(endless, 'x', sizeof(endless));
	ck_assert_int_eq(monitor_request_parse(endless, sizeof(endless) - 1, &r), 0);
	ck_assert_int_eq(monitor_request_parse(endless, sizeof(endless), &r), 431);
	memset(endless, '\n', sizeof(endless));
	ck_assert_int_eq(monitor_request_parse(endless, sizeof(endless), &r), 431);
	ck_assert_int_eq(monitor_request_parse("GET /\0m HTTP/1.0\n\n", 18, &r), 200);
	ck_assert_str_eq(r.path, "");
}
END_TEST

START_TEST(an_answer_is_framed)
{
	struct buf out;

	buf_init(&out, 4096);
	monitor_answer(&out, 503, "text/plain", "body\n", 5, false);
	ck_assert_ptr_nonnull(strstr(out.data, "HTTP/1.1 503 Service Unavailable\r\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "\r\nContent-Length: 5\r\n"));
	ck_assert(ends_in(out.data, "\r\n\r\nbody\n"));
	buf_clear(&out);
	monitor_answer(&out, 405, "text/plain", "body\n", 5, true);
	ck_assert_ptr_nonnull(strstr(out.data, "Allow: GET, HEAD\r\n"));
	ck_assert(ends_in(out.data, "close\r\n\r\n"));
	buf_release(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor");

	UNIT_CASE(suite, it_answers, it_answers_once_and_for_those_who_may,
		  who_was_accepted_is_answered_before_it_retires, rubbish_is_told_so, who_is_slow_has_a_deadline,
		  a_crowd_is_in_nobodys_way, who_goes_away_leaves_nothing, a_worker_is_asked,
		  endless_answers_end, one_that_hangs_is_given_up, the_file_is_replaced_as_a_whole, requests_are_read_byte_by_byte,
		  a_request_has_a_ceiling, an_answer_is_framed);
	return unit_run(suite);
}
