/* SPDX-License-Identifier: ISC */
/*
 * See options.h. A new key: a field in config.h, a line here, manual, etc/posthouse.conf; tests tell what
 * lacks.
 */
#include "config/options.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "config/mailman.h"
#include "config/paths.h"
#include "config/types.h"
#include "handler/facts.h"
#include "smtp/extension.h"
#include "smtp/mechanism.h"

#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define GIB ((int64_t)1 << 30)

const char *const config_section_names[CONFIG_SECTION_COUNT] = { "", "listener", "upstream", "route",
								 "rewrite" };

bool config_section_has_name(enum config_section section)
{
	return section == CONFIG_LISTENER || section == CONFIG_UPSTREAM;
}

/*
 * In the order of the enums in spool/spool.h, session/session.h, listener/tls.h, upstream/upstream.h,
 * oauth/grant.h, sandbox/filter.h.
 */
static const char *const sync_words[] = { "auto", "file", "strict", NULL };
static const char *const log_words[] = { "auto", "stderr", "syslog", "journal", NULL };
static const char *const log_format_words[] = { "text", "json", NULL }; /* enum log_format */
static const char *const newline_words[] = { "reject", "normalize", NULL };
static const char *const program_newline_words[] = { "lf", "crlf", NULL };
static const char *const seccomp_words[] = { "enforce", "log", "off", NULL };
static const char *const tls_words[] = { "none", "opportunistic", "required", "implicit", NULL };
static const char *const verify_words[] = { "ca", "pin", NULL };
static const char *const tls_version_words[] = { "auto", "1.0", "1.1", "1.2", "1.3", NULL };
static const char *const mechanism_words[] = { UPSTREAM_MECHANISM_NAMES, NULL };
static const char *const family_words[] = { "any", "ipv4", "ipv6", NULL };
/* In the order of enum rewrite_use in rewrite/rules.h. */
static const char *const apply_words[] = { "sender", "recipient", "header", NULL };
static const char *const auth_words[] = { "none", "offered", "required", NULL };
static const char *const sasl_words[] = { SMTP_MECHANISM_NAMES, NULL };
static const char *const oauth_words[] = { "none", "refresh_token", "client_credentials", "device_code",
					   NULL };
static const char *const extension_words[] = { SMTP_EXTENSION_NAMES, NULL };
static const char *const listener_tls_words[] = { "none", "starttls", "required", "implicit", NULL };
static const char *const profile_words[] = { "modern", "intermediate", "legacy", NULL };
static const char *const client_cert_words[] = { "none", "ask", "required", NULL };
static const char *const eightbit_words[] = { "strict", "pass", NULL };
static const char *const chunking_words[] = { "needed", "always", "never", NULL };

#define TOP(field) CONFIG_TOP, CONFIG_TOP, .offset = offsetof(struct config, field)
#define LISTENER(field) CONFIG_LISTENER, CONFIG_LISTENER, .offset = offsetof(struct config_listener, field)
#define UPSTREAM(field) CONFIG_UPSTREAM, CONFIG_UPSTREAM, .offset = offsetof(struct config_upstream, field)
#define ROUTE(field) CONFIG_ROUTE, CONFIG_ROUTE, .offset = offsetof(struct config_route, field)
#define REWRITE(field) CONFIG_REWRITE, CONFIG_REWRITE, .offset = offsetof(struct config_rewrite, field)
#define TYPE(name) .type = &config_type_##name
#define RANGE(least, most) .min = (least), .max = (most)

const struct config_option config_options[] = {
	/* where mail comes in and goes out */
	{ "localaddr", CONFIG_TOP, CONFIG_LISTENER, .offset = offsetof(struct config_listener, localaddr),
	  .count_offset = offsetof(struct config_listener, localaddr_count), TYPE(local),
	  .help = "addresses to listen on, when there are no listener sections" },
	{ "remoteaddr", CONFIG_TOP, CONFIG_UPSTREAM, .offset = offsetof(struct config_upstream, remoteaddr),
	  .count_offset = offsetof(struct config_upstream, remoteaddr_count), TYPE(remote),
	  .help = "the upstream's addresses, when there are no upstream sections" },
	{ "hostname", TOP(hostname), TYPE(hostname),
	  .help = "our name in greetings and headers; default: this machine's name" },
	{ "handler", TOP(handler), TYPE(text), .fallback = "spool", .help = "what happens to a message" },

	/* the spool */
	{ "spool", TOP(spool), TYPE(path), .fallback = CONFIG_SYSTEM_SPOOL, .help = "the spool directory" },
	{ "spool_sync", TOP(spool_sync), TYPE(word), .words = sync_words, .fallback = "auto",
	  .help = "how a message is made durable" },
	/* Twice the largest message: one more can always be finished, and the relay can note what it did. */
	{ "min_free", TOP(min_free_bytes), TYPE(size), RANGE(0, 1024 * 1024 * GIB), .fallback = "64M",
	  .help = "free space to keep on the spool's file system; 452 below it" },

	/* users, the sandbox, the log */
	{ "user", TOP(user), TYPE(account), .fallback = "posthouse",
	  .help = "runs the relay, when started as root" },
	{ "smtp_user", TOP(smtp_user), TYPE(account), .fallback = "posthouse-smtp",
	  .help = "runs the workers, when started as root" },
	{ "keys_user", TOP(keys_user), TYPE(account), .fallback = "posthouse-keys",
	  .help = "uses the private keys of certificates, when started as root" },
	{ "pid_file", TOP(pid_file), TYPE(path), .help = "file for the master's process id; default: none" },
	{ "seccomp", TOP(seccomp), TYPE(word), .words = seccomp_words, .fallback = "enforce",
	  .help = "system calls that a process does not need end it" },
	{ "landlock", TOP(landlock), TYPE(bool), .fallback = "yes",
	  .help = "each process reaches only the files it needs" },
	{ "log", TOP(log), TYPE(word_path), .words = log_words, .fallback = "auto",
	  .help = "where the log goes" },
	{ "log_format", TOP(log_format), TYPE(word), .words = log_format_words, .fallback = "text",
	  .help = "how a line of it looks, except to the journal" },
	{ "log_level", TOP(log_levels), TYPE(log_levels), .fallback = "{ \"info\" }",
	  .help = "how much is logged, of all or of parts: { \"info\", \"relay=debug\" }" },

	/* the pool of workers */
	{ "min_spare", TOP(min_spare), TYPE(count), RANGE(1, 10000), .fallback = "5",
	  .help = "idle workers to have at least" },
	{ "max_spare", TOP(max_spare), TYPE(count), RANGE(1, 10000), .fallback = "20",
	  .help = "idle workers to have at most" },
	{ "max_workers", TOP(max_workers), TYPE(count), RANGE(1, 10000), .fallback = "200",
	  .help = "sessions at a time" },
	{ "max_requests", TOP(max_requests), TYPE(count), RANGE(0, 1000000000), .fallback = "1000",
	  .help = "sessions before a worker is replaced; 0: never" },
	{ "stop_timeout", TOP(stop_timeout_ms), TYPE(time), RANGE(0, HOUR), .fallback = "10s",
	  .help = "time for open sessions to finish when the service stops" },
	{ "listen_backlog", TOP(listen_backlog), TYPE(count), RANGE(1, 65535), .fallback = "1024",
	  .help = "connections the kernel keeps until a worker is free" },

	/* more clients than workers; the values of stress are Postfix's where it has them */
	{ "stress_threshold", TOP(stress_threshold), TYPE(count), RANGE(1, 100), .fallback = "80",
	  .help = "busy workers, in percent of max_workers, that are stress" },
	{ "stress_timeout", TOP(stress_timeout_ms), TYPE(time), RANGE(0, DAY), .fallback = "10s",
	  .help = "command_timeout and data_timeout in stress; 0: as ever" },
	{ "stress_max_errors", TOP(stress_max_errors), TYPE(count), RANGE(1, 1000000), .fallback = "5",
	  .help = "max_errors of sessions that begin in stress" },
	{ "stress_client_connections", TOP(stress_client_connections), TYPE(count), RANGE(0, 10000),
	  .fallback = "0", .help = "client_connections in stress; 0: an eighth of max_workers" },
	{ "min_data_rate", TOP(min_data_rate), TYPE(count), RANGE(0, 1000000000), .fallback = "500",
	  .help = "octets of content a second that are not slow" },
	{ "shed_after", TOP(shed_after_ms), TYPE(time), RANGE(0, HOUR), .fallback = "5s",
	  .help = "waiting for a client, before it may have to go for others; 0: never" },
	{ "backlog_timeout", TOP(backlog_timeout_ms), TYPE(time), RANGE(0, HOUR), .fallback = "30s",
	  .help = "waiting for a worker, before a client is told 421; 0: it is not told" },

	/* who may relay */
	{ "relay_from", TOP(relay_from), .count_offset = offsetof(struct config, relay_from_count),
	  TYPE(networks), .fallback = "{ \"127.0.0.0/8\", \"::1\" }",
	  .help = "networks whose clients may relay" },
	{ "relay_from_anyone", TOP(relay_from_anyone), TYPE(bool), .fallback = "no",
	  .help = "an open relay is wanted" },

	/* tables of clients, senders and recipients; limits per client and user */
	{ "relay_from_cert", TOP(relay_from_cert),
	  .count_offset = offsetof(struct config, relay_from_cert_count), TYPE(certificates),
	  .help = "certificates whose clients may relay" },
	{ "client_access", TOP(client_access), TYPE(path),
	  .help = "table of clients and what becomes of them" },
	{ "sender_access", TOP(sender_access), TYPE(path),
	  .help = "table of senders and what becomes of them" },
	{ "recipient_access", TOP(recipient_access), TYPE(path),
	  .help = "table of recipients and what becomes of them" },
	{ "auth_senders", TOP(auth_senders), TYPE(path),
	  .help = "table of users and the senders they may use" },
	/*
	 * A quarter of the workers there are by default. What a client sends in a minute says little of a
	 * smarthost's.
	 */
	{ "client_connections", TOP(client_connections), TYPE(count), RANGE(0, 10000), .fallback = "50",
	  .help = "connections of one client at a time; 0: no limit" },
	{ "client_messages_per_minute", TOP(client_messages_per_minute), TYPE(count), RANGE(0, 1000000),
	  .fallback = "0", .help = "messages of one client in a minute; 0: no limit" },
	{ "client_recipients_per_minute", TOP(client_recipients_per_minute), TYPE(count), RANGE(0, 1000000),
	  .fallback = "0", .help = "recipients of one client in a minute; 0: no limit" },
	{ "user_connections", TOP(user_connections), TYPE(count), RANGE(0, 10000), .fallback = "50",
	  .help = "connections of one user at a time; 0: no limit" },
	{ "user_messages_per_minute", TOP(user_messages_per_minute), TYPE(count), RANGE(0, 1000000),
	  .fallback = "0", .help = "messages of one user in a minute; 0: no limit" },
	{ "user_recipients_per_minute", TOP(user_recipients_per_minute), TYPE(count), RANGE(0, 1000000),
	  .fallback = "0", .help = "recipients of one user in a minute; 0: no limit" },
	{ "limits_exempt", TOP(limits_exempt), .count_offset = offsetof(struct config, limits_exempt_count),
	  TYPE(networks), .fallback = "{ \"127.0.0.0/8\", \"::1\" }",
	  .help = "networks whose clients have no limits" },

	/* the credentials of clients (AUTH) */
	{ "auth_users_file", TOP(auth_users_file), TYPE(secret),
	  .help = "clients' names and passwords: this file ('posthouse user')" },
	{ "auth_pam_service", TOP(auth_pam_service), TYPE(text),
	  .help = "clients' names and passwords: what PAM says for this service" },
	{ "auth_dovecot_socket", TOP(auth_dovecot_socket), TYPE(path),
	  .help = "clients' names and passwords: what Dovecot says on this socket" },
	{ "auth_oauth_introspection_url", TOP(auth_oauth_introspection_url), TYPE(url),
	  .help = "where tokens of clients are asked about (RFC 7662); default: none are taken" },
	{ "auth_oauth_client_id", TOP(auth_oauth_client_id), TYPE(text),
	  .help = "our name at the authorization server" },
	{ "auth_oauth_client_secret_file", TOP(auth_oauth_client_secret_file), TYPE(secret),
	  .help = "file with our password there" },
	{ "auth_oauth_ca_file", TOP(auth_oauth_ca_file), TYPE(path),
	  .help = "certificates to trust there (PEM); default: the system's" },
	{ "auth_oauth_scope", TOP(auth_oauth_scope), TYPE(text),
	  .help = "scope that a client's token must have; default: any" },
	{ "auth_oauth_user_claim", TOP(auth_oauth_user_claim), TYPE(text),
	  .help = "what of the answer is the user; default: username, else sub" },
	{ "auth_user", TOP(auth_user), TYPE(account), .fallback = "posthouse-auth",
	  .help = "runs the auth process, when started as root" },
	{ "auth_failure_delay", TOP(auth_failure_delay_ms), TYPE(time), RANGE(0, MINUTE / 4),
	  .fallback = "2s", .help = "the answer to a failed AUTH comes that much later" },
	{ "auth_ban_after", TOP(auth_ban_after), TYPE(count), RANGE(0, 1000000), .fallback = "10",
	  .help = "failed AUTHs from an address that ban it for a while; 0: none do" },
	{ "auth_ban_time", TOP(auth_ban_time_ms), TYPE(time), RANGE(1, 7 * DAY), .fallback = "10m",
	  .help = "in which failures are counted, and for which an address is banned" },
	{ "received_auth_user", TOP(received_auth_user), TYPE(bool), .fallback = "no",
	  .help = "Received says who logged in" },

	/* TLS of clients */
	/*
	 * As long as a client may come back without a full handshake is as long as a stolen ticket key is of
	 * use.
	 */
	{ "tls_ticket_lifetime", TOP(tls_ticket_lifetime_ms), TYPE(time), RANGE(0, 7 * DAY), .fallback = "2h",
	  .help = "how long a TLS client can resume its session; 0: not at all" },
	{ "tls_expiry_warning", TOP(tls_expiry_warning_ms), TYPE(time), RANGE(0, 365 * DAY),
	  .fallback = "14d",
	  .help = "daily warning that long before a certificate of a listener ends; 0: none" },

	/* rewriting: the envelope */
	{ "default_domain", TOP(default_domain), TYPE(hostname),
	  .help = "domain for addresses without one; default: they are refused" },
	{ "masquerade", TOP(masquerade), .count_offset = offsetof(struct config, masquerade_count),
	  TYPE(domains), .help = "domains whose hosts are hidden in senders" },
	{ "masquerade_exceptions", TOP(masquerade_exceptions),
	  .count_offset = offsetof(struct config, masquerade_exceptions_count), TYPE(local_parts),
	  .help = "local parts that keep their host" },
	{ "aliases", TOP(aliases), TYPE(path), .help = "file of aliases for local mail, as aliases(5)" },
	{ "alias_domains", TOP(alias_domains), .count_offset = offsetof(struct config, alias_domains_count),
	  TYPE(domains),
	  .help = "domains of local mail; default: hostname, localhost, localhost.localdomain" },
	{ "always_bcc", TOP(always_bcc), TYPE(mailbox), .help = "gets a copy of each message" },
	{ "redirect_all", TOP(redirect_all), TYPE(mailbox),
	  .help = "gets each message instead of its recipients" },

	/* rewriting: headers */
	{ "rewrite_headers", TOP(rewrite_headers), TYPE(bool), .fallback = "no",
	  .help = "From, Sender and Reply-To are rewritten like senders" },
	{ "keep_original_headers", TOP(keep_original_headers), TYPE(bool), .fallback = "no",
	  .help = "what was rewritten is kept in X-Original-From ..." },
	{ "remove_headers", TOP(remove_headers),
	  .count_offset = offsetof(struct config, remove_headers_count), TYPE(header_names),
	  .help = "header fields that are taken out" },

	/* the SMTP session */
	{ "data_size_limit", TOP(data_size_limit_bytes), TYPE(size), RANGE(0, 1024 * GIB), .fallback = "32M",
	  .help = "largest message; 0: no limit" },
	/* RFC 5321 4.5.3.1.8 asks for 100; 1000 is Postfix's too. A client splits at 452, so nothing is lost
	 * by a limit, and a worker's memory is bounded by it. */
	{ "max_recipients", TOP(max_recipients), TYPE(count), RANGE(100, 1000000), .fallback = "1000",
	  .help = "recipients of one message" },
	/* RFC 5321 6.3: at least 100 is called typical there, 50 is Postfix's hopcount_limit */
	{ "max_received", TOP(max_received), TYPE(count), RANGE(1, 1000), .fallback = "50",
	  .help = "Received headers before a message is taken for a loop" },
	{ "max_errors", TOP(max_errors), TYPE(count), RANGE(1, 1000000), .fallback = "20",
	  .help = "refused commands before the session is ended" },
	{ "max_commands", TOP(max_commands), TYPE(count), RANGE(0, 1000000), .fallback = "1000",
	  .help = "commands between two accepted messages that end a session; 0: no limit" },
	{ "max_transactions", TOP(max_transactions), TYPE(count), RANGE(0, 1000000000), .fallback = "0",
	  .help = "messages in one session; 0: no limit" },
	{ "bare_newline", TOP(bare_newline), TYPE(word), .words = newline_words, .fallback = "reject",
	  .help = "content with CR or LF alone" },
	{ "enable_smtputf8", TOP(enable_smtputf8), TYPE(bool), .fallback = "no",
	  .help = "offer SMTPUTF8 (RFC 6531)" },
	{ "decode_data", TOP(decode_data), TYPE(bool), .fallback = "no",
	  .help = "smtpd's: content is text, 8BITMIME is not offered" },
	/* RFC 5321 4.5.3.2.7: a server waits five minutes at least */
	{ "command_timeout", TOP(command_timeout_ms), TYPE(time), RANGE(1, DAY), .fallback = "5m",
	  .help = "waiting for a client's command" },
	{ "data_timeout", TOP(client_data_timeout_ms), TYPE(time), RANGE(1, DAY), .fallback = "5m",
	  .help = "waiting for more of a client's message" },
	/* The largest message at 10 kB/s */
	{ "message_timeout", TOP(message_timeout_ms), TYPE(time), RANGE(1, 7 * DAY), .fallback = "1h",
	  .help = "one message from MAIL to its end" },
	{ "session_timeout", TOP(session_timeout_ms), TYPE(time), RANGE(1, 7 * DAY), .fallback = "2h",
	  .help = "a whole session" },

	/* The relay's retries. Only a refusal of the message itself gets here (trouble with the upstream pauses
	 * the upstream, see probe_min): to a smarthost that is mostly a rate limit or a short disorder, hence
	 * one minute where Postfix, which faces the whole world, waits five. The longest wait is near
	 * Postfix's
	 * (4000s); 1, 2, 4 ... minutes reach it after an hour. */
	{ "retry_min", TOP(retry_min_ms), TYPE(time), RANGE(1, 7 * DAY), .fallback = "1m",
	  .help = "first wait of a deferred message" },
	{ "retry_max", TOP(retry_max_ms), TYPE(time), RANGE(1, 7 * DAY), .fallback = "1h",
	  .help = "longest wait of a deferred message" },
	{ "retry_factor", TOP(retry_factor), TYPE(factor), RANGE(1000, 100000), .fallback = "2",
	  .help = "growth of the wait" },

	/* RFC 5321 4.5.4.1: at least 4-5 days */
	{ "expire_after", TOP(expire_after_ms), TYPE(time), RANGE(1, 365 * DAY), .fallback = "5d",
	  .help = "age at which a message is given up and returned" },
	{ "warn_after", TOP(warn_after_ms), TYPE(time), RANGE(0, 365 * DAY), .fallback = "0s",
	  .help = "age at which the sender is told of the delay; 0: never" },
	{ "bounce_size_limit", TOP(bounce_size_limit_bytes), TYPE(size), RANGE(0, GIB), .fallback = "50K",
	  .help = "largest message that a report returns whole; else its header" },
	{ "postmaster", TOP(postmaster), TYPE(mailbox),
	  .help = "gets reports that cannot go to a sender; default: they stay in the spool" },

	/* handler proxy */
	{ "x_peer", TOP(x_peer), TYPE(bool), .fallback = "no",
	  .help = "add a header field X-Peer with the client's address" },

	/* handler mailman */
	{ "mailman_url", TOP(mailman_url), TYPE(url_or_none), .fallback = "http://localhost:8001/3.1",
	  .help = "Mailman's REST API, which says which lists there are; none: the maps do" },
	{ "mailman_user", TOP(mailman_user), TYPE(text), .fallback = "restadmin",
	  .help = "name for the REST API" },
	{ "mailman_password_file", TOP(mailman_password_file), TYPE(secret),
	  .help = "file with the password for the REST API; default: Mailman's own default" },
	{ "mailman_domains", TOP(mailman_domains),
	  .count_offset = offsetof(struct config, mailman_domains_count), TYPE(domains),
	  .help = "domains of lists, besides those that Mailman tells" },
	{ "mailman_maps", TOP(mailman_maps), .count_offset = offsetof(struct config, mailman_maps_count),
	  TYPE(paths),
	  .help = "files with Mailman's lists (postfix_lmtp, aliases), for when it cannot be asked" },
	{ "mailman_refresh", TOP(mailman_refresh_ms), TYPE(time), RANGE(1, DAY), .fallback = "1m",
	  .help = "how often lists are asked for when nobody waits for it" },
	{ "mailman_upstream", TOP(mailman_upstream), TYPE(text), .fallback = "mailman",
	  .help = "the upstream that mail for lists goes to" },
	{ "mailman_command", TOP(mailman_command), TYPE(path),
	  .help = "Mailman 2: the program that gets mail for lists; default: Mailman 3, by LMTP" },
	{ "mailman_timeout", TOP(mailman_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "2m",
	  .help = "one run of mailman_command; then it is killed" },

	/* handler exec, and filters */
	{ "exec_command", TOP(exec_command), .count_offset = offsetof(struct config, exec_command_count),
	  TYPE(command), .help = "program that gets each message, and its arguments (handler exec)" },
	/*
	 * a client waits ten minutes for the answer (RFC 5321 4.5.3.2.6), and a run may have to wait for its
	 * turn
	 */
	{ "exec_timeout", TOP(exec_timeout_ms), TYPE(time), RANGE(1, 8 * MINUTE), .fallback = "2m",
	  .help = "how long it may run" },
	{ "exec_newline", TOP(exec_crlf), TYPE(switch), .words = program_newline_words, .fallback = "lf",
	  .help = "how the lines end that it gets" },
	{ "filter_command", TOP(filter_command),
	  .count_offset = offsetof(struct config, filter_command_count), TYPE(command),
	  .help = "program whose output takes each message's place, and its arguments" },
	{ "filter_timeout", TOP(filter_timeout_ms), TYPE(time), RANGE(1, 8 * MINUTE), .fallback = "2m",
	  .help = "how long it may run" },
	{ "filter_newline", TOP(filter_crlf), TYPE(switch), .words = program_newline_words, .fallback = "lf",
	  .help = "how the lines end that it gets" },
	{ "program_user", TOP(program_user), TYPE(account), .fallback = "posthouse-exec",
	  .help = "runs programs, when started as root" },
	{ "max_programs", TOP(max_programs), TYPE(count), RANGE(1, 1000), .fallback = "20",
	  .help = "programs that run at a time; more wait" },

	/* modules */
	{ "module", TOP(module), TYPE(path),
	  .help = "shared object that takes part in sessions (posthouse-module(3))" },
	{ "module_arguments", TOP(module_arguments),
	  .count_offset = offsetof(struct config, module_argument_count), TYPE(texts),
	  .help = "what the module is told when it begins" },
	/*
	 * A client waits five minutes for most replies (RFC 5321 4.5.3.2), and a worker is lost to the others
	 * meanwhile.
	 */
	{ "module_timeout", TOP(module_timeout_ms), TYPE(time), RANGE(SECOND, 10 * MINUTE), .fallback = "30s",
	  .help = "how long a call of the module may take" },

	/* extensions: VRFY, EXPN, ETRN, DELIVERBY, LIMITS */
	{ "vrfy_table", TOP(vrfy_table), TYPE(path),
	  .help = "table of addresses and what VRFY and EXPN tell of them" },
	{ "vrfy_for_anyone", TOP(vrfy_for_anyone), TYPE(bool), .fallback = "no",
	  .help = "VRFY and EXPN tell it to clients that may not relay, too" },
	/*
	 * Few servers have it (Postfix and Gmail do not), and what they do not have is returned to the
	 * sender.
	 */
	{ "enable_binarymime", TOP(enable_binarymime), TYPE(bool), .fallback = "no",
	  .help = "offer BINARYMIME (RFC 3030)" },
	{ "deliver_by_minimum", TOP(deliver_by_minimum_ms), TYPE(time), RANGE(0, 7 * DAY), .fallback = "0s",
	  .help = "shortest time to deliver by that clients may ask for (RFC 2852); 0: any" },

	/* figures and health */
	{ "metrics_listen", TOP(metrics_listen),
	  .count_offset = offsetof(struct config, metrics_listen_count), TYPE(door),
	  .help = "addresses where figures and health are asked for over HTTP; default: none" },
	{ "metrics_from", TOP(metrics_from), .count_offset = offsetof(struct config, metrics_from_count),
	  TYPE(networks), .help = "networks that may ask there, besides this machine" },
	{ "metrics_file", TOP(metrics_file), TYPE(path),
	  .help = "file for node_exporter's textfile collector; default: none" },

	/* operators and local programs */
	{ "view_group", TOP(view_group), TYPE(group),
	  .help = "group that may look at the queue; default: that of user" },
	{ "control_group", TOP(control_group), TYPE(group),
	  .help = "group that may change the queue; default: none" },
	{ "outbox", TOP(outbox), TYPE(path),
	  .help = "where posthouse-sendmail leaves mail while the daemon is down; default: nowhere" },

	/* listener "name" { } */
	{ "localaddr", LISTENER(localaddr), .count_offset = offsetof(struct config_listener, localaddr_count),
	  TYPE(local), .help = "addresses to listen on" },

	/* listener: TLS */
	{ "tls", LISTENER(tls), .also_top = true, TYPE(word), .words = listener_tls_words, .fallback = "none",
	  .help = "encryption of clients" },
	{ "tls_cert", LISTENER(tls_cert), .count_offset = offsetof(struct config_listener, tls_cert_count),
	  .also_top = true, TYPE(secrets),
	  .help = "certificates with their chains (PEM); by the name a client asks for" },
	{ "tls_key", LISTENER(tls_key), .count_offset = offsetof(struct config_listener, tls_key_count),
	  .also_top = true, TYPE(secrets),
	  .help = "their private keys (PEM); default: they are in tls_cert" },
	{ "tls_profile", LISTENER(tls_profile), .also_top = true, TYPE(word), .words = profile_words,
	  .fallback = "intermediate", .help = "versions and ciphers of TLS" },
	{ "tls_client_cert", LISTENER(tls_client_cert), .also_top = true, TYPE(word),
	  .words = client_cert_words, .fallback = "none",
	  .help = "whether clients show certificates of their own" },
	{ "tls_client_ca", LISTENER(tls_client_ca), .also_top = true, TYPE(secret),
	  .help = "authorities that sign clients' certificates (PEM)" },

	/* listener: AUTH */
	{ "auth", LISTENER(auth), TYPE(word), .words = auth_words, .also_top = true, .fallback = "none",
	  .help = "whether clients can, or must, log in" },
	{ "auth_without_tls", LISTENER(auth_without_tls), TYPE(bool), .also_top = true, .fallback = "no",
	  .help = "AUTH is offered on connections without encryption, too" },
	{ "auth_mechanisms", LISTENER(auth_mechanisms), TYPE(set), .words = sasl_words, .also_top = true,
	  .help = "AUTH mechanisms that may be used; default: all that the backend has" },

	/* listener: who it believes (PROXY, XCLIENT) */
	{ "proxy_protocol", LISTENER(proxy_protocol),
	  .count_offset = offsetof(struct config_listener, proxy_protocol_count), TYPE(networks),
	  .also_top = true, .help = "networks of proxies, whose connections begin with a PROXY header" },
	{ "xclient_from", LISTENER(xclient_from),
	  .count_offset = offsetof(struct config_listener, xclient_from_count), TYPE(networks),
	  .also_top = true, .help = "networks of proxies that may say for whom they speak (XCLIENT)" },

	/* listener: extensions */
	{ "discard_ehlo_keywords", LISTENER(discard_ehlo_keywords), TYPE(set), .words = extension_words,
	  .also_top = true, .help = "extensions of SMTP that are not offered" },

	/* upstream "name" { } */
	{ "remoteaddr", UPSTREAM(remoteaddr),
	  .count_offset = offsetof(struct config_upstream, remoteaddr_count), TYPE(remote),
	  .help = "host and port to deliver to; several for fail-over" },
	{ "tls", UPSTREAM(tls), TYPE(word), .words = tls_words,
	  .help = "encryption; default: by port and host" },
	{ "tls_ca_file", UPSTREAM(tls_ca_file), TYPE(path),
	  .help = "certificates to trust (PEM); default: the system's" },
	{ "user", UPSTREAM(user), TYPE(text), .help = "name for AUTH; default: no AUTH" },
	{ "password_file", UPSTREAM(password_file), TYPE(secret), .help = "file with the password for AUTH" },

	/* upstream: TLS and AUTH */
	{ "tls_verify", UPSTREAM(tls_verify), TYPE(word), .words = verify_words, .fallback = "ca",
	  .help = "what proves who the upstream is: an authority, or tls_pin alone" },
	{ "tls_pin", UPSTREAM(tls_pin), TYPE(pins), .help = "keys the upstream may have; default: any" },
	{ "tls_cert", UPSTREAM(tls_cert), TYPE(secret),
	  .help = "our certificate for the upstream (PEM); default: none" },
	{ "tls_key", UPSTREAM(tls_key), TYPE(secret), .help = "its private key (PEM); default: in tls_cert" },
	{ "tls_min_version", UPSTREAM(tls_min_version), TYPE(word), .words = tls_version_words,
	  .fallback = "auto",
	  .help = "oldest version of TLS; auto: 1.2, and any where tls is opportunistic" },
	{ "auth_mechanisms", UPSTREAM(auth_mechanisms), TYPE(set), .words = mechanism_words,
	  .help = "AUTH mechanisms that may be used; default: all that take a password" },

	/* upstream: OAuth 2 */
	{ "oauth", UPSTREAM(oauth), TYPE(word), .words = oauth_words, .fallback = "none",
	  .help = "log in with an OAuth 2 token; how it is got" },
	{ "oauth_token_url", UPSTREAM(oauth_token_url), TYPE(url), .help = "where tokens are asked for" },
	{ "oauth_device_url", UPSTREAM(oauth_device_url), TYPE(url),
	  .help = "where a device code is asked for (oauth = device_code)" },
	{ "oauth_client_id", UPSTREAM(oauth_client_id), TYPE(text),
	  .help = "our name at the authorization server" },
	{ "oauth_client_secret_file", UPSTREAM(oauth_client_secret_file), TYPE(secret),
	  .help = "file with our password there; default: a client without one" },
	{ "oauth_scope", UPSTREAM(oauth_scope), TYPE(text),
	  .help = "what the token is to be good for; default: the server decides" },
	{ "oauth_ca_file", UPSTREAM(oauth_ca_file), TYPE(path),
	  .help = "certificates to trust there (PEM); default: the system's" },
	{ "oauth_token_file", UPSTREAM(oauth_token_file), TYPE(path),
	  .help = "where tokens are kept; default: by the upstream's name" },

	/* upstream: the way there (proxies, addresses) and presets */
	{ "proxy", UPSTREAM(proxy), TYPE(proxy),
	  .help = "SOCKS or HTTP proxy to connect through; default: none" },
	{ "proxy_user", UPSTREAM(proxy_user), TYPE(text), .help = "name for the proxy" },
	{ "proxy_password_file", UPSTREAM(proxy_password_file), TYPE(secret),
	  .help = "file with the password for the proxy" },
	{ "source_address", UPSTREAM(source_address), TYPE(source),
	  .help = "address or interface to connect from; default: the system chooses" },
	{ "address_family", UPSTREAM(address_family), TYPE(word), .words = family_words, .fallback = "any",
	  .help = "which of the upstream's addresses are used" },
	{ "preset", UPSTREAM(preset), TYPE(preset),
	  .help = "a known provider, for the keys that are not set" },

	/* upstream: extensions */
	{ "discard_ehlo_keywords", UPSTREAM(discard_ehlo_keywords), TYPE(set), .words = extension_words,
	  .help = "extensions of SMTP that are not used, though announced" },

	/* upstream: what is sent, and how much */
	{ "eight_bit", UPSTREAM(eight_bit), TYPE(word), .words = eightbit_words, .fallback = "strict",
	  .help = "8-bit content for an upstream without 8BITMIME" },
	{ "chunking", UPSTREAM(chunking), TYPE(word), .words = chunking_words, .fallback = "needed",
	  .help = "use BDAT instead of DATA where offered" },
	{ "pipelining", UPSTREAM(pipelining), TYPE(bool), .fallback = "yes",
	  .help = "use PIPELINING where offered" },
	{ "max_connections", UPSTREAM(max_connections), TYPE(count), RANGE(1, 1000), .fallback = "25",
	  .help = "connections at a time" },
	{ "messages_per_connection", UPSTREAM(messages_per_connection), TYPE(count), RANGE(0, 1000000000),
	  .fallback = "0", .help = "messages before a connection is closed; 0: no limit" },
	{ "messages_per_minute", UPSTREAM(messages_per_minute), TYPE(count), RANGE(0, 1000000000),
	  .fallback = "0", .help = "most messages sent in a minute; 0: no limit" },
	/* RFC 5321 4.5.3.1.8: every server takes 100 */
	{ "recipients_per_message", UPSTREAM(recipients_per_message), TYPE(count), RANGE(0, 1000000),
	  .fallback = "100", .help = "most recipients of a transaction; 0: no limit" },
	{ "connection_max_age", UPSTREAM(connection_max_age_ms), TYPE(time), RANGE(0, DAY), .fallback = "0s",
	  .help = "age at which a connection takes no more messages; 0: no limit" },
	/* Longer than the phases of RFC 5321 4.5.3.2 one after the other for a message of common size. */
	{ "attempt_timeout", UPSTREAM(attempt_timeout_ms), TYPE(time), RANGE(1, DAY), .fallback = "1h",
	  .help = "one message from MAIL to the last answer" },
	{ "connect_timeout", UPSTREAM(connect_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "30s",
	  .help = "name lookup, TCP connection and implicit TLS" },
	{ "greeting_timeout", UPSTREAM(greeting_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "5m",
	  .help = "greeting, EHLO, STARTTLS and AUTH" }, /* 4.5.3.2.1 */
	{ "command_timeout", UPSTREAM(command_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "5m",
	  .help = "the reply to MAIL or RCPT" }, /* 4.5.3.2.2, .3 */
	{ "data_timeout", UPSTREAM(data_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "2m",
	  .help = "the reply to DATA" }, /* 4.5.3.2.4 */
	{ "block_timeout", UPSTREAM(block_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "3m",
	  .help = "the upstream taking a block of content" }, /* 4.5.3.2.5 */
	{ "final_timeout", UPSTREAM(final_timeout_ms), TYPE(time), RANGE(1, 2 * HOUR), .fallback = "10m",
	  .help = "the reply to the end of data" }, /* 4.5.3.2.6 */
	{ "idle_timeout", UPSTREAM(idle_timeout_ms), TYPE(time), RANGE(1, HOUR), .fallback = "10s",
	  .help = "how long an unused connection is kept" },
	{ "probe_min", UPSTREAM(probe_min_ms), TYPE(time), RANGE(1, DAY), .fallback = "5s",
	  .help = "first pause of a failing upstream" },
	{ "probe_max", UPSTREAM(probe_max_ms), TYPE(time), RANGE(1, DAY), .fallback = "5m",
	  .help = "longest pause of a failing upstream" },

	/* route { } */
	{ "sender", ROUTE(sender), .count_offset = offsetof(struct config_route, sender_count), TYPE(senders),
	  .help = "patterns of senders; default: all" },
	{ "recipient", ROUTE(recipient), .count_offset = offsetof(struct config_route, recipient_count),
	  TYPE(recipients), .help = "patterns of recipients; default: all" },
	{ "auth_user", ROUTE(auth_user), .count_offset = offsetof(struct config_route, auth_user_count),
	  TYPE(auth_users), .help = "patterns of AUTH users; default: all, also without AUTH" },
	{ "upstream", ROUTE(upstream), TYPE(text), .help = "where to: the name of an upstream section" },

	/* rewrite { } */
	{ "match", REWRITE(match), .count_offset = offsetof(struct config_rewrite, match_count),
	  TYPE(recipients), .help = "patterns of addresses" },
	{ "to", REWRITE(to), TYPE(rewrite_target),
	  .help = "what they become; *@domain keeps the local part" },
	{ "apply", REWRITE(apply), TYPE(flags), .words = apply_words,
	  .fallback = "{ \"sender\", \"header\" }", .help = "to which addresses" },
};
const size_t config_option_count = sizeof(config_options) / sizeof(config_options[0]);
_Static_assert(sizeof(config_options) / sizeof(config_options[0]) <= CONFIG_OPTIONS_MAX,
	       "raise CONFIG_OPTIONS_MAX");

bool config_option_stands_in(const struct config_option *o, enum config_section section)
{
	return o->section == section || (o->also_top && section == CONFIG_TOP);
}

const struct config_option *config_option_find(enum config_section section, const char *key, size_t key_len)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];

		if (config_option_stands_in(o, section) && strlen(o->key) == key_len &&
		    memcmp(o->key, key, key_len) == 0)
			return o;
	}
	return NULL;
}

bool config_has_spool(const struct config *cfg)
{
	enum handler_id handler = handler_find(cfg->handler);

	return handler != HANDLER_COUNT && handler_facts[handler].spools;
}

bool config_offers_auth(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->listener_count; i++)
		if (cfg->listener[i].auth != SESSION_AUTH_NONE)
			return true;
	return false;
}

bool config_is_loopback(const struct endpoint *ep)
{
	struct in_addr in;
	struct in6_addr in6;

	if (ep->kind == ENDPOINT_UNIX || strcasecmp(ep->host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, ep->host, &in) == 1)
		return ntohl(in.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, ep->host, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

enum upstream_tls config_default_tls(const struct endpoint *remote)
{
	if (remote->port == 465)
		return UPSTREAM_TLS_IMPLICIT;
	if (remote->port == 587 && !config_is_loopback(remote))
		return UPSTREAM_TLS_REQUIRED;
	return UPSTREAM_TLS_OPPORTUNISTIC;
}

/* The text between the braces of a list's default, item by item. */
static void set_list_default(const struct config_option *o, void *object)
{
	const char *at = o->fallback;
	struct err e;

	while ((at = strchr(at, '"'))) {
		const char *end = strchr(at + 1, '"');
		char *item;

		ASSERT(end);
		item = mem_strndup(at + 1, (size_t)(end - at - 1));
		ASSERT(o->type->parse(o, object, item, &e) == 0);
		free(item);
		at = end + 1;
	}
}

static void set_defaults(enum config_section section, void *object)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		struct err e;

		if (o->section != section || o->object != section || !o->fallback)
			continue;
		if (o->type->list)
			set_list_default(o, object);
		else
			ASSERT(o->type->parse(o, object, o->fallback, &e) == 0);
	}
}

static void clear_all(enum config_section object_kind, void *object)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];

		if (o->section == object_kind && o->object == object_kind && o->type->clear)
			o->type->clear(o, object);
	}
}

struct config_listener *config_add_listener(struct config *cfg, const char *name)
{
	struct config_listener *l;

	cfg->listener = mem_resize(cfg->listener, cfg->listener_count + 1, sizeof(*l));
	l = &cfg->listener[cfg->listener_count++];
	memset(l, 0, sizeof(*l));
	l->name = mem_strdup(name);
	set_defaults(CONFIG_LISTENER, l);
	return l;
}

struct config_upstream *config_add_upstream(struct config *cfg, const char *name)
{
	struct config_upstream *u;

	cfg->upstream = mem_resize(cfg->upstream, cfg->upstream_count + 1, sizeof(*u));
	u = &cfg->upstream[cfg->upstream_count++];
	memset(u, 0, sizeof(*u));
	u->name = mem_strdup(name);
	u->tls = UPSTREAM_TLS_REQUIRED; /* whoever sets remoteaddr works it out: config_default_tls */
	set_defaults(CONFIG_UPSTREAM, u);
	return u;
}

struct config_route *config_add_route(struct config *cfg)
{
	struct config_route *r;

	cfg->route = mem_resize(cfg->route, cfg->route_count + 1, sizeof(*r));
	r = &cfg->route[cfg->route_count++];
	memset(r, 0, sizeof(*r));
	set_defaults(CONFIG_ROUTE, r);
	return r;
}

struct config_rewrite *config_add_rewrite(struct config *cfg)
{
	struct config_rewrite *r;

	cfg->rewrite = mem_resize(cfg->rewrite, cfg->rewrite_count + 1, sizeof(*r));
	r = &cfg->rewrite[cfg->rewrite_count++];
	memset(r, 0, sizeof(*r));
	set_defaults(CONFIG_REWRITE, r);
	return r;
}

void config_init(struct config *cfg)
{
	char name[256];

	memset(cfg, 0, sizeof(*cfg));
	set_defaults(CONFIG_TOP, cfg);
	/* Never looked up: DNS at start is a way not to start. A name we cannot greet with is no name. */
	if (gethostname(name, sizeof(name)) != 0 || !memchr(name, '\0', sizeof(name)) ||
	    !config_is_hostname(name))
		strcpy(name, "localhost");
	cfg->hostname = mem_strdup(name);
}

void config_release(struct config *cfg)
{
	for (size_t i = 0; i < cfg->listener_count; i++) {
		clear_all(CONFIG_LISTENER, &cfg->listener[i]);
		free(cfg->listener[i].name);
	}
	for (size_t i = 0; i < cfg->upstream_count; i++) {
		clear_all(CONFIG_UPSTREAM, &cfg->upstream[i]);
		free(cfg->upstream[i].name);
	}
	for (size_t i = 0; i < cfg->route_count; i++)
		clear_all(CONFIG_ROUTE, &cfg->route[i]);
	for (size_t i = 0; i < cfg->rewrite_count; i++)
		clear_all(CONFIG_REWRITE, &cfg->rewrite[i]);
	free(cfg->rewrite);
	free(cfg->listener);
	free(cfg->upstream);
	free(cfg->route);
	clear_all(CONFIG_TOP, cfg);
	memset(cfg, 0, sizeof(*cfg));
}
