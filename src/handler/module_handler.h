/* SPDX-License-Identifier: ISC */
/*
 * The handler "module": smtpd's SMTPServer with a process_message() of somebody else's, who is behind an
 * interface (implemented by module/) and gets each message whole. It waits in a file without a name until
 * then, so memory does not grow with it.
 */
#ifndef HANDLER_MODULE_HANDLER_H
#define HANDLER_MODULE_HANDLER_H

#include "handler/handler.h"

enum processor_content {
	PROCESSOR_SMTPD, /* lines ended by LF, the last one by nothing */
	PROCESSOR_CRLF, /* as it came */
	PROCESSOR_NONE /* none is wanted */
};

struct handler_processor { /* embedded as first member */
	enum processor_content content;
	/*
	 * A message, complete; a NUL stands behind its len octets; NULL, 0: none was wanted. The verdict's
	 * reply is the client's, as for handler_ops.data_end.
	 */
	enum handler_verdict (*process)(struct handler_processor *p, const struct envelope *env,
					const char *content, size_t len, struct smtp_reply *reply);
};

extern const struct handler_kind handler_module;

#endif
