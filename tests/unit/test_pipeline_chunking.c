/* SPDX-License-Identifier: ISC */
/*
 * upstream/pipeline with BDAT (RFC 3030) and as LMTP (RFC 2033): dialogues
 * written out, and every moment of a loss. What they have in common with DATA
 * and SMTP is in test_pipeline.c.
 */
#include "pipeline_world.h"
#include "unit.h"

/* ---- BDAT ------------------------------------------------------------------------- */

static void bdat_init(struct world *w, bool pipelining)
{
	world_init(w, pipelining);
	w->features.chunking = w->features.binarymime = true;
	w->settings.chunking = UPSTREAM_CHUNKING_ALWAYS;
}

#define GROUP(name, content, size)                                                                           \
	"MAIL FROM:<" name "@from>\r\nRCPT TO:<" name "-0@to>\r\nBDAT " size " LAST\r\n" content

START_TEST(no_round_trip_a_message)
{
	struct world w;

	bdat_init(&w, true);
	add(&w, "a", 1, "A\r\n");
	add(&w, "b", 1, ".B"); /* nothing is stuffed, and nothing added */
	add(&w, "c", 1, "");
	sent(&w, GROUP("a", "A\r\n", "3") "RSET\r\n" GROUP("b", ".B", "2") "RSET\r\n" GROUP("c", "", "0"));
	ck_assert_uint_eq(pipeline_in_flight(&w.p), 3);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_MAIL); /* that is waited for, whatever is out */
	SAYS(&w, 250, 250);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_FINAL_DOT);
	SAYS(&w, 250);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	SAYS(&w, 250, 250, 250, 554);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 554);
	SAYS(&w, 250, 250, 250, 250);
	ended(w.txn[2], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	pipeline_quit(&w.p);
	sent(&w, "QUIT\r\n");
	world_release(&w);
}
END_TEST

START_TEST(the_window_is_bounded)
{
	struct world w;

	bdat_init(&w, true);
	for (int i = 0; i < PIPELINE_WINDOW + 3; i++)
		add(&w, "m", 1, "M");
	send_all(&w);
	ck_assert_uint_eq(w.given, PIPELINE_WINDOW);
	SAYS(&w, 250, 250, 250);
	send_all(&w);
	ck_assert_uint_eq(w.given, PIPELINE_WINDOW + 1);
	world_release(&w);
}
END_TEST

START_TEST(what_is_needed_goes_with_bdat_and_the_rest_with_data)
{
	struct world w;

	bdat_init(&w, true);
	w.settings.chunking = UPSTREAM_CHUNKING_NEEDED;
	add(&w, "a", 1, "A");
	add(&w, "b", 1, "\n.\n")->env.body = BODY_BINARYMIME;
	add(&w, "c", 1, "C");
	sent(&w, "MAIL FROM:<a@from>\r\nRCPT TO:<a-0@to>\r\nDATA\r\n");
	SAYS(&w, 250, 250, 354);
	sent(&w, "A\r\n.\r\nMAIL FROM:<b@from> BODY=BINARYMIME\r\nRCPT TO:<b-0@to>\r\nBDAT 3 LAST\r\n\n.\n"
		 "RSET\r\nMAIL FROM:<c@from>\r\nRCPT TO:<c-0@to>\r\nDATA\r\n");
	SAYS(&w, 250, 250, 250, 250);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	sent(&w, "");
	SAYS(&w, 250, 250, 250, 354);
	sent(&w, "C\r\n.\r\n");
	world_release(&w);
}
END_TEST

/* RFC 3030 3: never with DATA, and never to who did not announce it. */
START_TEST(binary_goes_nowhere_else)
{
	static const struct {
		bool chunking, binarymime;
		enum upstream_chunking setting;
		bool goes;
	} rows[] = {
		{ true, true, UPSTREAM_CHUNKING_NEEDED, true },
		{ true, true, UPSTREAM_CHUNKING_ALWAYS, true },
		{ true, true, UPSTREAM_CHUNKING_NEVER, false },
		{ true, false, UPSTREAM_CHUNKING_ALWAYS, false },
		{ false, true, UPSTREAM_CHUNKING_NEEDED, false },
		{ false, false, UPSTREAM_CHUNKING_NEEDED, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world w;

		world_init(&w, true);
		w.features.chunking = rows[i].chunking;
		w.features.binarymime = rows[i].binarymime;
		w.settings.chunking = rows[i].setting;
		add(&w, "a", 1, "\xff")->env.body = BODY_BINARYMIME;
		w.txn[0]->txn.has_eightbit = true; /* BODY=BINARYMIME covers that */
		send_all(&w);
		ck_assert_int_eq(w.wire.len > 0, rows[i].goes);
		if (!rows[i].goes)
			ended(w.txn[0], UPSTREAM_UNSUPPORTED, UPSTREAM_MAIL, 554);
		world_release(&w);
	}
}
END_TEST

START_TEST(one_command_at_a_time_without_pipelining)
{
	struct world w;

	bdat_init(&w, false);
	add(&w, "a", 1, "A");
	add(&w, "b", 1, "B");
	sent(&w, "MAIL FROM:<a@from>\r\n");
	SAYS(&w, 250);
	sent(&w, "RCPT TO:<a-0@to>\r\n");
	SAYS(&w, 250);
	sent(&w, "BDAT 1 LAST\r\nA");
	SAYS(&w, 451);
	sent(&w, "RSET\r\n"); /* the refused one may still be open */
	SAYS(&w, 250);
	sent(&w, "MAIL FROM:<b@from>\r\n");
	world_release(&w);
}
END_TEST

static char large[PIPELINE_AHEAD_MAX + 2];

/* A content that is worth waiting for: not sent to nobody, and not cut off by a refusal. */
START_TEST(a_large_content_waits_for_its_recipients)
{
	struct world w;

	memset(large, 'x', sizeof(large) - 1);
	bdat_init(&w, true);
	add(&w, "a", 2, large);
	add(&w, "b", 2, large);
	sent(&w, "MAIL FROM:<a@from>\r\nRCPT TO:<a-0@to>\r\nRCPT TO:<a-1@to>\r\n");
	SAYS(&w, 250, 550, 550);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550);
	sent(&w, "RSET\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nRCPT TO:<b-1@to>\r\n");
	SAYS(&w, 250, 250, 550);
	sent(&w, "");
	SAYS(&w, 250);
	send_all(&w);
	ck_assert_uint_eq(w.wire.len, strlen("BDAT 16385 LAST\r\n") + sizeof(large) - 1);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_FINAL_DOT);
	SAYS(&w, 250);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	world_release(&w);
}
END_TEST

START_TEST(nobody_accepted_and_the_content_was_out)
{
	struct world w;

	bdat_init(&w, true);
	add(&w, "a", 1, "A");
	add(&w, "b", 1, "B");
	send_all(&w);
	SAYS(&w, 250, 550);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550);
	SAYS(&w, 503);
	SAYS(&w, 250, 451);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_MAIL, 451);
	SAYS(&w, 503, 503);
	ck_assert_int_eq(w.txn[1]->code[0], 0);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_IDLE);
	ck_assert_uint_eq(w.txn[0]->done + w.txn[1]->done, 2);
	world_release(&w);
}
END_TEST

/* Our own disk: nothing of it goes out, and those before and behind it do not notice. */
START_TEST(a_source_that_fails_ahead_is_its_own_trouble)
{
	struct world w;

	bdat_init(&w, true);
	add(&w, "a", 1, "AAAA");
	add(&w, "b", 1, "BBBB")->fails_at = 2;
	w.txn[1]->piece = 1;
	add(&w, "c", 1, "CCCC");
	sent(&w, GROUP("a", "AAAA", "4") "RSET\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\n"
					 "RSET\r\n" GROUP("c", "CCCC", "4"));
	ended(w.txn[1], UPSTREAM_SOURCE_FAILED, UPSTREAM_CONTENT, 0);
	SAYS(&w, 250, 250, 250, 250, 250, 250, 250, 250, 250, 250);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ended(w.txn[2], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(w.txn[1]->code[0], 0);
	world_release(&w);
}
END_TEST

/* Its announced octets can never come: the connection has to end. */
START_TEST(a_source_that_fails_behind_its_bdat_ends_it)
{
	struct world w;

	memset(large, 'x', sizeof(large) - 1);
	bdat_init(&w, true);
	add(&w, "a", 1, large)->fails_at = 20;
	w.txn[0]->piece = 10;
	send_all(&w);
	SAYS(&w, 250, 250);
	ck_assert_int_eq(pipeline_fill(&w.p), PIPELINE_OVER);
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_SOURCE_FAILED, UPSTREAM_CONTENT, 0);
	world_release(&w);
}
END_TEST

/* Three messages out at once; the end comes after these replies. What each of them is told. */
static const struct {
	int replies[12];
	size_t unsent; /* bytes of the output that are not on the wire */
	int last; /* the reply that ends it; 0: it is lost */
	struct {
		enum upstream_how how;
		enum upstream_phase phase;
	} end[3];
} bdat_losses[] = {
#define UNCERTAIN                                                                                            \
	{                                                                                                    \
		UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT                                                       \
	}
#define UNTOUCHED                                                                                            \
	{                                                                                                    \
		UPSTREAM_NOT_STARTED, UPSTREAM_MAIL                                                          \
	}
#define DELIVERED                                                                                            \
	{                                                                                                    \
		UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT                                                        \
	}
	{ { 0 }, SIZE_MAX, 0, { UNTOUCHED, UNTOUCHED, UNTOUCHED } },
	/* not a single answer, and yet each of them may have been delivered */
	{ { 0 }, 0, 0, { UNCERTAIN, UNCERTAIN, UNCERTAIN } },
	{ { 0 }, 1, 0, { UNCERTAIN, UNCERTAIN, UNTOUCHED } },
	/* 421 is the answer to the oldest: the next ones were not read (RFC 5321 3.8) */
	{ { 0 }, 0, 421, { { UPSTREAM_ANSWERED, UPSTREAM_MAIL }, UNTOUCHED, UNTOUCHED } },
	{ { 250, 250 }, 0, 421, { { UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT }, UNTOUCHED, UNTOUCHED } },
	{ { 250, 250 }, 0, 0, { UNCERTAIN, UNCERTAIN, UNCERTAIN } },
	{ { 250, 250 }, 1, 0, { UNCERTAIN, UNCERTAIN, UNTOUCHED } },
	{ { 250, 250, 250 }, 0, 0, { DELIVERED, UNCERTAIN, UNCERTAIN } },
	{ { 250, 250, 250 }, 0, 421, { DELIVERED, UNTOUCHED, UNTOUCHED } },
	{ { 250, 250, 250, 250 }, 0, 0, { DELIVERED, UNCERTAIN, UNCERTAIN } },
	{ { 250, 250, 250, 250, 250 },
	  0,
	  421,
	  { DELIVERED, { UPSTREAM_ANSWERED, UPSTREAM_RCPT }, UNTOUCHED } },
	{ { 250, 250, 250, 250, 250, 250, 250 }, 1, 0, { DELIVERED, DELIVERED, UNTOUCHED } },
	/* refused while its content was out: that is its end, and the silence is the others' */
	{ { 550 }, 0, 0, { { UPSTREAM_ANSWERED, UPSTREAM_MAIL }, UNCERTAIN, UNCERTAIN } },
	{ { 250, 550 }, 0, 0, { { UPSTREAM_ANSWERED, UPSTREAM_RCPT }, UNCERTAIN, UNCERTAIN } },
	/* nonsense */
	{ { 250 }, 0, 354, { UNCERTAIN, UNCERTAIN, UNCERTAIN } },
	{ { 250, 250 }, 0, 354, { UNCERTAIN, UNCERTAIN, UNCERTAIN } },
	{ { 250, 250, 250 }, 0, 550, { DELIVERED, UNCERTAIN, UNCERTAIN } }, /* RSET */
};

START_TEST(each_moment_of_a_loss_has_its_outcome)
{
	for (size_t i = 0; i < sizeof(bdat_losses) / sizeof(*bdat_losses); i++) {
		struct world w;
		size_t output;
		const char *data;

		bdat_init(&w, true);
		for (int n = 0; n < 3; n++)
			add(&w, n == 0 ? "a" : n == 1 ? "b" : "c", 1, "TEXT\r\n");
		pipeline_fill(&w.p);
		output = pipeline_output(&w.p, &data);
		send_some(&w, bdat_losses[i].unsent > output ? 0 : output - bdat_losses[i].unsent);
		says(&w, bdat_losses[i].replies);
		if (bdat_losses[i].last)
			ck_assert_int_eq(say(&w, bdat_losses[i].last), PIPELINE_OVER);
		else
			pipeline_lost(&w.p, false, "lost");
		pipeline_end(&w.p);
		for (int n = 0; n < 3; n++) {
			ck_assert_msg(w.txn[n]->done == 1 &&
					      w.txn[n]->outcome.how == bdat_losses[i].end[n].how &&
					      w.txn[n]->outcome.phase == bdat_losses[i].end[n].phase,
				      "loss %zu, message %d: how %d, phase %s", i, n, w.txn[n]->outcome.how,
				      upstream_phase_name(w.txn[n]->outcome.phase));
		}
		ck_assert_uint_eq(pipeline_in_flight(&w.p), 0);
		world_release(&w);
	}
}
END_TEST

START_TEST(giving_up_ourselves_leaves_them_uncertain_too)
{
	struct world w;

	bdat_init(&w, true);
	add(&w, "a", 1, "A");
	add(&w, "b", 1, "B");
	send_all(&w);
	pipeline_lost(&w.p, true, "given up");
	pipeline_end(&w.p);
	ended(w.txn[0], UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0);
	ended(w.txn[1], UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT, 0);
	world_release(&w);
}
END_TEST

/* ---- LMTP --------------------------------------------------------------------------- */

static void lmtp_init(struct world *w)
{
	world_init(w, true);
	w->settings.lmtp = true;
}

START_TEST(each_accepted_recipient_has_an_answer)
{
	struct world w;

	lmtp_init(&w);
	add(&w, "a", 4, "A\r\n");
	add(&w, "b", 1, "B\r\n");
	send_all(&w);
	buf_clear(&w.wire);
	SAYS(&w, 250, 550, 250, 450, 250, 354);
	sent(&w, "A\r\n.\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nDATA\r\n");
	SAYS(&w, 452);
	ck_assert_uint_eq(w.txn[0]->done, 0);
	ck_assert_int_eq(w.txn[0]->final[1], 452);
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_FINAL_DOT);
	SAYS(&w, 250);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 250);
	ck_assert_int_eq(w.txn[0]->final[0], 0);
	ck_assert_int_eq(w.txn[0]->final[2], 0);
	ck_assert_int_eq(w.txn[0]->final[3], 250);
	SAYS(&w, 250, 250, 354); /* and these are the next one's */
	sent(&w, "B\r\n.\r\n");
	SAYS(&w, 554);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 554);
	ck_assert_int_eq(w.txn[1]->final[0], 554);
	world_release(&w);
}
END_TEST

START_TEST(thousands_of_answers)
{
	struct world w;
	size_t n = 3000, accepted = 0;

	lmtp_init(&w);
	add(&w, "a", n, "A\r\n");
	send_all(&w);
	SAYS(&w, 250);
	for (size_t i = 0; i < n; i++) {
		send_all(&w);
		SAYS(&w, i % 7 ? 250 : 550);
		accepted += i % 7 != 0;
	}
	send_all(&w);
	SAYS(&w, 354);
	send_all(&w);
	for (size_t i = 0; i < accepted; i++) {
		ck_assert_uint_eq(w.txn[0]->done, 0);
		SAYS(&w, i % 2 ? 250 : 452);
	}
	ck_assert_uint_eq(w.txn[0]->done, 1);
	for (size_t i = 0, k = 0; i < n; i++)
		ck_assert_int_eq(w.txn[0]->final[i], i % 7 == 0 ? 0 : k++ % 2 ? 250 : 452);
	world_release(&w);
}
END_TEST

/* Who was answered is done; of the others nothing is known, or what the 421 says. */
START_TEST(lost_between_the_answers)
{
	for (int with_421 = 0; with_421 < 2; with_421++) {
		struct world w;

		lmtp_init(&w);
		add(&w, "a", 3, "A\r\n");
		add(&w, "b", 1, "B\r\n");
		send_all(&w);
		SAYS(&w, 250, 250, 250, 250, 354);
		send_all(&w);
		SAYS(&w, 250);
		if (with_421)
			say(&w, 421);
		else
			pipeline_lost(&w.p, false, "lost");
		pipeline_end(&w.p);
		ck_assert_int_eq(w.txn[0]->final[0], 250);
		ck_assert_int_eq(w.txn[0]->final[1], 0);
		ended(w.txn[0], with_421 ? UPSTREAM_ANSWERED : UPSTREAM_NO_ANSWER, UPSTREAM_FINAL_DOT,
		      with_421 ? 421 : 0);
		ended(w.txn[1], UPSTREAM_NOT_STARTED, UPSTREAM_MAIL, with_421 ? 421 : 0);
		world_release(&w);
	}
}
END_TEST

START_TEST(content_for_nobody_ends_it)
{
	struct world w;

	lmtp_init(&w);
	add(&w, "a", 1, "A\r\n");
	send_all(&w);
	SAYS(&w, 250, 550);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550);
	ck_assert_int_eq(say(&w, 354), PIPELINE_OVER);
	pipeline_end(&w.p);
	world_release(&w);
}
END_TEST

START_TEST(an_answer_too_many_ends_it)
{
	struct world w;

	lmtp_init(&w);
	add(&w, "a", 2, "A\r\n");
	send_all(&w);
	SAYS(&w, 250, 250, 250, 354);
	send_all(&w);
	SAYS(&w, 250, 250);
	ck_assert_int_eq(say(&w, 250), PIPELINE_OVER);
	ck_assert_int_eq(w.p.why.how, UPSTREAM_NO_ANSWER);
	world_release(&w);
}
END_TEST

/* As many answers as accepted recipients: so BDAT is not sent before these are known, and never in vain. */
START_TEST(lmtp_with_bdat)
{
	struct world w;

	lmtp_init(&w);
	w.features.chunking = true;
	w.settings.chunking = UPSTREAM_CHUNKING_ALWAYS;
	add(&w, "a", 2, "A");
	add(&w, "b", 2, "B");
	sent(&w, "MAIL FROM:<a@from>\r\nRCPT TO:<a-0@to>\r\nRCPT TO:<a-1@to>\r\n");
	SAYS(&w, 250, 250, 250);
	sent(&w, "BDAT 1 LAST\r\nARSET\r\nMAIL FROM:<b@from>\r\nRCPT TO:<b-0@to>\r\nRCPT TO:<b-1@to>\r\n");
	SAYS(&w, 250, 452);
	ended(w.txn[0], UPSTREAM_ANSWERED, UPSTREAM_FINAL_DOT, 452);
	ck_assert_int_eq(w.txn[0]->final[0], 250);
	SAYS(&w, 250, 250, 550, 550);
	ended(w.txn[1], UPSTREAM_ANSWERED, UPSTREAM_RCPT, 550);
	sent(&w, "");
	ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_IDLE);
	world_release(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pipeline_chunking");

	UNIT_CASE(s, no_round_trip_a_message, the_window_is_bounded,
		  what_is_needed_goes_with_bdat_and_the_rest_with_data, binary_goes_nowhere_else,
		  one_command_at_a_time_without_pipelining, a_large_content_waits_for_its_recipients,
		  nobody_accepted_and_the_content_was_out, a_source_that_fails_ahead_is_its_own_trouble,
		  a_source_that_fails_behind_its_bdat_ends_it, each_moment_of_a_loss_has_its_outcome,
		  giving_up_ourselves_leaves_them_uncertain_too);
	UNIT_CASE(s, each_accepted_recipient_has_an_answer, thousands_of_answers, lost_between_the_answers,
		  content_for_nobody_ends_it, an_answer_too_many_ends_it, lmtp_with_bdat);
	return unit_run(s);
}
