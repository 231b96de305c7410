/* SPDX-License-Identifier: ISC */
/* The handlers that there are (see handler.h): to add one, add it here and to facts.h. */
#include "handler/handler.h"

#include "handler/debug.h"
#include "handler/exec_handler.h"
#include "handler/module_handler.h"
#include "handler/proxy_handler.h"
#include "handler/spool_handler.h"

static const struct handler_kind *const kinds[HANDLER_COUNT] = {
	[HANDLER_SPOOL] = &handler_spool,     [HANDLER_PROXY] = &handler_proxy,
	[HANDLER_MAILMAN] = &handler_mailman, [HANDLER_EXEC] = &handler_exec,
	[HANDLER_MODULE] = &handler_module,   [HANDLER_DEBUG] = &handler_debug,
};

const struct handler_kind *handler_kind_find(const char *name)
{
	enum handler_id id = handler_find(name);

	return id == HANDLER_COUNT ? NULL : kinds[id];
}
