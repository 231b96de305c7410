/* SPDX-License-Identifier: ISC */
/* config/: what files mean. Values, defaults, dump, rules that let pass, the example file. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/dump.h"
#include "config/mailman.h"
#include "config/options.h"
#include "config/types.h"
#include "config_files.h"
#include "rewrite/rules.h"
#include "smtp/extension.h"
#include "smtp/mechanism.h"
#include "unit.h"

static char *dump(const struct config *cfg)
{
	struct buf b;
	char *text;

	buf_init(&b, CONFIG_DUMP_MAX);
	config_dump(cfg, &b);
	text = mem_strdup(b.data);
	buf_release(&b);
	return text;
}

/* ---- good files ------------------------------------------------------------------------ */

START_TEST(test_defaults)
{
	struct config cfg;
	char host[256];

	files_load_good(&cfg, "localaddr = 127.0.0.1:2525 remoteaddr = \"smtp.example.net:587\"");
	gethostname(host, sizeof(host));
	ck_assert_str_eq(cfg.hostname, config_is_hostname(host) ? host : "localhost");
	ck_assert_str_eq(cfg.spool, PH_LOCALSTATEDIR "/spool/posthouse");
	ck_assert_uint_eq(cfg.data_size_limit_bytes, 33554432);
	ck_assert_uint_eq(cfg.min_spare, 5);
	ck_assert_uint_eq(cfg.max_spare, 20);
	ck_assert_uint_eq(cfg.max_workers, 200);
	ck_assert_uint_eq(cfg.max_requests, 1000);
	ck_assert_int_eq(cfg.command_timeout_ms, 300000);
	ck_assert_int_eq(cfg.client_data_timeout_ms, 300000);
	ck_assert_uint_eq(cfg.relay_from_count, 2);
	ck_assert_int_eq(cfg.relay_from[0].family, AF_INET);
	ck_assert_uint_eq(cfg.relay_from[0].prefix_bits, 8);
	ck_assert_uint_eq(cfg.relay_from[1].prefix_bits, 128);
	ck_assert_ptr_null(cfg.pid_file);
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_str_eq(cfg.listener[0].name, "default");
	ck_assert_uint_eq(cfg.upstream_count, 1);
	ck_assert_str_eq(cfg.upstream[0].name, "default");
	ck_assert_int_eq(cfg.upstream[0].tls, UPSTREAM_TLS_REQUIRED);
	ck_assert(cfg.upstream[0].pipelining);
	ck_assert_int_eq(cfg.upstream[0].final_timeout_ms, 600000);
	ck_assert(cfg.retry_factor == 2);
	config_release(&cfg);
}
END_TEST

/* Every default, printed, is the table's text: the manual and the example file quote that. */
START_TEST(test_defaults_print_as_written)
{
	struct config cfg;

	config_init(&cfg);
	config_add_listener(&cfg, "l");
	config_add_upstream(&cfg, "u");
	config_add_route(&cfg);
	config_add_rewrite(&cfg);
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		const void *objects[] = { &cfg, cfg.listener, cfg.upstream, cfg.route, cfg.rewrite };
		struct buf b;

		if (!o->fallback)
			continue;
		buf_init(&b, 4096);
		ck_assert(o->type->format(o, objects[o->object], &b));
		if (b.data[0] == '"' && b.len == strlen(o->fallback) + 2)
			ck_assert_int_eq(strncmp(b.data + 1, o->fallback, b.len - 2), 0);
		else
			ck_assert_str_eq(b.data, o->fallback);
		buf_release(&b);
	}
	config_release(&cfg);
}
END_TEST

#define D32 "AB:cd:01:23:45:67:89:ef:AB:cd:01:23:45:67:89:ef"

#define MAILMAN                                                                                         \
	"handler = mailman mailman_password_file = /mp mailman_domains = { l.example, m.example }\n"     \
	"mailman_maps = /var/lib/mailman3/data/postfix_lmtp"
#define MAILMAN2                                                                                        \
	"handler = MailmanProxy mailman_command = /usr/lib/mailman/mail/mailman mailman_domains = l.example\n"  \
	"mailman_maps = /var/lib/mailman/data/aliases"

/* Keys that exclude one that is in every_key; test_alternatives has them. */
static const char *const alternatives[] = { "auth_pam_service", "auth_dovecot_socket", "mailman_password_file",
					    "mailman_domains", "mailman_maps", "mailman_command" };

static bool is_alternative(const char *key)
{
	for (size_t i = 0; i < sizeof(alternatives) / sizeof(alternatives[0]); i++)
		if (strcmp(alternatives[i], key) == 0)
			return true;
	return false;
}

/* Every key with a value that is not its default. */
static const char every_key[] =
	"hostname = \"[192.0.2.1]\"\nhandler = debug\nspool = /s\nspool_sync = strict\nmin_free = 1G\n"
	"user = u smtp_user = v keys_user = k\nlog = syslog\nlog_level = debug log_format = json\npid_file = /run/p\n"
	"min_spare = 1\nmax_spare = 2\nmax_workers = 3\nmax_requests = 4\nstop_timeout = 5\nlisten_backlog = 6\n"
	"stress_threshold = 71 stress_timeout = 72s stress_max_errors = 73 stress_client_connections = 74\n"
	"min_data_rate = 75 shed_after = 76s backlog_timeout = 77s max_commands = 78\n"
	"relay_from = { 0.0.0.0/0, 2001:db8::/32, \"192.0.2.1\" }\nrelay_from_anyone = yes\n"
	"data_size_limit = 7K\nmax_recipients = 108\nmax_received = 9\nmax_errors = 10\nmax_transactions = 11\n"
	"bare_newline = normalize\nenable_smtputf8 = TRUE\ndecode_data = 0 enable_binarymime = yes vrfy_table = /vt vrfy_for_anyone = yes deliver_by_minimum = 61m\n"
	"seccomp = log\nlandlock = no\n"
	"metrics_listen = { \"[2001:db8::1]:80\", unix:/m } metrics_from = 192.0.2.0/24 metrics_file = /m/x.prom\n"
	"command_timeout = 12s\ndata_timeout = 13m\nmessage_timeout = 14h\nsession_timeout = 15h\n"
	"retry_min = 16ms\nretry_max = 1d\nretry_factor = 1.25\n"
	"expire_after = 28h\nwarn_after = 29m\nbounce_size_limit = 30K\npostmaster = \"pm@[192.0.2.1]\"\n"
	"view_group = v control_group = c\noutbox = /o\nx_peer = yes\n"
	"module = /m.so module_arguments = { a, \"b c\" } module_timeout = 62s\n"
	"exec_command = { /bin/e, \"--to=%{recipient}\", '$x' } exec_timeout = 57s exec_newline = crlf\n"
	"filter_command = /bin/f filter_timeout = 58s filter_newline = crlf program_user = x max_programs = 59\n"
	"mailman_url = none mailman_user = mu mailman_refresh = 49s mailman_upstream = u mailman_timeout = 53s\n"
	"default_domain = d.example masquerade = { a.example, \"b.example\" } masquerade_exceptions = { root, \"a b\" }\n"
	"aliases = /al alias_domains = \"[192.0.2.1]\"\nalways_bcc = \"b@c.example\" redirect_all = \"d@e.example\"\n"
	"rewrite_headers = yes keep_original_headers = yes remove_headers = { X-A, \"X-*\" }\n"
	"auth_users_file = /uf auth_user = w auth_failure_delay = 3s auth_ban_after = 47 auth_ban_time = 48m\n"
	"received_auth_user = yes auth = required auth_without_tls = yes auth_mechanisms = { PLAIN, \"SCRAM-SHA-256\" }\n"
	"auth_oauth_introspection_url = 'https://a.example/i' auth_oauth_client_id = j auth_oauth_client_secret_file = /js\n"
	"auth_oauth_ca_file = /jca auth_oauth_scope = smtp auth_oauth_user_claim = email\n"
	/* the top level's are the listeners', but where they say something else */
	"relay_from_cert = { \"sha256:" D32 ":" D32 "\", \"name:*.Example.org\" }\n"
	"client_access = /ca sender_access = /sa recipient_access = /ra auth_senders = /as\n"
	"client_connections = 41 client_messages_per_minute = 42 client_recipients_per_minute = 43\n"
	"user_connections = 44 user_messages_per_minute = 45 user_recipients_per_minute = 46 limits_exempt = 10.0.0.0/8\n"
	"proxy_protocol = { 192.0.2.1, 192.0.2.2 }\nxclient_from = 192.0.2.3\n"
	"listener a { localaddr = { \"127.0.0.1\", \"[::1]:0\", \"unix:/run/a b\" } }\n"
	"tls_ticket_lifetime = 35m\ntls_expiry_warning = 36d\ntls = implicit\ntls_cert = { \"/c1\", '/c 2' }\n"
	"tls_key = { /k1, /k2 }\ntls_profile = legacy\ntls_client_cert = required\ntls_client_ca = /cca\n"
	"listener 'b-c.d_E' { localaddr = \":2525\" xclient_from = {} tls = required tls_key = {} tls_cert = /c3 discard_ehlo_keywords = { dsn, \"8BITMIME\" }\n"
	"tls_profile = modern tls_client_cert = ask auth = offered auth_without_tls = no auth_mechanisms = LOGIN }\n"
	"upstream u {\nremoteaddr = { \"[2001:db8::1]:1465 weight=1000\", \"b  weight=1 \", 'c:2' }\ntls = implicit\ntls_ca_file = \"/ca\"\n"
	"user = \"a\\\"b\\\\c\\${d} \xc3\xa4\"\npassword_file = '/p\\'w'\neight_bit = pass\npipelining = no discard_ehlo_keywords = CHUNKING chunking = never\n"
	"max_connections = 17\nmessages_per_connection = 18\nconnect_timeout = 19s\ngreeting_timeout = 20s\n"
	"command_timeout = 21s\ndata_timeout = 22s\nblock_timeout = 23s\nfinal_timeout = 24s\nidle_timeout = 25s\n"
	"probe_min = 26s\nprobe_max = 27s\nmessages_per_minute = 31\nrecipients_per_message = 32\n"
	"connection_max_age = 33s\nattempt_timeout = 34s\npreset = \"zoho-pro\"\n"
	"tls_cert = \"/c\" tls_key = 'credential:k' tls_min_version = 1.3 auth_mechanisms = { plain, \"CRAM-MD5\" }\n"
	"proxy = 'socks5h://[::1]:1080' proxy_user = p proxy_password_file = \"/pp\"\n"
	"source_address = { \"2001:db8::2\", eth0, \"192.0.2.2\" }\n}\n"
	"upstream second { remoteaddr = 127.0.0.1 tls = required tls_verify = pin address_family = ipv4\n"
	"user = m oauth = device_code oauth_token_url = 'https://a.example/t' oauth_device_url = 'https://a.example/d'\n"
	"oauth_client_id = i oauth_client_secret_file = 'credential:s' oauth_scope = \"x y\" oauth_ca_file = /oca oauth_token_file = /tf\n"
	"tls_pin = { \"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\", \"sha256//AAAAQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\" } }\n"
	"route {\nsender = { <>, \"*@a.example\" } recipient = .b.example\nauth_user = \"*\" upstream = second }\n"
	"route { upstream = u }\n"
	"rewrite {\nmatch = { \"*@a.example\", .b.example } to = \"*@c.example\" apply = { recipient, header } }\n"
	"rewrite { to = \"x@y.example\" match = \"*\" }\n";

static void check_every_key(const struct config *cfg)
{
	const struct config_upstream *u = &cfg->upstream[0];

	ck_assert_str_eq(cfg->hostname, "[192.0.2.1]");
	ck_assert_str_eq(cfg->handler, "debug");
	ck_assert_str_eq(cfg->spool, "/s");
	ck_assert_int_eq(cfg->spool_sync, SPOOL_SYNC_STRICT);
	ck_assert_uint_eq(cfg->min_free_bytes, (uint64_t)1 << 30);
	ck_assert_str_eq(cfg->user, "u");
	ck_assert_str_eq(cfg->smtp_user, "v");
	ck_assert_str_eq(cfg->keys_user, "k");
	ck_assert_str_eq(cfg->log, "syslog");
	ck_assert_int_eq(cfg->log_levels.of[LOG_PART_SERVICE], LOG_LEVEL_DEBUG);
	ck_assert_int_eq(cfg->log_format, LOG_FORMAT_JSON);
	ck_assert_str_eq(cfg->pid_file, "/run/p");
	ck_assert_uint_eq(cfg->min_spare, 1);
	ck_assert_uint_eq(cfg->max_spare, 2);
	ck_assert_uint_eq(cfg->max_workers, 3);
	ck_assert_uint_eq(cfg->max_requests, 4);
	ck_assert_int_eq(cfg->stop_timeout_ms, 5000);
	ck_assert_uint_eq(cfg->listen_backlog, 6);
	ck_assert_uint_eq(cfg->stress_threshold, 71);
	ck_assert_int_eq(cfg->stress_timeout_ms, 72000);
	ck_assert_uint_eq(cfg->stress_max_errors, 73);
	ck_assert_uint_eq(cfg->stress_client_connections, 74);
	ck_assert_uint_eq(cfg->min_data_rate, 75);
	ck_assert_int_eq(cfg->shed_after_ms, 76000);
	ck_assert_int_eq(cfg->backlog_timeout_ms, 77000);
	ck_assert_uint_eq(cfg->max_commands, 78);
	ck_assert_uint_eq(cfg->relay_from_count, 3);
	ck_assert_uint_eq(cfg->relay_from[0].prefix_bits, 0);
	ck_assert_uint_eq(cfg->relay_from[1].prefix_bits, 32);
	ck_assert_uint_eq(cfg->relay_from[2].prefix_bits, 32);
	ck_assert(cfg->relay_from_anyone);
	ck_assert_uint_eq(cfg->data_size_limit_bytes, 7168);
	ck_assert_uint_eq(cfg->max_recipients, 108);
	ck_assert_uint_eq(cfg->max_received, 9);
	ck_assert_uint_eq(cfg->max_errors, 10);
	ck_assert_uint_eq(cfg->max_transactions, 11);
	ck_assert_int_eq(cfg->bare_newline, BARE_NEWLINE_NORMALIZE);
	ck_assert(cfg->enable_smtputf8);
	ck_assert(cfg->enable_binarymime && cfg->vrfy_for_anyone);
	ck_assert_str_eq(cfg->vrfy_table, "/vt");
	ck_assert_int_eq(cfg->deliver_by_minimum_ms, 61 * 60000);
	ck_assert_int_eq(cfg->seccomp, SANDBOX_LOG);
	ck_assert(!cfg->landlock);
	ck_assert(!cfg->decode_data);
	ck_assert_uint_eq(cfg->metrics_listen_count, 2);
	ck_assert_uint_eq(cfg->metrics_listen[0].port, 80);
	ck_assert_str_eq(cfg->metrics_listen[1].path, "/m");
	ck_assert_uint_eq(cfg->metrics_from_count, 1);
	ck_assert_str_eq(cfg->metrics_file, "/m/x.prom");
	ck_assert_int_eq(cfg->command_timeout_ms, 12000);
	ck_assert_int_eq(cfg->client_data_timeout_ms, 780000);
	ck_assert_int_eq(cfg->message_timeout_ms, 14 * 3600000);
	ck_assert_int_eq(cfg->session_timeout_ms, 15 * 3600000);
	ck_assert_int_eq(cfg->retry_min_ms, 16);
	ck_assert_int_eq(cfg->retry_max_ms, 86400000);
	ck_assert(cfg->retry_factor == 1.25);
	ck_assert_uint_eq(cfg->listener_count, 2);
	ck_assert_str_eq(cfg->listener[0].name, "a");
	ck_assert_uint_eq(cfg->listener[0].localaddr_count, 3);
	ck_assert_uint_eq(cfg->listener[0].localaddr[0].port, 25);
	ck_assert_str_eq(cfg->listener[0].localaddr[1].host, "::1");
	ck_assert_str_eq(cfg->listener[0].localaddr[2].path, "/run/a b");
	ck_assert_str_eq(cfg->listener[1].name, "b-c.d_E");
	ck_assert_uint_eq(cfg->relay_from_cert_count, 2);
	ck_assert_str_eq(cfg->relay_from_cert[0], "sha256:abcd0123456789efabcd0123456789efabcd0123456789efabcd0123456789ef");
	ck_assert_str_eq(cfg->relay_from_cert[1], "name:*.Example.org");
	ck_assert_str_eq(cfg->client_access, "/ca");
	ck_assert_str_eq(cfg->sender_access, "/sa");
	ck_assert_str_eq(cfg->recipient_access, "/ra");
	ck_assert_str_eq(cfg->auth_senders, "/as");
	ck_assert_uint_eq(cfg->client_connections, 41);
	ck_assert_uint_eq(cfg->client_messages_per_minute, 42);
	ck_assert_uint_eq(cfg->client_recipients_per_minute, 43);
	ck_assert_uint_eq(cfg->user_connections, 44);
	ck_assert_uint_eq(cfg->user_messages_per_minute, 45);
	ck_assert_uint_eq(cfg->user_recipients_per_minute, 46);
	ck_assert_uint_eq(cfg->limits_exempt_count, 1);
	ck_assert_int_eq(cfg->tls_ticket_lifetime_ms, 35 * 60000);
	ck_assert_int_eq(cfg->tls_expiry_warning_ms, 36 * INT64_C(86400000));
	ck_assert_int_eq(cfg->listener[0].tls, SESSION_TLS_IMPLICIT);
	ck_assert_uint_eq(cfg->listener[0].tls_cert_count, 2);
	ck_assert_str_eq(cfg->listener[0].tls_cert[1], "/c 2");
	ck_assert_uint_eq(cfg->listener[0].tls_key_count, 2);
	ck_assert_str_eq(cfg->listener[0].tls_key[0], "/k1");
	ck_assert_int_eq(cfg->listener[0].tls_profile, TLS_PROFILE_LEGACY);
	ck_assert_int_eq(cfg->listener[0].tls_client_cert, TLS_CLIENT_CERT_REQUIRED);
	ck_assert_str_eq(cfg->listener[0].tls_client_ca, "/cca");
	ck_assert_int_eq(cfg->listener[1].tls, SESSION_TLS_REQUIRED);
	ck_assert_uint_eq(cfg->listener[1].tls_cert_count, 1);
	ck_assert_uint_eq(cfg->listener[1].tls_key_count, 0);
	ck_assert_int_eq(cfg->listener[1].tls_profile, TLS_PROFILE_MODERN);
	ck_assert_int_eq(cfg->listener[1].tls_client_cert, TLS_CLIENT_CERT_ASK);
	ck_assert_str_eq(cfg->listener[1].tls_client_ca, "/cca");
	ck_assert_uint_eq(cfg->listener[0].proxy_protocol_count, 2);
	ck_assert_uint_eq(cfg->listener[1].proxy_protocol_count, 2);
	ck_assert_uint_eq(cfg->listener[0].xclient_from_count, 1);
	ck_assert_uint_eq(cfg->listener[1].xclient_from_count, 0);
	ck_assert_uint_eq(cfg->listener[0].discard_ehlo_keywords, 0);
	ck_assert_uint_eq(cfg->listener[1].discard_ehlo_keywords,
			  SMTP_EXTENSION_BIT(SMTP_DSN) | SMTP_EXTENSION_BIT(SMTP_8BITMIME));
	ck_assert_uint_eq(u->discard_ehlo_keywords, SMTP_EXTENSION_BIT(SMTP_CHUNKING));
	ck_assert_str_eq(cfg->auth_users_file, "/uf");
	ck_assert_str_eq(cfg->auth_user, "w");
	ck_assert_int_eq(cfg->auth_failure_delay_ms, 3000);
	ck_assert_uint_eq(cfg->auth_ban_after, 47);
	ck_assert_int_eq(cfg->auth_ban_time_ms, 48 * 60000);
	ck_assert(cfg->received_auth_user);
	ck_assert(cfg->x_peer);
	ck_assert_int_eq(cfg->listener[0].auth, SESSION_AUTH_REQUIRED);
	ck_assert(cfg->listener[0].auth_without_tls);
	ck_assert_uint_eq(cfg->listener[0].auth_mechanisms,
			  SMTP_MECHANISM_BIT(SMTP_MECHANISM_PLAIN) | SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256));
	ck_assert_int_eq(cfg->listener[1].auth, SESSION_AUTH_OFFERED);
	ck_assert(!cfg->listener[1].auth_without_tls);
	ck_assert_uint_eq(cfg->listener[1].auth_mechanisms, SMTP_MECHANISM_BIT(SMTP_MECHANISM_LOGIN));
	ck_assert_int_eq(cfg->expire_after_ms, 28 * 3600000);
	ck_assert_int_eq(cfg->warn_after_ms, 29 * 60000);
	ck_assert_uint_eq(cfg->bounce_size_limit_bytes, 30720);
	ck_assert_str_eq(cfg->mailman_url, "none");
	ck_assert_str_eq(cfg->mailman_user, "mu");
	ck_assert_int_eq(cfg->mailman_refresh_ms, 49000);
	ck_assert_str_eq(cfg->mailman_upstream, "u");
	ck_assert_int_eq(cfg->mailman_timeout_ms, 53000);
	ck_assert_str_eq(cfg->postmaster, "pm@[192.0.2.1]");
	ck_assert_str_eq(cfg->view_group, "v");
	ck_assert_str_eq(cfg->control_group, "c");
	ck_assert_str_eq(cfg->outbox, "/o");
	ck_assert_str_eq(cfg->module, "/m.so");
	ck_assert_uint_eq(cfg->module_argument_count, 2);
	ck_assert_str_eq(cfg->module_arguments[1], "b c");
	ck_assert_int_eq(cfg->module_timeout_ms, 62000);
	ck_assert_uint_eq(cfg->upstream_count, 2);
	ck_assert_str_eq(cfg->upstream[1].name, "second");
	ck_assert_uint_eq(cfg->upstream[1].remoteaddr_count, 1);
	ck_assert_uint_eq(cfg->upstream[1].remoteaddr[0].weight, 0);
	ck_assert_int_eq(cfg->upstream[1].tls, UPSTREAM_TLS_REQUIRED);
	ck_assert_str_eq(u->name, "u");
	ck_assert_uint_eq(u->remoteaddr_count, 3);
	ck_assert_uint_eq(u->remoteaddr[0].weight, 1000);
	ck_assert_str_eq(u->remoteaddr[1].endpoint.host, "b");
	ck_assert_uint_eq(u->remoteaddr[1].endpoint.port, 25);
	ck_assert_uint_eq(u->remoteaddr[1].weight, 1);
	ck_assert_uint_eq(u->remoteaddr[2].endpoint.port, 2);
	ck_assert_uint_eq(u->remoteaddr[2].weight, 0);
	ck_assert_uint_eq(u->messages_per_minute, 31);
	ck_assert_uint_eq(u->recipients_per_message, 32);
	ck_assert_int_eq(u->connection_max_age_ms, 33000);
	ck_assert_int_eq(u->attempt_timeout_ms, 34000);
	ck_assert_uint_eq(cfg->route_count, 2);
	ck_assert_uint_eq(cfg->route[0].sender_count, 2);
	ck_assert_str_eq(cfg->route[0].sender[0], "<>");
	ck_assert_str_eq(cfg->route[0].sender[1], "*@a.example");
	ck_assert_uint_eq(cfg->route[0].recipient_count, 1);
	ck_assert_str_eq(cfg->route[0].recipient[0], ".b.example");
	ck_assert_str_eq(cfg->route[0].auth_user[0], "*");
	ck_assert_str_eq(cfg->route[0].upstream, "second");
	ck_assert_uint_eq(cfg->route[1].sender_count + cfg->route[1].recipient_count, 0);
	ck_assert_str_eq(cfg->route[1].upstream, "u");
	ck_assert_uint_eq(cfg->exec_command_count, 3);
	ck_assert_str_eq(cfg->exec_command[1], "--to=%{recipient}");
	ck_assert_str_eq(cfg->exec_command[2], "$x");
	ck_assert_int_eq(cfg->exec_timeout_ms, 57000);
	ck_assert(cfg->exec_crlf && cfg->filter_crlf);
	ck_assert_uint_eq(cfg->filter_command_count, 1);
	ck_assert_int_eq(cfg->filter_timeout_ms, 58000);
	ck_assert_str_eq(cfg->program_user, "x");
	ck_assert_uint_eq(cfg->max_programs, 59);
	ck_assert_str_eq(cfg->default_domain, "d.example");
	ck_assert_uint_eq(cfg->masquerade_count, 2);
	ck_assert_str_eq(cfg->masquerade[1], "b.example");
	ck_assert_str_eq(cfg->masquerade_exceptions[1], "a b");
	ck_assert_str_eq(cfg->alias_domains[0], "[192.0.2.1]");
	ck_assert_str_eq(cfg->aliases, "/al");
	ck_assert_str_eq(cfg->always_bcc, "b@c.example");
	ck_assert_str_eq(cfg->redirect_all, "d@e.example");
	ck_assert(cfg->rewrite_headers && cfg->keep_original_headers);
	ck_assert_uint_eq(cfg->remove_headers_count, 2);
	ck_assert_str_eq(cfg->remove_headers[1], "X-*");
	ck_assert_uint_eq(cfg->rewrite_count, 2);
	ck_assert_uint_eq(cfg->rewrite[0].match_count, 2);
	ck_assert_str_eq(cfg->rewrite[0].match[1], ".b.example");
	ck_assert_str_eq(cfg->rewrite[0].to, "*@c.example");
	ck_assert_uint_eq(cfg->rewrite[0].apply, 1u << REWRITE_RECIPIENT | 1u << REWRITE_HEADER);
	ck_assert_uint_eq(cfg->rewrite[1].apply, 1u << REWRITE_SENDER | 1u << REWRITE_HEADER);
	ck_assert_str_eq(u->remoteaddr[0].endpoint.host, "2001:db8::1");
	ck_assert_uint_eq(u->remoteaddr[0].endpoint.port, 1465);
	ck_assert_int_eq(u->tls, UPSTREAM_TLS_IMPLICIT);
	ck_assert_str_eq(u->tls_ca_file, "/ca");
	ck_assert_str_eq(u->user, "a\"b\\c${d} \xc3\xa4");
	ck_assert_str_eq(u->password_file, "/p'w");
	ck_assert_str_eq(u->tls_cert, "/c");
	ck_assert_str_eq(u->tls_key, "credential:k");
	ck_assert_int_eq(u->tls_min_version, UPSTREAM_TLS_MIN_1_3);
	ck_assert_uint_eq(u->auth_mechanisms, 1u << UPSTREAM_PLAIN | 1u << UPSTREAM_CRAM_MD5);
	ck_assert_str_eq(u->proxy, "socks5h://[::1]:1080");
	ck_assert_str_eq(u->proxy_user, "p");
	ck_assert_str_eq(u->proxy_password_file, "/pp");
	ck_assert_str_eq(u->source_address.ipv4, "192.0.2.2");
	ck_assert_str_eq(u->source_address.ipv6, "2001:db8::2");
	ck_assert_str_eq(u->source_address.interface, "eth0");
	ck_assert_int_eq(u->oauth, OAUTH_NONE);
	ck_assert_int_eq(u[1].oauth, OAUTH_DEVICE_CODE);
	ck_assert_str_eq(u[1].oauth_token_url, "https://a.example/t");
	ck_assert_str_eq(u[1].oauth_device_url, "https://a.example/d");
	ck_assert_str_eq(u[1].oauth_client_id, "i");
	ck_assert_str_eq(u[1].oauth_client_secret_file, "credential:s");
	ck_assert_str_eq(u[1].oauth_scope, "x y");
	ck_assert_str_eq(u[1].oauth_ca_file, "/oca");
	ck_assert_str_eq(u[1].oauth_token_file, "/tf");
	ck_assert_str_eq(cfg->auth_oauth_introspection_url, "https://a.example/i");
	ck_assert_str_eq(cfg->auth_oauth_client_id, "j");
	ck_assert_str_eq(cfg->auth_oauth_client_secret_file, "/js");
	ck_assert_str_eq(cfg->auth_oauth_ca_file, "/jca");
	ck_assert_str_eq(cfg->auth_oauth_scope, "smtp");
	ck_assert_str_eq(cfg->auth_oauth_user_claim, "email");
	ck_assert_int_eq(u[1].tls_verify, UPSTREAM_VERIFY_PIN);
	ck_assert_str_eq(u[1].tls_pin, "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"
				       "sha256//AAAAQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	ck_assert_int_eq(u[1].address_family, UPSTREAM_FAMILY_IPV4);
	ck_assert_int_eq(u->eight_bit, UPSTREAM_EIGHTBIT_PASS);
	ck_assert_int_eq(u->chunking, UPSTREAM_CHUNKING_NEVER);
	ck_assert(!u->pipelining);
	ck_assert_uint_eq(u->max_connections, 17);
	ck_assert_uint_eq(u->messages_per_connection, 18);
	ck_assert_int_eq(u->connect_timeout_ms, 19000);
	ck_assert_int_eq(u->greeting_timeout_ms, 20000);
	ck_assert_int_eq(u->command_timeout_ms, 21000);
	ck_assert_int_eq(u->data_timeout_ms, 22000);
	ck_assert_int_eq(u->block_timeout_ms, 23000);
	ck_assert_int_eq(u->final_timeout_ms, 24000);
	ck_assert_int_eq(u->idle_timeout_ms, 25000);
	ck_assert_int_eq(u->probe_min_ms, 26000);
	ck_assert_int_eq(u->probe_max_ms, 27000);
	ck_assert_str_eq(u->preset, "zoho-pro");
}

START_TEST(test_every_key)
{
	struct config cfg;

	files_load_good(&cfg, every_key);
	check_every_key(&cfg);
	config_release(&cfg);
}
END_TEST

/* A key that is new in the table but not in every_key would be dumped with its default: found here. */
START_TEST(test_every_key_is_in_the_test)
{
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		char *needle = mem_printf("%s = ", o->key);

		if (o->object == o->section && !is_alternative(o->key))
			ck_assert_msg(strstr(every_key, needle) != NULL, "%s", o->key);
		ck_assert_msg(o->help && *o->help, "%s", o->key);
		ck_assert_ptr_eq(config_option_find(o->section, o->key, strlen(o->key)), o);
		free(needle);
	}
}
END_TEST

START_TEST(test_alternatives)
{
	struct config cfg;

	files_load_good(&cfg, GOOD "auth_pam_service = \"smtp\"");
	ck_assert_str_eq(cfg.auth_pam_service, "smtp");
	config_release(&cfg);
	files_load_good(&cfg, GOOD "auth_dovecot_socket = \"/run/dovecot/auth\"");
	ck_assert_str_eq(cfg.auth_dovecot_socket, "/run/dovecot/auth");
	ck_assert(!cfg.auth_users_file && !cfg.auth_pam_service);
	config_release(&cfg);
	/* Mailman has an upstream that nobody need write, behind the others */
	files_load_good(&cfg, GOOD MAILMAN);
	ck_assert_uint_eq(cfg.upstream_count, 2);
	ck_assert_uint_eq(config_mailman_upstream(&cfg), 1);
	ck_assert_int_eq(cfg.upstream[1].tls, UPSTREAM_TLS_NONE);
	ck_assert_uint_eq(cfg.upstream[1].remoteaddr[0].endpoint.port, 8024);
	ck_assert(cfg.upstream[1].remoteaddr[0].lmtp);
	ck_assert_str_eq(cfg.mailman_password_file, "/mp");
	ck_assert_str_eq(cfg.mailman_domains[1], "m.example");
	ck_assert_str_eq(cfg.mailman_maps[0], "/var/lib/mailman3/data/postfix_lmtp");
	ck_assert_str_eq(config_mailman_url(&cfg), "http://localhost:8001/3.1");
	config_release(&cfg);
	files_load_good(&cfg, GOOD MAILMAN2);
	ck_assert_str_eq(cfg.mailman_command, "/usr/lib/mailman/mail/mailman");
	ck_assert_ptr_null(config_mailman_url(&cfg));
	ck_assert(cfg.upstream[1].remoteaddr[0].program);
	config_release(&cfg);
	files_load_good(&cfg, "localaddr = :1\nhandler = mailman mailman_upstream = l\n"
			"upstream l { remoteaddr = a tls = none }\nupstream m { remoteaddr = b }");
	ck_assert_uint_eq(cfg.upstream_count, 2);
	ck_assert_uint_eq(config_mailman_upstream(&cfg), 0);
	config_release(&cfg);
}
END_TEST

START_TEST(test_dump_round_trip)
{
	static const char *const texts[] = { every_key, GOOD "auth_pam_service = smtp",
					     GOOD "auth_dovecot_socket = /d", GOOD, GOOD "relay_from = {}",
					     GOOD MAILMAN, GOOD MAILMAN2 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config first, second;
		char *one, *two;

		files_load_good(&first, texts[i]);
		one = dump(&first);
		files_load_good(&second, one);
		two = dump(&second);
		ck_assert_str_eq(one, two);
		if (texts[i] == every_key)
			check_every_key(&second);
		free(one);
		free(two);
		config_release(&first);
		config_release(&second);
	}
}
END_TEST

START_TEST(test_environment)
{
	struct config cfg;

	setenv("PH_TEST", "/from/there", 1);
	files_load_good(&cfg, GOOD "spool = \"${PH_TEST}/x\" pid_file = \"${PH_TEST_UNSET:-/run/y}\" user = 'a${b}'");
	ck_assert_str_eq(cfg.spool, "/from/there/x");
	ck_assert_str_eq(cfg.pid_file, "/run/y");
	ck_assert_str_eq(cfg.user, "a${b}");
	config_release(&cfg);
	setenv("PH_TEST", "/a\nuser = \"root\"", 1);
	files_check_errors(GOOD "spool = \"${PH_TEST}\"", "t.conf:3: spool: it has control characters\n");
	unsetenv("PH_TEST");
}
END_TEST

START_TEST(test_tls_by_port)
{
	static const struct {
		const char *remote;
		enum upstream_tls tls;
	} cases[] = {
		{ "smtp.example.net", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "smtp.example.net:25", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "smtp.example.net:587", UPSTREAM_TLS_REQUIRED },
		{ "smtp.example.net:465", UPSTREAM_TLS_IMPLICIT },
		{ "127.0.0.2:587", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "LOCALHOST:587", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "[::1]:587", UPSTREAM_TLS_OPPORTUNISTIC },
		{ "[::2]:587", UPSTREAM_TLS_REQUIRED },
		{ "127.0.0.1:465", UPSTREAM_TLS_IMPLICIT },
		{ "127.example.net:587", UPSTREAM_TLS_REQUIRED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = mem_printf("localaddr = :1 remoteaddr = \"%s\"", cases[i].remote);
		struct config cfg;

		files_load_good(&cfg, text);
		ck_assert_msg(cfg.upstream[0].tls == cases[i].tls, "%s", cases[i].remote);
		config_release(&cfg);
		free(text);
		text = mem_printf("localaddr = :1 upstream x { remoteaddr = \"%s\" }", cases[i].remote);
		files_load_good(&cfg, text);
		ck_assert_msg(cfg.upstream[0].tls == cases[i].tls, "%s", cases[i].remote);
		config_release(&cfg);
		free(text);
	}
}
END_TEST

START_TEST(test_allowed)
{
	static const char *const texts[] = {
		GOOD "relay_from = { 64.0.0.0/4, 64.0.0.0/4, 64.0.0.0/5, 10.0.0.0/8, 172.16.0.0/12 }",
		GOOD "relay_from = { 0.0.0.0/0 } relay_from_anyone = yes",
		GOOD "relay_from = { 2a00::/7, fe80::/10, fc00::/7, 8000::/1 }",
		"localaddr = :1 handler = debug",
		"localaddr = :1 upstream x { remoteaddr = 127.0.0.1 user = u password_file = /p tls = none }",
		GOOD "route { upstream = default }",
		GOOD "route { recipient = a upstream = default } route { sender = <> upstream = default } "
		     "route { upstream = default }",
		GOOD "warn_after = 4h",
		"localaddr = :1 remoteaddr = { a, b, 'c:2525' }",
		"localaddr = :1 upstream x { remoteaddr = { a:465, b:587 } tls = required }",
		"localaddr = :1 upstream x { remoteaddr = a attempt_timeout = 10m }",
		"localaddr = :1 upstream x { remoteaddr = a:465 user = u password_file = /p tls_ca_file = /c }",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config cfg;

		files_load_good(&cfg, texts[i]);
		config_release(&cfg);
	}
}
END_TEST

/* ---- config_check, handlers, names ---------------------------------------------------- */

START_TEST(test_check_and_handlers)
{
	char *path = mem_printf("%s/t.conf", files_dir);
	struct config cfg;
	struct buf errors;

	files_put("t.conf", "localaddr = :1\nhandler = nine", strlen("localaddr = :1\nhandler = nine"));
	buf_init(&errors, 4096);
	config_init(&cfg);
	ck_assert_int_eq(config_load(&cfg, path, files_collect, &errors), -1);
	ck_assert_str_eq(errors.data, "t.conf:2: handler: \"nine\" is not one of: spool, proxy, mailman, exec, module, debug\n");
	buf_clear(&errors);
	free(cfg.handler);
	cfg.handler = mem_strdup("PureProxy"); /* by its class, as by its name */
	ck_assert_int_eq(config_check(&cfg, "f", files_collect, &errors), -1);
	ck_assert_str_eq(errors.data, "f: remoteaddr is missing: handler \"PureProxy\" relays to an upstream\n");
	buf_clear(&errors);
	cfg.max_spare = 1;
	ck_assert_int_eq(config_check(&cfg, NULL, files_collect, &errors), -1);
	ck_assert_str_eq(errors.data, "remoteaddr is missing: handler \"PureProxy\" relays to an upstream\n"
				      "min_spare (5) is more than max_spare (1)\n");
	buf_release(&errors);
	config_release(&cfg);
	free(path);
}
END_TEST

START_TEST(test_hostnames)
{
	static const char *const good[] = { "a", "a.b", "a-1.example", "under_score.example", "[192.0.2.1]",
					    "[IPv6:2001:db8::1]" };
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", "-a", "a-", "a b", "[", "[]", "[x]", "[192.0.2.1",
					   "[IPv6:192.0.2.1]", "\xc3\xa4.example",
					   "a123456789b123456789c123456789d123456789e123456789f123456789g123x" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(config_is_hostname(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!config_is_hostname(bad[i]), "%s", bad[i]);
}
END_TEST

/* ---- the example file --------------------------------------------------------------------- */

/*
 * The built etc/posthouse.conf. open: with all that is commented out active
 * ("#key" and "#\tkey"; "# " is a comment in any case), but without the two
 * lines that stand for the sections.
 */
static char *example(bool open)
{
	const char *top = getenv("PH_TOP_BUILDDIR");
	char *path = mem_printf("%s/etc/posthouse.conf", top ? top : ".");
	FILE *f = fopen(path, "r");
	char line[512];
	struct buf b;

	ck_assert_msg(f != NULL, "%s", path);
	buf_init(&b, 1 << 20);
	while (fgets(line, sizeof(line), f)) {
		bool commented = line[0] == '#' && !strchr(" \n#", line[1]);
		bool shorthand = strncmp(line, "localaddr", 9) == 0 || strncmp(line, "remoteaddr", 10) == 0;

		if (commented) {
			char *key = mem_strndup(line + 1, strcspn(line + 1, " "));

			shorthand = is_alternative(key);
			free(key);
		}
		if (!open || !shorthand)
			buf_adds(&b, open && commented ? line + 1 : line);
	}
	fclose(f);
	free(path);
	return b.data;
}

START_TEST(test_example_loads)
{
	char *text = example(false);
	struct config cfg;

	files_load_good(&cfg, text);
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_uint_eq(cfg.upstream_count, 1);
	config_release(&cfg);
	free(text);
}
END_TEST

/*
 * Where the example shows a key's value. What may stand at the top for all listeners may be shown there, as a default,
 * or in a listener's section, as what makes sense there.
 */
static const char *example_value(const char *text, const struct config_option *o, bool *on_top)
{
	char *top = mem_printf("\n%s = ", o->key), *inside = mem_printf("\n\t%s = ", o->key);
	const char *at = config_option_stands_in(o, CONFIG_TOP) ? strstr(text, top) : NULL;

	*on_top = at != NULL;
	ck_assert_msg(!at || !strstr(at + 1, top), "%s stands twice", o->key);
	if (!at && o->section != CONFIG_TOP)
		at = strstr(text, inside);
	ck_assert_msg(at != NULL, "%s %s is not in etc/posthouse.conf", config_section_names[o->section], o->key);
	at += strlen(*on_top ? top : inside);
	free(top);
	free(inside);
	return at;
}

/* The same file with every line active: it says nothing but the defaults, and nothing is missing. */
START_TEST(test_example_has_every_key)
{
	char *text = example(true);
	struct config cfg;

	files_load_good(&cfg, text);
	for (size_t i = 0; i < config_option_count; i++) {
		const struct config_option *o = &config_options[i];
		/* what excludes a password stands in a section of its own */
		bool is_oauth = o->section == CONFIG_UPSTREAM && strncmp(o->key, "oauth", 5) == 0;
		const void *objects[] = { &cfg, cfg.listener, &cfg.upstream[is_oauth], cfg.route, cfg.rewrite };
		const char *written;
		struct buf value;
		bool on_top;

		if (o->object != o->section || is_alternative(o->key))
			continue;
		written = example_value(text, o, &on_top);
		buf_init(&value, 4096);
		ck_assert_msg(o->type->format(o, objects[o->object], &value), "%s", o->key);
		if (!o->fallback || is_oauth || (o->also_top && !on_top))
			; /* an example of what has no default, or whose default is none of it */
		else if (o->also_top)
			ck_assert_int_eq(strncmp(written, o->fallback, strcspn(written, "\n")), 0);
		else if (value.data[0] == '"')
			ck_assert_int_eq(strncmp(value.data + 1, o->fallback, strlen(o->fallback)), 0);
		else
			ck_assert_str_eq(value.data, o->fallback);
		buf_release(&value);
	}
	config_release(&cfg);
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config");
	TCase *c = tcase_create("config");
	const TTest *const tests[] = {
		test_defaults, test_defaults_print_as_written, test_every_key, test_every_key_is_in_the_test,
		test_alternatives, test_dump_round_trip, test_environment, test_tls_by_port, test_allowed, test_check_and_handlers,
		test_hostnames, test_example_loads, test_example_has_every_key,
	};

	tcase_add_checked_fixture(c, files_enter, files_leave);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
