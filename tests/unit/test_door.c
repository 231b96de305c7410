/* SPDX-License-Identifier: ISC */
/*
 * The relay's sockets with a relay that is played by the test: requests and
 * answers, ceilings, deadlines, watchers, descriptors; and the command's end of
 * them (cli/daemon.c) against a door in another process.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/daemon.h"
#include "manage/json.h"
#include "manage/protocol.h"
#include "relay/door.h"
#include "smtp/envelope.h"
#include "spool/txn.h"
#include "unit.h"

#define PATIENCE_MS 20000

/* ---- the relay, played -------------------------------------------------------------- */

static char dir[400];
static struct spool spool;
static struct event_base *base;
static struct door *the_door;
static struct door_setup door_setup;
static int events[2];
static _Atomic bool watched;
static _Atomic uint64_t lost;
static size_t id_total;
static char told[2000]; /* what the ops were told */

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

static void id_of(size_t i, struct spool_id *id)
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

static int play_resume(void *ctx, const char *upstream, struct err *e)
{
	(void)ctx;
	(void)e;
	tell("resume %s;", upstream ? upstream : "*");
	return 0;
}

static int play_probe(void *ctx, const char *upstream, struct err *e)
{
	(void)ctx;
	(void)e;
	tell("probe %s;", upstream ? upstream : "*");
	return 0;
}

static const struct door_ops ops = { play_status, play_flight, play_ids, play_order, play_suspend, play_resume,
				     play_probe };

static void open_spool(const char *template)
{
	struct err e;

	strcpy(dir, "/tmp/posthouse-door-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	strcat(dir, template);
	ck_assert_msg(spool_prepare(dir, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0, "%s", e.text);
	ck_assert_int_eq(spool_open(&spool, dir, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e), 0);
}

static void open_door(void)
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

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, events), 0);
	open_spool("/spool");
	open_door();
}

static void teardown(void)
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

struct asker {
	int fd;
	char *data;
	size_t len, cap;
	bool at_end;
};

static void turn(void)
{
	ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
}

static void ask_open(struct asker *a, const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memset(a, 0, sizeof(*a));
	snprintf(un.sun_path, sizeof(un.sun_path), "%.80s/%.20s", dir, name);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(connect(a->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	turn();
}

static void ask_close(struct asker *a)
{
	close(a->fd);
	free(a->data);
	turn();
}

static void ask_send(struct asker *a, const char *text)
{
	ck_assert_int_eq(send(a->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void take(struct asker *a)
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
static const char *ask_wait(struct asker *a, const char *until)
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

static const char *answer_to(struct asker *a, const char *request)
{
	a->len = 0;
	ask_send(a, request);
	return ask_wait(a, "\"end\":true");
}

/* ---- requests ----------------------------------------------------------------------- */

START_TEST(what_strangers_sent_is_answered_in_ascii)
{
	struct asker a;

	ask_open(&a, "view");
	ck_assert_str_eq(answer_to(&a, "{\"ask\":\"status\"}\n"),
			 "{\"strange\":\"\\u001B[2J\\uFFFD\\u007F\\u00E9\",\"end\":true}\n");
	/* again on the same connection */
	ck_assert_str_eq(answer_to(&a, "{\"ask\":\"flight\"}\n"), "{\"flight\":[],\"end\":true}\n");
	ask_close(&a);
}
END_TEST

START_TEST(a_request_may_come_octet_by_octet)
{
	static const char request[] = "{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":\"why\"}\n";
	struct asker a;

	ask_open(&a, "control");
	for (const char *p = request; *p; p++) {
		char one[2] = { *p, '\0' };

		ask_send(&a, one);
		turn();
	}
	ck_assert_str_eq(ask_wait(&a, "\"end\":true"),
			 "{\"id\":\"0m4x7f3q9zkab1cd\",\"result\":\"done\",\"in_flight\":false,"
			 "\"next_attempt\":1795000000,\"report\":null,\"error\":null}\n{\"end\":true}\n");
	ck_assert_ptr_nonnull(strstr(told, "hold by=uid="));
	ck_assert_ptr_nonnull(strstr(told, "reason=why route=- n=1;"));
	ask_close(&a);
}
END_TEST

START_TEST(requests_may_come_together)
{
	struct asker a;

	ask_open(&a, "control");
	ask_send(&a, "{\"do\":\"resume\",\"upstream\":null}\n{\"do\":\"resume\",\"upstream\":\"a\"}\n"
		     "{\"do\":\"probe\",\"upstream\":\"b\"}\n");
	ask_wait(&a, "{\"end\":true}\n{\"end\":true}\n{\"end\":true}\n");
	ck_assert_str_eq(told, "resume *;resume a;probe b;");
	ask_close(&a);
}
END_TEST

START_TEST(who_closes_its_side_is_answered)
{
	struct asker a;

	ask_open(&a, "view");
	ask_send(&a, "{\"ask\":\"flight\"}\n{\"ask\":\"flight\"}\n{\"ask\":");
	shutdown(a.fd, SHUT_WR);
	ck_assert_str_eq(ask_wait(&a, NULL), "{\"flight\":[],\"end\":true}\n{\"flight\":[],\"end\":true}\n");
	ask_close(&a);
}
END_TEST

START_TEST(who_looks_changes_nothing)
{
	static const char *const changes[] = {
		"{\"do\":\"remove\",\"ids\":[\"0m4x7f3q9zkab1cd\"]}\n",
		"{\"do\":\"suspend\",\"upstream\":null}\n",
		"{\"do\":\"resume\",\"upstream\":null}\n",
		"{\"do\":\"probe\",\"upstream\":null}\n",
	};
	struct asker a;

	ask_open(&a, "view");
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
		ck_assert_ptr_nonnull(strstr(answer_to(&a, changes[i]), "{\"error\":\"on this socket one may only look"));
	for (unsigned i = 0; i < ACTION_COUNT; i++) {
		char request[200];

		snprintf(request, sizeof(request), "{\"do\":\"%s\",\"ids\":[\"0m4x7f3q9zkab1cd\"]%s}\n",
			 action_name((enum action)i), i == ACTION_REROUTE ? ",\"upstream\":null" : "");
		ck_assert_ptr_nonnull(strstr(answer_to(&a, request), "one may only look"));
	}
	ck_assert_str_eq(told, "");
	ask_close(&a);
}
END_TEST

START_TEST(failures_are_told)
{
	struct asker a;

	ask_open(&a, "control");
	ck_assert_str_eq(answer_to(&a, "{\"do\":\"suspend\",\"upstream\":\"none\",\"until\":4000000000,"
				       "\"reason\":\"r\"}\n"),
			 "{\"error\":\"there is no upstream \\\"none\\\"\",\"end\":true}\n");
	ck_assert_ptr_nonnull(strstr(told, "suspend none until=4000000000000000 reason=r by=uid="));
	ck_assert_str_eq(answer_to(&a, "{\"do\":\"suspend\",\"upstream\":null}\n"), "{\"end\":true}\n");
	ask_close(&a);
}
END_TEST

/* Each is an error, and the last that is heard of that connection. */
static const char *const bad[] = {
	"", "x", "[]", "{}", "null", "{\"ask\":\"status\"", "{\"ask\":\"status\"}}", "{\"ask\":1}", "{\"ask\":\"\"}",
	"{\"ask\":\"hold\"}", "{\"do\":\"status\"}", "{\"do\":\"nothing\"}", "{\"ask\":\"status\",\"do\":\"resume\"}",
	"{\"ask\":\"status\",\"x\":1}", "{\"ask\":\"status\",\"ask\":\"status\"}", "{\"ask\":\"status\",\"ids\":[]}",
	"{\"ask\":\"open\"}", "{\"ask\":\"open\",\"ids\":[]}", "{\"ask\":\"open\",\"ids\":\"0m4x7f3q9zkab1cd\"}",
	"{\"ask\":\"open\",\"ids\":[\"../lock\"]}", "{\"ask\":\"open\",\"ids\":[null]}",
	"{\"ask\":\"open\",\"ids\":[\"0m4x7f3q9zkab1cd\",\"0m4x7f3q9zkab1cd\"]}",
	"{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":7}",
	"{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":\"\"}",
	"{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":\"a\\nb\"}",
	"{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":\"a\\u0000b\"}",
	"{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":\"a\\u007fb\"}",
	"{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"upstream\":null}",
	"{\"do\":\"reroute\",\"ids\":[\"0m4x7f3q9zkab1cd\"]}", "{\"do\":\"resume\"}",
	"{\"do\":\"resume\",\"upstream\":1}", "{\"do\":\"resume\",\"upstream\":\"a\",\"until\":1}",
	"{\"do\":\"suspend\",\"upstream\":null,\"until\":0}", "{\"do\":\"suspend\",\"upstream\":null,\"until\":-5}",
	"{\"do\":\"suspend\",\"upstream\":null,\"until\":1.5}", "{\"do\":\"suspend\",\"upstream\":null,\"until\":\"1\"}",
	"{\"do\":\"suspend\",\"upstream\":null,\"until\":9223372036854775807}",
};

START_TEST(what_is_no_request_is_refused)
{
	struct asker a;
	char request[300];

	ask_open(&a, "control");
	snprintf(request, sizeof(request), "%s\n", bad[_i]);
	ask_send(&a, request);
	ck_assert_int_eq(strncmp(ask_wait(&a, NULL), "{\"error\":\"", 10), 0);
	ck_assert_ptr_nonnull(strstr(a.data, "\"end\":true}\n"));
	ck_assert_str_eq(told, "");
	ask_close(&a);
}
END_TEST

START_TEST(every_cut_of_a_request_is_harmless)
{
	static const char request[] = "{\"do\":\"hold\",\"ids\":[\"0m4x7f3q9zkab1cd\"],\"reason\":\"why\"}";

	for (size_t cut = 0; cut < sizeof(request) - 1; cut++) {
		struct asker a;
		char part[100];

		ask_open(&a, "control");
		snprintf(part, sizeof(part), "%.*s", (int)cut, request);
		ask_send(&a, part);
		shutdown(a.fd, SHUT_WR);
		ck_assert_str_eq(ask_wait(&a, NULL), "");
		ask_close(&a);
	}
	ck_assert_str_eq(told, "");
}
END_TEST

/* ---- ceilings and deadlines ---------------------------------------------------------- */

START_TEST(a_request_has_a_longest_length)
{
	char piece[4097];
	struct asker a;

	ask_open(&a, "view");
	memset(piece, 'x', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = '\0';
	for (int i = 0; i < 17; i++) {
		if (send(a.fd, piece, strlen(piece), MSG_NOSIGNAL) < 0)
			break; /* closed already, or it reads no more */
		turn();
	}
	ck_assert_str_eq(ask_wait(&a, NULL), "{\"error\":\"the request is too long\",\"end\":true}\n");
	ask_close(&a);
}
END_TEST

START_TEST(viewers_cannot_lock_operators_out)
{
	struct asker view[DOOR_VIEW_MAX + 2], control[DOOR_CONTROL_MAX + 1];
	size_t most = getuid() == 0 ? DOOR_VIEW_MAX : DOOR_VIEW_MAX_A_USER;

	for (size_t i = 0; i <= most; i++)
		ask_open(&view[i], "view");
	ck_assert_ptr_nonnull(strstr(ask_wait(&view[most], NULL), "too many connections"));
	ask_close(&view[most]);
	for (size_t i = 0; i <= DOOR_CONTROL_MAX; i++)
		ask_open(&control[i], "control");
	ck_assert_ptr_nonnull(strstr(ask_wait(&control[DOOR_CONTROL_MAX], NULL), "too many connections"));
	ck_assert_str_eq(answer_to(&control[0], "{\"do\":\"resume\",\"upstream\":null}\n"), "{\"end\":true}\n");
	for (size_t i = 0; i <= DOOR_CONTROL_MAX; i++)
		ask_close(&control[i]);
	/* a place that is left is free again */
	ask_close(&view[0]);
	ask_open(&view[0], "view");
	ck_assert_str_eq(answer_to(&view[0], "{\"ask\":\"flight\"}\n"), "{\"flight\":[],\"end\":true}\n");
	for (size_t i = 0; i < most; i++)
		ask_close(&view[i]);
}
END_TEST

static void set_deadlines(int request_ms, int idle_ms)
{
	door_close(the_door);
	event_base_free(base);
	door_setup.request_ms = request_ms;
	door_setup.idle_ms = idle_ms;
	open_door();
}

START_TEST(half_a_request_has_a_deadline)
{
	int64_t began = clock_mono_ms();
	struct asker a;

	set_deadlines(150, 60000);
	ask_open(&a, "view");
	/* also when something comes again and again */
	while (!a.at_end && clock_mono_ms() - began < PATIENCE_MS) {
		(void)!send(a.fd, " ", 1, MSG_NOSIGNAL);
		turn();
		take(&a);
		poll(NULL, 0, 5);
	}
	ck_assert_str_eq(a.data, "{\"error\":\"the request was not finished in time\",\"end\":true}\n");
	ask_close(&a);
}
END_TEST

START_TEST(who_asks_nothing_goes)
{
	struct asker a;

	set_deadlines(60000, 50);
	ask_open(&a, "view");
	ck_assert_str_eq(ask_wait(&a, NULL), "{\"error\":\"no request for a long time\",\"end\":true}\n");
	ask_close(&a);
}
END_TEST

/* ---- long answers -------------------------------------------------------------------- */

static size_t count(const char *text, char c)
{
	size_t n = 0;

	for (; (text = strchr(text, c)); text++)
		n++;
	return n;
}

START_TEST(a_million_ids_are_sent_as_they_are_read)
{
	struct asker slow, quick;
	struct spool_id last;
	size_t commas;

	id_total = 1000000;
	ask_open(&slow, "view");
	ask_send(&slow, "{\"ask\":\"ids\"}\n");
	for (int i = 0; i < 50; i++)
		turn();
	/* meanwhile others are answered */
	ask_open(&quick, "view");
	ck_assert_str_eq(answer_to(&quick, "{\"ask\":\"flight\"}\n"), "{\"flight\":[],\"end\":true}\n");
	ask_wait(&slow, "{\"end\":true}\n");
	commas = count(slow.data, ',');
	ck_assert_uint_eq(commas, id_total - count(slow.data, '['));
	id_of(id_total - 1, &last);
	ck_assert_ptr_nonnull(strstr(slow.data, last.text));
	/* nothing is left over, and it may ask again */
	id_total = 0;
	ck_assert_str_eq(answer_to(&slow, "{\"ask\":\"ids\"}\n"), "{\"end\":true}\n");
	ask_close(&slow);
	ask_close(&quick);
}
END_TEST

START_TEST(few_may_list_at_the_same_time)
{
	struct asker a[5];

	id_total = 1000000;
	for (int i = 0; i < 5; i++) {
		ask_open(&a[i], "view");
		ask_send(&a[i], "{\"ask\":\"ids\"}\n");
		turn();
	}
	ck_assert_ptr_nonnull(strstr(ask_wait(&a[4], "\"end\":true"), "\"error\":\"the relay is listing"));
	/* one that goes in the middle makes room */
	ask_close(&a[0]);
	id_total = 1;
	ck_assert_ptr_nonnull(strstr(answer_to(&a[4], "{\"ask\":\"ids\"}\n"), "{\"ids\":[\""));
	for (int i = 1; i < 5; i++)
		ask_close(&a[i]);
}
END_TEST

/* ---- watching ------------------------------------------------------------------------ */

static void log_something(const char *value)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_ERROR, "something");
	log_str(&line, "value", value);
	log_end(&line);
}

static void to_dev_null(void)
{
	int fd = open("/dev/null", O_WRONLY);

	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	close(fd);
}

START_TEST(watchers_hear_all_processes)
{
	static const char line[] = "event=accepted id=0m4x7f3q9zkab1cd from=\"\\x1b[2J\"",
			  forged[] = "event=x\nevent=y", none[] = "no=event";
	struct asker a;

	to_dev_null();
	log_something("nobody hears this");
	ask_open(&a, "view");
	ask_send(&a, "{\"ask\":\"watch\"}\n");
	ck_assert_str_eq(ask_wait(&a, "\n"), "{\"watching\":true}\n");
	ck_assert(atomic_load(&watched));
	log_something("\xff\x01");
	ask_wait(&a, "{\"event\":\"something\",\"value\":\"\\uFFFD\\u0001\",\"time_ms\":");
	ck_assert_int_gt(send(events[1], forged, strlen(forged), 0), 0);
	ck_assert_int_gt(send(events[1], none, strlen(none), 0), 0);
	ck_assert_int_eq(send(events[1], "", 0, 0), 0);
	ck_assert_int_gt(send(events[1], line, strlen(line), 0), 0);
	ask_wait(&a, "{\"event\":\"accepted\",\"id\":\"0m4x7f3q9zkab1cd\",\"from\":\"\\u001B[2J\",\"time_ms\":");
	ck_assert_uint_eq(count(a.data, '\n'), 3);
	/* what the others could not send is told, once */
	atomic_store(&lost, 5);
	ck_assert_int_gt(send(events[1], line, strlen(line), 0), 0);
	ask_wait(&a, "{\"event\":\"watch_lost\",\"lines\":5,\"time_ms\":");
	ask_close(&a);
	ck_assert(!atomic_load(&watched));
}
END_TEST

START_TEST(a_slow_watcher_is_cut_off)
{
	char value[2000];
	struct asker slow, quick;

	to_dev_null();
	ask_open(&slow, "view");
	ask_open(&quick, "control");
	ask_send(&slow, "{\"ask\":\"watch\"}\n");
	ask_send(&quick, "{\"ask\":\"watch\"}\n");
	ask_wait(&slow, "\n");
	ask_wait(&quick, "\n");
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 1000; i++) {
		quick.len = 0;
		log_something(value);
		ask_wait(&quick, "vv");
	}
	ck_assert(atomic_load(&watched));
	ask_wait(&slow, NULL);
	ck_assert_ptr_nonnull(strstr(slow.data, "cut off\",\"end\":true}\n"));
	/* it has all up to there, and not more than what may wait, and the socket's own buffers */
	ck_assert_uint_lt(slow.len, 1500000);
	ask_close(&slow);
	ask_close(&quick);
	ck_assert(!atomic_load(&watched));
}
END_TEST

START_TEST(who_watches_asks_nothing)
{
	struct asker a;

	ask_open(&a, "view");
	ask_send(&a, "{\"ask\":\"watch\"}\n");
	ask_wait(&a, "\n");
	ask_send(&a, "{\"ask\":\"status\"}\n");
	ck_assert_ptr_nonnull(strstr(ask_wait(&a, NULL), "\"error\":\"nothing can be asked"));
	ck_assert(!atomic_load(&watched));
	ask_close(&a);
}
END_TEST

/* ---- the sockets --------------------------------------------------------------------- */

START_TEST(sockets_have_their_rights_and_go)
{
	char path[500];
	struct stat st;

	snprintf(path, sizeof(path), "%s/view", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	door_close(the_door);
	ck_assert_int_ne(stat(path, &st), 0);
	/* one that a dead relay left behind is replaced */
	ck_assert_int_eq(mknod(path, S_IFREG | 0600, 0), 0);
	door_setup.view_gid = getgid();
	event_base_free(base);
	base = event_base_new();
	{
		struct err e;

		ck_assert_msg(door_open(&the_door, base, &door_setup, &e) == 0, "%s", e.text);
	}
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_uint_eq(st.st_gid, getgid());
	snprintf(path, sizeof(path), "%s/control", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	door_setup.view_gid = (gid_t)-1;
}
END_TEST

/* ---- the command's end, against a door in another process ----------------------------- */

static pid_t start_door(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	event_reinit(base);
	event_base_dispatch(base);
	_exit(0);
}

static void stop_door(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void put_message(struct spool_id *id)
{
	struct envelope env;
	struct spool_txn *t;
	struct err e;

	envelope_init(&env);
	env.arrived_wall_us = clock_wall_us();
	envelope_set(&env.sender, "from@example.org", 16);
	envelope_add_rcpt(&env, "a@example.org", 13);
	t = spool_txn_begin(&spool, &env);
	ck_assert_int_eq(spool_txn_write(t, "content\r\n", 9, &e), SPOOL_OK);
	ck_assert_int_eq(spool_txn_commit(t, &e), SPOOL_OK);
	strcpy(id->text, env.id);
	envelope_release(&env);
}

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(descriptors_of_files_are_handed_over)
{
	const char *ids[PROTOCOL_OPEN_MAX];
	int message[PROTOCOL_OPEN_MAX], state[PROTOCOL_OPEN_MAX], before;
	struct spool_id id[PROTOCOL_OPEN_MAX];
	struct spool_state st;
	struct daemon *d;
	struct err e;
	pid_t pid;

	for (size_t i = 0; i < PROTOCOL_OPEN_MAX; i++) {
		if (i % 4 == 3)
			spool_id_new(&id[i]); /* not there */
		else
			put_message(&id[i]);
		ids[i] = id[i].text;
		if (i % 4 != 1)
			continue;
		spool_state_init(&st, 1);
		ck_assert_int_eq(spool_state_save(&st, &spool, id[i].text, &e), 0);
		spool_state_release(&st);
	}
	pid = start_door();
	before = count_descriptors();
	ck_assert_msg(daemon_connect(&d, dir, DAEMON_VIEW, &e) == DAEMON_CONNECTED, "%s", e.text);
	for (int round = 0; round < 20; round++) {
		ck_assert_msg(daemon_open_files(d, ids, PROTOCOL_OPEN_MAX, message, state, &e) == 0, "%s", e.text);
		for (size_t i = 0; i < PROTOCOL_OPEN_MAX; i++) {
			char text[8192] = "";

			ck_assert_int_eq(message[i] >= 0, i % 4 != 3);
			ck_assert_int_eq(state[i] >= 0, i % 4 == 1);
			if (message[i] < 0)
				continue;
			ck_assert_int_gt(pread(message[i], text, sizeof(text) - 1, 0), 0);
			ck_assert_ptr_nonnull(strstr(text, id[i].text));
			ck_assert_int_eq(fcntl(message[i], F_GETFL) & O_ACCMODE, O_RDONLY);
			ck_assert_int_eq(fcntl(message[i], F_GETFD), FD_CLOEXEC);
			close(message[i]);
			if (state[i] >= 0) {
				ck_assert_int_gt(pread(state[i], text, sizeof(text) - 1, 0), 0);
				ck_assert_int_eq(strncmp(text, "posthouse-state/", 16), 0);
				close(state[i]);
			}
		}
	}
	daemon_close(d);
	ck_assert_int_eq(count_descriptors(), before);
	stop_door(pid);
}
END_TEST

START_TEST(descriptors_wait_for_a_reader_that_sleeps)
{
	const char *ids[PROTOCOL_OPEN_MAX];
	int message[PROTOCOL_OPEN_MAX], state[PROTOCOL_OPEN_MAX], small = 1;
	struct spool_id id;
	struct daemon *d;
	struct asker a;
	struct err e;
	pid_t pid;
	char request[4000] = "{\"ask\":\"open\",\"ids\":[";
	size_t n = strlen(request);

	/* without reading: the socket is full soon, and others are served */
	ask_open(&a, "view");
	ck_assert_int_eq(setsockopt(a.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	put_message(&id);
	for (int i = 0; i < PROTOCOL_OPEN_MAX; i++) {
		struct spool_id other;

		id_of((size_t)i, &other);
		n += (size_t)snprintf(request + n, sizeof(request) - n, "%s\"%s\"", i ? "," : "",
				      i == 0 ? id.text : other.text);
	}
	snprintf(request + n, sizeof(request) - n, "]}\n");
	for (int i = 0; i < 40; i++)
		ask_send(&a, request);
	pid = start_door();
	ck_assert_msg(daemon_connect(&d, dir, DAEMON_VIEW, &e) == DAEMON_CONNECTED, "%s", e.text);
	for (int i = 0; i < PROTOCOL_OPEN_MAX; i++)
		ids[i] = id.text;
	ck_assert_msg(daemon_open_files(d, ids, 1, message, state, &e) == 0, "%s", e.text);
	ck_assert_int_ge(message[0], 0);
	close(message[0]);
	daemon_close(d);
	/* now all of it */
	while (!a.data || count(a.data, '\n') < 40 * (PROTOCOL_OPEN_MAX + 1)) {
		struct pollfd p = { a.fd, POLLIN, 0 };

		ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
		take(&a);
		ck_assert(!a.at_end);
	}
	close(a.fd);
	free(a.data);
	stop_door(pid);
}
END_TEST

START_TEST(the_command_hears_why)
{
	struct daemon *d;
	struct err e;
	json_t *request = json_object(), *o;
	pid_t pid = start_door();

	ck_assert_int_eq(daemon_connect(&d, dir, DAEMON_VIEW, &e), DAEMON_CONNECTED);
	json_put_key(request, "ask", json_string("status"));
	ck_assert_int_eq(daemon_send(d, json_incref(request), &e), 0);
	o = daemon_receive(d, PATIENCE_MS, &e);
	ck_assert_ptr_nonnull(o);
	ck_assert(json_is_true(json_object_get(o, "end")));
	json_decref(o);
	/* it does not answer in time */
	kill(pid, SIGSTOP);
	ck_assert_int_eq(daemon_send(d, request, &e), 0);
	ck_assert_ptr_null(daemon_receive(d, 50, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "did not answer in time"));
	/* it goes in the middle */
	stop_door(pid);
	ck_assert_ptr_null(daemon_receive(d, PATIENCE_MS, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "went away"));
	daemon_close(d);
	/* in this process it listens still: only a refusal of the door's can tell it is an error */
	door_close(the_door);
	the_door = NULL;
	ck_assert_int_eq(daemon_connect(&d, dir, DAEMON_CONTROL, &e), DAEMON_ABSENT);
	ck_assert_ptr_nonnull(strstr(e.text, "nobody listens"));
	ck_assert_int_eq(daemon_connect(&d, "/nonexistent/spool", DAEMON_CONTROL, &e), DAEMON_ABSENT);
}
END_TEST

START_TEST(who_may_not_is_told_the_group)
{
	struct daemon *d;
	struct err e;
	pid_t pid;
	int status;

	if (getuid() != 0) {
		printf("# SKIP needs root, to be somebody else\n");
		return;
	}
	ck_assert_int_eq(chmod(dir, 0711), 0);
	ck_assert_int_eq(chmod("/tmp", 01777), 0);
	dir[strlen("/tmp/posthouse-door-XXXXXX")] = '\0';
	ck_assert_int_eq(chmod(dir, 0755), 0);
	dir[strlen("/tmp/posthouse-door-XXXXXX")] = '/';
	pid = fork();
	if (pid == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(9);
		if (daemon_connect(&d, dir, DAEMON_CONTROL, &e) != DAEMON_DENIED)
			_exit(1);
		_exit(strstr(e.text, "run it as root") ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void setup_long(void)
{
	char deep[300];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, events), 0);
	memset(deep, 'd', sizeof(deep));
	deep[0] = deep[150] = '/';
	deep[250] = '\0';
	open_spool(deep);
	open_door();
}

START_TEST(a_long_path_is_no_obstacle)
{
	struct daemon *d;
	struct err e;
	json_t *request = json_object(), *o;
	pid_t pid = start_door();

	ck_assert_msg(daemon_connect(&d, dir, DAEMON_CONTROL, &e) == DAEMON_CONNECTED, "%s", e.text);
	json_put_key(request, "ask", json_string("flight"));
	ck_assert_int_eq(daemon_send(d, request, &e), 0);
	o = daemon_receive(d, PATIENCE_MS, &e);
	ck_assert_ptr_nonnull(o);
	json_decref(o);
	daemon_close(d);
	stop_door(pid);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("door");
	TCase *c = tcase_create("all"), *deep = tcase_create("deep");
	const TTest *const tests[] = {
		what_strangers_sent_is_answered_in_ascii, a_request_may_come_octet_by_octet,
		requests_may_come_together, who_closes_its_side_is_answered, who_looks_changes_nothing,
		failures_are_told, every_cut_of_a_request_is_harmless, a_request_has_a_longest_length,
		viewers_cannot_lock_operators_out, half_a_request_has_a_deadline, who_asks_nothing_goes,
		a_million_ids_are_sent_as_they_are_read, few_may_list_at_the_same_time, watchers_hear_all_processes,
		a_slow_watcher_is_cut_off, who_watches_asks_nothing, sockets_have_their_rights_and_go,
		descriptors_of_files_are_handed_over, descriptors_wait_for_a_reader_that_sleeps,
		the_command_hears_why, who_may_not_is_told_the_group,
	};

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	tcase_add_loop_test(c, what_is_no_request_is_refused, 0, (int)(sizeof(bad) / sizeof(*bad)));
	suite_add_tcase(s, c);
	tcase_add_checked_fixture(deep, setup_long, teardown);
	tcase_add_test(deep, a_long_path_is_no_obstacle);
	suite_add_tcase(s, deep);
	return unit_run(s);
}
