/* SPDX-License-Identifier: ISC */
/*
 * A table of clients, senders or recipients and what becomes of them, or of
 * what VRFY and EXPN tell (posthouse-access(5)): lines "pattern action [text]". The entry with the
 * most specific pattern counts, wherever it stands, and only it.
 */
#ifndef ACCESS_RULES_H
#define ACCESS_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "access/lines.h"
#include "access/table.h"
#include "smtp/reply.h"

enum rules_kind { RULES_CLIENT, RULES_SENDER, RULES_RECIPIENT, RULES_VRFY };
#define RULES_KINDS 4
/* "client_access" ...: as the configuration calls it. */
extern const char *const rules_names[RULES_KINDS];

enum rule_action {
	RULE_ALLOW, /* nothing: no broader entry of this table applies */
	RULE_REJECT, /* 5yz */
	RULE_DEFER, /* 4yz */
	RULE_HOLD, /* it is taken, and kept until an operator releases it */
	/* of RULES_VRFY only, which has no HOLD */
	RULE_UNKNOWN, /* nothing is told of it */
	RULE_LIST /* text is its members, with a blank between them */
};

struct rules {
	enum rules_kind kind;
	struct table table;
	/* clients: the lengths of prefixes that occur, longest first */
	unsigned char prefix[2][129];
	unsigned prefix_count[2];
};

/* What an entry says. */
struct rule {
	enum rule_action action;
	uint32_t line;
	const char *text; /* why it is held, what is said of it (ALLOW of RULES_VRFY, "": nothing), its members */
	struct smtp_reply reply; /* of REJECT and DEFER */
};

/* may_hold: mail goes into a spool, where it can be kept. 0; -1: every error was reported. */
int rules_load(struct rules *r, enum rules_kind kind, const char *path, bool may_hold, access_report *report, void *ctx);
/* The same from an open stream, which is closed. */
int rules_load_from(struct rules *r, enum rules_kind kind, const char *path, FILE *file, bool may_hold,
		    access_report *report, void *ctx);
void rules_release(struct rules *r);

/* False: no entry is about it. address: the mailbox without brackets, "" for <>. */
bool rules_find_address(const struct rules *r, const char *address, struct rule *out);
/* family: AF_INET, AF_INET6, or AF_UNIX (then address is not looked at); octets in network order. */
bool rules_find_client(const struct rules *r, int family, const unsigned char *address, struct rule *out);

#endif
