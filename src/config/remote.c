/* SPDX-License-Identifier: ISC */
/* See remote.h. */
#include "config/remote.h"

#include <stdio.h>
#include <string.h>

#include "config/options.h"

#define PROGRAM_MAILMAN "program:mailman"
#define LMTP_PREFIX "lmtp://"
#define LMTP_PORT 24 /* any private mail system (RFC 1700); Postfix's default, too */
#define SMTP_PORT 25

static int check_lmtp(const struct endpoint *ep, const char *text, struct err *e)
{
	if (ep->kind == ENDPOINT_TCP && ep->port == SMTP_PORT) {
		err_set(e, "\"%s\": port 25 is SMTP's, and LMTP must not be spoken there (RFC 2033)", text);
		return -1;
	}
	return 0;
}

int config_remote_parse(const char *text, int default_port, struct config_remote *out, struct err *e)
{
	bool lmtp = strncmp(text, LMTP_PREFIX, strlen(LMTP_PREFIX)) == 0;
	struct endpoint *ep = &out->endpoint;

	if (strcmp(text, PROGRAM_MAILMAN) == 0) {
		*out = (struct config_remote){ .program = true, .endpoint = { .kind = ENDPOINT_UNIX } };
		return 0;
	}
	if (!lmtp && strstr(text, "://")) {
		err_set(e,
			"\"%s\": write host:port, with nothing in front but lmtp://; tls says how it is "
			"encrypted",
			text);
		return -1;
	}
	*out = (struct config_remote){ .lmtp = lmtp };
	if (endpoint_parse(text + (lmtp ? strlen(LMTP_PREFIX) : 0), lmtp ? LMTP_PORT : default_port, ep, e) !=
	    0)
		return -1;
	if (ep->kind == ENDPOINT_UNIX && !lmtp) {
		err_set(e, "\"%s\": an upstream is reached by TCP only, but for lmtp://unix:PATH", text);
		return -1;
	}
	if (ep->kind == ENDPOINT_TCP && (!ep->host[0] || ep->port == 0 || strchr(ep->host, '='))) {
		err_set(e, "\"%s\": a host, and a port from 1 to 65535, are needed to connect to", text);
		return -1;
	}
	return lmtp ? check_lmtp(ep, text, e) : 0;
}

const char *config_remote_format(const struct config_remote *remote, char out[ENDPOINT_TEXT_MAX])
{
	char text[ENDPOINT_TEXT_MAX];

	if (remote->program)
		return strcpy(out, PROGRAM_MAILMAN);
	snprintf(out, ENDPOINT_TEXT_MAX, "%s%.290s", remote->lmtp ? LMTP_PREFIX : "",
		 endpoint_format(&remote->endpoint, text));
	return out;
}

enum upstream_tls config_remote_default_tls(const struct config_remote *remote)
{
	return remote->lmtp || remote->program ? UPSTREAM_TLS_NONE : config_default_tls(&remote->endpoint);
}
