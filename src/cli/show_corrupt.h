/* SPDX-License-Identifier: ISC */
/* posthouse show, for a message that was put aside: what is left of it. */
#ifndef CLI_SHOW_CORRUPT_H
#define CLI_SHOW_CORRUPT_H

#include "cli/cli.h"
#include "cli/corrupt.h"

void show_corrupt_text(const struct cli *cli, const struct corrupt *c, int64_t now_wall_us);
void show_corrupt_json(const struct corrupt *c);
/* The file as it lies there; escaped on a terminal. */
enum cli_status show_corrupt_raw(const struct cli *cli, const struct corrupt *c);

#endif
