/* SPDX-License-Identifier: ISC */
/*
 * upstream/channel over real sockets: the way there. Proxies that work,
 * refuse, lie and hang; addresses to connect from; AUTH mechanisms.
 */
#include <curl/curl.h>

#include "channel_world.h"
#include "unit.h"

static char proxy_url[60];

/* The scripted server is the proxy, and then what is behind it. */
static void behind(struct upstream_settings *s, const char *scheme)
{
	snprintf(proxy_url, sizeof(proxy_url), "%s://127.0.0.1:%u", scheme, (unsigned)s->remote.port);
	s->proxy = proxy_url;
	strcpy(s->remote.host, "mx.invalid"); /* nobody here can look it up: the proxy is to do it */
	s->remote.port = 2525;
}

static void http(struct upstream_settings *s)
{
	behind(s, "http");
}

static void http_with_user(struct upstream_settings *s)
{
	http(s);
	s->proxy_user = "relay";
	s->proxy_password = "sesame";
}

static void socks5h(struct upstream_settings *s)
{
	behind(s, "socks5h");
}

static void socks5h_with_user(struct upstream_settings *s)
{
	socks5h(s);
	s->proxy_user = "relay";
	s->proxy_password = "sesame";
}

static void socks5(struct upstream_settings *s)
{
	behind(s, "socks5");
	strcpy(s->remote.host, "127.0.0.2"); /* looked up here */
}

static void socks4a(struct upstream_settings *s)
{
	behind(s, "socks4a");
	s->proxy_user = "relay";
}

static void http_tls(struct upstream_settings *s)
{
	http(s);
	strcpy(s->remote.host, "localhost");
	s->tls = UPSTREAM_TLS_REQUIRED;
}

static void http_implicit(struct upstream_settings *s)
{
	http(s);
	strcpy(s->remote.host, "localhost");
	s->tls = UPSTREAM_TLS_IMPLICIT;
}

#define CONNECT "< CONNECT mx.invalid:2525 HTTP/1.1", "< Host: mx.invalid:2525"
#define HEADERS_END "< Proxy-Connection", "< "
#define OPENED "> HTTP/1.1 200 OK\r\n250-X-Proxy: smtp", "> "
/* version 5; one or two methods; mx.invalid port 2525 by name */
#define SOCKS_HELLO "x< 050100", "x> 0500"
#define SOCKS_HELLO_USER "x< 05020002", "x> 0502", "x< 010572656c617906736573616d65"
#define SOCKS_TO_NAME "x< 050100030a6d782e696e76616c696409dd"
#define SOCKS_OPENED "x> 05000001000000000000"

static void told_via_proxy(const struct client *c)
{
	ck_assert_str_eq(c->remote, "mx.invalid:2525");
	ck_assert(strncmp(c->via, "127.0.0.1:", 10) == 0);
	ck_assert_ptr_null(strstr(c->trace.data, "CONNECT"));
	ck_assert_ptr_null(strstr(c->trace.data, "HTTP"));
	ck_assert_ptr_null(strstr(c->trace.data, "sesame"));
	ck_assert(!c->features.starttls);
}

START_TEST(proxies_that_work)
{
	struct client c;

	works(&c, SCRIPT(CONNECT, HEADERS_END, OPENED, SENDS_ONE()), http);
	told_via_proxy(&c);
	client_release(&c);
	works(&c,
	      SCRIPT(CONNECT, "< Proxy-Authorization: Basic cmVsYXk6c2VzYW1l", HEADERS_END, OPENED, SENDS_ONE()),
	      http_with_user);
	told_via_proxy(&c);
	client_release(&c);
	works(&c, SCRIPT(SOCKS_HELLO, SOCKS_TO_NAME, SOCKS_OPENED, SENDS_ONE()), socks5h);
	told_via_proxy(&c);
	client_release(&c);
	works(&c, SCRIPT(SOCKS_HELLO_USER, "x> 0100", SOCKS_TO_NAME, SOCKS_OPENED, SENDS_ONE()), socks5h_with_user);
	told_via_proxy(&c);
	client_release(&c);
	works(&c, SCRIPT(SOCKS_HELLO, "x< 050100017f00000209dd", SOCKS_OPENED, SENDS_ONE()), socks5);
	ck_assert_str_eq(c.remote, "127.0.0.2:2525");
	client_release(&c);
	works(&c, SCRIPT("x< 040109dd0000000172656c6179006d782e696e76616c696400", "x> 005a000000000000", SENDS_ONE()),
	      socks4a);
	told_via_proxy(&c);
	client_release(&c);
}
END_TEST

/* TLS is with the server: its name is verified, not the proxy's. */
START_TEST(tls_goes_through_proxies)
{
	struct client c;

	works(&c,
	      SCRIPT("< CONNECT localhost:2525", "<", HEADERS_END, OPENED, TRIED, "tls 0", "< EHLO", "> 250-me",
		     "> 250 PIPELINING", GROUP("a"), TAKEN, "data", "> 250 ok", QUIT),
	      http_tls);
	ck_assert_int_eq(c.tls.verified, UPSTREAM_VERIFIED_CA);
	ck_assert_str_eq(c.remote, "localhost:2525");
	client_release(&c);
	works(&c, SCRIPT("< CONNECT localhost:2525", "<", HEADERS_END, OPENED, "tls 0", SENDS_ONE()), http_implicit);
	client_release(&c);
	fails(&c, SCRIPT("< CONNECT localhost:2525", "<", HEADERS_END, OPENED, "tls? 1"), http_implicit,
	      UPSTREAM_TLS_HANDSHAKE, "it is for other.example, not for the host name 'localhost'");
	client_release(&c);
}
END_TEST

START_TEST(proxies_that_refuse_lie_and_leave)
{
	const struct {
		channel_setting *set;
		const char *const *script;
		const char *text;
	} rows[] = {
		{ http, SCRIPT(CONNECT, HEADERS_END, "> HTTP/1.1 407 Who", "> ", "eof"),
		  "it refused proxy_user or its password, or wants one (407)" },
		{ http_with_user,
		  SCRIPT(CONNECT, "< Proxy-Auth", HEADERS_END, "> HTTP/1.1 407 Who", "> Proxy-Authenticate: Basic realm=x",
			 "> Content-Length: 0", "> ", "eof"),
		  "it refused proxy_user or its password, or wants one (407)" },
		{ http, SCRIPT(CONNECT, HEADERS_END, "> HTTP/1.1 403 No", "> ", "eof"), "it answered 403 to CONNECT" },
		{ http, SCRIPT(CONNECT, HEADERS_END, "> HTTP/1.1 502 Bad Gateway", "> ", "eof"),
		  "it answered 502 to CONNECT" },
		{ http, SCRIPT(CONNECT, HEADERS_END, "close"), "proxy http://127.0.0.1:" },
		{ http, SCRIPT("> 220 I am no proxy", "close"), "proxy http://127.0.0.1:" },
		{ socks5h, SCRIPT("x< 050100", "x> 05ff", "eof"), "it takes no way of authentication that we have" },
		{ socks5h_with_user, SCRIPT(SOCKS_HELLO_USER, "x> 0101", "eof"),
		  "it refused proxy_user or its password" },
		{ socks5h, SCRIPT(SOCKS_HELLO, SOCKS_TO_NAME, "x> 05020001000000000000", "eof"),
		  "its rules do not allow the connection" },
		{ socks5h, SCRIPT(SOCKS_HELLO, SOCKS_TO_NAME, "x> 05040001000000000000", "eof"),
		  "the host is unreachable from there" },
		{ socks5h, SCRIPT(SOCKS_HELLO, SOCKS_TO_NAME, "x> 05050001000000000000", "eof"),
		  "the connection was refused there" },
		{ socks5h, SCRIPT(SOCKS_HELLO, "close"), "it closed the connection" },
		{ socks5h, SCRIPT("> 220 I am no proxy", "eof"), "not the protocol of the configured kind of proxy" },
		{ socks4a, SCRIPT("x< 040109dd0000000172656c6179006d782e696e76616c696400", "x> 005b000000000000", "eof"),
		  "it refused the connection, or could not make it" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct client c;

		fails(&c, rows[i].script, rows[i].set, UPSTREAM_CONNECT, rows[i].text);
		ck_assert_msg(strncmp(c.why.reply.text, "proxy ", 6) == 0, "%s", c.why.reply.text);
		ck_assert_ptr_null(strstr(c.why.reply.text, "sesame"));
		client_release(&c);
	}
}
END_TEST

static void hasty(struct upstream_settings *s)
{
	s->connect_timeout_ms = 300;
}

static void hasty_http(struct upstream_settings *s)
{
	http(s);
	hasty(s);
}

static void hasty_socks(struct upstream_settings *s)
{
	socks5h(s);
	hasty(s);
}

/* A proxy that takes the connection and says nothing has as long as a server has to be connected to. */
START_TEST(proxies_that_hang)
{
	static channel_setting *const set[] = { hasty_http, hasty_socks };

	for (size_t i = 0; i < 2; i++) {
		struct script_server s = server_start(SCRIPT("hang"));
		struct client c;

		world_client(&c, s.port, set[i]);
		why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_CONNECT, 0, "timed out after 0.300 s waiting for: the proxy to connect us");
		client_release(&c);
		kill(s.pid, SIGKILL);
		server_end(&s);
	}
}
END_TEST

static void nobody_there(struct upstream_settings *s)
{
	s->proxy = "socks5h://127.0.0.1:1";
}

static void no_such_proxy(struct upstream_settings *s)
{
	static char url[100];

	snprintf(url, sizeof(url), "socks5h://%070d.invalid:1080", 0);
	s->proxy = url;
}

START_TEST(proxies_that_are_not_there)
{
	struct client c;

	world_client(&c, 25, nobody_there);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_CONNECT, 0, "proxy socks5h://127.0.0.1:1: ");
	ck_assert_msg(strstr(c.why.reply.text, "Connection refused"), "%s", c.why.reply.text);
	client_release(&c);
	world_client(&c, 25, no_such_proxy);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_RESOLVE, 0, "proxy socks5h://0");
	client_release(&c);
}
END_TEST

/* ---- addresses ---------------------------------------------------------------------------- */

static void from_127_0_0_9(struct upstream_settings *s)
{
	s->source_ipv4 = "127.0.0.9";
}

static void from_elsewhere(struct upstream_settings *s)
{
	s->source_ipv4 = "192.0.2.1"; /* TEST-NET: not ours */
}

static void by_interface(struct upstream_settings *s)
{
	s->source_interface = "lo";
}

static void by_no_interface(struct upstream_settings *s)
{
	s->source_interface = "nothing0";
}

static void ipv6_only(struct upstream_settings *s)
{
	s->family = UPSTREAM_FAMILY_IPV6;
}

static void source_is_ipv6(struct upstream_settings *s)
{
	s->source_ipv6 = "::1";
}

START_TEST(connections_come_from_where_they_should)
{
	struct client c;

	works(&c, SCRIPT("from 127.0.0.9", SENDS_ONE()), from_127_0_0_9);
	client_release(&c);
	works(&c, SCRIPT("from 127.0.0.1", SENDS_ONE()), by_interface);
	client_release(&c);
	world_client(&c, 25, from_elsewhere);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_CONNECT, 0,
	    "source_address: cannot connect from 192.0.2.1: Cannot assign requested address");
	client_release(&c);
	world_client(&c, 25, by_no_interface);
	why(&c, UPSTREAM_NO_ANSWER, UPSTREAM_CONNECT, 0, "source_address: cannot use interface \"nothing0\": No such device");
	client_release(&c);
	/* never by another family than the one that was meant */
	world_client(&c, 25, ipv6_only);
	ck_assert(!c.ready && c.why.phase <= UPSTREAM_CONNECT);
	client_release(&c);
	world_client(&c, 25, source_is_ipv6);
	ck_assert(!c.ready && c.why.phase <= UPSTREAM_CONNECT);
	client_release(&c);
}
END_TEST

/* ---- AUTH mechanisms ------------------------------------------------------------------------ */

static unsigned mechanisms;

static void log_in(struct upstream_settings *s)
{
	s->user = "relay";
	s->password = "sesame";
	s->mechanisms = mechanisms;
}

#define OFFERS(list) "> 220 hi", "< EHLO", "> 250-me", "> 250-AUTH " list, "> 250 PIPELINING"
#define SENDS GROUP("a"), TAKEN, "data", "> 250 ok", QUIT

START_TEST(only_listed_mechanisms_are_used)
{
	struct client c;

	mechanisms = 1u << UPSTREAM_LOGIN;
	works(&c, SCRIPT(OFFERS("PLAIN LOGIN CRAM-MD5"), "< AUTH LOGIN cmVsYXk=", "> 334 UGFzc3dvcmQ6", "< c2VzYW1l",
			 "> 235 in", SENDS),
	      log_in);
	client_release(&c);
	mechanisms = 0; /* all: the one that shows least */
	works(&c, SCRIPT(OFFERS("PLAIN LOGIN CRAM-MD5"), "< AUTH CRAM-MD5", "> 334 PDEuMUBtZT4=",
			 "< cmVsYXkgNWRhMzQzYWRhZDEyN2U2MjRkMDVmNTU5OGQwZmJmZDI=", "> 235 in", SENDS),
	      log_in);
	client_release(&c);
	mechanisms = 1u << UPSTREAM_PLAIN | 1u << UPSTREAM_LOGIN;
	works(&c, SCRIPT(OFFERS("CRAM-MD5 LOGIN PLAIN"), "< AUTH PLAIN AHJlbGF5AHNlc2FtZQ==", "> 235 in", SENDS), log_in);
	client_release(&c);
}
END_TEST

START_TEST(no_mechanism_in_common_is_told)
{
	struct client c;

	mechanisms = 1u << UPSTREAM_CRAM_MD5;
	fails(&c, SCRIPT(OFFERS("PLAIN LOGIN"), "eof"), log_in, UPSTREAM_AUTH,
	      "no AUTH mechanism in common: the server offers PLAIN LOGIN; we may use CRAM-MD5 (auth_mechanisms)");
	client_release(&c);
	mechanisms = 0;
	fails(&c, SCRIPT(OFFERS("GSSAPI NTLM"), "eof"), log_in, UPSTREAM_AUTH,
	      "the server offers GSSAPI NTLM; we may use PLAIN LOGIN CRAM-MD5");
	client_release(&c);
	fails(&c, SCRIPT("> 220 hi", "< EHLO", "> 250-me", "> 250 STARTTLS", "eof"), log_in, UPSTREAM_AUTH,
	      "the server offers no AUTH without TLS, and we are to log in");
	client_release(&c);
}
END_TEST

START_TEST(what_libcurl_cannot_do_is_told_at_the_start)
{
	struct upstream_settings s = { .mechanisms = 1u << UPSTREAM_SCRAM_SHA_256 };
	const char *const *names = curl_version_info(CURLVERSION_NOW)->feature_names;
	bool gsasl = false;
	struct err e;

	for (; *names; names++)
		gsasl |= strcmp(*names, "gsasl") == 0;
	ck_assert_int_eq(upstream_settings_check(&s, &e), gsasl ? 0 : -1);
	ck_assert(gsasl || strstr(e.text, "built without GNU SASL and cannot do SCRAM-SHA-256"));
	s.mechanisms = 1u << UPSTREAM_PLAIN;
	ck_assert_int_eq(upstream_settings_check(&s, &e), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("channel_way");
	int status;

	certs_open();
	UNIT_CASE(s, proxies_that_work, tls_goes_through_proxies, proxies_that_refuse_lie_and_leave, proxies_that_hang,
		  proxies_that_are_not_there, connections_come_from_where_they_should, only_listed_mechanisms_are_used,
		  no_mechanism_in_common_is_told, what_libcurl_cannot_do_is_told_at_the_start);
	status = unit_run(s);
	certs_close();
	return status;
}
