/* SPDX-License-Identifier: ISC */
/* See show_corrupt.h. */
#include "cli/show_corrupt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "cli/json.h"
#include "smtp/date.h"

#define SHOWN_MAX (64u << 10) /* of a file that is not understood, on a terminal */
#define LINE_CEILING 65536
#define LABEL_WIDTH 12

static void put_field(const struct cli *cli, const char *label, const char *text)
{
	struct buf line;

	buf_init(&line, LINE_CEILING);
	term_escapes(&cli->out, text, &line);
	printf("%-*s%s\n", LABEL_WIDTH, label, line.data);
	buf_release(&line);
}

void show_corrupt_text(const struct cli *cli, const struct corrupt *c, int64_t now_wall_us)
{
	char text[160], date[SMTP_DATE_MAX], age[16], size[16];
	struct buf state;

	put_field(cli, "ID", c->id.text);
	snprintf(text, sizeof(text), "%s (%s ago)", smtp_date_format(spool_id_wall_us(c->id.text), date),
		 term_age(spool_id_wall_us(c->id.text), now_wall_us, age, sizeof(age)));
	put_field(cli, "Arrived", text);
	buf_init(&state, LINE_CEILING);
	term_paint(&cli->out, TERM_BAD, "corrupt", &state);
	printf("%-*s%s\n", LABEL_WIDTH, "State", state.data);
	buf_release(&state);
	put_field(cli, "Reason", c->reason[0] ? c->reason : "not kept");
	if (c->when_wall_us > 0) {
		snprintf(text, sizeof(text), "%s ago", term_age(c->when_wall_us, now_wall_us, age, sizeof(age)));
		put_field(cli, "Put aside", text);
	}
	snprintf(text, sizeof(text), "%s/corrupt/%s, %s", c->file.path, c->id.text,
		 num_format_size(c->bytes, size, sizeof(size)));
	put_field(cli, "File", text);
	if (!c->readable) {
		put_field(cli, "Envelope", "cannot be made out; --raw shows what is in the file");
		return;
	}
	put_field(cli, "From", c->msg.env.sender[0] ? c->msg.env.sender : "<>");
	for (size_t i = 0; i < c->msg.env.rcpt_count; i++)
		put_field(cli, "  To", c->msg.env.rcpt[i].address);
}

void show_corrupt_json(const struct corrupt *c)
{
	json_t *o = json_object(), *recipients = json_array();

	json_put_key(o, "queue_name", json_string("corrupt"));
	json_put_key(o, "queue_id", json_string(c->id.text));
	json_put_key(o, "arrival_time", json_of_time(spool_id_wall_us(c->id.text)));
	json_put_key(o, "state", json_string("corrupt"));
	json_put_key(o, "reason", json_text_or_null(c->reason));
	json_put_key(o, "put_aside", json_of_time(c->when_wall_us));
	json_put_key(o, "file_size", json_integer((json_int_t)c->bytes));
	json_put_key(o, "sender", c->readable ? json_text_or_null(c->msg.env.sender) : json_null());
	for (size_t i = 0; c->readable && i < c->msg.env.rcpt_count; i++) {
		json_t *rcpt = json_object();

		json_put_key(rcpt, "address", json_text_or_null(c->msg.env.rcpt[i].address));
		json_append_new(recipients, rcpt);
	}
	json_put_key(o, "recipients", recipients);
	json_put(o, JSON_READABLE, stdout);
	json_decref(o);
}

enum cli_status show_corrupt_raw(const struct cli *cli, const struct corrupt *c)
{
	struct buf shown;
	char *text = NULL;
	size_t len = 0;
	struct err e;
	FILE *out = cli->out.is_tty ? open_memstream(&text, &len) : stdout;
	int r = corrupt_copy(c, cli->out.is_tty ? SHOWN_MAX : UINT64_MAX, out, &e);

	if (out != stdout) {
		fclose(out);
		buf_init(&shown, 4 * SHOWN_MAX);
		for (size_t at = 0; r == 0 && at < len && at < SHOWN_MAX;) {
			const char *end = memchr(text + at, '\n', len - at);
			size_t n = end ? (size_t)(end - text) - at : len - at;

			term_escape(&cli->out, text + at, n, TERM_KEEP_TABS, &shown);
			buf_addc(&shown, '\n');
			at += n + 1;
		}
		fputs(shown.data, stdout);
		buf_release(&shown);
		free(text);
	}
	if (r < 0)
		cli_error("%s", e.text);
	return r < 0 ? CLI_UNREACHABLE : CLI_NOTHING;
}
