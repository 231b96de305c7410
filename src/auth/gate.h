/* SPDX-License-Identifier: ISC */
/*
 * So many at a time: password hashings take a processor and megabytes each.
 * By locks on a file that has no name, which the kernel takes back from a
 * process that ends, however it does.
 */
#ifndef AUTH_GATE_H
#define AUTH_GATE_H

#include "base/err.h"

struct gate {
	int fd;
	unsigned places;
};

int gate_open(struct gate *g, unsigned places, struct err *e);
void gate_close(struct gate *g);
/* In a child: waits for a place; returns which one. Only the process's own alarm ends the waiting. */
unsigned gate_enter(const struct gate *g);
void gate_leave(const struct gate *g, unsigned place);

#endif
