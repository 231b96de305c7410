/* SPDX-License-Identifier: ISC */
/*
 * What an unfinished command line could go on with. The completions for bash,
 * zsh and fish (contrib/completions) know nothing of verbs and options: they
 * ask `posthouse help --complete -- WORD...`, which answers from the tables
 * that also drive parsing and help, so they cannot go stale.
 *
 * The words are those behind "posthouse" up to the cursor; the last one is the
 * one being typed, perhaps empty. The answer is lines:
 *   WORD TAB DESCRIPTION     the whole last word as it could be
 *   :files   :dirs           the shell completes names of files, of folders, itself
 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/cli.h"

#define COMPLETE_IDS_MAX 500 /* more than anybody wants to choose from */

enum cli_status complete_words(struct cli *cli, char **words, int count);

#endif
