/* SPDX-License-Identifier: ISC */
/* Of send_message.c: the options that build a message. */
#ifndef CLI_SEND_COMPOSE_H
#define CLI_SEND_COMPOSE_H

#include "cli/send_message.h"

/* As send_message_take, of send_compose_options. */
bool send_compose_take(struct send_message *m, struct cli *cli, int key, const char *value, enum cli_status *status);
/* Reads the texts, and fills in m->compose. Not DONE: it is said what is wrong. */
enum cli_status send_compose_settle(struct send_message *m);

/* One more value; false, with *status: there are too many. */
bool send_values_add(struct send_values *v, const char *value, const char *name, const struct cli *cli,
		     enum cli_status *status);
/* A file, "-" is standard input, behind what is in out. Not DONE: it is said what is wrong. */
enum cli_status send_read_whole(const char *path, size_t most, struct buf *out);

#endif
