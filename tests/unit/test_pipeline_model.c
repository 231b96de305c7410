/* SPDX-License-Identifier: ISC */
/*
 * upstream/pipeline against whole servers in memory: one that takes what is
 * sent, cut anywhere, and must get every message byte for byte, and one that
 * answers nonsense.
 */
#include <limits.h>

#include "pipeline_world.h"
#include "unit.h"

/* ---- the model server -------------------------------------------------------------- */

/* A server as simple as can be: takes lines, keeps what it accepted. */
struct model {
	struct buf in; /* not yet understood */
	bool has_mail, in_data;
	bool lmtp;
	bool bdat_failed; /* until RSET */
	size_t chunk_left; /* octets of a BDAT that is to come */
	bool in_chunk;
	bool lax; /* 354 even with nobody accepted */
	unsigned seed; /* 0: accepts everything */
	size_t rcpts;
	char sender[100];
	struct buf content; /* of the message being taken */
	struct {
		char sender[100];
		size_t rcpts;
		struct buf content;
	} got[600];
	size_t count;
	int replies[3000]; /* not yet given to the client */
	size_t reply_from, reply_to;
};

static void model_reply(struct model *m, int code)
{
	ck_assert_uint_lt(m->reply_to, sizeof(m->replies) / sizeof(*m->replies));
	m->replies[m->reply_to++] = code;
}

static bool model_likes(struct model *m)
{
	return m->seed == 0 || rand_r(&m->seed) % 4 != 0;
}

/* Who gets it: with LMTP each says so itself (RFC 2033 4.2). */
static bool model_store(struct model *m)
{
	size_t stored = 0, answers = m->lmtp ? m->rcpts : 1;

	for (size_t i = 0; i < answers; i++) {
		bool likes = m->rcpts > 0 && model_likes(m);

		model_reply(m, likes ? 250 : 554);
		stored += !likes ? 0 : m->lmtp ? 1 : m->rcpts;
	}
	if (stored == 0)
		return false;
	snprintf(m->got[m->count].sender, sizeof(m->sender), "%s", m->sender);
	m->got[m->count].rcpts = stored;
	buf_init(&m->got[m->count].content, 1 << 20);
	buf_add(&m->got[m->count++].content, m->content.data, m->content.len);
	return true;
}

static void model_end_of_data(struct model *m)
{
	m->in_data = m->has_mail = false;
	model_store(m);
}

/* RFC 3030 2: the octets are read in any case, and behind a refusal only RSET helps. */
static void model_end_of_chunk(struct model *m)
{
	m->in_chunk = false;
	if (!m->has_mail || m->bdat_failed || m->rcpts == 0) {
		model_reply(m, 503);
		m->bdat_failed = true;
	} else if (model_store(m)) {
		m->has_mail = false;
	} else {
		m->bdat_failed = true;
	}
}

static void model_line(struct model *m, char *line, size_t len)
{
	if (m->in_data) {
		if (len == 1 && line[0] == '.') {
			model_end_of_data(m);
			return;
		}
		buf_add(&m->content, line + (line[0] == '.'), len - (line[0] == '.'));
		buf_adds(&m->content, "\r\n");
		return;
	}
	line[len] = '\0';
	if (strcmp(line, "RSET") == 0) {
		m->has_mail = m->bdat_failed = false;
		model_reply(m, 250);
	} else if (sscanf(line, "BDAT %zu", &m->chunk_left) == 1) {
		ck_assert_ptr_nonnull(strstr(line, " LAST"));
		buf_clear(&m->content);
		m->in_chunk = true;
	} else if (sscanf(line, "MAIL FROM:<%99[^>]>", m->sender) == 1) {
		ck_assert_msg(!m->has_mail, "nested MAIL");
		ck_assert_msg(!m->bdat_failed, "MAIL behind a refused BDAT");
		m->has_mail = model_likes(m);
		m->rcpts = 0;
		model_reply(m, m->has_mail ? 250 : 451);
	} else if (strncmp(line, "RCPT TO:<", 9) == 0) {
		bool ok = m->has_mail && model_likes(m);

		m->rcpts += ok;
		model_reply(m, !m->has_mail ? 503 : ok ? 250 : 550);
	} else {
		ck_assert_str_eq(line, "DATA");
		m->in_data = m->has_mail && (m->rcpts > 0 || m->lax) && model_likes(m);
		buf_clear(&m->content);
		model_reply(m, m->in_data ? 354 : 503);
	}
}

static void model_take(struct model *m, const char *data, size_t len)
{
	char *end;

	buf_add(&m->in, data, len);
	for (;;) {
		if (m->in_chunk) {
			size_t n = m->in.len < m->chunk_left ? m->in.len : m->chunk_left;

			buf_add(&m->content, m->in.data, n);
			buf_consume(&m->in, n);
			m->chunk_left -= n;
			if (m->chunk_left > 0)
				return;
			model_end_of_chunk(m);
		}
		end = memmem(m->in.data, m->in.len, "\r\n", 2);
		if (!end)
			return;
		model_line(m, m->in.data, (size_t)(end - m->in.data));
		buf_consume(&m->in, (size_t)(end - m->in.data) + 2);
	}
}

/* A message of lines that like to begin with dots; its number is in it. */
static struct fake_txn *add_random(struct world *w, unsigned *seed)
{
	static char content[60000];
	char name[20];
	size_t len = (size_t)snprintf(content, sizeof(content), "%zu\r\n", w->count),
	       lines = (size_t)rand_r(seed) % (rand_r(seed) % 20 ? 40 : 900); /* and such as are never sent ahead */
	struct fake_txn *t;

	snprintf(name, sizeof(name), "m%zu", w->count);
	for (size_t i = 0; i < lines; i++) {
		for (size_t n = (size_t)rand_r(seed) % 60; n > 0; n--)
			content[len++] = "..ab"[rand_r(seed) % 4];
		content[len++] = '\r';
		content[len++] = '\n';
	}
	t = w->txn[w->count++] = fake_new(name, 1 + (size_t)rand_r(seed) % 5, content, len);
	if (w->settings.chunking == UPSTREAM_CHUNKING_NEEDED && rand_r(seed) % 3 == 0)
		t->env.body = BODY_BINARYMIME;
	t->piece = (size_t)rand_r(seed) % (len > 3000 ? 9000 : 100);
	return t;
}

/* Bytes and replies move in random pieces until nothing moves any more, or for so many steps. */
static void run_model(struct world *w, struct model *m, unsigned *seed, unsigned steps)
{
	for (int still = 0; still < 50 && steps > 0 && !w->p.over; steps--) {
		size_t moved = 0;

		if (rand_r(seed) % 2) {
			buf_clear(&w->wire);
			pipeline_fill(&w->p);
			moved = send_some(w, 1 + (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 500 : 20000));
			model_take(m, w->wire.data, w->wire.len);
		} else {
			for (size_t n = 1 + (size_t)rand_r(seed) % 4; n > 0 && m->reply_from < m->reply_to;
			     n--, moved++)
				ck_assert(say(w, m->replies[m->reply_from++]) == PIPELINE_GO_ON || w->fails);
			if (m->reply_from == m->reply_to)
				m->reply_from = m->reply_to = 0;
		}
		still = moved ? 0 : still + 1;
	}
}

static void check_model(struct world *w, struct model *m)
{
	size_t got = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct fake_txn *t = w->txn[i];
		size_t accepted = 0;

		ck_assert_uint_eq(t->done, 1);
		ck_assert_int_eq(t->outcome.how, UPSTREAM_ANSWERED);
		for (size_t r = 0; r < t->txn.rcpt_count; r++)
			accepted += m->lmtp ? t->final[r] / 100 == 2 : t->code[r] / 100 == 2;
		if (t->outcome.phase != UPSTREAM_FINAL_DOT || accepted == 0 ||
		    (!m->lmtp && t->outcome.reply.code != 250))
			continue; /* not delivered: then the server must not have it, see below */
		ck_assert_uint_lt(got, m->count);
		ck_assert_str_eq(m->got[got].sender, t->env.sender);
		ck_assert_uint_eq(m->got[got].rcpts, accepted);
		ck_assert_uint_eq(m->got[got].content.len, t->txn.content_bytes);
		ck_assert_mem_eq(m->got[got].content.data, t->content, t->txn.content_bytes);
		buf_release(&m->got[got++].content);
	}
	ck_assert_uint_eq(got, m->count); /* nothing more, nothing empty */
}

/* The round says what both sides can and want. */
static void start_round(struct model *m, struct world *w, unsigned round)
{
	memset(m, 0, sizeof(*m));
	buf_init(&m->in, 1 << 20);
	buf_init(&m->content, 1 << 20);
	m->seed = round % 3 == 0 ? 0 : round;
	m->lmtp = round % 4 == 1;
	world_init(w, round % 5 != 0);
	w->settings.lmtp = m->lmtp;
	w->features.chunking = w->features.binarymime = true;
	w->settings.chunking = (enum upstream_chunking)(round / 4 % 3);
	world_restart(w);
}

START_TEST(the_model_server_gets_every_message)
{
	static struct model m;
	static struct world w;

	/* DATA and BDAT, SMTP and LMTP, with PIPELINING and without; servers that refuse and such that take all */
	for (unsigned round = 1; round <= 240; round++) {
		unsigned seed = round;

		start_round(&m, &w, round);
		m.lax = round % 2 && !m.lmtp;
		for (int i = 0; i < 100; i++)
			add_random(&w, &seed);
		run_model(&w, &m, &seed, UINT_MAX);
		ck_assert_int_eq(pipeline_phase(&w.p), UPSTREAM_IDLE);
		ck_assert(m.seed || m.count == 100);
		check_model(&w, &m);
		buf_release(&m.in);
		buf_release(&m.content);
		world_release(&w);
	}
}
END_TEST

/* ---- the connection is lost, or the server leaves ---------------------------------------- */

static size_t stored_of(const struct model *m, const char *sender)
{
	for (size_t i = 0; i < m->count; i++)
		if (strcmp(m->got[i].sender, sender) == 0)
			return m->got[i].rcpts;
	return 0;
}

/* Who is told to have it has it; and who has it is told so, or that it is not known. */
static void check_told(const struct fake_txn *t, size_t stored)
{
	const struct upstream_outcome *o = &t->outcome;
	bool at_the_end = o->phase == UPSTREAM_FINAL_DOT, taken = o->how == UPSTREAM_ANSWERED && o->reply.code / 100 == 2;
	size_t delivered = 0, uncertain = 0;

	for (size_t i = 0; i < t->txn.rcpt_count; i++) {
		if (t->code[i] / 100 > 2 || t->final[i] / 100 > 2)
			continue;
		delivered += t->final[i] || (at_the_end && taken);
		uncertain += !t->final[i] && at_the_end && o->how == UPSTREAM_NO_ANSWER;
	}
	ck_assert_uint_le(delivered, stored);
	ck_assert_uint_le(stored, delivered + uncertain);
}

START_TEST(a_lost_connection_loses_no_message)
{
	static struct model m;
	static struct world w;

	for (unsigned round = 1; round <= 6000; round++) {
		unsigned seed = round;

		start_round(&m, &w, round);
		w.fails = round % 7 == 0;
		for (int i = 0; i < 20; i++) {
			struct fake_txn *t = add_random(&w, &seed);

			if (w.fails && i % 5 == 4)
				t->fails_at = (uint64_t)rand_r(&seed) % (t->txn.content_bytes + 1);
		}
		run_model(&w, &m, &seed, (unsigned)rand_r(&seed) % 300);
		if (round % 2) { /* it answers in order, and leaves */
			while (m.reply_from < m.reply_to)
				say(&w, m.replies[m.reply_from++]);
			say(&w, 421);
		}
		pipeline_lost(&w.p, round % 6 == 0, "lost");
		pipeline_end(&w.p);
		for (size_t i = 0; i < w.count; i++) {
			ck_assert_uint_eq(w.txn[i]->done, i < w.given);
			check_told(w.txn[i], stored_of(&m, w.txn[i]->env.sender));
		}
		for (size_t i = 0; i < m.count; i++)
			buf_release(&m.got[i].content);
		buf_release(&m.in);
		buf_release(&m.content);
		world_release(&w);
	}
}
END_TEST

/* ---- nonsense ------------------------------------------------------------------------ */

START_TEST(nonsense_ends_each_transaction_once)
{
	static const int codes[] = { 250, 250, 250, 250, 354, 354, 354, 250,
				     550, 450, 503, 221, 299, 421, 599, 300 };
	static struct world w;
	unsigned seed = 3;
	size_t delivered = 0;

	for (int round = 0; round < 20000; round++) {
		world_init(&w, rand_r(&seed) % 4 != 0);
		for (int i = 0; i < 4; i++)
			add_random(&w, &seed);
		for (int step = 0; step < 100 && !w.p.over; step++) {
			pipeline_fill(&w.p);
			send_some(&w, rand_r(&seed) % 3 ? SIZE_MAX : (size_t)rand_r(&seed) % 100);
			if (rand_r(&seed) % 2)
				say(&w, codes[(size_t)rand_r(&seed) % (sizeof(codes) / sizeof(*codes))]);
		}
		pipeline_lost(&w.p, false, "the end");
		pipeline_end(&w.p);
		for (size_t i = 0; i < w.count; i++) {
			struct upstream_outcome *o = &w.txn[i]->outcome;

			ck_assert_uint_eq(w.txn[i]->done, i < w.given);
			if (i >= w.given)
				continue;
			/* a positive answer is only ever reported for the final dot */
			if (o->how == UPSTREAM_ANSWERED && o->reply.code < 400) {
				ck_assert_int_eq(o->phase, UPSTREAM_FINAL_DOT);
				ck_assert_int_eq(o->reply.code / 100, 2);
				delivered++;
			}
		}
		world_release(&w);
	}
	ck_assert_uint_gt(delivered, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pipeline_model");

	UNIT_CASE(s, the_model_server_gets_every_message, a_lost_connection_loses_no_message, nonsense_ends_each_transaction_once);
	return unit_run(s);
}
