/* SPDX-License-Identifier: ISC */
/* See table.h. */
#include "figures/table.h"

#include <string.h>
#include <strings.h>

static const char *const ends[] = { "quit",    "lost",       "timeout", "errors", "stopped",
				    "refused", "tls-failed", "shed",    "other",  NULL };
static const char *const verbs[] = { "EHLO", "HELO", "STARTTLS", "AUTH", "XCLIENT", "MAIL",
				     "RCPT", "DATA", "BDAT",     "RSET", "NOOP",    "QUIT",
				     "VRFY", "EXPN", "HELP",     "ETRN", "other",   NULL };
/* What access/access.c names a rule; "session" is no rule: protocol, handler, filter, module. */
static const char *const reasons[] = { "client_access",
				       "sender_access",
				       "recipient_access",
				       "vrfy_table",
				       "client_connections",
				       "client_share",
				       "user_connections",
				       "client_messages_per_minute",
				       "client_recipients_per_minute",
				       "user_messages_per_minute",
				       "user_recipients_per_minute",
				       "auth_senders",
				       "relay_from",
				       "session",
				       "other",
				       NULL };
static const char *const refusals[] = { "421", "450", "451", "452", "454", "455",   "458",
					"459", "500", "501", "502", "503", "504",   "521",
					"523", "530", "534", "535", "538", "550",   "551",
					"552", "553", "554", "555", "556", "other", NULL };
static const char *const replies[] = { "250", "251", "252", "421",  "450",         "451",   "452",
				       "454", "455", "500", "501",  "502",         "503",   "504",
				       "521", "530", "535", "550",  "551",         "552",   "553",
				       "554", "555", "556", "none", "unsupported", "other", NULL };
static const char *const tls_versions[] = { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "other", NULL };
static const char *const yes_no[] = { "no", "yes", NULL };
/* Those of smtp/mechanism.h */
static const char *const mechanisms[] = { "PLAIN",       "LOGIN",         "CRAM-MD5",
					  "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
					  "OAUTHBEARER", "XOAUTH2",       "other",
					  NULL };
static const char *const auth_results[] = {
	"ok", "failed", "banned", "malformed", "cancelled", "error", NULL
};
/* In the order of enum child_role (master/child.h); the test of the daemon compares. */
static const char *const roles[] = {
	"worker", "relay", "auth", "programs", "keys", "monitor", "other", NULL
};
static const char *const exit_statuses[] = { "done", "failed", "killed", NULL };
static const char *const reload_results[] = { "done", "refused", NULL };
/* In the order of enum overload_fate (master/overload.c). */
static const char *const overload_fates[] = { "shed", "slow", "turned_away", NULL };
static const char *const queue_states[] = { "waiting", "in_flight", "held", "failed", "unsaved", NULL };
/* In the order of enum rate (relay/rates.h), but for the first of it. */
static const char *const fates[] = { "delivered", "deferred", "failed", "expired", "uncertain", NULL };
static const char *const upstream_states[] = { "up", "paused", "probing", "suspended", NULL };
static const char *const worker_states[] = { "starting", "idle", "busy", "leaving", NULL };
static const char *const checks[] = { "relay", "worker", "spool", NULL };
static const char *const probe_results[] = { "answered", "busy", "failed", NULL };
static const char *const http_statuses[] = { "200", "400", "403", "404",   "405",
					     "408", "431", "503", "other", NULL };

#define MS 1000LL
#define S (1000 * MS)
static const int64_t bounds_quick[] = { 1 * MS,   2500,     5 * MS,   10 * MS, 25 * MS,   50 * MS,
					100 * MS, 250 * MS, 500 * MS, 1 * S,   2500 * MS, 5 * S,
					10 * S,   30 * S,   60 * S,   300 * S, 0 };
static const int64_t bounds_session[] = { 10 * MS, 50 * MS, 100 * MS, 500 * MS, 1 * S,    5 * S,
					  10 * S,  30 * S,  60 * S,   300 * S,  1800 * S, 0 };
/* up to the five days after which mail is returned */
static const int64_t bounds_queue[] = { 100 * MS,  500 * MS,   1 * S,      5 * S,    10 * S,    30 * S,
					60 * S,    300 * S,    900 * S,    3600 * S, 14400 * S, 43200 * S,
					86400 * S, 172800 * S, 432000 * S, 0 };
static const int64_t bounds_size[] = { 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10,
				       1 << 20, 4 << 20, 16 << 20, 64 << 20, 0 };

#define NONE                                                                                                 \
	{                                                                                                    \
		{                                                                                            \
			NULL, NULL, FIGURES_NO_NAMES                                                         \
		}                                                                                            \
	}
#define WORDS(name, words)                                                                                   \
	{                                                                                                    \
		name, words, FIGURES_NO_NAMES                                                                \
	}
#define LISTENER                                                                                             \
	{                                                                                                    \
		"listener", NULL, FIGURES_LISTENERS                                                          \
	}
#define UPSTREAM                                                                                             \
	{                                                                                                    \
		"upstream", NULL, FIGURES_UPSTREAMS                                                          \
	}

#define MASTER FIGURES_OF_MASTER
#define WORKER FIGURES_OF_WORKERS
#define RELAY FIGURES_OF_RELAY
#define AUTH FIGURES_OF_AUTH
#define MONITOR FIGURES_OF_MONITOR
#define COUNTER FIGURE_COUNTER
#define GAUGE FIGURE_GAUGE
#define HISTOGRAM FIGURE_HISTOGRAM
#define NUMBER FIGURE_NUMBER
#define BYTES FIGURE_BYTES
#define SECONDS FIGURE_MICROSECONDS

const struct figure_info figure_table[FIGURE_COUNT] = {
	[FIGURE_BUILD_INFO] = { "posthouse_build_info",
				GAUGE,
				MASTER,
				NUMBER,
				{ { "version", NULL, FIGURES_VERSIONS } },
				.help = "1, with the version that runs" },
	[FIGURE_START_TIME] = { "posthouse_start_time_seconds", GAUGE, MASTER, SECONDS, NONE,
				.help = "When the service was started, in seconds since 1970" },
	[FIGURE_WORKERS_MAX] = { "posthouse_workers_max", GAUGE, MASTER, NUMBER, NONE,
				 .help = "Sessions there may be at a time (max_workers)" },
	[FIGURE_PROCESS_EXITS] = { "posthouse_process_exits",
				   COUNTER,
				   MASTER,
				   NUMBER,
				   { WORDS("role", roles), WORDS("status", exit_statuses) },
				   .help = "Processes that ended: in order, with a failure, by a signal" },
	[FIGURE_RELOADS] = { "posthouse_reloads",
			     COUNTER,
			     MASTER,
			     NUMBER,
			     { WORDS("result", reload_results) },
			     .help = "What was read again (the configuration, each kind of file) and used, or refused" },
	[FIGURE_CERTIFICATE_EXPIRY] = { "posthouse_certificate_expiry_timestamp_seconds",
					GAUGE,
					MASTER,
					SECONDS,
					{ { "certificate", NULL, FIGURES_CERTIFICATES } },
					.help = "When a listener's certificate expires, in seconds since 1970" },
	[FIGURE_STRESS] = { "posthouse_stress", GAUGE, MASTER, NUMBER, NONE,
			    .help = "1 while so many workers are busy that time-outs are short (stress_threshold)" },
	[FIGURE_BACKLOG] = { "posthouse_backlog_connections", GAUGE, MASTER, NUMBER, NONE,
			     .help = "Connections that wait while there are max_workers" },
	[FIGURE_CLIENTS_ENDED] = { "posthouse_overload_clients",
				   COUNTER,
				   MASTER,
				   NUMBER,
				   { WORDS("fate", overload_fates) },
				   .help = "Clients that were sent away because of too many others" },

	[FIGURE_SESSIONS] = { "posthouse_sessions",
			      COUNTER,
			      WORKER,
			      NUMBER,
			      { LISTENER, WORDS("end", ends) },
			      .help = "Clients' sessions that ended, and how" },
	[FIGURE_SESSION_SECONDS] = { "posthouse_session_duration_seconds",
				     HISTOGRAM,
				     WORKER,
				     SECONDS,
				     { LISTENER },
				     .bounds = bounds_session,
				     .help = "How long clients' sessions took" },
	[FIGURE_COMMANDS] = { "posthouse_commands",
			      COUNTER,
			      WORKER,
			      NUMBER,
			      { WORDS("verb", verbs) },
			      .help = "Commands that clients gave" },
	[FIGURE_MESSAGES_ACCEPTED] = { "posthouse_messages_accepted",
				       COUNTER,
				       WORKER,
				       NUMBER,
				       { LISTENER },
				       .help = "Messages taken from clients" },
	[FIGURE_RECIPIENTS_ACCEPTED] = { "posthouse_recipients_accepted",
					 COUNTER,
					 WORKER,
					 NUMBER,
					 { LISTENER },
					 .help = "Recipients of the messages taken from clients" },
	[FIGURE_MESSAGE_BYTES] = { "posthouse_message_size_bytes", HISTOGRAM, WORKER, BYTES, NONE,
				   .bounds = bounds_size,
				   .help = "Sizes of the messages taken from clients" },
	[FIGURE_RECEIVE_SECONDS] = { "posthouse_message_receive_duration_seconds", HISTOGRAM, WORKER, SECONDS,
				     NONE, .bounds = bounds_quick,
				     .help = "From MAIL to the reply that the message is taken" },
	[FIGURE_REJECTIONS] = { "posthouse_rejections",
				COUNTER,
				WORKER,
				NUMBER,
				{ WORDS("reason", reasons), WORDS("code", refusals) },
				.sparse = true,
				.help = "Commands, messages and clients that were refused" },
	[FIGURE_TLS_SESSIONS] = { "posthouse_tls_handshakes",
				  COUNTER,
				  WORKER,
				  NUMBER,
				  { WORDS("version", tls_versions), WORDS("resumed", yes_no) },
				  .help = "TLS handshakes with clients that succeeded" },
	[FIGURE_TLS_FAILURES] = { "posthouse_tls_failures",
				  COUNTER,
				  WORKER,
				  NUMBER,
				  { LISTENER },
				  .help = "TLS handshakes with clients that failed" },

	[FIGURE_AUTH_ATTEMPTS] = { "posthouse_auth_attempts",
				   COUNTER,
				   AUTH,
				   NUMBER,
				   { WORDS("mechanism", mechanisms), WORDS("result", auth_results) },
				   .sparse = true,
				   .help = "Clients' attempts to log in" },
	[FIGURE_AUTH_BANS] = { "posthouse_auth_bans", COUNTER, AUTH, NUMBER, NONE,
			       .help = "Addresses that were banned for failing too often" },

	[FIGURE_QUEUE_MESSAGES] = { "posthouse_queue_messages",
				    GAUGE,
				    RELAY,
				    NUMBER,
				    { WORDS("state", queue_states) },
				    .help = "Messages in the queue" },
	[FIGURE_QUEUE_OLDEST] = { "posthouse_queue_oldest_age_seconds", GAUGE, RELAY, FIGURE_WALL_MOMENT,
				  NONE,
				  .help = "Age of the oldest message that is to be delivered; 0: there is none" },
	[FIGURE_QUEUED] = { "posthouse_queued", COUNTER, RELAY, NUMBER, NONE,
			    .help = "Messages that came into the queue, reports of our own among them" },
	[FIGURE_RECIPIENTS] = { "posthouse_recipients",
				COUNTER,
				RELAY,
				NUMBER,
				{ UPSTREAM, WORDS("result", fates) },
				.help = "What became of a recipient in an attempt" },
	[FIGURE_QUEUE_SECONDS] = { "posthouse_queue_duration_seconds",
				   HISTOGRAM,
				   RELAY,
				   SECONDS,
				   { UPSTREAM },
				   .bounds = bounds_queue,
				   .help = "From a message's arrival to the delivery to a recipient" },
	[FIGURE_ATTEMPT_SECONDS] = { "posthouse_attempt_duration_seconds",
				     HISTOGRAM,
				     RELAY,
				     SECONDS,
				     { UPSTREAM },
				     .bounds = bounds_quick,
				     .help = "From a message's turn on a connection to the upstream's last word on it" },
	[FIGURE_UPSTREAM_REPLIES] = { "posthouse_upstream_replies",
				      COUNTER,
				      RELAY,
				      NUMBER,
				      { UPSTREAM, WORDS("code", replies) },
				      .sparse = true,
				      .help = "What upstreams answered for messages" },
	[FIGURE_UPSTREAM_TROUBLES] = { "posthouse_upstream_troubles",
				       COUNTER,
				       RELAY,
				       NUMBER,
				       { UPSTREAM },
				       .help = "Times an address of an upstream was found not to be well" },
	[FIGURE_UPSTREAM_SLOWDOWNS] = { "posthouse_upstream_slowdowns",
					COUNTER,
					RELAY,
					NUMBER,
					{ UPSTREAM },
					.help = "Times an upstream asked for less (421, 450, 451, 452)" },
	[FIGURE_UPSTREAM_STATE] = { "posthouse_upstream_state",
				    GAUGE,
				    RELAY,
				    NUMBER,
				    { UPSTREAM, WORDS("state", upstream_states) },
				    .help = "1 for the state that the upstream is in" },
	[FIGURE_UPSTREAM_CONNECTIONS] = { "posthouse_upstream_connections",
					  GAUGE,
					  RELAY,
					  NUMBER,
					  { UPSTREAM },
					  .help = "Connections to the upstream" },
	[FIGURE_UPSTREAM_WAITING] = { "posthouse_upstream_waiting_messages",
				      GAUGE,
				      RELAY,
				      NUMBER,
				      { UPSTREAM },
				      .help = "Messages that wait for this upstream" },
	[FIGURE_SPOOL_QUARANTINED] = { "posthouse_spool_quarantined", COUNTER, RELAY, NUMBER, NONE,
				       .help = "Files that could not be read and were put aside (posthouse queue --state corrupt)" },
	[FIGURE_RELAY_BEAT] = { "posthouse_relay_heartbeat_age_seconds", GAUGE, RELAY, FIGURE_MONO_MOMENT,
				NONE,
				.help = "Since the relay's loop last turned; more than a few seconds: it hangs or is gone" },

	[FIGURE_WORKERS] = { "posthouse_workers",
			     GAUGE,
			     MONITOR,
			     NUMBER,
			     { WORDS("state", worker_states) },
			     .help = "Worker processes" },
	[FIGURE_SPOOL_FREE] = { "posthouse_spool_free_bytes", GAUGE, MONITOR, BYTES, NONE,
				.help = "Free space on the spool's file system" },
	[FIGURE_SPOOL_SIZE] = { "posthouse_spool_size_bytes", GAUGE, MONITOR, BYTES, NONE,
				.help = "Size of the spool's file system" },
	[FIGURE_SPOOL_FILES_FREE] = { "posthouse_spool_free_inodes", GAUGE, MONITOR, NUMBER, NONE,
				      .help = "Files that can still be made on the spool's file system" },
	[FIGURE_HEALTHY] = { "posthouse_healthy", GAUGE, MONITOR, NUMBER, NONE,
			     .help = "1 while all of posthouse_health_check are 1" },
	[FIGURE_HEALTH_CHECK] = { "posthouse_health_check",
				  GAUGE,
				  MONITOR,
				  NUMBER,
				  { WORDS("check", checks) },
				  .help = "1 while this part does its work" },
	[FIGURE_PROBE_SECONDS] = { "posthouse_probe_duration_seconds", HISTOGRAM, MONITOR, SECONDS, NONE,
				   .bounds = bounds_quick,
				   .help = "How long a worker took to answer our own health check" },
	[FIGURE_PROBES] = { "posthouse_probes",
			    COUNTER,
			    MONITOR,
			    NUMBER,
			    { WORDS("result", probe_results) },
			    .help = "Our own health checks of the workers" },
	[FIGURE_HTTP_REQUESTS] = { "posthouse_http_requests",
				   COUNTER,
				   MONITOR,
				   NUMBER,
				   { WORDS("status", http_statuses) },
				   .sparse = true,
				   .help = "Requests for figures and health" },
	[FIGURE_MONITOR_BEAT] = { "posthouse_monitor_beat", GAUGE, MONITOR, FIGURE_MONO_MOMENT, NONE,
				  .internal = true, .help = "the monitor's loop turned" },
	[FIGURE_MONITOR_ASKED] = { "posthouse_monitor_asked", GAUGE, MONITOR, FIGURE_MONO_MOMENT, NONE,
				   .internal = true, .help = "the first question since the last answer" },
	[FIGURE_MONITOR_ANSWERED] = { "posthouse_monitor_answered", GAUGE, MONITOR, FIGURE_MONO_MOMENT, NONE,
				      .internal = true, .help = "a worker answered" },
	[FIGURE_MONITOR_MOVED] = { "posthouse_monitor_moved", GAUGE, MONITOR, FIGURE_MONO_MOMENT, NONE,
				   .internal = true, .help = "sessions went on" },
	[FIGURE_MONITOR_STORE_FAILED] = { "posthouse_monitor_store_failed", GAUGE, MONITOR, NUMBER, NONE,
					  .internal = true, .help = "a worker could not begin a message" },
};

static unsigned words_count(const char *const *words)
{
	unsigned n = 0;

	while (words[n])
		n++;
	return n;
}

unsigned figure_label_size(const struct figure_label *l)
{
	if (!l->name)
		return 1;
	return l->words ? words_count(l->words) : FIGURES_NAMES_MAX;
}

unsigned figure_bounds_count(const struct figure_info *f)
{
	unsigned n = 0;

	while (f->bounds && f->bounds[n])
		n++;
	return n;
}

const char *figure_unit_name(const struct figure_info *f)
{
	switch (f->unit) {
	case FIGURE_NUMBER:
		return NULL;
	case FIGURE_BYTES:
		return "bytes";
	case FIGURE_MICROSECONDS:
	case FIGURE_WALL_MOMENT:
	case FIGURE_MONO_MOMENT:
		return "seconds";
	}
	return NULL;
}

unsigned figure_word(enum figure f, unsigned label, const char *text, size_t len)
{
	const char *const *words = figure_table[f].label[label].words;
	unsigned n = 0;

	while (words[n + 1] && !(strlen(words[n]) == len && strncasecmp(words[n], text, len) == 0))
		n++;
	return n;
}
