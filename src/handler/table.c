/* SPDX-License-Identifier: ISC */
/* The handlers that there are (see handler.h): to add one, add it here. */
#include "handler/handler.h"

#include <stdio.h>
#include <string.h>

#include "handler/debug.h"
#include "handler/exec_handler.h"
#include "handler/module_handler.h"
#include "handler/proxy_handler.h"
#include "handler/spool_handler.h"

static const struct handler_kind *const kinds[] = { &handler_spool,  &handler_proxy,  &handler_mailman,
						    &handler_exec,   &handler_module, &handler_debug };

#define KINDS (sizeof(kinds) / sizeof(*kinds))

const struct handler_kind *handler_kind_find(const char *name)
{
	const char *class = strncmp(name, "smtpd.", 6) == 0 ? name + 6 : name;

	for (size_t i = 0; i < KINDS; i++) {
		const struct handler_ops *ops = kinds[i]->ops;

		if (strcmp(ops->name, name) == 0 ||
		    (ops->smtpd_class && strcmp(ops->smtpd_class, class) == 0))
			return kinds[i];
	}
	return NULL;
}

const char *handler_kind_names(void)
{
	static char names[256];
	size_t len = 0;

	for (size_t i = 0; i < KINDS && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i > 0 ? ", " : "",
					kinds[i]->ops->name);
	return names;
}
