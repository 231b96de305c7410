/* SPDX-License-Identifier: ISC */
/*
 * The upstream of `make bench`: an SMTP server that takes every message,
 * keeps none, and knows when each final dot arrived. One process, epoll, any
 * number of connections, so that it is never what limits a relay. Offers
 * PIPELINING, SIZE, 8BITMIME, CHUNKING and ENHANCEDSTATUSCODES, as real upstreams do,
 * and answers a group of pipelined commands with one write.
 *
 *   smtpsink [-f FD] [-l FILE]
 *
 * Prints `{"port": N}` when it listens (on 127.0.0.1, a free port, or the
 * bound socket FD). A line with a number on standard input sets the counts to
 * nought; when so many messages have arrived one line of JSON tells their
 * count and the moments (CLOCK_MONOTONIC, ns) of the first connection, the
 * first and the last final dot. With -l it first writes `SEQ NANOSECONDS` a
 * message to FILE; SEQ is its X-Bench-Seq header. Ends when standard input
 * is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tool.h"

#define HEAD_MAX 4096 /* of a message, searched for X-Bench-Seq */
#define LINE_MAX_BYTES 4096 /* of a command: RFC 5321 4.5.3.1.4 with room */
#define REPLY_MAX 65536 /* of replies not yet taken by the relay */

struct session {
	int fd;
	bool data; /* between 354 and the final dot */
	uint64_t chunk; /* octets of a BDAT that are to come */
	bool quit; /* 221 was said: close once it is sent */
	unsigned dot; /* how much of CRLF.CRLF was seen, in bytes */
	size_t head_len;
	size_t line_len;
	size_t reply_len;
	char head[HEAD_MAX];
	char line[LINE_MAX_BYTES];
	char reply[REPLY_MAX];
};

static struct {
	uint64_t expected; /* 0: nobody waits */
	FILE *log;
	uint64_t messages, connections, open, open_max;
	int64_t connected_ns, first_ns;
} sink;

static void report(int64_t last_ns)
{
	if (sink.log)
		fflush(sink.log);
	printf("{\"messages\": %ju, \"connections\": %ju, \"open_max\": %ju, "
	       "\"connected_ns\": %jd, \"first_ns\": %jd, \"last_ns\": %jd}\n",
	       (uintmax_t)sink.messages, (uintmax_t)sink.connections, (uintmax_t)sink.open_max,
	       (intmax_t)sink.connected_ns, (intmax_t)sink.first_ns, (intmax_t)last_ns);
	fflush(stdout);
	sink.expected = 0;
}

/* A line from the bench: count from nought, tell when so many are here. False: it is gone. */
static bool expect(void)
{
	char line[32];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	sink.expected = tool_number(line, 1, UINT32_MAX);
	sink.messages = sink.connections = 0;
	sink.open_max = sink.open;
	sink.connected_ns = sink.first_ns = 0;
	printf("{\"expected\": %ju}\n", (uintmax_t)sink.expected);
	fflush(stdout);
	return true;
}

/* The final dot is here. */
static void message_arrived(struct session *s)
{
	int64_t now = tool_now_ns();

	if (sink.messages++ == 0)
		sink.first_ns = now;
	if (sink.log) {
		const char *seq = memmem(s->head, s->head_len, "X-Bench-Seq: ", 13);

		s->head[s->head_len < HEAD_MAX ? s->head_len : HEAD_MAX - 1] = '\0';
		fprintf(sink.log, "%lu %jd\n", seq ? strtoul(seq + 13, NULL, 10) : 0UL, (intmax_t)now);
	}
	if (sink.expected && sink.messages >= sink.expected)
		report(now);
}

static bool flush_replies(struct session *s)
{
	while (s->reply_len > 0) {
		ssize_t n = write(s->fd, s->reply, s->reply_len);

		if (n < 0)
			return errno == EAGAIN;
		s->reply_len -= (size_t)n;
		memmove(s->reply, s->reply + n, s->reply_len);
	}
	return !s->quit;
}

/* False when the relay takes no replies: then it is not worth going on. */
static bool say(struct session *s, const char *text)
{
	size_t len = strlen(text);

	if (s->reply_len + len > REPLY_MAX)
		return false;
	memcpy(s->reply + s->reply_len, text, len);
	s->reply_len += len;
	return true;
}

static const struct {
	const char *verb;
	const char *reply;
} answers[] = {
	{ "EHLO", "250-sink.example\r\n250-PIPELINING\r\n250-SIZE 1073741824\r\n250-ENHANCEDSTATUSCODES\r\n"
		  "250-CHUNKING\r\n250 8BITMIME\r\n" },
	{ "HELO", "250 sink.example\r\n" },
	{ "MAIL", "250 2.1.0 Ok\r\n" },
	{ "RCPT", "250 2.1.5 Ok\r\n" },
	{ "DATA", "354 End data with <CR><LF>.<CR><LF>\r\n" },
	{ "BDAT", "" }, /* answered behind its octets */
	{ "RSET", "250 2.0.0 Ok\r\n" },
	{ "NOOP", "250 2.0.0 Ok\r\n" },
	{ "QUIT", "221 2.0.0 Bye\r\n" },
};

/* Each BDAT is taken for the last one of its message. */
static bool end_of_chunk(struct session *s)
{
	message_arrived(s);
	return say(s, "250 2.0.0 Ok: taken\r\n");
}

static bool command(struct session *s)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		if (s->line_len < 4 || strncasecmp(s->line, answers[i].verb, 4) != 0)
			continue;
		if (strcmp(answers[i].verb, "DATA") == 0) {
			s->data = true;
			s->dot = 2; /* as after a CRLF: the first line may be the dot */
			s->head_len = 0;
		}
		if (strcmp(answers[i].verb, "BDAT") == 0) {
			s->line[s->line_len < LINE_MAX_BYTES ? s->line_len : LINE_MAX_BYTES - 1] = '\0';
			s->chunk = strtoull(s->line + 4, NULL, 10);
			s->head_len = 0;
			return s->chunk > 0 || end_of_chunk(s);
		}
		s->quit = strcmp(answers[i].verb, "QUIT") == 0;
		return say(s, answers[i].reply);
	}
	return say(s, "500 5.5.2 What?\r\n");
}

static void keep_head(struct session *s, const char *in, size_t len)
{
	size_t n = len < HEAD_MAX - s->head_len ? len : HEAD_MAX - s->head_len;

	memcpy(s->head + s->head_len, in, n);
	s->head_len += n;
}

/* How many bytes of `in` belong to the message; s->data becomes false at its end. */
static size_t content(struct session *s, const char *in, size_t len)
{
	static const char end[] = "\r\n.\r\n";
	size_t used = 0;

	while (used < len && s->dot < 5) {
		if (s->dot == 0) {
			/* nothing to remember: on to the next CR */
			const char *cr = memchr(in + used, '\r', len - used);

			used = cr ? (size_t)(cr - in) + 1 : len;
			s->dot = cr ? 1 : 0;
		} else if (in[used] == end[s->dot]) {
			s->dot++;
			used++;
		} else {
			s->dot = in[used] == '\r' ? 1 : 0;
			used++;
		}
	}
	keep_head(s, in, used);
	if (s->dot == 5)
		s->data = false;
	return used;
}

static bool consume(struct session *s, const char *in, size_t len)
{
	while (len > 0) {
		size_t used;

		if (s->chunk > 0) {
			used = len < s->chunk ? len : (size_t)s->chunk;
			keep_head(s, in, used);
			s->chunk -= used;
			if (s->chunk == 0 && !end_of_chunk(s))
				return false;
		} else if (s->data) {
			used = content(s, in, len);
			if (!s->data) {
				message_arrived(s);
				if (!say(s, "250 2.0.0 Ok: taken\r\n"))
					return false;
			}
		} else {
			const char *lf = memchr(in, '\n', len);

			used = lf ? (size_t)(lf - in) + 1 : len;
			if (s->line_len + used > LINE_MAX_BYTES)
				return false;
			memcpy(s->line + s->line_len, in, used);
			s->line_len += used;
			if (lf) {
				if (!command(s))
					return false;
				s->line_len = 0;
			}
		}
		in += used;
		len -= used;
	}
	return true;
}

static bool readable(struct session *s)
{
	static char in[1 << 18];
	ssize_t n;

	do {
		n = read(s->fd, in, sizeof(in));
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n > 0 && !consume(s, in, (size_t)n))
			return false;
	} while (n == (ssize_t)sizeof(in));
	return true;
}

static void session_open(int epoll, int fd)
{
	struct session *s = calloc(1, sizeof(*s));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s };

	if (!s)
		tool_die("out of memory");
	s->fd = fd;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		tool_die("epoll_ctl: %s", strerror(errno));
	if (sink.connections++ == 0)
		sink.connected_ns = tool_now_ns();
	if (++sink.open > sink.open_max)
		sink.open_max = sink.open;
	say(s, "220 sink.example ESMTP\r\n");
	flush_replies(s);
}

static void session_close(struct session *s)
{
	close(s->fd);
	free(s);
	sink.open--;
}

static void serve(int listener)
{
	/* the two that are no sessions, told by their address */
	static char is_listener, is_stdin;
	struct epoll_event ev[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &is_listener };
	ev[1] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &is_stdin };
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev[0]) < 0 ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev[1]) < 0)
		tool_die("epoll: %s (standard input must be a pipe)", strerror(errno));
	for (;;) {
		int n = epoll_wait(epoll, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			struct session *s = ev[i].data.ptr;
			int fd;

			if (ev[i].data.ptr == &is_stdin) {
				if (!expect())
					return;
				continue;
			}
			if (ev[i].data.ptr == &is_listener) {
				while ((fd = tool_accept(listener)) >= 0)
					session_open(epoll, fd);
				continue;
			}
			/* edge-triggered: both directions are taken to EAGAIN */
			if (!readable(s) || !flush_replies(s))
				session_close(s);
		}
	}
}

int main(int argc, char **argv)
{
	uint16_t port = 0;
	int opt, listener = -1;

	tool_name = "smtpsink";
	while ((opt = getopt(argc, argv, "f:l:")) != -1) {
		switch (opt) {
		case 'f':
			listener = (int)tool_number(optarg, 0, 1 << 20);
			break;
		case 'l':
			sink.log = fopen(optarg, "we");
			if (!sink.log)
				tool_die("%s: %s", optarg, strerror(errno));
			break;
		default:
			tool_die("usage: smtpsink [-f FD] [-l FILE]");
		}
	}
	tool_need_files(1024);
	listener = listener < 0 ? tool_listen(&port) : tool_listen_inherited(listener, &port);
	printf("{\"port\": %u}\n", port);
	fflush(stdout);
	serve(listener);
	return 0;
}
