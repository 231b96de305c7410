/* SPDX-License-Identifier: ISC */
/*
 * The worker's side of protocol.h: asks the key process and waits for its
 * answer. One line for the whole process, as OpenSSL asks from the depth of a
 * handshake (provider.c). Blocks, KEYS_WAIT_MS at most and no longer than the
 * service runs. When the key process dies the question is put once more to the
 * next one.
 */
#ifndef KEYS_CLIENT_H
#define KEYS_CLIENT_H

#include <stdbool.h>

#include "base/control.h"
#include "keys/protocol.h"

/*
 * In a worker. The line's write end stays the caller's. -1: nobody can be asked (the start). A new line ends what
 * was on the old.
 */
void keys_client_use(int line_fd, struct control *control);

/* Returns whether *answer is one, and done. The request's version is filled in. */
bool keys_client_ask(struct keys_request *request, struct keys_answer *answer);

/* Why the last question had no good answer, in words for operators; NULL: it had, or nothing was asked. */
const char *keys_client_trouble(void);
void keys_client_forget_trouble(void);

#endif
