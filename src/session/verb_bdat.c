/* SPDX-License-Identifier: ISC */
/*
 * BDAT (RFC 3030 2): so many octets of the content, in as many commands as the
 * client likes.
 *
 *   bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ] CRLF ; chunk-size = 1*DIGIT
 *
 * The octets follow at once, so they are read before anything is answered,
 * also where the command is refused: none of them is ever taken for a command.
 * Where it cannot be known how many there are the session ends.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "session/session_internal.h"

struct chunk {
	uint64_t octets;
	bool is_last;
};

static bool parse(const char *arg, size_t len, struct chunk *out)
{
	const char *end = arg + len, *p = arg;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	if (!num_parse_u64(arg, (size_t)(p - arg), UINT64_MAX, &out->octets))
		return false;
	out->is_last = p < end;
	if (p == end)
		return true;
	while (p < end && *p == ' ')
		p++;
	return p > arg && p[-1] == ' ' && end - p == 4 && strncasecmp(p, "LAST", 4) == 0;
}

void bdat_lost(struct session *s)
{
	if (!s->over)
		session_hang_up(s, SESSION_REFUSED, "4.7.0",
				"Error: it is not known where the next command begins");
}

static bool parse_or_end(struct session *s, const char *arg, size_t len, struct chunk *out)
{
	if (parse(arg, len, out))
		return true;
	session_reply_syntax(s, command_find("BDAT", 4), NULL);
	bdat_lost(s);
	return false;
}

/* Reads the octets of a chunk, into the content or away; false when the session ended before. */
static bool receive(struct session *s, uint64_t left, bool keep)
{
	for (;;) {
		size_t there = s->in.end - s->in.start;
		const char *at = s->in.data + s->in.start;

		if (there > left)
			there = (size_t)left;
		if (keep && there > 0) {
			intake_take(s, &at, at + there);
			intake_tell(s, there);
		}
		left -= there;
		/* a block that filled the buffer: more is waiting, take it in larger ones */
		if (s->in.end == s->in.cap)
			input_widen(&s->in);
		input_took(&s->in, there);
		if (left == 0)
			return true;
		if (!session_fill(s, session_deadline_in(s->cfg->data_timeout_ms)))
			return false;
	}
}

/* The line goes with the input buffer; this one is for the log. */
static void keep_line(struct session *s)
{
	if (s->line_len >= sizeof(s->shown))
		s->line_len = sizeof(s->shown) - 1;
	memcpy(s->shown, s->line, s->line_len);
	s->line = s->shown;
}

/*
 * A client that pipelines learns late that one was refused (RFC 3030 2), so the next ones are answered
 * without being counted: what is in them was counted already.
 */
static void drop(struct session *s, uint64_t octets, const struct smtp_reply *refusal)
{
	struct smtp_reply again;

	keep_line(s);
	if (!receive(s, octets, false))
		return;
	if (!s->chunks_refused) {
		session_send(s, refusal);
	} else {
		smtp_reply_set(&again, 503, "5.5.1", "Error: a BDAT before this one was refused");
		session_queue(s, &again);
	}
	s->chunks_refused = true;
}

void bdat_refuse(struct session *s, const char *arg, size_t len, const struct smtp_reply *refusal)
{
	struct chunk chunk;

	if (parse_or_end(s, arg, len, &chunk))
		drop(s, chunk.octets, refusal);
}

void bdat_veto(struct session *s, const char *arg, size_t len, const struct smtp_reply *refusal)
{
	if (refusal->code == 421) /* nothing behind it is read */
		session_send(s, refusal);
	else
		bdat_refuse(s, arg, len, refusal);
	session_end_transaction(s, false);
}

/* The first one of a message. False: it was refused. */
static bool begin(struct session *s, uint64_t octets)
{
	struct smtp_reply refusal;

	if (!session_wants_content(s, &refusal)) {
		drop(s, octets, &refusal);
		return false;
	}
	if (!intake_begin(s, s->env.body == BODY_BINARYMIME ? INTAKE_BINARY : INTAKE_LINES, &refusal)) {
		drop(s, octets, &refusal);
		session_end_transaction(s, false);
		return false;
	}
	s->state = COMMAND_BDAT;
	return true;
}

void verb_bdat(struct session *s, const char *arg, size_t len)
{
	struct chunk chunk;

	if (!parse_or_end(s, arg, len, &chunk))
		return;
	/* whatever the state: the rest of a content is no content, and hooks were not asked about it */
	if (s->chunks_refused) {
		drop(s, chunk.octets, NULL);
		return;
	}
	if (s->state != COMMAND_BDAT && !begin(s, chunk.octets))
		return;
	keep_line(s);
	if (!receive(s, chunk.octets, true)) {
		session_end_transaction(s, s->intake.aborted);
		return;
	}
	if (chunk.is_last || s->intake.aborted) {
		intake_finish(s);
		s->chunks_refused = s->intake.aborted && !chunk.is_last;
	} else {
		session_reply(s, 250, "2.0.0", "%" PRIu64 " octets received", chunk.octets);
	}
}
