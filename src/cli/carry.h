/* SPDX-License-Identifier: ISC */
/*
 * The envelope of a message outside the spool: in a JSON file beside an .eml
 * file, or in header fields before the message in an mbox. What is written is
 * read back; what is read is believed no more than what a client says. Pure.
 *
 * Fields, in this order, before the first of the message's own:
 *   X-Posthouse-Envelope: id=ID               and arrived, peer, helo, ..., as in the spool
 *   X-Posthouse-From: from=ADDRESS
 *   X-Posthouse-To: to=ADDRESS [orcpt=...] [notify=...]      a line each, those who are to get it
 *   X-Posthouse-Done: to=ADDRESS ...          those who got it, or never will
 *   X-Posthouse-End: N                        how many lines; what follows is the message's
 */
#ifndef CLI_CARRY_H
#define CLI_CARRY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "smtp/envelope.h"
#include "spool/state.h"

enum carry_format { CARRY_EML, CARRY_MBOX, CARRY_SPOOL };
bool carry_format_find(const char *name, enum carry_format *format); /* "eml", "mbox", "spool" */

/* A fresh object. -1 and e: it holds what JSON cannot say (octets that are not UTF-8 in an address). */
int carry_to_json(const struct envelope *env, const struct spool_state *st, json_t **out, struct err *e);
bool carry_to_fields(const struct envelope *env, const struct spool_state *st, struct buf *out);

enum carried {
	CARRIED_NONE, /* no envelope there */
	CARRIED_ENVELOPE, /* env is filled in (but for its id), with those recipients who are to get the message */
	CARRIED_NOBODY, /* everybody has it, or never will */
	CARRIED_BAD /* e */
};
enum carried carry_from_json(const json_t *object, struct envelope *env, struct err *e);
/* The fields at the beginning of a message with LF or CRLF line ends; *used: octets they take. */
enum carried carry_from_fields(const char *text, size_t len, struct envelope *env, size_t *used,
			       struct err *e);

#endif
