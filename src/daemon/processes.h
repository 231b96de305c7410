/* SPDX-License-Identifier: ISC */
/* What the other processes do, out of the scoreboard, for the relay's answer to {"ask":"status"}. */
#ifndef DAEMON_PROCESSES_H
#define DAEMON_PROCESSES_H

#include <jansson.h>

/* Adds "processes" and "workers" (posthouse-json(5)) to the object; ctx is the service. */
void processes_add(void *ctx, json_t *status);

#endif
