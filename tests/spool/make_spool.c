/* SPDX-License-Identifier: ISC */
/*
 * make_spool DIR: makes a spool, and in it the messages described on
 * standard input, one JSON object a line; prints the id of each. Through the
 * same functions as worker and relay, so that tests of the CLI see real files.
 *
 *   {"from": "a@x", "content": "FILE", "arrived": US, "peer": "...", "helo": "...",
 *    "to": [{"address": "b@y", "status": "failed", "when": US, "upstream": "main", "reply": "550 no"}],
 *    "tries": 3, "next": US, "last": US, "held": "reason", "uncertain": true, "count": N,
 *    "made": US, "by": US}
 *
 * by: to be returned when it is not delivered by then (BY=; R). made is the clock that the id is made by, for this message and those behind it.
 * Only from, to and address must be there. Strings hold one octet a
 * character (U+0000 to U+00FF), so that a test can write what is not UTF-8.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "spool/spool.h"
#include "spool/state.h"
#include "spool/txn.h"

static struct err why;

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "make_spool: %s: %s\n", what, why.text);
	exit(1);
}

/* The octets of a string, NULL when it is not there; the caller's. */
static char *octets(const json_t *o, const char *key)
{
	const unsigned char *in = (const unsigned char *)json_string_value(json_object_get(o, key));
	char *text, *out;

	if (!in)
		return NULL;
	text = out = mem_alloc(strlen((const char *)in) + 1);
	while (*in) {
		if (*in < 0x80) {
			*out++ = (char)*in++;
		} else {
			*out++ = (char)((in[0] & 3) << 6 | (in[1] & 0x3f));
			in += 2;
		}
	}
	return text;
}

static void set(const json_t *o, const char *key, char **field)
{
	char *text = octets(o, key);

	if (!text)
		return;
	free(*field);
	*field = text;
}

static int64_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void write_content(struct spool_txn *txn, const char *file)
{
	static const char plain[] = "From: a@x\r\nSubject: test\r\n\r\nHello\r\n";
	char block[65536];
	ssize_t n;
	int fd;

	if (!file) {
		if (spool_txn_write(txn, plain, sizeof(plain) - 1, &why) != SPOOL_OK)
			die("write");
		return;
	}
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(file);
	while ((n = read(fd, block, sizeof(block))) > 0)
		if (spool_txn_write(txn, block, (size_t)n, &why) != SPOOL_OK)
			die("write");
	close(fd);
}

static enum rcpt_status status_of(const char *name)
{
	for (unsigned i = RCPT_PENDING; name && i <= RCPT_EXPIRED; i++)
		if (strcmp(rcpt_status_name((enum rcpt_status)i), name) == 0)
			return (enum rcpt_status)i;
	return RCPT_PENDING;
}

static void write_state(struct spool *s, const struct envelope *env, const json_t *o)
{
	const json_t *to = json_object_get(o, "to");
	struct spool_state st;
	bool wanted = json_object_get(o, "tries") || json_object_get(o, "held");

	spool_state_init(&st, env->rcpt_count);
	st.tries = (unsigned)number(o, "tries");
	st.next_attempt_wall_us = number(o, "next");
	st.last_attempt_wall_us = number(o, "last");
	st.hold_reason = octets(o, "held");
	st.held = st.hold_reason != NULL;
	st.uncertain = json_is_true(json_object_get(o, "uncertain"));
	for (size_t i = 0; i < env->rcpt_count; i++) {
		const json_t *r = json_array_get(to, i);
		char *upstream = octets(r, "upstream"), *reply = octets(r, "reply");

		wanted |= json_object_get(r, "status") != NULL;
		rcpt_state_set(&st.rcpt[i], status_of(json_string_value(json_object_get(r, "status"))),
			       number(r, "when"), upstream, NULL, reply);
		st.rcpt[i].next_wall_us = st.next_attempt_wall_us;
		free(upstream);
		free(reply);
	}
	if (wanted && spool_state_save(&st, s, env->id, &why) < 0)
		die("state");
	spool_state_release(&st);
}

static void make(struct spool *s, const json_t *o)
{
	const json_t *to = json_object_get(o, "to");
	struct spool_txn *txn;
	struct envelope env;

	if (json_object_get(o, "made"))
		clock_freeze(number(o, "made"), 0);
	envelope_init(&env);
	env.arrived_wall_us = json_object_get(o, "arrived") ? number(o, "arrived") : clock_wall_us();
	set(o, "from", &env.sender);
	set(o, "peer", &env.peer);
	set(o, "helo", &env.helo);
	if (json_object_get(o, "by"))
		env.by = (struct deliver_by){ .mode = DELIVER_BY_RETURN, .wall_us = number(o, "by") };
	for (size_t i = 0; i < json_array_size(to); i++) {
		char *address = octets(json_array_get(to, i), "address");

		envelope_add_rcpt(&env, address, strlen(address));
		free(address);
	}
	txn = spool_txn_begin(s, &env);
	write_content(txn, json_string_value(json_object_get(o, "content")));
	if (spool_txn_commit(txn, &why) != SPOOL_OK)
		die("commit");
	write_state(s, &env, o);
	puts(env.id);
	envelope_release(&env);
}

int main(int argc, char **argv)
{
	struct spool s;
	json_t *o;

	if (argc != 2) {
		fputs("usage: make_spool DIR <DESCRIPTIONS\n", stderr);
		return 2;
	}
	if (spool_prepare(argv[1], (uid_t)-1, (gid_t)-1, (gid_t)-1, &why) < 0 ||
	    spool_open(&s, argv[1], SPOOL_MANAGE, SPOOL_SYNC_FILE, &why) < 0)
		die(argv[1]);
	while ((o = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL))) {
		json_int_t count = json_object_get(o, "count") ? number(o, "count") : 1;

		while (count-- > 0)
			make(&s, o);
		json_decref(o);
	}
	spool_close(&s);
	return 0;
}
