/* SPDX-License-Identifier: ISC */
/* All that is known about one message, gathered once, and told as sentences or as JSON. */
#ifndef CLI_EXPLAIN_FACTS_H
#define CLI_EXPLAIN_FACTS_H

#include <jansson.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/corrupt.h"
#include "cli/listing.h"
#include "cli/routing.h"

enum explain_kind {
	EXPLAIN_QUEUED, /* listing is readable */
	EXPLAIN_UNREADABLE, /* listing is there and is not */
	EXPLAIN_CORRUPT, /* put aside: corrupt */
	EXPLAIN_GONE /* neither */
};

struct explain {
	const struct term *term;
	struct spool_id id;
	int64_t now_wall_us;
	enum explain_kind kind;
	bool by_relay; /* it read the spool for us: what was put aside cannot be seen */
	struct listing listing;
	struct corrupt corrupt;
	struct routing routing;
	enum daemon_found found;
	struct err daemon_error; /* unless found is DAEMON_CONNECTED */
	json_t *status; /* of the daemon, else of the spool; NULL: unknown */
	const json_t *in_flight; /* of `flight`: being sent now; NULL: not */
	json_t *flight;
};

void explain_print(const struct explain *x, FILE *out);
/* The reference is the caller's. */
json_t *explain_json(const struct explain *x);

/* What the operator may type now, "retry 0abc" ...; each(ctx, command, why). */
void explain_commands(const struct explain *x, void (*each)(void *ctx, const char *command, const char *why),
		      void *ctx);
/* Nobody who waits is tried now, as deliveries there are suspended. */
bool explain_is_suspended(const struct explain *x);
/* The upstream of the status object by that name; NULL: none. */
const json_t *explain_upstream(const struct explain *x, const char *name);
/* The last reply about somebody who has not got it, and when; NULL: none. */
const char *explain_last_reply(const struct explain *x);
/* When undelivered recipients are given up; 0: not known. */
int64_t explain_expiry_us(const struct explain *x);

#endif
