/* SPDX-License-Identifier: ISC */
/*
 * The session's view of its client: bytes with deadlines, in the clear or
 * through TLS. Implemented by listener/stream.c over a socket and by the tests
 * in memory. Calls block until something happened or the deadline passed.
 */
#ifndef SESSION_IO_H
#define SESSION_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum io_result {
	IO_OK,
	IO_EOF, /* the client closed its side */
	IO_TIMEOUT, /* the deadline passed */
	IO_ERROR, /* the connection broke */
	IO_STOP, /* read only: the service is stopping and wants this session to end (421) */
	IO_SHED /* others wait for a worker, and this client has kept its own waiting for too long (421) */
};

struct session_io;

#define SESSION_TLS_BINDING_MAX 64

/* What there is to say of a TLS connection. Strings live as long as the stream. */
struct session_tls {
	const char *version; /* "TLSv1.3" */
	const char *cipher; /* "TLS_AES_256_GCM_SHA384" */
	const char *server_name; /* SNI, as the client sent it, checked to be a host name; NULL: none */
	bool resumed;
	/* the client's certificate, if it showed one */
	const char *fingerprint; /* SHA-256 of the certificate, 64 hexadecimal digits in lower case; NULL: none */
	bool verified; /* it chains to tls_client_ca */
	const char *const *names; /* DNS names and mail addresses of it, or else its common name; only when verified */
	size_t name_count;
	/*
	 * Channel bindings for SCRAM-*-PLUS: tls-exporter (RFC 9266) from TLS 1.3 on, before it tls-unique
	 * (RFC 5929). Length 0: none.
	 */
	const char *binding_type; /* "tls-exporter", "tls-unique" */
	unsigned char binding[SESSION_TLS_BINDING_MAX];
	size_t binding_len;
};

struct session_io_ops {
	/* At least one byte, at most cap. */
	enum io_result (*read)(struct session_io *io, void *data, size_t cap, int64_t deadline_mono_ms,
			       size_t *got);
	/* All of it. */
	enum io_result (*write)(struct session_io *io, const void *data, size_t len, int64_t deadline_mono_ms);
	/*
	 * From now on (true) reads return IO_STOP at once when the service is
	 * stopping; while false (a transaction is open) only after its grace time.
	 */
	void (*interruptible)(struct session_io *io, bool yes);
	/*
	 * The TLS handshake, as its server. After anything but IO_OK (e says why) the connection is of no more
	 * use: nothing can be said to the client. IO_EOF: it left before it said anything. NULL: this stream cannot.
	 */
	enum io_result (*start_tls)(struct session_io *io, int64_t deadline_mono_ms, struct err *e);
	/* The TLS of this connection, NULL while it is in the clear. May be NULL itself. */
	const struct session_tls *(*tls)(struct session_io *io);
};

struct session_io { /* embedded as first member */
	const struct session_io_ops *ops;
	/*
	 * What is written next answers an end of data. A client that does not hear it sends the message again,
	 * so this write ends with its deadline and not with IO_SHED.
	 */
	bool owes_answer;
};

#endif
