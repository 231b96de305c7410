/* SPDX-License-Identifier: ISC */
/* See dialogue.h. */
#include "doctor/dialogue.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "submit/transmit.h"

struct run {
	const struct dialogue_plan *plan;
	struct dialogue *d;
	int64_t began_mono_ms;
};

static void on_trace(void *ctx, bool from_upstream, const char *text, size_t len)
{
	struct run *r = ctx;
	struct dialogue *d = r->d;

	if (r->plan->trace)
		r->plan->trace(r->plan->ctx, from_upstream, text, len);
	if (d->line_count == DIALOGUE_LINES_MAX)
		return;
	d->line = mem_resize(d->line, d->line_count + 1, sizeof(*d->line));
	d->line[d->line_count++] = (struct dialogue_line){ from_upstream, mem_strndup(text, len) };
}

static void on_session(void *ctx, const struct upstream_conn *c, bool ready)
{
	struct run *r = ctx;

	if (r->d->ready) /* the second time, and all is known */
		return;
	r->d->ready = ready;
	r->d->ready_ms = clock_mono_ms() - r->began_mono_ms;
	r->d->features = *upstream_conn_features(c);
	r->d->has_tls = upstream_conn_tls(c, &r->d->tls);
	snprintf(r->d->remote, sizeof(r->d->remote), "%s", upstream_conn_remote(c));
}

static void on_recipient(void *ctx, size_t i, const struct smtp_reply *reply)
{
	(void)ctx;
	(void)i;
	(void)reply; /* with one recipient it is the outcome's too */
}

static void on_done(void *ctx, const size_t *rcpt, size_t count, const struct upstream_outcome *outcome,
		    const char *remote)
{
	struct run *r = ctx;

	(void)rcpt;
	(void)count;
	(void)remote;
	r->d->sent = outcome->how != UPSTREAM_NOT_STARTED;
	r->d->outcome = *outcome;
}

static void on_closed(void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct run *r = ctx;

	(void)ever_ready;
	r->d->why = *why;
}

void dialogue_run(const struct dialogue_plan *plan, struct dialogue *out)
{
	static const struct transmit_ops ops = { .recipient = on_recipient,
						 .done = on_done,
						 .closed = on_closed,
						 .trace = on_trace,
						 .session = on_session };
	static const size_t first[] = { 0 };
	struct run r = { plan, out, clock_mono_ms() };
	struct transmit t = { .message = plan->message,
			      .settings = plan->settings,
			      .rcpt = first,
			      .rcpt_count = plan->message ? 1 : 0,
			      .ops = &ops,
			      .ctx = &r };
	struct err e;

	*out = (struct dialogue){ .why = { .how = UPSTREAM_NO_ANSWER, .phase = UPSTREAM_RESOLVE } };
	if (transmit_run(&t, &e) < 0)
		smtp_reply_set(&out->why.reply, 0, "", "%s", e.text);
}

void dialogue_release(struct dialogue *d)
{
	for (size_t i = 0; i < d->line_count; i++)
		free(d->line[i].text);
	free(d->line);
	*d = (struct dialogue){ 0 };
}

/* ---- looking at it ------------------------------------------------------------------- */

const char *dialogue_greeting(const struct dialogue *d)
{
	return d->line_count > 0 && d->line[0].from_upstream ? d->line[0].text : NULL;
}

static bool begins(const char *text, const char *beginning)
{
	return strncasecmp(text, beginning, strlen(beginning)) == 0;
}

static bool is_hello(const char *line)
{
	return begins(line, "EHLO ") || begins(line, "LHLO ");
}

bool dialogue_said_hello(const struct dialogue *d)
{
	for (size_t i = 0; i < d->line_count; i++)
		if (!d->line[i].from_upstream && is_hello(d->line[i].text))
			return true;
	return false;
}

bool dialogue_said(const struct dialogue *d, const char *beginning, const char **line)
{
	for (size_t i = 0; i < d->line_count; i++) {
		if (d->line[i].from_upstream || !begins(d->line[i].text, beginning))
			continue;
		if (line)
			*line = d->line[i].text;
		return true;
	}
	return false;
}

const char *dialogue_keyword(const struct dialogue *d, bool first, size_t i)
{
	size_t ehlo = DIALOGUE_LINES_MAX, at;

	for (size_t k = 0; k < d->line_count && !(first && ehlo < DIALOGUE_LINES_MAX); k++)
		if (!d->line[k].from_upstream && is_hello(d->line[k].text))
			ehlo = k;
	if (ehlo == DIALOGUE_LINES_MAX)
		return NULL;
	at = ehlo + 2 + i; /* behind EHLO and the line with the server's name */
	for (size_t k = ehlo + 1; k <= at; k++)
		if (k >= d->line_count || !d->line[k].from_upstream || !begins(d->line[k].text, "250") ||
		    (k < at && d->line[k].text[3] != '-'))
			return NULL;
	return strlen(d->line[at].text) > 4 ? d->line[at].text + 4 : NULL;
}

const char *dialogue_announced(const struct dialogue *d, bool first, const char *keyword)
{
	const char *line;

	for (size_t i = 0; (line = dialogue_keyword(d, first, i)); i++) {
		size_t len = strcspn(line, " =");

		if (len == strlen(keyword) && strncasecmp(line, keyword, len) == 0)
			return line[len] ? line + len + 1 : "";
	}
	return NULL;
}
