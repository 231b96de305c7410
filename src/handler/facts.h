/* SPDX-License-Identifier: ISC */
/*
 * Which handlers there are, and what everybody must know of one without having it: the configuration and
 * programs that run none ask here. Constant data, links nothing; what a handler does is in its own file
 * (handler.h).
 */
#ifndef HANDLER_FACTS_H
#define HANDLER_FACTS_H

#include <stdbool.h>

/* In the order in which messages and usage texts name them. */
enum handler_id {
	HANDLER_SPOOL,
	HANDLER_PROXY,
	HANDLER_MAILMAN,
	HANDLER_EXEC,
	HANDLER_MODULE,
	HANDLER_DEBUG,
	HANDLER_COUNT
};

struct handler_facts {
	const char *name; /* as in `handler = "..."` */
	const char *smtpd_class; /* as in `-c CLASS`; NULL when there is none */
	/* true: accepted mail leaves this machine, so a peer must be allowed to relay */
	bool relays;
	/* true: accepted mail is in the spool, so there must be a spool, and a relay that drains it */
	bool spools;
};
extern const struct handler_facts handler_facts[HANDLER_COUNT];

/* By name or smtpd class name (also "smtpd.DebuggingServer"); HANDLER_COUNT when there is none. */
enum handler_id handler_find(const char *name);
/* "spool, mailman, debug": for messages and usage texts. Constant, never NULL. */
const char *handler_names(void);

#endif
