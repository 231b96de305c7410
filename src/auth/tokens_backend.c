/* SPDX-License-Identifier: ISC */
/* A backend that knows nobody (backend.h): for a service whose clients all log in with OAuth 2 tokens. */
#include <stdlib.h>

#include "auth/backend.h"
#include "base/alloc.h"

static int no_mechanisms(struct auth_backend *b, struct buf *out, struct err *e)
{
	(void)b;
	(void)out;
	(void)e;
	return 0;
}

static void tokens_close(struct auth_backend *b)
{
	free(b);
}

static const struct auth_backend_ops tokens_ops = {
	.name = "introspection of tokens",
	.mechanisms = no_mechanisms,
	.close = tokens_close,
};

struct auth_backend *auth_tokens_open(void)
{
	struct auth_backend *b = mem_alloc(sizeof(*b));

	b->ops = &tokens_ops;
	return b;
}
