/* SPDX-License-Identifier: ISC */
/* The monitor as the master knows it: whether there is one, and what it needs before the first fork. */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include <stdbool.h>

#include "config/config.h"
#include "listener/socket.h"

struct service;

/* Figures or health are to be had, or a watchdog (systemd's WATCHDOG_USEC) is to be fed by what it finds. */
bool monitor_is_wanted(const struct config *cfg);
/* Its listening sockets (those that are open already are taken over), and the line to the workers. */
int monitor_prepare(struct service *s, struct listening_set *open, struct err *e);
/* Names what the configuration has, for the figures; again for each configuration that is taken into use. */
void monitor_name_figures(const struct config *cfg);

#endif
