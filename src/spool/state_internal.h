/* SPDX-License-Identifier: ISC */
/* What the files of the state share: state.c (the value), state_text.c (its text), state_file.c (its file). */
#ifndef SPOOL_STATE_INTERNAL_H
#define SPOOL_STATE_INTERNAL_H

#include "spool/state.h"

/* All as at first: nothing has happened to the message. */
void spool_state_restart(struct spool_state *st);

/* An empty event behind the others. */
struct spool_event *spool_state_new_event(struct spool_state *st);

/* The beginning of a text; a NUL stands behind it. False: it is none. */
bool spool_state_parse_head(struct spool_state_head *head, char *text, size_t len);

#endif
