/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client: connections to an upstream and mail transactions on them.
 *
 * libcurl makes the session (resolve, connect, greeting, EHLO, STARTTLS or
 * implicit TLS with verification, AUTH) with CURLOPT_CONNECT_ONLY; then the
 * transactions are ours: commands and content go out pipelined, a window of
 * expected replies matches each reply with its command, recipient and
 * message, across messages too (RFC 2920 3.1).
 *
 * Single-threaded, non-blocking, driven by a libevent base. Used by the relay
 * and by `posthouse send`. Callbacks come from the event loop or from inside
 * the functions below; a callback other than trace may call any function here except
 * upstream_close.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

struct event_base;

enum upstream_tls {
	UPSTREAM_TLS_NONE, /* plain text, STARTTLS is not used */
	UPSTREAM_TLS_OPPORTUNISTIC, /* STARTTLS when offered, certificate not verified; in the clear if the
				       handshake fails and there is no user */
	UPSTREAM_TLS_REQUIRED, /* STARTTLS or nothing, certificate verified */
	UPSTREAM_TLS_IMPLICIT /* TLS from the first byte, certificate verified */
};

/* The least version of TLS. AUTO: 1.2 where certificates are verified, else what OpenSSL still does. */
enum upstream_tls_version {
	UPSTREAM_TLS_MIN_AUTO,
	UPSTREAM_TLS_MIN_1_0,
	UPSTREAM_TLS_MIN_1_1,
	UPSTREAM_TLS_MIN_1_2,
	UPSTREAM_TLS_MIN_1_3
};

/* With TLS_REQUIRED and TLS_IMPLICIT: what proves that the server is the one that is meant */
enum upstream_verify {
	UPSTREAM_VERIFY_CA, /* a certificate of an authority we trust, for its name; and a pinned key, if any */
	UPSTREAM_VERIFY_PIN, /* a pinned key alone: whatever the certificate says */
	UPSTREAM_VERIFY_NONE /* nothing: for a person who tries a server; no configuration can say it */
};

enum upstream_family { UPSTREAM_FAMILY_ANY, UPSTREAM_FAMILY_IPV4, UPSTREAM_FAMILY_IPV6 };

/* SASL mechanisms; settings keep them as a set: 1u << MECHANISM */
enum upstream_mechanism {
	UPSTREAM_PLAIN,
	UPSTREAM_LOGIN,
	UPSTREAM_CRAM_MD5,
	UPSTREAM_DIGEST_MD5,
	UPSTREAM_SCRAM_SHA_1,
	UPSTREAM_SCRAM_SHA_256,
	UPSTREAM_XOAUTH2,
	UPSTREAM_OAUTHBEARER,
	UPSTREAM_EXTERNAL
};
#define UPSTREAM_MECHANISM_COUNT (UPSTREAM_EXTERNAL + 1)
/* Their names in that order, for tables */
#define UPSTREAM_MECHANISM_NAMES                                                                             \
	"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2",               \
		"OAUTHBEARER", "EXTERNAL"

/* A file's content in memory; len 0: none */
struct upstream_blob {
	const char *data;
	size_t len;
};

/* Upstreams without 8BITMIME and content that has 8-bit octets (RFC 6152 3) */
enum upstream_eightbit { UPSTREAM_EIGHTBIT_STRICT, UPSTREAM_EIGHTBIT_PASS };

/* Whether content goes with BDAT instead of DATA (RFC 3030), where the upstream announces CHUNKING. */
enum upstream_chunking {
	UPSTREAM_CHUNKING_NEEDED, /* what cannot go with DATA: BINARYMIME */
	UPSTREAM_CHUNKING_ALWAYS,
	UPSTREAM_CHUNKING_NEVER
};

/* Everything is the caller's and must outlive the connections made with it. */
struct upstream_settings {
	const char *name; /* for messages: upstream "main" */
	struct endpoint remote; /* TCP; UNIX: TLS does not make sense there and is to be UPSTREAM_TLS_NONE */
	/*
	 * LMTP (RFC 2033) instead of SMTP: LHLO, an answer for each recipient. TLS is implicit or none, and
	 * no AUTH
	 */
	bool lmtp;
	enum upstream_tls tls;
	const char *tls_ca_file; /* PEM; NULL: the system's */
	enum upstream_verify tls_verify;
	const char *tls_pin; /* "sha256//BASE64", several with ';' between them; NULL: any key */
	struct upstream_blob tls_cert, tls_key; /* ours, PEM; the key may stand in tls_cert */
	enum upstream_tls_version tls_min_version;
	const char *hostname; /* for EHLO, LHLO */
	const char *user, *password; /* NULL: no AUTH, but for EXTERNAL */
	unsigned mechanisms; /* that may be used, a set; 0: all that want what there is (password) */
	/* the way there */
	const char *proxy; /* "socks5h://host:port", "http://..."; NULL: none, whatever the environment says */
	const char *proxy_user, *proxy_password; /* NULL: none */
	const char *source_ipv4, *source_ipv6; /* addresses to connect from; NULL: the system chooses */
	const char *source_interface; /* name of the one to connect through; NULL: any */
	enum upstream_family family;
	/*
	 * An OAuth 2 access token instead of a password, asked for when a session starts and copied then;
	 * NULL (or the function's): there is none. With it, and a user, AUTH is OAUTHBEARER or XOAUTH2 and
	 * nothing else.
	 */
	const char *(*bearer)(void *ctx);
	void *bearer_ctx;
	enum upstream_eightbit eightbit;
	unsigned discard; /* extensions (SMTP_EXTENSION_BIT) that are not used, though announced */
	enum upstream_chunking chunking;
	bool pipelining; /* false: one command at a time even when PIPELINING is offered */
	/* milliseconds; RFC 5321 4.5.3.2 */
	int64_t connect_timeout_ms; /* resolve, connect, TLS */
	int64_t greeting_timeout_ms; /* greeting, EHLO, AUTH: the whole session start after the connect */
	int64_t command_timeout_ms; /* MAIL, RCPT: 5 minutes */
	int64_t data_timeout_ms; /* the 354: 2 minutes */
	int64_t block_timeout_ms; /* a block of content taken by the peer: 3 minutes */
	int64_t final_timeout_ms; /* the answer to the final dot: 10 minutes */
	int64_t idle_timeout_ms; /* unused this long: QUIT */
	/*
	 * A whole transaction, whatever else is waited for: from its MAIL, or from when it is the first on
	 * its connection, to its end; then the connection is given up, with NO_ANSWER for it. 0: no limit.
	 */
	int64_t attempt_timeout_ms;
};

/* How it is known who the server is */
enum upstream_verified { UPSTREAM_NOT_VERIFIED, UPSTREAM_VERIFIED_CA, UPSTREAM_VERIFIED_PIN };

/* What the EHLO that counts (the last one) announced. */
struct upstream_features {
	bool esmtp; /* EHLO was answered, not only HELO */
	unsigned announced; /* all that are known to smtp/extension.h and not to be discarded: SMTP_EXTENSION_BIT */
	bool pipelining, eightbitmime, smtputf8, chunking, binarymime, dsn, starttls, enhancedstatuscodes;
	bool size; /* SIZE was announced */
	uint64_t size_limit_bytes; /* 0: no fixed limit */
	bool requiretls; /* RFC 8689 */
	bool deliverby; /* RFC 2852 */
	uint64_t deliverby_min_s; /* the least time that it promises to return a message in; 0: none is said */
	/*
	 * RFC 9422, 0: no limit is said: recipients of a message, messages of a connection, domains of a
	 * message
	 */
	unsigned rcptmax, mailmax, rcptdomainmax;
	bool tls; /* the session is encrypted */
	char tls_version[16]; /* "TLSv1.3"; "" when it is not */
	enum upstream_verified verified;
	char auth[128]; /* the mechanisms offered, as they stand behind AUTH; "": none, or no AUTH; cut if longer */
};

/* Whether a message that says REQUIRETLS may go over such a session. */
bool upstream_can_requiretls(const struct upstream_features *f);

/* One certificate of the server's chain. Printable ASCII, other octets escaped; cut if longer. */
struct upstream_certificate {
	char subject[256], issuer[256]; /* RFC 2253 */
	char names[512]; /* subjectAltName's DNS names and addresses, separated by ", " */
	char key[64]; /* "RSA 2048", "EC P-256" */
	char signature[64]; /* "RSA-SHA256" */
	char pin[72]; /* as tls_pin takes it: "sha256//BASE64" */
	int64_t not_before_wall_us, not_after_wall_us;
};

#define UPSTREAM_CHAIN_MAX 8 /* certificates looked at; more are left out */

/* How a session is encrypted, or what came before it failed. */
struct upstream_tls_info {
	char version[16]; /* "TLSv1.3"; "" before the handshake is complete */
	char cipher[64]; /* "TLS_AES_256_GCM_SHA384" */
	enum upstream_verified verified;
	struct upstream_certificate chain[UPSTREAM_CHAIN_MAX]; /* as the server sent it, its own first */
	size_t chain_count;
};

struct upstream; /* one per process: the libcurl multi handle and its events */

/* Sets SIGPIPE to be ignored in this process: TLS writes to connections that the peer may have closed. */
int upstream_open(struct upstream **u, struct event_base *base, struct err *e);
/* Every connection must be closed (conn_abort) before. */
void upstream_close(struct upstream *u);

/* Where in the session or transaction something happened. The order is the order on the wire. */
enum upstream_phase {
	UPSTREAM_RESOLVE,
	UPSTREAM_CONNECT,
	UPSTREAM_TLS_HANDSHAKE,
	UPSTREAM_GREETING, /* greeting and EHLO/HELO */
	UPSTREAM_AUTH,
	UPSTREAM_MAIL,
	UPSTREAM_RCPT,
	UPSTREAM_DATA,
	UPSTREAM_CONTENT, /* content going out, final dot not yet sent completely */
	UPSTREAM_FINAL_DOT, /* the final dot was sent */
	UPSTREAM_IDLE /* between transactions */
};
const char *upstream_phase_name(enum upstream_phase phase);
/* How long the settings let a phase take. */
int64_t upstream_timeout_ms(const struct upstream_settings *settings, enum upstream_phase phase);

/*
 * How one transaction, or one recipient of it, ended: raw facts; what follows
 * from them is decided by upstream/outcome.h.
 */
enum upstream_how {
	UPSTREAM_ANSWERED, /* the upstream's reply to `phase` is in `reply` */
	UPSTREAM_NO_ANSWER, /* connection lost or timed out in `phase`; `reply.text` says how */
	UPSTREAM_UNSUPPORTED, /* not tried: this upstream cannot take it (SIZE, 8BITMIME, SMTPUTF8, REQUIRETLS,
				 DELIVERBY); `reply` is worded as 552 5.3.4, 554 5.6.3, 550 5.6.7, 550 5.7.30, 550 5.4.7 */
	UPSTREAM_SOURCE_FAILED, /* our own content could not be read; nothing of it is delivered */
	/*
	 * The connection ended (lost, 421) before any of it was answered: as if never handed out. Only the
	 * first transaction on a connection is not spared: once its MAIL is on the wire an end without an
	 * answer, or 421, is its own outcome (NO_ANSWER, ANSWERED in phase MAIL), or a message at which an
	 * upstream falls each time would be offered for ever.
	 */
	UPSTREAM_NOT_STARTED
};

struct upstream_outcome {
	enum upstream_how how;
	enum upstream_phase phase;
	struct smtp_reply reply;
};

struct upstream_conn;
struct upstream_txn;

/*
 * What a person wants said beside what the envelope says. Strings are printable, without blanks at their
 * ends.
 */
struct upstream_more {
	unsigned needs; /* SMTP_EXTENSION_BIT: an upstream that does not announce them cannot take it; SMTPUTF8 is said */
	const char *mail, *rcpt; /* options of MAIL, and of every RCPT, as they are to be said; NULL: none */
	uint64_t size_bytes; /* for SIZE= instead of the content's; 0: that */
};
#define UPSTREAM_MORE_MAX 500 /* octets of mail and rcpt each */

/* One message to some of its recipients. Storage is the caller's until done() was called. */
struct upstream_txn {
	const struct envelope *env; /* sender, body, smtputf8 */
	const size_t *rcpt; /* indices into env->rcpt to be sent to */
	size_t rcpt_count;
	uint64_t content_bytes; /* exact, not dot-stuffed */
	bool has_dot_lines; /* false: content can go out as it is */
	bool has_eightbit;
	const struct upstream_more *more; /* NULL: nothing */
	/* Content at offset: bytes read (> 0), -1 and e on failure. Never asked beyond content_bytes. */
	ssize_t (*read)(struct upstream_txn *t, uint64_t offset, void *data, size_t cap, struct err *e);
	/*
	 * The reply to one recipient's RCPT (i indexes rcpt[]). Comes before done, at most once each; a
	 * recipient without one shares the fate of the message.
	 */
	void (*recipient)(struct upstream_txn *t, size_t i, const struct smtp_reply *reply);
	/*
	 * LMTP: the answer to the content for one recipient whose RCPT was accepted; i as above, before done,
	 * once for each unless the connection ends before. Who has one is not meant by done's outcome, which
	 * is the last answer else. NULL: nobody cares, as with a single recipient.
	 */
	void (*final)(struct upstream_txn *t, size_t i, const struct smtp_reply *reply);
	/*
	 * The end: with phase FINAL_DOT and ANSWERED, reply is the fate of all recipients whose RCPT was
	 * accepted. When every RCPT was refused it is ANSWERED with phase RCPT (and the last such reply).
	 * ANSWERED may come in any phase with 421 and for all that were not refused before; in phase CONTENT
	 * it is a refusal the upstream did not keep to itself until the final dot. Only a 2yz to the final
	 * dot is ever reported as a positive answer. t may be freed inside.
	 */
	void (*done)(struct upstream_txn *t, const struct upstream_outcome *outcome);
	void *ctx; /* the caller's */
};

struct upstream_conn_ops {
	/* The session is up: transactions will be asked for. */
	void (*ready)(struct upstream_conn *c, void *ctx);
	/*
	 * There is room for one more transaction behind those under way. NULL: none now; upstream_conn_kick
	 * when there is. Called again and again while it returns some, so one connection can be kept full.
	 */
	struct upstream_txn *(*next)(struct upstream_conn *c, void *ctx);
	/*
	 * The connection is over and c is freed after this returns; each transaction it took got its done()
	 * before. why->how is ANSWERED with the upstream's refusing reply (greeting, EHLO, AUTH, 421),
	 * SOURCE_FAILED as for the transaction, or NO_ANSWER with the reason; phase IDLE when no transaction
	 * is involved, and with code 221 after QUIT, however the connection went down then. ever_ready tells
	 * whether ready() was called.
	 */
	void (*closed)(struct upstream_conn *c, void *ctx, const struct upstream_outcome *why,
		       bool ever_ready);
	/*
	 * Each line, both directions, for transcripts: printable ASCII, other octets as '?'. AUTH secrets
	 * arrive as "AUTH PLAIN ***". Content is not passed, but its final dot. May be NULL. Only for taking
	 * notes: it must not call any function here.
	 */
	void (*trace)(void *ctx, bool from_upstream, const char *text, size_t len);
	/*
	 * The same lines as they go over the wire, with their line ends and any octet in them; AUTH's secrets
	 * are masked here too. A line longer than SMTP_REPLY_LINE_MAX comes in pieces. May be NULL.
	 */
	void (*wire)(void *ctx, bool from_upstream, const char *data, size_t len);
};

/* Starts connecting; the outcome comes by callback, never from inside this call. */
struct upstream_conn *upstream_conn_open(struct upstream *u, const struct upstream_settings *settings,
					 const struct upstream_conn_ops *ops, void *ctx);
/* There is work: asks next() if there is room. */
void upstream_conn_kick(struct upstream_conn *c);
/* Takes no more; QUIT when those under way are done. Before ready() it is upstream_conn_abort. */
void upstream_conn_quit(struct upstream_conn *c);
/* Ends it now: done() for what is under way, then closed(). */
void upstream_conn_abort(struct upstream_conn *c);
/* Valid from ready() to closed(). */
const struct upstream_features *upstream_conn_features(const struct upstream_conn *c);
/* Address and port really connected to, "192.0.2.1:25"; behind a proxy what it was asked for; "" before. */
const char *upstream_conn_remote(const struct upstream_conn *c);
/* Address and port of the proxy; "": none, or before. */
const char *upstream_conn_via(const struct upstream_conn *c);
/*
 * The session's encryption, into *info: from ready() on, and inside closed(), also when the session failed
 * (then what is known of the server's certificates). False: there is no TLS to tell of.
 */
bool upstream_conn_tls(const struct upstream_conn *c, struct upstream_tls_info *info);
/* "no", "yes" (an authority), "pin": for log lines */
const char *upstream_verified_name(enum upstream_verified verified);
/*
 * Whether this build's libcurl and what the settings name can do what they ask for: mechanisms, proxies,
 * certificate and key (parsed; a pair), pins. Does not connect.
 */
int upstream_settings_check(const struct upstream_settings *settings, struct err *e);
/* Transactions handed out and not done. */
size_t upstream_conn_in_flight(const struct upstream_conn *c);

#endif
