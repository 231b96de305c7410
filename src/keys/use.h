/* SPDX-License-Identifier: ISC */
/* One request of protocol.h answered with the keys of a vault: whether that is what the key is for, then OpenSSL. */
#ifndef KEYS_USE_H
#define KEYS_USE_H

#include <stddef.h>

#include "keys/protocol.h"
#include "keys/vault.h"

/* len: of what was received, which may be anything. Fills *answer, whatever comes of it. Any thread. */
void keys_use(const struct vault *v, const struct keys_request *request, size_t len,
	      struct keys_answer *answer);

#endif
