/* SPDX-License-Identifier: ISC */
/* rewrite/rewrite_handler.c in front of a handler that records what it is told. */
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "fake_handler.h"
#include "rewrite/rewrite_handler.h"
#include "unit.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__ })

static const struct rewrite_rule some_rules[] = {
	{ LIST("*@old.example"), 1, "*@new.example", 7 },
	{ LIST("*@one.example"), 1, "one@example.com", 7 },
	{ LIST("bad@example.org"), 1, "gr\xc3\xbc@example.org", 7 },
};
static const char *const removed[] = { "X-Mailer" };

static const char aliases_text[] = "root: a@example.org, b@example.org, c@example.org\n"
				   "ops: root, d@old.example\n"
				   "single: s@example.org\n";

/* What the session would do, one message. */
struct world {
	struct fake_handler fake;
	struct rewrite_rules rules;
	struct handler *handler;
	struct envelope env;
	struct smtp_reply reply;
	struct buf lines; /* of the log */
};

static void keep_line(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct buf *b = ctx;

	(void)level;
	buf_add(b, line, len);
	buf_addc(b, '\n');
}

static void no_error(void *ctx, const char *message)
{
	(void)ctx;
	ck_abort_msg("%s", message);
}

static void world_init(struct world *w)
{
	const struct aliases_setup setup = { .domain = LIST("localhost"),
					     .domain_count = 1,
					     .expansion_max = 100 };

	memset(w, 0, sizeof(*w));
	fake_handler_init(&w->fake, true);
	w->fake.id = "theid";
	w->rules = (struct rewrite_rules){ .default_domain = "default.example",
					   .hostname = "relay.example",
					   .rule = some_rules,
					   .rule_count = 3,
					   .max_recipients = 10,
					   .headers = true,
					   .keep_original = true,
					   .remove = removed,
					   .remove_count = 1 };
	w->rules.aliases =
		aliases_parse("aliases", aliases_text, strlen(aliases_text), &setup, no_error, NULL);
	w->handler = rewrite_handler_open(&w->fake.handler, &w->rules);
	envelope_init(&w->env);
	envelope_set(&w->env.peer, "192.0.2.1:4711", 14);
	buf_init(&w->lines, 1 << 20);
	log_tap(keep_line, &w->lines);
}

static void world_release(struct world *w)
{
	w->handler->ops->close(w->handler);
	aliases_free(w->rules.aliases);
	fake_handler_release(&w->fake);
	envelope_release(&w->env);
	buf_release(&w->lines);
	log_tap(NULL, NULL);
}

static enum handler_verdict mail(struct world *w, const char *sender)
{
	w->reply.code = 0;
	envelope_set(&w->env.sender, sender, strlen(sender));
	return w->handler->ops->mail(w->handler, &w->env, &w->reply);
}

/* As session/verb_rcpt.c does: who is refused is taken out. */
static enum handler_verdict rcpt(struct world *w, const char *address, unsigned notify, const char *orcpt)
{
	struct envelope_rcpt *added = envelope_add_rcpt(&w->env, address, strlen(address));
	enum handler_verdict verdict;

	added->notify = notify;
	added->orcpt = mem_strdup_or_null(orcpt);
	w->reply.code = 0;
	verdict = w->handler->ops->rcpt(w->handler, &w->env, &w->reply);
	if (verdict == HANDLER_REFUSE) {
		added = &w->env.rcpt[--w->env.rcpt_count];
		free(added->address);
		free(added->orcpt);
	}
	return verdict;
}

static enum handler_verdict begin(struct world *w)
{
	w->reply.code = 0;
	return w->handler->ops->data_begin(w->handler, &w->env, &w->reply);
}

static enum handler_verdict chunk(struct world *w, const char *text)
{
	w->reply.code = 0;
	return w->handler->ops->data_chunk(w->handler, text, strlen(text), &w->reply);
}

static enum handler_verdict end(struct world *w)
{
	enum handler_verdict verdict;

	w->reply.code = 0;
	verdict = w->handler->ops->data_end(w->handler, &w->env, &w->reply);
	return verdict;
}

static void accept_content(struct world *w, const char *text)
{
	ck_assert_int_eq(begin(w), HANDLER_ACCEPT);
	if (*text)
		ck_assert_int_eq(chunk(w, text), HANDLER_ACCEPT);
	ck_assert_int_eq(end(w), HANDLER_ACCEPT);
}

static void check_rcpt(const struct world *w, size_t i, const char *address, unsigned notify,
		       const char *orcpt)
{
	const struct envelope_rcpt *r = &w->fake.seen.rcpt[i];

	ck_assert_uint_lt(i, w->fake.seen.rcpt_count);
	ck_assert_str_eq(r->address, address);
	ck_assert_uint_eq(r->notify, notify);
	ck_assert_msg(r->orcpt ? orcpt && strcmp(r->orcpt, orcpt) == 0 : !orcpt, "%s: ORCPT %s", address,
		      r->orcpt ? r->orcpt : "(none)");
}

#define NEVER ENVELOPE_NOTIFY_NEVER
#define SUCCESS ENVELOPE_NOTIFY_SUCCESS
#define FAILURE ENVELOPE_NOTIFY_FAILURE

START_TEST(a_message)
{
	struct world w;

	world_init(&w);
	ck_assert(w.handler->ops->facts->relays);
	ck_assert_str_eq(w.handler->ops->facts->name, "fake-relay");
	envelope_set(&w.env.auth_user, "joe", 3);
	w.env.body = BODY_8BITMIME;
	w.env.ret = RET_HDRS;
	ck_assert_int_eq(mail(&w, "joe@old.example"), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "ops", SUCCESS, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "x@y.example", 0, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "q@old.example", FAILURE, "rfc822;z@z.example"), HANDLER_ACCEPT);
	accept_content(&w, "From: <joe@old.example>\r\nX-Mailer: a\r\n\r\nX-Mailer: b\r\n");
	ck_assert_str_eq(
		w.fake.log.data,
		"mail <joe@new.example>;rcpt <a@example.org>;rcpt <b@example.org>;rcpt <c@example.org>;"
		"rcpt <d@new.example>;rcpt <x@y.example>;rcpt <q@new.example>;begin;end;");
	check_rcpt(&w, 0, "a@example.org", SUCCESS, "rfc822;ops");
	check_rcpt(&w, 3, "d@new.example", SUCCESS, "rfc822;ops");
	check_rcpt(&w, 4, "x@y.example", 0, NULL);
	check_rcpt(&w, 5, "q@new.example", FAILURE, "rfc822;z@z.example");
	ck_assert_str_eq(
		w.fake.content.data,
		"From: <joe@new.example>\r\nX-Original-From: <joe@old.example>\r\n\r\nX-Mailer: b\r\n");
	/* everything else of the envelope is there, and the id came back */
	ck_assert_str_eq(w.fake.seen.peer, "192.0.2.1:4711");
	ck_assert_str_eq(w.fake.seen.auth_user, "joe");
	ck_assert_int_eq(w.fake.seen.body, BODY_8BITMIME);
	ck_assert_int_eq(w.fake.seen.ret, RET_HDRS);
	ck_assert_str_eq(w.env.id, "theid");
	/* the session's own stays as the client said it */
	ck_assert_str_eq(w.env.sender, "joe@old.example");
	ck_assert_uint_eq(w.env.rcpt_count, 3);
	ck_assert(strstr(w.lines.data,
			 "event=rewritten id=theid from=joe@new.example from_was=joe@old.example\n"));
	ck_assert(strstr(w.lines.data, "event=rewritten id=theid to=d@new.example to_was=ops\n"));
	ck_assert(strstr(w.lines.data, "event=rewritten id=theid fields_rewritten=1 fields_removed=1\n"));
	ck_assert(!strstr(w.lines.data, "to=x@y.example"));
	world_release(&w);
}
END_TEST

START_TEST(the_null_sender_stays)
{
	struct world w;

	world_init(&w);
	ck_assert_int_eq(mail(&w, ""), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "a@b.example", 0, NULL), HANDLER_ACCEPT);
	accept_content(&w, "");
	ck_assert_str_eq(w.fake.log.data, "mail <>;rcpt <a@b.example>;begin;end;");
	ck_assert_str_eq(w.lines.data, "");
	world_release(&w);
}
END_TEST

/* Two recipients become one: it comes once, and who asked for a notification gets it, also when asked for
 * later. */
START_TEST(one_address_comes_once)
{
	struct world w;

	world_init(&w);
	mail(&w, "s@example.org");
	ck_assert_int_eq(rcpt(&w, "x@one.example", NEVER, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "y@one.example", FAILURE, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "one@EXAMPLE.com", 0, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "single", NEVER, NULL), HANDLER_ACCEPT);
	/* the session merges a recipient that comes again without telling the handler (dsn_merge) */
	w.env.rcpt[3].notify = SUCCESS;
	accept_content(&w, "");
	ck_assert_uint_eq(w.fake.seen.rcpt_count, 2);
	check_rcpt(&w, 0, "one@example.com", FAILURE | ENVELOPE_NOTIFY_DELAY, "rfc822;x@one.example");
	check_rcpt(&w, 1, "s@example.org", SUCCESS, "rfc822;single");
	world_release(&w);
}
END_TEST

START_TEST(invalid_addresses_are_refused_for_now)
{
	struct world w;

	world_init(&w);
	ck_assert_int_eq(mail(&w, "bad@example.org"), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 451);
	ck_assert_str_eq(w.reply.enhanced, "4.3.0");
	w.handler->ops->abort(w.handler); /* as the session does */
	ck_assert_str_eq(w.fake.log.data, "");
	ck_assert(strstr(w.lines.data,
			 "event=rewrite_failed peer=192.0.2.1:4711 what=from address=bad@example.org"));
	envelope_reset(&w.env);

	ck_assert_int_eq(mail(&w, "good@example.org"), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "bad@example.org", 0, NULL), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 451);
	ck_assert_int_eq(rcpt(&w, "good@example.org", 0, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(begin(&w), HANDLER_ACCEPT);
	ck_assert_int_eq(chunk(&w, "From: bad@example.org\r\n\r\n"), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 451);
	w.handler->ops->abort(w.handler);
	ck_assert_str_eq(w.fake.log.data, "mail <good@example.org>;rcpt <good@example.org>;begin;abort;");
	envelope_reset(&w.env);

	/* found at the end of data: the handler behind is told to drop it, once */
	buf_clear(&w.fake.log);
	ck_assert_int_eq(mail(&w, "good@example.org"), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "good@example.org", 0, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(begin(&w), HANDLER_ACCEPT);
	ck_assert_int_eq(chunk(&w, "From: bad@example.org\r\n"), HANDLER_ACCEPT);
	ck_assert_int_eq(end(&w), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 451);
	ck_assert_str_eq(w.fake.log.data, "mail <good@example.org>;rcpt <good@example.org>;begin;abort;");
	world_release(&w);
}
END_TEST

START_TEST(recipients_are_bounded)
{
	struct world w;

	world_init(&w);
	w.rules.max_recipients = 5;
	mail(&w, "s@example.org");
	ck_assert_int_eq(rcpt(&w, "root", 0, NULL), HANDLER_ACCEPT); /* 3 */
	ck_assert_int_eq(rcpt(&w, "ops", 0, NULL), HANDLER_ACCEPT); /* 1 more */
	ck_assert_int_eq(rcpt(&w, "1@example.org", 0, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "2@example.org", 0, NULL), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 452);
	ck_assert_str_eq(w.reply.enhanced, "4.5.3");
	ck_assert_int_eq(rcpt(&w, "a@example.org", 0, NULL), HANDLER_ACCEPT); /* there already */
	accept_content(&w, "");
	ck_assert_uint_eq(w.fake.seen.rcpt_count, 5);
	world_release(&w);
}
END_TEST

/* The second of three is refused: so is the alias, and what was taken belongs to nobody. */
START_TEST(a_refusal_behind_an_alias)
{
	struct world w;

	world_init(&w);
	w.fake.refuse_at = FAKE_RCPT;
	w.fake.refuse_after = 2;
	smtp_reply_set(&w.fake.refusal, 550, "5.1.1", "no such user");
	mail(&w, "s@example.org");
	ck_assert_int_eq(rcpt(&w, "first@example.org", FAILURE, NULL), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "root", SUCCESS, NULL), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 550);
	w.fake.refuse_at = FAKE_NONE;
	ck_assert_int_eq(rcpt(&w, "third@old.example", NEVER, NULL), HANDLER_ACCEPT);
	accept_content(&w, "");
	ck_assert_uint_eq(w.fake.seen.rcpt_count, 3);
	check_rcpt(&w, 0, "first@example.org", FAILURE, NULL);
	check_rcpt(&w, 1, "a@example.org", SUCCESS, "rfc822;root");
	check_rcpt(&w, 2, "third@new.example", NEVER, "rfc822;third@old.example");
	world_release(&w);
}
END_TEST

START_TEST(a_copy_of_each)
{
	struct world w;

	world_init(&w);
	w.rules.always_bcc = "archive@example.org";
	mail(&w, "s@example.org");
	rcpt(&w, "x@y.example", 0, NULL);
	accept_content(&w, "A: b\r\n\r\n");
	ck_assert_uint_eq(w.fake.seen.rcpt_count, 2);
	check_rcpt(&w, 1, "archive@example.org", NEVER, NULL);
	ck_assert(strstr(w.lines.data, "event=rewritten id=theid to=archive@example.org\n"));
	envelope_reset(&w.env);
	/* it is there already: nothing is added, and what it wants of notifications stays */
	mail(&w, "s@example.org");
	rcpt(&w, "archive@Example.org", SUCCESS, NULL);
	accept_content(&w, "");
	ck_assert_uint_eq(w.fake.seen.rcpt_count, 1);
	check_rcpt(&w, 0, "archive@Example.org", SUCCESS, NULL);
	envelope_reset(&w.env);
	/* not of reports */
	mail(&w, "");
	rcpt(&w, "x@y.example", 0, NULL);
	accept_content(&w, "");
	ck_assert_uint_eq(w.fake.seen.rcpt_count, 1);
	envelope_reset(&w.env);
	/* the copy cannot be made: the message waits, its sender has done nothing wrong */
	mail(&w, "s@example.org");
	rcpt(&w, "x@y.example", 0, NULL);
	w.fake.refuse_at = FAKE_RCPT;
	w.fake.refuse_after = 0;
	w.fake.calls[FAKE_RCPT] = 0;
	smtp_reply_set(&w.fake.refusal, 550, "5.1.1", "no such archive");
	ck_assert_int_eq(begin(&w), HANDLER_REFUSE);
	ck_assert_int_eq(w.reply.code, 451);
	ck_assert(
		strstr(w.lines.data, "what=always_bcc address=archive@example.org msg=\"no such archive\""));
	w.handler->ops->abort(w.handler);
	world_release(&w);
}
END_TEST

START_TEST(all_goes_to_one)
{
	struct world w;

	world_init(&w);
	w.rules.redirect_all = "staging@example.org";
	w.rules.always_bcc = "archive@example.org";
	mail(&w, "s@old.example");
	ck_assert_int_eq(rcpt(&w, "x@y.example", SUCCESS, "rfc822;x@y.example"), HANDLER_ACCEPT);
	ck_assert_int_eq(rcpt(&w, "ops", 0, NULL), HANDLER_ACCEPT);
	accept_content(&w, "X-Mailer: a\r\nTo: x@y.example\r\n\r\n");
	ck_assert_str_eq(w.fake.log.data, "mail <s@new.example>;rcpt <staging@example.org>;begin;end;");
	check_rcpt(&w, 0, "staging@example.org", NEVER, NULL);
	ck_assert_str_eq(w.fake.content.data,
			 "X-Original-To: x@y.example\r\nX-Original-To: ops\r\nTo: x@y.example\r\n\r\n");
	ck_assert(strstr(w.lines.data, "event=rewritten id=theid to=staging@example.org to_was=ops\n"));
	world_release(&w);
}
END_TEST

/* Wherever the handler behind says no, its answer arrives and it is left without a transaction. */
START_TEST(refusals_behind_pass)
{
	for (enum fake_call at = FAKE_MAIL; at <= FAKE_END; at++) {
		struct world w;

		world_init(&w);
		w.fake.refuse_at = at;
		smtp_reply_set(&w.fake.refusal, 452, "4.3.1", "full");
		if (mail(&w, "s@example.org") == HANDLER_ACCEPT &&
		    rcpt(&w, "x@one.example", 0, NULL) == HANDLER_ACCEPT && begin(&w) == HANDLER_ACCEPT &&
		    chunk(&w, "From: a@old.example\r\n") == HANDLER_ACCEPT &&
		    chunk(&w, "A: b\r\n\r\n") == HANDLER_ACCEPT)
			ck_assert_int_eq(end(&w), HANDLER_REFUSE);
		ck_assert_int_eq(w.reply.code, 452);
		if (at != FAKE_END)
			w.handler->ops->abort(w.handler);
		ck_assert(!strstr(w.lines.data, "rewritten"));
		world_release(&w); /* fake_handler_release() looks for an open transaction */
	}
}
END_TEST

/* A kept-open handler forgets: the second message has nothing of the first. */
START_TEST(one_message_after_the_other)
{
	struct world w;

	world_init(&w);
	for (int i = 0; i < 3; i++) {
		mail(&w, "s@example.org");
		rcpt(&w, "root", 0, NULL);
		if (i == 1) {
			w.handler->ops->abort(w.handler);
		} else {
			accept_content(&w, "A: b\r\n\r\nbody\r\n");
			ck_assert_str_eq(w.fake.content.data, "A: b\r\n\r\nbody\r\n");
			ck_assert_uint_eq(w.fake.seen.rcpt_count, 3);
		}
		envelope_reset(&w.env);
	}
	world_release(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rewrite_handler");

	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO, "test_rewrite_handler");
	UNIT_CASE(s, a_message, the_null_sender_stays, one_address_comes_once,
		  invalid_addresses_are_refused_for_now, recipients_are_bounded, a_refusal_behind_an_alias,
		  a_copy_of_each, all_goes_to_one, refusals_behind_pass, one_message_after_the_other);
	return unit_run(s);
}
