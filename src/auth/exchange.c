/* SPDX-License-Identifier: ISC */
/* See exchange.h. Runs in a child of the auth process, with its rights. */
#include "auth/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/address.h"
#include "auth/channel.h"
#include "auth/mechanism.h"
#include "base/clock.h"
#include "base/num.h"

#define BINDING_MAX 64
#define DEADLINE_SLACK_MS 2000 /* a backend's deadline is that much before the alarm */

struct exchange {
	struct auth_conversation conversation;
	struct mechanism mechanism;
	struct auth_client client;
	int fd;
	int64_t client_timeout_ms;
	struct channel_message begin, last; /* what was read; the mechanism's pointers are into them */
	char address[AUTH_ADDRESS_TEXT_MAX];
	char binding_type[20];
	unsigned char binding[BINDING_MAX];
};

/* From here on it works: not for ever. The default action of the alarm ends the process. */
static void begin_work(struct exchange *x)
{
	x->client.deadline_mono_ms = clock_mono_ms() + AUTH_ANSWER_MS - DEADLINE_SLACK_MS;
	alarm(AUTH_ANSWER_MS / 1000);
}

static const char *ask(struct auth_conversation *c, const char *challenge)
{
	struct exchange *x = (struct exchange *)c;
	const char *response = NULL;
	struct kv_pair pair;
	struct buf message;
	bool sent, bad;

	alarm(0);
	x->mechanism.cancelled = true;
	buf_init(&message, AUTH_MESSAGE_MAX);
	sent = kv_puts(&message, "challenge", challenge) && channel_send(x->fd, &message);
	buf_release(&message);
	explicit_bzero(&x->last, sizeof(x->last));
	if (!sent ||
	    channel_receive(x->fd, &x->last, clock_mono_ms() + x->client_timeout_ms, NULL) != CHANNEL_MESSAGE)
		return NULL;
	while (channel_next(&x->last, &pair, &bad))
		if (strcmp(pair.key, "response") == 0 && strlen(pair.value) == pair.len)
			response = pair.value;
	begin_work(x);
	x->mechanism.cancelled = bad || !response;
	return x->mechanism.cancelled ? NULL : response;
}

static bool read_hex(struct exchange *x, const struct kv_pair *pair)
{
	if (pair->len == 0 || pair->len % 2 != 0 || pair->len > 2 * BINDING_MAX ||
	    strspn(pair->value, "0123456789abcdef") != pair->len)
		return false;
	for (size_t i = 0; i < pair->len / 2; i++) {
		char digits[3] = { pair->value[2 * i], pair->value[2 * i + 1], '\0' };

		x->binding[i] = (unsigned char)strtoul(digits, NULL, 16);
	}
	x->mechanism.binding = x->binding;
	x->mechanism.binding_len = pair->len / 2;
	return true;
}

static bool copy(char *out, size_t cap, const struct kv_pair *pair)
{
	if (pair->len >= cap)
		return false;
	memcpy(out, pair->value, pair->len + 1);
	return true;
}

static bool take_pair(struct exchange *x, const struct kv_pair *pair)
{
	struct mechanism *m = &x->mechanism;

	if (strlen(pair->value) != pair->len)
		return false;
	if (strcmp(pair->key, "mechanism") == 0)
		return copy(m->outcome->mechanism, sizeof(m->outcome->mechanism), pair);
	if (strcmp(pair->key, "initial") == 0)
		m->initial = pair->value;
	else if (strcmp(pair->key, "tls") == 0)
		x->client.tls = pair->value[0] == '1';
	else if (strcmp(pair->key, "plus") == 0)
		m->plus_offered = pair->value[0] == '1';
	else if (strcmp(pair->key, "binding") == 0)
		return read_hex(x, pair);
	else if (strcmp(pair->key, "binding_type") == 0)
		return copy(x->binding_type, sizeof(x->binding_type), pair);
	else
		return false;
	return true;
}

/* What the worker says first. */
static bool read_begin(struct exchange *x)
{
	struct kv_pair pair;
	bool bad = false;

	if (channel_receive(x->fd, &x->begin, clock_mono_ms() + AUTH_ANSWER_MS, NULL) != CHANNEL_MESSAGE)
		return false;
	while (channel_next(&x->begin, &pair, &bad))
		if (!take_pair(x, &pair))
			return false;
	if (x->binding_type[0] && x->mechanism.binding)
		x->mechanism.binding_type = x->binding_type;
	return !bad && x->mechanism.outcome->mechanism[0] != '\0';
}

void exchange_run(const struct exchange_setup *setup, int fd, const struct auth_address *client,
		  struct exchange_outcome *outcome)
{
	static struct exchange x; /* large, and one a process */

	memset(&x, 0, sizeof(x));
	x.conversation.ask = ask;
	x.fd = fd;
	x.client_timeout_ms = setup->client_timeout_ms;
	x.client.address = auth_address_format(client, x.address);
	x.mechanism = (struct mechanism){
		.setup = setup, .conversation = &x.conversation, .client = &x.client, .outcome = outcome
	};
	if (!read_begin(&x)) {
		outcome->end = EXCHANGE_CANCELLED;
		return;
	}
	begin_work(&x);
	outcome->end = mechanism_run(&x.mechanism);
	alarm(0);
	explicit_bzero(&x, sizeof(x));
}
