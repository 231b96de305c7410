/* SPDX-License-Identifier: ISC */
/*
 * upstream/pipeline: the transaction engine in memory. Dialogues written
 * out, and every moment of a loss. test_pipeline_model.c plays whole servers.
 */
#include "pipeline_world.h"
#include "unit.h"

/* ---- dialogues ------------------------------------------------------------------ */

START_TEST(one_round_trip_a_message)
{
	struct world w;
	struct fake_txn *a, *b, *c;

	world_init(&w, true);
	a = add(&w, "a", 2, "A\r\n");
	b = add(&w, "b", 1, ".B");
	c = add(&w, "c", 1, "");
	sent(&w, "MAIL FROM:<a@from>\r\nRCPT TO:<a-0@to>\r\nRCPT TO:<a-1@to>\r\nDATA\r\n");
	SAYS(&w, 250, 250, 251);
	sent(&w, "");
	SAYS(&w, 354);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_CONTENT);
	sent(&w, "A\r\n.\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n");
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_FINAL_DOT);
	ck_assert_uint_eq(pipeline_in_flight(&w.p), 2);
	SAYS(&w, 250, 250, 250, 354);
	ended(a, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(a->code[0], 250);
	ck_assert_int_eq(a->code[1], 251);
	sent(&w, "..B\r\n.\r\nMAIL FROM:<c@from>\r\nRCPT TO:<c-0@to>\r\nDATA\r\n");
	SAYS(&w, 554, 250, 250, 354);
	ended(b, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 554);
	sent(&w, ".\r\n"); /* an empty message is a message */
	SAYS(&w, 250);
	ended(c, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_IDLE);
	pipeline_quit(&w.p);
	sent(&w, "QUIT\r\n");
	ck_assert_int_eq(say(&w, 221), PIPELINE_OVER);
	ck_assert_int_eq(w.p.why.how, UPSTREAM_ANSWERED);
	ck_assert_int_eq(w.p.why.phase, UPSTREAM_IDLE);
	pipeline_end(&w.p);
	world_release(&w);
}
END_TEST

START_TEST(one_command_at_a_time_without_pipelining)
{
	struct world w;

	world_init(&w, false);
	add(&w, "a", 2, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	sent(&w, "MAIL FROM:<a@from>\r\n");
	SAYS(&w, 250);
	sent(&w, "RCPT TO:<a-0@to>\r\n");
	SAYS(&w, 450);
	sent(&w, "RCPT TO:<a-1@to>\r\n");
	SAYS(&w, 250);
	sent(&w, "DATA\r\n");
	SAYS(&w, 354);
	sent(&w, "A\r\n.\r\n");
	SAYS(&w, 250);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(w.txn[0]->code[0], 450);
	sent(&w, "MAIL FROM:<b@from>\r\n");
	SAYS(&w, 250);
	sent(&w, "RCPT TO:<b-0@to>\r\n");
	SAYS(&w, 550);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550);
	sent(&w, ""); /* no DATA for nobody */
	add(&w, "c", 1, "C\r\n");
	sent(&w, "RSET\r\n");
	SAYS(&w, 250);
	sent(&w, "MAIL FROM:<c@from>\r\n");
	SAYS(&w, 552);
	ended(w.txn[2], UPSTREAM_ANSWERED, UPSTREAM_MAIL, 552);
	add(&w, "d", 1, "D\r\n");
	sent(&w, "MAIL FROM:<d@from>\r\n"); /* no RSET: there was no transaction */
	world_release(&w);
}
END_TEST

START_TEST(pipelining_can_be_switched_off)
{
	struct world w;

	world_init(&w, true);
	w.settings.pipelining = false;
	world_restart(&w);
	add(&w, "a", 1, "A\r\n");
	sent(&w, "MAIL FROM:<a@from>\r\n");
	world_release(&w);
}
END_TEST

START_TEST(a_refused_mail_is_drained)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 2, "A\r\n");
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 452);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_MAIL, 452);
	add(&w, "b", 1, "B\r\n");
	sent(&w, ""); /* not before DATA is answered */
	SAYS(&w, 503, 503, 503);
	ck_assert_int_eq(w.txn[0]->code[0], 0); /* what follows from MAIL is nobody's reply */
	sent(&w, "MAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n");
	world_release(&w);
}
END_TEST

START_TEST(nobody_accepted_and_data_refused)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 2, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 250, 550, 450);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 450);
	ck_assert_int_eq(w.txn[0]->code[0], 550);
	sent(&w, ""); /* DATA may still be answered with 354 */
	SAYS(&w, 554);
	sent(&w, "RSET\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n");
	SAYS(&w, 250, 250, 250, 354);
	sent(&w, "B\r\n.\r\n");
	world_release(&w);
}
END_TEST

START_TEST(nobody_accepted_but_the_content_is_asked_for)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 250, 550, 354);
	sent(&w, ".\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n"); /* RFC 2920 3.1 */
	SAYS(&w, 250); /* whatever it says to that, nothing was delivered */
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550);
	SAYS(&w, 250, 250, 354);
	sent(&w, "B\r\n.\r\n");
	world_release(&w);
}
END_TEST

START_TEST(mail_refused_but_the_content_is_asked_for)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 550, 250, 354);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_MAIL, 550);
	sent(&w, ".\r\n");
	SAYS(&w, 554);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_IDLE);
	world_release(&w);
}
END_TEST

START_TEST(data_refused)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 250, 250, 451);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_DATA, 451);
	sent(&w, "RSET\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n");
	world_release(&w);
}
END_TEST

START_TEST(thousands_of_recipients_go_out_in_bounded_steps)
{
	struct world w;
	size_t n = 5000, replies = 0;

	world_init(&w, true);
	add(&w, "a", n, "A\r\n");
	pipeline_fill(&w.p);
	while (replies < n + 1) {
		size_t commands = 0;

		send_all(&w);
		for (size_t i = 0; i < w.wire.len; i++)
			commands += w.wire.data[i] == '\n';
		buf_clear(&w.wire);
		ck_assert_uint_gt(commands, 0);
		ck_assert_uint_le(commands, PIPELINE_UNANSWERED_MAX);
		for (; commands > 0 && replies < n + 1; commands--, replies++)
			SAYS(&w, replies == 0 ? 250 : replies % 3 ? 250 : 550);
	}
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(w.txn[0]->code[i], (i + 1) % 3 ? 250 : 550);
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 354);
	sent(&w, "A\r\n.\r\n");
	SAYS(&w, 250);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	world_release(&w);
}
END_TEST

START_TEST(a_mail_refused_early_saves_the_rest_of_the_recipients)
{
	struct world w;
	size_t commands = 0;

	world_init(&w, true);
	add(&w, "a", 5000, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	for (size_t i = 0; i < w.wire.len; i++)
		commands += w.wire.data[i] == '\n';
	buf_clear(&w.wire);
	SAYS(&w, 550);
	/* DATA never went out, so the next one need not wait for the refusals */
	sent(&w, "MAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n");
	for (size_t i = 1; i < commands; i++)
		SAYS(&w, 503);
	SAYS(&w, 250, 250, 354);
	sent(&w, "B\r\n.\r\n");
	world_release(&w);
}
END_TEST

START_TEST(what_the_upstream_cannot_take_never_goes_out)
{
	struct world w;

	world_init(&w, true);
	w.features.size = true;
	w.features.size_limit_bytes = 2;
	for (int i = 0; i < 200; i++)
		add(&w, "big", 1, "BIG");
	add(&w, "a", 1, "A");
	pipeline_fill(&w.p);
	ck_assert(w.p.more); /* it lets others have their turn */
	for (int i = 0; i < 10 && w.p.more; i++)
		pipeline_fill(&w.p);
	ck_assert(!w.p.more);
	for (int i = 0; i < 200; i++)
		ended(w.txn[i], UPSTREAM_UNSUPPORTED, UPSTREAM_MAIL, 552);
	sent(&w, "MAIL FROM:<a@from> SIZE=1\r\nRCPT TO:<a-0@to>\r\nDATA\r\n");
	world_release(&w);
}
END_TEST

static struct pipeline *given_up;

static void give_up(struct upstream_txn *t, const struct upstream_outcome *outcome)
{
	fake_done(t, outcome);
	pipeline_lost(given_up, true, "given up");
}

START_TEST(nothing_is_taken_after_a_callback_gave_up)
{
	struct world w;

	world_init(&w, true);
	given_up = &w.p;
	add(&w, "a", 1, "\xc3\xa9")->txn.has_eightbit = true;
	w.txn[0]->txn.done = give_up;
	add(&w, "b", 1, "B");
	ck_assert_int_eq(pipeline_fill(&w.p), PIPELINE_OVER);
	ck_assert_uint_eq(w.given, 1);
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_UNSUPPORTED, UPSTREAM_MAIL, 554);
	world_release(&w);
}
END_TEST

START_TEST(quit_waits_for_what_is_under_way)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	pipeline_quit(&w.p);
	buf_clear(&w.wire);
	SAYS(&w, 250, 250, 354);
	sent(&w, "A\r\n.\r\n");
	SAYS(&w, 250);
	sent(&w, "QUIT\r\n");
	ck_assert_uint_eq(w.txn[1]->done, 0);
	ck_assert_uint_eq(w.given, 1);
	pipeline_lost(&w.p, false, "closed"); /* a server that does not say 221 is no trouble */
	ck_assert_int_eq(w.p.why.how, UPSTREAM_ANSWERED);
	ck_assert_int_eq(w.p.why.reply.code, 221);
	pipeline_end(&w.p);
	world_release(&w);
}
END_TEST

/* ---- every moment of a loss ------------------------------------------------------- */

/* Two messages on a connection that served `before` ones; the end comes after these replies. */
static const struct loss {
	size_t before; /* messages delivered first */
	int replies[8];
	size_t unsent; /* bytes of the output not on the wire yet */
	int last; /* the reply that ends it; 0: it is lost */
	enum upstream_how how_a;
	enum upstream_phase phase_a;
	int code_a;
	enum upstream_phase phase; /* of closed() */
} losses[] = {
	/* the first message on a connection is involved as soon as something of it is on the wire */
	{ 0, { 0 }, SIZE_MAX, 0, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0, UPSTREAM_IDLE },
	{ 0, { 0 }, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_MAIL, 0, UPSTREAM_MAIL },
	{ 0, { 0 }, 0, 421, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 421, UPSTREAM_MAIL },
	/* a later one when it was answered: connections end */
	{ 1, { 0 }, 0, 0, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0, UPSTREAM_IDLE },
	{ 1, { 0 }, 0, 421, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 421, UPSTREAM_IDLE },
	{ 1, { 250 }, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0, UPSTREAM_RCPT },
	{ 1, { 250 }, 0, 421, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 421, UPSTREAM_RCPT },
	{ 0, { 250, 250 }, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0, UPSTREAM_RCPT },
	{ 0, { 250, 250, 550 }, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_DATA, 0, UPSTREAM_DATA },
	{ 0, { 250, 250, 550 }, 0, 421, UPSTREAM_ANSWERED, UPSTREAM_DATA, 421, UPSTREAM_DATA },
	/* content: nothing of it is sent, some, all but the last byte of the dot, all */
	{ 0, { 250, 250, 550, 354 }, SIZE_MAX, 0, UPSTREAM_NO_ANSWER, UPSTREAM_CONTENT, 0, UPSTREAM_CONTENT },
	{ 0, { 250, 250, 550, 354 }, 4, 0, UPSTREAM_NO_ANSWER, UPSTREAM_CONTENT, 0, UPSTREAM_CONTENT },
	{ 0, { 250, 250, 550, 354 }, 1, 0, UPSTREAM_NO_ANSWER, UPSTREAM_CONTENT, 0, UPSTREAM_CONTENT },
	{ 1, { 250, 250, 550, 354 }, 1, 421, UPSTREAM_ANSWERED, UPSTREAM_CONTENT, 421, UPSTREAM_CONTENT },
	{ 1, { 250, 250, 550, 354 }, 1, 552, UPSTREAM_ANSWERED, UPSTREAM_CONTENT, 552, UPSTREAM_CONTENT },
	{ 1, { 250, 250, 550, 354 }, 1, 250, UPSTREAM_NO_ANSWER, UPSTREAM_CONTENT, 0, UPSTREAM_CONTENT },
	{ 0, { 250, 250, 550, 354 }, 0, 0, UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0, UPSTREAM_FINAL_DOT },
	{ 0, { 250, 250, 550, 354 }, 0, 421, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 421, UPSTREAM_FINAL_DOT },
	/* replies that make no sense: the code tells nothing any more */
	{ 0, { 0 }, 0, 354, UPSTREAM_NO_ANSWER, UPSTREAM_MAIL, 0, UPSTREAM_MAIL },
	{ 0, { 250 }, 0, 354, UPSTREAM_NO_ANSWER, UPSTREAM_RCPT, 0, UPSTREAM_RCPT },
	{ 0, { 250, 250, 550 }, 0, 250, UPSTREAM_NO_ANSWER, UPSTREAM_DATA, 0, UPSTREAM_DATA },
	{ 0, { 250, 250, 550 }, 0, 335, UPSTREAM_NO_ANSWER, UPSTREAM_DATA, 0, UPSTREAM_DATA },
	{ 0, { 250, 250, 550, 354 }, 0, 354, UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0, UPSTREAM_FINAL_DOT },
	/* a message that was refused is not touched by what comes later */
	{ 0, { 550 }, 0, 0, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 550, UPSTREAM_RCPT },
	{ 0, { 550, 503, 503 }, 0, 421, UPSTREAM_ANSWERED, UPSTREAM_MAIL, 550, UPSTREAM_DATA },
	{ 0, { 250, 450, 550 }, 0, 0, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550, UPSTREAM_DATA },
	{ 0, { 250, 450, 550, 354 }, 0, 0, UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550, UPSTREAM_FINAL_DOT },
	{ 0, { 250, 250, 550, 354, 250 }, 0, 0, UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250, UPSTREAM_IDLE },
};

static void play_loss(const struct loss *l, bool pipelining, bool with_b)
{
	struct world w;
	struct fake_txn *a, *b = NULL;
	size_t output;
	const char *data;

	world_init(&w, pipelining);
	for (size_t i = 0; i < l->before; i++) {
		add(&w, "before", 1, "X\r\n");
		for (const int *code = (const int[]){ 250, 250, 354, 250, 0 }; *code; code++) {
			send_all(&w);
			SAYS(&w, *code);
		}
		send_all(&w);
	}
	a = add(&w, "a", 2, "A\r\n");
	for (const int *code = l->replies; *code; code++) {
		send_all(&w);
		SAYS(&w, *code);
	}
	pipeline_fill(&w.p);
	output = pipeline_output(&w.p, &data);
	send_some(&w, l->unsent > output ? 0 : output - l->unsent);
	if (with_b && l->unsent == 0) {
		b = add(&w, "b", 1, "B\r\n");
		send_all(&w);
		if (w.given < w.count)
			b = NULL; /* there was no room for it yet */
	}
	if (l->last)
		ck_assert_int_eq(say(&w, l->last), PIPELINE_OVER);
	else
		pipeline_lost(&w.p, false, "lost");
	ck_assert_int_eq(w.p.why.phase, l->phase);
	ck_assert_int_eq(w.p.why.how,
			 l->last == 421 || l->last == 552 ? UPSTREAM_ANSWERED : UPSTREAM_NO_ANSWER);
	ck_assert_str_ne(w.p.why.reply.text, "");
	pipeline_end(&w.p);
	ended(a, l->how_a, l->phase_a, l->code_a);
	if (b)
		ended(b, UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, l->last == 421 ? 421 : 0);
	ck_assert_uint_eq(pipeline_in_flight(&w.p), 0);
	ck_assert_int_eq(say(&w, 250), PIPELINE_OVER); /* and nothing happens any more */
	world_release(&w);
}

START_TEST(each_moment_of_a_loss_has_its_outcome)
{
	for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++) {
		play_loss(&losses[i], true, false);
		play_loss(&losses[i], true, true);
	}
}
END_TEST

START_TEST(giving_up_ourselves_blames_nobody_for_what_was_not_answered)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	send_all(&w);
	pipeline_lost(&w.p, true, "given up");
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);
	world_release(&w);

	world_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	send_all(&w);
	SAYS(&w, 250, 250, 354);
	send_all(&w);
	pipeline_lost(&w.p, true, "given up");
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0); /* it may have it */
	world_release(&w);
}
END_TEST

START_TEST(replies_nobody_asked_for_end_it)
{
	struct world w;

	for (int ahead = 0; ahead < 2; ahead++) {
		world_init(&w, ahead);
		ck_assert_int_eq(say(&w, 250), PIPELINE_OVER);
		ck_assert_int_eq(w.p.why.how, UPSTREAM_NO_ANSWER);
		ck_assert_int_eq(w.p.why.phase, UPSTREAM_IDLE);
		ck_assert_ptr_nonnull(strstr(w.p.why.reply.text, "250 said 250"));
		world_release(&w);

		world_init(&w, ahead);
		ck_assert_int_eq(say(&w, 421), PIPELINE_OVER); /* this one may come at any time */
		pipeline_lost(&w.p, false, "closed"); /* the first reason is the reason */
		ck_assert_int_eq(w.p.why.how, UPSTREAM_ANSWERED);
		ck_assert_int_eq(w.p.why.reply.code, 421);
		world_release(&w);
	}
	world_init(&w, true); /* RSET cannot be refused */
	add(&w, "a", 1, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	SAYS(&w, 250, 250, 451);
	send_all(&w);
	ck_assert_int_eq(say(&w, 500), PIPELINE_OVER);
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_DATA, 451);
	ended(w.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, 0);
	world_release(&w);
}
END_TEST

START_TEST(a_source_that_fails_ends_it_before_the_dot)
{
	struct world w;

	world_init(&w, true);
	add(&w, "a", 1, "AAAA\r\n")->fails_at = 2;
	w.txn[0]->piece = 1;
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 250, 250, 354);
	ck_assert_int_eq(pipeline_fill(&w.p), PIPELINE_OVER);
	ck_assert_int_eq(w.p.why.how, UPSTREAM_SOURCE_FAILED);
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_SOURCE_FAILED, UPSTREAM_CONTENT, 0);
	ck_assert_str_eq(w.txn[0]->outcome.reply.text, "the disk is gone");
	world_release(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pipeline");

	UNIT_CASE(s, one_round_trip_a_message, one_command_at_a_time_without_pipelining,
		  pipelining_can_be_switched_off, a_refused_mail_is_drained, nobody_accepted_and_data_refused,
		  nobody_accepted_but_the_content_is_asked_for, mail_refused_but_the_content_is_asked_for,
		  data_refused, thousands_of_recipients_go_out_in_bounded_steps,
		  a_mail_refused_early_saves_the_rest_of_the_recipients,
		  what_the_upstream_cannot_take_never_goes_out, nothing_is_taken_after_a_callback_gave_up,
		  quit_waits_for_what_is_under_way, each_moment_of_a_loss_has_its_outcome,
		  giving_up_ourselves_blames_nobody_for_what_was_not_answered,
		  replies_nobody_asked_for_end_it, a_source_that_fails_ends_it_before_the_dot);
	return unit_run(s);
}
