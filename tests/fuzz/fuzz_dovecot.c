/* SPDX-License-Identifier: ISC */
/*
 * What Dovecot's socket says: lines of the handshake until it is done, then
 * replies. Promise: mechanisms and challenges that are passed on are such and
 * nothing else, a user's name has no controls, and memory has its ceilings.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/dovecot_protocol.h"
#include "base/alloc.h"
#include "fuzz.h"

static void check_mechanisms(const struct dovecot_handshake *h)
{
	ASSERT(h->mechanisms.len <= DOVECOT_MECHANISMS_MAX);
	ASSERT(strspn(h->mechanisms.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ ") == h->mechanisms.len);
	ASSERT(h->lines <= DOVECOT_HANDSHAKE_LINES_MAX + 1);
}

static void check_reply(char *line)
{
	struct dovecot_reply r;
	struct err e = { 0, "" };

	dovecot_reply_parse(line, &r, &e);
	switch (r.kind) {
	case DOVECOT_REPLY_OTHER:
		break;
	case DOVECOT_REPLY_CONT:
		ASSERT(dovecot_is_base64(r.challenge) && !strpbrk(r.challenge, "\r\n\t "));
		break;
	case DOVECOT_REPLY_OK:
		ASSERT(r.user[0] && memchr(r.user, '\0', sizeof(r.user)));
		for (const char *p = r.user; *p; p++)
			ASSERT((unsigned char)*p >= ' ' && *p != 0x7f);
		break;
	case DOVECOT_REPLY_FAIL:
	case DOVECOT_REPLY_TEMPORARY:
	case DOVECOT_REPLY_BAD:
		ASSERT(memchr(e.text, '\0', sizeof(e.text)));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum dovecot_step step = DOVECOT_MORE;
	struct dovecot_handshake h;
	char *text, *rest, *line;
	struct err e;

	if (size > 1 << 16)
		return 0;
	text = mem_alloc(size + 1);
	memcpy(text, data, size);
	rest = text;
	dovecot_handshake_init(&h);
	while ((line = strsep(&rest, "\n")) && step != DOVECOT_BAD) {
		if (step == DOVECOT_MORE)
			step = dovecot_handshake_line(&h, line, &e);
		else
			check_reply(line);
	}
	check_mechanisms(&h);
	dovecot_handshake_release(&h);
	free(text);
	return 0;
}
