/* SPDX-License-Identifier: ISC */
/* See door_world.h. */
#include "door_world.h"

#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "manage/json.h"
#include "unit.h"

/* ---- the relay, played -------------------------------------------------------------- */

char dir[400];
struct spool spool;
struct event_base *base;
struct door *the_door;
struct door_setup door_setup;
int events[2];
_Atomic bool watched;
_Atomic uint64_t lost;
size_t id_total;
char told[2000];

static void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *fmt, ...)
{
	size_t n = strlen(told);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(told + n, sizeof(told) - n, fmt, ap);
	va_end(ap);
}

static json_t *play_status(void *ctx)
{
	json_t *o = json_object();

	(void)ctx;
	/* what strangers sent must be ASCII and printable on the way out */
	json_put_key(o, "strange", json_text("\x1b[2J\xff\x7f\xc3\xa9", 8));
	return o;
}

static json_t *play_flight(void *ctx)
{
	(void)ctx;
	return json_array();
}

void id_of(size_t i, struct spool_id *id)
{
	unsigned char packed[10] = { 0 };

	packed[0] = 1;
	for (int k = 0; k < 4; k++)
		packed[9 - k] = (unsigned char)(i >> 8 * k);
	spool_id_unpack(packed, id);
}

static void play_ids(void *ctx, void (*each)(void *each_ctx, const char *id), void *each_ctx)
{
	(void)ctx;
	for (size_t i = 0; i < id_total; i++) {
		struct spool_id id;

		id_of(i, &id);
		each(each_ctx, id.text);
	}
}

static void play_order(void *ctx, const struct action_order *order, struct action_item *items, size_t count)
{
	(void)ctx;
	tell("%s by=%s reason=%s route=%s n=%zu;", action_name(order->action), order->by,
	     order->reason ? order->reason : "-", order->route ? order->route : "-", count);
	for (size_t i = 0; i < count; i++) {
		items[i].result = (enum action_result)(i % ACTION_RESULTS);
		items[i].due_wall_ms = i == 0 ? 1795000000123 : CLOCK_NEVER;
		err_set(&items[i].e, "it is %zu", i);
	}
}

static int play_suspend(void *ctx, const struct suspension *s, struct err *e)
{
	(void)ctx;
	tell("suspend %s until=%lld reason=%s by=%s;", s->upstream ? s->upstream : "*", (long long)s->until_wall_us,
	     s->reason ? s->reason : "-", s->by);
	if (!s->upstream || strcmp(s->upstream, "none") != 0)
		return 0;
	err_set(e, "there is no upstream \"none\"");
	return -1;
}

static int play_resume(void *ctx, const char *upstream, const char *by, struct err *e)
{
	ck_assert_int_eq(strncmp(by, "uid=", 4), 0);
	(void)ctx;
	(void)e;
	tell("resume %s;", upstream ? upstream : "*");
	return 0;
}

static int play_probe(void *ctx, const char *upstream, const char *by, struct err *e)
{
	ck_assert_int_eq(strncmp(by, "uid=", 4), 0);
	(void)ctx;
	(void)e;
	tell("probe %s;", upstream ? upstream : "*");
	return 0;
}

static const struct door_ops ops = { play_status, play_flight, play_ids, play_order, play_suspend, play_resume,
				     play_probe };

void open_spool(const char *template)
{
	struct err e;

	strcpy(dir, "/tmp/posthouse-door-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	strcat(dir, template);
	ck_assert_msg(spool_prepare(dir, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0, "%s", e.text);
	ck_assert_int_eq(spool_open(&spool, dir, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e), 0);
}

void open_door(void)
{
	struct err e;

	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	door_setup.spool = &spool;
	door_setup.view_gid = door_setup.control_gid = (gid_t)-1;
	door_setup.event_fd = events[0];
	door_setup.watched = &watched;
	door_setup.lost = &lost;
	door_setup.ops = &ops;
	ck_assert_msg(door_open(&the_door, base, &door_setup, &e) == 0, "%s", e.text);
}

void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, events), 0);
	open_spool("/spool");
	open_door();
}

void teardown(void)
{
	char command[500];

	door_close(the_door);
	event_base_free(base);
	spool_close(&spool);
	dir[strlen("/tmp/posthouse-door-XXXXXX")] = '\0';
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

/* ---- an asker in the same process ---------------------------------------------------- */

void turn(void)
{
	ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
}

void ask_open(struct asker *a, const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memset(a, 0, sizeof(*a));
	snprintf(un.sun_path, sizeof(un.sun_path), "%.80s/%.20s", dir, name);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(connect(a->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	turn();
}

void ask_close(struct asker *a)
{
	close(a->fd);
	free(a->data);
	turn();
}

void ask_send(struct asker *a, const char *text)
{
	ck_assert_int_eq(send(a->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void take(struct asker *a)
{
	ssize_t n;

	if (a->cap - a->len < 70000)
		a->data = mem_resize(a->data, a->cap += 200000, 1);
	n = recv(a->fd, a->data + a->len, 65536, MSG_DONTWAIT);
	if (n > 0)
		a->len += (size_t)n;
	a->at_end = n == 0;
	a->data[a->len] = '\0';
}

/* Turns the loop until the text is there, or the end; what is there. */
const char *ask_wait(struct asker *a, const char *until)
{
	int64_t deadline = clock_mono_ms() + PATIENCE_MS;

	do {
		turn();
		take(a);
		if (until && strstr(a->data, until))
			return a->data;
		if (a->at_end)
			break;
	} while (clock_mono_ms() < deadline);
	ck_assert_msg(!until && a->at_end, "no %s in %.300s", until ? until : "end", a->data);
	return a->data;
}

const char *answer_to(struct asker *a, const char *request)
{
	a->len = 0;
	ask_send(a, request);
	return ask_wait(a, "\"end\":true");
}

size_t count(const char *text, char c)
{
	size_t n = 0;

	for (; (text = strchr(text, c)); text++)
		n++;
	return n;
}
