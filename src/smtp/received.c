/* SPDX-License-Identifier: ISC */
/* See received.h. */
#include "smtp/received.h"

#include <stdio.h>
#include <string.h>

#include "smtp/date.h"
#include "smtp/path.h"

#define USER_MAX 255
#define CIPHER_MAX 100

const char *smtp_peer_address(const char *peer, char out[SMTP_PEER_ADDRESS_MAX])
{
	const char *end = strrchr(peer, ':');
	size_t len;

	if (strncmp(peer, "unix:", 5) == 0) {
		end = peer + 4;
	} else if (peer[0] == '[') {
		end = strchr(++peer, ']');
	}
	len = end ? (size_t)(end - peer) : strlen(peer);
	snprintf(out, SMTP_PEER_ADDRESS_MAX, "%.*s", (int)(len < SMTP_PEER_ADDRESS_MAX ? len : 0), peer);
	return out;
}

/*
 * What a client called itself: a domain or literal as it is; anything else
 * loses what RFC 5322 gives a meaning to (comments, folding, ';' before the
 * date, quoting).
 */
static void put_helo(struct buf *b, const char *helo)
{
	size_t len = strlen(helo);

	if (len > SMTP_DOMAIN_MAX)
		len = SMTP_DOMAIN_MAX;
	if (len == 0) {
		buf_adds(b, "unknown");
	} else if (smtp_is_domain(helo, len) || smtp_is_address_literal(helo, len)) {
		buf_add(b, helo, len);
	} else {
		for (size_t i = 0; i < len; i++)
			buf_addc(b, helo[i] > ' ' && helo[i] < 0x7f && !strchr("()<>\\\",;@", helo[i])
					    ? helo[i]
					    : '?');
	}
}

/* TCP-info = address-literal, in parentheses; a local client's credentials take its place */
static void put_peer(struct buf *b, const char *peer)
{
	char address[SMTP_PEER_ADDRESS_MAX];

	/* "unix:uid=1000,pid=42": the process is gone when somebody reads this, the log has its id */
	if (strncmp(peer, "unix:", 5) == 0)
		buf_addf(b, " (unix %.*s)", (int)strcspn(peer + 5, ","), peer + 5);
	else if (smtp_peer_address(peer, address)[0] != '\0')
		buf_addf(b, " ([%s%s])", strchr(address, ':') ? "IPv6:" : "", address);
}

/* A comment, folded as it may be long. What ends or nests comments, and what is no ASCII, does not get into it. */
static void put_user(struct buf *b, const char *user)
{
	buf_adds(b, "\r\n\t(authenticated as ");
	for (size_t i = 0; i < USER_MAX && user[i]; i++)
		buf_addc(b, user[i] > ' ' && user[i] < 0x7f && !strchr("()\\", user[i]) ? user[i] : '?');
	buf_adds(b, ")");
}

/* Only what can stand in a header field of this message: non-ASCII needs SMTPUTF8 (RFC 6532 3.2). */
static bool may_stand(const char *address, bool smtputf8)
{
	for (; *address; address++)
		if ((unsigned char)*address < ' ' || *address == 0x7f ||
		    ((unsigned char)*address > 0x7f && !smtputf8))
			return false;
	return true;
}

bool smtp_received_write(struct buf *out, const struct envelope *env, const char *hostname, int64_t wall_us,
			 bool show_user)
{
	char date[SMTP_DATE_MAX];
	struct buf b;
	bool ok;

	buf_init(&b, SMTP_RECEIVED_MAX);
	buf_adds(&b, "Received: from ");
	put_helo(&b, env->helo);
	put_peer(&b, env->peer);
	if (show_user && env->auth_user)
		put_user(&b, env->auth_user);
	buf_addf(&b, "\r\n\tby %.*s with %.20s", SMTP_DOMAIN_MAX, hostname, env->protocol);
	if (env->id[0])
		buf_addf(&b, " id %s", env->id);
	if (env->rcpt_count == 1 && may_stand(env->rcpt[0].address, env->smtputf8))
		buf_addf(&b, "\r\n\tfor <%.*s>", SMTP_PATH_MAX, env->rcpt[0].address);
	if (env->tls_cipher) /* RFC 8314 4.3 */
		buf_addf(&b, "\r\n\ttls %.*s", CIPHER_MAX, env->tls_cipher);
	buf_addf(&b, ";\r\n\t%s\r\n", smtp_date_format(wall_us, date));
	ok = buf_add(out, b.data, b.len);
	buf_release(&b);
	return ok;
}
