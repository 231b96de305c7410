/* SPDX-License-Identifier: ISC */
/*
 * Counting, into memory that the processes of a service share. Like the log it is there for everyone, and
 * does nothing in a program that did not open it.
 *
 * There is a piece of memory for each area of the table. A child gives up those that are not its own
 * (figures_become) and cannot get them back: a worker that was taken over can lie about workers, and about
 * nothing else. The monitor, which reads them all, maps what is not its own so that it can never be written to.
 * Cells are added to without locks; text is never in there.
 */
#ifndef FIGURES_FIGURES_H
#define FIGURES_FIGURES_H

#include <stdint.h>
#include <stddef.h>

#include "base/err.h"
#include "figures/table.h"

/* By the master, before the first fork; the figures begin at zero. */
int figures_open(struct err *e);
void figures_close(void);
/*
 * By a child, first of all: it counts in that area. FIGURES_OF_MONITOR reads the others, too.
 */
void figures_become(enum figures_area area);
void figures_become_nobody(void); /* it counts nothing */
/* Gauges of an area back to zero: what its last process said of itself holds no more. */
void figures_reset_gauges(enum figures_area area);

/*
 * Names are the master's, and known to children that are forked later. A configuration that is taken into
 * use calls figures_names_renew and then names all it has: gauges of others are not shown any more, counters
 * are kept. Both return its index.
 */
void figures_names_renew(void);
unsigned figures_name(enum figures_names kind, const char *name);
unsigned figures_find(enum figures_names kind, const char *name);
/* NULL: there is none with that index. For render.h. */
const char *figures_name_at(enum figures_names kind, unsigned index, int *in_use);

/*
 * By whoever counts; a and b are indices of the labels' values, 0 where there is no label, and such that are
 * none are the last one's. What is not of the own area is dropped.
 */
void figures_add(enum figure f, unsigned a, unsigned b, uint64_t n);
void figures_set(enum figure f, unsigned a, unsigned b, int64_t value);
void figures_observe(enum figure f, unsigned a, int64_t value); /* histograms have one label */

/* Counters and gauges; 0 where nothing is mapped. */
int64_t figures_get(enum figure f, unsigned a, unsigned b);
/* A counter over all values of its labels. */
uint64_t figures_sum(enum figure f);
/* Copies the buckets (figure_bounds_count + 1 of them, each by itself) and the sum of what was observed. */
void figures_histogram(enum figure f, unsigned a, uint64_t *bucket, int64_t *sum);

#endif
