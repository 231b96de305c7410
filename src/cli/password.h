/* SPDX-License-Identifier: ISC */
/*
 * A password, or another secret, from a person at the terminal, or from standard input; never from the command line, which
 * everybody sees.
 */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include <stddef.h>

#include "base/err.h"

/*
 * Asks on the terminal (/dev/tty), without echo, twice: both must be the same. A signal that ends or stops us
 * at the prompt finds the terminal as it was. out: cap octets, for the caller to overwrite. -1 and e.
 */
int password_ask(const char *whose, char *out, size_t cap, struct err *e);
/* The same once, for a secret that is not new: `prompt` as it is to stand there. */
int password_ask_once(const char *prompt, char *out, size_t cap, struct err *e);
/* One line of standard input, without its newline; what follows is left. */
int password_read(char *out, size_t cap, struct err *e);

#endif
