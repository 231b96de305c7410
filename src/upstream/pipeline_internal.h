/* SPDX-License-Identifier: ISC */
/* What pipeline.c (replies, and the end) and pipeline_put.c (output) share. */
#ifndef UPSTREAM_PIPELINE_INTERNAL_H
#define UPSTREAM_PIPELINE_INTERNAL_H

#include "upstream/pipeline.h"

/* ---- pipeline_put.c ---- */

/* False: there is no room for it now. */
bool pipeline_put_command(struct pipeline *p, const char *line, size_t len);
/* Puts the flight's next command, or the next piece of its content, out; false when it has to wait. */
bool pipeline_put_next(struct pipeline *p, struct flight *f);

/* ---- pipeline.c ---- */

/* The connection is to end; the first reason counts. by_us: nobody is to blame for what was not answered. */
enum pipeline_result pipeline_end_with(struct pipeline *p, enum upstream_how how, bool by_us,
				       const struct smtp_reply *reply);
/* Tells the transaction its end; the flight stays until what was sent is answered. */
void pipeline_finish(struct flight *f, enum upstream_how how, enum upstream_phase phase,
		     const struct smtp_reply *reply);

#endif
