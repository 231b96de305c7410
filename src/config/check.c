/* SPDX-License-Identifier: ISC */
/* See check.h. One rule a function; the table says which keys it is about. */
#include "config/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "config/check_internal.h"
#include "config/presets.h"
#include "config/remote.h"
#include "config/routes.h"
#include "config/types.h"
#include "handler/facts.h"
#include "manage/route.h"
#include "smtp/extension.h"

void check_fail(struct check *c, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->source->error(c->source->ctx, c->rule->object, c->index, c->rule->keys, text);
}

static bool is_bad(const struct check *c, enum config_section object, const char *key)
{
	return c->source->is_bad && c->source->is_bad(c->source->ctx, object, CHECK_ANY, key);
}

/* ---- the pool, the session, the relay ------------------------------------------- */

static void spare_in_order(struct check *c)
{
	if (c->cfg->min_spare > c->cfg->max_spare)
		check_fail(c, "min_spare (%u) is more than max_spare (%u)", c->cfg->min_spare,
			   c->cfg->max_spare);
}

static void workers_in_order(struct check *c)
{
	if (c->cfg->max_spare > c->cfg->max_workers)
		check_fail(c, "max_spare (%u) is more than max_workers (%u)", c->cfg->max_spare,
			   c->cfg->max_workers);
}

/* As in smtpd: text and bytes exclude each other. */
static void data_is_text_or_not(struct check *c)
{
	if (c->cfg->decode_data && c->cfg->enable_smtputf8)
		check_fail(c, "decode_data and enable_smtputf8 exclude each other");
	if (c->cfg->decode_data && c->cfg->enable_binarymime)
		check_fail(c, "decode_data and enable_binarymime exclude each other");
}

static void session_holds_a_message(struct check *c)
{
	if (c->cfg->message_timeout_ms > c->cfg->session_timeout_ms)
		check_fail(c, "message_timeout is longer than session_timeout");
}

static void retry_in_order(struct check *c)
{
	if (c->cfg->retry_min_ms > c->cfg->retry_max_ms)
		check_fail(c, "retry_min is longer than retry_max");
}

static void retried_before_it_expires(struct check *c)
{
	if (c->cfg->retry_max_ms > c->cfg->expire_after_ms)
		check_fail(c, "retry_max is longer than expire_after: messages would expire waiting for "
			      "their next try");
}

static void warned_before_it_expires(struct check *c)
{
	if (c->cfg->warn_after_ms >= c->cfg->expire_after_ms)
		check_fail(c, "warn_after is not shorter than expire_after: no warning would ever be sent; 0 "
			      "is for none");
}

/* auto may come to be the journal: there log_format counts where it is standard error or syslog after all. */
static void log_format_has_an_effect(struct check *c)
{
	if (c->cfg->log_format == LOG_FORMAT_JSON && strcmp(c->cfg->log, "journal") == 0)
		check_fail(c,
			   "log_format = json has no effect on log = journal: it gets each pair as a field "
			   "of its own");
}

static void hostname_is_valid(struct check *c)
{
	if (!c->cfg->hostname || !config_is_hostname(c->cfg->hostname))
		check_fail(c, "hostname is neither a domain name nor an address literal");
}

/* ---- handler ---------------------------------------------------------------------- */

static void handler_exists(struct check *c)
{
	if (handler_find(c->cfg->handler) == HANDLER_COUNT)
		check_fail(c, "handler: \"%s\" is not one of: %s", c->cfg->handler, handler_names());
}

static bool handler_relays(const struct config *cfg)
{
	enum handler_id handler = handler_find(cfg->handler);

	return handler != HANDLER_COUNT && handler_facts[handler].relays;
}

static void relay_has_an_upstream(struct check *c)
{
	if (c->cfg->upstream_count == 0 && handler_relays(c->cfg) && !is_bad(c, CONFIG_TOP, "remoteaddr") &&
	    !is_bad(c, CONFIG_UPSTREAM, "remoteaddr"))
		check_fail(c, "remoteaddr is missing: handler \"%s\" relays to an upstream", c->cfg->handler);
}

/* ---- listeners --------------------------------------------------------------------- */

/* Without the extension nobody could do what is required. */
static void required_is_offered(struct check *c)
{
	const struct config_listener *l = &c->cfg->listener[c->index];

	if (l->tls == SESSION_TLS_REQUIRED && (l->discard_ehlo_keywords & SMTP_EXTENSION_BIT(SMTP_STARTTLS)))
		check_fail(c, "listener \"%s\": discard_ehlo_keywords has STARTTLS, and tls = required",
			   l->name);
	if (l->auth == SESSION_AUTH_REQUIRED && (l->discard_ehlo_keywords & SMTP_EXTENSION_BIT(SMTP_AUTH)))
		check_fail(c, "listener \"%s\": discard_ehlo_keywords has AUTH, and auth = required",
			   l->name);
}

static void something_to_listen_on(struct check *c)
{
	if (c->cfg->listener_count == 0 && !is_bad(c, CONFIG_LISTENER, "localaddr"))
		check_fail(c, "localaddr is missing: there is nothing to listen on");
}

static void listener_has_addresses(struct check *c)
{
	const struct config_listener *l = &c->cfg->listener[c->index];

	if (l->localaddr_count == 0)
		check_fail(c, "listener \"%s\" has no localaddr", l->name);
}

/* ---- TLS of listeners ------------------------------------------------------------------ */

static const struct config_listener *listener_of(const struct check *c)
{
	return &c->cfg->listener[c->index];
}

/* What comes over a unix socket does not leave this machine, and is known by its user: no TLS there. */
static bool has_tcp(const struct config_listener *l)
{
	for (size_t i = 0; i < l->localaddr_count; i++)
		if (l->localaddr[i].kind == ENDPOINT_TCP)
			return true;
	return false;
}

static bool does_tls(const struct config_listener *l)
{
	return l->tls != SESSION_TLS_NONE && has_tcp(l);
}

static void tls_has_a_certificate(struct check *c)
{
	const struct config_listener *l = listener_of(c);

	if (does_tls(l) && l->tls_cert_count == 0)
		check_fail(c, "listener \"%s\": tls needs a certificate: set tls_cert (and tls_key)",
			   l->name);
}

static void keys_go_with_certificates(struct check *c)
{
	const struct config_listener *l = listener_of(c);

	if (l->tls_key_count > 0 && l->tls_key_count != l->tls_cert_count)
		check_fail(c,
			   "listener \"%s\": %zu files in tls_key for %zu in tls_cert: they go in pairs, in "
			   "the same order",
			   l->name, l->tls_key_count, l->tls_cert_count);
}

/* Whoever writes it wants it used: at the top level, by one listener at least. */
static bool nobody_does_tls(const struct check *c)
{
	for (size_t i = 0; i < c->cfg->listener_count; i++)
		if (does_tls(&c->cfg->listener[i]))
			return false;
	return true;
}

static void certificates_are_used(struct check *c)
{
	if (listener_of(c)->tls_cert_count > 0 && nobody_does_tls(c))
		check_fail(c, "tls_cert has no effect: set tls = starttls, required or implicit");
}

static void client_options_need_tls(struct check *c)
{
	const struct config_listener *l = listener_of(c);

	if ((l->tls_client_cert != TLS_CLIENT_CERT_NONE || l->tls_client_ca) && nobody_does_tls(c))
		check_fail(c, "tls_client_cert and tls_client_ca have no effect: set tls = starttls, "
			      "required or implicit");
}

static bool nobody_asks_for_certificates(const struct check *c)
{
	for (size_t i = 0; i < c->cfg->listener_count; i++)
		if (c->cfg->listener[i].tls_client_cert != TLS_CLIENT_CERT_NONE)
			return false;
	return true;
}

/*
 * Without an authority whoever can run openssl has a certificate. To know clients by fingerprints it is asked
 * for.
 */
static void client_certificates_are_judged(struct check *c)
{
	const struct config_listener *l = listener_of(c);

	if (l->tls_client_cert == TLS_CLIENT_CERT_REQUIRED && !l->tls_client_ca)
		check_fail(c, "tls_client_cert = required needs tls_client_ca: without it any certificate "
			      "would do");
	if (l->tls_client_ca && nobody_asks_for_certificates(c))
		check_fail(c, "tls_client_ca has no effect: set tls_client_cert = ask or required");
}

/* ---- addresses ----------------------------------------------------------------------- */

static bool same_address(const struct endpoint *a, const struct endpoint *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == ENDPOINT_UNIX)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && a->port != 0 && strcasecmp(a->host, b->host) == 0;
}

/* Names of one address are not looked up here; binding finds those. */
static void addresses_differ(struct check *c)
{
	const struct config_listener *l = &c->cfg->listener[c->index], *other;
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < l->localaddr_count; i++) {
		for (size_t k = 0; k <= c->index; k++) {
			other = &c->cfg->listener[k];
			for (size_t n = 0; n < (k == c->index ? i : other->localaddr_count); n++) {
				if (same_address(&l->localaddr[i], &other->localaddr[n])) {
					check_fail(c, "localaddr: \"%s\" stands twice",
						   endpoint_format(&l->localaddr[i], text));
					return;
				}
			}
		}
	}
}

/* ---- the credentials of clients -------------------------------------------------------- */

/* Who is asked must be clear: no order of them would be the right one for everybody. */
static void one_backend(struct check *c)
{
	const struct config *cfg = c->cfg;

	if ((cfg->auth_users_file != NULL) + (cfg->auth_pam_service != NULL) +
		    (cfg->auth_dovecot_socket != NULL) >
	    1)
		check_fail(c, "auth_users_file, auth_pam_service and auth_dovecot_socket exclude each other");
}

/* ---- upstreams ----------------------------------------------------------------------- */

static const struct config_upstream *upstream_of(const struct check *c)
{
	return &c->cfg->upstream[c->index];
}

static void upstream_has_an_address(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	const struct preset *p = u->preset ? preset_find(u->preset) : NULL;

	if (u->remoteaddr_count == 0 && p)
		check_fail(c,
			   "upstream \"%s\" has no remoteaddr: preset \"%s\" has a host for each region, "
			   "remoteaddr = \"%s\"",
			   u->name, p->name, p->remoteaddr_like);
	else if (u->remoteaddr_count == 0)
		check_fail(c, "upstream \"%s\" has no remoteaddr", u->name);
}

static void user_has_a_password(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	bool by_certificate = u->auth_mechanisms == 1u << UPSTREAM_EXTERNAL;

	if (u->user && !u->password_file && !by_certificate && u->oauth == OAUTH_NONE)
		check_fail(c, "user without password_file");
	if (!u->user && u->password_file)
		check_fail(c, "password_file without user");
	if (u->user && u->password_file && by_certificate)
		check_fail(c, "password_file has no effect: EXTERNAL uses the certificate");
}

/* With opportunistic TLS whoever sits in between answers EHLO without STARTTLS and reads the password. */
static void password_is_not_shown(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);

	if (!u->user || u->tls == UPSTREAM_TLS_REQUIRED || u->tls == UPSTREAM_TLS_IMPLICIT)
		return;
	for (size_t i = 0; i < u->remoteaddr_count; i++) {
		if (!u->proxy &&
		    config_is_loopback(&u->remoteaddr[i].endpoint)) /* a proxy's is another machine's */
			continue;
		check_fail(
			c,
			"user: the password could be read on its way to %s: set tls = required or implicit",
			u->remoteaddr[i].endpoint.host);
		return;
	}
}

static void remotes_differ(struct check *c)
{
	const struct config_upstream *u = upstream_of(c);
	char text[ENDPOINT_TEXT_MAX];

	for (size_t i = 0; i < u->remoteaddr_count; i++)
		for (size_t n = 0; n < i; n++)
			if (same_address(&u->remoteaddr[i].endpoint, &u->remoteaddr[n].endpoint)) {
				check_fail(c, "remoteaddr: \"%s\" stands twice in upstream \"%s\"",
					   config_remote_format(&u->remoteaddr[i], text), u->name);
				return;
			}
}

/* RFC 5321 4.5.3.2.6 gives the last answer ten minutes: who cuts it short sends messages twice. */
static void attempt_holds_the_last_answer(struct check *c)
{
	if (upstream_of(c)->attempt_timeout_ms < upstream_of(c)->final_timeout_ms)
		check_fail(c, "attempt_timeout is shorter than final_timeout: the upstream would never get "
			      "the time "
			      "that final_timeout gives it");
}

static void probe_in_order(struct check *c)
{
	if (upstream_of(c)->probe_min_ms > upstream_of(c)->probe_max_ms)
		check_fail(c, "probe_min is longer than probe_max");
}

/* ---- routes --------------------------------------------------------------------------- */

static void route_leads_somewhere(struct check *c)
{
	const char *to = c->cfg->route[c->index].upstream;

	if (!to) {
		check_fail(c, "the route has no upstream");
		return;
	}
	/* a section that could not be read may be the one */
	if (is_bad(c, CONFIG_UPSTREAM, "remoteaddr"))
		return;
	for (size_t i = 0; i < c->cfg->upstream_count; i++)
		if (strcmp(c->cfg->upstream[i].name, to) == 0)
			return;
	check_fail(c, "upstream: there is no upstream \"%s\"", to);
}

bool check_section_is_bad(const struct check *c, enum config_section section, size_t index)
{
	for (const char *const *key = c->rule->keys; *key; key++)
		if (c->source->is_bad && c->source->is_bad(c->source->ctx, section, index, *key))
			return true;
	return false;
}

/* Whoever writes a route wants it used. */
static void route_can_be_reached(struct check *c)
{
	struct route_rule rule = config_route_rule(&c->cfg->route[c->index]);

	for (size_t i = 0; i < c->index; i++) {
		struct route_rule before = config_route_rule(&c->cfg->route[i]);

		if (check_section_is_bad(c, CONFIG_ROUTE, i) || !route_rule_covers(&before, &rule))
			continue;
		check_fail(c, "route %zu is never used: route %zu, before it, takes all that it would take",
			   c->index + 1, i + 1);
		return;
	}
}

/* ---- all --------------------------------------------------------------------------- */

static const struct check_rule rules[] = {
	{ CONFIG_TOP, { "hostname" }, hostname_is_valid },
	{ CONFIG_TOP, { "log_format", "log" }, log_format_has_an_effect },
	{ CONFIG_TOP, { "handler" }, handler_exists },
	{ CONFIG_TOP, { "handler" }, relay_has_an_upstream },
	{ CONFIG_TOP, { "localaddr" }, something_to_listen_on },
	{ CONFIG_TOP, { "min_spare", "max_spare" }, spare_in_order },
	{ CONFIG_TOP, { "max_spare", "max_workers" }, workers_in_order },
	{ CONFIG_TOP, { "auth_users_file", "auth_pam_service", "auth_dovecot_socket" }, one_backend },
	{ CONFIG_TOP, { "decode_data", "enable_smtputf8", "enable_binarymime" }, data_is_text_or_not },
	{ CONFIG_TOP, { "message_timeout", "session_timeout" }, session_holds_a_message },
	{ CONFIG_TOP, { "retry_min", "retry_max" }, retry_in_order },
	{ CONFIG_TOP, { "retry_max", "expire_after" }, retried_before_it_expires },
	{ CONFIG_TOP, { "warn_after", "expire_after" }, warned_before_it_expires },
	{ CONFIG_LISTENER, { "localaddr" }, listener_has_addresses },
	{ CONFIG_LISTENER, { "localaddr" }, addresses_differ },
	{ CONFIG_LISTENER, { "discard_ehlo_keywords", "tls", "auth" }, required_is_offered },
	{ CONFIG_LISTENER, { "tls", "tls_cert", "localaddr" }, tls_has_a_certificate },
	{ CONFIG_LISTENER, { "tls_key", "tls_cert" }, keys_go_with_certificates },
	{ CONFIG_LISTENER, { "tls_cert", "tls" }, certificates_are_used },
	{ CONFIG_LISTENER, { "tls_client_cert", "tls_client_ca", "tls" }, client_options_need_tls },
	{ CONFIG_LISTENER, { "tls_client_cert", "tls_client_ca" }, client_certificates_are_judged },
	{ CONFIG_UPSTREAM, { "remoteaddr", "preset" }, upstream_has_an_address },
	{ CONFIG_UPSTREAM, { "remoteaddr" }, remotes_differ },
	{ CONFIG_UPSTREAM, { "attempt_timeout", "final_timeout" }, attempt_holds_the_last_answer },
	{ CONFIG_UPSTREAM, { "user", "password_file", "auth_mechanisms" }, user_has_a_password },
	{ CONFIG_UPSTREAM, { "user", "tls", "remoteaddr", "proxy" }, password_is_not_shown },
	{ CONFIG_UPSTREAM, { "probe_min", "probe_max" }, probe_in_order },
	{ CONFIG_ROUTE, { "upstream" }, route_leads_somewhere },
	{ CONFIG_ROUTE, { "sender", "recipient", "auth_user" }, route_can_be_reached },
};

static void run_rule(struct check *c, const struct check_rule *rule, size_t index)
{
	for (const char *const *key = rule->keys; *key; key++)
		if (c->source->is_bad && c->source->is_bad(c->source->ctx, rule->object, index, *key))
			return;
	c->rule = rule;
	c->index = index;
	rule->run(c);
}

static void run_rules(struct check *c, const struct check_rule *rule, size_t count)
{
	const struct config *cfg = c->cfg;
	const size_t objects[CONFIG_SECTION_COUNT] = { 1, cfg->listener_count, cfg->upstream_count,
						       cfg->route_count, cfg->rewrite_count };

	for (size_t i = 0; i < count; i++)
		for (size_t index = 0; index < objects[rule[i].object]; index++)
			run_rule(c, &rule[i], index);
}

void check_run(const struct config *cfg, const struct check_source *source)
{
	struct check c = { .cfg = cfg, .source = source };

	run_rules(&c, rules, sizeof(rules) / sizeof(rules[0]));
	run_rules(&c, check_access_rules, check_access_rule_count);
	run_rules(&c, check_upstream_rules, check_upstream_rule_count);
	run_rules(&c, check_auth_rules, check_auth_rule_count);
	run_rules(&c, check_rewrite_rules, check_rewrite_rule_count);
	run_rules(&c, check_oauth_rules, check_oauth_rule_count);
	run_rules(&c, check_proxy_rules, check_proxy_rule_count);
	run_rules(&c, check_program_rules, check_program_rule_count);
	run_rules(&c, check_module_rules, check_module_rule_count);
	run_rules(&c, check_mailman_rules, check_mailman_rule_count);
	run_rules(&c, check_metrics_rules, check_metrics_rule_count);
}

/* ---- without a file ----------------------------------------------------------------- */

struct plain {
	const char *file;
	config_report *report;
	void *ctx;
	int result;
};

static void plain_error(void *ctx, enum config_section object, size_t index, const char *const *keys,
			const char *text)
{
	struct plain *p = ctx;
	struct buf line;

	(void)object;
	(void)index;
	(void)keys;
	buf_init(&line, 8192);
	if (p->file)
		buf_addf(&line, "%s: ", p->file);
	buf_adds(&line, text);
	p->report(p->ctx, line.data);
	buf_release(&line);
	p->result = -1;
}

int config_check(const struct config *cfg, const char *file, config_report *report, void *ctx)
{
	struct plain p = { file, report, ctx, 0 };

	check_run(cfg, &(struct check_source){ .error = plain_error, .ctx = &p });
	return p.result;
}
