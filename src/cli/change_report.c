/* SPDX-License-Identifier: ISC */
/* See change_report.h. */
#include "cli/change_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/json.h"
#include "cli/listing.h"
#include "cli/progress.h"
#include "manage/json.h"
#include "manage/protocol.h"

#define COMPLAINTS_MAX 20 /* without --verbose; then they are only counted */

const struct change_words change_words[ACTION_COUNT] = {
	[ACTION_RETRY] = { "retrying", "set", " due now", "due already, held, or without anybody left to try" },
	[ACTION_HOLD] = { "holding", "held", "", "held already, or without anybody left to try" },
	[ACTION_RELEASE] = { "releasing", "released", "", "not held" },
	[ACTION_EXPIRE] = { "expiring", "expired", "", "without anybody left to try" },
	[ACTION_BOUNCE] = { "bouncing", "bounced", "", "without anybody left to try" },
	[ACTION_REMOVE] = { "removing", "removed", "", "gone already" },
	[ACTION_REQUEUE] = { "requeuing", "requeued", "", "as new already" },
	[ACTION_REROUTE] = { "rerouting", "rerouted", "", "on that way already" },
};

const char *messages_text(uint64_t n, char out[MESSAGES_TEXT_MAX])
{
	char count[COUNT_TEXT_MAX];

	snprintf(out, MESSAGES_TEXT_MAX, "%s message%s", count_text(n, count), n == 1 ? "" : "s");
	return out;
}

static const char *result_text(const struct change_report *r, const struct action_item *item)
{
	switch (item->result) {
	case ACTION_DONE:
		return r->action == ACTION_RETRY ? "due now" : action_done_name(r->action);
	case ACTION_NO_CHANGE:
		return "nothing to do";
	case ACTION_PENDING:
		return "being sent right now: done when that attempt ends";
	case ACTION_GONE:
		return "gone already";
	case ACTION_CORRUPT:
	case ACTION_FAILED:
		break;
	}
	return "";
}

static bool is_complaint(const struct action_item *item)
{
	return item->result == ACTION_CORRUPT || item->result == ACTION_FAILED;
}

static void say_one(const struct change_report *r, const struct action_item *item)
{
	printf("%s: %s", item->id.text, result_text(r, item));
	if (item->result == ACTION_DONE && item->in_flight)
		fputs(" (being sent right now: that attempt may still deliver it)", stdout);
	if (item->report_id.text[0])
		printf(", report %s", item->report_id.text);
	putchar('\n');
}

static void complain(struct change_report *r, const struct action_item *item)
{
	if (++r->complaints > COMPLAINTS_MAX && !r->verbose)
		return;
	cli_error("%s: %s%s", item->id.text, item->e.text,
		  item->result == ACTION_CORRUPT ? ": 'posthouse fsck' tells more" : "");
}

void change_report_add(struct change_report *r, const struct action_item *item)
{
	r->count[item->result]++;
	r->in_flight += item->result == ACTION_DONE && item->in_flight;
	r->reports += item->report_id.text[0] != '\0';
	if (is_complaint(item))
		complain(r, item);
	if (r->json) {
		json_t *o = protocol_result(item);

		json_put(o, JSON_ONE_LINE, stdout);
		json_decref(o);
	} else if (r->verbose && !is_complaint(item)) {
		say_one(r, item);
	}
}

/* "; 2 were gone already" */
static void say_more(uint64_t n, const char *what)
{
	char count[COUNT_TEXT_MAX];

	if (n > 0)
		printf("; %s %s %s", count_text(n, count), n == 1 ? "was" : "were", what);
}

static void say_all(const struct change_report *r, uint64_t left)
{
	const struct change_words *words = &change_words[r->action];
	char text[MESSAGES_TEXT_MAX], count[COUNT_TEXT_MAX];

	printf("%s %s%s", words->done, messages_text(r->count[ACTION_DONE], text), words->done_tail);
	if (r->reports > 0)
		printf("; %s report%s queued", count_text(r->reports, count), r->reports == 1 ? "" : "s");
	say_more(r->count[ACTION_PENDING], "being sent right now: done when that attempt ends");
	say_more(r->in_flight, "being sent right now: that attempt may still deliver");
	say_more(r->count[ACTION_NO_CHANGE], words->unchanged);
	say_more(r->count[ACTION_GONE], "gone already");
	if (r->count[ACTION_CORRUPT] > 0)
		printf("; %s corrupt", count_text(r->count[ACTION_CORRUPT], count));
	if (r->count[ACTION_FAILED] > 0)
		printf("; %s failed", count_text(r->count[ACTION_FAILED], count));
	if (left > 0)
		printf("; interrupted: %s left as they were", messages_text(left, text));
	putchar('\n');
}

enum cli_status change_report_end(const struct change_report *r, uint64_t left)
{
	bool some = r->count[ACTION_DONE] + r->count[ACTION_PENDING] + r->count[ACTION_NO_CHANGE] > 0;

	if (r->complaints > COMPLAINTS_MAX && !r->verbose)
		cli_error("and %" PRIu64 " more", r->complaints - COMPLAINTS_MAX);
	if (!r->json)
		say_all(r, left);
	return some && left == 0 && r->count[ACTION_CORRUPT] + r->count[ACTION_FAILED] == 0 ? CLI_DONE : CLI_NOTHING;
}
