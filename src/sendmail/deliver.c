/* SPDX-License-Identifier: ISC */
/*
 * See deliver.h. The message is read to its end first; then it goes to the
 * daemon; while that is down, into the outbox. Runs with the rights of whoever sends.
 */
#include "sendmail/deliver.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sendmail/status.h"
#include "smtp/header.h"
#include "smtp/xtext.h"
#include "submit/outbox.h"
#include "submit/transmit.h"

#define NAME_MAX_OCTETS 1000
#define REASON_MAX 2048
#define ROUNDS_MAX 3 /* socket, outbox, socket ...: a daemon that comes and goes meanwhile */

struct delivery {
	const struct target *target;
	struct submission message;
	bool *settled; /* by index of env.rcpt: accepted or refused */
	size_t *left; /* the others, as of the last look */
	size_t left_count;
	int status; /* the worst refusal */
	bool uncertain; /* the whole message was sent, and no answer came */
	bool down; /* what is left is so because nobody was there, or left in the middle */
	struct buf reason; /* why */
};

/* ---- who sends ------------------------------------------------------------------- */

struct person {
	char *login, *full_name; /* owned */
};

/* "Jane Doe,Room 5,..." of the user data base; "&" is the login with a capital letter. */
static char *name_of_gecos(const char *gecos, const char *login)
{
	struct buf b;
	char *name;

	buf_init(&b, NAME_MAX_OCTETS);
	for (; *gecos && *gecos != ','; gecos++) {
		if (*gecos != '&') {
			buf_addc(&b, *gecos);
			continue;
		}
		if (buf_adds(&b, login) && login[0])
			b.data[b.len - strlen(login)] = (char)toupper((unsigned char)login[0]);
	}
	name = mem_strdup(b.data);
	buf_release(&b);
	return name;
}

static int person_find(struct person *p, const struct sendmail_options *o)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *name = o->full_name ? o->full_name : getenv("NAME");

	p->login = pw ? mem_strdup(pw->pw_name) : NULL;
	if (name)
		p->full_name = mem_strndup(name, strnlen(name, NAME_MAX_OCTETS));
	else
		p->full_name = pw ? name_of_gecos(pw->pw_gecos ? pw->pw_gecos : "", pw->pw_name) : mem_strdup("");
	if (p->login || o->sender)
		return 0;
	sendmail_say("no login name found for user id %ld: name a sender with -f", (long)getuid());
	return -1;
}

static void person_release(struct person *p)
{
	free(p->login);
	free(p->full_name);
}

/* ---- what the server says -------------------------------------------------------- */

static void note_reply(struct buf *out, const struct smtp_reply *reply)
{
	buf_clear(out);
	if (reply->code != 0)
		smtp_reply_oneline(reply, out);
	else
		buf_adds(out, reply->text);
}

static void on_recipient(void *ctx, size_t i, const struct smtp_reply *reply)
{
	struct delivery *d = ctx;
	struct buf text;

	if (smtp_reply_is_positive(reply) || reply->code == 421)
		return;
	buf_init(&text, REASON_MAX);
	note_reply(&text, reply);
	sendmail_say("%s: %s: %s", d->message.env.rcpt[i].address,
		     smtp_reply_is_permanent(reply) ? "refused" : "refused for now", text.data);
	buf_release(&text);
	d->settled[i] = true;
	d->status = sendmail_worse(d->status, sendmail_status(UPSTREAM_RCPT, reply));
}

static void settle(struct delivery *d, const size_t *rcpt, size_t count)
{
	for (size_t i = 0; i < count; i++)
		d->settled[rcpt[i]] = true;
}

static void look_who_is_left(struct delivery *d)
{
	d->left_count = 0;
	for (size_t i = 0; i < d->message.env.rcpt_count; i++)
		if (!d->settled[i])
			d->left[d->left_count++] = i;
}

static void refuse_message(struct delivery *d, const struct upstream_outcome *outcome)
{
	note_reply(&d->reason, &outcome->reply);
	if (outcome->phase != UPSTREAM_RCPT) /* else each recipient has been told of */
		sendmail_say("%s: the message was refused%s: %s", d->target->name,
			     smtp_reply_is_permanent(&outcome->reply) ? "" : " for now", d->reason.data);
	d->status = sendmail_worse(d->status, sendmail_status(outcome->phase, &outcome->reply));
}

static void gone(struct delivery *d, const struct upstream_outcome *outcome)
{
	note_reply(&d->reason, &outcome->reply);
	d->uncertain = outcome->how == UPSTREAM_NO_ANSWER && outcome->phase == UPSTREAM_FINAL_DOT;
	d->down = true;
}

static void on_done(void *ctx, const size_t *rcpt, size_t count, const struct upstream_outcome *outcome,
		    const char *remote)
{
	struct delivery *d = ctx;

	(void)remote;
	switch (outcome->how) {
	case UPSTREAM_ANSWERED:
		if (outcome->reply.code == 421) {
			gone(d, outcome);
			return;
		}
		if (outcome->phase != UPSTREAM_FINAL_DOT || !smtp_reply_is_positive(&outcome->reply))
			refuse_message(d, outcome);
		break;
	case UPSTREAM_UNSUPPORTED:
		refuse_message(d, outcome);
		break;
	case UPSTREAM_NO_ANSWER: /* sent perhaps, answered not: twice is better than never */
	case UPSTREAM_NOT_STARTED:
		gone(d, outcome);
		return;
	case UPSTREAM_SOURCE_FAILED:
		sendmail_say("%s", outcome->reply.text);
		d->status = sendmail_worse(d->status, EX_IOERR);
		break;
	}
	settle(d, rcpt, count);
}

static void on_closed(void *ctx, const struct upstream_outcome *why, bool ever_ready)
{
	struct delivery *d = ctx;

	look_who_is_left(d);
	if (d->left_count == 0)
		return;
	if (!ever_ready && why->how == UPSTREAM_ANSWERED && smtp_reply_is_permanent(&why->reply)) {
		refuse_message(d, why);
		settle(d, d->left, d->left_count);
	} else if (!d->down) {
		gone(d, why);
	}
}

static void on_trace(void *ctx, bool from_server, const char *text, size_t len)
{
	(void)ctx;
	/* printable ASCII, says upstream.h */
	fprintf(stderr, "%s%.*s\n", from_server ? "<<< " : ">>> ", (int)len, text);
}

/* ---- the ways out ----------------------------------------------------------------- */

/* One round over the socket. Afterwards nobody is left, or the daemon is down. */
static void submit(struct delivery *d, bool verbose)
{
	static const struct transmit_ops quiet = { .recipient = on_recipient,
						   .done = on_done,
						   .closed = on_closed };
	static const struct transmit_ops tracing = {
		.recipient = on_recipient, .done = on_done, .closed = on_closed, .trace = on_trace
	};
	const struct transmit t = { .message = &d->message,
				    .settings = &d->target->upstream,
				    .rcpt = d->left,
				    .rcpt_count = d->left_count,
				    .rcpt_most = d->target->cfg.max_recipients,
				    .ops = verbose ? &tracing : &quiet,
				    .ctx = d };
	struct err e;

	d->down = d->uncertain = false;
	if (transmit_run(&t, &e) < 0) {
		sendmail_say("%s", e.text);
		d->status = sendmail_worse(d->status, EX_TEMPFAIL);
		settle(d, d->left, d->left_count);
	}
	look_who_is_left(d);
}

static void give_up(struct delivery *d)
{
	size_t all = d->message.env.rcpt_count;

	if (d->uncertain)
		sendmail_say("%s: %s: the message was sent, but not answered: it may have been accepted",
			     d->target->name, d->reason.data);
	else if (d->left_count < all)
		sendmail_say("%s: %s: not sent to %zu of %zu recipients, from %s on", d->target->name, d->reason.data,
			     d->left_count, all, d->message.env.rcpt[d->left[0]].address);
	else
		sendmail_say("%s: %s: nothing was sent (is posthoused running?)", d->target->name, d->reason.data);
	d->status = sendmail_worse(d->status, EX_TEMPFAIL);
}

/* Socket, and with an outbox that, and the socket again should somebody have come meanwhile. */
static void bring(struct delivery *d, bool verbose)
{
	struct outbox_limits limits = { d->target->cfg.data_size_limit_bytes, d->target->cfg.min_free_bytes,
					d->target->cfg.max_recipients };
	const char *folder = d->target->cfg.outbox;
	struct outbox_entry entry;
	struct err e;

	for (int round = 1;; round++) {
		int fd;

		submit(d, verbose);
		if (d->left_count == 0 || !folder)
			break;
		if (outbox_put(&entry, folder, &limits, &d->message, d->left, d->left_count,
			       d->target->cfg.hostname, &e) < 0) {
			sendmail_say("outbox: %s", e.text);
			break;
		}
		/* it may have started, and looked, before the message was there: submit/outbox.h */
		fd = round < ROUNDS_MAX ? target_connect(d->target, &e) : -1;
		if (fd >= 0)
			close(fd);
		if (fd < 0 || !outbox_take_back(&entry)) {
			outbox_entry_release(&entry);
			d->left_count = 0;
			return;
		}
		outbox_entry_release(&entry);
	}
	if (d->left_count > 0)
		give_up(d);
}

/* ---- the message -------------------------------------------------------------------- */

static bool is_anything(void *ctx, const char *address, struct err *e)
{
	(void)ctx;
	(void)address;
	(void)e;
	return true;
}

/* What stands on the command line is looked at before the message is read: EX_USAGE is not EX_DATAERR. */
static int check_operands(const struct sendmail_options *o)
{
	struct err e;

	for (size_t i = 0; i < o->operand_count; i++) {
		if (header_addresses(o->operand[i], strlen(o->operand[i]), is_anything, NULL, &e) == 0)
			continue;
		sendmail_say("recipient %s: %s", o->operand[i], e.text);
		return -1;
	}
	return 0;
}

static void set_parameters(struct envelope *env, const struct sendmail_options *o)
{
	if (o->body == BODY_8BITMIME)
		env->body = BODY_8BITMIME;
	env->ret = o->ret;
	if (o->envid)
		env->envid = xtext_encode(o->envid);
	for (size_t i = 0; i < env->rcpt_count; i++)
		env->rcpt[i].notify = o->notify;
}

static int read_message(struct delivery *d, const struct sendmail_options *o, const struct person *who)
{
	const struct submit_options options = {
		.from = o->sender ? o->sender : who->login,
		.to = o->operand,
		.to_count = o->operand_count,
		.read_recipients = o->read_recipients,
		.add_headers = !o->gateway,
		.hostname = d->target->cfg.hostname,
		.sendmail_rules = true,
		.dot_ends = !o->dot_is_text,
		.full_name = who->full_name,
	};
	enum submit_result r;
	struct err e;

	r = submission_read(&d->message, STDIN_FILENO, &options, &e);
	if (r != SUBMIT_OK)
		sendmail_say("%s", e.text);
	switch (r) {
	case SUBMIT_OK:
		set_parameters(&d->message.env, o);
		return EX_OK;
	case SUBMIT_INVALID:
		return EX_DATAERR;
	case SUBMIT_NOBODY:
		return EX_USAGE;
	case SUBMIT_FAILED:
		break;
	}
	return EX_IOERR;
}

static void deliver(struct delivery *d, const struct sendmail_options *o)
{
	size_t count = d->message.env.rcpt_count;

	d->settled = mem_array(count, sizeof(*d->settled));
	d->left = mem_array(count, sizeof(*d->left));
	buf_init(&d->reason, REASON_MAX);
	look_who_is_left(d);
	bring(d, o->verbose);
	free(d->settled);
	free(d->left);
	buf_release(&d->reason);
	submission_release(&d->message);
}

int sendmail_deliver(const struct sendmail_options *o, const struct target *t)
{
	struct delivery d = { .target = t };
	struct person who = { 0 };

	if (check_operands(o) < 0)
		return EX_USAGE;
	/* before anything is read, as it is the commonest mistake */
	if (o->operand_count == 0 && !o->read_recipients) {
		sendmail_say("recipient addresses must be specified on the command line or via the -t option");
		return EX_USAGE;
	}
	d.status = person_find(&who, o) < 0 ? EX_OSERR : read_message(&d, o, &who);
	if (d.status == EX_OK)
		deliver(&d, o);
	person_release(&who);
	return d.status;
}
