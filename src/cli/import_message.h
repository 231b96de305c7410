/* SPDX-License-Identifier: ISC */
/* One message of `posthouse import` that comes as text (.eml, mbox): checked as a session would, and queued. */
#ifndef CLI_IMPORT_MESSAGE_H
#define CLI_IMPORT_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "spool/id.h"
#include "spool/spool.h"
#include "submit/submit.h"

struct import_rules {
	const struct submit_options *envelope; /* what the operator said of it; NULL: nothing, the message must bring it */
	uint64_t size_limit_bytes; /* 0: none */
	unsigned max_received; /* Received fields before it is taken for a loop */
};

/* A file may be this large before it is looked at, whatever the limit for messages. */
#define IMPORT_TEXT_MAX (1u << 30)

enum imported {
	IMPORTED, /* durable */
	IMPORT_NOBODY, /* its envelope says that everybody has it, or never will */
	IMPORT_REFUSED, /* this message cannot be queued: e */
	IMPORT_FAILED /* the spool does not take it: e */
};

/* text: line ends of any kind. sidecar: the JSON envelope beside it, NULL: none. */
enum imported import_message(struct spool *s, const char *text, size_t len, const json_t *sidecar,
			     const struct import_rules *rules, struct spool_id *id, struct err *e);

#endif
