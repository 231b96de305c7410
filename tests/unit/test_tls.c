/* SPDX-License-Identifier: ISC */
/* listener/: names of certificates, ticket keys, and a stream in TLS against a client of OpenSSL's own. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "certs.h"
#include "listener/stream.h"
#include "listener/tls.h"
#include "listener/tls_names.h"
#include "listener/tls_tickets.h"
#include "unit.h"

#define MINUTE INT64_C(60000)

static X509 *made(EVP_PKEY *key, const char *name, const char *alt, X509 *issuer, EVP_PKEY *issuer_key)
{
	return certs_make(key, name, alt, -7200, 7200, issuer, issuer_key, EVP_sha256());
}

/* ---- names --------------------------------------------------------------------------------- */

START_TEST(names_are_matched_as_rfc_6125_has_it)
{
	static const struct {
		const char *name, *host;
		enum tls_match match;
	} rows[] = {
		{ "a.test", "a.test", TLS_MATCH_EXACT },
		{ "a.test", "A.Test", TLS_MATCH_EXACT },
		{ "a.test", "b.a.test", TLS_MATCH_NONE },
		{ "a.test", "a.tes", TLS_MATCH_NONE },
		{ "*.a.test", "b.a.test", TLS_MATCH_WILDCARD },
		{ "*.a.test", "B.A.TEST", TLS_MATCH_WILDCARD },
		{ "*.a.test", "a.test", TLS_MATCH_NONE },
		{ "*.a.test", ".a.test", TLS_MATCH_NONE },
		{ "*.a.test", "c.b.a.test", TLS_MATCH_NONE },
		{ "*.test", "a.test", TLS_MATCH_NONE }, /* all of a top-level domain is nobody's */
		{ "*", "a", TLS_MATCH_NONE },
		{ "b*.a.test", "bc.a.test", TLS_MATCH_NONE },
		{ "*.a.test", "*.a.test", TLS_MATCH_EXACT }, /* the first name of the first pair is asked for so */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char name[40], *list[] = { strcpy(name, rows[i].name) };
		struct tls_names names = { list, 1 };

		ck_assert_msg(tls_names_match(&names, rows[i].host) == rows[i].match, "%s and %s", rows[i].name, rows[i].host);
	}
}
END_TEST

START_TEST(only_host_names_are_asked_for)
{
	char host[TLS_NAME_MAX + 1], longest[TLS_NAME_MAX + 2];

	ck_assert(tls_host_name("Mail-1.x_y.Test", host));
	ck_assert_str_eq(host, "mail-1.x_y.test");
	ck_assert(!tls_host_name("", host));
	ck_assert(!tls_host_name("a b", host));
	ck_assert(!tls_host_name("a\nb", host));
	ck_assert(!tls_host_name("*.test", host));
	ck_assert(!tls_host_name("\xc3\xa4.test", host));
	memset(longest, 'a', sizeof(longest));
	longest[TLS_NAME_MAX + 1] = '\0';
	ck_assert(!tls_host_name(longest, host));
	longest[TLS_NAME_MAX] = '\0';
	ck_assert(tls_host_name(longest, host));
}
END_TEST

static X509 *certificate(const char *cn, const char *alt)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = made(key, "ca", NULL, NULL, key), *cert = made(key, cn, alt, ca, key);

	X509_free(ca);
	EVP_PKEY_free(key);
	return cert;
}

START_TEST(names_of_a_certificate)
{
	X509 *cert = certificate("Common.Test", NULL);
	GENERAL_NAMES *all;
	GENERAL_NAME *evil;
	struct tls_names names;

	tls_names_of(cert, true, &names);
	ck_assert_uint_eq(names.count, 1);
	ck_assert_str_eq(names.name[0], "common.test");
	tls_names_release(&names);
	X509_free(cert);
	cert = certificate("not this", "DNS:B.Test,email:Who@c.test,IP:127.0.0.1,DNS:*.d.test");
	tls_names_of(cert, false, &names);
	ck_assert_uint_eq(names.count, 2);
	ck_assert_str_eq(names.name[0], "b.test");
	ck_assert_str_eq(names.name[1], "*.d.test");
	tls_names_release(&names);
	tls_names_of(cert, true, &names);
	ck_assert_uint_eq(names.count, 3);
	tls_names_release(&names);
	X509_free(cert);
	/* "good.test\0.evil.test" names nobody, least of all good.test; and the common name does not come back */
	cert = certificate("good.test", NULL);
	all = GENERAL_NAMES_new();
	evil = GENERAL_NAME_new();
	evil->type = GEN_DNS;
	evil->d.dNSName = ASN1_IA5STRING_new();
	ASN1_STRING_set(evil->d.dNSName, "good.test\0.evil.test", 20);
	sk_GENERAL_NAME_push(all, evil);
	ck_assert_int_eq(X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0), 1);
	GENERAL_NAMES_free(all);
	tls_names_of(cert, true, &names);
	ck_assert_uint_eq(names.count, 0);
	X509_free(cert);
}
END_TEST

/* ---- ticket keys --------------------------------------------------------------------------- */

START_TEST(ticket_keys_turn)
{
	struct tls_ticket_key first, second, third, found;
	struct tls_tickets *t;
	struct err e;

	clock_freeze(0, 1000);
	t = tls_tickets_new(60 * MINUTE, &e);
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(tls_tickets_find(t, NULL, &first), TLS_TICKET_CURRENT);
	ck_assert_int_eq(tls_tickets_find(t, first.name, &found), TLS_TICKET_CURRENT);
	ck_assert_mem_eq(found.aes, first.aes, sizeof(first.aes));
	clock_freeze(0, 1000 + 30 * MINUTE - 1);
	ck_assert(!tls_tickets_tick(t));
	clock_freeze(0, 1000 + 30 * MINUTE);
	ck_assert(tls_tickets_tick(t));
	ck_assert(!tls_tickets_tick(t));
	ck_assert_int_eq(tls_tickets_find(t, NULL, &second), TLS_TICKET_CURRENT);
	ck_assert_mem_ne(second.name, first.name, sizeof(first.name));
	ck_assert_mem_ne(second.aes, first.aes, sizeof(first.aes));
	ck_assert_mem_ne(second.hmac, first.hmac, sizeof(first.hmac));
	ck_assert_int_eq(tls_tickets_find(t, first.name, &found), TLS_TICKET_OLD);
	/* an old one is known for its lifetime and not longer, also when nobody turns the keys */
	clock_freeze(0, 1000 + 60 * MINUTE - 1);
	ck_assert_int_eq(tls_tickets_find(t, first.name, &found), TLS_TICKET_OLD);
	clock_freeze(0, 1000 + 60 * MINUTE);
	ck_assert_int_eq(tls_tickets_find(t, first.name, &found), TLS_TICKET_UNKNOWN);
	ck_assert_int_eq(found.aes[0] | found.aes[1] | found.aes[2] | found.aes[31], 0); /* nothing left behind */
	ck_assert(tls_tickets_tick(t));
	ck_assert_int_eq(tls_tickets_find(t, NULL, &third), TLS_TICKET_CURRENT);
	ck_assert_int_eq(tls_tickets_find(t, second.name, &found), TLS_TICKET_OLD);
	clock_freeze(0, 1000 + 200 * MINUTE);
	ck_assert_int_eq(tls_tickets_find(t, third.name, &found), TLS_TICKET_UNKNOWN);
	tls_tickets_free(t);
}
END_TEST

/* Whether a mapping of this process that begins with these words allows what is asked for. */
static int mappings(const char *rights)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[500];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, "posthouse-tickets") && strstr(line, rights);
	fclose(f);
	return n;
}

START_TEST(a_worker_sees_new_keys_and_cannot_write_them)
{
	struct tls_ticket_key key, later;
	struct tls_tickets *t;
	int go[2], seen[2], status;
	struct err e;
	char c;
	pid_t pid;

	clock_freeze(0, 1000);
	t = tls_tickets_new(60 * MINUTE, &e);
	ck_assert_ptr_nonnull(t);
	ck_assert(pipe(go) == 0 && pipe(seen) == 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		clock_freeze(0, 1000 + 30 * MINUTE);
		if (tls_tickets_find(t, NULL, &key) != TLS_TICKET_CURRENT || write(seen[1], "", 1) != 1 || read(go[0], &c, 1) != 0 ||
		    tls_tickets_find(t, NULL, &later) != TLS_TICKET_CURRENT ||
		    memcmp(key.name, later.name, sizeof(key.name)) == 0 ||
		    tls_tickets_find(t, key.name, &later) != TLS_TICKET_OLD || mappings("rw-s") != 0 || mappings("r--s") != 1)
			_exit(1);
		tls_tickets_free(t); /* only its own view goes */
		_exit(mappings("r--s") == 0 ? 0 : 2);
	}
	close(go[0]);
	ck_assert_int_eq(read(seen[0], &c, 1), 1);
	clock_freeze(0, 1000 + 30 * MINUTE);
	ck_assert(tls_tickets_tick(t));
	close(go[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(tls_tickets_find(t, NULL, &key), TLS_TICKET_CURRENT);
	tls_tickets_free(t);
}
END_TEST

/* ---- streams ---------------------------------------------------------------------------------- */

static char folder[64];
static EVP_PKEY *ca_key;
static X509 *ca;

static char *path_of(const char *name)
{
	static char paths[8][100];
	static unsigned at;
	char *path = paths[at++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_pair(const char *name, EVP_PKEY *key, const char *alt)
{
	X509 *cert = made(key, name, alt, ca, ca_key);
	FILE *f = fopen(path_of(name), "w");

	ck_assert(f && fchmod(fileno(f), 0600) == 0);
	ck_assert(PEM_write_X509(f, cert) && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	ck_assert_int_eq(fclose(f), 0);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void files_enter(void)
{
	FILE *f;

	strcpy(folder, "/tmp/posthouse-tls-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ca_key = EVP_EC_gen("P-256");
	ca = made(ca_key, "the authority", NULL, NULL, ca_key);
	f = fopen(path_of("ca"), "w");
	ck_assert(f && PEM_write_X509(f, ca) && fclose(f) == 0);
	write_pair("server", EVP_EC_gen("P-256"), "DNS:mail.test");
	write_pair("client", EVP_EC_gen("P-256"), "DNS:printer.test,email:who@printer.test");
}

static void files_leave(void)
{
	static const char *const names[] = { "ca", "server", "client" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unlink(path_of(names[i]));
	rmdir(folder);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

static struct tls_server *make_server(enum tls_profile profile, enum tls_client_cert ask, struct tls_tickets *tickets)
{
	char *cert[] = { path_of("server") };
	const struct tls_settings settings = { .listener = "l", .cert = cert, .cert_count = 1, .profile = profile,
					       .client_ca = ask ? path_of("ca") : NULL, .client_cert = ask,
					       .tickets = tickets };
	struct err e;
	struct tls_server *server = tls_server_new(&settings, &e);

	ck_assert_msg(server != NULL, "%s", e.text);
	return server;
}

/* The client: it echoes what it gets, in a thread of its own, and keeps what it knows of the connection. */
struct client {
	int fd, version;
	bool shows_certificate;
	SSL_SESSION *session; /* to resume; afterwards the new one, owned */
	const char *sends; /* before anything else */
	pthread_t thread;
	unsigned char binding[64];
	size_t binding_len;
	bool resumed, connected, was_closed_in_order;
	char got[100];
};

static SSL_SESSION *newest;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(newest);
	newest = session;
	return 1;
}

static void talk(struct client *c, SSL *ssl)
{
	c->resumed = SSL_session_reused(ssl);
	if (SSL_version(ssl) >= TLS1_3_VERSION) {
		c->binding_len = 32;
		SSL_export_keying_material(ssl, c->binding, 32, "EXPORTER-Channel-Binding", 24, (const unsigned char *)"", 0, 1);
	} else {
		c->binding_len = c->resumed ? SSL_get_peer_finished(ssl, c->binding, sizeof(c->binding)) :
					      SSL_get_finished(ssl, c->binding, sizeof(c->binding));
	}
	if (c->sends)
		SSL_write(ssl, c->sends, (int)strlen(c->sends));
	for (int n, at = 0; at < 99; at += n) {
		n = SSL_read(ssl, c->got + at, 99 - at);
		if (n <= 0) {
			c->was_closed_in_order = SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
			break;
		}
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, c->version);
	SSL_CTX_set_max_proto_version(ctx, c->version);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (c->shows_certificate) {
		SSL_CTX_use_certificate_file(ctx, path_of("client"), SSL_FILETYPE_PEM);
		SSL_CTX_use_PrivateKey_file(ctx, path_of("client"), SSL_FILETYPE_PEM);
	}
	ssl = SSL_new(ctx);
	SSL_set_tlsext_host_name(ssl, "Mail.Test");
	SSL_set_fd(ssl, c->fd);
	if (c->session)
		SSL_set_session(ssl, c->session);
	c->connected = SSL_connect(ssl) == 1;
	if (c->connected) {
		talk(c, ssl);
		SSL_shutdown(ssl); /* or it holds its session for broken */
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(c->fd);
	return NULL;
}

struct world {
	struct client client;
	struct control control;
	int control_fd;
	struct stream stream;
};

static void connect_world(struct world *w, const struct tls_server *server)
{
	int s[2], line[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	ck_assert_int_eq(control_pair(line), 0);
	ck_assert_int_eq(fcntl(s[0], F_SETFL, O_NONBLOCK), 0);
	control_init(&w->control, line[0], 0);
	w->control_fd = line[1];
	w->client.fd = s[1];
	stream_init(&w->stream, s[0], &w->control);
	stream_offer_tls(&w->stream, server);
	ck_assert_ptr_null(stream_tls_of(&w->stream));
}

static const struct session_tls *start_tls(struct world *w)
{
	struct err e;

	pthread_create(&w->client.thread, NULL, client_main, &w->client);
	ck_assert_msg(w->stream.io.ops->start_tls(&w->stream.io, clock_mono_ms() + 20000, &e) == IO_OK, "%s", e.text);
	return w->stream.io.ops->tls(&w->stream.io);
}

static void end_world(struct world *w)
{
	stream_close(&w->stream);
	close(w->stream.fd);
	pthread_join(w->client.thread, NULL);
	close(w->control.fd);
	close(w->control_fd);
}

/* What both sides know of a connection is the same; so SCRAM-*-PLUS works. In full handshakes and resumed ones. */
START_TEST(bindings_are_those_of_the_client)
{
	static const struct {
		int version;
		const char *name, *type;
	} rows[] = { { TLS1_2_VERSION, "TLSv1.2", "tls-unique" }, { TLS1_3_VERSION, "TLSv1.3", "tls-exporter" } };
	struct tls_tickets *tickets;
	struct tls_server *server;
	struct err e;

	tickets = tls_tickets_new(60 * MINUTE, &e);
	server = make_server(TLS_PROFILE_INTERMEDIATE, TLS_CLIENT_CERT_NONE, tickets);
	for (size_t i = 0; i < 4; i++) {
		struct world w = { .client = { .version = rows[i / 2].version, .session = i % 2 ? newest : NULL } };
		const struct session_tls *tls;
		unsigned char binding[SESSION_TLS_BINDING_MAX];
		size_t len;

		connect_world(&w, server);
		tls = start_tls(&w);
		ck_assert_str_eq(tls->version, rows[i / 2].name);
		ck_assert_str_eq(tls->server_name, "mail.test");
		ck_assert_int_eq(tls->resumed, i % 2);
		ck_assert_str_eq(tls->binding_type, rows[i / 2].type);
		ck_assert_ptr_null(tls->fingerprint);
		len = tls->binding_len;
		memcpy(binding, tls->binding, len);
		ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "hello", 5, clock_mono_ms() + 20000), IO_OK);
		end_world(&w);
		ck_assert(w.client.connected && w.client.was_closed_in_order);
		ck_assert_int_eq(w.client.resumed, i % 2);
		ck_assert_str_eq(w.client.got, "hello");
		ck_assert_uint_gt(len, 0);
		ck_assert_uint_eq(len, w.client.binding_len);
		ck_assert_mem_eq(binding, w.client.binding, len);
	}
	tls_server_free(server);
	tls_tickets_free(tickets);
}
END_TEST

START_TEST(clients_are_known_by_their_certificates)
{
	struct tls_tickets *tickets;
	struct tls_server *server;
	struct err e;

	tickets = tls_tickets_new(60 * MINUTE, &e);
	server = make_server(TLS_PROFILE_INTERMEDIATE, TLS_CLIENT_CERT_REQUIRED, tickets);
	for (int i = 0; i < 4; i++) {
		struct world w = { .client = { .version = i / 2 ? TLS1_3_VERSION : TLS1_2_VERSION, .shows_certificate = true,
					       .session = i % 2 ? newest : NULL } };
		const struct session_tls *tls;
		SSL_SESSION *before = newest;

		connect_world(&w, server);
		tls = start_tls(&w);
		ck_assert_int_eq(tls->resumed, i % 2);
		ck_assert(tls->verified);
		ck_assert_uint_eq(strlen(tls->fingerprint), 64);
		ck_assert_uint_eq(tls->name_count, 2);
		ck_assert_str_eq(tls->names[0], "printer.test");
		ck_assert_str_eq(tls->names[1], "who@printer.test");
		ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "x", 1, clock_mono_ms() + 20000), IO_OK);
		end_world(&w);
		/* one ticket is all there is: no new one for who came with one */
		if (i % 2)
			ck_assert_ptr_eq(before, newest);
	}
	tls_server_free(server);
	tls_tickets_free(tickets);
}
END_TEST

/* All that a handshake can lack. */
START_TEST(a_handshake_has_a_deadline)
{
	struct tls_server *server = make_server(TLS_PROFILE_MODERN, TLS_CLIENT_CERT_NONE, NULL);
	struct world w = { 0 };
	struct err e;
	size_t got;
	char c;

	connect_world(&w, server);
	ck_assert_int_eq(w.stream.io.ops->start_tls(&w.stream.io, clock_mono_ms() + 30, &e), IO_TIMEOUT);
	ck_assert_str_eq(e.text, "the handshake took too long");
	/* and then there is nothing more to say */
	ck_assert_ptr_null(stream_tls_of(&w.stream));
	ck_assert_int_eq(w.stream.io.ops->read(&w.stream.io, &c, 1, clock_mono_ms() + 30, &got), IO_ERROR);
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "x", 1, clock_mono_ms() + 30), IO_ERROR);
	stream_close(&w.stream);
	ck_assert_int_eq(recv(w.client.fd, &c, 1, MSG_DONTWAIT), -1);
	connect_world(&w, server);
	ck_assert_int_eq(write(w.control_fd, "s", 1), 1);
	ck_assert_int_eq(w.stream.io.ops->start_tls(&w.stream.io, clock_mono_ms() + 20000, &e), IO_STOP);
	stream_close(&w.stream);
	connect_world(&w, server);
	close(w.client.fd);
	ck_assert_int_ne(w.stream.io.ops->start_tls(&w.stream.io, clock_mono_ms() + 20000, &e), IO_OK);
	ck_assert(strcmp(e.text, "the client hung up") == 0 || strcmp(e.text, "the connection broke") == 0);
	stream_close(&w.stream);
	tls_server_free(server);
}
END_TEST

/* As in the clear: deadlines, stop, and what is in OpenSSL's buffers is read before anybody waits. */
START_TEST(a_stream_in_tls_keeps_its_deadlines)
{
	struct tls_server *server = make_server(TLS_PROFILE_MODERN, TLS_CLIENT_CERT_NONE, NULL);
	struct world w = { .client = { .version = TLS1_3_VERSION, .sends = "0123456789" } };
	char c = 0, *large = calloc(1, 8 << 20);
	size_t got = 0;

	connect_world(&w, server);
	start_tls(&w);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(w.stream.io.ops->read(&w.stream.io, &c, 1, clock_mono_ms() + (i ? 0 : 20000), &got), IO_OK);
		ck_assert_int_eq(c, '0' + i);
	}
	ck_assert_int_eq(w.stream.io.ops->read(&w.stream.io, &c, 1, clock_mono_ms() + 30, &got), IO_TIMEOUT);
	/* a deadline is no end: our last words still go out */
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "421", 3, clock_mono_ms() + 20000), IO_OK);
	ck_assert_int_eq(write(w.control_fd, "s", 1), 1);
	ck_assert_int_eq(w.stream.io.ops->read(&w.stream.io, &c, 1, clock_mono_ms() + 20000, &got), IO_STOP);
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "stop", 4, clock_mono_ms() + 20000), IO_OK);
	/* the client reads a hundred octets and leaves */
	ck_assert_int_ne(w.stream.io.ops->write(&w.stream.io, large, 8 << 20, clock_mono_ms() + 20000), IO_OK);
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "x", 1, clock_mono_ms() + 20000), IO_ERROR);
	end_world(&w);
	ck_assert_int_eq(strncmp(w.client.got, "421stop", 7), 0);
	free(large);
	tls_server_free(server);
}
END_TEST

/* Cut off is an error, close_notify is an end. */
START_TEST(an_end_without_a_word_is_an_error)
{
	struct tls_server *server = make_server(TLS_PROFILE_MODERN, TLS_CLIENT_CERT_NONE, NULL);
	struct world w = { .client = { .version = TLS1_3_VERSION } };
	size_t got;
	char c;

	connect_world(&w, server);
	start_tls(&w);
	shutdown(w.stream.fd, SHUT_RD);
	ck_assert_int_eq(w.stream.io.ops->read(&w.stream.io, &c, 1, clock_mono_ms() + 20000, &got), IO_ERROR);
	end_world(&w);
	ck_assert(!w.client.was_closed_in_order);
	tls_server_free(server);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls");
	TCase *streams = tcase_create("streams");
	const TTest *const tests[] = { bindings_are_those_of_the_client, clients_are_known_by_their_certificates,
				       a_handshake_has_a_deadline, a_stream_in_tls_keeps_its_deadlines,
				       an_end_without_a_word_is_an_error };

	signal(SIGPIPE, SIG_IGN);
	UNIT_CASE(s, names_are_matched_as_rfc_6125_has_it, only_host_names_are_asked_for, names_of_a_certificate,
		  ticket_keys_turn, a_worker_sees_new_keys_and_cannot_write_them);
	tcase_add_checked_fixture(streams, files_enter, files_leave);
	tcase_set_timeout(streams, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(streams, tests[i]);
	suite_add_tcase(s, streams);
	return unit_run(s);
}
