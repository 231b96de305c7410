/* SPDX-License-Identifier: ISC */
/* master/: the size of the pool, back-off, scoreboard; control lines and streams of listener/. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/log.h"
#include "listener/acceptor.h"
#include "listener/peer.h"
#include "listener/socket.h"
#include "listener/stream.h"
#include "master/backoff.h"
#include "master/pool.h"
#include "master/rights.h"
#include "master/supervise.h"
#include "unit.h"

/* ---- policy ----------------------------------------------------------------------- */

START_TEST(the_pool_keeps_its_spares)
{
	static const struct pool_limits limits = { 5, 20, 200 };
	static const struct {
		unsigned starting, idle, busy, start, retire;
	} rows[] = {
		{ 0, 0, 0, 5, 0 }, /* the beginning */
		{ 5, 0, 0, 0, 0 }, /* they are coming */
		{ 0, 5, 0, 0, 0 },
		{ 0, 4, 6, 1, 0 },
		{ 0, 0, 5, 5, 0 },
		{ 0, 0, 100, 25, 0 }, /* a crowd: grow with it */
		{ 0, 0, 198, 2, 0 }, /* but never past max_workers */
		{ 0, 0, 200, 0, 0 },
		{ 0, 20, 3, 0, 0 },
		{ 0, 21, 0, 0, 1 },
		{ 0, 120, 0, 0, 50 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct scoreboard_count count = { rows[i].starting + rows[i].idle + rows[i].busy, rows[i].starting,
						  rows[i].idle, rows[i].busy, 0 };

		ck_assert_msg(pool_to_start(&limits, &count) == rows[i].start, "row %zu: %u", i,
			      pool_to_start(&limits, &count));
		ck_assert_msg(pool_to_retire(&limits, &count) == rows[i].retire, "row %zu", i);
	}
}
END_TEST

START_TEST(who_dies_young_comes_back_late)
{
	struct backoff b = { 0 };

	backoff_note(&b, false, 10, 1000);
	ck_assert_int_eq(b.not_before_mono_ms, 1000);
	backoff_note(&b, true, BACKOFF_GOOD_LIFE_MS, 1000);
	ck_assert_int_eq(b.not_before_mono_ms, 1000);
	backoff_note(&b, true, 10, 1000);
	ck_assert_int_eq(b.not_before_mono_ms, 1100);
	backoff_note(&b, true, 10, 1050); /* its brother: the same failure */
	ck_assert_int_eq(b.not_before_mono_ms, 1100);
	backoff_note(&b, true, 10, 1200);
	ck_assert_int_eq(b.not_before_mono_ms, 1400);
	for (int i = 0; i < 20; i++)
		backoff_note(&b, true, 10, b.not_before_mono_ms);
	ck_assert_int_eq(b.delay_ms, BACKOFF_MAX_MS);
	backoff_note(&b, true, 60000, b.not_before_mono_ms);
	ck_assert_int_eq(b.delay_ms, 0);
}
END_TEST

START_TEST(a_dead_workers_report_is_dropped)
{
	struct scoreboard *board;
	struct scoreboard_count count;
	struct err e;

	ck_assert_int_eq(scoreboard_create(&board, 3, &e), 0);
	board->slot[1].generation = 7;
	scoreboard_set(&board->slot[1], 6, SLOT_IDLE);
	scoreboard_count(board, &count);
	ck_assert_uint_eq(count.total, 0);
	scoreboard_set(&board->slot[1], 7, SLOT_IDLE);
	scoreboard_count(board, &count);
	ck_assert_uint_eq(count.total, 1);
	ck_assert_uint_eq(count.idle, 1);
	scoreboard_note(&board->slot[1], "a peer with a name far too long for its place in the board, cut and still a "
					 "string that ends", "MAIL");
	ck_assert_uint_eq(strlen(board->slot[1].peer), sizeof(board->slot[1].peer) - 1);
	scoreboard_destroy(board);
}
END_TEST

START_TEST(a_missing_user_is_named_with_the_command_that_makes_it)
{
	struct rights r;
	struct err e;

	ck_assert_int_eq(rights_of_user(&r, "no-such-user-here", &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "useradd"));
	ck_assert_int_eq(rights_of_user(&r, "root", &e), -1);
}
END_TEST

/* ---- the line from the master --------------------------------------------------------- */

START_TEST(control_lines_say_retire_stop_or_nothing)
{
	struct control c;
	int line[2];

	ck_assert_int_eq(control_pair(line), 0);
	clock_freeze(0, 1000);
	control_init(&c, line[0], 500);
	control_read(&c); /* nothing there */
	ck_assert(!c.retiring && !c.stopping);
	ck_assert_int_eq(write(line[1], "r", 1), 1);
	control_read(&c);
	ck_assert(c.retiring && !c.stopping);
	ck_assert_int_eq(c.stop_by_mono_ms, CLOCK_NEVER);
	close(line[1]); /* the master is gone */
	control_read(&c);
	ck_assert(c.stopping);
	ck_assert_int_eq(c.stop_by_mono_ms, 1500);
	clock_freeze(0, 2000);
	control_read(&c);
	ck_assert_int_eq(c.stop_by_mono_ms, 1500); /* the grace time is given once */
	close(line[0]);
}
END_TEST

/* ---- streams ------------------------------------------------------------------------------ */

struct wires {
	int client, control;
	struct control line;
	struct stream stream;
};

static void connect_wires(struct wires *w)
{
	int s[2], line[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	ck_assert_int_eq(control_pair(line), 0);
	w->client = s[1];
	w->control = line[1];
	control_init(&w->line, line[0], 0);
	stream_init(&w->stream, s[0], &w->line);
}

static enum io_result get(struct wires *w, char *data, size_t cap, int64_t wait_ms, size_t *got)
{
	return w->stream.io.ops->read(&w->stream.io, data, cap, clock_mono_ms() + wait_ms, got);
}

START_TEST(streams_keep_their_deadlines)
{
	struct wires w;
	char data[100];
	size_t got;

	connect_wires(&w);
	ck_assert_int_eq(get(&w, data, sizeof(data), 20, &got), IO_TIMEOUT);
	ck_assert_int_eq(send(w.client, "hello", 5, 0), 5);
	ck_assert_int_eq(get(&w, data, sizeof(data), 0, &got), IO_OK);
	ck_assert_uint_eq(got, 5);
	close(w.client);
	ck_assert_int_eq(get(&w, data, sizeof(data), 60000, &got), IO_EOF);
}
END_TEST

START_TEST(a_client_that_does_not_read_cannot_hold_us)
{
	struct wires w;
	char *data = calloc(1, 8 << 20);

	connect_wires(&w);
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, data, 8 << 20, clock_mono_ms() + 20), IO_TIMEOUT);
	close(w.client);
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, data, 100, clock_mono_ms() + 20), IO_ERROR);
	free(data);
}
END_TEST

START_TEST(stop_reaches_who_waits_for_a_client)
{
	struct wires w;
	char data[100];
	size_t got;

	connect_wires(&w);
	ck_assert_int_eq(write(w.control, "s", 1), 1);
	ck_assert_int_eq(get(&w, data, sizeof(data), 60000, &got), IO_STOP);
	/* also a client that always has more to say */
	ck_assert_int_eq(send(w.client, "hello", 5, 0), 5);
	ck_assert_int_eq(get(&w, data, sizeof(data), 60000, &got), IO_STOP);
	/* inside a transaction the grace time counts: here there is some */
	w.line.stop_by_mono_ms = clock_mono_ms() + 60000;
	w.stream.io.ops->interruptible(&w.stream.io, false);
	ck_assert_int_eq(get(&w, data, sizeof(data), 60000, &got), IO_OK);
	ck_assert_int_eq(get(&w, data, sizeof(data), 20, &got), IO_TIMEOUT);
	/* and here none is left */
	w.line.stop_by_mono_ms = clock_mono_ms() + 20;
	ck_assert_int_eq(get(&w, data, sizeof(data), 60000, &got), IO_STOP);
}
END_TEST

START_TEST(last_words_arrive_though_the_client_is_talking)
{
	struct wires w;
	char data[100] = "";

	connect_wires(&w);
	ck_assert_int_eq(send(w.client, "never read", 10, 0), 10);
	ck_assert_int_eq(w.stream.io.ops->write(&w.stream.io, "421", 3, clock_mono_ms() + 1000), IO_OK);
	stream_linger(&w.stream, 20); /* ends by itself, though the client stays */
	ck_assert_int_eq(recv(w.stream.fd, data, sizeof(data), MSG_DONTWAIT), -1); /* drained */
	ck_assert_int_eq(recv(w.client, data, sizeof(data), 0), 3);
	ck_assert_int_eq(recv(w.client, data, sizeof(data), 0), 0);
}
END_TEST

START_TEST(retiring_does_not_touch_a_session)
{
	struct wires w;
	char data[100];
	size_t got;

	connect_wires(&w);
	ck_assert_int_eq(write(w.control, "r", 1), 1);
	ck_assert_int_eq(get(&w, data, sizeof(data), 20, &got), IO_TIMEOUT);
	ck_assert(w.line.retiring);
}
END_TEST

/* ---- sockets ---------------------------------------------------------------------------------- */

static struct endpoint endpoint(const char *text)
{
	struct endpoint ep;
	struct err e;

	ck_assert_int_eq(endpoint_parse(text, -1, &ep, &e), 0);
	return ep;
}

START_TEST(sockets_listen_and_say_who_called)
{
	struct listening_set set;
	struct endpoint tcp = endpoint("127.0.0.1:0"), chosen, local;
	char folder[] = "/tmp/posthouse-unit-XXXXXX", text[200];
	struct control control;
	struct acceptor acceptor;
	const struct listening *from;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct peer peer;
	struct err e = { 0 };
	int fd, accepted, line[2];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(text, sizeof(text), "unix:%s/socket", folder);
	local = endpoint(text);
	listening_init(&set);
	ck_assert_msg(listening_take(&set, NULL, &tcp, "a", 10, &e) == 0, "%s", e.text);
	ck_assert_msg(listening_take(&set, NULL, &local, "b", 10, &e) == 0, "%s", e.text);
	chosen = endpoint(set.item[0].address);
	ck_assert_uint_ne(chosen.port, 0);
	ck_assert_int_eq(listening_take(&set, NULL, &chosen, "c", 10, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "in use"));
	ck_assert_uint_eq(set.count, 2);

	ck_assert_int_eq(control_pair(line), 0);
	control_init(&control, line[0], 0);
	ck_assert_int_eq(acceptor_open(&acceptor, &set, &control, -1, &e), 0);
	/* nobody there, and its time has come; then it sleeps on */
	acceptor.wake_mono_ms = clock_mono_ms();
	ck_assert_int_eq(acceptor_next(&acceptor, &from), ACCEPTOR_WAKE);
	acceptor.wake_mono_ms = CLOCK_NEVER;
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", folder);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	accepted = acceptor_next(&acceptor, &from);
	ck_assert_int_ge(accepted, 0);
	ck_assert_str_eq(from->listener, "b");
	peer_of(accepted, &peer);
	snprintf(text, sizeof(text), "unix:uid=%ld,pid=%ld", (long)getuid(), (long)getpid());
	ck_assert_str_eq(peer.text, text);
	ck_assert(!peer_is_in(&peer, &(struct cidr){ .family = AF_INET }, 1));
	close(accepted);
	close(fd);

	/* told to retire when it was woken for a client: nobody else was, so it takes this one yet */
	ck_assert_int_eq(write(line[1], "r", 1), 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	acceptor_close(&acceptor);
	ck_assert_int_eq(acceptor_open(&acceptor, &set, &control, -1, &e), 0); /* the line is seen first */
	accepted = acceptor_next(&acceptor, &from);
	ck_assert_int_ge(accepted, 0);
	ck_assert(control.retiring);
	ck_assert_int_eq(acceptor_next(&acceptor, &from), -1);
	acceptor_close(&acceptor);
	close(accepted);
	close(fd);
	ck_assert_int_eq(listening_take(&set, NULL, &local, "d", 10, &e), -1); /* somebody is there: us */

	/* the file of a service that died is replaced, one of another kind is not */
	listening_release(&set, false);
	ck_assert_msg(listening_take(&set, NULL, &local, "b", 10, &e) == 0, "%s", e.text);
	listening_release(&set, true);
	close(open(local.path, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(listening_take(&set, NULL, &local, "b", 10, &e), -1);
	unlink(local.path);
	rmdir(folder);
}
END_TEST

static int connect_to(const struct listening *l)
{
	struct endpoint ep = endpoint(l->address);
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(ep.port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(inet_pton(AF_INET, ep.host, &sin.sin_addr), 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* Who waits in the backlog of the old set is served by the new one. */
START_TEST(open_sockets_are_taken_and_not_bound_anew)
{
	struct endpoint any = endpoint("127.0.0.1:0"), chosen;
	struct listening_set old, set;
	struct err e = { 0 };
	char first[ENDPOINT_TEXT_MAX], second[ENDPOINT_TEXT_MAX];
	int client, accepted;

	listening_init(&old);
	listening_init(&set);
	ck_assert_int_eq(listening_take(&old, NULL, &any, "a", 10, &e), 0);
	ck_assert_int_eq(listening_take(&old, NULL, &any, "b", 10, &e), 0);
	strcpy(first, old.item[0].address);
	strcpy(second, old.item[1].address);
	client = connect_to(&old.item[1]);

	/* each its own, in whichever order they are asked for; one more is bound */
	ck_assert_msg(listening_take(&set, &old, &any, "b", 20, &e) == 0, "%s", e.text);
	ck_assert_int_eq(listening_take(&set, &old, &any, "a", 20, &e), 0);
	ck_assert_int_eq(listening_take(&set, &old, &any, "c", 20, &e), 0);
	ck_assert_uint_eq(set.count, 3);
	ck_assert_str_eq(set.item[0].address, second);
	ck_assert_str_eq(set.item[1].address, first);
	ck_assert(old.item[0].taken && old.item[1].taken);
	ck_assert_int_ne(set.item[0].fd, old.item[1].fd);
	listening_release(&set, true);
	listening_give_back(&old);

	/* renamed; and by its address where it is written in another way */
	ck_assert_int_eq(listening_take(&set, &old, &any, "new name", 20, &e), 0);
	ck_assert_str_eq(set.item[0].address, first);
	ck_assert_str_eq(set.item[0].listener, "new name");
	chosen = endpoint(second);
	ck_assert_msg(listening_take(&set, &old, &chosen, "b", 20, &e) == 0, "%s", e.text);
	ck_assert_str_eq(set.item[1].address, second);
	/* what is taken is taken */
	ck_assert_int_eq(listening_take(&set, &old, &chosen, "twice", 20, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "in use"));
	ck_assert_uint_eq(set.count, 2);
	listening_release(&old, true);
	accepted = accept(set.item[1].fd, NULL, NULL);
	ck_assert_int_ge(accepted, 0);
	close(accepted);
	close(client);
	listening_release(&set, true);
}
END_TEST

START_TEST(a_foreign_socket_is_looked_at_before_it_is_adopted)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct listening_set set;
	struct err e = { 0 };
	int fd, line[2];

	listening_init(&set);
	ck_assert_int_eq(pipe(line), 0);
	ck_assert_int_eq(listening_adopt(&set, line[0], NULL, "a", 10, &e), -1);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ck_assert_int_eq(listening_adopt(&set, fd, NULL, "a", 10, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "stream"));
	close(fd);
	ck_assert_uint_eq(set.count, 0);

	/* bound by somebody else, and not listening yet */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_msg(listening_adopt(&set, fd, NULL, "a", 10, &e) == 0, "%s", e.text);
	ck_assert_uint_ne(set.item[0].endpoint.port, 0);
	ck_assert_int_eq(accept(set.item[0].fd, NULL, NULL), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(connect_to(&set.item[0]));
	listening_release(&set, true);
}
END_TEST

/* ---- the master with children that are no mail ---------------------------------------------------- */

static int idle_worker(void *ctx, struct child_start *start)
{
	char byte;

	(void)ctx;
	scoreboard_set(start->slot, start->generation, SLOT_IDLE);
	fcntl(start->control.fd, F_SETFL, 0); /* block until told */
	return read(start->control.fd, &byte, 1) < 0;
}

static int failing_relay(void *ctx, struct child_start *start)
{
	char byte;

	(void)ctx;
	atomic_store(&start->board->shared->ready[ROLE_RELAY], true);
	fcntl(start->control.fd, F_SETFL, 0);
	return read(start->control.fd, &byte, 1) < 0 ? 1 : 3;
}

/* As one that was taken over: whatever it can write to is overwritten. */
static int hostile_worker(void *ctx, struct child_start *start)
{
	struct scoreboard *board = start->board;

	(void)ctx;
	memset(board->shared, 0xff, sizeof(*board->shared) + board->slots * sizeof(*board->slot));
	atomic_store(&start->slot->state, SLOT_IDLE);
	return idle_worker(ctx, start);
}

static void stop_at_once(void *ctx)
{
	++*(int *)ctx;
	kill(getpid(), SIGTERM);
}

START_TEST(the_master_starts_waits_and_stops)
{
	struct master_limits limits = { .pool = { 3, 5, 10 }, .stop_timeout_ms = 5000 };
	int ready_calls = 0;
	struct master_roles roles = { .run = { [ROLE_WORKER] = idle_worker, [ROLE_RELAY] = failing_relay }, .ready = stop_at_once,
				      .ctx = &ready_calls };
	struct scoreboard *board;
	struct scoreboard_count count;
	struct err e;

	log_open(LOG_TO_SYSLOG, (enum log_level)0, "test");
	ck_assert_int_eq(scoreboard_create(&board, 10, &e), 0);
	ck_assert_int_eq(master_run(&limits, &roles, board, &e), 0);
	ck_assert_int_eq(ready_calls, 1);
	scoreboard_count(board, &count);
	ck_assert_uint_eq(count.total, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	scoreboard_destroy(board);
}
END_TEST

START_TEST(the_master_does_not_trust_shared_memory)
{
	struct master_limits limits = { .pool = { 1, 5, 10 }, .stop_timeout_ms = 5000 };
	int ready_calls = 0;
	struct master_roles roles = { .run[ROLE_WORKER] = hostile_worker, .ready = stop_at_once, .ctx = &ready_calls };
	struct scoreboard *board;
	struct err e;

	log_open(LOG_TO_SYSLOG, (enum log_level)0, "test");
	ck_assert_int_eq(scoreboard_create(&board, 10, &e), 0);
	ck_assert_int_eq(master_run(&limits, &roles, board, &e), 0);
	ck_assert_int_eq(ready_calls, 1);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	scoreboard_destroy(board);
}
END_TEST

/* A listener whose backlog is full is there, and is not waited for. */
START_TEST(a_busy_socket_file_is_not_taken)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char folder[] = "/tmp/posthouse-unit-XXXXXX", text[200];
	struct listening_set set;
	struct endpoint local;
	struct err e = { 0 };
	int busy = socket(AF_UNIX, SOCK_STREAM, 0), clients[3];
	struct stat st;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", folder);
	snprintf(text, sizeof(text), "unix:%s", sun.sun_path);
	local = endpoint(text);
	ck_assert_int_eq(bind(busy, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(busy, 0), 0);
	for (int i = 0; i < 3; i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(clients[i], (struct sockaddr *)&sun, sizeof(sun));
	}
	listening_init(&set);
	ck_assert_int_eq(listening_take(&set, NULL, &local, "a", 10, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "in use"));
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	close(busy);

	/* everyone may connect to ours, whatever the umask */
	umask(077);
	ck_assert_msg(listening_take(&set, NULL, &local, "a", 10, &e) == 0, "%s", e.text);
	umask(022);
	ck_assert_int_eq(stat(sun.sun_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0666);
	listening_release(&set, true);
	rmdir(folder);
}
END_TEST

static int unable_relay(void *ctx, struct child_start *start)
{
	(void)ctx;
	(void)start;
	return 3;
}

START_TEST(a_child_that_cannot_work_fails_the_start)
{
	struct master_limits limits = { .pool = { 3, 5, 10 }, .stop_timeout_ms = 5000 };
	int ready_calls = 0;
	struct master_roles roles = { .run = { [ROLE_WORKER] = idle_worker, [ROLE_RELAY] = unable_relay }, .ready = stop_at_once,
				      .ctx = &ready_calls };
	struct scoreboard *board;
	struct err e = { 0 };

	log_open(LOG_TO_SYSLOG, (enum log_level)0, "test");
	ck_assert_int_eq(scoreboard_create(&board, 10, &e), 0);
	ck_assert_int_eq(master_run(&limits, &roles, board, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "could not start"));
	ck_assert_int_eq(ready_calls, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	scoreboard_destroy(board);
}
END_TEST

/* Generations: each ready() asks for the next, three times; workers and roles say by a pipe which they are of. */
static struct generations {
	struct master_roles roles;
	struct master_limits limits;
	int pipe_fd[2];
	unsigned now, ended;
	bool held_back;
} gen;

static int telling_worker(void *ctx, struct child_start *start)
{
	char said = (char)('0' + gen.now), byte;

	(void)ctx;
	scoreboard_set(start->slot, start->generation, SLOT_IDLE);
	ck_assert_int_eq(write(gen.pipe_fd[1], &said, 1), 1);
	while (read(start->control.fd, &byte, 1) < 0)
		poll(&(struct pollfd){ start->control.fd, POLLIN, 0 }, 1, -1);
	return 0;
}

static int telling_auth(void *ctx, struct child_start *start)
{
	char byte = 0, said = 'o';
	ssize_t len = 1;

	(void)ctx;
	atomic_store(&start->board->shared->ready[ROLE_AUTH], true);
	while (byte != CONTROL_STOP && len != 0) {
		poll(&(struct pollfd){ start->control.fd, POLLIN, 0 }, 1, -1);
		len = read(start->control.fd, &byte, 1);
		/* as one whose line has come to its end */
		if (byte == CONTROL_OLD)
			return write(gen.pipe_fd[1], &said, 1) == 1 ? 0 : 1;
	}
	return 0;
}

static enum master_change next_generation(void *ctx)
{
	(void)ctx;
	gen.now++;
	gen.limits.pool.max_workers = 5;
	return MASTER_GENERATION;
}

static void ask_for_more(void *ctx)
{
	(void)ctx;
	kill(getpid(), gen.now < 3 ? SIGHUP : SIGTERM);
}

static void count_end(void *ctx, unsigned slot)
{
	(void)ctx;
	(void)slot;
	gen.ended++;
}

static bool once_held_back(void *ctx)
{
	bool may = gen.held_back;

	(void)ctx;
	gen.held_back = true;
	return may;
}

START_TEST(generations_follow_each_other)
{
	char said[64] = "";
	struct scoreboard *board;
	unsigned workers[4] = { 0 }, old = 0;
	struct err e;

	log_open(LOG_TO_SYSLOG, (enum log_level)0, "test");
	ck_assert_int_eq(pipe(gen.pipe_fd), 0);
	gen.limits = (struct master_limits){ .pool = { 2, 3, 4 }, .stop_timeout_ms = 5000 };
	gen.roles = (struct master_roles){ .run = { [ROLE_WORKER] = telling_worker, [ROLE_AUTH] = telling_auth },
					   .ready = ask_for_more,
					   .reload = next_generation,
					   .worker_ended = count_end,
					   .may_retire = once_held_back };
	ck_assert_int_eq(scoreboard_create(&board, pool_slots(&gen.limits.pool), &e), 0);
	ck_assert_int_eq(master_run(&gen.limits, &gen.roles, board, &e), 0);
	ck_assert_int_gt(read(gen.pipe_fd[0], said, sizeof(said) - 1), 0);
	for (const char *c = said; *c; c++) {
		if (*c == 'o')
			old++;
		else
			workers[*c - '0']++;
	}
	ck_assert_uint_eq(old, 3);
	for (int i = 0; i < 4; i++)
		ck_assert_msg(workers[i] == 2, "generation %d: %u workers", i, workers[i]);
	ck_assert_uint_eq(gen.ended, 8);
	scoreboard_destroy(board);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("master");

	UNIT_CASE(s, the_pool_keeps_its_spares, who_dies_young_comes_back_late, a_dead_workers_report_is_dropped,
		  a_missing_user_is_named_with_the_command_that_makes_it, control_lines_say_retire_stop_or_nothing,
		  streams_keep_their_deadlines, a_client_that_does_not_read_cannot_hold_us,
		  stop_reaches_who_waits_for_a_client, retiring_does_not_touch_a_session,
		  last_words_arrive_though_the_client_is_talking,
		  sockets_listen_and_say_who_called, a_busy_socket_file_is_not_taken,
		  open_sockets_are_taken_and_not_bound_anew,
		  a_foreign_socket_is_looked_at_before_it_is_adopted,
		  the_master_starts_waits_and_stops,
		  a_child_that_cannot_work_fails_the_start, generations_follow_each_other,
		  the_master_does_not_trust_shared_memory);
	return unit_run(s);
}
