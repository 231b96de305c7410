/* SPDX-License-Identifier: ISC */
/* What recovery or the relay put aside: SPOOL/corrupt/ID and the reason beside it. Read only. */
#ifndef CLI_CORRUPT_H
#define CLI_CORRUPT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/lookup.h"
#include "spool/id.h"
#include "spool/message.h"
#include "spool/spool.h"

#define CORRUPT_REASON_MAX 1024

struct corrupt {
	struct spool_id id;
	char reason[CORRUPT_REASON_MAX]; /* one line, strangers' octets possible; "" when it was not kept */
	int64_t when_wall_us; /* when it was put aside, 0: unknown */
	uint64_t bytes; /* of its file */
	bool readable; /* its envelope can be made out; the content may still be damaged */
	struct spool_message msg; /* only when readable; fd is open */
	struct spool file; /* a view of corrupt/ as if it were a queue; borrowed descriptors */
};

/* False: there is none of this id. Release with corrupt_close. */
bool corrupt_open(struct corrupt *c, const struct spool *s, const char *id);
void corrupt_close(struct corrupt *c);
/* Copies the file as it lies there to out, octet for octet, but not more than so many. */
int corrupt_copy(const struct corrupt *c, uint64_t most, FILE *out, struct err *e);
/* Those whose id begins so, as id_list_scan. */
int corrupt_scan(struct id_list *list, const struct spool *s, struct id_prefix *prefix, size_t count, struct err *e);

#endif
