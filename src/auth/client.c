/* SPDX-License-Identifier: ISC */
/* See client.h. Runs in a worker. */
#include "auth/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/address.h"
#include "auth/channel.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "session/session.h"
#include "smtp/mechanism.h"

static struct auth_asker *of(struct session_authenticator *a)
{
	return (struct auth_asker *)a;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What this client may use: with channel binding only what has a channel. */
static unsigned offered(const struct auth_asker *c, const struct session_client *client)
{
	unsigned set = atomic_load(c->line->mechanisms) & c->allowed;

	if (!client->tls || client->tls->binding_len == 0)
		set &= ~SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256_PLUS);
	return set;
}

static void ask_mechanisms(struct session_authenticator *a, const struct session_client *client,
			   struct buf *out)
{
	smtp_mechanism_put(out, offered(of(a), client));
}

static void end_exchange(struct session_authenticator *a)
{
	struct auth_asker *c = of(a);

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->answer)
		explicit_bzero(c->answer, sizeof(*c->answer));
}

/* Hands that descriptor over. While the auth process is being restarted the queue may fill up. */
static bool send_request(const struct auth_asker *c, const struct auth_request *request, int fd,
			 int64_t deadline_mono_ms)
{
	struct control *control = c->line->control;

	while (descriptors_send(c->line->request_fd, request, sizeof(*request), &fd, 1) < 0) {
		struct pollfd fds[2] = { { c->line->request_fd, POLLOUT, 0 }, { control->fd, POLLIN, 0 } };
		int64_t left = deadline_mono_ms - clock_mono_ms();

		if (errno != EAGAIN || control->stopping || left <= 0)
			return false;
		poll(fds, 2, left < 1000 ? (int)left : 1000);
		if (fds[1].revents)
			control_read(control);
	}
	return true;
}

/* Sends one end of a new pair to the auth process and keeps the other. */
static bool open_exchange(struct auth_asker *c, const struct session_client *client, int64_t deadline_mono_ms)
{
	struct auth_request request = { .version = AUTH_REQUEST_VERSION,
					.client = auth_address_parse(client->peer->address) };
	int pair[2];
	bool sent;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	sent = send_request(c, &request, pair[1],
			    earlier(deadline_mono_ms, clock_mono_ms() + AUTH_ANSWER_MS));
	close(pair[1]);
	if (sent)
		c->fd = pair[0];
	else
		close(pair[0]);
	return sent;
}

static const struct {
	const char *word;
	enum authenticator_result result;
} results[] = {
	{ "ok", AUTHENTICATOR_OK },
	{ "failed", AUTHENTICATOR_FAILED },
	{ "malformed", AUTHENTICATOR_MALFORMED },
	{ "no_mechanism", AUTHENTICATOR_NO_MECHANISM },
	{ "temporary", AUTHENTICATOR_TEMPORARY },
	{ "banned", AUTHENTICATOR_BANNED },
};

static enum authenticator_result result_of(const char *word)
{
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++)
		if (strcmp(results[i].word, word) == 0)
			return results[i].result;
	return AUTHENTICATOR_TEMPORARY;
}

/* What the auth process says; anything that it would not say is no answer. */
static enum authenticator_result read_answer(struct auth_asker *c, struct authenticator_answer *out)
{
	enum authenticator_result result = AUTHENTICATOR_TEMPORARY;
	struct kv_pair pair;
	bool bad;

	out->user[0] = '\0';
	while (channel_next(c->answer, &pair, &bad)) {
		if (strlen(pair.value) != pair.len) {
			return AUTHENTICATOR_TEMPORARY;
		} else if (strcmp(pair.key, "challenge") == 0) {
			out->challenge = pair.value;
			result = AUTHENTICATOR_CONTINUE;
		} else if (strcmp(pair.key, "result") == 0) {
			result = result_of(pair.value);
		} else if (strcmp(pair.key, "user") == 0 && pair.len < sizeof(out->user)) {
			memcpy(out->user, pair.value, pair.len + 1);
		}
	}
	if (bad || (result == AUTHENTICATOR_OK && out->user[0] == '\0'))
		return AUTHENTICATOR_TEMPORARY;
	return result;
}

/*
 * The answer to a failure is held back: all that time the client has a worker, and nothing to show for it. So the
 * master may count on its going, which is when it has been answered (base/client_wait.h). Who did log in begins anew.
 */
static void note_waiting_for(struct client_wait *w, enum authenticator_result result)
{
	if (result == AUTHENTICATOR_OK)
		client_wait_new_episode(w);
	else
		client_wait_ends(w, clock_mono_ms());
}

static enum authenticator_result await_answer(struct auth_asker *c, int64_t deadline_mono_ms,
					      struct authenticator_answer *out)
{
	struct client_wait *wait = c->line->control->wait;
	int64_t until = earlier(deadline_mono_ms, clock_mono_ms() + AUTH_WAIT_MS);
	enum authenticator_result result = AUTHENTICATOR_TEMPORARY;

	if (wait)
		client_wait_begins(wait, clock_mono_ms());
	switch (channel_receive(c->fd, c->answer, until, c->line->control)) {
	case CHANNEL_MESSAGE:
		result = read_answer(c, out);
		break;
	case CHANNEL_GONE:
	case CHANNEL_TIMEOUT:
	case CHANNEL_STOP:
		break;
	}
	if (wait)
		note_waiting_for(wait, result);
	if (result != AUTHENTICATOR_CONTINUE) {
		close(c->fd);
		c->fd = -1;
	}
	return result;
}

/*
 * The message holds a secret: cleared behind it. Whether it could be sent is no matter: the answer to who is
 * banned is there before the question, and then nobody listens any more.
 */
static void say(struct auth_asker *c, struct buf *message)
{
	(void)channel_send(c->fd, message);
	explicit_bzero(message->data, message->len);
}

static void put_binding(struct buf *message, const struct session_tls *tls)
{
	char hex[2 * SESSION_TLS_BINDING_MAX + 1] = "";

	kv_puts(message, "tls", tls ? "1" : "0");
	if (!tls || tls->binding_len == 0)
		return;
	for (size_t i = 0; i < tls->binding_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", tls->binding[i]);
	kv_puts(message, "binding_type", tls->binding_type);
	kv_puts(message, "binding", hex);
}

static enum authenticator_result ask_begin(struct session_authenticator *a,
					   const struct session_client *client, const char *mechanism,
					   const char *initial, int64_t deadline_mono_ms,
					   struct authenticator_answer *out)
{
	unsigned set = offered(of(a), client);
	struct auth_asker *c = of(a);
	struct buf message;
	bool fits;

	end_exchange(a);
	memset(out, 0, sizeof(*out));
	out->challenge = "";
	if (!(set & smtp_mechanism_bit(mechanism, strlen(mechanism))))
		return AUTHENTICATOR_NO_MECHANISM;
	/* the next attempt is here with the last one, and no wait between them at which it would hear so */
	if (c->line->control->wait && client_wait_is_shed(c->line->control->wait))
		return AUTHENTICATOR_SHED;
	if (!open_exchange(c, client, deadline_mono_ms))
		return AUTHENTICATOR_TEMPORARY;
	if (!c->answer)
		c->answer = mem_alloc(sizeof(*c->answer));
	buf_init(&message, AUTH_MESSAGE_MAX);
	kv_puts(&message, "mechanism", mechanism);
	kv_puts(&message, "plus", set & SMTP_MECHANISM_BIT(SMTP_MECHANISM_SCRAM_SHA_256_PLUS) ? "1" : "0");
	put_binding(&message, client->tls);
	/* the ceiling is above that of the session's lines */
	fits = !initial || kv_puts(&message, "initial", initial);
	say(c, &message);
	buf_release(&message);
	return fits ? await_answer(c, deadline_mono_ms, out) : AUTHENTICATOR_TEMPORARY;
}

static enum authenticator_result ask_step(struct session_authenticator *a, const char *response,
					  int64_t deadline_mono_ms, struct authenticator_answer *out)
{
	struct auth_asker *c = of(a);
	struct buf message;
	bool fits;

	if (c->fd < 0)
		return AUTHENTICATOR_TEMPORARY;
	buf_init(&message, AUTH_MESSAGE_MAX);
	fits = kv_puts(&message, "response", response);
	say(c, &message);
	buf_release(&message);
	out->challenge = "";
	return fits ? await_answer(c, deadline_mono_ms, out) : AUTHENTICATOR_TEMPORARY;
}

static const struct session_authenticator_ops asker_ops = {
	.mechanisms = ask_mechanisms,
	.begin = ask_begin,
	.step = ask_step,
	.cancel = end_exchange,
};

void auth_asker_init(struct auth_asker *c, const struct auth_asker_line *line, unsigned allowed)
{
	*c = (struct auth_asker){
		.authenticator = { &asker_ops }, .line = line, .allowed = allowed, .fd = -1
	};
}

void auth_asker_release(struct auth_asker *c)
{
	end_exchange(&c->authenticator);
	free(c->answer);
	c->answer = NULL;
}
