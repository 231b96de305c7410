/* SPDX-License-Identifier: ISC */
/* See listener_tls.h. */
#include "daemon/listener_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "figures/figures.h"
#include "config/listener.h"
#include "keys/client.h"
#include "listener/tls_pairs.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* The contexts by listener of the configuration; NULL: that one has no TLS. */
struct set {
	struct tls_server **server; /* owned; NULL: nothing is loaded */
	struct tls_pairs *pairs; /* owned; NULL: no listener has TLS */
	/* with pairs: workers write to the second, their key process reads (keys/protocol.h) */
	int line_fd[2];
};

struct listener_tls {
	const struct config *cfg;
	struct tls_tickets *tickets; /* NULL: no resumption */
	struct listener_tls *before; /* whose tickets these may be still; NULL: nobody's */
	struct set used, loaded;
	unsigned turn; /* how often there were new ones */
	int64_t warned_mono_ms; /* 0: not since the certificates in use were loaded */
};

/* ---- contexts --------------------------------------------------------------------------- */

static void close_line(struct set *set)
{
	for (int i = 0; set->pairs && i < 2; i++)
		descriptors_close(&set->line_fd[i]);
}

static void set_release(const struct listener_tls *t, struct set *set)
{
	for (size_t i = 0; set->server && i < t->cfg->listener_count; i++)
		tls_server_free(set->server[i]);
	free(set->server);
	close_line(set);
	tls_pairs_free(set->pairs);
	*set = (struct set){ .server = NULL };
}

/* Its certificates were in use, and had expired: nobody is better off when they are refused now. */
static bool had_expired(const struct listener_tls *t, const struct config_listener *l)
{
	int64_t now_us = clock_wall_us();
	struct tls_certificate cert;

	for (size_t i = 0; i < t->cfg->listener_count; i++)
		for (size_t k = 0;
		     listener_tls_server(t, i) && tls_server_certificate(t->used.server[i], k, &cert); k++)
			for (size_t n = 0; n < l->tls_cert_count; n++)
				if (strcmp(l->tls_cert[n], cert.file) == 0 && cert.ends_wall_us <= now_us)
					return true;
	return false;
}

static struct tls_settings settings_of(const struct listener_tls *t, size_t index)
{
	const struct config_listener *l = &t->cfg->listener[index];
	struct tls_settings settings = config_listener_tls(l);

	if (!config_listener_has_tls(l))
		settings.cert_count = 0;
	settings.tickets = t->tickets;
	/* with an old one mail goes on, if only for clients that do not look; a renewal must be one */
	settings.in_date = t->used.server || (t->before && !had_expired(t->before, l));
	settings.pairs = t->loaded.pairs;
	settings.pairs_index = index;
	return settings;
}

/* All certificates, and the keys as far as this process is to have them: a vault, and a line to who opens it. */
static int load_pairs(struct listener_tls *t, struct err *e)
{
	struct tls_settings *settings = mem_array(t->cfg->listener_count, sizeof(*settings));

	for (size_t i = 0; i < t->cfg->listener_count; i++)
		settings[i] = settings_of(t, i);
	t->loaded.line_fd[0] = t->loaded.line_fd[1] = -1;
	t->loaded.pairs = tls_pairs_read(settings, t->cfg->listener_count, e);
	free(settings);
	if (!t->loaded.pairs)
		return -1;
	if (descriptors_request_line(t->loaded.line_fd) == 0)
		return 0;
	err_set_os(e, errno, "cannot make the socket pair from workers to the key process");
	return -1;
}

static int make_server(struct listener_tls *t, size_t index, struct err *e)
{
	struct tls_settings settings = settings_of(t, index);

	t->loaded.server[index] = tls_server_new(&settings, e);
	if (t->loaded.server[index])
		return 0;
	err_prefix(e, "listener \"%s\"", t->cfg->listener[index].name);
	return -1;
}

/* Once: they outlive the certificates that sessions began with. */
static int make_tickets(struct listener_tls *t, struct err *e)
{
	if (!config_has_tls(t->cfg) || t->tickets || t->cfg->tls_ticket_lifetime_ms == 0)
		return 0;
	if (t->before && t->before->tickets &&
	    tls_tickets_lifetime_ms(t->before->tickets) == t->cfg->tls_ticket_lifetime_ms) {
		t->tickets = t->before->tickets;
		return 0;
	}
	t->tickets = tls_tickets_new(t->cfg->tls_ticket_lifetime_ms, e);
	return t->tickets ? 0 : -1;
}

static int load(void *ctx, struct err *e)
{
	struct listener_tls *t = ctx;
	int result;

	t->loaded.server = mem_array(t->cfg->listener_count, sizeof(*t->loaded.server));
	result = make_tickets(t, e);
	if (result == 0 && config_has_tls(t->cfg))
		result = load_pairs(t, e);
	for (size_t i = 0; i < t->cfg->listener_count && result == 0; i++)
		if (config_listener_has_tls(&t->cfg->listener[i]))
			result = make_server(t, i, e);
	if (result < 0)
		set_release(t, &t->loaded);
	return result;
}

static void swap(void *ctx)
{
	struct listener_tls *t = ctx;

	set_release(t, &t->used);
	t->used = t->loaded;
	t->loaded = (struct set){ .server = NULL };
	t->turn++;
	t->warned_mono_ms = 0;
}

static void drop(void *ctx)
{
	struct listener_tls *t = ctx;

	set_release(t, &t->loaded);
}

static void release(void *ctx)
{
	struct listener_tls *t = ctx;

	set_release(t, &t->loaded);
	set_release(t, &t->used);
	if (t->before && t->tickets == t->before->tickets)
		t->tickets = NULL;
	tls_tickets_free(t->tickets);
	free(t);
}

static const char *file_of(const struct config_listener *l, size_t index)
{
	if (index < l->tls_cert_count)
		return l->tls_cert[index];
	index -= l->tls_cert_count;
	if (index < l->tls_key_count)
		return l->tls_key[index];
	return index == l->tls_key_count ? l->tls_client_ca : NULL;
}

static const char *file(void *ctx, size_t index)
{
	const struct listener_tls *t = ctx;

	for (size_t i = 0; i < t->cfg->listener_count; i++) {
		const struct config_listener *l = &t->cfg->listener[i];
		size_t count = l->tls_cert_count + l->tls_key_count + (l->tls_client_ca ? 1 : 0);

		if (!config_listener_has_tls(l))
			continue;
		if (index < count)
			return file_of(l, index);
		index -= count;
	}
	return NULL;
}

struct listener_tls *listener_tls_new(const struct config *cfg)
{
	struct listener_tls *t = mem_alloc(sizeof(*t));

	t->cfg = cfg;
	return t;
}

void listener_tls_follow(struct listener_tls *t, struct listener_tls *before)
{
	t->before = before;
}

void listener_tls_take_over(struct listener_tls *t)
{
	if (!t->before)
		return;
	/* others: sessions of workers that are still there issue tickets with them */
	if (t->before->tickets != t->tickets)
		tls_tickets_leave(t->before->tickets);
	t->before->tickets = NULL;
	t->before = NULL;
}

void listener_tls_register(struct listener_tls *t, struct reload *r)
{
	reload_add(r, &(struct reloadable){ .what = "certificates",
					    .file = file,
					    .load = load,
					    .swap = swap,
					    .drop = drop,
					    .release = release,
					    .ctx = t });
}

const struct tls_server *listener_tls_server(const struct listener_tls *t, size_t index)
{
	return t->used.server ? t->used.server[index] : NULL;
}

/* ---- keys ------------------------------------------------------------------------------------ */

unsigned listener_tls_turn(const struct listener_tls *t)
{
	return t->turn;
}

void listener_tls_ask_keys(struct listener_tls *t, struct control *control)
{
	struct set *set = &t->used;

	if (!set->pairs)
		return;
	tls_pairs_close_vault(set->pairs);
	close(set->line_fd[0]);
	set->line_fd[0] = -1;
	keys_client_use(set->line_fd[1], control);
}

void listener_tls_forget_keys(struct listener_tls *t)
{
	if (t->used.pairs)
		tls_pairs_close_vault(t->used.pairs);
	close_line(&t->used);
}

void listener_tls_take_keys(struct listener_tls *t, int *vault_fd, int *line_fd)
{
	struct set *set = &t->used;

	/* copies: the set goes with all else that is read of files */
	*vault_fd = fcntl(tls_pairs_vault(set->pairs), F_DUPFD_CLOEXEC, 0);
	*line_fd = set->line_fd[0];
	set->line_fd[0] = -1;
}

/* ---- the end of certificates ---------------------------------------------------------------- */

typedef void tell_function(void *ctx, const struct tls_certificate *cert, bool early, int64_t left_ms);

/* Each file once, however many listeners use it. */
static bool is_told(const struct listener_tls *t, size_t listener, size_t index, const char *name)
{
	struct tls_certificate cert;

	for (size_t i = 0; i <= listener; i++)
		for (size_t k = 0; listener_tls_server(t, i) && (i < listener || k < index) &&
				   tls_server_certificate(t->used.server[i], k, &cert);
		     k++)
			if (strcmp(cert.file, name) == 0)
				return true;
	return false;
}

static void for_ending(const struct listener_tls *t, tell_function *tell, void *ctx)
{
	int64_t now_us = clock_wall_us();
	struct tls_certificate cert;

	for (size_t i = 0; i < t->cfg->listener_count; i++) {
		const struct tls_server *server = listener_tls_server(t, i);

		for (size_t k = 0; server && tls_server_certificate(server, k, &cert); k++) {
			int64_t left_ms = (cert.ends_wall_us - now_us) / 1000;
			bool early = cert.begins_wall_us != INT64_MAX && cert.begins_wall_us > now_us;

			if ((early || left_ms <= 0 || left_ms < t->cfg->tls_expiry_warning_ms) &&
			    !is_told(t, i, k, cert.file))
				tell(ctx, &cert, early, left_ms);
		}
	}
}

static void log_ending(void *ctx, const struct tls_certificate *cert, bool early, int64_t left_ms)
{
	char begins[CLOCK_UTC_MAX], ends[CLOCK_UTC_MAX];
	bool good = !early && left_ms > 0;
	struct log_line line;

	(void)ctx;
	log_begin(&line, good ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
		  good    ? "certificate_expires"
		  : early ? "certificate_early"
			  : "certificate_expired");
	log_str(&line, "file", cert->file);
	log_str(&line, "names", cert->names);
	if (early)
		log_str(&line, "begins", clock_format_utc(cert->begins_wall_us, begins));
	log_str(&line, "ends", clock_format_utc(cert->ends_wall_us, ends));
	log_int(&line, "days", left_ms / DAY_MS);
	log_end(&line);
}

static void set_figures(const struct listener_tls *t)
{
	struct tls_certificate cert;

	for (size_t i = 0; i < t->cfg->listener_count; i++)
		for (size_t k = 0;
		     listener_tls_server(t, i) && tls_server_certificate(listener_tls_server(t, i), k, &cert);
		     k++)
			figures_set(FIGURE_CERTIFICATE_EXPIRY, figures_name(FIGURES_CERTIFICATES, cert.file),
				    0, cert.ends_wall_us);
}

void listener_tls_tick(struct listener_tls *t)
{
	if (t->tickets)
		tls_tickets_tick(t->tickets);
	if (t->warned_mono_ms != 0 && clock_mono_ms() - t->warned_mono_ms < DAY_MS)
		return;
	t->warned_mono_ms = clock_mono_ms();
	set_figures(t);
	for_ending(t, log_ending, NULL);
}

struct text_report {
	void (*report)(void *ctx, const char *text);
	void *ctx;
};

static void tell_ending(void *ctx, const struct tls_certificate *cert, bool early, int64_t left_ms)
{
	const struct text_report *r = ctx;
	char when[CLOCK_UTC_MAX];
	struct err e;

	if (early)
		err_set(&e,
			"warning: %s: the certificate (%s) is not valid before %s: is the clock of this "
			"machine right?",
			cert->file, cert->names, clock_format_utc(cert->begins_wall_us, when));
	else if (left_ms <= 0)
		err_set(&e, "warning: %s: the certificate (%s) expired at %s: renew it", cert->file,
			cert->names, clock_format_utc(cert->ends_wall_us, when));
	else
		err_set(&e, "warning: %s: the certificate (%s) ends in %lld days, at %s", cert->file,
			cert->names, (long long)(left_ms / DAY_MS),
			clock_format_utc(cert->ends_wall_us, when));
	r->report(r->ctx, e.text);
}

void listener_tls_warnings(const struct listener_tls *t, void (*report)(void *ctx, const char *text),
			   void *ctx)
{
	struct text_report r = { report, ctx };

	for_ending(t, tell_ending, &r);
}
