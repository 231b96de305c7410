/* SPDX-License-Identifier: ISC */
/* The command's end of the relay's sockets (cli/daemon.c), against a door in another process. */
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "door_world.h"
#include "manage/json.h"
#include "manage/protocol.h"
#include "cli/daemon.h"
#include "smtp/envelope.h"
#include "spool/socket.h"
#include "spool/state.h"
#include "spool/txn.h"
#include "unit.h"

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
	/* it goes in the middle, and the service stops: the sockets are taken away */
	door_close(the_door);
	the_door = NULL;
	spool_socket_remove(dir, "view");
	spool_socket_remove(dir, "control");
	stop_door(pid);
	ck_assert_ptr_null(daemon_receive(d, PATIENCE_MS, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "went away"));
	daemon_close(d);
	ck_assert_int_eq(daemon_connect(&d, dir, DAEMON_CONTROL, &e), DAEMON_ABSENT);
	ck_assert_ptr_nonnull(strstr(e.text, "nobody listens"));
	ck_assert_int_eq(daemon_connect(&d, "/nonexistent/spool", DAEMON_CONTROL, &e), DAEMON_ABSENT);
}
END_TEST

/* A reload: the relay goes, its socket's file stays, and some time later another one listens there. */
START_TEST(the_next_relay_is_asked)
{
	json_t *request = json_object(), *o;
	struct daemon *d, *late;
	pid_t first, second;
	struct err e;

	json_put_key(request, "ask", json_string("status"));
	first = start_door();
	ck_assert_int_eq(daemon_connect(&d, dir, DAEMON_VIEW, &e), DAEMON_CONNECTED);
	kill(first, SIGSTOP);
	ck_assert_int_eq(daemon_send(d, json_incref(request), &e), 0);
	door_close(the_door); /* here, where it was not listened */
	event_base_free(base);
	stop_door(first);
	second = fork();
	ck_assert_int_ge(second, 0);
	if (second == 0) {
		(void)poll(NULL, 0, 100); /* so that somebody asks before */
		open_door();
		event_base_dispatch(base);
		_exit(0);
	}
	ck_assert_msg(daemon_connect(&late, dir, DAEMON_CONTROL, &e) == DAEMON_CONNECTED, "%s", e.text);
	daemon_close(late);
	o = daemon_receive(d, PATIENCE_MS, &e);
	ck_assert_msg(o && json_is_true(json_object_get(o, "end")), "%s", e.text);
	json_decref(o);
	stop_door(second);
	json_decref(request);
	daemon_close(d);
	open_door();
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
	dir[strlen(WORLD_FOLDER)] = '\0';
	ck_assert_int_eq(chmod(dir, 0755), 0);
	dir[strlen(WORLD_FOLDER)] = '/';
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
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, events), 0);
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
	Suite *s = suite_create("daemon");
	TCase *c = tcase_create("all"), *deep = tcase_create("deep");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, descriptors_of_files_are_handed_over);
	tcase_add_test(c, descriptors_wait_for_a_reader_that_sleeps);
	tcase_add_test(c, the_command_hears_why);
	tcase_add_test(c, who_may_not_is_told_the_group);
	tcase_add_test(c, the_next_relay_is_asked);
	suite_add_tcase(s, c);
	tcase_add_checked_fixture(deep, setup_long, teardown);
	tcase_add_test(deep, a_long_path_is_no_obstacle);
	suite_add_tcase(s, deep);
	return unit_run(s);
}
