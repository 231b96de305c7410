/* SPDX-License-Identifier: ISC */
/* See auth_world.h. */
#include "auth_world.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "smtp/mechanism.h"

static struct auth_world_shared *shared; /* for the backend, which has no context */

/* ---- the backend --------------------------------------------------------------------- */

static int fake_mechanisms(struct auth_backend *b, struct buf *out, struct err *e)
{
	(void)b;
	err_set(e, "nobody is there");
	buf_adds(out, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 ANONYMOUS");
	return atomic_load(&shared->broken) ? -1 : 0;
}

static void work(long ms)
{
	int now = atomic_fetch_add(&shared->working, 1) + 1, most = atomic_load(&shared->most_working);

	while (now > most && !atomic_compare_exchange_weak(&shared->most_working, &most, now))
		;
	usleep((useconds_t)ms * 1000);
	atomic_fetch_sub(&shared->working, 1);
}

static enum auth_result fake_verify(struct auth_backend *b, const struct auth_client *client,
				    const char *name, const char *password, char user[AUTH_USER_MAX],
				    struct err *e)
{
	(void)b;
	ck_assert(client->deadline_mono_ms > clock_mono_ms());
	atomic_fetch_add(&shared->verified, 1);
	err_set(e, "unknown user");
	if (strcmp(name, "slow") == 0) {
		atomic_store(&shared->slow_pid, getpid());
		sleep(60);
	}
	if (strcmp(name, "die") == 0)
		raise(SIGKILL);
	if (strcmp(name, "busy") == 0)
		work(50);
	if (strcmp(name, "later") == 0) {
		err_set(e, "the disk is on fire");
		return AUTH_TEMPORARY;
	}
	if (strcmp(name, "alice") != 0 && strcmp(name, "Ala") != 0)
		return AUTH_FAILED;
	err_set(e, "wrong password");
	strcpy(user, strcmp(name, "Ala") == 0 ? "ala" : name);
	return strcmp(password, "secret") == 0 ? AUTH_OK : AUTH_FAILED;
}

static enum auth_result fake_lookup(struct auth_backend *b, const char *name, struct auth_secret *out,
				    struct err *e)
{
	(void)b;
	memset(out, 0, sizeof(*out));
	err_set(e, "unknown user");
	if (strcmp(name, "alice") == 0) {
		strcpy(out->user, name);
		strcpy(out->password, "secret");
		return AUTH_OK;
	}
	if (strcmp(name, "later") == 0)
		return AUTH_TEMPORARY;
	if (strcmp(name, "scram") != 0)
		return AUTH_FAILED;
	/* "pencil", by the salt of RFC 7677 3 */
	strcpy(out->user, name);
	out->has_scram_sha256 = true;
	out->iterations = 4096;
	strcpy(out->salt, "W22ZaJ0SNY7soEsUEjb6gQ==");
	strcpy(out->stored_key, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
	strcpy(out->server_key, "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	return AUTH_OK;
}

static void fake_close(struct auth_backend *b)
{
	(void)b;
}

static const struct auth_backend_ops fake_ops = { .name = "fake",
						  .mechanisms = fake_mechanisms,
						  .verify = fake_verify,
						  .lookup = fake_lookup,
						  .close = fake_close,
						  .hashes = true };
static struct auth_backend fake_backend = { &fake_ops };

/* ---- the world ------------------------------------------------------------------------- */

void auth_world_init(struct auth_world *w)
{
	memset(w, 0, sizeof(*w));
	signal(SIGPIPE, SIG_IGN);
	w->shared = shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(shared != MAP_FAILED);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, w->request_fd),
			 0);
	ck_assert_int_eq(control_pair(w->worker_line), 0);
	w->log_fd = memfd_create("log", MFD_CLOEXEC);
	control_init(&w->worker_control, w->worker_line[0], 1000);
	w->config = (struct auth_server_config){ .request_fd = w->request_fd[0],
						 .backend = &fake_backend,
						 .max_exchanges = 20,
						 .max_hashings = 2,
						 .client_timeout_ms = 20000,
						 .ban = { 0, 60000, 0 },
						 .mechanisms = &shared->mechanisms,
						 .ready = &shared->ready };
	w->line = (struct auth_asker_line){ w->request_fd[1], &w->worker_control, &shared->mechanisms };
	auth_asker_init(&w->asker, &w->line, SMTP_MECHANISM_ALL);
	w->peer = (struct session_peer){ .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "a" };
	w->client = (struct session_client){ .peer = &w->peer, .helo = "there" };
	w->tls = (struct session_tls){ .version = "TLSv1.3",
				       .cipher = "none",
				       .binding_type = "tls-exporter",
				       .binding = "0123456789abcdef0123456789abcde",
				       .binding_len = 32 };
}

static _Noreturn void serve(struct auth_world *w)
{
	struct control control;
	struct err e;
	int r;

	dup2(w->log_fd, STDERR_FILENO);
	close(w->request_fd[1]);
	close(w->server_line[1]);
	control_init(&control, w->server_line[0], 1000);
	w->config.control = &control;
	r = auth_server_run(&w->config, &e);
	_exit(r == 0 ? 0 : 1);
}

void auth_world_start(struct auth_world *w)
{
	atomic_store(&w->shared->ready, false);
	ck_assert_int_eq(control_pair(w->server_line), 0);
	w->pid = fork();
	if (w->pid == 0)
		serve(w);
	close(w->server_line[0]);
	while (!atomic_load(&w->shared->ready))
		usleep(1000);
}

void auth_world_kill(struct auth_world *w)
{
	kill(w->pid, SIGKILL);
	ck_assert_int_eq(waitpid(w->pid, NULL, 0), w->pid);
	close(w->server_line[1]);
	w->pid = 0;
}

void auth_world_release(struct auth_world *w)
{
	int status = -1;

	auth_asker_release(&w->asker);
	if (w->pid == 0)
		return;
	/* the end of the file means: stop */
	close(w->server_line[1]);
	ck_assert_int_eq(waitpid(w->pid, &status, 0), w->pid);
	ck_assert_int_eq(status, 0);
}

const char *auth_world_log(struct auth_world *w)
{
	static char text[65536];
	ssize_t n = pread(w->log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

void auth_world_asker(struct auth_world *w, struct auth_asker *asker)
{
	auth_asker_init(asker, &w->line, SMTP_MECHANISM_ALL);
}

/* ---- a session's side --------------------------------------------------------------------- */

const char *auth_base64(const char *text, size_t len)
{
	static char out[8][20000];
	static unsigned next;
	char *at = out[next++ % 8];

	ck_assert_uint_lt(len, 14000);
	EVP_EncodeBlock((unsigned char *)at, (const unsigned char *)text, (int)len);
	return at;
}

enum authenticator_result auth_begin(struct auth_world *w, const char *mechanism, const char *initial)
{
	return w->asker.authenticator.ops->begin(&w->asker.authenticator, &w->client, mechanism, initial,
						 clock_mono_ms() + 20000, &w->answer);
}

enum authenticator_result auth_step(struct auth_world *w, const char *response)
{
	return w->asker.authenticator.ops->step(&w->asker.authenticator, response, clock_mono_ms() + 20000,
						&w->answer);
}

enum authenticator_result auth_plain(struct auth_world *w, const char *name, const char *password)
{
	char text[4096];
	int len = snprintf(text, sizeof(text), "%c%s%c%s", 0, name, 0, password);

	return auth_begin(w, "PLAIN", auth_base64(text, (size_t)len));
}
