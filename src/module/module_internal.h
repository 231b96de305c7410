/* SPDX-License-Identifier: ISC */
/* What the files of module/ share. */
#ifndef MODULE_MODULE_INTERNAL_H
#define MODULE_MODULE_INTERNAL_H

#include <pthread.h>

#include <posthouse/module.h>

#include "module/module.h"

#define MODULE_VERBS_MAX 64
#define MODULE_KEYWORDS_MAX 400 /* octets of all lines it adds to EHLO: what is ours must fit as well */

/* A verb with a function of the module. */
struct module_verb {
	posthouse_verb_function *run;
	enum hook_moment moment;
	char function[32]; /* "smtp_MAIL", for the log */
	char name[20];
	char syntax[80];
	struct command_verb verb; /* name, syntax: ours; used when added */
	bool added; /* the session does not know it */
};

/* The one channel there is: a worker has one session at a time. */
struct posthouse_channel {
	struct module *module;
	const struct session *session; /* NULL: none */
	void *data; /* the module's */
	const struct command_verb *verb; /* whose function is running; NULL: none's */
	struct smtp_reply reply; /* set by it; code 0: not */
	struct buf argument; /* set by it ... */
	bool has_argument; /* ... in this call */
	struct buf keywords; /* announced in this EHLO */
	struct buf line; /* POSTHOUSE_RECEIVED_LINE */
	bool in_data; /* the content is coming */
	bool data_open; /* data_begin() was called, and not yet data_end() or data_abort() */
	uint64_t num_bytes;
	const char *received; /* process_message's; NULL: it is not running */
	size_t received_len;
	char shown[80]; /* POSTHOUSE_ADDR */
};

struct posthouse_server {
	struct module *module;
	bool opening; /* open() is running */
	struct err error; /* it said why */
	bool has_error;
};

struct module {
	const struct module_settings *settings;
	void *object; /* dlopen's */
	struct posthouse_module desc; /* as far as the module has it, NULL beyond */
	void *state; /* the module's */
	const char **argv;
	const char *function; /* of the module that is running; NULL: none */
	pthread_t thread;
	struct posthouse_server server;
	struct posthouse_channel channel;
	struct session_hooks hooks;
	struct handler_processor processor;
	struct module_verb verb[MODULE_VERBS_MAX];
	size_t verb_count;
	struct buf keywords; /* "\nXPING 1 2" each */
	int conn_fd;
};

/* load.c: the object and its descriptor; nothing of it was called but its constructors. */
int module_load(struct module *m, struct err *e);
void module_unload(struct module *m);

/* module.c: around each call of a function of the module; what it had set before is forgotten. */
void module_enter(struct module *m, const char *function);
void module_leave(struct module *m);

/* What a function may answer besides PASS. */
enum module_answer { MODULE_NOTHING, MODULE_REFUSAL, MODULE_ANSWER };
/*
 * Behind module_leave: what it returned, and the reply it set. True: PASS. False: *reply is the answer, or
 * 421 when it was nonsense, which is logged. `function` is for the log.
 */
bool module_passes(struct module *m, const char *function, int returned, enum module_answer allowed,
		   struct smtp_reply *reply);

/* api.c */
extern const struct posthouse_api module_api;

/* hooks.c, front.c */
extern const struct session_hooks_ops module_hooks_ops;
enum handler_verdict module_process(struct handler_processor *p, const struct envelope *env,
				    const char *content, size_t len, struct smtp_reply *reply);

/* verbs.c: what open() adds; 0, or -1 and the server's error is set. */
int module_add_verb(struct module *m, const char *name, const char *syntax, unsigned flags,
		    posthouse_verb_function *run);
int module_add_keyword(struct module *m, struct buf *to, const char *line);
struct module_verb *module_find_verb(struct module *m, const char *name, size_t len);

#endif
