/* SPDX-License-Identifier: ISC */
/* base/: buffers with ceilings, key=value text, numbers with units, endpoints, networks. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cidr.h"
#include "base/endpoint.h"
#include "base/file.h"
#include "base/kv.h"
#include "base/num.h"
#include "base/text.h"
#include "unit.h"

START_TEST(buf_never_passes_its_ceiling)
{
	struct buf b;

	buf_init(&b, 10);
	ck_assert_str_eq(b.data, "");
	ck_assert(buf_adds(&b, "12345"));
	ck_assert(!buf_adds(&b, "678901"));
	ck_assert_str_eq(b.data, "12345");
	ck_assert(buf_addf(&b, "%d", 67890));
	ck_assert(!buf_addc(&b, 'x'));
	ck_assert_uint_eq(b.len, 10);
	buf_consume(&b, 7);
	ck_assert_str_eq(b.data, "890");
	buf_clear(&b);
	ck_assert_str_eq(b.data, "");
	buf_release(&b);
}
END_TEST

START_TEST(kv_returns_what_it_was_given)
{
	static const char nasty[] = "a b\"\\\n\r\0\x80\xff=x";
	struct buf b;
	struct kv_pair pair;
	char *at;

	buf_init(&b, 1000);
	ck_assert(kv_puts(&b, "plain", "user+tag=1@example.org"));
	ck_assert(kv_put(&b, "nasty", nasty, sizeof(nasty) - 1));
	ck_assert(kv_puts(&b, "empty", ""));
	ck_assert(kv_puti(&b, "n", -42));
	ck_assert_str_eq(b.data, "plain=user+tag=1@example.org "
				 "nasty=\"a b\\\"\\\\\\x0a\\x0d\\x00\\x80\\xff=x\" empty= n=-42");
	at = b.data;
	ck_assert_int_eq(kv_next(&at, b.data + b.len, &pair), KV_PAIR);
	ck_assert_str_eq(pair.key, "plain");
	ck_assert_str_eq(pair.value, "user+tag=1@example.org");
	ck_assert_int_eq(kv_next(&at, b.data + b.len, &pair), KV_PAIR);
	ck_assert_uint_eq(pair.len, sizeof(nasty) - 1);
	ck_assert_mem_eq(pair.value, nasty, sizeof(nasty) - 1);
	ck_assert_int_eq(kv_next(&at, b.data + b.len, &pair), KV_PAIR);
	ck_assert_str_eq(pair.value, "");
	ck_assert_int_eq(kv_next(&at, b.data + b.len, &pair), KV_PAIR);
	ck_assert_str_eq(pair.value, "-42");
	ck_assert_int_eq(kv_next(&at, b.data + b.len, &pair), KV_END);
	buf_release(&b);
}
END_TEST

START_TEST(kv_refuses_what_it_would_not_write)
{
	static const char *const bad[] = { "=x", "A=1", "a", "a b=1", "a=\"x", "a=\"x\"y", "a=\"\\q\"", "a=\"\\x4\"",
					   "a=\x80", "a=b\\", "a=1  b=2", "a=1 ", "a=\"\n\"", "a=x\"y" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char line[64], *at = line;
		struct kv_pair pair;
		enum kv_result r;

		strcpy(line, bad[i]);
		while ((r = kv_next(&at, line + strlen(bad[i]), &pair)) == KV_PAIR)
			;
		ck_assert_msg(r == KV_BAD, "accepted: %s", bad[i]);
	}
}
END_TEST

START_TEST(kv_adds_whole_pairs_or_nothing)
{
	for (size_t ceiling = 0; ceiling < 24; ceiling++) {
		struct buf b;

		buf_init(&b, ceiling);
		if (!kv_puts(&b, "key", "some \"value\"\n"))
			ck_assert_uint_eq(b.len, 0);
		else
			ck_assert_str_eq(b.data, "key=\"some \\\"value\\\"\\x0a\"");
		buf_release(&b);
	}
}
END_TEST

START_TEST(numbers_are_read_whole_or_not_at_all)
{
	uint64_t n;
	int64_t ms;
	char text[16];

	ck_assert(num_parse_u64("0", 1, 10, &n) && n == 0);
	ck_assert(num_parse_u64("18446744073709551615", 20, UINT64_MAX, &n) && n == UINT64_MAX);
	ck_assert(!num_parse_u64("18446744073709551616", 20, UINT64_MAX, &n));
	ck_assert(!num_parse_u64("", 0, 10, &n));
	ck_assert(!num_parse_u64("11", 2, 10, &n));
	ck_assert(!num_parse_u64("-1", 2, 10, &n));
	ck_assert(!num_parse_u64(" 1", 2, 10, &n));
	ck_assert(num_parse_size("25M", UINT64_MAX, &n) && n == 25u << 20);
	ck_assert(num_parse_size("33554432", UINT64_MAX, &n) && n == 33554432);
	ck_assert(!num_parse_size("25MB", UINT64_MAX, &n));
	ck_assert(!num_parse_size("M", UINT64_MAX, &n));
	ck_assert(!num_parse_size("99999999999T", UINT64_MAX, &n));
	ck_assert(num_parse_duration("30s", INT64_MAX, &ms) && ms == 30000);
	ck_assert(num_parse_duration("5m", INT64_MAX, &ms) && ms == 300000);
	ck_assert(num_parse_duration("250ms", INT64_MAX, &ms) && ms == 250);
	ck_assert(num_parse_duration("7", INT64_MAX, &ms) && ms == 7000);
	ck_assert(!num_parse_duration("5 m", INT64_MAX, &ms));
	ck_assert(!num_parse_duration("5y", INT64_MAX, &ms));
	ck_assert_str_eq(num_format_size(812, text, sizeof(text)), "812");
	ck_assert_str_eq(num_format_size(4096, text, sizeof(text)), "4.0K");
	ck_assert_str_eq(num_format_size(33554432, text, sizeof(text)), "32M");
	ck_assert_str_eq(num_format_age(45000, text, sizeof(text)), "45s");
	ck_assert_str_eq(num_format_age(3 * 86400000LL, text, sizeof(text)), "3d");
}
END_TEST

START_TEST(endpoints_read_and_print)
{
	static const struct {
		const char *text;
		int default_port;
		const char *canonical; /* NULL: an error */
	} rows[] = {
		{ "127.0.0.1:25", -1, "127.0.0.1:25" },
		{ "smtp.example.net:587", -1, "smtp.example.net:587" },
		{ "smtp.example.net", 25, "smtp.example.net:25" },
		{ "[::1]:2525", -1, "[::1]:2525" },
		{ "[::1]", 25, "[::1]:25" },
		{ ":25", -1, ":25" },
		{ "unix:/run/x", -1, "unix:/run/x" },
		{ "unix:run/x", -1, NULL },
		{ "::1:25", -1, NULL },
		{ "host", -1, NULL },
		{ "host:", -1, NULL },
		{ "host:65536", -1, NULL },
		{ "host:2x", -1, NULL },
		{ "ho st:25", -1, NULL },
		{ "[::1:25", -1, NULL },
		{ "[::1]x:25", -1, NULL },
		{ "ho\nst:25", -1, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct endpoint ep;
		struct err e;
		char text[ENDPOINT_TEXT_MAX];
		int r = endpoint_parse(rows[i].text, rows[i].default_port, &ep, &e);

		ck_assert_msg((r == 0) == (rows[i].canonical != NULL), "%s", rows[i].text);
		if (r == 0)
			ck_assert_str_eq(endpoint_format(&ep, text), rows[i].canonical);
	}
}
END_TEST

static bool in_network(const char *net, const char *address)
{
	struct cidr c;
	struct err e;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	ck_assert_msg(cidr_parse(net, &c, &e) == 0, "%s", net);
	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return cidr_contains(&c, (struct sockaddr *)&in);
	ck_assert_int_eq(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
	return cidr_contains(&c, (struct sockaddr *)&in6);
}

START_TEST(networks_contain_their_addresses)
{
	struct cidr c;
	struct err e;

	ck_assert(in_network("127.0.0.0/8", "127.255.255.255"));
	ck_assert(!in_network("127.0.0.0/8", "128.0.0.1"));
	ck_assert(in_network("10.1.2.0/23", "10.1.3.9"));
	ck_assert(!in_network("10.1.2.0/23", "10.1.4.0"));
	ck_assert(in_network("127.0.0.0/8", "::ffff:127.0.0.1"));
	ck_assert(!in_network("::/0", "127.0.0.1"));
	ck_assert(in_network("2001:db8::/32", "2001:db8:ffff::1"));
	ck_assert(in_network("192.0.2.1", "192.0.2.1"));
	ck_assert(!in_network("192.0.2.1", "192.0.2.2"));
	ck_assert_int_eq(cidr_parse("10.0.0.1/8", &c, &e), -1);
	ck_assert_int_eq(cidr_parse("10.0.0.0/33", &c, &e), -1);
	ck_assert_int_eq(cidr_parse("10.0.0/8", &c, &e), -1);
	ck_assert_int_eq(cidr_parse("localhost", &c, &e), -1);
}
END_TEST

START_TEST(text_is_asked_about)
{
	ck_assert(text_is_ascii("") && text_is_ascii("a\x7f\n") && !text_is_ascii("a\x80"));
	ck_assert(text_is_printable_ascii(" ~") && !text_is_printable_ascii("a\n"));
	ck_assert(!text_is_printable_ascii("\x7f") && !text_is_printable_ascii("\xc3\xa4"));
	ck_assert(text_same(NULL, NULL) && text_same("", "") && !text_same(NULL, "") && !text_same("a", "b"));
	for (int c = 0; c < 256; c++) {
		const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, c) : NULL;
		int value = at ? (int)(at - digits) : -1;

		ck_assert_int_eq(text_hex_value((char)c), value > 15 ? value - 6 : value);
	}
}
END_TEST

START_TEST(files_are_read_and_written_whole)
{
	char got[8];
	size_t len;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(file_write_all(fd[1], "123456", 6), 0);
	ck_assert_int_eq(file_read_all(fd[0], got, 4, &len), 0);
	ck_assert_uint_eq(len, 4);
	close(fd[1]);
	ck_assert_int_eq(file_read_all(fd[0], got, sizeof(got), &len), 0);
	ck_assert_uint_eq(len, 2);
	ck_assert_mem_eq(got, "56", 2);
	close(fd[0]);
	ck_assert_int_eq(file_read_all(fd[0], got, sizeof(got), &len), -1);
	ck_assert_int_eq(file_write_all(fd[1], "1", 1), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(file_sync_folder("/tmp/no such file"), 0);
	ck_assert_int_eq(file_sync_folder("no such file"), 0);
	ck_assert_int_eq(file_sync_folder("/no such folder/file"), -1);
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base");

	UNIT_CASE(s, buf_never_passes_its_ceiling, kv_returns_what_it_was_given,
		  kv_refuses_what_it_would_not_write, kv_adds_whole_pairs_or_nothing,
		  numbers_are_read_whole_or_not_at_all, endpoints_read_and_print,
		  networks_contain_their_addresses, text_is_asked_about, files_are_read_and_written_whole);
	return unit_run(s);
}
