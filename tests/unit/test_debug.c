/* SPDX-License-Identifier: ISC */
/*
 * The debug handler beside the real smtpd.DebuggingServer (debug_reference.py):
 * the same messages through both, the output compared octet by octet. And the
 * table of handlers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "handler/debug.h"
#include "handler/handler.h"
#include "unit.h"

/* ---- one message through the handler ------------------------------------------------ */

struct message {
	bool as_text;
	const char *peer, *mail_options, *rcpt_options; /* options may be "" */
	const char *content;
	size_t len;
};

static struct handler *open_debug(bool as_text)
{
	struct handler_setup setup = { .hostname = "relay.example.org", .decode_data = as_text };
	struct err e;
	struct handler *h = handler_debug.open(&setup, &e);

	ck_assert_ptr_nonnull(h);
	return h;
}

static void set_option(char **field, const char *text)
{
	if (*text)
		envelope_set(field, text, strlen(text));
}

/* In pieces of `step` octets. */
static enum handler_verdict feed(struct handler *h, const struct message *m, size_t step,
				 struct smtp_reply *reply)
{
	struct envelope env;
	enum handler_verdict verdict;

	memset(reply, 0, sizeof(*reply));
	envelope_init(&env);
	set_option(&env.mail_options, m->mail_options);
	set_option(&env.rcpt_options, m->rcpt_options);
	envelope_set(&env.peer, m->peer, strlen(m->peer));
	verdict = h->ops->data_begin(h, &env, reply);
	for (size_t at = 0; at < m->len && verdict == HANDLER_ACCEPT; at += step)
		verdict = h->ops->data_chunk(h, m->content + at, m->len - at < step ? m->len - at : step,
					     reply);
	if (verdict == HANDLER_ACCEPT)
		verdict = h->ops->data_end(h, &env, reply);
	else
		h->ops->abort(h);
	envelope_release(&env);
	return verdict;
}

static void slurp(int fd, struct buf *out)
{
	char data[8192];
	ssize_t n;

	buf_init(out, 1 << 26);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	while ((n = read(fd, data, sizeof(data))) > 0)
		buf_add(out, data, (size_t)n);
}

/* From here on standard output is a file; returns it. The TAP goes through the parent process. */
static int capture_stdout(void)
{
	char name[] = "/tmp/posthouse-test.XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	return fd;
}

static void print_one(const struct message *m, size_t step, struct buf *out)
{
	struct handler *h = open_debug(m->as_text);
	struct smtp_reply reply;
	int fd = capture_stdout();

	ck_assert_int_eq(feed(h, m, step, &reply), HANDLER_ACCEPT);
	h->ops->close(h);
	slurp(fd, out);
	close(fd);
}

/* ---- many messages -------------------------------------------------------------------- */

/* The bytes modes' lines are made of these */
static const char *const octets[] = { "a",    "b",       "'",    "\"",         "\\",   " ",
				      "\t",   "\x01",    "\x7f", "\x80",       "\xff", "\xc3\xbc",
				      "\x0b", "\x1b[2J", ".",    "Subject: x", "\x1c", "~" };
/* and those of text, UTF-8 all of it, with everything that str.splitlines() knows */
static const char *const characters[] = { "a",
					  "b",
					  "'",
					  "\"",
					  "\\",
					  " ",
					  "\t",
					  "\x01",
					  "\xc3\xbc",
					  "\xe2\x82\xac",
					  "\xf0\x9f\x93\xa7",
					  "\x0b",
					  "\x0c",
					  "\x1c",
					  "\x1d",
					  "\x1e",
					  "\x1f",
					  "\xc2\x85",
					  "\xe2\x80\xa8",
					  "\xe2\x80\xa9",
					  "\x7f",
					  "\xc2\x80" };

static unsigned seed;

static unsigned any(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static void random_content(bool as_text, struct buf *content)
{
	unsigned lines = any(8);

	for (unsigned l = 0; l < lines; l++) {
		/* now and then a line longer than the handler's buffers */
		unsigned pieces = any(4) == 0 ? 0 : any(60) == 0 ? 20000 : any(12);

		for (unsigned i = 0; i < pieces; i++)
			buf_adds(content, as_text ? characters[any(sizeof(characters) / sizeof(*characters))]
						  : octets[any(sizeof(octets) / sizeof(*octets))]);
		buf_adds(content, "\r\n");
	}
}

static void write_case(const char *folder, unsigned n, const struct message *m)
{
	char *name = mem_printf("%s/%u.content", folder, n);
	FILE *f = fopen(name, "w");

	ASSERT(f); /* before the tests: libcheck's assertions do not work here */
	fprintf(f, "%s\n", m->as_text ? "text" : "bytes");
	/* smtpd has the address apart from the port */
	fprintf(f, "%s\n", strcmp(m->peer, "192.0.2.1:4711") == 0 ? "192.0.2.1" : "2001:db8::1");
	fprintf(f, "%s\n%s\n", m->mail_options, m->rcpt_options);
	fwrite(m->content, 1, m->len, f);
	fclose(f);
	free(name);
}

static void read_case(const char *folder, unsigned n, const char *kind, struct buf *out)
{
	char *name = mem_printf("%s/%u.%s", folder, n, kind);
	int fd = open(name, O_RDONLY);

	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	slurp(fd, out);
	close(fd);
	free(name);
}

static int run_python(const char *script, const char *folder)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("python3", "python3", script, folder, (char *)NULL);
		_exit(77);
	}
	ASSERT(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *const mail_options[] = { "", "BODY=8BITMIME SIZE=33", "X='", "X=\"", "X='\"", "A=\\ B" };
static const char *const rcpt_options[] = { "", "NOTIFY=NEVER", "A B" };
static char folder[] = "/tmp/posthouse-debug-test.XXXXXX";

#define CASES 400

static void make_case(unsigned n, struct message *m, struct buf *content)
{
	static const char *const first[] = { "",
					     "\r\n",
					     "\r\n\r\n",
					     "a\r\n",
					     "a\r\n\r\n",
					     "a\r\n\r\nb\r\n",
					     "a\r\n\r\n\r\n",
					     "..\r\n.\r\n",
					     "no line end",
					     "'\r\n\"\r\n'\"\r\n" };

	seed = n;
	buf_init(content, 1 << 24);
	m->as_text = n % 2;
	m->peer = any(2) ? "192.0.2.1:4711" : "[2001:db8::1]:4711";
	m->mail_options = mail_options[any(sizeof(mail_options) / sizeof(*mail_options))];
	m->rcpt_options = rcpt_options[any(sizeof(rcpt_options) / sizeof(*rcpt_options))];
	if (n / 2 < sizeof(first) / sizeof(*first))
		buf_adds(content, first[n / 2]);
	else
		random_content(m->as_text, content);
	m->content = content->data;
	m->len = content->len;
}

START_TEST(same_output_as_smtpd)
{
	for (unsigned n = 0; n < CASES; n++) {
		static const size_t steps[] = { 1, 3, 1000, SIZE_MAX / 2 };
		struct buf content, got, expected;
		struct message m;

		make_case(n, &m, &content);
		read_case(folder, n, "expected", &expected);
		print_one(&m, steps[n % 4], &got);
		ck_assert_msg(got.len == expected.len && memcmp(got.data, expected.data, got.len) == 0,
			      "message %u:\n%s\n-- instead of --\n%s", n, got.data, expected.data);
		buf_release(&content);
		buf_release(&got);
		buf_release(&expected);
	}
}
END_TEST

/* ---- what smtpd has no opinion on ------------------------------------------------------- */

START_TEST(text_that_is_not_utf8)
{
	struct message m = { true, "192.0.2.1:4711", "", "", "a\xff\xc3z\\\r\n", 7 };
	struct buf out;

	print_one(&m, 1, &out);
	ck_assert_str_eq(out.data, "---------- MESSAGE FOLLOWS ----------\na\\xff\\xc3z\\\n"
				   "------------ END MESSAGE ------------\n");
	buf_release(&out);
}
END_TEST

START_TEST(aborted_messages_are_not_printed)
{
	struct handler *h = open_debug(false);
	struct message m = { false, "192.0.2.1:4711", "", "", "second\r\n", 8 };
	struct smtp_reply reply = { .code = 0 };
	struct envelope env;
	struct buf out;
	int fd = capture_stdout();

	envelope_init(&env);
	h->ops->abort(h); /* always safe */
	ck_assert_int_eq(h->ops->mail(h, &env, &reply), HANDLER_ACCEPT);
	ck_assert_int_eq(h->ops->rcpt(h, &env, &reply), HANDLER_ACCEPT);
	ck_assert_int_eq(h->ops->data_begin(h, &env, &reply), HANDLER_ACCEPT);
	ck_assert_int_eq(h->ops->data_chunk(h, "first, and longer\r\n", 19, &reply), HANDLER_ACCEPT);
	h->ops->abort(h);
	ck_assert_int_eq(feed(h, &m, 1, &reply), HANDLER_ACCEPT);
	h->ops->close(h);
	slurp(fd, &out);
	ck_assert_str_eq(out.data, "---------- MESSAGE FOLLOWS ----------\nb'second'\n"
				   "------------ END MESSAGE ------------\n");
	buf_release(&out);
	envelope_release(&env);
	close(fd);
}
END_TEST

START_TEST(output_that_fails_is_a_temporary_refusal)
{
	struct handler *h = open_debug(false);
	struct message m = { false, "192.0.2.1:4711", "", "", "x\r\n", 3 };
	struct smtp_reply reply;
	int fd = open("/dev/full", O_WRONLY);

	fflush(stdout);
	ck_assert_int_ge(fd, 0);
	dup2(fd, STDOUT_FILENO);
	ck_assert_int_eq(feed(h, &m, 3, &reply), HANDLER_REFUSE);
	ck_assert_int_eq(reply.code, 451);
	h->ops->close(h);
	close(fd);
	setenv("TMPDIR", "/nowhere-that-exists", 1);
	h = open_debug(false);
	ck_assert_int_eq(feed(h, &m, 3, &reply), HANDLER_REFUSE);
	ck_assert_int_eq(reply.code, 451);
	h->ops->close(h);
}
END_TEST

/* Processes that print at the same time, into a pipe as small writes would mix: whole messages come out. */
START_TEST(messages_of_several_workers_do_not_mix)
{
	enum { WORKERS = 4, MESSAGES = 10, LINES = 3000 };
	int ends[2];
	struct buf out;
	char data[8192];
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	for (int w = 0; w < WORKERS; w++) {
		if (fork() == 0) {
			struct handler *h = open_debug(false);
			struct smtp_reply reply;
			struct buf content;
			bool ok = true;

			buf_init(&content, 1 << 20);
			for (int i = 0; i < LINES; i++)
				buf_addf(&content, "line of worker %d\r\n", w);
			dup2(ends[1], STDOUT_FILENO);
			for (int i = 0; i < MESSAGES; i++) {
				struct message m = { false, "192.0.2.1:4711", "",
						     "",    content.data,     content.len };

				ok = ok && feed(h, &m, 1000, &reply) == HANDLER_ACCEPT;
			}
			_exit(ok ? 0 : 1);
		}
	}
	close(ends[1]);
	buf_init(&out, 1 << 24);
	while ((n = read(ends[0], data, sizeof(data))) > 0)
		buf_add(&out, data, (size_t)n);
	for (int w = 0; w < WORKERS; w++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	{
		char *line = out.data, owner = 0;
		unsigned messages = 0;

		for (char *end; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			if (strcmp(line, "---------- MESSAGE FOLLOWS ----------") == 0) {
				ck_assert_int_eq(owner, 0);
				owner = '?';
			} else if (strcmp(line, "------------ END MESSAGE ------------") == 0) {
				ck_assert_int_ne(owner, 0);
				owner = 0;
				messages++;
			} else {
				ck_assert_int_eq(strncmp(line, "b'line of worker ", 17), 0);
				ck_assert_msg(owner == '?' || owner == line[17],
					      "lines of two workers mixed");
				owner = line[17];
			}
		}
		ck_assert_uint_eq(messages, WORKERS * MESSAGES);
	}
	buf_release(&out);
}
END_TEST

START_TEST(table_of_handlers)
{
	ck_assert_ptr_eq(handler_kind_find("debug"), &handler_debug);
	ck_assert_ptr_eq(handler_kind_find("DebuggingServer"), &handler_debug);
	ck_assert_ptr_eq(handler_kind_find("smtpd.DebuggingServer"), &handler_debug);
	ck_assert_ptr_null(handler_kind_find("smtpd.debug"));
	ck_assert_ptr_null(handler_kind_find("Debug"));
	ck_assert_ptr_null(handler_kind_find(""));
	ck_assert_ptr_nonnull(handler_kind_find("spool"));
	ck_assert_ptr_eq(handler_kind_find("smtpd.PureProxy"), handler_kind_find("proxy"));
	for (unsigned i = 0; i < HANDLER_COUNT; i++)
		ck_assert_ptr_eq(handler_kind_find(handler_facts[i].name)->ops->facts, &handler_facts[i]);
	ck_assert_str_eq(handler_names(), "spool, proxy, mailman, exec, module, debug");
}
END_TEST

/* The reference is made once, before the tests; false when there is none here. */
static bool make_reference(const char *script)
{
	int status;

	if (!mkdtemp(folder))
		return false;
	for (unsigned n = 0; n < CASES; n++) {
		struct buf content;
		struct message m;

		make_case(n, &m, &content);
		write_case(folder, n, &m);
		buf_release(&content);
	}
	status = run_python(script, folder);
	if (status != 0 && status != 77)
		printf("Bail out! %s ended with status %d\n", script, status);
	if (status != 0 && status != 77)
		exit(EXIT_FAILURE);
	return status == 0;
}

static void remove_reference(void)
{
	static const char *const kinds[] = { "content", "expected" };

	for (unsigned n = 0; n < CASES; n++) {
		for (int k = 0; k < 2; k++) {
			char *name = mem_printf("%s/%u.%s", folder, n, kinds[k]);

			unlink(name);
			free(name);
		}
	}
	rmdir(folder);
}

int main(void)
{
	const char *top = getenv("PH_TOP_SRCDIR");
	char *script = mem_printf("%s/tests/unit/debug_reference.py", top ? top : PH_SRCDIR);
	Suite *suite = suite_create("debug");
	int status;

	UNIT_CASE(suite, text_that_is_not_utf8, aborted_messages_are_not_printed,
		  output_that_fails_is_a_temporary_refusal, messages_of_several_workers_do_not_mix,
		  table_of_handlers);
	if (make_reference(script))
		UNIT_CASE(suite, same_output_as_smtpd);
	else
		printf("# SKIP same_output_as_smtpd: no python3 with smtpd (removed in Python 3.12)\n");
	fflush(stdout);
	status = unit_run(suite);
	remove_reference();
	free(script);
	return status;
}
