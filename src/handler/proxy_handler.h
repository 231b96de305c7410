/* SPDX-License-Identifier: ISC */
/*
 * The handler "proxy", smtpd's PureProxy: no spool. Each MAIL, RCPT and DATA
 * of the client runs its twin with an upstream, the content streams through,
 * and what the upstream answers is what the client hears. So nothing is ever
 * ours: a message that the client was told 250 for has been taken by the
 * upstream, and one that was not is still the client's.
 */
#ifndef HANDLER_PROXY_HANDLER_H
#define HANDLER_PROXY_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handler/handler.h"
#include "manage/route.h"
#include "upstream/retry.h"
#include "upstream/upstream.h"

struct control;

struct proxy_remote {
	const char *name; /* as in the configuration */
	unsigned weight; /* as in upstream/remotes.h */
	struct upstream_settings settings;
};

struct proxy_upstream {
	const char *name;
	const struct proxy_remote *remote; /* at least one */
	size_t remote_count;
	unsigned messages_per_connection; /* 0: no limit */
	unsigned recipients_per_message; /* 0: no limit */
	int64_t connection_max_age_ms; /* 0: no limit */
	struct retry_limits probe; /* how long an address that failed is left alone while there is another */
};

/* All of it outlives the handler. */
struct proxy_setup {
	const struct proxy_upstream *upstream; /* at least one */
	size_t upstream_count;
	const struct routes *routes;
	struct control *control; /* the service stops: no upstream is waited for beyond the grace time */
	bool x_peer; /* the header field X-Peer is added, as smtpd does it */
	bool trace; /* the dialogue with the upstream goes to the log */
};

extern const struct handler_kind handler_proxy;

#endif
