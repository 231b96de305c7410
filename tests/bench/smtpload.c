/* SPDX-License-Identifier: ISC */
/*
 * The clients of `make bench`: a number of SMTP sessions that each send one
 * message after the other and wait for every reply, as real clients do:
 * connections are kept, nothing is pipelined. One process, epoll, so that it
 * takes as little as possible of the machine it measures on.
 *
 *   smtpload [-c SESSIONS] (-n MESSAGES | -t SECONDS) [-s BYTES] [-w WARMUP]
 *            [-g GAP_MS] [-l FILE] [-k] PORT
 *
 * All sessions first connect to 127.0.0.1:PORT, say EHLO and send WARMUP
 * messages each; then the clock starts and they send MESSAGES in all, or for
 * SECONDS, with GAP_MS between a reply and the next message. Prints one line
 * of JSON. With -l writes `SEQ NANOSECONDS` (CLOCK_MONOTONIC) of each 250 to
 * FILE. With -k the sessions then stay open, idle, until standard input is
 * closed. A session that is ended with 421 or cut off connects again; refused
 * messages are counted and tried again, up to a limit.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tool.h"

#define SESSIONS_MAX 2000
#define REPLY_MAX 8192
#define TROUBLE_MAX 1000 /* refusals and lost connections before we give up */
#define STALL_MS 60000 /* no reply at all for so long: give up */

/* What the reply that a session waits for answers. */
enum step { STEP_GREETING, STEP_EHLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_CONTENT, STEP_IDLE, STEP_QUIT };

struct session {
	int fd; /* -1: closed for good */
	enum step step;
	unsigned warmup_left;
	bool warm; /* was ready for the start, once */
	uint64_t seq;
	int64_t begun_ns; /* MAIL of the message under way */
	int64_t next_ns; /* STEP_IDLE: when the next one is due */
	/* what is being sent: up to three pieces */
	struct iovec out[3];
	int out_count;
	char head[512];
	size_t reply_len;
	char reply[REPLY_MAX];
};

static struct {
	uint16_t port;
	unsigned sessions;
	uint64_t messages; /* 0: for seconds */
	double seconds;
	size_t bytes;
	unsigned warmup;
	int64_t gap_ns;
	FILE *log;
	bool keep;
} opt = { .sessions = 1, .bytes = 4096 };

static struct {
	int epoll;
	struct session *session;
	char *filler; /* lines to make a message as long as wanted */
	bool running; /* the clock has started */
	unsigned warm; /* sessions that are ready for the start */
	int64_t begin_ns, stop_ns, last_ns;
	uint64_t seq, begun, accepted, trouble, reconnects;
	double *took; /* seconds from MAIL to 250, a message */
	size_t took_cap;
} load;

static void session_connect(struct session *s)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s };

	s->fd = tool_connect(opt.port);
	if (s->fd < 0 || epoll_ctl(load.epoll, EPOLL_CTL_ADD, s->fd, &ev) < 0)
		tool_die("127.0.0.1:%u: %s", opt.port, strerror(errno));
	s->step = STEP_GREETING;
	s->out_count = 0;
	s->reply_len = 0;
}

/* The connection is of no more use: a new one, but not for ever. */
static void session_again(struct session *s, const char *why)
{
	if (++load.trouble > TROUBLE_MAX)
		tool_die("given up after %d refusals and lost connections, the last: %s", TROUBLE_MAX, why);
	if (s->step > STEP_EHLO && s->step < STEP_IDLE && load.running && s->warmup_left == 0)
		load.begun--;
	close(s->fd);
	s->fd = -1;
	if (s->step == STEP_QUIT)
		return;
	load.reconnects++;
	session_connect(s);
}

static void session_send(struct session *s)
{
	while (s->out_count > 0) {
		ssize_t n = writev(s->fd, s->out, s->out_count);

		if (n < 0) {
			if (errno != EAGAIN)
				session_again(s, strerror(errno));
			return;
		}
		while (n > 0) {
			size_t part = (size_t)n < s->out[0].iov_len ? (size_t)n : s->out[0].iov_len;

			s->out[0].iov_base = (char *)s->out[0].iov_base + part;
			s->out[0].iov_len -= part;
			n -= (ssize_t)part;
			if (s->out[0].iov_len > 0)
				break;
			memmove(s->out, s->out + 1, (size_t)--s->out_count * sizeof(*s->out));
		}
	}
}

static void say(struct session *s, enum step step, const char *text)
{
	s->step = step;
	s->out[0] = (struct iovec){ (void *)(uintptr_t)text, strlen(text) };
	s->out_count = 1;
	session_send(s);
}

static void say_content(struct session *s)
{
	static const char dot[] = ".\r\n";
	int head = snprintf(s->head, sizeof(s->head),
			    "From: Bench <sender@bench.example>\r\nTo: rcpt@bench.example\r\n"
			    "Subject: message %ju\r\nMessage-ID: <%ju.%d@bench.example>\r\n"
			    "X-Bench-Seq: %ju\r\n\r\n",
			    (uintmax_t)s->seq, (uintmax_t)s->seq, (int)getpid(), (uintmax_t)s->seq);
	/* the filler ends with CRLF, so its tail makes the length exact; it must not begin with a bare LF */
	size_t fill = opt.bytes > (size_t)head + 2 ? opt.bytes - (size_t)head : 2;

	fill -= fill % 80 == 1;
	s->step = STEP_CONTENT;
	s->out[0] = (struct iovec){ s->head, (size_t)head };
	s->out[1] = (struct iovec){ load.filler + opt.bytes + 80 - fill, fill };
	s->out[2] = (struct iovec){ (void *)(uintptr_t)dot, 3 };
	s->out_count = 3;
	session_send(s);
}

/* Ready for a message: sends one, waits for the start, or is done. */
static void session_next(struct session *s)
{
	int64_t now = tool_now_ns();

	if (s->warmup_left == 0) {
		load.warm += !s->warm;
		s->warm = true;
		if (!load.running || now < s->next_ns || (opt.messages && load.begun >= opt.messages) ||
		    now >= load.stop_ns) {
			s->step = STEP_IDLE;
			return;
		}
		load.begun++;
	}
	s->seq = ++load.seq;
	s->begun_ns = now;
	say(s, STEP_MAIL, "MAIL FROM:<sender@bench.example>\r\n");
}

static void message_accepted(struct session *s)
{
	int64_t now = tool_now_ns();

	if (s->warmup_left > 0) {
		s->warmup_left--;
		return;
	}
	if (now > load.stop_ns)
		return; /* the clock has stopped: not counted */
	if (load.accepted == load.took_cap) {
		load.took_cap = load.took_cap ? 2 * load.took_cap : 4096;
		load.took = realloc(load.took, load.took_cap * sizeof(*load.took));
		if (!load.took)
			tool_die("out of memory");
	}
	load.took[load.accepted++] = tool_between(s->begun_ns, now);
	load.last_ns = now;
	if (opt.log)
		fprintf(opt.log, "%ju %jd\n", (uintmax_t)s->seq, (intmax_t)now);
	s->next_ns = now + opt.gap_ns;
}

static void reply(struct session *s)
{
	static const struct {
		const char *code; /* that is good news */
		const char *say; /* then */
		enum step step;
	} next[] = {
		[STEP_GREETING] = { "220", "EHLO client.bench.example\r\n", STEP_EHLO },
		[STEP_EHLO] = { "250", NULL, STEP_IDLE },
		[STEP_MAIL] = { "250", "RCPT TO:<rcpt@bench.example>\r\n", STEP_RCPT },
		[STEP_RCPT] = { "250", "DATA\r\n", STEP_DATA },
		[STEP_DATA] = { "354", NULL, STEP_CONTENT },
		[STEP_CONTENT] = { "250", NULL, STEP_IDLE },
		[STEP_IDLE] = { "   ", NULL, STEP_IDLE }, /* a reply to nothing: 421 */
		[STEP_QUIT] = { "221", NULL, STEP_QUIT },
	};

	if (s->step == STEP_QUIT) {
		close(s->fd);
		s->fd = -1;
	} else if (memcmp(s->reply, next[s->step].code, 3) != 0) {
		session_again(s, s->reply);
	} else if (next[s->step].say) {
		say(s, next[s->step].step, next[s->step].say);
	} else if (s->step == STEP_DATA) {
		say_content(s);
	} else {
		if (s->step == STEP_CONTENT)
			message_accepted(s);
		session_next(s);
	}
}

/* The last line of a reply has a space, or nothing, after its code (RFC 5321 4.2.1). */
static bool reply_is_whole(struct session *s)
{
	const char *line = s->reply, *lf;

	s->reply[s->reply_len] = '\0';
	while ((lf = strchr(line, '\n')) != NULL) {
		if (lf - line >= 4 && line[3] != '-')
			return true;
		line = lf + 1;
	}
	return false;
}

static void session_readable(struct session *s)
{
	while (s->fd >= 0) {
		size_t room = REPLY_MAX - 1 - s->reply_len;
		ssize_t n = read(s->fd, s->reply + s->reply_len, room);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			session_again(s, n < 0 ? strerror(errno) : "connection closed");
			return;
		}
		s->reply_len += (size_t)n;
		if (reply_is_whole(s)) {
			s->reply_len = 0;
			reply(s);
		} else if (s->reply_len == REPLY_MAX - 1) {
			tool_die("a reply without end");
		}
		if ((size_t)n < room)
			return; /* that was all: epoll(7) tells when there is more */
	}
}

/* One round of the loop; idle sessions wake by the clock. */
static void turn(int timeout_ms)
{
	static int64_t heard_ns;
	struct epoll_event ev[64];
	int n = epoll_wait(load.epoll, ev, 64, timeout_ms);
	int64_t now = tool_now_ns();

	if (n > 0 || heard_ns == 0)
		heard_ns = now;
	else if (now - heard_ns > (int64_t)STALL_MS * 1000000)
		tool_die("no reply from 127.0.0.1:%u for %d s", opt.port, STALL_MS / 1000);
	for (int i = 0; i < n; i++) {
		struct session *s = ev[i].data.ptr;

		session_send(s);
		session_readable(s);
	}
}

static bool any_session(bool (*is)(const struct session *s))
{
	for (unsigned i = 0; i < opt.sessions; i++) {
		if (is(&load.session[i]))
			return true;
	}
	return false;
}

static bool is_busy(const struct session *s)
{
	return s->step != STEP_IDLE;
}

static bool is_open(const struct session *s)
{
	return s->fd >= 0;
}

static void run(void)
{
	while (load.warm < opt.sessions)
		turn(1000);
	load.begin_ns = tool_now_ns();
	load.stop_ns = opt.messages ? INT64_MAX : load.begin_ns + (int64_t)(opt.seconds * 1e9);
	load.running = true;
	for (;;) {
		bool over = opt.messages ? load.accepted >= opt.messages : tool_now_ns() >= load.stop_ns;

		if (over && !any_session(is_busy))
			return;
		for (unsigned i = 0; i < opt.sessions && !over; i++) {
			if (load.session[i].step == STEP_IDLE)
				session_next(&load.session[i]);
		}
		/* with a gap, sessions wake by the clock and not by a reply */
		turn(opt.gap_ns ? 1 : 20);
	}
}

static void quit(void)
{
	for (unsigned i = 0; i < opt.sessions; i++)
		say(&load.session[i], STEP_QUIT, "QUIT\r\n");
	for (int64_t end = tool_now_ns() + 2000000000; any_session(is_open) && tool_now_ns() < end;)
		turn(100);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(void)
{
	double seconds = tool_between(load.begin_ns, opt.messages ? load.last_ns : load.stop_ns);
	size_t n = load.accepted;

	if (opt.log && fclose(opt.log) != 0)
		tool_die("cannot write the log: %s", strerror(errno));
	qsort(load.took, n, sizeof(*load.took), by_value);
	printf("{\"messages\": %zu, \"seconds\": %.6f, \"rate\": %.1f, \"median_ms\": %.3f, \"p95_ms\": "
	       "%.3f, "
	       "\"reconnects\": %ju, \"begin_ns\": %jd, \"last_ns\": %jd}\n",
	       n, seconds, n ? (double)n / seconds : 0.0, n ? 1e3 * load.took[n / 2] : 0.0,
	       n ? 1e3 * load.took[n * 95 / 100] : 0.0, (uintmax_t)load.reconnects, (intmax_t)load.begin_ns,
	       (intmax_t)load.last_ns);
	fflush(stdout);
}

static void prepare(void)
{
	load.filler = malloc(opt.bytes + 80);
	load.session = calloc(opt.sessions, sizeof(*load.session));
	if (!load.filler || !load.session)
		tool_die("out of memory");
	/* lines of 78 characters, counted from the end: a tail is whole lines but for its first */
	for (size_t i = 0; i < opt.bytes + 80; i++) {
		size_t from_end = i % 80;

		load.filler[opt.bytes + 79 - i] = from_end == 0   ? '\n'
						  : from_end == 1 ? '\r'
								  : (char)('a' + from_end % 26);
	}
	tool_need_files(opt.sessions + 16);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load.epoll < 0)
		tool_die("epoll: %s", strerror(errno));
	for (unsigned i = 0; i < opt.sessions; i++) {
		load.session[i].warmup_left = opt.warmup;
		session_connect(&load.session[i]);
	}
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "c:n:t:s:w:g:l:k")) != -1) {
		switch (c) {
		case 'c':
			opt.sessions = (unsigned)tool_number(optarg, 1, SESSIONS_MAX);
			break;
		case 'n':
			opt.messages = tool_number(optarg, 1, UINT32_MAX);
			break;
		case 't':
			opt.seconds = tool_seconds(optarg);
			break;
		case 's':
			opt.bytes = (size_t)tool_number(optarg, 512, 1 << 30);
			break;
		case 'w':
			opt.warmup = (unsigned)tool_number(optarg, 0, 1000);
			break;
		case 'g':
			opt.gap_ns = (int64_t)tool_number(optarg, 0, 60000) * 1000000;
			break;
		case 'l':
			opt.log = fopen(optarg, "we");
			if (!opt.log)
				tool_die("%s: %s", optarg, strerror(errno));
			break;
		case 'k':
			opt.keep = true;
			break;
		default:
			tool_die("usage: smtpload [-c SESSIONS] (-n MESSAGES | -t SECONDS) [-s BYTES] "
				 "[-w WARMUP] [-g GAP_MS] [-l FILE] [-k] PORT");
		}
	}
	if (optind + 1 != argc || (opt.messages > 0) == (opt.seconds > 0))
		tool_die("one port and either -n or -t are wanted");
	opt.port = (uint16_t)tool_number(argv[optind], 1, UINT16_MAX);
}

int main(int argc, char **argv)
{
	char c;

	tool_name = "smtpload";
	options(argc, argv);
	prepare();
	run();
	report();
	if (opt.keep && read(STDIN_FILENO, &c, 1) < 0)
		return 1;
	quit();
	return 0;
}
