/* SPDX-License-Identifier: ISC */
/* What became of the messages that a verb was to change: counted, and said in words or as JSON. */
#ifndef CLI_CHANGE_REPORT_H
#define CLI_CHANGE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "manage/action.h"

/* How an action is spoken of. */
struct change_words {
	const char *doing; /* "removing" */
	const char *done, *done_tail; /* "removed" N messages ""; "set" N messages " due now" */
	const char *unchanged; /* N "were held already" */
};
extern const struct change_words change_words[ACTION_COUNT];

struct change_report {
	enum action action;
	bool verbose, json;
	uint64_t count[ACTION_RESULTS];
	uint64_t in_flight; /* of those done */
	uint64_t reports;
	uint64_t complaints; /* CORRUPT and FAILED that were said one by one */
};

/* Counts it, and says what is to be said about this one. */
void change_report_add(struct change_report *r, const struct action_item *item);
/* The summary; the exit status. left: selected, but an interruption came first. */
enum cli_status change_report_end(const struct change_report *r, uint64_t left);

/* "1 message", "2,345 messages"; returns out. */
#define MESSAGES_TEXT_MAX 40
const char *messages_text(uint64_t n, char out[MESSAGES_TEXT_MAX]);

#endif
