/* SPDX-License-Identifier: ISC */
/*
 * The address or interface that connections are made from. libcurl has one
 * option for both families; the sockets are ours anyway.
 */
#ifndef UPSTREAM_SOURCE_H
#define UPSTREAM_SOURCE_H

#include "upstream/upstream.h"

/* Binds a new socket of that family. -1: e says why (for an operator). */
int source_bind(int fd, int family, const struct upstream_settings *settings, struct err *e);

#endif
