/* SPDX-License-Identifier: ISC */
/* See status.h. */
#include "sendmail/status.h"

#include <string.h>
#include <sysexits.h>

/* Enhanced codes (RFC 3463) by their beginning; the first that fits. */
static const struct {
	const char *enhanced;
	int status;
} meanings[] = {
	{ "5.1.1", EX_NOUSER }, { "5.1.2", EX_NOHOST }, { "5.1.3", EX_NOUSER }, { "5.1.6", EX_NOUSER },
	{ "5.1.7", EX_DATAERR }, { "5.5.2", EX_DATAERR }, { "5.5.4", EX_DATAERR },
	{ "5.6.", EX_DATAERR },	 { "5.7.", EX_NOPERM },
};

int sendmail_status(enum upstream_phase phase, const struct smtp_reply *reply)
{
	if (!smtp_reply_is_permanent(reply))
		return EX_TEMPFAIL;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strncmp(reply->enhanced, meanings[i].enhanced, strlen(meanings[i].enhanced)) == 0)
			return meanings[i].status;
	/* RFC 5321 4.2.3: mailbox not found, not local, name not allowed */
	if (phase == UPSTREAM_RCPT && !reply->enhanced[0] &&
	    (reply->code == 550 || reply->code == 551 || reply->code == 553))
		return EX_NOUSER;
	return EX_UNAVAILABLE;
}

int sendmail_worse(int a, int b)
{
	if (a == EX_OK || b == EX_TEMPFAIL)
		return b == EX_OK ? a : b;
	return a;
}
