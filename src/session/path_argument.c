/* SPDX-License-Identifier: ISC */
/* See path_argument.h. */
#include "session/path_argument.h"

#include <string.h>
#include <strings.h>

#include "session/session_internal.h"

bool path_argument_read(struct session *s, const char *verb, const char *keyword, const char *arg, size_t len,
			unsigned path_flags, struct path_argument *out)
{
	const char *p = arg, *end = arg + len, *why = NULL;
	size_t keyword_len = strlen(keyword), used;
	bool ok = false;

	path_flags |= SMTP_PATH_UTF8_OK | (s->cfg->unqualified_addresses ? SMTP_PATH_UNQUALIFIED_OK : 0);
	if (len >= keyword_len && strncasecmp(p, keyword, keyword_len) == 0) {
		/* a blank behind the colon is wrong (RFC 5321 3.3) and common: smtpd's own syntax text has it */
		for (p += keyword_len; p < end && *p == ' ';)
			p++;
		ok = smtp_path_parse(p, (size_t)(end - p), path_flags, &out->path, &used, &why) == 0 &&
		     smtp_params_parse(p + used, (size_t)(end - p) - used, &out->params, &why) == 0;
	}
	/* parameters exist only in ESMTP (RFC 5321 4.1.1.11) */
	if (ok && out->params.count > 0 && !s->extended)
		ok = false;
	if (!ok)
		session_reply_syntax(s, command_find(verb, strlen(verb)), why);
	return ok;
}
