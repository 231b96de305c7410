/* SPDX-License-Identifier: ISC */
/*
 * module/: which words of a module can be a reply, what process_message() gets for each content, and a real shared
 * object (tests/modules/trouble.c) in sessions in memory. What needs a process to die is in tests/system/test_module.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fake_handler.h"
#include "fake_policy.h"
#include "module/module.h"
#include "module/reply.h"
#include "transcript.h"
#include "unit.h"

/* ---- replies -------------------------------------------------------------------------- */

static const struct {
	int code;
	const char *enhanced, *text;
	bool good;
} replies[] = {
	{ 200, NULL, "x", true },
	{ 250, "", "x", true },
	{ 250, "2.0.0", "", true },
	{ 299, "2.123.123", "x", true },
	{ 421, "4.3.0", "one\ntwo", true },
	{ 599, "5.7.1", "x", true },
	{ 199, NULL, "x", false },
	{ 300, NULL, "x", false },
	{ 334, NULL, "x", false },
	{ 354, NULL, "x", false },
	{ 600, NULL, "x", false },
	{ 0, NULL, "x", false },
	{ -250, NULL, "x", false },
	{ 1250, NULL, "x", false },
	{ 250, NULL, NULL, false },
	{ 250, "5.0.0", "x", false },
	{ 250, "2.0", "x", false },
	{ 250, "2.0.", "x", false },
	{ 250, "2.0.0 ", "x", false },
	{ 250, "2.0.0\r\n", "x", false },
	{ 250, "2.1234.0", "x", false },
	{ 250, "2.123.1234", "x", false },
	{ 250, "x", "x", false },
	{ 250, NULL, "a\r\n250 b", false },
	{ 250, NULL, "a\rb", false },
	{ 250, NULL, "\t", false },
	{ 250, NULL, "\033[2J", false },
	{ 250, NULL, "\x7f", false },
	{ 250, NULL, "caf\xc3\xa9", false },
};

START_TEST(what_can_be_a_reply)
{
	for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
		struct smtp_reply r = { .code = 1 };
		bool good = module_reply_set(&r, replies[i].code, replies[i].enhanced, replies[i].text);

		ck_assert_msg(good == replies[i].good, "row %zu", i);
		ck_assert_int_eq(r.code, good ? replies[i].code : 1);
	}
}
END_TEST

START_TEST(replies_are_not_too_long)
{
	char text[MODULE_REPLY_TEXT_MAX + 2];
	struct smtp_reply r;

	memset(text, 'x', sizeof(text));
	text[MODULE_REPLY_LINE_MAX] = '\0';
	ck_assert(module_reply_set(&r, 250, NULL, text));
	text[MODULE_REPLY_LINE_MAX] = 'x';
	text[MODULE_REPLY_LINE_MAX + 1] = '\0';
	ck_assert(!module_reply_set(&r, 250, NULL, text));
	memset(text, 'x', sizeof(text));
	text[MODULE_REPLY_TEXT_MAX] = text[MODULE_REPLY_TEXT_MAX + 1] = '\0';
	text[400] = text[800] = '\n';
	ck_assert(module_reply_set(&r, 250, NULL, text));
	ck_assert_uint_eq(strlen(r.text), MODULE_REPLY_TEXT_MAX);
	text[MODULE_REPLY_TEXT_MAX] = 'x';
	ck_assert(!module_reply_set(&r, 250, NULL, text));
}
END_TEST

static const struct {
	const char *line;
	int code; /* 0: no reply */
	const char *enhanced, *text;
} lines[] = {
	{ "250 OK", 250, "", "OK" },
	{ "250", 250, "", "" },
	{ "250 ", 250, "", "" },
	{ "550 5.7.1 not here", 550, "5.7.1", "not here" },
	{ "550 5.7.1", 550, "5.7.1", "" },
	{ "550 5.7.1x", 550, "", "5.7.1x" },
	{ "550 2.7.1 fine", 550, "", "2.7.1 fine" },
	{ "550 5.7 x", 550, "", "5.7 x" },
	{ "25", 0, NULL, NULL },
	{ "2500", 0, NULL, NULL },
	{ "250-a", 0, NULL, NULL },
	{ "abc", 0, NULL, NULL },
	{ "", 0, NULL, NULL },
	{ NULL, 0, NULL, NULL },
	{ "354 go on", 0, NULL, NULL },
	{ "250 a\nb", 0, NULL, NULL },
	{ "250 a\r\n", 0, NULL, NULL },
};

START_TEST(what_can_be_pushed)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct smtp_reply r = { .code = 0 };

		ck_assert_msg(module_reply_parse(&r, lines[i].line) == (lines[i].code != 0), "row %zu", i);
		ck_assert_int_eq(r.code, lines[i].code);
		if (r.code) {
			ck_assert_str_eq(r.enhanced, lines[i].enhanced);
			ck_assert_str_eq(r.text, lines[i].text);
		}
	}
}
END_TEST

/* ---- content ----------------------------------------------------------------------------- */

struct fake_processor {
	struct handler_processor processor;
	char *got; /* owned */
	size_t len;
	unsigned calls;
};

static enum handler_verdict take(struct handler_processor *p, const struct envelope *env, const char *content,
				 size_t len, struct smtp_reply *reply)
{
	struct fake_processor *f = (struct fake_processor *)p;

	(void)env;
	(void)reply;
	f->calls++;
	free(f->got);
	f->got = NULL;
	f->len = len;
	if (content) {
		ck_assert_int_eq(content[len], 0);
		f->got = malloc(len + 1);
		memcpy(f->got, content, len + 1);
	}
	return HANDLER_ACCEPT;
}

static enum handler_verdict pass_content(struct handler *h, const char *content, size_t len, size_t cut)
{
	struct envelope env;
	struct smtp_reply reply = { .code = 0 };
	enum handler_verdict verdict;

	envelope_init(&env);
	ck_assert_int_eq(h->ops->data_begin(h, &env, &reply), HANDLER_ACCEPT);
	for (size_t at = 0; at < len; at += cut)
		ck_assert_int_eq(h->ops->data_chunk(h, content + at, len - at < cut ? len - at : cut, &reply),
				 HANDLER_ACCEPT);
	verdict = h->ops->data_end(h, &env, &reply);
	ck_assert(verdict == HANDLER_ACCEPT || reply.code == 554);
	envelope_release(&env);
	return verdict;
}

static const struct {
	const char *content, *smtpd;
} contents[] = {
	{ "", "" },
	{ "\r\n", "" },
	{ "\r\n\r\n", "\n" },
	{ "a\r\n", "a" },
	{ "a", "a" }, /* BDAT need not end a line */
	{ "a\r\n\r\nb\r\n", "a\n\nb" },
	{ "a\r\n\r\n\r\n", "a\n\n" },
	{ "a\rb\r\n", "a\rb" },
	{ "a\r", "a\r" },
	{ "a\r\r\n", "a\r" },
	{ "a\nb\r\n", "a\nb" },
	{ "\r\r\r", "\r\r\r" },
};

START_TEST(content_as_smtpd_has_it)
{
	struct fake_processor f = { .processor = { PROCESSOR_SMTPD, take } };
	const struct handler_setup setup = { .processor = &f.processor };
	struct handler *h;
	struct err e;

	h = handler_module.open(&setup, &e);
	for (size_t i = 0; i < sizeof(contents) / sizeof(*contents); i++) {
		size_t len = strlen(contents[i].content);

		for (size_t cut = 1; cut <= len + 1; cut++) {
			pass_content(h, contents[i].content, len, cut);
			ck_assert_msg(strcmp(f.got, contents[i].smtpd) == 0, "row %zu cut %zu", i, cut);
			ck_assert_uint_eq(f.len, strlen(contents[i].smtpd));
		}
	}
	f.processor.content = PROCESSOR_CRLF;
	pass_content(h, "a\r\n\r\n", 5, 2);
	ck_assert_str_eq(f.got, "a\r\n\r\n");
	f.processor.content = PROCESSOR_NONE;
	pass_content(h, "a\r\n", 3, 1);
	ck_assert_ptr_null(f.got);
	h->ops->close(h);
}
END_TEST

START_TEST(decoded_content_is_utf8)
{
	static const struct {
		const char *content;
		bool good;
	} rows[] = { { "caf\xc3\xa9\r\n", true },   { "caf\xe9\r\n", false },
		     { "\xc3\r\n", false },         { "a\xc3", false },
		     { "\xed\xa0\x80\r\n", false }, { "\xf0\x9f\x93\xae\r\n", true } };
	struct fake_processor f = { .processor = { PROCESSOR_SMTPD, take } };
	const struct handler_setup setup = { .processor = &f.processor, .decode_data = true };
	struct handler *h;
	struct err e;

	h = handler_module.open(&setup, &e);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned before = f.calls;
		enum handler_verdict verdict = pass_content(h, rows[i].content, strlen(rows[i].content), 1);

		ck_assert_msg((verdict == HANDLER_ACCEPT) == rows[i].good, "row %zu", i);
		ck_assert_uint_eq(f.calls, before + rows[i].good);
	}
	h->ops->close(h);
	free(f.got);
}
END_TEST

START_TEST(handler_module_needs_a_module)
{
	const struct handler_setup setup = { .processor = NULL };
	struct err e;

	ck_assert_ptr_null(handler_module.open(&setup, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "no module is loaded"));
}
END_TEST

/* ---- a shared object in a session -------------------------------------------------------- */

struct run {
	struct module_settings settings;
	struct module_guard guard;
	struct module *module;
	struct fake_handler inner;
	struct handler *front;
	struct session_config cfg;
	struct session_peer peer;
	struct fake_io io;
	unsigned depth, calls; /* told by the guard */
};

static void on_enter(void *ctx, const char *module, const char *function)
{
	struct run *r = ctx;

	ck_assert_str_eq(module, "trouble");
	ck_assert(function[0]);
	ck_assert_uint_eq(r->depth++, 0);
	r->calls++;
}

static void on_leave(void *ctx)
{
	struct run *r = ctx;

	ck_assert_uint_eq(--r->depth, 0);
}

static void setup(struct run *r, const char *input, const char *argument)
{
	static const char *arguments[1];
	struct err e;

	memset(r, 0, sizeof(*r));
	arguments[0] = argument;
	r->guard = (struct module_guard){ on_enter, on_leave, r };
	r->settings = (struct module_settings){ .path = PH_MODULES "/trouble.so",
						.fd = -1,
						.argument = arguments,
						.argument_count = argument ? 1 : 0,
						.handler = "fake",
						.hostname = "relay.example.org",
						.guard = &r->guard };
	r->module = module_open(&r->settings, &e);
	ck_assert_msg(r->module != NULL, "%s", r->module ? "" : e.text);
	transcript_default_config(&r->cfg);
	r->cfg.hooks = module_hooks(r->module);
	r->peer =
		(struct session_peer){ .text = "192.0.2.1:4711", .address = "192.0.2.1", .listener = "lan" };
	fake_handler_init(&r->inner, true);
	r->front = module_front_open(r->module, &r->inner.handler);
	fake_io_init(&r->io, input, strlen(input), FAKE_WHOLE);
}

static enum session_end run(struct run *r)
{
	return session_run(&r->cfg, &r->peer, &r->io.io, r->front, NULL);
}

static void teardown(struct run *r)
{
	free(r->front); /* not its close(): the fake one is no handler that can be closed */
	module_close(r->module);
	fake_io_release(&r->io);
	fake_handler_release(&r->inner);
}

static bool says(const struct run *r, const char *text)
{
	return strstr(r->io.out.data, text) != NULL;
}

#define HELLO "EHLO x\r\n"
#define MESSAGE "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\ntext\r\n.\r\n"

START_TEST(everything_passes)
{
	struct run r;

	setup(&r, HELLO MESSAGE MESSAGE "QUIT\r\n", NULL);
	ck_assert_int_eq(run(&r), SESSION_QUIT);
	ck_assert_uint_eq(r.inner.calls[FAKE_END], 2);
	ck_assert_uint_eq(r.inner.calls[FAKE_ABORT], 0);
	ck_assert_uint_gt(r.calls, 20);
	teardown(&r);
}
END_TEST

/* Where the module refuses, and what the handler behind it is told then. */
START_TEST(refusals_reach_the_handler_as_an_end)
{
	static const struct {
		const char *function, *log;
	} rows[] = {
		{ "sender", "" },
		{ "recipient", "mail <a@b.example>;abort;" },
		{ "data_begin", "mail <a@b.example>;rcpt <c@d.example>;abort;" },
		{ "data_chunk", "mail <a@b.example>;rcpt <c@d.example>;begin;abort;" },
		{ "data_end", "mail <a@b.example>;rcpt <c@d.example>;begin;abort;" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char input[400];
		struct run r;

		snprintf(input, sizeof(input), HELLO "XNEXT %s code 554\r\n" MESSAGE "RSET\r\n",
			 rows[i].function);
		setup(&r, input, NULL);
		run(&r);
		ck_assert_msg(says(&r, "\r\n554 these words\r\n"), "%s: %s", rows[i].function, r.io.out.data);
		/* commands that follow are refused, or of no transaction */
		ck_assert_msg(strncmp(r.inner.log.data, rows[i].log, strlen(rows[i].log)) == 0, "%s: %s",
			      rows[i].function, r.inner.log.data);
		ck_assert_uint_eq(r.inner.calls[FAKE_END], 0);
		teardown(&r);
	}
}
END_TEST

START_TEST(nonsense_becomes_421)
{
	static const char *const what[] = { "return 2", "return -1", "return 1",
					    "code 354", "crlf 250",  "utf8 550" };

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	for (size_t i = 0; i < sizeof(what) / sizeof(*what); i++) {
		char input[200];
		struct run r;

		snprintf(input, sizeof(input), HELLO "XDO %s\r\nNOOP\r\n", what[i]);
		setup(&r, input, NULL);
		ck_assert_int_eq(run(&r), SESSION_REFUSED);
		ck_assert_msg(
			says(&r, "421 4.3.0 relay.example.org Error: a part of this service failed\r\n"),
			"%s", r.io.out.data);
		ck_assert_ptr_null(strstr(strstr(r.io.out.data, "421"), "250"));
		teardown(&r);
	}
}
END_TEST

static struct handler *asked;

static void note_narrow(struct handler *h, struct handler_offer *offer)
{
	(void)offer;
	asked = h;
}

static int64_t note_idle(struct handler *h)
{
	asked = h;
	return 4711;
}

/* What few handlers have is asked of the one behind, with itself. */
START_TEST(the_front_passes_on_what_is_not_its_own)
{
	struct handler_offer offer = { 0 };
	struct handler_ops ops;
	struct handler *front;
	struct run r;

	setup(&r, "", NULL);
	ck_assert_ptr_null(r.front->ops->idle);
	ck_assert_ptr_null(r.front->ops->narrow);
	ops = *r.inner.handler.ops;
	ops.narrow = note_narrow;
	ops.idle = note_idle;
	r.inner.handler.ops = &ops;
	front = module_front_open(r.module, &r.inner.handler);
	ck_assert_int_eq(front->ops->idle(front), 4711);
	ck_assert_ptr_eq(asked, &r.inner.handler);
	asked = NULL;
	front->ops->narrow(front, &offer);
	ck_assert_ptr_eq(asked, &r.inner.handler);
	front->ops->close(front);
	teardown(&r);
}
END_TEST

/* With the flag FIRST a verb is seen out of order too, as in Python. */
START_TEST(moments)
{
	struct run r;

	setup(&r, "XNEXT smtp_RCPT code 451\r\nRCPT TO:<a@b.example>\r\n", NULL);
	run(&r);
	ck_assert(says(&r, "503 5.5.1 Error: send HELO first"));
	teardown(&r);
	setup(&r, "XNEXT smtp_RCPT code 451\r\nRCPT TO:<a@b.example>\r\n", "first");
	run(&r);
	ck_assert(says(&r, "451 these words"));
	teardown(&r);
}
END_TEST

START_TEST(another_abi)
{
	struct module_settings settings = {
		.path = PH_MODULES "/wrong_abi.so", .fd = -1, .handler = "spool", .hostname = "x"
	};
	struct err e;

	ck_assert_ptr_null(module_open(&settings, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "has ABI 2"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("module");

	UNIT_CASE(suite, what_can_be_a_reply, replies_are_not_too_long, what_can_be_pushed,
		  content_as_smtpd_has_it, decoded_content_is_utf8, handler_module_needs_a_module,
		  everything_passes, refusals_reach_the_handler_as_an_end, nonsense_becomes_421,
		  the_front_passes_on_what_is_not_its_own, moments,
		  another_abi);
	return unit_run(suite);
}
