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
#include "cli/content.h"
#include "cli/listing.h"
#include "cli/lookup.h"
#include "cli/verbs.h"
#include "smtp/date.h"
#include "submit/header.h"

enum view { VIEW_DEFAULT, VIEW_ENVELOPE, VIEW_HEADERS, VIEW_BODY, VIEW_RAW, VIEW_JSON };

#define OPT(view) (ARGS_LONG_ONLY + (int)(view))

const struct args_option show_options[] = {
	{ "envelope", OPT(VIEW_ENVELOPE), NULL, "only the envelope and each recipient's state" },
	{ "headers", OPT(VIEW_HEADERS), NULL, "only the header, as it is" },
	{ "body", OPT(VIEW_BODY), NULL, "only the body, as it is" },
	{ "raw", OPT(VIEW_RAW), NULL, "the whole content, as it is" },
	{ "json", OPT(VIEW_JSON), NULL, "envelope, state and header as a JSON object" },
	ARGS_OPTIONS_END,
};

#define CANDIDATES_SHOWN 10
#define LABEL_WIDTH 12
#define LINE_CEILING 65536

struct show {
	struct cli *cli;
	struct spool spool;
	enum view view;
	struct spool_id id;
	int64_t now_wall_us;
};

/* ---- which message --------------------------------------------------------- */

static enum cli_status ambiguous(const struct show *sh, const struct id_prefix *prefix,
				 const struct id_list *list)
{
	char age[16];

	cli_error("%s: the ids of %zu messages begin so: type more of the one you mean", prefix->text,
		  list->count);
	for (size_t i = 0; i < list->count && i < CANDIDATES_SHOWN; i++) {
		struct spool_id id;

		id_list_get(list, i, &id);
		fprintf(stderr, "  %s  %s old\n", id.text,
			term_age(spool_id_wall_us(id.text), sh->now_wall_us, age, sizeof(age)));
	}
	if (list->count > CANDIDATES_SHOWN)
		fprintf(stderr, "  and %zu more\n", list->count - CANDIDATES_SHOWN);
	return CLI_USAGE;
}

static enum cli_status not_found(const char *typed)
{
	cli_error("%s: no queued message has this id: it was delivered, or never here", typed);
	return CLI_NOTHING;
}

/* Completes what was typed; CLI_DONE, or what to return (it is said). */
static enum cli_status resolve(struct show *sh, struct id_prefix *prefix)
{
	enum cli_status status = CLI_DONE;
	struct id_list list;
	struct err e;

	if (prefix->len == SPOOL_ID_LEN) { /* whole: no need to list a long queue */
		memcpy(sh->id.text, prefix->text, sizeof(sh->id.text));
		return CLI_DONE;
	}
	id_list_init(&list);
	if (id_list_scan(&list, &sh->spool, prefix, 1, &e) < 0) {
		cli_error("%s", e.text);
		status = CLI_UNREACHABLE;
	} else if (list.count == 0) {
		cli_error("%s: no queued message's id begins so", prefix->text);
		status = CLI_NOTHING;
	} else if (list.count > 1) {
		status = ambiguous(sh, prefix, &list);
	} else {
		id_list_get(&list, 0, &sh->id);
	}
	id_list_release(&list);
	return status;
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

	snprintf(text, sizeof(text), "%s (%llu octets of content%s%s%s)",
		 num_format_size(m->content_bytes, size, sizeof(size)), (unsigned long long)m->content_bytes,
		 m->has_eightbit ? ", 8-bit" : "", m->env.body == BODY_8BITMIME ? ", BODY=8BITMIME" : "",
		 m->env.smtputf8 ? ", SMTPUTF8" : "");
	put_field(sh, "Size", text);
}

static void put_state(const struct show *sh, const struct listing *l)
{
	const struct spool_state *st = &l->state;
	char next[32], ago[16];
	struct buf text;

	buf_init(&text, LINE_CEILING);
	buf_adds(&text, condition_name(l->condition));
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
	put_field(sh, "State", text.data);
	buf_release(&text);
}

static void put_recipient(const struct show *sh, const struct envelope_rcpt *rcpt,
			  const struct rcpt_state *st)
{
	char ago[16];
	struct buf text;

	buf_init(&text, LINE_CEILING);
	buf_adds(&text, rcpt->address);
	put_field(sh, "  To", text.data);
	buf_clear(&text);
	buf_adds(&text, rcpt_status_name(st->status));
	if (st->when_wall_us > 0)
		buf_addf(&text, "%s %s ago", st->status == RCPT_PENDING ? ", tried" : "", term_age(st->when_wall_us, sh->now_wall_us, ago, sizeof(ago)));
	if (st->upstream)
		buf_addf(&text, ", upstream %s", st->upstream);
	if (st->reply)
		buf_addf(&text, ": %s", st->reply);
	put_field(sh, "", text.data);
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
	put_field(sh, "From", env->sender[0] ? env->sender : "<>");
	put_state(sh, l);
	snprintf(text, sizeof(text), "%zu left of %zu", l->left, env->rcpt_count);
	put_field(sh, "Recipients", text);
	for (size_t i = 0; i < env->rcpt_count; i++)
		put_recipient(sh, &env->rcpt[i], &l->state.rcpt[i]);
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

static int put_json(const struct listing *l, struct err *e)
{
	static const char *const bodies[] = { "7BIT", "8BITMIME", "BINARYMIME" };
	json_t *o = listing_json(l);
	struct buf header;
	int r;

	buf_init(&header, CONTENT_HEADER_MAX);
	r = content_header(&l->msg, &header, NULL, e);
	if (r == 0) {
		ASSERT(json_object_set_new(o, "body", json_string(bodies[l->msg.env.body])) == 0);
		ASSERT(json_object_set_new(o, "smtputf8", json_boolean(l->msg.env.smtputf8)) == 0);
		ASSERT(json_object_set_new(o, "headers", headers_json(&header)) == 0);
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
	case VIEW_JSON:
		return put_json(l, e);
	}
	assert_failed("a view without a way to show it", __FILE__, __LINE__);
}

static enum cli_status show(const struct show *sh, const char *typed)
{
	enum cli_status status = CLI_DONE;
	struct listing l;
	struct err e;

	if (!listing_open(&l, &sh->spool, sh->id.text, true))
		return not_found(typed);
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

enum cli_status verb_show(struct cli *cli)
{
	struct show sh = { .cli = cli, .now_wall_us = clock_wall_us() };
	enum cli_status status;
	struct id_prefix prefix;
	char **operands;
	int key, count;

	while ((key = cli_option(cli)) != ARGS_END) {
		if (key == ARGS_BAD)
			return cli->ended;
		if (sh.view != VIEW_DEFAULT && sh.view != (enum view)(key - ARGS_LONG_ONLY))
			return cli_usage_error(cli,
					       "only one of --envelope, --headers, --body, --raw, --json");
		sh.view = (enum view)(key - ARGS_LONG_ONLY);
	}
	operands = args_operands(&cli->args, &count);
	if (count != 1)
		return cli_usage_error(cli,
				       count == 0 ? "which message? its ID is missing" : "one ID at a time");
	if (!id_prefix_parse(operands[0], &prefix))
		return cli_usage_error(cli, "%s: not (the beginning of) a queue id", operands[0]);
	if (cli_open_spool(cli, &sh.spool) < 0)
		return CLI_UNREACHABLE;
	status = resolve(&sh, &prefix);
	if (status == CLI_DONE)
		status = show(&sh, operands[0]);
	spool_close(&sh.spool);
	return cli_finish_output(status);
}
