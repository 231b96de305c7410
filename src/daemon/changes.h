/* SPDX-License-Identifier: ISC */
/*
 * What a new configuration may not change while the service runs: on these rests what the processes of the old
 * one still do. All other keys take effect with the generation that is made of them.
 */
#ifndef DAEMON_CHANGES_H
#define DAEMON_CHANGES_H

#include <stdbool.h>

#include "config/config.h"

/* Tells each; returns whether there is none. */
bool changes_are_possible(const struct config *old, const struct config *fresh, config_report *report,
			  void *ctx);

#endif
