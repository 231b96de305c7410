/* SPDX-License-Identifier: ISC */
/*
 * The TLS of all listeners: what the configuration says made into contexts,
 * read again when its files change (reload.h), its ticket keys turned, and a
 * warning while a certificate nears its end. Runs in the master; the workers
 * inherit what is in use. Private keys are kept for the key process, with a
 * line to it for each set of them, and read by nobody here.
 */
#ifndef DAEMON_LISTENER_TLS_H
#define DAEMON_LISTENER_TLS_H

#include "base/control.h"
#include "config/config.h"
#include "daemon/reload.h"
#include "listener/tls.h"

struct listener_tls;

/* Nothing is read yet. Freed by the registry it is registered in. */
struct listener_tls *listener_tls_new(const struct config *cfg);
/*
 * Another configuration is in use now, and this one may follow it: the keys of its tickets stay good, and a
 * certificate that has expired is refused, unless it had when it was in use before.
 */
void listener_tls_follow(struct listener_tls *t, struct listener_tls *before);
/* It does follow: `before` is to be freed next. */
void listener_tls_take_over(struct listener_tls *t);
/* The certificates of all listeners, as one thing: a new one that does not fit keeps all of them as they were. */
void listener_tls_register(struct listener_tls *t, struct reload *r);

/* In use for the index-th listener of the configuration; NULL: it has no TLS. */
const struct tls_server *listener_tls_server(const struct listener_tls *t, size_t index);

/* Another number after each change of what is in use: then the keys are others, and want another key process. */
unsigned listener_tls_turn(const struct listener_tls *t);
/* In a worker: asks the key process from now on, and can have nothing else of the keys. */
void listener_tls_ask_keys(struct listener_tls *t, struct control *control);
/* In the key process: what is in use, to be closed: keys (keys/vault.h), and the line on which it is asked. */
void listener_tls_take_keys(struct listener_tls *t, int *vault_fd, int *line_fd);

/* Logs what is near its end, or past it, once a day. Call once a second. Ticket keys are turned, too. */
void listener_tls_tick(struct listener_tls *t);
/* The same at once, as text. */
void listener_tls_warnings(const struct listener_tls *t, void (*report)(void *ctx, const char *text), void *ctx);

#endif
