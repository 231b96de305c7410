/* SPDX-License-Identifier: ISC */
/*
 * How a generation of the service (service.h) is made of a configuration, beside the one in use if there is one,
 * which stays as it is when this one turns out to be no good.
 */
#ifndef DAEMON_GENERATION_H
#define DAEMON_GENERATION_H

#include <stdbool.h>

#include "config/config.h"
#include "daemon/service.h"
#include "listener/socket.h"

struct house;

/* cfg becomes its own (allocated, released with it). Nothing is opened yet. */
struct service *generation_new(struct house *h, struct config *cfg);
/*
 * Opens all that it needs: files, lines, the spool, sockets (those in `open` are taken over, listener/socket.h).
 * After -1 it is to be freed. With one in use, what is wrong with files is logged at once, and e is empty then.
 */
int generation_open(struct service *s, struct house *h, struct listening_set *open, struct err *e);
/* In the master; the files of its unix sockets are removed, unless another generation has them. NULL is allowed. */
void generation_free(struct service *s);

/*
 * What is in files besides the configuration (certificates, tables): all of it is read, what is wrong is
 * reported; warn: also what soon will be. In a process of its own that ends at once, as this one must not
 * have held a secret.
 */
bool service_check_files(const struct config *cfg, bool warn, void (*report)(void *ctx, const char *text),
			 void *ctx);

/* view_group and control_group; (gid_t)-1: none. */
int service_find_groups(const struct config *cfg, gid_t *view_gid, gid_t *control_gid, struct err *e);

#endif
