/* SPDX-License-Identifier: ISC */
/* The dialogue with a server, shown on standard error: `posthouse send -v`, `posthouse doctor -v`. */
#ifndef CLI_TRANSCRIPT_H
#define CLI_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>

/* One line of it: "C: MAIL ..." and "S: 250 ...". */
void transcript_line(bool from_server, const char *text, size_t len);

#endif
