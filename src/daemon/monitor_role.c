/* SPDX-License-Identifier: ISC */
/*
 * The monitor process: figures over HTTP and as a file, health, and the questions to the workers that health
 * is judged by. It reads what the others counted and has no more of them than that: no spool, no secret, no
 * client. Runs as smtp_user. When it hangs its own alarm ends it, and nobody waits for it.
 */
#include "daemon/monitor.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/confine.h"
#include "daemon/health.h"
#include "daemon/inherit.h"
#include "daemon/service.h"
#include "figures/figures.h"
#include "figures/render.h"
#include "listener/peer.h"
#include "monitor/probe.h"
#include "monitor/server.h"
#include "monitor/textfile.h"

#define BACKLOG 16
#define BEAT_MS 1000
#define PROBE_MS 10000
#define ANSWER_MS 5000 /* then the worker that took the question hangs, and another is asked */
#define FILE_MS 15000 /* as often as Prometheus usually asks */
#define HANGS_S 30 /* without a beat: a disk, mostly */

struct monitor {
	struct service *service;
	struct child_start *start;
	struct event_base *base;
	struct event *control, *beat, *ask, *file;
	struct server *server;
	struct probe *probe;
	uint64_t moves; /* what sessions did, when it was last looked at */
	unsigned beats;
	bool file_failed; /* it was told */
};

/* ---- what is known at a moment ---------------------------------------------------------- */

static void set_workers(const struct service *s)
{
	struct scoreboard_count count;

	scoreboard_count(s->board, &count);
	figures_set(FIGURE_WORKERS, 0, 0, count.starting);
	figures_set(FIGURE_WORKERS, 1, 0, count.idle);
	figures_set(FIGURE_WORKERS, 2, 0, count.busy);
	figures_set(FIGURE_WORKERS, 3, 0, count.leaving);
}

static void set_spool(const struct service *s)
{
	struct statvfs fs;

	if (!s->has_relay || statvfs(s->cfg->spool, &fs) != 0)
		return;
	figures_set(FIGURE_SPOOL_FREE, 0, 0, (int64_t)(fs.f_bavail * fs.f_frsize));
	figures_set(FIGURE_SPOOL_SIZE, 0, 0, (int64_t)(fs.f_blocks * fs.f_frsize));
	figures_set(FIGURE_SPOOL_FILES_FREE, 0, 0, (int64_t)fs.f_favail);
}

static void look_at_health(const struct service *s, struct health_report *report)
{
	struct health_facts facts;

	health_gather(s, &facts);
	health_judge(&facts, report);
	figures_set(FIGURE_HEALTHY, 0, 0, report->healthy);
	for (unsigned i = 0; i < HEALTH_CHECKS; i++)
		figures_set(FIGURE_HEALTH_CHECK, i, 0, report->finding[i].healthy);
}

static bool render(const struct service *s, struct buf *out, enum figures_format format)
{
	struct health_report report;

	set_workers(s);
	set_spool(s);
	look_at_health(s, &report);
	return figures_render(out, format, clock_wall_us(), clock_mono_ms());
}

/* ---- HTTP ------------------------------------------------------------------------------- */

static bool may_ask(void *ctx, int fd)
{
	const struct monitor *m = ctx;
	const struct config *cfg = m->service->cfg;
	struct cidr here[2];
	struct peer peer;
	struct err e;

	peer_of(fd, &peer);
	if (peer.address.ss_family == AF_UNIX)
		return true;
	ASSERT(cidr_parse("127.0.0.0/8", &here[0], &e) == 0 && cidr_parse("::1", &here[1], &e) == 0);
	return peer_is_in(&peer, here, 2) || peer_is_in(&peer, cfg->metrics_from, cfg->metrics_from_count);
}

static int answer_metrics(const struct monitor *m, const struct monitor_request *request, struct buf *body,
			  const char **content_type)
{
	enum figures_format format = request->prefers_plain ? FIGURES_PROMETHEUS : FIGURES_OPENMETRICS;

	if (!render(m->service, body, format)) {
		buf_clear(body);
		buf_adds(body, "The figures are too many.\n");
		return 503;
	}
	*content_type = figures_content_type(format);
	return 200;
}

static int answer_health(const struct monitor *m, bool alive_will_do, struct buf *body)
{
	struct health_report report;
	bool good;

	look_at_health(m->service, &report);
	good = alive_will_do ? report.alive : report.healthy;
	buf_addf(body, "%s\n", good ? "ok" : "failed");
	for (int i = 0; i < HEALTH_CHECKS; i++) {
		const struct health_finding *f = &report.finding[i];

		buf_addf(body, "%s: %s: %s\n", health_check_name((enum health_check)i),
			 (alive_will_do ? f->alive : f->healthy) ? "ok" : "failed", f->text);
	}
	return good ? 200 : 503;
}

static int answer(void *ctx, const struct monitor_request *request, struct buf *body,
		  const char **content_type)
{
	const struct monitor *m = ctx;

	if (strcmp(request->path, "/metrics") == 0)
		return answer_metrics(m, request, body, content_type);
	if (strcmp(request->path, "/health") == 0)
		return answer_health(m, false, body);
	if (strcmp(request->path, "/live") == 0)
		return answer_health(m, true, body);
	buf_adds(body, "posthouse: /metrics, /health, /live\n");
	return strcmp(request->path, "/") == 0 ? 200 : 404;
}

static void answered(void *ctx, int status)
{
	char text[12];

	(void)ctx;
	snprintf(text, sizeof(text), "%d", status);
	figures_add(FIGURE_HTTP_REQUESTS, figure_word(FIGURE_HTTP_REQUESTS, 0, text, strlen(text)), 0, 1);
}

/* ---- by time ---------------------------------------------------------------------------- */

static void write_file(struct monitor *m)
{
	struct buf text;
	struct err e;

	buf_init(&text, FIGURES_TEXT_MAX);
	err_set(&e, "the figures are too many for a file");
	if (render(m->service, &text, FIGURES_PROMETHEUS) &&
	    textfile_write(m->service->cfg->metrics_file, &text, &e) == 0) {
		if (m->file_failed)
			log_msg(LOG_LEVEL_INFO, "metrics_file_written", "%s: it is written again",
				m->service->cfg->metrics_file);
		m->file_failed = false;
	} else if (!m->file_failed) {
		log_msg(LOG_LEVEL_ERROR, "metrics_file_failed", "%s", e.text);
		m->file_failed = true;
	}
	buf_release(&text);
}

static uint64_t moves(void)
{
	return figures_sum(FIGURE_COMMANDS) + figures_sum(FIGURE_SESSIONS) +
	       figures_sum(FIGURE_MESSAGES_ACCEPTED);
}

static void on_beat(evutil_socket_t fd, short what, void *ctx)
{
	struct monitor *m = ctx;
	uint64_t now = moves();

	(void)fd;
	(void)what;
	alarm(HANGS_S);
	figures_set(FIGURE_MONITOR_BEAT, 0, 0, clock_mono_ms());
	if (now != m->moves || figures_get(FIGURE_MONITOR_MOVED, 0, 0) == 0)
		figures_set(FIGURE_MONITOR_MOVED, 0, 0, clock_mono_ms());
	m->moves = now;
	/* who had taken it is gone */
	if (figures_get(FIGURE_MONITOR_ASKED, 0, 0) > figures_get(FIGURE_MONITOR_ANSWERED, 0, 0))
		probe_ask(m->probe);
	/* by then the others have started, and the first file does not say that they have not */
	if (m->beats++ == 2 && m->file)
		write_file(m);
}

static void on_probed(void *ctx, enum probe_result result, int64_t took_us)
{
	static const char *const words[] = {
		[PROBE_GOOD] = "answered", [PROBE_NO_STORE] = "answered", [PROBE_LOST] = "failed"
	};

	(void)ctx;
	figures_add(FIGURE_PROBES, figure_word(FIGURE_PROBES, 0, words[result], strlen(words[result])), 0, 1);
	if (result == PROBE_LOST) /* a worker that retired, died or hangs: the question stands, and is asked again */
		return;
	figures_set(FIGURE_MONITOR_ANSWERED, 0, 0, clock_mono_ms());
	figures_set(FIGURE_MONITOR_STORE_FAILED, 0, 0, result == PROBE_NO_STORE);
	figures_observe(FIGURE_PROBE_SECONDS, 0, took_us);
}

static void on_ask(evutil_socket_t fd, short what, void *ctx)
{
	struct monitor *m = ctx;

	(void)fd;
	(void)what;
	if (probe_is_open(m->probe))
		figures_add(FIGURE_PROBES, figure_word(FIGURE_PROBES, 0, "busy", 4), 0, 1);
	else if (figures_get(FIGURE_MONITOR_ASKED, 0, 0) <= figures_get(FIGURE_MONITOR_ANSWERED, 0, 0))
		figures_set(FIGURE_MONITOR_ASKED, 0, 0, clock_mono_ms());
	probe_ask(m->probe);
}

static void on_file(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	write_file(ctx);
}

static void on_answered_all(void *ctx)
{
	event_base_loopbreak(((struct monitor *)ctx)->base);
}

/* The next one waits for our end; whom it does not know of is answered first. */
static void on_control(evutil_socket_t fd, short what, void *ctx)
{
	struct monitor *m = ctx;

	(void)fd;
	(void)what;
	control_read(&m->start->control);
	if (m->start->control.stopping)
		event_base_loopbreak(m->base);
	else if (m->start->control.retiring)
		server_retire(m->server, on_answered_all, m);
}

/* ---- the process ------------------------------------------------------------------------ */

static struct event *each(struct monitor *m, int ms, event_callback_fn callback)
{
	const struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	struct event *e = event_new(m->base, -1, EV_PERSIST, callback, m);

	ASSERT(e);
	event_add(e, &tv);
	return e;
}

static int open_all(struct monitor *m, struct err *e)
{
	const struct server_ops ops = { may_ask, answer, answered, m };
	struct service *s = m->service;

	m->base = event_base_new();
	if (!m->base) {
		err_set(e, "cannot make an event loop");
		return -1;
	}
	m->control = event_new(m->base, m->start->control.fd, EV_READ | EV_PERSIST, on_control, m);
	ASSERT(m->control);
	event_add(m->control, NULL);
	m->server = server_new(m->base, &ops, SERVER_DEADLINE_MS);
	for (size_t i = 0; i < s->metrics.count; i++)
		server_listen(m->server, s->metrics.item[i].fd);
	m->probe = probe_new(m->base, s->probe_fd[1], s->has_relay, ANSWER_MS, on_probed, m);
	m->moves = moves();
	m->beat = each(m, BEAT_MS, on_beat);
	m->ask = each(m, PROBE_MS, on_ask);
	if (s->cfg->metrics_file)
		m->file = each(m, FILE_MS, on_file);
	on_beat(-1, 0, m);
	on_ask(-1, 0, m);
	return 0;
}

static void close_all(struct monitor *m)
{
	struct event *const events[] = { m->control, m->beat, m->ask, m->file };

	alarm(0);
	server_free(m->server);
	probe_free(m->probe);
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (events[i])
			event_free(events[i]);
	if (m->base)
		event_base_free(m->base);
	/* what it says does not hold any more. Told to retire, there is a next one who writes it */
	if (m->file && m->start->control.stopping)
		unlink(m->service->cfg->metrics_file);
}

int monitor_main(void *ctx, struct child_start *start)
{
	struct monitor m = { .service = ctx, .start = start };
	struct err e;
	int r = -1;

	figures_become(FIGURES_OF_MONITOR);
	figures_reset_gauges(FIGURES_OF_MONITOR);
	proctitle_set("monitor");
	inherit_as(m.service, ROLE_MONITOR);
	if (rights_drop(&m.service->worker_rights, &e) == 0 && open_all(&m, &e) == 0 &&
	    confine_enter(&m.service->confine, ROLE_MONITOR, &e) == 0) {
		atomic_store(&start->board->shared->ready[ROLE_MONITOR], true);
		r = event_base_dispatch(m.base);
		if (r < 0)
			err_set(&e, "the event loop failed");
	}
	if (r < 0)
		log_msg(LOG_LEVEL_ERROR, "monitor_failed", "%s", e.text);
	close_all(&m);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- in the master ---------------------------------------------------------------------- */

bool monitor_is_wanted(const struct config *cfg)
{
	return cfg->metrics_listen_count > 0 || cfg->metrics_file || getenv("WATCHDOG_USEC");
}

static void log_listening(const struct listening *l)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, "metrics_listening");
	log_str(&line, "localaddr", l->address);
	log_end(&line);
}

int monitor_prepare(struct service *s, struct listening_set *open, struct err *e)
{
	if (descriptors_pair(s->probe_fd) < 0) {
		err_set_os(e, errno, "cannot make the socket pair from the monitor to workers");
		return -1;
	}
	for (size_t i = 0; i < s->cfg->metrics_listen_count; i++) {
		if (listening_take(&s->metrics, open, &s->cfg->metrics_listen[i], "metrics", BACKLOG, e) == 0)
			continue;
		err_prefix(e, "metrics_listen");
		return -1;
	}
	for (size_t i = 0; i < s->metrics.count; i++)
		log_listening(&s->metrics.item[i]);
	return 0;
}

void monitor_name_figures(const struct config *cfg)
{
	figures_names_renew();
	figures_set(FIGURE_BUILD_INFO, figures_name(FIGURES_VERSIONS, PACKAGE_VERSION), 0, 1);
	if (figures_get(FIGURE_START_TIME, 0, 0) == 0)
		figures_set(FIGURE_START_TIME, 0, 0, clock_wall_us());
	figures_set(FIGURE_WORKERS_MAX, 0, 0, cfg->max_workers);
	for (size_t i = 0; i < cfg->listener_count; i++) {
		figures_name(FIGURES_LISTENERS, cfg->listener[i].name);
		for (size_t k = 0; k < cfg->listener[i].tls_cert_count; k++)
			figures_name(FIGURES_CERTIFICATES, cfg->listener[i].tls_cert[k]);
	}
	if (cfg->outbox)
		figures_name(FIGURES_LISTENERS, "outbox");
	for (size_t i = 0; i < cfg->upstream_count; i++)
		figures_name(FIGURES_UPSTREAMS, cfg->upstream[i].name);
}
