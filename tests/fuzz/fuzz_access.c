/* SPDX-License-Identifier: ISC */
/*
 * Tables: 'c', 's', 'r', 'v' or 'o' for clients, senders, recipients, VRFY and EXPN, or auth_senders; an address or user (ended by NUL)
 * that is looked up; the text of the table.
 * Promise: nothing but an error or a table; a reply out of one is one reply of the class of its action; an error is
 * told as printable lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "access/owners.h"
#include "access/rules.h"
#include "base/alloc.h"
#include "fuzz.h"

static void on_error(void *ctx, const char *message)
{
	unsigned *errors = ctx;

	++*errors;
	for (; *message; message++)
		ASSERT((unsigned char)*message >= ' ' && *message != 0x7f);
}

/* That these fit into a reply, each on a line of its own, the policy relies on. */
static void check_members(const char *members)
{
	size_t octets = 0;

	ASSERT(*members);
	while (*members) {
		size_t len = strcspn(members, " ");

		ASSERT(len > 0);
		octets += len + 3;
		members += len + (members[len] == ' ');
	}
	ASSERT(octets <= SMTP_REPLY_TEXT_MAX);
}

static void check_rule(const struct rule *rule)
{
	struct buf wire;

	if (rule->action == RULE_HOLD)
		ASSERT(rule->text[0]);
	if (rule->action == RULE_LIST) {
		check_members(rule->text);
		return;
	}
	if (rule->action == RULE_ALLOW || rule->action == RULE_HOLD)
		return;
	ASSERT(rule->reply.code / 100 == (rule->action == RULE_REJECT ? 5 : 4));
	ASSERT(rule->reply.enhanced[0] == (rule->action == RULE_REJECT ? '5' : '4') && !strchr(rule->reply.text, '\n'));
	buf_init(&wire, 8192);
	ASSERT(smtp_reply_write(&rule->reply, &wire) && strcspn(wire.data, "\r\n") + 2 == wire.len);
	buf_release(&wire);
}

static void ask(const struct rules *r, const char *asked)
{
	unsigned char address[16] = { 0 };
	struct rule rule;

	if (r->kind == RULES_CLIENT) {
		memcpy(address, asked, strnlen(asked, sizeof(address)));
		if (rules_find_client(r, AF_INET, address, &rule))
			check_rule(&rule);
		if (rules_find_client(r, AF_INET6, address, &rule))
			check_rule(&rule);
		if (rules_find_client(r, AF_UNIX, address, &rule))
			check_rule(&rule);
	} else if (rules_find_address(r, asked, &rule)) {
		check_rule(&rule);
	}
}

/* The address is one that the session has taken: no longer than a path. */
#define ASKED_MAX 254

static enum rules_kind kind_of(uint8_t letter)
{
	return letter == 'c' ? RULES_CLIENT : letter == 's' ? RULES_SENDER : letter == 'v' ? RULES_VRFY : RULES_RECIPIENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size > 2 ? memchr(data + 1, '\0', size - 1) : NULL;
	unsigned errors = 0;
	struct owners owners;
	struct rules rules;
	char *asked, *text;
	size_t len;
	FILE *file;

	if (!end || end - data - 1 > ASKED_MAX)
		return 0;
	len = (size_t)(data + size - end - 1);
	asked = mem_strndup((const char *)data + 1, (size_t)(end - data - 1));
	text = mem_alloc(len + 1);
	memcpy(text, end + 1, len);
	file = len > 0 ? fmemopen(text, len, "r") : NULL;
	if (file && data[0] == 'o') {
		int result = owners_load_from(&owners, "t", file, on_error, &errors);

		ASSERT((result < 0) == (errors > 0));
		ASSERT(owners_permit(&owners, asked, ""));
		(void)owners_permit(&owners, asked, asked);
		(void)owners_permit(&owners, "carol", asked);
		owners_release(&owners);
	} else if (file) {
		enum rules_kind kind = kind_of(data[0]);
		int result = rules_load_from(&rules, kind, "t", file, data[0] != 'S', on_error, &errors);

		ASSERT((result < 0) == (errors > 0));
		ask(&rules, asked);
		rules_release(&rules);
	}
	free(asked);
	free(text);
	return 0;
}
