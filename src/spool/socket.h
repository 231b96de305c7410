/* SPDX-License-Identifier: ISC */
/*
 * Unix sockets in the spool's root, by which the relay is asked. However long
 * the spool's path is: a sun_path takes 107 octets, so a longer one is reached
 * through /proc/self/fd.
 */
#ifndef SPOOL_SOCKET_H
#define SPOOL_SOCKET_H

#include <sys/types.h>

#include "base/err.h"
#include "spool/spool.h"

/*
 * Makes SPOOL/name, in place of what a dead relay left there, and listens: non-blocking, close on exec. For us
 * alone, or with a group ((gid_t)-1: none) of which we are a member. It never exists with wrong rights. -1 and e.
 */
int spool_socket_listen(const struct spool *s, const char *name, gid_t gid, struct err *e);
/* By whoever stops the service. Where a socket is left, another one is about to take its place. */
void spool_socket_remove(const char *spool_path, const char *name);

/*
 * Connects: non-blocking, close on exec. -1 and e: e->os_error is that of the system (ENOENT, ECONNREFUSED: nobody
 * listens; EACCES: no right to; EAGAIN: too many others wait). *gid: the group that may, (gid_t)-1: not known.
 */
int spool_socket_connect(const char *spool_path, const char *name, gid_t *gid, struct err *e);

#endif
