/* SPDX-License-Identifier: ISC */
/*
 * Overwrites what OpenSSL gives back. It clears keys as it knows them, but not what it made on its way to them (the
 * decoded file, numbers as parameters).
 */
#ifndef LISTENER_TLS_MEMORY_H
#define LISTENER_TLS_MEMORY_H

#include <stdbool.h>

/* From now on, in this process and those it forks. False: OpenSSL has memory already; before all else, then. */
bool tls_memory_wipe_freed(void);

#endif
