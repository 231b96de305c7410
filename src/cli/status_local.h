/* SPDX-License-Identifier: ISC */
/* What can be said of a spool without a daemon, in the daemon's own words: the object of {"ask":"status"}. */
#ifndef CLI_STATUS_LOCAL_H
#define CLI_STATUS_LOCAL_H

#include <jansson.h>

#include "base/err.h"
#include "spool/spool.h"

/*
 * Its members `queue`, `suspended` and `suspensions`; "running" is false. Reads ids and the first lines of states,
 * no message. NULL and e: the spool cannot be listed. A damaged file of suspensions is told in "suspensions_error".
 */
json_t *status_local(const struct spool *s, int64_t now_wall_us, struct err *e);

#endif
