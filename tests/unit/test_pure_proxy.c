/* SPDX-License-Identifier: ISC */
/* What is pure in the handler "proxy": which words the client hears, and where the header ends. */
#include <string.h>

#include "handler/blank_line.h"
#include "handler/proxy_words.h"
#include "unit.h"

static struct upstream_outcome answer(enum upstream_phase phase, int code, const char *enhanced,
				      const char *text)
{
	struct upstream_outcome o = { .how = UPSTREAM_ANSWERED, .phase = phase };

	smtp_reply_set(&o.reply, code, enhanced, "%s", text);
	return o;
}

START_TEST(refusals)
{
	const struct {
		enum upstream_phase phase;
		int code;
		const char *enhanced;
		int code_said;
		const char *enhanced_said;
	} rows[] = {
		{ UPSTREAM_MAIL, 550, "5.7.1", 550, "5.7.1" },
		{ UPSTREAM_RCPT, 550, "", 550, "5.0.0" },
		{ UPSTREAM_RCPT, 450, "4.2.1", 450, "4.2.1" },
		{ UPSTREAM_RCPT, 452, "", 452, "4.0.0" },
		{ UPSTREAM_FINAL_DOT, 554, "5.6.0", 554, "5.6.0" },
		{ UPSTREAM_CONTENT, 552, "5.3.4", 552, "5.3.4" },
		/* not for the client */
		{ UPSTREAM_MAIL, 421, "4.3.2", 451, "4.3.2" },
		{ UPSTREAM_MAIL, 421, "", 451, "4.3.0" },
		{ UPSTREAM_MAIL, 530, "5.7.0", 451, "4.3.0" },
		{ UPSTREAM_RCPT, 535, "5.7.8", 451, "4.3.0" },
		{ UPSTREAM_RCPT, 538, "", 451, "4.3.0" },
		{ UPSTREAM_FINAL_DOT, 421, "4.4.2", 451, "4.4.2" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct upstream_outcome o =
			answer(rows[i].phase, rows[i].code, rows[i].enhanced, "its own\nwords");
		struct smtp_reply reply = { .code = 0 };

		ck_assert_int_eq(proxy_refuse(&o, &reply), HANDLER_REFUSE);
		ck_assert_int_eq(reply.code, rows[i].code_said);
		ck_assert_str_eq(reply.enhanced, rows[i].enhanced_said);
		ck_assert_str_eq(reply.text, "its own\nwords");
	}
}
END_TEST

/* Whatever an upstream says or does, a refusal is 4yz or 5yz, never 421, and an acceptance 2yz: the session insists. */
START_TEST(each_outcome_has_words)
{
	for (int how = UPSTREAM_ANSWERED; how <= UPSTREAM_NOT_STARTED; how++) {
		for (int phase = UPSTREAM_RESOLVE; phase <= UPSTREAM_IDLE; phase++) {
			for (int code = how == UPSTREAM_ANSWERED ? 200 : 0; code < 600; code++) {
				struct upstream_outcome o = answer((enum upstream_phase)phase, code, "", "x");
				struct smtp_reply reply = { .code = 0 };

				o.how = (enum upstream_how)how;
				if (proxy_is_accepted(&o, 2)) {
					ck_assert_int_eq(proxy_accept(&o, &reply), HANDLER_ACCEPT);
					ck_assert_int_eq(reply.code, code);
					ck_assert_str_eq(reply.enhanced, "2.0.0");
				} else {
					ck_assert_int_eq(proxy_refuse(&o, &reply), HANDLER_REFUSE);
					ck_assert(reply.code >= 400 && reply.code < 600 && reply.code != 421);
					ck_assert_int_eq(reply.enhanced[0], '0' + reply.code / 100);
					ck_assert(how == UPSTREAM_ANSWERED || reply.code == 451);
				}
			}
		}
	}
}
END_TEST

START_TEST(the_empty_line)
{
	const struct {
		const char *text;
		size_t at; /* of its CR; the length: there is none */
	} rows[] = { { "", 0 },
		     { "\r\n", 0 },
		     { "a: b\r\n", 6 },
		     { "a: b\r\n\r\nx", 6 },
		     { "a: b\r\n c\r\n\r\n\r\n", 10 },
		     { "a", 1 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].text);

		for (size_t cut = 0; cut <= len; cut++) {
			struct blank_line b = { .inside = false };
			size_t at = blank_line_find(&b, rows[i].text, cut);

			if (at == cut)
				at = cut + blank_line_find(&b, rows[i].text + cut, len - cut);
			ck_assert_uint_eq(at, rows[i].at);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pure_proxy");

	UNIT_CASE(suite, refusals, each_outcome_has_words, the_empty_line);
	return unit_run(suite);
}
