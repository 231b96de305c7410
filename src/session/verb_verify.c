/* SPDX-License-Identifier: ISC */
/*
 * VRFY and EXPN (RFC 5321 3.5, RFC 6531 3.7.4.2). What there is to tell, and
 * to whom, is the policy's business; who is told nothing learns nobody's name
 * from us (7.3).
 */
#include <string.h>
#include <strings.h>

#include "session/session_internal.h"
#include "smtp/path.h"

/* "... SMTPUTF8" behind the address: taken off. */
static bool take_smtputf8(const struct session *s, const char *arg, size_t *len)
{
	static const char word[] = " SMTPUTF8";
	size_t word_len = sizeof(word) - 1;

	if (!s->extended || !session_offers(s, SMTP_SMTPUTF8) || *len <= word_len ||
	    strncasecmp(arg + *len - word_len, word, word_len) != 0)
		return false;
	for (*len -= word_len; *len > 0 && arg[*len - 1] == ' ';)
		--*len;
	return true;
}

/* What of it is an address; a user's name in words, which RFC 5321 allows too, is none. */
static bool is_address(const char *arg, size_t len, struct smtp_path *path)
{
	const char *why;
	size_t used;

	return smtp_path_parse(arg, len, SMTP_PATH_UNQUALIFIED_OK | SMTP_PATH_UTF8_OK, path, &used, &why) ==
		       0 &&
	       used == len;
}

static void verify(struct session *s, const char *arg, size_t len, bool expand,
		   const struct smtp_reply *nothing)
{
	struct session_client client = session_client(s);
	struct session_policy *policy = s->cfg->policy;
	struct smtp_reply reply = { .code = 0 };
	bool utf8 = take_smtputf8(s, arg, &len);
	struct smtp_path path;

	if (!is_address(arg, len, &path)) {
		if (expand)
			session_reply_syntax(s, command_find("EXPN", 4), NULL);
		else
			session_send(s, nothing);
	} else if (path.needs_smtputf8 && !utf8) {
		session_reply(s, 553, "5.6.7", "Error: a non-ASCII address needs SMTPUTF8");
	} else if (policy && policy->ops->verify(policy, &client, path.address, expand, &reply)) {
		session_send(s, &reply);
	} else {
		session_send(s, nothing);
	}
}

void verb_vrfy(struct session *s, const char *arg, size_t len)
{
	struct smtp_reply nothing;

	smtp_reply_set(&nothing, 252, "2.5.2",
		       "Cannot VRFY user, but will accept message and attempt delivery");
	if (s->cfg->verifies)
		verify(s, arg, len, false, &nothing);
	else
		session_send(s, &nothing);
}

void verb_expn(struct session *s, const char *arg, size_t len)
{
	struct smtp_reply nothing;

	smtp_reply_set(&nothing, 502, "5.5.1", "EXPN not implemented");
	if (s->cfg->verifies)
		verify(s, arg, len, true, &nothing);
	else
		session_send(s, &nothing);
}
