/* SPDX-License-Identifier: ISC */
/* cli/mbox and cli/carry, and spool/adopt: messages outside the spool, and in another one. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/carry.h"
#include "cli/mbox.h"
#include "spool/adopt.h"
#include "spool/checksum.h"
#include "spool/format.h"
#include "spool/state.h"
#include "spool/txn.h"
#include "unit.h"

#define CEILING (1u << 20)

/* ---- mbox --------------------------------------------------------------------------- */

static const struct {
	const char *content, *text;
} rows[] = {
	{ "", "\n" },
	{ "a\r\n", "a\n\n" },
	{ "a", "a\n\n" },
	{ "From x\r\n", ">From x\n\n" },
	{ ">From x\r\n>>From y\r\n", ">>From x\n>>>From y\n\n" },
	{ " From x\r\nFrom\r\nFromx\r\nFro\r\n>F\r\n>\r\n", " From x\nFrom\nFromx\nFro\n>F\n>\n\n" },
	{ "FFrom x\r\nFrFrom \r\n> From \r\n", "FFrom x\nFrFrom \n> From \n\n" },
	{ "\r\n\r\nFrom \r\n\r\n", "\n\n>From \n\n\n" },
	{ "a\rb\r\r\n", "a\rb\r\n\n" },
	{ "From ", ">From \n\n" },
	{ "a\r\n\r\n\rFrom b\r\n", "a\n\n\rFrom b\n\n" },
	{ ">>", ">>\n\n" },
	{ "Fro", "Fro\n\n" },
};
#define ROWS (sizeof(rows) / sizeof(*rows))

START_TEST(mbox_is_written_however_it_is_cut)
{
	for (size_t i = 0; i < ROWS; i++) {
		size_t len = strlen(rows[i].content);

		for (size_t step = 1; step <= len + 1; step++) {
			struct mbox_writer w;
			struct buf out, all;

			buf_init(&out, CEILING);
			buf_init(&all, CEILING);
			mbox_writer_init(&w);
			for (size_t at = 0; at < len; at += step) {
				ck_assert(mbox_write(&w, rows[i].content + at, len - at < step ? len - at : step, &out));
				buf_add(&all, out.data, out.len); /* what is out is gone */
				buf_clear(&out);
			}
			ck_assert(mbox_write_end(&w, &out));
			buf_add(&all, out.data, out.len);
			ck_assert_msg(strcmp(all.data, rows[i].text) == 0, "row %zu in steps of %zu: %s", i, step, all.data);
			buf_release(&out);
			buf_release(&all);
		}
	}
}
END_TEST

struct seen {
	size_t messages;
	struct buf text; /* messages behind each other, "|" before each */
};

static bool on_begin(void *ctx)
{
	struct seen *seen = ctx;

	seen->messages++;
	return buf_addc(&seen->text, '|');
}

static bool on_text(void *ctx, const char *data, size_t len)
{
	return buf_add(&((struct seen *)ctx)->text, data, len);
}

static void check_reading(const char *text, const char *expected, bool stray)
{
	size_t len = strlen(text);

	for (size_t step = 1; step <= len + 1; step++) {
		struct seen seen = { 0 };
		struct mbox_reader r;

		buf_init(&seen.text, CEILING);
		mbox_reader_init(&r, on_begin, on_text, &seen);
		for (size_t at = 0; at < len; at += step)
			ck_assert(mbox_read(&r, text + at, len - at < step ? len - at : step));
		ck_assert(mbox_read_end(&r));
		ck_assert_msg(strcmp(seen.text.data, expected) == 0, "%s in steps of %zu: %s", text, step, seen.text.data);
		ck_assert_int_eq(r.stray, stray);
		buf_release(&seen.text);
	}
}

START_TEST(mbox_is_read_however_it_is_cut)
{
	check_reading("", "", false);
	check_reading("\n\n", "", false);
	check_reading("text\n", "", true);
	check_reading("From x\n", "|", false);
	check_reading("From x", "|", false);
	check_reading("From x\na", "|a", false);
	check_reading("From x\na\n\nFrom y\nb\n\n", "|a\n|b\n", false);
	check_reading("From x\r\na\r\n\r\nFrom y\r\nb\r\n", "|a\r\n|b\r\n", false);
	check_reading("From x\na\nFrom here\n\n", "|a\nFrom here\n", false); /* nobody quoted it, and no empty line */
	check_reading("From x\n\n\n\nFrom y\n>From \n>>From \n> From\n>\n\n", "|\n\n|From \n>From \n> From\n>\n", false);
	check_reading("From x\na\n\nFro\n\nF", "|a\n\nFro\n\nF", false);
	check_reading("From x\n\r\r\n\n>", "|\r\r\n\n>", false);
	check_reading("\n\nFrom x\na\n\n\r\nFrom y\n", "|a\n\n|", false);
	check_reading("From x\n\n\rFrom y\n\r\r\n\r", "|\n\rFrom y\n\r\r\n", false);
}
END_TEST

START_TEST(what_mbox_writes_it_reads)
{
	struct seen seen = { 0 };
	struct buf box, expected;
	struct mbox_reader r;
	struct mbox_writer w;

	buf_init(&box, CEILING);
	buf_init(&expected, CEILING);
	buf_init(&seen.text, CEILING);
	for (size_t i = 0; i < ROWS; i++) {
		mbox_put_separator("a b\n@c", 0, &box);
		mbox_writer_init(&w);
		mbox_write(&w, rows[i].content, strlen(rows[i].content), &box);
		mbox_write_end(&w, &box);
		buf_addc(&expected, '|');
		for (const char *p = rows[i].content; *p; p++)
			if (*p != '\r' || p[1] != '\n')
				buf_addc(&expected, *p);
		if (expected.data[expected.len - 1] != '\n' && rows[i].content[0])
			buf_addc(&expected, '\n');
	}
	ck_assert_ptr_eq(strstr(box.data, "From a_b_@c Thu Jan  1 00:00:00 1970\n"), box.data);
	mbox_reader_init(&r, on_begin, on_text, &seen);
	ck_assert(mbox_read(&r, box.data, box.len) && mbox_read_end(&r));
	ck_assert_uint_eq(seen.messages, ROWS);
	ck_assert_str_eq(seen.text.data, expected.data);
	buf_release(&box);
	buf_release(&expected);
	buf_release(&seen.text);
}
END_TEST

/* ---- envelopes -------------------------------------------------------------------------- */

static void fill(struct envelope *env, struct spool_state *st)
{
	envelope_init(env);
	strcpy(env->id, "0m4x7f3q9zkab1cd");
	env->arrived_wall_us = 1795000000123456;
	envelope_set(&env->peer, "127.0.0.1:4711", 14);
	envelope_set(&env->helo, "a b\n\"c\"", 7);
	envelope_set(&env->sender, "\"odd one\"@example.org", 21);
	envelope_set(&env->envid, "QQ+2B1", 6);
	envelope_set(&env->auth_user, "joe user", 8);
	env->ret = RET_HDRS;
	env->body = BODY_8BITMIME;
	env->smtputf8 = true;
	env->requiretls = true;
	env->by = (struct deliver_by){ DELIVER_BY_RETURN, true, 1795000120000000 };
	envelope_add_rcpt(env, "done@example.org", 16);
	envelope_add_rcpt(env, "b\xc3\xa4@example.org", 15)->orcpt = strdup("rfc822;x+20y");
	env->rcpt[1].notify = ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY;
	envelope_add_rcpt(env, "c@example.org", 13)->notify = ENVELOPE_NOTIFY_NEVER;
	spool_state_init(st, 3);
	st->rcpt[0].status = RCPT_DELIVERED;
}

static void check_carried(const struct envelope *env, const struct envelope *back)
{
	ck_assert_str_eq(back->sender, env->sender);
	ck_assert_str_eq(back->peer, env->peer);
	ck_assert_str_eq(back->helo, env->helo);
	ck_assert_str_eq(back->envid, env->envid);
	ck_assert_str_eq(back->auth_user, env->auth_user);
	ck_assert_int_eq(back->ret, env->ret);
	ck_assert_int_eq(back->body, env->body);
	ck_assert_int_eq(back->smtputf8, env->smtputf8);
	ck_assert_int_eq(back->requiretls, env->requiretls);
	ck_assert_int_eq(back->by.mode, env->by.mode);
	ck_assert_int_eq(back->by.trace, env->by.trace);
	ck_assert_int_eq(back->by.wall_us, env->by.wall_us);
	ck_assert_uint_eq(back->rcpt_count, 2); /* who has it is not to get it again */
	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(back->rcpt[i].address, env->rcpt[i + 1].address);
		ck_assert_uint_eq(back->rcpt[i].notify, env->rcpt[i + 1].notify);
		ck_assert_int_eq(!back->rcpt[i].orcpt, !env->rcpt[i + 1].orcpt);
	}
	ck_assert_str_eq(back->rcpt[0].orcpt, "rfc822;x+20y");
}

START_TEST(an_envelope_goes_by_fields)
{
	struct envelope env, back;
	struct spool_state st;
	struct buf fields;
	size_t used, whole;
	struct err e;

	fill(&env, &st);
	buf_init(&fields, CEILING);
	ck_assert(carry_to_fields(&env, &st, &fields));
	whole = fields.len;
	ck_assert(buf_adds(&fields, "X-Posthouse-To: to=victim@example.org\r\n\r\n"));
	envelope_init(&back);
	ck_assert_int_eq(carry_from_fields(fields.data, fields.len, &back, &used, &e), CARRIED_ENVELOPE);
	ck_assert_uint_eq(used, whole);
	check_carried(&env, &back);
	envelope_release(&back);
	for (size_t i = 0; i < whole; i++) { /* cut off anywhere it is none, or a damaged one */
		enum carried c;

		envelope_init(&back);
		c = carry_from_fields(fields.data, i, &back, &used, &e);
		ck_assert(c == CARRIED_BAD || c == CARRIED_NONE);
		envelope_release(&back);
	}
	st.rcpt[1].status = st.rcpt[2].status = RCPT_EXPIRED;
	buf_clear(&fields);
	ck_assert(carry_to_fields(&env, &st, &fields));
	envelope_init(&back);
	ck_assert_int_eq(carry_from_fields(fields.data, fields.len, &back, &used, &e), CARRIED_NOBODY);
	envelope_release(&back);
	buf_release(&fields);
	spool_state_release(&st);
	envelope_release(&env);
}
END_TEST

START_TEST(an_envelope_goes_by_json)
{
	struct envelope env, back;
	struct spool_state st;
	struct err e;
	json_t *o;

	fill(&env, &st);
	ck_assert_int_eq(carry_to_json(&env, &st, &o, &e), 0);
	envelope_init(&back);
	ck_assert_int_eq(carry_from_json(o, &back, &e), CARRIED_ENVELOPE);
	check_carried(&env, &back);
	envelope_release(&back);
	json_decref(o);
	/* what JSON cannot say is not said otherwise */
	envelope_set(&env.rcpt[1].address, "\xff@example.org", 13);
	ck_assert_int_eq(carry_to_json(&env, &st, &o, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "not UTF-8"));
	spool_state_release(&st);
	envelope_release(&env);
}
END_TEST

/* ---- another spool ----------------------------------------------------------------------- */

static char top[64];
static struct spool a, b;

static void open_one(struct spool *s, const char *name)
{
	char path[80];
	struct err e;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	ck_assert_msg(spool_prepare(path, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0, "%s", e.text);
	ck_assert_msg(spool_open(s, path, SPOOL_MANAGE, SPOOL_SYNC_AUTO, &e) == 0, "%s", e.text);
}

static void setup(void)
{
	strcpy(top, "/tmp/posthouse-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	open_one(&a, "a");
	open_one(&b, "b");
}

static void teardown(void)
{
	char command[128];

	spool_close(&a);
	spool_close(&b);
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	ck_assert_int_eq(system(command), 0);
}

/* A message file under an id of our choice, as spool_txn would have written it. */
static void put(const struct spool *s, const char *id, const char *content)
{
	struct format_head head = { .content_bytes = strlen(content) };
	char line[FORMAT_HEAD_LEN + 1];
	struct spool_state st;
	struct envelope env;
	struct checksum *sum = checksum_new();
	struct buf text;
	int fd = openat(s->queue_fd, id, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	fill(&env, &st);
	strcpy(env.id, id);
	buf_init(&text, CEILING);
	ck_assert(format_envelope(&env, &text));
	head.envelope_bytes = text.len;
	buf_adds(&text, content);
	checksum_add(sum, text.data, text.len);
	format_head(&head, line);
	checksum_add(sum, line, FORMAT_HEAD_HASHED);
	head.checksum = checksum_value(sum);
	format_head(&head, line);
	ck_assert_int_eq(write(fd, line, FORMAT_HEAD_LEN), FORMAT_HEAD_LEN);
	ck_assert_int_eq(write(fd, text.data, text.len), (ssize_t)text.len);
	close(fd);
	checksum_free(sum);
	buf_release(&text);
	spool_state_release(&st);
	envelope_release(&env);
}

static void put_state(const struct spool *s, const char *id, unsigned tries)
{
	struct spool_state st;
	struct err e;

	spool_state_init(&st, 3);
	st.tries = tries;
	st.rcpt[0].status = RCPT_DELIVERED;
	ck_assert_int_eq(spool_state_save(&st, s, id, &e), 0);
	spool_state_release(&st);
}

START_TEST(an_id_that_is_taken)
{
	static const char id[] = "0m4x7f3q9zkab1cd";
	struct spool_message m;
	struct spool_state st;
	struct spool_id as;
	struct err e;

	put(&a, id, "ours\r\n");
	put_state(&a, id, 3);
	put(&b, id, "theirs\r\n");
	ck_assert_int_eq(spool_adopt(&b, &a, id, false, &as, &e), ADOPT_TAKEN);
	ck_assert_ptr_nonnull(strstr(e.text, "another message has the id"));
	ck_assert_int_eq(spool_adopt(&b, &a, id, true, &as, &e), ADOPT_DONE);
	ck_assert_str_ne(as.text, id);
	ck_assert_int_eq(spool_message_open(&m, &b, as.text, true, &e), SPOOL_READ_OK);
	ck_assert_uint_eq(m.content_bytes, 6);
	ck_assert_str_eq(m.env.sender, "\"odd one\"@example.org");
	spool_message_close(&m);
	spool_state_init(&st, 3);
	ck_assert_int_eq(spool_state_load(&st, &b, as.text, &e), SPOOL_READ_OK);
	ck_assert(st.tries == 3 && st.rcpt[0].status == RCPT_DELIVERED);
	spool_state_release(&st);
	/* theirs is as it was */
	ck_assert_int_eq(faccessat(b.state_fd, id, F_OK, 0), -1);
}
END_TEST

START_TEST(the_same_message_again)
{
	static const char id[] = "0m4x7f3q9zkab1cd";
	struct spool_id as;
	struct err e;

	put(&a, id, "ours\r\n");
	/* an orphan there must not become its state */
	put_state(&b, id, 7);
	ck_assert_int_eq(spool_adopt(&b, &a, id, false, &as, &e), ADOPT_DONE);
	ck_assert_str_eq(as.text, id);
	ck_assert_int_eq(faccessat(b.state_fd, id, F_OK, 0), -1);
	ck_assert_int_eq(spool_adopt(&b, &a, id, true, &as, &e), ADOPT_SAME);
	put_state(&b, id, 7);
	ck_assert_int_eq(spool_adopt(&b, &a, id, true, &as, &e), ADOPT_TAKEN);
	ck_assert_ptr_nonnull(strstr(e.text, "other things happened"));
	ck_assert_int_eq(spool_adopt(&b, &a, "0m4x7f3q9zkab1ce", true, &as, &e), ADOPT_GONE);
	put_state(&a, id, 3);
	ck_assert_int_eq(unlinkat(b.queue_fd, id, 0), 0);
	ck_assert_int_eq(pwrite(openat(a.state_fd, id, O_RDWR), "x", 1, 30), 1);
	ck_assert_int_eq(spool_adopt(&b, &a, id, true, &as, &e), ADOPT_CORRUPT);
	ck_assert_int_eq(faccessat(b.queue_fd, id, F_OK, 0), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("carry");
	TCase *c = tcase_create("all");
	const TTest *const tests[] = {
		mbox_is_written_however_it_is_cut, mbox_is_read_however_it_is_cut, what_mbox_writes_it_reads,
		an_envelope_goes_by_fields, an_envelope_goes_by_json, an_id_that_is_taken, the_same_message_again,
	};

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}
