/* SPDX-License-Identifier: ISC */
/*
 * A shared object that takes part in sessions (include/posthouse/module.h is what it knows of us): smtpd's
 * channel_class through session/hooks.h, process_message() through handler/module_handler.h, and in front of
 * any handler through a handler of its own. Runs in a worker, after rights are dropped.
 *
 * What a module answers is looked at before anybody acts on it. Nonsense is logged (event=module_fault) and
 * becomes 421 4.3.0, so that the session ends. What it does to the process nobody can look at: the guard
 * tells the world around whose code is running, for a crash or one that does not come back.
 */
#ifndef MODULE_MODULE_H
#define MODULE_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "handler/module_handler.h"
#include "session/hooks.h"

struct module;

/* Told when a function of the module is called and when it is back. */
struct module_guard {
	void (*enter)(void *ctx, const char *module,
		      const char *function); /* the strings outlive the call's end */
	void (*leave)(void *ctx);
	void *ctx;
};

/* All of it outlives the module. */
struct module_settings {
	const char *path;
	int fd; /* the same, opened before somebody put another file there; -1: it is opened by path */
	const char *const *argument;
	size_t argument_count;
	const char *handler; /* "module", "spool" ...: its own name, not its class */
	const char *hostname;
	uint64_t data_size_limit_bytes;
	bool decode_data, enable_smtputf8;
	const struct module_guard *guard; /* NULL: nobody is told */
};

/*
 * Loads it and calls its open(). NULL and e: there is no such file, others may write to it, it is no module,
 * one of another ABI, or it does not want to. Code of it has run then, too.
 */
struct module *module_open(const struct module_settings *settings, struct err *e);
/* Calls its close(); its hooks, processor and front are not used any more. NULL is allowed. */
void module_close(struct module *m);

/* For session_config.hooks. */
struct session_hooks *module_hooks(struct module *m);
/* For handler_setup.processor; NULL: it has no process_message(). */
struct handler_processor *module_processor(struct module *m);
/* In front of `next`, which is closed with it: asks the module about senders, recipients and content. */
struct handler *module_front_open(struct module *m, struct handler *next);
/* The socket of the sessions from here on, for posthouse_api.number() and text(); -1: they have none. */
void module_connected(struct module *m, int fd);

#endif
