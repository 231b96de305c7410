/* SPDX-License-Identifier: ISC */
/*
 * DATA (RFC 5321 4.1.1.4): streams the content into the handler. Whatever is
 * wrong with it, it is read to its end first, so that no octet of a message
 * is ever taken for a command; only then the refusal goes out.
 */
#include "session/session_internal.h"

/* Reads up to the end of data; false when the session ended before. */
static bool receive(struct session *s)
{
	for (;;) {
		const char *start = s->in.data + s->in.start, *at = start;
		bool is_over = intake_take(s, &at, s->in.data + s->in.end);

		intake_tell(s, (size_t)(at - start));
		/* a block that filled the buffer: more is waiting, take it in larger ones */
		if (s->in.end == s->in.cap)
			input_widen(&s->in);
		input_took(&s->in, (size_t)(at - start));
		if (is_over)
			return true;
		if (!session_fill(s, session_deadline_in(s->cfg->data_timeout_ms)))
			return false;
	}
}

void verb_data(struct session *s, const char *arg, size_t len)
{
	struct smtp_reply refusal;

	(void)arg;
	(void)len;
	if (!session_wants_content(s, &refusal)) {
		session_send(s, &refusal);
		return;
	}
	if (s->env.body == BODY_BINARYMIME) { /* RFC 3030 3 */
		session_reply(s, 503, "5.5.1", "Error: BODY=BINARYMIME needs BDAT");
		return;
	}
	if (!intake_begin(s, INTAKE_DOTTED, &refusal)) {
		session_send(s, &refusal);
		session_end_transaction(s, false);
		return;
	}
	session_reply(s, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	/* the command line goes with the input buffer; from now on "." stands for the end of data */
	s->line = ".";
	s->line_len = 1;
	if (receive(s))
		intake_finish(s);
	else
		session_end_transaction(s, s->intake.aborted);
}
