/* SPDX-License-Identifier: ISC */
/* See facts.h. */
#include "handler/facts.h"

#include <stdio.h>
#include <string.h>

const struct handler_facts handler_facts[HANDLER_COUNT] = {
	[HANDLER_SPOOL] = { .name = "spool", .relays = true, .spools = true },
	[HANDLER_PROXY] = { .name = "proxy", .smtpd_class = "PureProxy", .relays = true },
	[HANDLER_MAILMAN] = { .name = "mailman",
			      .smtpd_class = "MailmanProxy",
			      .relays = true,
			      .spools = true },
	/* as smtpd's SMTPServer: the message ends here, whatever the program or the module does with it */
	[HANDLER_EXEC] = { .name = "exec" },
	[HANDLER_MODULE] = { .name = "module" },
	[HANDLER_DEBUG] = { .name = "debug", .smtpd_class = "DebuggingServer" },
};

enum handler_id handler_find(const char *name)
{
	const char *class = strncmp(name, "smtpd.", 6) == 0 ? name + 6 : name;

	for (unsigned i = 0; i < HANDLER_COUNT; i++) {
		const struct handler_facts *f = &handler_facts[i];

		if (strcmp(f->name, name) == 0 || (f->smtpd_class && strcmp(f->smtpd_class, class) == 0))
			return (enum handler_id)i;
	}
	return HANDLER_COUNT;
}

const char *handler_names(void)
{
	static char names[256];
	size_t len = 0;

	for (unsigned i = 0; i < HANDLER_COUNT && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i > 0 ? ", " : "",
					handler_facts[i].name);
	return names;
}
