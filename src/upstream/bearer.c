/* SPDX-License-Identifier: ISC */
/* See bearer.h. */
#include "upstream/bearer.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void bearer_read_challenge(const char *base64, char out[BEARER_REASON_MAX])
{
	unsigned char decoded[BEARER_REASON_MAX + 2];
	size_t len = strcspn(base64, "\n"), room = (BEARER_REASON_MAX - 1) / 3 * 4;
	int n;

	out[0] = '\0';
	/* groups of four are a text of their own: what is too long can be cut between them */
	len = (len < room ? len : room) / 4 * 4;
	n = EVP_DecodeBlock(decoded, (const unsigned char *)base64, (int)len);
	if (n <= 0 || decoded[0] != '{')
		return;
	for (; n > 0 && decoded[n - 1] == '\0'; n--)
		; /* what padding became */
	for (int i = 0; i < n; i++)
		out[i] = (char)(decoded[i] >= ' ' && decoded[i] < 0x7f ? decoded[i] : '?');
	out[n] = '\0';
}

void bearer_explain(struct smtp_reply *reply, const char *reason)
{
	size_t len = strlen(reply->text);

	if (reason[0])
		snprintf(reply->text + len, sizeof(reply->text) - len, "%s(%s)", len ? " " : "", reason);
}
