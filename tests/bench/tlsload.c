/* SPDX-License-Identifier: ISC */
/*
 * The TLS clients of `make bench`: each connects, says EHLO and STARTTLS,
 * shakes hands, says QUIT in TLS and connects again, as hosts with one message
 * each do. As many processes as wanted, each with one connection at a time.
 *
 *   tlsload [-c CLIENTS] -t SECONDS [-r] PORT
 *
 * Prints one line of JSON. Certificates are not verified: what is measured is
 * the server. With -r each client resumes its last session, and a handshake
 * that is a full one in spite of that counts as full and not as resumed.
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#define CLIENTS_MAX 200
#define TROUBLE_MAX 100
#define PATIENCE_MS 30000

struct counts {
	_Atomic uint64_t full, resumed, trouble;
};

struct client {
	SSL_CTX *ctx;
	SSL_SESSION *session; /* the last one; owned */
	bool resumes;
	uint16_t port;
	struct counts *counts;
	char text[4096];
};

static bool wait_for(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, PATIENCE_MS) == 1;
}

/* In the clear: one reply, however many lines. */
static bool reply_begins(int fd, char *text, size_t cap, const char *code)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = wait_for(fd, POLLIN) ? read(fd, text + len, cap - 1 - len) : -1;
		const char *last;

		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		if (text[len - 1] != '\n')
			continue;
		text[len - 1] = '\0';
		last = strrchr(text, '\n');
		if ((last ? last + 1 : text)[3] == ' ')
			return memcmp(text, code, 3) == 0;
		text[len - 1] = '\n';
	}
}

static bool ask(int fd, struct client *c, const char *line, const char *code)
{
	return write(fd, line, strlen(line)) == (ssize_t)strlen(line) && reply_begins(fd, c->text, sizeof(c->text), code);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

/* Whatever OpenSSL waits for on a socket that does not block. */
static bool again(SSL *ssl, int returned)
{
	int why = SSL_get_error(ssl, returned);

	return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) &&
	       wait_for(SSL_get_fd(ssl), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
}

static bool secure_part(struct client *c, SSL *ssl)
{
	int n;

	while ((n = SSL_connect(ssl)) != 1)
		if (!again(ssl, n))
			return false;
	while ((n = SSL_write(ssl, "QUIT\r\n", 6)) != 6)
		if (!again(ssl, n))
			return false;
	/* the session's ticket comes before the answer (TLS 1.3) */
	while ((n = SSL_read(ssl, c->text, sizeof(c->text))) <= 0)
		if (!again(ssl, n))
			return false;
	SSL_shutdown(ssl);
	return n > 4 && memcmp(c->text, "221 ", 4) == 0;
}

static bool one_connection(struct client *c)
{
	int fd = tool_connect(c->port);
	bool good = fd >= 0 && wait_for(fd, POLLOUT) && reply_begins(fd, c->text, sizeof(c->text), "220") &&
		    ask(fd, c, "EHLO client.bench.example\r\n", "250") && ask(fd, c, "STARTTLS\r\n", "220");
	SSL *ssl = SSL_new(c->ctx);

	SSL_set_fd(ssl, fd);
	if (c->resumes && c->session)
		SSL_set_session(ssl, c->session);
	good = good && secure_part(c, ssl);
	if (good)
		atomic_fetch_add(SSL_session_reused(ssl) ? &c->counts->resumed : &c->counts->full, 1);
	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
	return good;
}

/* Not even looked at: it would cost the client more than the handshake costs the server. */
static int take_any(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

static void client_main(struct client *c, int64_t stop_ns)
{
	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_app_data(c->ctx, c);
	SSL_CTX_set_cert_verify_callback(c->ctx, take_any, NULL);
	if (c->resumes) {
		SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(c->ctx, keep_session);
	}
	while (tool_now_ns() < stop_ns)
		if (!one_connection(c) && atomic_fetch_add(&c->counts->trouble, 1) > TROUBLE_MAX)
			_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct client client = { 0 };
	unsigned clients = 1;
	double seconds = 0;
	int64_t begin_ns, stop_ns;
	uint64_t full, resumed;
	int o;

	tool_name = "tlsload";
	while ((o = getopt(argc, argv, "c:t:r")) != -1) {
		if (o == 'c')
			clients = (unsigned)tool_number(optarg, 1, CLIENTS_MAX);
		else if (o == 't')
			seconds = tool_seconds(optarg);
		else if (o == 'r')
			client.resumes = true;
		else
			seconds = -1;
	}
	if (seconds <= 0 || optind != argc - 1)
		tool_die("usage: tlsload [-c CLIENTS] -t SECONDS [-r] PORT");
	client.port = (uint16_t)tool_number(argv[optind], 1, 65535);
	client.counts = mmap(NULL, sizeof(*client.counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (client.counts == MAP_FAILED)
		tool_die("no memory: %s", strerror(errno));
	begin_ns = tool_now_ns();
	stop_ns = begin_ns + (int64_t)(seconds * 1e9);
	for (unsigned i = 0; i < clients; i++)
		if (fork() == 0)
			client_main(&client, stop_ns);
	while (wait(NULL) > 0)
		;
	full = atomic_load(&client.counts->full);
	resumed = atomic_load(&client.counts->resumed);
	seconds = tool_between(begin_ns, tool_now_ns());
	printf("{\"full\": %ju, \"resumed\": %ju, \"trouble\": %ju, \"seconds\": %.3f, \"rate\": %.1f}\n", (uintmax_t)full,
	       (uintmax_t)resumed, (uintmax_t)atomic_load(&client.counts->trouble), seconds,
	       (double)(client.resumes ? resumed : full) / seconds);
	return atomic_load(&client.counts->trouble) > TROUBLE_MAX ? 2 : 0;
}
