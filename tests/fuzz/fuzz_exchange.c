/* SPDX-License-Identifier: ISC */
/*
 * What a worker says to the child of one exchange: packets, each with its
 * length (two octets) in front, and then it hangs up. The first one chooses
 * the mechanism and has the client's initial response. The only user is
 * "alice". Promise: there is an end; texts of the outcome end; who gets in
 * is alice, and only with her password (PLAIN, LOGIN) or what needs it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth/exchange.h"
#include "base/assert.h"
#include "base/buf.h"
#include "fuzz.h"

#define PASSWORD "secret"

static bool said_password;

static int list(struct auth_backend *b, struct buf *out, struct err *e)
{
	(void)b;
	(void)e;
	buf_adds(out, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256");
	return 0;
}

static enum auth_result verify(struct auth_backend *b, const struct auth_client *client, const char *name,
			       const char *password, char user[AUTH_USER_MAX], struct err *e)
{
	(void)b;
	ASSERT(strcmp(client->address, "192.0.2.1") == 0 && name[0] && password[0]);
	ASSERT(strlen(name) < AUTH_USER_MAX && strlen(password) < AUTH_PASSWORD_MAX);
	err_set(e, "wrong");
	if (strcmp(name, "alice") != 0 || strcmp(password, PASSWORD) != 0)
		return AUTH_FAILED;
	said_password = true;
	strcpy(user, name);
	return AUTH_OK;
}

static enum auth_result look_up(struct auth_backend *b, const char *name, struct auth_secret *out, struct err *e)
{
	(void)b;
	memset(out, 0, sizeof(*out));
	err_set(e, "unknown user");
	if (strcmp(name, "alice") != 0)
		return AUTH_FAILED;
	strcpy(out->user, name);
	strcpy(out->password, PASSWORD);
	return AUTH_OK;
}

static const struct auth_backend_ops ops = { .name = "fuzz", .mechanisms = list, .verify = verify, .lookup = look_up };

static bool ends(const char *text, size_t cap)
{
	return memchr(text, '\0', cap) != NULL;
}

static void send_packets(int fd, const uint8_t *data, size_t size)
{
	for (int n = 0; n < 12 && size >= 2; n++) {
		size_t len = (size_t)(data[0] << 8 | data[1]) % (AUTH_MESSAGE_MAX + 100);

		data += 2;
		size -= 2;
		len = len < size ? len : size;
		if (send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		data += len;
		size -= len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth_backend backend = { .ops = &ops };
	static struct exchange_setup setup = { .backend = &backend, .client_timeout_ms = 20 };
	const struct auth_address client = { .family = AUTH_FAMILY_IPV4, .octets = { 192, 0, 2, 1 } };
	static struct exchange_outcome outcome;
	int pair[2];

	if (size > 1 << 16)
		return 0;
	said_password = false;
	memset(&outcome, 0, sizeof(outcome));
	ASSERT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	send_packets(pair[0], data, size);
	/* answers are not read: there is room for them. Who asks for more sees the end */
	ASSERT(shutdown(pair[0], SHUT_WR) == 0);
	exchange_run(&setup, pair[1], &client, &outcome);
	close(pair[0]);
	close(pair[1]);
	ASSERT(outcome.end != EXCHANGE_DIED);
	ASSERT(ends(outcome.mechanism, sizeof(outcome.mechanism)) && ends(outcome.user, sizeof(outcome.user)) &&
	       ends(outcome.reason, sizeof(outcome.reason)));
	if (outcome.end == EXCHANGE_OK) {
		ASSERT(strcmp(outcome.user, "alice") == 0);
		if (strcmp(outcome.mechanism, "PLAIN") == 0 || strcmp(outcome.mechanism, "LOGIN") == 0)
			ASSERT(said_password);
	}
	return 0;
}
