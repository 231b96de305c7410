/* SPDX-License-Identifier: ISC */
/* The PROXY protocol: headers of both versions, and what is none. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "listener/peer.h"
#include "listener/proxy.h"
#include "unit.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Feeds as many octets as are wanted, one at a time, and returns how many were taken; -1: refused. */
static int feed(const char *data, size_t len, enum proxy_said *said, char text[80], struct err *e)
{
	struct sockaddr_storage client;
	struct peer peer;
	size_t at = 0;
	int wants;

	for (;;) {
		wants = proxy_wants((const unsigned char *)data, at, e);
		if (wants <= 0)
			break;
		ck_assert_msg(at < len, "wants %d behind %zu octets", wants, at);
		at++;
	}
	if (wants < 0 || proxy_parse((const unsigned char *)data, at, said, &client, e) < 0)
		return -1;
	strcpy(text, "");
	if (*said == PROXY_CLIENT) {
		peer_set(&peer, &client);
		strcpy(text, peer.text);
	}
	return (int)at;
}

static const struct {
	const char *data;
	size_t len;
	enum proxy_said said;
	const char *client;
} good[] = {
#define HEADER(text) text, sizeof(text) - 1
	{ HEADER("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\n"), PROXY_CLIENT, "192.0.2.1:4711" },
	{ HEADER("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), PROXY_CLIENT, "255.255.255.255:65535" },
	{ HEADER("PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n"), PROXY_CLIENT, "[2001:db8::1]:4711" },
	{ HEADER("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	  PROXY_CLIENT, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	{ HEADER("PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 25\r\n"), PROXY_CLIENT, "192.0.2.1:4711" },
	{ HEADER("PROXY UNKNOWN\r\n"), PROXY_ITSELF, "" },
	{ HEADER("PROXY UNKNOWN 192.0.2.1 what ever  it says\r\n"), PROXY_ITSELF, "" },
	{ HEADER(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19"), PROXY_CLIENT, "192.0.2.1:4711" },
	{ HEADER(SIGNATURE "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19\4\0\0"), PROXY_CLIENT, "192.0.2.1:4711" },
	{ HEADER(SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x12\x67\0\x19"),
	  PROXY_CLIENT, "[2001:db8::1]:4711" },
	{ HEADER(SIGNATURE "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x67\0\x19"),
	  PROXY_CLIENT, "192.0.2.1:4711" },
	{ HEADER(SIGNATURE "\x20\0\0\0"), PROXY_ITSELF, "" },
	{ HEADER(SIGNATURE "\x20\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19"), PROXY_ITSELF, "" },
	{ HEADER(SIGNATURE "\x21\0\0\0"), PROXY_ITSELF, "" },
};

START_TEST(headers)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char data[512], text[80];
		enum proxy_said said;
		struct err e;

		/* what follows is not touched */
		memcpy(data, good[i].data, good[i].len);
		memset(data + good[i].len, '\n', sizeof(data) - good[i].len);
		ck_assert_msg(feed(data, sizeof(data), &said, text, &e) == (int)good[i].len, "%zu: %s", i, e.text);
		ck_assert_int_eq(said, good[i].said);
		ck_assert_str_eq(text, good[i].client);
	}
}
END_TEST

static const struct {
	const char *data;
	size_t len;
	const char *why;
} bad[] = {
	{ HEADER("EHLO client.example.org\r\n"), "neither version" },
	{ HEADER("PROXX TCP4 192.0.2.1 198.51.100.2 4711 25\r\n"), "neither version" },
	{ HEADER("\r\n\r\n\0\r\nQUIX\n..."), "neither version" },
	{ HEADER("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\n...."), "CRLF" },
	{ HEADER("PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n"), "its line is not" },
	{ HEADER("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25 26\r\n"), "too many" },
	{ HEADER("PROXY TCP4  192.0.2.1 198.51.100.2 4711 25\r\n"), "one blank" },
	{ HEADER("PROXY TCP4 2001:db8::1 198.51.100.2 4711 25\r\n"), "is none" },
	{ HEADER("PROXY TCP4 192.0.2.256 198.51.100.2 4711 25\r\n"), "is none" },
	{ HEADER("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), "is none" },
	{ HEADER("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"), "is none" },
	{ HEADER("PROXY UDP4 192.0.2.1 198.51.100.2 4711 25\r\n"), "its line is not" },
	{ HEADER("PROXY TCP4 192.0.2.1\0" "198.51.100.2 4711 25 25\r\n"), "NUL" },
	{ HEADER("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345\r\n"),
	  "too long" },
	{ HEADER(SIGNATURE "\x11\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19"), "version" },
	{ HEADER(SIGNATURE "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19"), "version" },
	{ HEADER(SIGNATURE "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19"), "not TCP" },
	{ HEADER(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0"), "too short" },
	{ HEADER(SIGNATURE "\x21\x21\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x12\x67\0\x19"), "too short" },
	{ HEADER(SIGNATURE "\x21\x11\xff\xff\xc0\0"), "too long" },
};

START_TEST(no_headers)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		enum proxy_said said;
		struct err e;
		char text[80];

		ck_assert_msg(feed(bad[i].data, bad[i].len, &said, text, &e) < 0, "%zu was taken", i);
		ck_assert_msg(strstr(e.text, bad[i].why), "%zu: %s", i, e.text);
	}
}
END_TEST

START_TEST(reading_takes_the_header_only)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\nEHLO x\r\n";
	struct control control = { .fd = -1, .stop_by_mono_ms = CLOCK_NEVER };
	struct sockaddr_storage client;
	enum proxy_said said;
	char rest[64] = "";
	struct err e;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	ck_assert_int_eq(write(fd[1], line, sizeof(line) - 1), sizeof(line) - 1);
	ck_assert_int_eq(proxy_read(fd[0], &control, CLOCK_NEVER, &said, &client, &e), IO_OK);
	ck_assert_int_eq(said, PROXY_CLIENT);
	ck_assert_int_eq(read(fd[0], rest, sizeof(rest) - 1), 8);
	ck_assert_str_eq(rest, "EHLO x\r\n");
	/* half a header, then nothing; then the end */
	ck_assert_int_eq(write(fd[1], line, 20), 20);
	ck_assert_int_eq(proxy_read(fd[0], &control, clock_mono_ms() + 5, &said, &client, &e), IO_TIMEOUT);
	ck_assert(strstr(e.text, "20 octets"));
	ck_assert_int_eq(write(fd[1], line, 20), 20);
	close(fd[1]);
	ck_assert_int_eq(proxy_read(fd[0], &control, CLOCK_NEVER, &said, &client, &e), IO_EOF);
	close(fd[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proxy");
	TCase *c = tcase_create("all");

	tcase_add_test(c, headers);
	tcase_add_test(c, no_headers);
	tcase_add_test(c, reading_takes_the_header_only);
	suite_add_tcase(suite, c);
	return unit_run(suite);
}
