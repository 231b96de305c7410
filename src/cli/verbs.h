/* SPDX-License-Identifier: ISC */
/*
 * The table of verbs: dispatch, help texts and the test of the manual come
 * from it. A new verb is one file with one function, and one row.
 */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/args.h"
#include "cli/cli.h"

struct cli_verb {
	const char *name;
	const char *operands; /* for the usage line, "" when there are none */
	const char *summary; /* one line, no full stop */
	const char *details; /* what the help says below the usage line; lines ended by \n; NULL: nothing */
	const struct args_option *options; /* its own; NULL: none */
	const struct args_segment *segments; /* more of its own, by subject, the last without a title; NULL: none */
	/*
	 * It takes the selectors of select.h, and calls select_finish behind its options. changes: those of
	 * verbs that change messages too (--all, --dry-run).
	 */
	bool selects, changes;
	/* Reads its options with cli_option, then works; the exit status. */
	enum cli_status (*run)(struct cli *cli);
};

extern const struct cli_verb verb_table[];
extern const size_t verb_count;

/* NULL when there is none of that name. */
const struct cli_verb *verb_find(const char *name);
/* The one most probably meant (a prefix, or at most two typing errors away); NULL when none is near. */
const struct cli_verb *verb_nearest(const char *name);

void verb_help(const struct cli_verb *verb, FILE *out);
void verbs_help(FILE *out);

/* One file each. */
enum cli_status verb_doctor(struct cli *cli);
enum cli_status verb_export(struct cli *cli);
enum cli_status verb_fsck(struct cli *cli);
enum cli_status verb_retry(struct cli *cli);
enum cli_status verb_hold(struct cli *cli);
enum cli_status verb_release(struct cli *cli);
enum cli_status verb_expire(struct cli *cli);
enum cli_status verb_bounce(struct cli *cli);
enum cli_status verb_remove(struct cli *cli);
enum cli_status verb_requeue(struct cli *cli);
enum cli_status verb_reroute(struct cli *cli);
enum cli_status verb_suspend(struct cli *cli);
enum cli_status verb_resume(struct cli *cli);
extern const struct args_option change_options[], change_reason_options[], requeue_options[], reroute_options[];
extern const struct args_option suspend_options[], resume_options[];
enum cli_status verb_import(struct cli *cli);
enum cli_status verb_queue(struct cli *cli);
enum cli_status verb_send(struct cli *cli);
enum cli_status verb_show(struct cli *cli);
enum cli_status verb_check(struct cli *cli);
enum cli_status verb_explain(struct cli *cli);
enum cli_status verb_status(struct cli *cli);
enum cli_status verb_summary(struct cli *cli);
enum cli_status verb_top(struct cli *cli);
enum cli_status verb_user(struct cli *cli);
enum cli_status verb_watch(struct cli *cli);
enum cli_status verb_log(struct cli *cli);
extern const struct args_option doctor_options[], export_options[], fsck_options[], import_options[];
extern const struct args_option queue_options[], show_options[];
extern const struct args_segment send_segments[];
extern const struct args_option check_options[], explain_options[], status_options[], summary_options[];
extern const struct args_option user_options[], top_options[], watch_options[], log_options[];
enum cli_status verb_health(struct cli *cli);
extern const struct args_option health_options[];
enum cli_status verb_oauth(struct cli *cli);
extern const struct args_option oauth_options[];

#endif
