/* SPDX-License-Identifier: ISC */
/* `posthouse send` as a load generator: its options, and what its figures look like. */
#ifndef CLI_SEND_LOAD_H
#define CLI_SEND_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"
#include "submit/load.h"

struct send_load {
	bool asked; /* some option of it was given */
	uint64_t repeat; /* 0: each message once */
	size_t connections; /* 0: one */
	uint64_t per_connection; /* 0: all */
	double rate; /* 0: as fast as it goes */
	bool has_size;
	uint64_t size_bytes; /* of the message that is made */
	bool json;
};

extern const struct args_option send_load_options[];
/* An option of that table; false: it is none of its. Not DONE in *status: it is said what is wrong. */
bool send_load_take(struct send_load *l, struct cli *cli, int key, const char *value,
		    enum cli_status *status);

/* On standard output, as a table or as one JSON object. */
void send_load_print(const struct load_figures *f, const struct load *l, bool json);
/* The exit status that figures make. */
enum cli_status send_load_status(const struct load_figures *f);

#define LOAD_TIME_MAX 16
/* "0.812 ms", "12.3 ms", "1.23 s": three digits that count; returns out. Exposed for the tests. */
const char *send_load_time(uint64_t us, char out[LOAD_TIME_MAX]);

#endif
