/* SPDX-License-Identifier: ISC */
/*
 * A module that does whatever a client of a test tells it to, mostly what it must not: "XDO WHAT [N]" at once, and
 * "XNEXT FUNCTION WHAT [N]" the next time that function is called.
 */
#define _GNU_SOURCE /* memmem */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <posthouse/module.h>

static const struct posthouse_api *api;
static struct posthouse_server *server;
static char next_function[40], next_what[40];
static long next_number;
static const char *told[16]; /* module_arguments */

static void *ask_from_thread(void *channel)
{
	static char answer[40];

	snprintf(answer, sizeof(answer), "%s %d", api->text(channel, POSTHOUSE_PEER) ? "text" : "nothing",
		 api->reply(channel, 250, NULL, "from another thread"));
	return answer;
}

static int in_thread(struct posthouse_channel *channel)
{
	pthread_t thread;
	void *answer;

	pthread_create(&thread, NULL, ask_from_thread, channel);
	pthread_join(thread, &answer);
	api->reply(channel, 250, NULL, answer);
	return POSTHOUSE_REPLY;
}

static volatile int never = -1;
static char *volatile nowhere;

static int overflow(int depth)
{
	volatile char room[4096];

	if (depth == never)
		return 0;

	memset((char *)room, depth, sizeof(room));
	return overflow(depth + 1) + room[depth % 4096];
}

/* What a hook returns: by name. */
static int act(struct posthouse_channel *channel, const char *what, long number)
{
	static const struct {
		const char *what;
		const char *text;
	} replies[] = {
		{ "crlf", "fine\r\n250 injected" }, { "lf", "one\ntwo" },      { "nul", "" },
		{ "control", "a\033[2Jb" },         { "utf8", "caf\303\251" }, { "empty", "" },
	};
	static char large[5000];

	if (strcmp(what, "segv") == 0)
		*nowhere = 1;
	if (strcmp(what, "abort") == 0)
		abort();
	if (strcmp(what, "exit") == 0)
		exit((int)number);
	if (strcmp(what, "_exit") == 0)
		_exit((int)number);
	if (strcmp(what, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(what, "spin") == 0)
		for (;;)
			(void)*(volatile long *)&number;
	if (strcmp(what, "stack") == 0)
		return overflow(0);
	if (strcmp(what, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(what, "thread") == 0)
		return in_thread(channel);
	if (strcmp(what, "return") == 0)
		return (int)number;
	if (strcmp(what, "large") == 0) {
		memset(large, 'x', sizeof(large) - 1);
		api->reply(channel, (int)number, NULL, large);
		return POSTHOUSE_REPLY;
	}
	for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++)
		if (strcmp(what, replies[i].what) == 0) {
			api->reply(channel, (int)number, NULL, replies[i].text);
			return POSTHOUSE_REPLY;
		}
	if (strcmp(what, "code") == 0) {
		api->reply(channel, (int)number, NULL, "these words");
		return POSTHOUSE_REPLY;
	}
	return POSTHOUSE_PASS;
}

static int due(struct posthouse_channel *channel, const char *function)
{
	if (strcmp(next_function, function) != 0)
		return POSTHOUSE_PASS;
	next_function[0] = '\0';
	return act(channel, next_what, next_number);
}

static int smtp_XDO(void *data, struct posthouse_channel *channel, const char *arg)
{
	char what[40] = "";
	long number = 0;

	(void)data;
	sscanf(arg, "%39s %ld", what, &number);
	return act(channel, what, number);
}

static int smtp_XNEXT(void *data, struct posthouse_channel *channel, const char *arg)
{
	(void)data;
	next_number = 0;
	sscanf(arg, "%39s %39s %ld", next_function, next_what, &next_number);
	api->reply(channel, 250, NULL, "next");
	return POSTHOUSE_REPLY;
}

/* "XASK n": text(n), number(n) */
static int smtp_XASK(void *data, struct posthouse_channel *channel, const char *arg)
{
	const char *text = api->text(channel, atoi(arg));
	char answer[300];

	(void)data;
	snprintf(answer, sizeof(answer), "%s %lld", text ? text : "(null)",
		 (long long)api->number(channel, atoi(arg)));
	api->reply(channel, 250, NULL, answer);
	return POSTHOUSE_REPLY;
}

#define VERB(name)                                                                                           \
	static int smtp_##name(void *data, struct posthouse_channel *channel, const char *arg)               \
	{                                                                                                    \
		(void)data;                                                                                  \
		(void)arg;                                                                                   \
		return due(channel, "smtp_" #name);                                                          \
	}
VERB(NOOP)
VERB(HELO)
VERB(STARTTLS)
VERB(AUTH)
VERB(RCPT)
VERB(DATA)
VERB(RSET)
VERB(QUIT)
VERB(HELP)

static int smtp_EHLO(void *data, struct posthouse_channel *channel, const char *arg)
{
	(void)data;
	if (strcmp(arg, "announce.example") == 0 &&
	    (api->announce(channel, "XHERE yes") != 0 || api->announce(channel, "X\r\nHERE") == 0 ||
	     api->announce(channel, "AUTH PLAIN") == 0))
		abort();
	return due(channel, "smtp_EHLO");
}

/* Another argument, as super().smtp_MAIL(other) */
static int smtp_MAIL(void *data, struct posthouse_channel *channel, const char *arg)
{
	(void)data;
	if (strstr(arg, "<change@")) {
		if (api->set_argument(channel, "FROM:<a@b>\r\nRSET") == 0 ||
		    api->set_argument(channel, "") == 0)
			abort();
		api->set_argument(channel, "FROM:<changed@example.net>");
	}
	return due(channel, "smtp_MAIL");
}

static int channel_open(void *state, struct posthouse_channel *channel, void **data)
{
	static int channels;

	*data = state;
	channels++;
	return due(channel, "channel_open");
}

static void channel_close(void *data, struct posthouse_channel *channel)
{
	(void)data;
	due(channel, "channel_close");
}

static void replied(void *data, struct posthouse_channel *channel, const char *verb, int code,
		    const char *text)
{
	(void)data;
	(void)verb;
	(void)code;
	(void)text;
	due(channel, "replied");
}

static int sender(void *data, struct posthouse_channel *channel, const char *mailfrom)
{
	(void)data;
	(void)mailfrom;
	return due(channel, "sender");
}

static int recipient(void *data, struct posthouse_channel *channel, const char *rcptto)
{
	(void)data;
	(void)rcptto;
	return due(channel, "recipient");
}

static int data_begin(void *data, struct posthouse_channel *channel)
{
	(void)data;
	return due(channel, "data_begin");
}

static int data_chunk(void *data, struct posthouse_channel *channel, const char *chunk, size_t len)
{
	(void)data;
	if (memmem(chunk, len, "CRASH", 5))
		act(channel, "segv", 0);
	return due(channel, "data_chunk");
}

static int data_end(void *data, struct posthouse_channel *channel)
{
	(void)data;
	return due(channel, "data_end");
}

static void data_abort(void *data, struct posthouse_channel *channel)
{
	(void)data;
	due(channel, "data_abort");
}

/* What it was given goes into the log as Python would print it, more or less. */
static int process_message(void *data, struct posthouse_channel *channel, const char *peer,
			   const char *mailfrom, const char *const *rcpttos, const char *content, size_t len,
			   const char *const *mail_options, const char *const *rcpt_options)
{
	static char text[1500];
	size_t n = 0;

	(void)data;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "process %s <%s>", peer, mailfrom);
	for (; *rcpttos; rcpttos++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " <%.100s>", *rcpttos);
	n += (size_t)snprintf(text + n, sizeof(text) - n, " %s[", mail_options ? "" : "None");
	for (; mail_options && *mail_options; mail_options++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.100s,", *mail_options);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "] %s[", rcpt_options ? "" : "None");
	for (; rcpt_options && *rcpt_options; rcpt_options++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.100s,", *rcpt_options);
	snprintf(text + n, sizeof(text) - n, "] state %d %zu %d:%.300s",
		 (int)api->number(channel, POSTHOUSE_SMTP_STATE), len, content ? content[len] : -1,
		 content ? content : "(null)");
	api->log(server, POSTHOUSE_LOG_INFO, text);
	return due(channel, "process_message");
}

static int trouble_open(const struct posthouse_api *the_api, struct posthouse_server *the_server, int argc,
			const char *const *argv, void **state)
{
	static const struct {
		const char *name;
		posthouse_verb_function *run;
	} verbs[] = { { "XDO", smtp_XDO },           { "XNEXT", smtp_XNEXT }, { "XASK", smtp_XASK },
		      { "NOOP", smtp_NOOP },         { "HELO", smtp_HELO },   { "EHLO", smtp_EHLO },
		      { "MAIL", smtp_MAIL },         { "RCPT", smtp_RCPT },   { "DATA", smtp_DATA },
		      { "RSET", smtp_RSET },         { "QUIT", smtp_QUIT },   { "HELP", smtp_HELP },
		      { "STARTTLS", smtp_STARTTLS }, { "AUTH", smtp_AUTH } };
	unsigned flags = POSTHOUSE_VERB_BEFORE_HELO;

	api = the_api;
	server = the_server;
	*state = server;
	for (int i = 0; i < argc && i < 16; i++) {
		told[i] = argv[i];
		if (strncmp(argv[i], "add=", 4) == 0)
			api->add_verb(server, argv[i] + 4, NULL, 0, smtp_XDO);
		if (strncmp(argv[i], "keyword=", 8) == 0)
			api->add_keyword(server, argv[i] + 8);
		if (strncmp(argv[i], "error=", 6) == 0) {
			api->error(server, argv[i] + 6);
			return 1;
		}
		if (strncmp(argv[i], "open=", 5) == 0)
			return act(NULL, argv[i] + 5, 3);
		if (strcmp(argv[i], "first") == 0)
			flags |= POSTHOUSE_VERB_FIRST;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		api->add_verb(server, verbs[i].name, NULL, flags, verbs[i].run);
	api->log(server, POSTHOUSE_LOG_DEBUG, "open");
	return 0;
}

static void trouble_close(void *state)
{
	api->log(state, POSTHOUSE_LOG_INFO, "close");
}

#ifndef TROUBLE_FLAGS
#define TROUBLE_FLAGS 0
#endif

POSTHOUSE_MODULE_EXPORT const struct posthouse_module posthouse_module = {
	.abi = POSTHOUSE_MODULE_ABI,
	.size = sizeof(struct posthouse_module),
	.flags = TROUBLE_FLAGS,
	.name = "trouble",
	.open = trouble_open,
	.close = trouble_close,
	.channel_open = channel_open,
	.channel_close = channel_close,
	.replied = replied,
	.sender = sender,
	.recipient = recipient,
	.data_begin = data_begin,
	.data_chunk = data_chunk,
	.data_end = data_end,
	.data_abort = data_abort,
	.process_message = process_message,
};
