/* SPDX-License-Identifier: ISC */
/* What is painted how: conditions of messages, statuses of recipients, events, states of upstreams and workers. */
#ifndef CLI_STYLE_H
#define CLI_STYLE_H

#include "cli/listing.h"
#include "cli/term.h"

enum term_style style_of_condition(enum condition c);
enum term_style style_of_status(enum rcpt_status status);
/* A word of another process, "delivered", "upstream_down", "paused" ...; unknown ones are plain. */
enum term_style style_of_word(const char *word);
/* An age: a day is long for a message that waits. */
enum term_style style_of_age(int64_t age_ms);

#endif
