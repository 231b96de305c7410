/* SPDX-License-Identifier: ISC */
/*
 * Who watches: log lines of this process by the log's tap, those of workers
 * and master by datagrams, as JSON objects. A watcher that does not keep up is
 * cut off; one that is slow never slows down who logs.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "manage/json.h"
#include "relay/door_internal.h"

#define LINE_MAX_BYTES 4096 /* base/log.c makes no longer ones */
#define LINES_AT_ONCE 64 /* then deliveries have a turn */

/* Takes the reference. */
static void tell(struct door *d, json_t *event)
{
	for (struct door_conn *c = d->conns; c; c = c->next) {
		if (c->mode != CONN_WATCHING)
			continue;
		if (evbuffer_get_length(bufferevent_get_output(c->bev)) <= DOOR_WATCH_OUTPUT_MAX) {
			conn_send(c, json_incref(event));
			continue;
		}
		conn_send_error(c, "events come faster than they are read here: cut off");
		conn_close_soon(c);
	}
	json_decref(event);
}

static void tell_line(struct door *d, const char *line, size_t len)
{
	char copy[LINE_MAX_BYTES + 1];
	json_t *event;

	if (len > LINE_MAX_BYTES)
		return;
	memcpy(copy, line, len);
	copy[len] = '\0';
	/* a worker's datagram: what is no log line is nobody's business */
	event = protocol_event(copy, len, clock_wall_us());
	if (event)
		tell(d, event);
}

static void on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct door *d = ctx;

	(void)level;
	if (d->watchers > 0)
		tell_line(d, line, len);
}

static void tell_lost(struct door *d)
{
	uint64_t lost = d->setup.lost ? atomic_load(d->setup.lost) : 0;
	json_t *o;

	if (lost == d->lost_told)
		return;
	o = json_object();
	json_put_key(o, "event", json_string("watch_lost"));
	json_put_key(o, "lines", json_integer((json_int_t)(lost - d->lost_told)));
	json_put_key(o, "time_ms", json_integer(clock_wall_us() / 1000));
	d->lost_told = lost;
	tell(d, o);
}

static void on_lines(evutil_socket_t fd, short what, void *ctx)
{
	struct door *d = ctx;
	char line[LINE_MAX_BYTES];

	(void)what;
	for (int i = 0; i < LINES_AT_ONCE; i++) {
		ssize_t n = recv(fd, line, sizeof(line), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			break;
		/* nobody of ours sends an empty line: it was shut down, and that would be seen for ever */
		if (n == 0) {
			event_del(d->lines);
			break;
		}
		if (d->watchers > 0 && (size_t)n <= sizeof(line))
			tell_line(d, line, (size_t)n);
	}
	if (d->watchers > 0)
		tell_lost(d);
}

static void set_watched(struct door *d)
{
	if (d->setup.watched)
		atomic_store(d->setup.watched, d->watchers > 0);
}

int watch_open(struct door *d, struct err *e)
{
	(void)e;
	set_watched(d);
	log_tap(on_log, d);
	if (d->setup.event_fd < 0)
		return 0;
	d->lines = event_new(d->base, d->setup.event_fd, EV_READ | EV_PERSIST, on_lines, d);
	ASSERT(d->lines);
	event_add(d->lines, NULL);
	return 0;
}

void watch_close(struct door *d)
{
	log_tap(NULL, NULL);
	d->watchers = 0;
	set_watched(d);
	if (d->lines)
		event_free(d->lines);
}

void watch_begin(struct door_conn *c)
{
	struct door *d = c->door;
	json_t *o = json_object();

	if (d->watchers++ == 0 && d->setup.lost)
		d->lost_told = atomic_load(d->setup.lost);
	set_watched(d);
	c->mode = CONN_WATCHING;
	json_put_key(o, "watching", json_true());
	conn_send(c, o);
}

void watch_end(struct door_conn *c)
{
	c->door->watchers--;
	set_watched(c->door);
}
