/* SPDX-License-Identifier: ISC */
/*
 * An SMTP server that does what a script says, in a child process, on a
 * loopback port the system chose. A script is a list of lines:
 *
 *   "> text"   sends it, with CRLF        "| text"   sends it as it is
 *   "< MAIL"   a line must come that begins so; "<" any line
 *   "data"     content up to its final dot
 *   "tls N [MOST] [client]"   the server's side of a TLS handshake with certificate N, of this version ("1.1")
 *              at most, insisting on a certificate of the authority's
 *   "tls? N"   the same, but it must fail: the client must not like it
 *   "x< 0501"  these octets must come      "x> 0500"   sends them
 *   "from A"   the client's address must be A
 *   "eof"      reads until the client closes
 *   "hang"     does nothing more, until it is killed
 *   "close"    closes     "reset"   closes with RST
 *   "next"     closes, and accepts the next connection
 *
 * The child's exit status says whether all happened as written.
 */
#ifndef TESTS_SCRIPT_SERVER_H
#define TESTS_SCRIPT_SERVER_H

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "certs.h"

struct script_server {
	pid_t pid;
	uint16_t port;
};

struct script_peer {
	int fd;
	SSL *ssl;
	char in[65536];
	size_t len;
};

static bool script_server_is_quiet; /* its complaints are expected */

static inline ssize_t peer_read(struct script_peer *p, char *data, size_t cap)
{
	return p->ssl ? SSL_read(p->ssl, data, (int)cap) : recv(p->fd, data, cap, 0);
}

static inline void peer_write(struct script_peer *p, const char *data, size_t len)
{
	if (p->ssl)
		SSL_write(p->ssl, data, (int)len);
	else
		(void)!send(p->fd, data, len, MSG_NOSIGNAL);
}

/* One line without CRLF; false at the end of the stream. */
static inline bool peer_line(struct script_peer *p, char line[2000])
{
	char *end;
	size_t n;

	while (!(end = memmem(p->in, p->len, "\r\n", 2))) {
		ssize_t got = peer_read(p, p->in + p->len, sizeof(p->in) - p->len);

		if (got <= 0)
			return false;
		p->len += (size_t)got;
	}
	n = (size_t)(end - p->in);
	ASSERT(n < 2000);
	memcpy(line, p->in, n);
	line[n] = '\0';
	p->len -= n + 2;
	memmove(p->in, end + 2, p->len);
	return true;
}

static inline bool peer_tls(struct script_peer *p, const char *how)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int cert = atoi(how);

	SSL_CTX_set_security_level(ctx, 0); /* whatever a bad server shows */
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	if (strstr(how, " 1."))
		SSL_CTX_set_max_proto_version(ctx, TLS1_VERSION + atoi(strstr(how, " 1.") + 3));
	if (strstr(how, "client")) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), certs_ca);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	SSL_CTX_use_certificate(ctx, certs[cert].x509);
	SSL_CTX_use_PrivateKey(ctx, certs[cert].key);
	p->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(p->ssl, p->fd);
	/* with TLS 1.3 the server hears of the client's refusal only when it reads */
	return SSL_accept(p->ssl) == 1;
}

/* Octets as hexadecimal digits, to be sent or expected. */
static inline bool peer_octets(struct script_peer *p, const char *hex, bool expected)
{
	char octets[1000];
	size_t len = strlen(hex) / 2;

	ASSERT(len <= sizeof(octets));
	for (size_t i = 0; i < len; i++) {
		unsigned octet;

		ASSERT(sscanf(hex + 2 * i, "%2x", &octet) == 1);
		octets[i] = (char)octet;
	}
	if (!expected) {
		peer_write(p, octets, len);
		return true;
	}
	while (p->len < len) {
		ssize_t got = peer_read(p, p->in + p->len, len - p->len);

		if (got <= 0)
			return false;
		p->len += (size_t)got;
	}
	p->len = 0;
	return memcmp(p->in, octets, len) == 0;
}

static inline bool peer_is_from(const struct script_peer *p, const char *address, char got[2000])
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	return getpeername(p->fd, (struct sockaddr *)&sin, &len) == 0 &&
	       strcmp(inet_ntop(AF_INET, &sin.sin_addr, got, 2000), address) == 0;
}

static inline void peer_close(struct script_peer *p, bool reset)
{
	struct linger now = { 1, 0 };

	if (reset)
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (p->ssl && !reset)
		SSL_shutdown(p->ssl);
	SSL_free(p->ssl);
	close(p->fd);
	memset(p, 0, sizeof(*p));
}

static inline bool peer_eof(struct script_peer *p)
{
	char data[4096];

	while (peer_read(p, data, sizeof(data)) > 0)
		;
	return true;
}

static inline bool peer_data(struct script_peer *p)
{
	char line[2000];

	while (peer_line(p, line))
		if (strcmp(line, ".") == 0)
			return true;
	return false;
}

static inline bool peer_step(struct script_peer *p, const char *step, char got[2000])
{
	if (step[0] == '>' || step[0] == '|') {
		snprintf(got, 2000, "%s%s", step + 2, step[0] == '>' ? "\r\n" : "");
		peer_write(p, got, strlen(got));
		return true;
	}
	if (step[0] == '<')
		return peer_line(p, got) && (!step[1] || strncmp(got, step + 2, strlen(step + 2)) == 0);
	if (step[0] == 'x')
		return peer_octets(p, step + 3, step[1] == '<');
	if (strncmp(step, "tls? ", 5) == 0)
		return !peer_tls(p, step + 5) || SSL_read(p->ssl, got, 1) <= 0;
	if (strncmp(step, "tls ", 4) == 0)
		return peer_tls(p, step + 4);
	if (strncmp(step, "from ", 5) == 0)
		return peer_is_from(p, step + 5, got);
	if (strcmp(step, "data") == 0)
		return peer_data(p);
	if (strcmp(step, "eof") == 0)
		return peer_eof(p);
	if (strcmp(step, "hang") == 0)
		return pause() == 0;
	ASSERT(strcmp(step, "close") == 0 || strcmp(step, "reset") == 0);
	peer_close(p, step[0] == 'r');
	return true;
}

static inline int peer_accept(int listener)
{
	int fd = accept(listener, NULL, NULL), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* what was said is out when we close */
	return fd;
}

static inline _Noreturn void serve(int listener, const char *const *script)
{
	static struct script_peer p;
	char got[2000] = "";

	signal(SIGPIPE, SIG_IGN);
	alarm(30);
	p.fd = peer_accept(listener);
	for (; *script; script++) {
		if (strcmp(*script, "next") == 0) {
			if (p.fd)
				peer_close(&p, false);
			p.fd = peer_accept(listener);
		} else if (!peer_step(&p, *script, got)) {
			if (!script_server_is_quiet)
				fprintf(stderr, "# server: \"%s\" failed, got \"%s\"\n", *script, got);
			_exit(1);
		}
	}
	if (p.fd)
		peer_close(&p, false);
	_exit(0);
}

static inline struct script_server server_start(const char *const *script)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	struct script_server s;
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)); /* so that a stall is felt soon */
	ASSERT(bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(fd, 5) == 0);
	ASSERT(getsockname(fd, (struct sockaddr *)&sin, &len) == 0);
	s.port = ntohs(sin.sin_port);
	s.pid = fork();
	ASSERT(s.pid >= 0);
	if (s.pid == 0)
		serve(fd, script);
	close(fd);
	return s;
}

/* True when the script was played to its end. */
static inline bool server_end(struct script_server *s)
{
	int status;

	return waitpid(s->pid, &status, 0) == s->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
