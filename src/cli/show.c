/* SPDX-License-Identifier: ISC */
/*
 * posthouse show: one message, as a person reads it (envelope, what happened
 * to each recipient, header) or octet for octet. Reads the spool beside a
 * running relay, without a lock.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/access.h"
#include "cli/content.h"
#include "cli/listing.h"
#include "cli/json.h"
#include "cli/one.h"
#include "cli/routing.h"
#include "cli/show_corrupt.h"
#include "cli/show_log.h"
#include "cli/style.h"
#include "cli/verbs.h"
#include "smtp/date.h"
#include "smtp/header.h"

enum view { VIEW_DEFAULT, VIEW_ENVELOPE, VIEW_HEADERS, VIEW_BODY, VIEW_RAW, VIEW_LOG, VIEW_JSON };

#define OPT(view) (ARGS_LONG_ONLY + (int)(view))

const struct args_option show_options[] = {
	{ "envelope", OPT(VIEW_ENVELOPE), NULL, "only the envelope and each recipient's state" },
	{ "headers", OPT(VIEW_HEADERS), NULL, "only the header, as it is" },
	{ "body", OPT(VIEW_BODY), NULL, "only the body, as it is" },
	{ "raw", OPT(VIEW_RAW), NULL, "the whole content, as it is" },
	{ "log", OPT(VIEW_LOG), NULL, "what happened to it so far" },
	{ "json", OPT(VIEW_JSON), NULL, "envelope, state and header as a JSON object" },
	ARGS_OPTIONS_END,
};

#define LABEL_WIDTH 12
#define LINE_CEILING 65536

struct show {
	struct cli *cli;
	struct spool spool;
	enum view view;
	bool json;
	struct routing routing;
	struct spool_id id;
	int64_t now_wall_us;
};

static enum cli_status not_found(const struct show *sh, const char *typed)
{
	cli_error("%s: no queued message has this id: it was delivered, or never here%s", typed,
		  sh->cli->view ? " (or put aside in corrupt/, where only root looks)" : "");
	return CLI_NOTHING;
}

/* ---- for people -------------------------------------------------------------- */

/* "Label       text", text escaped. */
static void put_field(const struct show *sh, const char *label, const char *text)
{
	struct buf line;

	buf_init(&line, LINE_CEILING);
	term_escapes(&sh->cli->out, text, &line);
	printf("%-*s%s\n", LABEL_WIDTH, label, line.data);
	buf_release(&line);
}

/* The same with text that is escaped already. */
static void put_raw_field(const char *label, const char *text)
{
	printf("%-*s%s\n", LABEL_WIDTH, label, text);
}

static void put_arrival(const struct show *sh, const struct envelope *env)
{
	char date[SMTP_DATE_MAX], age[16], text[128];

	snprintf(text, sizeof(text), "%s (%s ago)", smtp_date_format(env->arrived_wall_us, date),
		 term_age(env->arrived_wall_us, sh->now_wall_us, age, sizeof(age)));
	put_field(sh, "Arrived", text);
}

static void put_origin(const struct show *sh, const struct envelope *env)
{
	struct buf text;

	buf_init(&text, LINE_CEILING);
	buf_adds(&text, env->peer[0] ? env->peer : "unknown");
	if (env->protocol[0])
		buf_addf(&text, ", %s", env->protocol);
	if (env->helo[0])
		buf_addf(&text, ", helo %s", env->helo);
	if (env->listener[0])
		buf_addf(&text, ", listener %s", env->listener);
	put_field(sh, "Peer", text.data);
	buf_release(&text);
}

static void put_size(const struct show *sh, const struct spool_message *m)
{
	char text[128], size[16];

	snprintf(text, sizeof(text), "%s (%llu octets of content%s%s%s%s)",
		 num_format_size(m->content_bytes, size, sizeof(size)), (unsigned long long)m->content_bytes,
		 m->has_eightbit ? ", 8-bit" : "", m->env.body == BODY_8BITMIME ? ", BODY=8BITMIME" : "",
		 m->env.smtputf8 ? ", SMTPUTF8" : "", m->env.requiretls ? ", REQUIRETLS" : "");
	put_field(sh, "Size", text);
}

/* What BY= of MAIL asked for */
static void put_deadline(const struct show *sh, const struct deliver_by *by)
{
	char until[32], stamp[CLOCK_UTC_MAX], text[192];

	if (by->mode == DELIVER_BY_NONE)
		return;
	snprintf(text, sizeof(text), "%s (%s), %s%s", clock_format_utc(by->wall_us, stamp),
		 by->wall_us > sh->now_wall_us
			 ? term_until(by->wall_us, sh->now_wall_us, until, sizeof(until))
			 : "it is over",
		 by->mode == DELIVER_BY_RETURN ? "or returned" : "or the sender is told",
		 by->trace ? ", each relay is told of" : "");
	put_field(sh, "Deliver by", text);
}

static void put_state(const struct show *sh, const struct listing *l)
{
	const struct spool_state *st = &l->state;
	char next[32], ago[16];
	struct buf text, painted;

	buf_init(&text, LINE_CEILING);
	if (st->hold_reason)
		buf_addf(&text, " (%s)", st->hold_reason);
	if (st->tries > 0)
		buf_addf(&text, ", %u %s", st->tries, st->tries == 1 ? "try" : "tries");
	if (st->last_attempt_wall_us > 0)
		buf_addf(&text, ", last one %s ago",
			 term_age(st->last_attempt_wall_us, sh->now_wall_us, ago, sizeof(ago)));
	if (l->left > 0 && !st->held)
		buf_addf(&text, ", next one %s",
			 term_until(st->next_attempt_wall_us, sh->now_wall_us, next, sizeof(next)));
	if (st->uncertain)
		buf_adds(&text, ", the answer to the last one was lost: some may get it twice");
	buf_init(&painted, LINE_CEILING);
	term_paint(&sh->cli->out, style_of_condition(l->condition), condition_name(l->condition), &painted);
	term_escapes(&sh->cli->out, text.data, &painted);
	put_raw_field("State", painted.data);
	buf_release(&painted);
	buf_release(&text);
}

/* "main (route 2)": where it goes by the configuration of now, or by an operator's choice */
static void put_route(const struct show *sh, const struct listing *l, size_t rcpt, struct buf *text)
{
	struct routing_way way;
	const char *upstream = routing_find(&sh->routing, &l->msg.env, rcpt, l->state.route, &way);

	if (way.is_undecided)
		buf_adds(text, ", waits until it is known whether it is one of Mailman's lists");
	if (!upstream)
		return;
	buf_addf(text, ", goes to %s", upstream);
	if (way.is_chosen)
		buf_adds(text, " (chosen by an operator)");
	else if (way.is_list)
		buf_adds(text, " (one of Mailman's lists)");
	else if (way.rule > 0)
		buf_addf(text, " (route %zu)", way.rule);
}

static void put_recipient(const struct show *sh, const struct listing *l, size_t index)
{
	const struct envelope_rcpt *rcpt = &l->msg.env.rcpt[index];
	const struct rcpt_state *st = &l->state.rcpt[index];
	char ago[16], next[32];
	struct buf text, painted;

	buf_init(&text, LINE_CEILING);
	buf_adds(&text, rcpt->address);
	put_field(sh, "  To", text.data);
	buf_clear(&text);
	if (st->when_wall_us > 0)
		buf_addf(&text, "%s %s ago", st->status == RCPT_PENDING ? ", tried" : "",
			 term_age(st->when_wall_us, sh->now_wall_us, ago, sizeof(ago)));
	if (st->upstream)
		buf_addf(&text, ", upstream %s", st->upstream);
	if (st->remote)
		buf_addf(&text, " (%s)", st->remote);
	if (st->status == RCPT_PENDING) {
		if (st->tries > 0)
			buf_addf(&text, ", %u %s", st->tries, st->tries == 1 ? "try" : "tries");
		if (!l->state.held)
			buf_addf(&text, ", next one %s",
				 term_until(st->next_wall_us, sh->now_wall_us, next, sizeof(next)));
		put_route(sh, l, index, &text);
	}
	if (st->reply)
		buf_addf(&text, ": %s", st->reply);
	buf_init(&painted, LINE_CEILING);
	term_paint(&sh->cli->out, style_of_status(st->status), rcpt_status_name(st->status), &painted);
	term_escapes(&sh->cli->out, text.data, &painted);
	put_raw_field("", painted.data);
	buf_release(&painted);
	buf_release(&text);
}

static void put_envelope(const struct show *sh, const struct listing *l)
{
	const struct envelope *env = &l->msg.env;
	char text[64];

	put_field(sh, "ID", l->id.text);
	put_arrival(sh, env);
	put_origin(sh, env);
	put_size(sh, &l->msg);
	put_deadline(sh, &l->msg.env.by);
	put_field(sh, "From", env->sender[0] ? env->sender : "<>");
	put_state(sh, l);
	snprintf(text, sizeof(text), "%zu left of %zu", l->left, env->rcpt_count);
	put_field(sh, "Recipients", text);
	for (size_t i = 0; i < env->rcpt_count; i++)
		put_recipient(sh, l, i);
}

/* ---- for programs -------------------------------------------------------------- */

static json_t *headers_json(const struct buf *header)
{
	json_t *array = json_array();
	const char *at = header->data, *end = header->data + header->len;
	struct header_field f;

	while (header_next(&at, end, &f)) {
		json_t *o = json_object();
		struct buf value;

		buf_init(&value, CONTENT_HEADER_MAX);
		header_unfold(&f, &value);
		ASSERT(json_object_set_new(o, "name", json_text(f.name, f.name_len)) == 0);
		ASSERT(json_object_set_new(o, "value", json_text(value.data, value.len)) == 0);
		ASSERT(json_array_append_new(array, o) == 0);
		buf_release(&value);
	}
	return array;
}

/* Which upstream each recipient that waits goes to; null when it is not known. */
static void put_goes_to(const struct show *sh, const struct listing *l, json_t *o)
{
	json_t *array = json_array();

	for (size_t i = 0; i < l->state.rcpt_count; i++) {
		json_t *one = json_object();
		struct routing_way way;

		if (l->state.rcpt[i].status == RCPT_PENDING) {
			json_put_key(one, "address", json_text_or_null(l->msg.env.rcpt[i].address));
			json_put_key(one, "goes_to",
				     json_text_or_null(routing_find(&sh->routing, &l->msg.env, i,
								    l->state.route, &way)));
			json_put_key(one, "route",
				     way.rule > 0 ? json_integer((json_int_t)way.rule) : json_null());
			json_put_key(one, "list", way.is_undecided ? json_null() : json_boolean(way.is_list));
			json_append_new(array, one);
		} else {
			json_decref(one);
		}
	}
	json_put_key(o, "routing", array);
}

static void put_deliver_by(json_t *o, const struct deliver_by *by)
{
	char stamp[CLOCK_UTC_MAX];

	if (by->mode == DELIVER_BY_NONE)
		return;
	json_put_key(o, "deliver_by", json_string(clock_format_utc(by->wall_us, stamp)));
	json_put_key(o, "by_mode", json_string(deliver_by_letters(by)));
}

static int put_json(const struct show *sh, const struct listing *l, struct err *e)
{
	json_t *o = listing_json(l);
	struct buf header;
	int r;

	buf_init(&header, CONTENT_HEADER_MAX);
	r = content_header(&l->msg, &header, NULL, e);
	if (r == 0) {
		ASSERT(json_object_set_new(o, "body", json_string(envelope_body_names[l->msg.env.body])) ==
		       0);
		ASSERT(json_object_set_new(o, "smtputf8", json_boolean(l->msg.env.smtputf8)) == 0);
		ASSERT(json_object_set_new(o, "requiretls", json_boolean(l->msg.env.requiretls)) == 0);
		put_deliver_by(o, &l->msg.env.by);
		ASSERT(json_object_set_new(o, "headers", headers_json(&header)) == 0);
		put_goes_to(sh, l, o);
		json_put_key(o, "events", show_log_array(l));
		json_put(o, JSON_READABLE, stdout);
	}
	buf_release(&header);
	json_decref(o);
	return r;
}

/* ---- the verb -------------------------------------------------------------------- */

static int put_view(const struct show *sh, const struct listing *l, struct err *e)
{
	const struct term *exact = sh->cli->out.is_tty ? &sh->cli->out : NULL;

	switch (sh->view) {
	case VIEW_DEFAULT:
		put_envelope(sh, l);
		putchar('\n');
		return content_put(&l->msg, CONTENT_HEADER, &sh->cli->out, stdout, e);
	case VIEW_ENVELOPE:
		put_envelope(sh, l);
		return 0;
	case VIEW_HEADERS:
		return content_put(&l->msg, CONTENT_HEADER, exact, stdout, e);
	case VIEW_BODY:
		return content_put(&l->msg, CONTENT_BODY, exact, stdout, e);
	case VIEW_RAW:
		return content_put(&l->msg, CONTENT_ALL, exact, stdout, e);
	case VIEW_LOG:
		if (sh->json)
			show_log_json(l, stdout);
		else
			show_log_table(l, &sh->cli->out, sh->now_wall_us, stdout);
		return 0;
	case VIEW_JSON:
		return put_json(sh, l, e);
	}
	assert_failed("a view without a way to show it", __FILE__, __LINE__);
}

/* One that was put aside. Status 1 as for all that is corrupt. */
static enum cli_status show_corrupt(const struct show *sh, const struct corrupt *c)
{
	switch (sh->view) {
	case VIEW_DEFAULT:
	case VIEW_ENVELOPE:
	case VIEW_LOG:
		show_corrupt_text(sh->cli, c, sh->now_wall_us);
		return CLI_NOTHING;
	case VIEW_HEADERS:
	case VIEW_BODY:
	case VIEW_RAW:
		return show_corrupt_raw(sh->cli, c);
	case VIEW_JSON:
		show_corrupt_json(c);
		return CLI_NOTHING;
	}
	assert_failed("a view without a way to show it", __FILE__, __LINE__);
}

static enum cli_status show(const struct show *sh, const char *typed)
{
	enum cli_status status = CLI_DONE;
	struct corrupt corrupt;
	struct listing l;
	struct err e;

	if (!access_message(sh->cli, &sh->spool, sh->id.text, &l)) {
		if (!corrupt_open(&corrupt, &sh->spool, sh->id.text))
			return not_found(sh, typed);
		status = show_corrupt(sh, &corrupt);
		corrupt_close(&corrupt);
		return status;
	}
	if (!listing_is_readable(&l)) {
		cli_error("%s", l.why.text);
		return l.condition == CONDITION_CORRUPT ? CLI_NOTHING : CLI_UNREACHABLE;
	}
	if (put_view(sh, &l, &e) < 0) {
		cli_error("%s", e.text);
		status = CLI_UNREACHABLE;
	}
	listing_close(&l);
	return status;
}

static int read_options(struct show *sh)
{
	int key;

	while ((key = cli_option(sh->cli)) != ARGS_END) {
		enum view view = (enum view)(key - ARGS_LONG_ONLY);

		if (key == ARGS_BAD)
			return -1;
		if (view == VIEW_JSON) {
			sh->json = true;
			continue;
		}
		if (sh->view != VIEW_DEFAULT && sh->view != view) {
			sh->cli->ended = cli_usage_error(
				sh->cli, "only one of --envelope, --headers, --body, --raw, --log, --json");
			return -1;
		}
		sh->view = view;
	}
	if (!sh->json || sh->view == VIEW_LOG)
		return 0;
	if (sh->view != VIEW_DEFAULT) {
		sh->cli->ended = cli_usage_error(sh->cli, "--json goes alone or with --log");
		return -1;
	}
	sh->view = VIEW_JSON;
	return 0;
}

enum cli_status verb_show(struct cli *cli)
{
	struct show sh = { .cli = cli, .now_wall_us = clock_wall_us() };
	enum cli_status status;
	const char *typed;

	if (read_options(&sh) < 0)
		return cli->ended;
	status = one_operand(cli, &typed);
	if (status != CLI_DONE)
		return status;
	if (access_open(cli, &sh.spool) < 0)
		return CLI_UNREACHABLE;
	status = one_find(cli, &sh.spool, typed, sh.now_wall_us, &sh.id);
	if (status == CLI_DONE && routing_load(&sh.routing, cli) < 0)
		status = CLI_UNREACHABLE;
	if (status == CLI_DONE) {
		status = show(&sh, typed);
		routing_release(&sh.routing);
	}
	access_close(cli, &sh.spool);
	return cli_finish_output(status);
}
