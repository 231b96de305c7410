/* SPDX-License-Identifier: ISC */
/*
 * What a child keeps of what the master holds. All of it is open in a child that was just forked; each role gives
 * up what is not its own, first of all, by one table (inherit.c): so what nobody thought of is in no child.
 */
#ifndef DAEMON_INHERIT_H
#define DAEMON_INHERIT_H

#include "daemon/service.h"
#include "master/child.h"

/*
 * In a child, once: descriptors, sockets and what was read of files that are not this role's are closed and
 * freed. Keys of certificates are the caller's affair, before this (listener_tls.h).
 */
void inherit_as(struct service *s, enum child_role role);

#endif
