/* SPDX-License-Identifier: ISC */
/*
 * The figures as text. OpenMetrics 1.0 is what is asked for by name; the older text format of Prometheus
 * (0.0.4) is what node_exporter's textfile collector and promtool read. They differ in where "_total" stands,
 * in UNIT and in the end. Reads nothing but figures.h.
 */
#ifndef FIGURES_RENDER_H
#define FIGURES_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum figures_format { FIGURES_OPENMETRICS, FIGURES_PROMETHEUS };

#define FIGURES_TEXT_MAX (16 << 20)

/* False: out's ceiling was too low; what stands in it is of no use. */
bool figures_render(struct buf *out, enum figures_format format, int64_t now_wall_us, int64_t now_mono_ms);
/* For Content-Type. */
const char *figures_content_type(enum figures_format format);

#endif
