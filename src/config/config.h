/* SPDX-License-Identifier: ISC */
/*
 * The configuration as values: read from a file (libconfuse) or made by the
 * quick command line. Immutable once loaded. Secrets are not in here, only
 * the names of the files that hold them; who needs one opens it after the fork.
 *
 * posthouse.conf(5) documents each key; config/options.c is the table that
 * drives loading, defaults, checking, dumping and a test that every key is
 * in the manual and in etc/posthouse.conf.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/log.h"
#include "listener/tls.h" /* enum tls_profile, tls_client_cert */
#include "oauth/grant.h" /* enum oauth_grant */
#include "sandbox/filter.h" /* enum sandbox_mode */
#include "session/session.h" /* enum bare_newline */
#include "spool/spool.h" /* enum spool_sync */
#include "upstream/upstream.h" /* enum upstream_tls, upstream_eightbit */

struct config_listener {
	char *name; /* "default" when made from the top-level localaddr; owned */
	struct endpoint *localaddr; /* owned */
	size_t localaddr_count;

	/* TLS */
	enum session_tls_mode tls;
	char **tls_cert; /* files, the chain of each included; owned */
	size_t tls_cert_count;
	char **tls_key; /* files, in the same order; none: the keys are in the files of tls_cert; owned */
	size_t tls_key_count;
	enum tls_profile tls_profile;
	char *tls_client_ca; /* file; NULL: none; owned */
	enum tls_client_cert tls_client_cert;

	/* AUTH */
	enum session_auth_mode auth;
	bool auth_without_tls;
	unsigned auth_mechanisms; /* bits of smtp/mechanism.h; 0: all there are */

	/* who it believes */
	struct cidr *proxy_protocol; /* clients in these networks are proxies that send a PROXY header; owned */
	size_t proxy_protocol_count;
	struct cidr *xclient_from; /* clients in these networks may say XCLIENT; owned */
	size_t xclient_from_count;

	/* extensions */
	unsigned discard_ehlo_keywords; /* not offered: a set of SMTP_EXTENSION_BIT */
};

#define CONFIG_WEIGHT_MAX 1000

/* One address of an upstream. */
struct config_remote {
	struct endpoint endpoint;
	bool lmtp; /* lmtp:// (RFC 2033), TCP or UNIX; else SMTP by TCP */
	bool program; /* mailman_command is run instead: there is no address */
	/*
	 * 0: none was given. Addresses are tried in the order they stand in; neighbours with a weight form a
	 * group that shares the connections in proportion (posthouse.conf(5), remoteaddr).
	 */
	unsigned weight;
};

/* Where connections come from; all owned, NULL: not said. */
struct config_source {
	char *ipv4, *ipv6, *interface;
};

struct config_upstream {
	char *name; /* "default" when made from the top-level remoteaddr; owned */
	struct config_remote *remoteaddr; /* owned */
	size_t remoteaddr_count;
	enum upstream_tls tls;
	char *tls_ca_file; /* NULL: the system's; owned */
	char *user; /* NULL: no AUTH; owned */
	char *password_file; /* NULL: none; owned */

	/* TLS and AUTH; the names of files are paths or "credential:NAME" (secret.h) */
	enum upstream_verify tls_verify;
	char *tls_pin; /* keys, joined with ';'; NULL: any; owned */
	char *tls_cert, *tls_key; /* files; NULL: none, or for the key: in tls_cert; owned */
	enum upstream_tls_version tls_min_version;
	unsigned auth_mechanisms; /* 1 << enum upstream_mechanism; 0: all that want a password */

	/* OAuth 2 */
	enum oauth_grant oauth;
	char *oauth_token_url, *oauth_device_url; /* NULL: none; owned, as all here */
	char *oauth_client_id, *oauth_client_secret_file;
	char *oauth_scope;
	char *oauth_ca_file; /* NULL: the system's */
	char *oauth_token_file; /* NULL: config_oauth_token_file (paths.h) */

	/* the way there (proxies, addresses) and presets */
	char *proxy; /* "socks5h://host:port"; NULL: none; owned */
	char *proxy_user, *proxy_password_file; /* NULL: none; owned */
	struct config_source source_address;
	enum upstream_family address_family;
	char *preset; /* presets.h; NULL: none; owned */

	/* extensions */
	unsigned discard_ehlo_keywords; /* not used though announced: a set of SMTP_EXTENSION_BIT */

	/* what is sent, and how much */
	enum upstream_eightbit eight_bit;
	enum upstream_chunking chunking;
	bool pipelining;
	unsigned max_connections;
	unsigned messages_per_connection; /* 0: no limit */
	unsigned messages_per_minute; /* 0: no limit */
	unsigned recipients_per_message; /* more are sent in several transactions; 0: no limit */
	int64_t connection_max_age_ms; /* 0: no limit */
	int64_t attempt_timeout_ms; /* one transaction, from MAIL to its last answer, whatever else is waited for */
	int64_t connect_timeout_ms, greeting_timeout_ms, command_timeout_ms, data_timeout_ms;
	int64_t block_timeout_ms, final_timeout_ms, idle_timeout_ms;
	int64_t probe_min_ms, probe_max_ms; /* circuit breaker: pause of a failing upstream */
};

/*
 * route { sender, recipient, auth_user, upstream }: the first one of which every list that is not empty
 * matches says the upstream; who matches none goes to the first upstream. Patterns: manage/route.h.
 */
struct config_route {
	char **sender, **recipient, **auth_user; /* owned */
	size_t sender_count, recipient_count, auth_user_count;
	char *upstream; /* name; owned */
};

/*
 * rewrite { match, to, apply }: the first one that matches an address and applies to what it is says what
 * becomes of it. Patterns: manage/route.h, those of a recipient.
 */
struct config_rewrite {
	char **match; /* owned */
	size_t match_count;
	char *to; /* an address, or *@domain: the local part stays; owned */
	unsigned apply; /* 1u << enum rewrite_use: sender, recipient, header */
};

struct config {
	char *hostname;
	char *spool; /* directory */
	enum spool_sync spool_sync;
	uint64_t min_free_bytes; /* of the spool's file system, kept free: 452 below it */
	char *handler; /* one of its names (handler/facts.h) */
	char *user, *smtp_user; /* NULL: no change of user (not started as root, or -n) */
	char *keys_user; /* of the process with the private keys of certificates; NULL: no change of user; owned */
	enum sandbox_mode seccomp;
	bool landlock;
	char *log; /* "stderr", "syslog", "journal", a path, or "auto" (daemon/logging.c) */
	enum log_format log_format;
	struct log_levels log_levels;
	char *pid_file; /* NULL: none */

	unsigned min_spare, max_spare, max_workers, max_requests;
	int64_t stop_timeout_ms;
	unsigned listen_backlog;
	/* more clients than workers (master/shed.h) */
	unsigned stress_threshold; /* percent of max_workers */
	int64_t stress_timeout_ms, shed_after_ms, backlog_timeout_ms; /* 0: none */
	unsigned stress_max_errors;
	unsigned stress_client_connections; /* 0: an eighth of max_workers */
	unsigned min_data_rate; /* octets a second */

	struct config_listener *listener;
	size_t listener_count;
	struct config_upstream *upstream; /* at least one for handler "spool", none needed for "debug" */
	size_t upstream_count;
	struct config_route *route; /* in the order they are tried; owned */
	size_t route_count;
	struct config_rewrite *rewrite; /* in the order they are tried; owned */
	size_t rewrite_count;

	struct cidr *relay_from; /* who may relay; default: loopback. The unix socket always may */
	size_t relay_from_count;
	bool relay_from_anyone; /* said in so many words: an open relay is wanted */

	/* tables of clients, senders and recipients; limits per client and user */
	char **relay_from_cert; /* "sha256:" and 64 digits, "name:host", "name:*.domain": certificates that may relay; owned */
	size_t relay_from_cert_count;
	char *client_access, *sender_access, *recipient_access; /* table files (access/rules.h); NULL: none; owned */
	char *auth_senders; /* table file (access/owners.h); NULL: a user may send as anybody; owned */
	unsigned client_connections, client_messages_per_minute, client_recipients_per_minute; /* 0: no limit */
	unsigned user_connections, user_messages_per_minute, user_recipients_per_minute; /* 0: no limit */
	struct cidr *limits_exempt; /* clients without limits; owned */
	size_t limits_exempt_count;

	/* the credentials of clients (AUTH) */
	char *auth_users_file, *auth_pam_service, *auth_dovecot_socket; /* one of them, or none; owned */
	char *auth_oauth_introspection_url; /* NULL: no tokens of clients; owned, as the next ones */
	char *auth_oauth_client_id, *auth_oauth_client_secret_file, *auth_oauth_ca_file;
	char *auth_oauth_scope; /* NULL: any */
	char *auth_oauth_user_claim; /* NULL: username, else sub */
	char *auth_user; /* runs the auth process, "root" allowed; NULL: no change of user; owned */
	int64_t auth_failure_delay_ms;
	unsigned auth_ban_after; /* failures; 0: nobody is banned */
	int64_t auth_ban_time_ms;
	bool received_auth_user; /* the user stands in Received */

	/* TLS of clients */
	int64_t tls_ticket_lifetime_ms; /* 0: no session tickets */
	int64_t tls_expiry_warning_ms; /* before a certificate's end; 0: never */

	/* rewriting: the envelope (rewrite/rules.h) */
	char *default_domain; /* NULL: addresses without a domain are refused, if there are no aliases; owned */
	char **masquerade, **masquerade_exceptions; /* owned */
	size_t masquerade_count, masquerade_exceptions_count;
	char *aliases; /* file; NULL: none; owned */
	char **alias_domains; /* none: hostname, localhost, localhost.localdomain; owned */
	size_t alias_domains_count;
	char *always_bcc, *redirect_all; /* NULL: no; owned */

	/* rewriting: headers */
	bool rewrite_headers, keep_original_headers;
	char **remove_headers; /* owned */
	size_t remove_headers_count;

	/* the session (see session/session.h) */
	uint64_t data_size_limit_bytes;
	unsigned max_recipients, max_received, max_errors, max_commands, max_transactions;
	enum bare_newline bare_newline;
	bool enable_smtputf8, decode_data;
	int64_t command_timeout_ms, client_data_timeout_ms, message_timeout_ms, session_timeout_ms;

	/* the relay */
	int64_t retry_min_ms, retry_max_ms;
	double retry_factor;
	int64_t expire_after_ms; /* of the message's age: undelivered recipients are given up */
	int64_t warn_after_ms; /* then its sender is told of the delay; 0: never */
	uint64_t bounce_size_limit_bytes; /* a report returns the whole message up to this size, else its header */
	char *postmaster; /* gets the reports that have no sender to go to; NULL: they stay in the spool; owned */

	/* handler proxy */
	bool x_peer; /* the header field X-Peer, as smtpd adds it */

	/* handler mailman; see mailman.h */
	char *mailman_url; /* of the REST API, or "none"; owned, as all here */
	char *mailman_user, *mailman_password_file; /* NULL: Mailman's default */
	char **mailman_domains, **mailman_maps; /* maps: files */
	size_t mailman_domains_count, mailman_maps_count;
	char *mailman_upstream; /* name */
	int64_t mailman_refresh_ms; /* between two listings that nobody waits for */
	char *mailman_command; /* Mailman 2: path; NULL: Mailman 3 */
	int64_t mailman_timeout_ms; /* of a run of it */

	/*
	 * handler exec, and filters: the first word is a path, the others may hold %{facts}
	 * (program/command.h)
	 */
	char **exec_command, **filter_command; /* none: not configured; owned */
	size_t exec_command_count, filter_command_count;
	int64_t exec_timeout_ms, filter_timeout_ms;
	bool exec_crlf, filter_crlf; /* the program's lines end with CRLF */
	char *program_user; /* runs the programs; NULL: no change of user; owned */
	unsigned max_programs; /* at a time */

	/* modules */
	char *module; /* path of a shared object; NULL: none; owned */
	char **module_arguments; /* owned */
	size_t module_argument_count;
	int64_t module_timeout_ms; /* a call that takes longer ends its worker */

	/* extensions: VRFY, EXPN, ETRN, DELIVERBY, LIMITS */
	char *vrfy_table; /* table file (access/rules.h); NULL: none; owned */
	bool vrfy_for_anyone; /* also for clients that may not relay */
	bool enable_binarymime; /* RFC 3030: what is behind us takes it */
	int64_t deliver_by_minimum_ms; /* RFC 2852: a client may not ask for less; 0: it may */

	/* figures and health */
	struct endpoint *metrics_listen; /* where figures and health are asked for over HTTP; owned */
	size_t metrics_listen_count;
	struct cidr *metrics_from; /* who may ask besides this machine; owned */
	size_t metrics_from_count;
	char *metrics_file; /* figures for node_exporter's textfile collector; NULL: none; owned */

	/* for operators and local programs */
	char *view_group; /* may look: posthouse queue, show, status ...; NULL: the group of `user`; owned */
	char *control_group; /* may also change: hold, remove ...; NULL: only root and `user`; owned */
	char *outbox; /* where posthouse-sendmail leaves mail while the daemon is down; NULL: nowhere; owned */
};

/* All defaults; hostname is this machine's. Storage is the caller's. */
void config_init(struct config *cfg);
void config_release(struct config *cfg);

/* Receives each error, with "file:line: " in front where there is one. */
typedef void config_report(void *ctx, const char *message);

/*
 * Reads a file over the defaults of config_init, and checks the whole
 * (config_check's rules included). Reports every error of it in one run;
 * returns 0 only if there was none.
 * On failure the configuration is to be released, not used. Not reentrant
 * (libconfuse). Ends the process only when out of memory.
 */
int config_load(struct config *cfg, const char *file, config_report *report, void *ctx);

/*
 * Checks what depends on several keys (also for the quick command line):
 * worker counts in order, a handler that exists, decode_data excludes
 * enable_smtputf8, an upstream for handler "spool", a password file with a
 * user, routes that lead somewhere and can be reached, times in order, relay_from
 * that would admit everyone refused unless relay_from_anyone = yes.
 */
int config_check(const struct config *cfg, const char *file, config_report *report, void *ctx);

/* Whether the handler puts mail into the spool. */
bool config_has_spool(const struct config *cfg);

/* Whether clients may log in anywhere. */
bool config_offers_auth(const struct config *cfg);

#endif
