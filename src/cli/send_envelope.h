/* SPDX-License-Identifier: ISC */
/*
 * What MAIL and RCPT say beside the addresses when `posthouse send` sends
 * (smtplib's mail_options and rcpt_options). What is asked for is said, or
 * the message does not go: a server that does not announce an extension
 * would not do what it is about.
 */
#ifndef CLI_SEND_ENVELOPE_H
#define CLI_SEND_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "smtp/envelope.h"
#include "upstream/upstream.h"

struct send_envelope {
	/* for struct envelope */
	enum envelope_ret ret;
	enum envelope_body body;
	unsigned notify;
	char *envid, *orcpt; /* xtext; owned */
	const char *deliver_by; /* into argv: its time counts from when it is applied */
	bool has_body, requiretls, smtputf8;
	/* options as they are said, blanks between them */
	struct buf mail, rcpt;
	struct upstream_more more; /* from send_envelope_settle on */
};

extern const struct args_option send_envelope_options[];

void send_envelope_init(struct send_envelope *e);
/*
 * An option of that table; false: it is none of its. Not DONE in *status: it is said what is wrong with its
 * value.
 */
bool send_envelope_take(struct send_envelope *e, struct cli *cli, int key, const char *value,
			enum cli_status *status);
/* Behind the last option: `more` is ready. */
void send_envelope_settle(struct send_envelope *e);
/* To a message, once it has its recipients. Not DONE: it does not fit, and it is said why. */
enum cli_status send_envelope_apply(const struct send_envelope *e, const struct cli *cli,
				    struct envelope *env, bool has_eightbit);
void send_envelope_release(struct send_envelope *e);

#endif
