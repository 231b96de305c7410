/* SPDX-License-Identifier: ISC */
/* See inherit.h. */
#include "daemon/inherit.h"

#include <stddef.h>

#include "base/descriptors.h"
#include "daemon/reload.h"

enum {
	WORKER = 1 << ROLE_WORKER,
	RELAY = 1 << ROLE_RELAY,
	AUTH = 1 << ROLE_AUTH,
	PROGRAMS = 1 << ROLE_PROGRAMS,
	KEYS = 1 << ROLE_KEYS,
	MONITOR = 1 << ROLE_MONITOR
};

#define AT(member) offsetof(struct service, member)

/* Of a pair, who reads and who writes. */
static const struct {
	size_t at; /* an int of struct service */
	unsigned roles; /* that keep it */
} descriptors[] = {
	{ AT(lock_fd), RELAY }, /* an old worker may finish its session beside a new service */
	{ AT(unsaved_fd), RELAY },
	{ AT(notice_fd[0]), RELAY },
	{ AT(notice_fd[1]), WORKER },
	{ AT(event_fd[0]), RELAY },
	{ AT(event_fd[1]), WORKER | AUTH | PROGRAMS | KEYS | MONITOR }, /* their log lines go there */
	{ AT(auth_fd[0]), AUTH },
	{ AT(auth_fd[1]), WORKER },
	{ AT(program_fd[0]), PROGRAMS },
	{ AT(program_fd[1]), WORKER | RELAY },
	{ AT(probe_fd[0]), WORKER },
	{ AT(probe_fd[1]), MONITOR },
};

void inherit_as(struct service *s, enum child_role role)
{
	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
		if (!(descriptors[i].roles & 1u << role))
			descriptors_close((int *)(void *)((char *)s + descriptors[i].at));
	/* were others to hold the sockets, they would stay open when master and workers are gone */
	if (role != ROLE_WORKER)
		listening_release(&s->listening, false);
	if (role != ROLE_MONITOR)
		listening_release(&s->metrics, false);
	if (role == ROLE_WORKER)
		return;
	reload_free(s->reload); /* what the key process has of certificates among it */
	s->reload = NULL;
}
