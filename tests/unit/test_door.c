/* SPDX-License-Identifier: ISC */
/*
 * The relay's sockets with a relay that is played by the test: requests and
 * answers, ceilings, deadlines, watchers. test_daemon.c has the command's end.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "door_world.h"
#include "manage/protocol.h"
#include "spool/socket.h"
#include "unit.h"

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

/* ---- lists ---------------------------------------------------------------------------- */

START_TEST(the_file_of_lists_is_handed_over)
{
	char file[500];
	struct asker a;
	FILE *f;

	ask_open(&a, "view");
	ck_assert_str_eq(answer_to(&a, "{\"ask\":\"lists\"}\n"), "{\"lists\":false,\"end\":true}\n");
	snprintf(file, sizeof(file), "%s/lists", dir);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	ck_assert_str_eq(answer_to(&a, "{\"ask\":\"lists\"}\n"), "{\"lists\":true,\"end\":true}\n");
	ask_close(&a);
}
END_TEST

/* ---- long answers -------------------------------------------------------------------- */

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
	int had;

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
	ck_assert_int_gt(send(events[1], line, strlen(line), 0), 0);
	ask_wait(&a, "{\"event\":\"accepted\",\"id\":\"0m4x7f3q9zkab1cd\",\"from\":\"\\u001B[2J\",\"time_ms\":");
	ck_assert_uint_eq(count(a.data, '\n'), 3);
	/* what the others could not send is told, once */
	atomic_store(&lost, 5);
	ck_assert_int_gt(send(events[1], line, strlen(line), 0), 0);
	ask_wait(&a, "{\"event\":\"watch_lost\",\"lines\":5,\"time_ms\":");
	ask_close(&a);
	ck_assert(!atomic_load(&watched));
	/* a worker that was taken over shuts the line down: nothing turns round and round then */
	ck_assert_int_eq(shutdown(events[1], SHUT_RDWR), 0);
	had = event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
	turn();
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), had - 1);
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

START_TEST(sockets_have_their_rights_and_stay)
{
	char path[500];
	struct stat st;

	snprintf(path, sizeof(path), "%s/view", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	door_close(the_door);
	/* it stays for the next relay, which replaces whatever is there */
	ck_assert_int_eq(stat(path, &st), 0);
	spool_socket_remove(dir, "view");
	ck_assert_int_ne(stat(path, &st), 0);
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

/* What was ordered was done by then; without the answer it would be ordered again. */
START_TEST(who_was_answered_hears_it)
{
	struct asker a, silent;

	ask_open(&a, "view");
	ask_open(&silent, "view");
	ask_send(&a, "{\"ask\":\"flight\"}\n");
	ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_ONCE), 0);
	door_close(the_door);
	take(&a);
	ck_assert_str_eq(a.data, "{\"flight\":[],\"end\":true}\n");
	event_base_free(base); /* closes the connections */
	take(&silent);
	ck_assert(silent.at_end);
	close(a.fd);
	free(a.data);
	close(silent.fd);
	free(silent.data);
	open_door();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("door");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		what_strangers_sent_is_answered_in_ascii, a_request_may_come_octet_by_octet,
		requests_may_come_together, who_closes_its_side_is_answered, who_looks_changes_nothing,
		failures_are_told, every_cut_of_a_request_is_harmless, a_request_has_a_longest_length,
		viewers_cannot_lock_operators_out, half_a_request_has_a_deadline, who_asks_nothing_goes,
		the_file_of_lists_is_handed_over, a_million_ids_are_sent_as_they_are_read, few_may_list_at_the_same_time, watchers_hear_all_processes,
		a_slow_watcher_is_cut_off, who_watches_asks_nothing, sockets_have_their_rights_and_stay,
		who_was_answered_hears_it,
	};

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	tcase_add_loop_test(c, what_is_no_request_is_refused, 0, (int)(sizeof(bad) / sizeof(*bad)));
	suite_add_tcase(s, c);
	return unit_run(s);
}
