/* SPDX-License-Identifier: ISC */
/*
 * A module for Posthouse, posthouse-module(3): rules of the house, in front of any handler. An example of
 * what subclasses of smtpd's SMTPChannel do in Python: verbs defined anew, a new verb, a look at the content.
 *
 *   module = ".../doorman.so"   module_arguments = {"deny-sender=example.com", "deny-word=XJS*C4JDBQADN1"}
 *
 * Compile: cc -shared -fPIC $(pkg-config --cflags posthouse-module) -o doorman.so doorman.c
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <posthouse/module.h>

#define WORD_MAX 100

static const struct posthouse_api *api;
static struct posthouse_server *server;

struct house { /* a worker's */
	const char *denied_sender, *denied_word; /* NULL: none */
};

struct guest { /* a channel's */
	const struct house *house;
	unsigned pings;
	char tail[WORD_MAX]; /* the end of what was seen of the content: a word may be cut between two pieces
			      */
	size_t tail_len;
};

static const char *value_of(const char *argument, const char *name)
{
	size_t len = strlen(name);

	return strncmp(argument, name, len) == 0 && argument[len] == '=' && argument[len + 1]
		       ? argument + len + 1
		       : NULL;
}

/* "XPING word": what smtp_XPING(self, arg) would be. */
static int smtp_XPING(void *data, struct posthouse_channel *channel, const char *arg)
{
	struct guest *g = data;
	char text[200];

	snprintf(text, sizeof(text), "pong %u %.100s", ++g->pings, arg);
	if (api->reply(channel, 250, "2.0.0", text) < 0)
		api->reply(channel, 501, "5.5.4", "only printable ASCII is thrown back");
	return POSTHOUSE_REPLY;
}

/* Everybody may know that there is a postmaster (RFC 5321 4.5.1); the rest is answered as before. */
static int smtp_VRFY(void *data, struct posthouse_channel *channel, const char *arg)
{
	(void)data;
	if (strcasecmp(arg, "postmaster") != 0)
		return POSTHOUSE_PASS;
	api->reply(channel, 250, "2.1.5", "<postmaster>");
	return POSTHOUSE_REPLY;
}

static int channel_open(void *state, struct posthouse_channel *channel, void **data)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g) {
		api->reply(channel, 421, "4.3.0", "out of memory");
		return POSTHOUSE_REPLY;
	}
	g->house = state;
	*data = g;
	return POSTHOUSE_PASS;
}

static void channel_close(void *data, struct posthouse_channel *channel)
{
	(void)channel;
	free(data);
}

static int sender(void *data, struct posthouse_channel *channel, const char *mailfrom)
{
	const char *denied = ((struct guest *)data)->house->denied_sender, *at = strrchr(mailfrom, '@');

	if (!denied || !at || strcasecmp(at + 1, denied) != 0)
		return POSTHOUSE_PASS;
	api->push(channel, "550 5.7.1 We take nothing from there");
	return POSTHOUSE_REPLY;
}

static int data_begin(void *data, struct posthouse_channel *channel)
{
	(void)channel;
	((struct guest *)data)->tail_len = 0;
	return POSTHOUSE_PASS;
}

/* Looks for the word across the border of two pieces, then in the new one. */
static int data_chunk(void *data, struct posthouse_channel *channel, const char *chunk, size_t len)
{
	struct guest *g = data;
	const char *word = g->house->denied_word;
	size_t need = word ? strlen(word) : 0, keep, take;
	char border[2 * WORD_MAX];

	if (!word)
		return POSTHOUSE_PASS;
	take = len < need - 1 ? len : need - 1;
	memcpy(border, g->tail, g->tail_len);
	memcpy(border + g->tail_len, chunk, take);
	if (memmem(border, g->tail_len + take, word, need) || memmem(chunk, len, word, need)) {
		api->reply(channel, 554, "5.7.1", "This word is not spoken here");
		return POSTHOUSE_REPLY;
	}
	if (len >= need - 1) {
		memcpy(g->tail, chunk + len - (need - 1), need - 1);
		g->tail_len = need - 1;
	} else {
		keep = g->tail_len + take < need - 1 ? g->tail_len + take : need - 1;
		memmove(g->tail, border + g->tail_len + take - keep, keep);
		g->tail_len = keep;
	}
	return POSTHOUSE_PASS;
}

static int doorman_open(const struct posthouse_api *the_api, struct posthouse_server *the_server, int argc,
			const char *const *argv, void **state)
{
	struct house *h = calloc(1, sizeof(*h));

	api = the_api;
	server = the_server;
	if (!h)
		return -1;
	for (int i = 0; i < argc; i++) {
		const char *from = value_of(argv[i], "deny-sender"), *word = value_of(argv[i], "deny-word");

		if ((!from && !word) || (word && strlen(word) > WORD_MAX)) {
			api->error(server, "module_arguments: deny-sender=DOMAIN and deny-word=WORD (100 "
					   "octets at most)");
			free(h);
			return -1;
		}
		h->denied_sender = from ? from : h->denied_sender;
		h->denied_word = word ? word : h->denied_word;
	}
	*state = h;
	/* what fails here fails the start, with a reason */
	api->add_verb(server, "VRFY", NULL, 0, smtp_VRFY);
	api->add_verb(server, "XPING", "XPING [word]", 0, smtp_XPING);
	api->add_keyword(server, "XPING");
	return 0;
}

static void doorman_close(void *state)
{
	free(state);
}

POSTHOUSE_MODULE_EXPORT const struct posthouse_module posthouse_module = {
	.abi = POSTHOUSE_MODULE_ABI,
	.size = sizeof(struct posthouse_module),
	.name = "doorman",
	.open = doorman_open,
	.close = doorman_close,
	.channel_open = channel_open,
	.channel_close = channel_close,
	.sender = sender,
	.data_begin = data_begin,
	.data_chunk = data_chunk,
};
