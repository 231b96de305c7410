/* SPDX-License-Identifier: ISC */
/* See pipeline.h: what goes into the output, and when it may; pipeline.c has the replies and the end. */
#include "upstream/pipeline_internal.h"

#include <stdio.h>
#include <string.h>

#include "upstream/command.h"

bool pipeline_put_command(struct pipeline *p, const char *line, size_t len)
{
	if (PIPELINE_OUT_BYTES - p->out_len < len + 2)
		return false;
	memcpy(p->out + p->out_len, line, len);
	memcpy(p->out + p->out_len + len, "\r\n", 2);
	p->out_len += len + 2;
	p->put_bytes += len + 2;
	if (p->ops->command)
		p->ops->command(p->ctx, line, len);
	return true;
}

static void source_failed(struct smtp_reply *reply, const struct err *e)
{
	smtp_reply_set(reply, 0, "", "%s", e->text);
}

/* True when all of it, and the final dot where there is one, are in the output. */
static bool put_content(struct pipeline *p, struct flight *f)
{
	size_t room = PIPELINE_OUT_BYTES - p->out_len, n;
	struct smtp_reply reply;
	enum content_result r;
	struct err e;

	if (room < CONTENT_ROOM_MIN)
		return false;
	r = content_write(&f->content, f->txn, p->out + p->out_len, room, &n, &e);
	if (r == CONTENT_FAILED) {
		source_failed(&reply, &e);
		pipeline_end_with(p, UPSTREAM_SOURCE_FAILED, true, &reply);
		return false;
	}
	p->out_len += n;
	p->put_bytes += n;
	if (r == CONTENT_MORE)
		return false;
	if (p->ops->command && !f->bdat)
		p->ops->command(p->ctx, ".", 1);
	return true;
}

static size_t bdat_line(const struct flight *f, char line[COMMAND_MAX])
{
	return (size_t)snprintf(line, COMMAND_MAX, "BDAT %llu LAST",
				(unsigned long long)f->txn->content_bytes);
}

/*
 * Before its recipients are answered: all of it or nothing, as then a refusal
 * can never meet a content that is half sent, and our own disk's trouble is
 * that message's alone, and not that of those before it.
 */
static bool put_ahead(struct pipeline *p, struct flight *f)
{
	char line[COMMAND_MAX];
	size_t len = bdat_line(f, line), room = PIPELINE_OUT_BYTES - p->out_len, n;
	struct smtp_reply reply;
	struct err e;

	if (room < len + 2 + f->txn->content_bytes + CONTENT_ROOM_MIN)
		return false;
	if (content_write(&f->content, f->txn, p->out + p->out_len + len + 2, room - len - 2, &n, &e) !=
	    CONTENT_END) {
		source_failed(&reply, &e);
		f->total = f->sent;
		pipeline_finish(f, UPSTREAM_SOURCE_FAILED, UPSTREAM_CONTENT, &reply);
		return false;
	}
	pipeline_put_command(p, line, len);
	p->out_len += n;
	p->put_bytes += n;
	return true;
}

/* With BDAT: the command, then the content behind it. */
static bool put_chunk(struct pipeline *p, struct flight *f)
{
	char line[COMMAND_MAX];

	if (f->sent > f->answered)
		return put_ahead(p, f);
	if (!f->has_begun && !pipeline_put_command(p, line, bdat_line(f, line)))
		return false;
	f->has_begun = true;
	return put_content(p, f);
}

static bool put_last(struct pipeline *p, struct flight *f)
{
	flight_expect_content(f);
	if (f->bdat)
		f->is_whole = put_chunk(p, f);
	else
		f->is_whole = f->lone_dot ? pipeline_put_command(p, ".", 1) : put_content(p, f);
	if (f->is_whole)
		f->sent = f->total - 1; /* LMTP: all its answers are expected from now on */
	return f->is_whole;
}

/* How many commands may wait for their replies before this one. */
static size_t most_unanswered(const struct pipeline *p, const struct flight *f, enum flight_step step)
{
	if (!p->ahead)
		return 1;
	if (step != FLIGHT_CONTENT)
		return PIPELINE_UNANSWERED_MAX;
	/*
	 * Behind DATA the content waits for its 354; a large one for somebody who is to get it, and so does
	 * LMTP's, whose answers are as many as these.
	 */
	return f->bdat && !f->accepted && f->txn->content_bytes <= PIPELINE_AHEAD_MAX
		       ? PIPELINE_UNANSWERED_MAX
		       : 1;
}

/* Puts the flight's next command out; false when it has to wait. */
bool pipeline_put_next(struct pipeline *p, struct flight *f)
{
	char line[COMMAND_MAX];
	size_t rcpt;
	enum flight_step step = flight_step(f, f->sent, &rcpt);
	bool put = false;

	if (f->sent >= f->total || f->sent - f->answered >= most_unanswered(p, f, step))
		return false;
	switch (step) {
	case FLIGHT_RSET:
		put = pipeline_put_command(p, "RSET", 4);
		break;
	case FLIGHT_MAIL:
		put = pipeline_put_command(p, line, command_mail(line, p->features, f->txn));
		break;
	case FLIGHT_RCPT:
		put = pipeline_put_command(p, line, command_rcpt(line, p->features, f->txn, rcpt));
		break;
	case FLIGHT_DATA:
		put = pipeline_put_command(p, "DATA", 4);
		break;
	case FLIGHT_CONTENT:
		put = put_last(p, f);
		break;
	}
	if (put) {
		f->sent++;
		f->end_at = p->put_bytes;
	}
	return put;
}
