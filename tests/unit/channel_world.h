/* SPDX-License-Identifier: ISC */
/* One session with a scripted server: how it fails to begin, or what it was like when a message got through. */
#ifndef TESTS_CHANNEL_WORLD_H
#define TESTS_CHANNEL_WORLD_H

#include "upstream_client.h"

#define TRIED "> 220 hi", "< EHLO client.example", "> 250-me", "> 250 STARTTLS", "< STARTTLS", "> 220 go"
#define SENDS_ONE(...)                                                                                       \
	"> 220 hi", "< EHLO client.example", "> 250-me", __VA_ARGS__ "> 250 PIPELINING", GROUP("a"), TAKEN,  \
		"data", "> 250 ok", QUIT

/* Changes the settings a case is about. */
typedef void channel_setting(struct upstream_settings *s);

static inline void world_client(struct client *c, uint16_t port, channel_setting *set)
{
	client_init(c, port);
	c->settings.tls_ca_file = certs_ca_file;
	if (set)
		set(&c->settings);
	add(c, "a", 1, "A\r\n", 3);
	client_run(c);
}

/* What was told of the failure; the caller looks at c and releases it. */
static inline void fails(struct client *c, const char *const *script, channel_setting *set, enum upstream_phase phase,
			 const char *text)
{
	struct script_server s = server_start(script);

	world_client(c, s.port, set);
	ck_assert_msg(!c->ready && c->given == 0, "it did not fail: %s", text);
	ck_assert_msg(c->why.how == UPSTREAM_NO_ANSWER && c->why.phase == phase && strstr(c->why.reply.text, text),
		      "\"%s\" expected, how %d phase %s: %s", text, c->why.how, upstream_phase_name(c->why.phase),
		      c->why.reply.text);
	ck_assert_msg(server_end(&s), "server: %s", text);
}

/* The message arrives; the caller looks at c and releases it. */
static inline void works(struct client *c, const char *const *script, channel_setting *set)
{
	struct script_server s = server_start(script);

	world_client(c, s.port, set);
	ck_assert_msg(c->ready, "%s: %s", upstream_phase_name(c->why.phase), c->why.reply.text);
	ended(c->txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert(server_end(&s));
}

#endif
