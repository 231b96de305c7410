/* SPDX-License-Identifier: ISC */
/*
 * posthouse summary: how many messages wait, by domain, sender, upstream or
 * reason, and since when (as qshape and exiqsumm). One message is in memory at
 * a time; the counts are in tally.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/access.h"
#include "cli/listing.h"
#include "cli/reason.h"
#include "cli/routing.h"
#include "cli/select.h"
#include "cli/summary_print.h"
#include "cli/tally.h"
#include "cli/verbs.h"

enum { OPT_BY = ARGS_LONG_ONLY, OPT_TOP, OPT_BUCKETS, OPT_JSON };

const struct args_option summary_options[] = {
	{ "by", OPT_BY, "KEY", "domain, sender, sender-domain, upstream or reason" },
	{ "top", OPT_TOP, "N", "only the first N rows, 0 for all (20)" },
	{ "buckets", OPT_BUCKETS, "AGES", "limits of the columns, 5m,10m,20m ... 1280m" },
	{ "json", OPT_JSON, NULL, "JSON lines, one a row" },
	ARGS_OPTIONS_END,
};

#define TOP_DEFAULT 20
#define KEY_MAX 512

struct summary {
	struct cli *cli;
	enum summary_by by;
	struct summary_look look;
	struct tally tally;
	struct routing routing;
};

static const char *domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at && at[1] ? at + 1 : "(no domain)";
}

static void add_lower(const char *text, struct buf *out)
{
	for (; *text; text++)
		buf_addc(out, (char)(*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text));
}

static void reason_of(const struct listing *l, const struct rcpt_state *st, struct buf *out)
{
	if (l->state.held) {
		buf_adds(out, "held: ");
		reason_normalise(l->state.hold_reason ? l->state.hold_reason : "no reason given", out);
	} else if (st->reply) {
		reason_normalise(st->reply, out);
	} else {
		buf_adds(out, st->status == RCPT_PENDING ? "(not tried yet)" : "(no reply)");
	}
}

static void key_of(const struct summary *s, const struct listing *l, size_t rcpt, struct buf *out)
{
	const struct envelope *env = &l->msg.env;
	const struct rcpt_state *st = &l->state.rcpt[rcpt];
	struct routing_way way;
	const char *upstream;

	switch (s->by) {
	case SUMMARY_DOMAIN:
		add_lower(domain_of(env->rcpt[rcpt].address), out);
		return;
	case SUMMARY_SENDER:
		buf_adds(out, env->sender[0] ? env->sender : "<>");
		return;
	case SUMMARY_SENDER_DOMAIN:
		add_lower(env->sender[0] ? domain_of(env->sender) : "<>", out);
		return;
	case SUMMARY_UPSTREAM:
		upstream = routing_find(&s->routing, env, rcpt, l->state.route, &way);
		if (way.is_undecided) {
			buf_adds(out, "(Mailman's, or not)");
			return;
		}
		if (!upstream)
			upstream = l->state.route ? l->state.route : st->upstream;
		buf_adds(out, upstream ? upstream : "(not known)");
		return;
	case SUMMARY_REASON:
		reason_of(l, st, out);
		return;
	}
}

static bool count(void *ctx, struct listing *l, void *prepared)
{
	struct summary *s = ctx;
	struct tally_message m = { .bytes = l->msg.content_bytes };
	struct buf key;

	(void)prepared;
	if (l->condition == CONDITION_DELIVERED)
		return true; /* it is about to leave, nobody waits for it */
	m.arrived_wall_us = listing_is_readable(l) ? l->msg.env.arrived_wall_us : spool_id_wall_us(l->id.text);
	tally_begin(&s->tally, &m);
	if (!listing_is_readable(l)) {
		tally_add(&s->tally, &m, l->condition == CONDITION_CORRUPT ? "(corrupt)" : "(unreadable)", 0);
		return true;
	}
	buf_init(&key, KEY_MAX);
	for (size_t i = 0; i < l->state.rcpt_count; i++) {
		if (l->state.rcpt[i].status == RCPT_DELIVERED || l->state.rcpt[i].reported)
			continue; /* nothing will happen for them any more */
		buf_clear(&key);
		key_of(s, l, i, &key);
		tally_add(&s->tally, &m, key.data, 1);
	}
	buf_release(&key);
	return true;
}

static int take_option(struct summary *s, int key)
{
	const char *value = s->cli->args.value;
	uint64_t n;

	switch (key) {
	case OPT_BY:
		if (summary_by_find(value, &s->by) == 0)
			return 0;
		s->cli->ended = cli_usage_error(s->cli,
						"--by: %s: not domain, sender, sender-domain, upstream or reason",
						value);
		return -1;
	case OPT_TOP:
		if (num_parse_u64(value, strlen(value), UINT32_MAX, &n)) {
			s->look.top = n;
			s->look.top_given = true;
			return 0;
		}
		s->cli->ended = cli_usage_error(s->cli, "--top: %s: not a number", value);
		return -1;
	case OPT_BUCKETS:
		if (tally_limits(&s->tally, value))
			return 0;
		s->cli->ended = cli_usage_error(s->cli, "--buckets: %s: not up to %d growing times, like 1h,1d,1w",
						value, TALLY_BUCKETS_MAX - 1);
		return -1;
	default:
		s->look.json = true;
		return 0;
	}
}

enum cli_status verb_summary(struct cli *cli)
{
	struct summary s = { .cli = cli, .look = { .top = TOP_DEFAULT } };
	struct select_work work = { .each = count, .ctx = &s };
	enum cli_status status = CLI_UNREACHABLE;
	struct spool spool;
	int key;

	tally_init(&s.tally, clock_wall_us());
	while ((key = cli_option(cli)) != ARGS_END)
		if (key == ARGS_BAD || take_option(&s, key) < 0)
			return cli->ended;
	if (select_finish(cli, SELECT_ALL) < 0)
		return cli->ended;
	if (access_open(cli, &spool) < 0)
		return CLI_UNREACHABLE;
	if (routing_load(&s.routing, cli) == 0) {
		status = select_run(cli, &spool, &work);
		if (status == CLI_DONE || s.tally.total.messages > 0)
			summary_print(&s.tally, s.by, &s.look, &cli->out, stdout);
		routing_release(&s.routing);
	}
	tally_release(&s.tally);
	access_close(cli, &spool);
	return cli_finish_output(status);
}
