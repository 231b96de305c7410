/* SPDX-License-Identifier: ISC */
/* See ask.h. */
#include "cli/ask.h"

#include "cli/json.h"

enum daemon_found ask_daemon(const char *spool_path, const char *what, int timeout_ms, json_t **answer, struct err *e)
{
	enum daemon_found found;
	json_t *request;
	struct daemon *d;

	*answer = NULL;
	found = daemon_connect(&d, spool_path, DAEMON_VIEW, e);
	if (found != DAEMON_CONNECTED)
		return found;
	request = json_object();
	json_put_key(request, "ask", json_string(what));
	if (daemon_send(d, request, e) == 0)
		*answer = daemon_receive(d, timeout_ms, e);
	daemon_close(d);
	return *answer ? DAEMON_CONNECTED : DAEMON_FAILED;
}
