/* SPDX-License-Identifier: ISC */
/* The auth process and a worker's end of it: the protocol, faults of both sides, ceilings, delay and ban. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/address.h"
#include "auth/channel.h"
#include "auth_world.h"
#include "base/clock.h"
#include "smtp/mechanism.h"
#include "unit.h"

static struct auth_world w;

static void check_offered(const char *expected)
{
	struct buf text;

	buf_init(&text, 1000);
	w.asker.authenticator.ops->mechanisms(&w.asker.authenticator, &w.client, &text);
	ck_assert_str_eq(text.data, expected);
	buf_release(&text);
}

START_TEST(what_is_offered)
{
	auth_world_init(&w);
	check_offered("");
	auth_world_start(&w);
	check_offered("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
	w.client.tls = &w.tls;
	check_offered("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS");
	w.asker.allowed = smtp_mechanism_set("LOGIN SCRAM-SHA-256-PLUS XOAUTH2");
	check_offered("LOGIN SCRAM-SHA-256-PLUS");
	w.tls.binding_len = 0;
	check_offered("LOGIN");
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_NO_MECHANISM);
	ck_assert_int_eq(auth_begin(&w, "ANONYMOUS", NULL), AUTHENTICATOR_NO_MECHANISM);
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-256-PLUS", NULL), AUTHENTICATOR_NO_MECHANISM);
	auth_world_release(&w);
}
END_TEST

START_TEST(a_worker_that_scribbles_in_shared_memory_offers_nothing_that_is_not)
{
	auth_world_init(&w);
	atomic_store(&w.shared->mechanisms, ~0u);
	check_offered("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 OAUTHBEARER XOAUTH2");
	auth_world_start(&w);
	atomic_store(&w.shared->mechanisms, ~0u);
	ck_assert_int_eq(auth_begin(&w, "SCRAM-SHA-1", NULL), AUTHENTICATOR_NO_MECHANISM);
	ck_assert_int_eq(auth_begin(&w, "XOAUTH2", NULL), AUTHENTICATOR_NO_MECHANISM);
	auth_world_release(&w);
}
END_TEST

START_TEST(a_backend_that_is_away)
{
	auth_world_init(&w);
	atomic_store(&w.shared->broken, true);
	auth_world_start(&w);
	/* a client that finds no AUTH takes that for final: so it is offered, and each try is what it is */
	check_offered("PLAIN LOGIN");
	ck_assert_ptr_nonnull(
		strstr(auth_world_log(&w), "event=auth_unavailable msg=\"nobody is there\""));
	atomic_store(&w.shared->broken, false);
	auth_world_kill(&w);
	auth_world_start(&w);
	check_offered("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
	/* what was known stays known */
	atomic_store(&w.shared->broken, true);
	auth_world_kill(&w);
	auth_world_start(&w);
	check_offered("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
	auth_world_release(&w);
}
END_TEST

START_TEST(verdicts)
{
	auth_world_init(&w);
	auth_world_start(&w);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	ck_assert_str_eq(w.answer.user, "alice");
	ck_assert_int_eq(auth_plain(&w, "Ala", "secret"), AUTHENTICATOR_OK);
	ck_assert_str_eq(w.answer.user, "ala");
	ck_assert_int_eq(auth_plain(&w, "alice", "Secret"), AUTHENTICATOR_FAILED);
	ck_assert_str_eq(w.answer.user, "");
	ck_assert_int_eq(auth_plain(&w, "nobody", "secret"), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(auth_plain(&w, "later", "secret"), AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(auth_plain(&w, "die", "secret"), AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(auth_step(&w, "YQ=="), AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

START_TEST(log_lines)
{
	const char *log;

	auth_world_init(&w);
	auth_world_start(&w);
	w.peer.address = "2001:db8::7";
	auth_plain(&w, "alice", "secret");
	auth_plain(&w, "alice", "hunter2");
	auth_plain(&w, "mallory\n", "hunter2");
	auth_begin(&w, "LOGIN", AUTH_BASE64("mallory\nevent=authenticated user=alice\x1b[2J"));
	auth_step(&w, AUTH_BASE64("hunter2"));
	auth_plain(&w, "later", "hunter2");
	auth_plain(&w, "die", "hunter2");
	log = auth_world_log(&w);
	ck_assert_ptr_nonnull(
		strstr(log, "event=authenticated peer=2001:db8::7 user=alice mechanism=PLAIN\n"));
	ck_assert_ptr_nonnull(
		strstr(log, "event=auth_failed peer=2001:db8::7 user=alice mechanism=PLAIN failures=1 "
			    "reason=\"wrong password\"\n"));
	ck_assert_ptr_nonnull(
		strstr(log, "user=\"mallory\\x0aevent=authenticated user=alice\\x1b[2J\" mechanism=LOGIN "
			    "failures=3 reason=\"this cannot be the name of a user\"\n"));
	ck_assert_ptr_nonnull(strstr(log, "event=auth_error peer=2001:db8::7 user=later mechanism=PLAIN "
					  "reason=\"the disk is on fire\"\n"));
	ck_assert_ptr_nonnull(strstr(log, "event=auth_error peer=2001:db8::7 user=die mechanism=PLAIN "
					  "reason=\"the process was killed by signal 9\"\n"));
	ck_assert_ptr_null(strstr(log, "hunter2"));
	auth_world_release(&w);
}
END_TEST

/* ---- processes that come and go -------------------------------------------------------- */

START_TEST(killed_in_the_middle)
{
	auth_world_init(&w);
	auth_world_start(&w);
	ck_assert_int_eq(auth_begin(&w, "LOGIN", NULL), AUTHENTICATOR_CONTINUE);
	auth_world_kill(&w);
	/* its children end with it */
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("alice")), AUTHENTICATOR_TEMPORARY);
	auth_world_start(&w);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

START_TEST(nobody_answers)
{
	int64_t began;

	auth_world_init(&w);
	auth_world_start(&w);
	auth_world_kill(&w);
	for (int i = 0; i < 10; i++) {
		began = clock_mono_ms();
		ck_assert_int_eq(w.asker.authenticator.ops->begin(&w.asker.authenticator, &w.client, "PLAIN",
								  AUTH_BASE64("\0alice\0secret"), began + 50,
								  &w.answer),
				 AUTHENTICATOR_TEMPORARY);
		ck_assert_int_ge(clock_mono_ms() - began, 50);
	}
	/* what nobody waits for any more is not worked at by who comes next */
	auth_world_start(&w);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	ck_assert_int_eq(atomic_load(&w.shared->verified), 1);
	auth_world_release(&w);
}
END_TEST

START_TEST(a_request_waits_for_a_restart)
{
	pid_t later;
	int status;

	auth_world_init(&w);
	auth_world_start(&w);
	auth_world_kill(&w);
	later = fork();
	if (later == 0)
		_exit(auth_plain(&w, "alice", "secret") == AUTHENTICATOR_OK ? 0 : 1);
	usleep(50000);
	auth_world_start(&w);
	ck_assert_int_eq(waitpid(later, &status, 0), later);
	ck_assert_int_eq(status, 0);
	auth_world_release(&w);
}
END_TEST

START_TEST(the_service_stops)
{
	int64_t began = clock_mono_ms();

	auth_world_init(&w);
	auth_world_start(&w);
	ck_assert_int_eq(write(w.worker_line[1], "s", 1), 1);
	ck_assert_int_eq(auth_plain(&w, "slow", "secret"), AUTHENTICATOR_TEMPORARY);
	ck_assert_int_lt(clock_mono_ms() - began, 10000);
	auth_world_release(&w);
}
END_TEST

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 500; i++) {
		if (kill(pid, 0) < 0)
			return true;
		usleep(10000);
	}
	return false;
}

START_TEST(the_worker_hangs_up)
{
	struct auth_asker other;
	pid_t pid;

	auth_world_init(&w);
	auth_world_start(&w);
	auth_world_asker(&w, &other);
	ck_assert_int_eq(other.authenticator.ops->begin(&other.authenticator, &w.client, "PLAIN",
							AUTH_BASE64("\0slow\0secret"), clock_mono_ms() + 300,
							&w.answer),
			 AUTHENTICATOR_TEMPORARY);
	pid = atomic_load(&w.shared->slow_pid);
	ck_assert_int_ne(pid, 0);
	ck_assert(is_gone(pid));
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	/* in the middle, too: a client that cancels */
	ck_assert_int_eq(auth_begin(&w, "LOGIN", NULL), AUTHENTICATOR_CONTINUE);
	w.asker.authenticator.ops->cancel(&w.asker.authenticator);
	ck_assert_int_eq(auth_step(&w, "YQ=="), AUTHENTICATOR_TEMPORARY);
	auth_asker_release(&other);
	auth_world_release(&w);
}
END_TEST

START_TEST(retired_it_ends_what_it_began)
{
	int status;

	auth_world_init(&w);
	auth_world_start(&w);
	ck_assert_int_eq(auth_begin(&w, "LOGIN", NULL), AUTHENTICATOR_CONTINUE);
	ck_assert_int_eq(write(w.server_line[1], "r", 1), 1);
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("alice")), AUTHENTICATOR_CONTINUE);
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("secret")), AUTHENTICATOR_OK);
	ck_assert_int_eq(waitpid(w.pid, &status, 0), w.pid);
	ck_assert_int_eq(status, 0);
	w.pid = 0;
	auth_world_release(&w);
}
END_TEST

/* ---- a worker that is not ours any more -------------------------------------------------- */

static void send_request(const void *data, size_t len, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(w.request_fd[1], &msg, 0), (ssize_t)len);
}

static bool is_closed(int fd)
{
	struct channel_message m;

	return channel_receive(fd, &m, clock_mono_ms() + 5000, NULL) == CHANNEL_GONE;
}

START_TEST(requests_that_are_none)
{
	static const struct {
		uint32_t version, family;
		unsigned char octet; /* the last one */
		size_t len;
	} bad[] = {
		{ 2, AUTH_FAMILY_IPV4, 0, sizeof(struct auth_request) },
		{ 1, 4, 0, sizeof(struct auth_request) },
		{ 1, AUTH_FAMILY_IPV4, 1, sizeof(struct auth_request) },
		{ 1, AUTH_FAMILY_UNIX, 1, sizeof(struct auth_request) },
		{ 1, AUTH_FAMILY_IPV4, 0, sizeof(struct auth_request) - 1 },
		{ 1, AUTH_FAMILY_IPV4, 0, sizeof(struct auth_request) + 1 },
		{ 1, AUTH_FAMILY_IPV4, 0, 1 },
	};
	int stdio[3] = { 0, 1, 2 };

	auth_world_init(&w);
	auth_world_start(&w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct auth_request request[2] = { { .version = bad[i].version,
						     .client = { .family = bad[i].family } } };
		int pair[2];

		request[0].client.octets[15] = bad[i].octet;
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		send_request(request, bad[i].len, &pair[1], 1);
		close(pair[1]);
		ck_assert_msg(is_closed(pair[0]), "request %zu", i);
		close(pair[0]);
		send_request(request, bad[i].len, NULL, 0);
		send_request(request, bad[i].len, stdio, 3);
	}
	send_request("", 1, NULL, 0);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

/* An exchange by hand. */
static int open_exchange(void)
{
	struct auth_request request = { .version = 1, .client = auth_address_parse("192.0.2.66") };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	send_request(&request, sizeof(request), &pair[1], 1);
	close(pair[1]);
	return pair[0];
}

START_TEST(messages_that_are_none)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
		{ "x", 1 },
		{ "mechanism=\"PLAIN", 16 },
		{ "initial=YQ==", 12 },
		{ "mechanism=PLAIN unheard=of", 26 },
		{ "mechanism=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 51 },
		{ "mechanism=\"PL\\x00AIN\"", 21 },
		{ "mechanism=PLAIN binding=0", 25 },
		{ "mechanism=PLAIN binding=zz", 26 },
		{ "mechanism=PLAIN binding_type=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 59 },
		{ "\0\0\0\0", 4 },
	};
	char *huge = calloc(1, AUTH_MESSAGE_MAX + 1);
	int fd;

	auth_world_init(&w);
	auth_world_start(&w);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		fd = open_exchange();
		ck_assert_int_eq(send(fd, bad[i].text, bad[i].len, 0), (ssize_t)bad[i].len);
		ck_assert_msg(is_closed(fd), "message %zu", i);
		close(fd);
	}
	memset(huge, 'a', AUTH_MESSAGE_MAX + 1);
	fd = open_exchange();
	ck_assert_int_eq(send(fd, huge, AUTH_MESSAGE_MAX + 1, 0), AUTH_MESSAGE_MAX + 1);
	ck_assert(is_closed(fd));
	close(fd);
	free(huge);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

START_TEST(the_line_shut_down)
{
	int status;

	auth_world_init(&w);
	auth_world_start(&w);
	shutdown(w.request_fd[1], SHUT_RDWR);
	/* it does not spin, it ends and says why */
	ck_assert_int_eq(waitpid(w.pid, &status, 0), w.pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert_ptr_nonnull(strstr(auth_world_log(&w), "event=auth_error"));
	w.pid = 0;
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_TEMPORARY);
	auth_world_release(&w);
}
END_TEST

/* Who is banned is told so at once, and the other end is closed before the question was read. */
START_TEST(an_answer_before_the_question)
{
	struct channel_message m;
	struct kv_pair pair;
	int end[2];
	bool bad;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end), 0);
	ck_assert_int_eq(send(end[0], "mechanism=PLAIN", 15, 0), 15);
	ck_assert_int_eq(send(end[1], "result=banned", 13, 0), 13);
	close(end[1]);
	ck_assert_int_eq(channel_receive(end[0], &m, clock_mono_ms() + 5000, NULL), CHANNEL_MESSAGE);
	ck_assert(channel_next(&m, &pair, &bad));
	ck_assert_str_eq(pair.value, "banned");
	ck_assert_int_eq(channel_receive(end[0], &m, clock_mono_ms() + 5000, NULL), CHANNEL_GONE);
}
END_TEST

/* An auth process that lies: whatever it says that it would not say is no answer. */
START_TEST(answers_that_are_none)
{
	static const char *const bad[] = {
		"result=ok", "result=okay user=alice",        "user=alice",
		"x",         "result=ok user=\"al\\x00ice\"", "result=ok user=\""
	};
	char long_user[400];

	auth_world_init(&w);
	atomic_store(&w.shared->mechanisms, SMTP_MECHANISM_ALL);
	for (size_t i = 0; i <= sizeof(bad) / sizeof(*bad); i++) {
		const char *text = i < sizeof(bad) / sizeof(*bad) ? bad[i] : long_user;
		pid_t liar = fork();

		snprintf(long_user, sizeof(long_user), "result=ok user=%0300d", 0);
		if (liar == 0) {
			union {
				struct cmsghdr header;
				char room[CMSG_SPACE(sizeof(int))];
			} control;
			struct auth_request request;
			struct iovec iov = { &request, sizeof(request) };
			struct msghdr msg = { .msg_iov = &iov,
					      .msg_iovlen = 1,
					      .msg_control = control.room,
					      .msg_controllen = sizeof(control.room) };
			int fd;

			fcntl(w.request_fd[0], F_SETFL, 0);
			if (recvmsg(w.request_fd[0], &msg, 0) < 0)
				_exit(1);
			memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
			_exit(send(fd, text, strlen(text), 0) < 0);
		}
		ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_TEMPORARY);
		waitpid(liar, NULL, 0);
	}
	auth_world_release(&w);
}
END_TEST

/* ---- ceilings ------------------------------------------------------------------------------ */

START_TEST(who_stalls_blocks_nobody_until_the_ceiling)
{
	struct auth_asker stalled[3];

	auth_world_init(&w);
	w.config.max_exchanges = 4;
	auth_world_start(&w);
	for (int i = 0; i < 3; i++) {
		auth_world_asker(&w, &stalled[i]);
		ck_assert_int_eq(stalled[i].authenticator.ops->begin(&stalled[i].authenticator, &w.client,
								     "LOGIN", NULL, clock_mono_ms() + 20000,
								     &w.answer),
				 AUTHENTICATOR_CONTINUE);
	}
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	/* the last place */
	ck_assert_int_eq(auth_begin(&w, "LOGIN", NULL), AUTHENTICATOR_CONTINUE);
	close(open_exchange());
	/* somebody goes: whoever waited comes in, the one who only knocked is dropped with its descriptor */
	auth_asker_release(&stalled[0]);
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("alice")), AUTHENTICATOR_CONTINUE);
	ck_assert_int_eq(auth_step(&w, AUTH_BASE64("secret")), AUTHENTICATOR_OK);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_asker_release(&stalled[1]);
	auth_asker_release(&stalled[2]);
	auth_world_release(&w);
}
END_TEST

START_TEST(so_many_hashings_at_a_time)
{
	pid_t pid[8];
	int status;

	auth_world_init(&w);
	auth_world_start(&w);
	for (int i = 0; i < 8; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(auth_plain(&w, "busy", "x") == AUTHENTICATOR_FAILED ? 0 : 1);
	}
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(atomic_load(&w.shared->verified), 8);
	ck_assert_int_eq(atomic_load(&w.shared->most_working), 2);
	/* who dies in it gives its place back */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(auth_plain(&w, "die", "x"), AUTHENTICATOR_TEMPORARY);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

/* ---- delay and ban --------------------------------------------------------------------------- */

static int64_t took_ms(const char *name, const char *password, enum authenticator_result expected)
{
	int64_t began = clock_mono_ms();

	ck_assert_int_eq(auth_plain(&w, name, password), expected);
	return clock_mono_ms() - began;
}

START_TEST(failures_are_held_back)
{
	auth_world_init(&w);
	w.config.ban.delay_ms = 150;
	auth_world_start(&w);
	ck_assert_int_lt(took_ms("alice", "secret", AUTHENTICATOR_OK), 150);
	ck_assert_int_ge(took_ms("alice", "a", AUTHENTICATOR_FAILED), 150);
	ck_assert_int_ge(took_ms("alice", "b", AUTHENTICATOR_FAILED), 300);
	ck_assert_int_ge(took_ms("alice", "c", AUTHENTICATOR_FAILED), 600);
	/* who knows the password does not wait for what others did */
	ck_assert_int_lt(took_ms("alice", "secret", AUTHENTICATOR_OK), 150);
	auth_world_release(&w);
}
END_TEST

START_TEST(a_ban_and_its_end)
{
	int verified;

	auth_world_init(&w);
	w.config.ban = (struct ban_limits){ .after = 3, .time_ms = 1500 };
	auth_world_start(&w);
	for (int i = 0; i < 5; i++) /* a device with an old password: the same again and again */
		ck_assert_int_eq(auth_plain(&w, "alice", "old"), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	ck_assert_int_eq(auth_plain(&w, "alice", "b"), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(auth_plain(&w, "bob", "b"), AUTHENTICATOR_FAILED);
	ck_assert_ptr_nonnull(
		strstr(auth_world_log(&w),
		       "event=auth_banned peer=192.0.2.1 user=bob mechanism=PLAIN failures=3 for=1.500"));
	verified = atomic_load(&w.shared->verified);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_BANNED);
	ck_assert_int_eq(atomic_load(&w.shared->verified), verified);
	/* nobody else is */
	w.peer.address = "192.0.2.2";
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	w.peer.address = "192.0.2.1";
	usleep(1600000);
	ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	auth_world_release(&w);
}
END_TEST

static enum authenticator_result auth_cram(const char *name)
{
	char response[100];

	ck_assert_int_eq(auth_begin(&w, "CRAM-MD5", NULL), AUTHENTICATOR_CONTINUE);
	snprintf(response, sizeof(response), "%s 0123456789abcdef0123456789abcdef", name);
	return auth_step(&w, auth_base64(response, strlen(response)));
}

/* Neither by its delay nor by its ban: "scram" is known and has no password for CRAM-MD5, "alice" has one. */
START_TEST(a_ban_does_not_tell_who_exists)
{
	static const char *const names[] = { "alice", "scram", "nobody" };

	auth_world_init(&w);
	w.config.ban = (struct ban_limits){ .after = 4, .time_ms = 60000 };
	auth_world_start(&w);
	for (size_t i = 0; i < 3; i++) {
		w.peer.address = i == 0 ? "192.0.2.1" : i == 1 ? "192.0.2.2" : "192.0.2.3";
		for (int k = 0; k < 4; k++)
			ck_assert_int_eq(auth_cram(names[i]), AUTHENTICATOR_FAILED);
		ck_assert_int_eq(auth_begin(&w, "CRAM-MD5", NULL), AUTHENTICATOR_BANNED);
	}
	auth_world_release(&w);
}
END_TEST

/* As smtplib does it: first by challenge, for which this user has no secret, then by PLAIN. */
START_TEST(who_gets_in_after_all_is_not_banned)
{
	auth_world_init(&w);
	w.config.ban = (struct ban_limits){ .after = 3, .time_ms = 60000 };
	auth_world_start(&w);
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(auth_cram("Ala"), AUTHENTICATOR_FAILED);
		ck_assert_int_eq(auth_plain(&w, "Ala", "secret"), AUTHENTICATOR_OK);
	}
	/* with an account of one's own nothing else is pardoned */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(auth_cram("nobody"), AUTHENTICATOR_FAILED);
		ck_assert_int_eq(auth_plain(&w, "Ala", "secret"), AUTHENTICATOR_OK);
	}
	ck_assert_int_eq(auth_plain(&w, "Ala", "guess"), AUTHENTICATOR_FAILED);
	ck_assert_int_eq(auth_plain(&w, "Ala", "secret"), AUTHENTICATOR_BANNED);
	auth_world_release(&w);
}
END_TEST

START_TEST(guesses_side_by_side_gain_nothing)
{
	struct auth_asker slow;
	char password[16];

	auth_world_init(&w);
	w.config.ban = (struct ban_limits){ .after = 3, .time_ms = 60000 };
	auth_world_start(&w);
	/* the right guess is under way while the others fail */
	auth_world_asker(&w, &slow);
	ck_assert_int_eq(slow.authenticator.ops->begin(&slow.authenticator, &w.client, "LOGIN",
						       AUTH_BASE64("alice"), clock_mono_ms() + 20000,
						       &w.answer),
			 AUTHENTICATOR_CONTINUE);
	for (int i = 0; i < 3; i++) {
		snprintf(password, sizeof(password), "%d", i);
		ck_assert_int_eq(auth_plain(&w, "alice", password), AUTHENTICATOR_FAILED);
	}
	ck_assert_int_eq(slow.authenticator.ops->step(&slow.authenticator, AUTH_BASE64("secret"),
						      clock_mono_ms() + 20000, &w.answer),
			 AUTHENTICATOR_BANNED);
	ck_assert_ptr_null(strstr(auth_world_log(&w), "event=authenticated"));
	auth_asker_release(&slow);
	auth_world_release(&w);
}
END_TEST

START_TEST(nobody_here_is_banned)
{
	static const char *const local[] = { "127.0.0.1", "::1", "unix" };
	char password[16];

	auth_world_init(&w);
	w.config.ban = (struct ban_limits){ .after = 2, .time_ms = 60000 };
	auth_world_start(&w);
	for (size_t i = 0; i < 3; i++) {
		w.peer.address = local[i];
		for (int k = 0; k < 5; k++) {
			snprintf(password, sizeof(password), "%d", k);
			ck_assert_int_eq(auth_plain(&w, "alice", password), AUTHENTICATOR_FAILED);
		}
		ck_assert_int_eq(auth_plain(&w, "alice", "secret"), AUTHENTICATOR_OK);
	}
	auth_world_release(&w);
}
END_TEST

/* ---- the table of failures, by itself -------------------------------------------------------- */

static struct ban_note failed_at(struct ban_table *t, const char *address, uint64_t guess, int64_t now)
{
	struct auth_address a = auth_address_parse(address);

	return ban_note(t, &a, guess, now);
}

static bool is_banned(struct ban_table *t, const char *address, int64_t now)
{
	struct auth_address a = auth_address_parse(address);

	return ban_is_banned(t, &a, now);
}

START_TEST(bans)
{
	const struct ban_limits limits = { .after = 3, .time_ms = 1000, .delay_ms = 10 };
	struct ban_table t;

	ban_init(&t, &limits);
	ck_assert_int_eq(failed_at(&t, "192.0.2.1", 1, 100).delay_ms, 10);
	ck_assert_int_eq(failed_at(&t, "192.0.2.1", 2, 200).delay_ms, 20);
	ck_assert(!is_banned(&t, "192.0.2.1", 200));
	/* the window is over: from the beginning */
	ck_assert_uint_eq(failed_at(&t, "192.0.2.1", 3, 1100).failures, 1);
	ck_assert_uint_eq(failed_at(&t, "192.0.2.1", 4, 1200).failures, 2);
	ck_assert(failed_at(&t, "192.0.2.1", 5, 1300).banned);
	ck_assert_int_eq(failed_at(&t, "192.0.2.1", 6, 1301).delay_ms, 40);
	ck_assert(!failed_at(&t, "192.0.2.1", 7, 1302).banned);
	ck_assert(is_banned(&t, "192.0.2.1", 2299));
	ck_assert(is_banned(&t, "::ffff:192.0.2.1", 2299));
	ck_assert(!is_banned(&t, "192.0.2.2", 2299));
	ck_assert(!is_banned(&t, "192.0.2.1", 2300));
	ck_assert_uint_eq(failed_at(&t, "192.0.2.1", 8, 2400).failures, 1);
	/* a network of 64 bits is one client */
	for (int i = 0; i < 3; i++)
		failed_at(&t, i == 1 ? "2001:db8:0:1::1" : "2001:db8:0:1:ffff::2", (uint64_t)i, 3000);
	ck_assert(is_banned(&t, "2001:db8:0:1:1234::", 3000));
	ck_assert(!is_banned(&t, "2001:db8:0:2::1", 3000));
	/* on the link it is the host */
	for (int i = 0; i < 3; i++)
		failed_at(&t, "fe80::1%eth0", (uint64_t)i, 3000);
	ck_assert(is_banned(&t, "fe80::1%eth0", 3000));
	ck_assert(!is_banned(&t, "fe80::2%eth0", 3000));
	/* whom a proxy does not know is nobody here */
	for (int i = 0; i < 3; i++)
		failed_at(&t, "unknown", (uint64_t)i, 3000);
	ck_assert(is_banned(&t, "unknown", 3000));
	ck_assert(!is_banned(&t, "unix", 3000));
	/* some devices with old passwords, in turns, at one address */
	for (int i = 0; i < 100; i++)
		ck_assert_uint_le(failed_at(&t, "192.0.2.7", 1 + (uint64_t)i % 2, 3000).failures, 2);
	ck_assert(!is_banned(&t, "192.0.2.7", 3000));
	ck_assert_uint_eq(failed_at(&t, "192.0.2.7", 3, 3000).failures, 3);
	ck_assert(is_banned(&t, "192.0.2.7", 3000));
	/* what cannot be told apart counts */
	for (int i = 0; i < 3; i++)
		failed_at(&t, "192.0.2.9", 0, 3000);
	ck_assert(is_banned(&t, "192.0.2.9", 3000));
	ban_release(&t);
}
END_TEST

START_TEST(bans_have_a_ceiling)
{
	const struct ban_limits limits = { .after = 2, .time_ms = 1000000, .delay_ms = INT64_C(1) << 40 };
	struct ban_table t;
	char address[32];

	ban_init(&t, &limits);
	failed_at(&t, "198.51.100.1", 1, 1);
	failed_at(&t, "198.51.100.1", 2, 1);
	ck_assert_int_eq(failed_at(&t, "198.51.100.2", 2, 2).delay_ms, AUTH_DELAY_MAX_MS);
	for (int i = 0; i < 3 * BAN_ADDRESSES_MAX; i++) {
		snprintf(address, sizeof(address), "10.%d.%d.1", i / 256, i % 256);
		failed_at(&t, address, 1, 3 + i);
	}
	/* who is banned stays, whose failure is long ago is forgotten */
	ck_assert(is_banned(&t, "198.51.100.1", 20000));
	ck_assert_uint_eq(failed_at(&t, "198.51.100.2", 3, 20000).failures, 1);
	ban_release(&t);
}
END_TEST

START_TEST(addresses)
{
	char text[AUTH_ADDRESS_TEXT_MAX];
	static const char *const same[] = { "192.0.2.1", "2001:db8::1", "unix", "unknown" };

	for (size_t i = 0; i < 4; i++) {
		struct auth_address a = auth_address_parse(same[i]);

		ck_assert(auth_address_is_valid(&a));
		ck_assert_str_eq(auth_address_format(&a, text), same[i]);
	}
	ck_assert_uint_eq(auth_address_parse("fe80::1%eth0").family, AUTH_FAMILY_IPV6);
	ck_assert_uint_eq(auth_address_parse("").family, AUTH_FAMILY_UNKNOWN);
	ck_assert_uint_eq(auth_address_parse("2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8").family, AUTH_FAMILY_UNKNOWN);
	ck_assert_uint_eq(auth_address_parse("::ffff:127.0.0.1").family, AUTH_FAMILY_IPV4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("auth");

	UNIT_CASE(s, what_is_offered, a_worker_that_scribbles_in_shared_memory_offers_nothing_that_is_not,
		  a_backend_that_is_away, verdicts, log_lines, killed_in_the_middle, nobody_answers,
		  a_request_waits_for_a_restart, the_service_stops, the_worker_hangs_up,
		  retired_it_ends_what_it_began, requests_that_are_none, messages_that_are_none,
		  the_line_shut_down, an_answer_before_the_question, answers_that_are_none,
		  who_stalls_blocks_nobody_until_the_ceiling, so_many_hashings_at_a_time,
		  failures_are_held_back, a_ban_and_its_end, a_ban_does_not_tell_who_exists, who_gets_in_after_all_is_not_banned,
		  guesses_side_by_side_gain_nothing,
		  nobody_here_is_banned, bans, bans_have_a_ceiling, addresses);
	return unit_run(s);
}
