/* SPDX-License-Identifier: ISC */
/* access/access.h: the policy as the session asks it. Who may relay, and nobody else; tables, users, shares. */
#include "access/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "session/session.h"
#include "unit.h"

#define SLOTS 8
#define HEX64 "ab01cdef23456789ab01cdef23456789ab01cdef23456789ab01cdef23456789"

/* One worker. */
static struct world {
	struct limits limits;
	struct access_tables tables;
	struct cidr relay_from[2], exempt[1];
	struct access_settings settings;
	struct access access;
	struct session_peer peer;
	struct session_client client;
	struct envelope env;
	struct smtp_reply reply;
} w;

static void no_error(void *ctx, const char *message)
{
	(void)ctx;
	ck_abort_msg("%s", message);
}

static void table(enum rules_kind kind, const char *text)
{
	rules_load_from(&w.tables.rules[kind], kind, "t", fmemopen((char *)(uintptr_t)text, strlen(text), "r"), true, no_error,
			NULL);
}

static void owners(const char *text)
{
	owners_load_from(&w.tables.owners, "t", fmemopen((char *)(uintptr_t)text, strlen(text), "r"), no_error, NULL);
	w.tables.has_owners = true;
}

static void setup(void)
{
	struct err e;

	clock_freeze(1795000000000000, 5000000);
	memset(&w, 0, sizeof(w));
	ck_assert(limits_create(&w.limits, SLOTS, &e) == 0);
	ck_assert(cidr_parse("10.1.0.0/16", &w.relay_from[0], &e) == 0 && cidr_parse("2001:db8::/32", &w.relay_from[1], &e) == 0);
	ck_assert(cidr_parse("127.0.0.0/8", &w.exempt[0], &e) == 0);
	w.settings = (struct access_settings){ .relays = true, .default_domain = "home.example", .relay_from = w.relay_from,
					       .relay_from_count = 2, .exempt = w.exempt, .exempt_count = 1,
					       .tables = &w.tables, .limits = &w.limits };
	envelope_init(&w.env);
	access_init(&w.access, &w.settings);
}

static void teardown(void)
{
	access_release(&w.access);
	envelope_release(&w.env);
	access_tables_release(&w.tables);
	limits_destroy(&w.limits);
	clock_thaw();
}

/* A client comes from there; the code of its greeting, 0: it is welcome. */
static int come(const char *address)
{
	w.peer = (struct session_peer){ .text = address, .address = address, .listener = "l" };
	w.client = (struct session_client){ .peer = &w.peer, .helo = "x" };
	return access_begin(&w.access, &w.peer, (struct access_login){ .offered = false }, 1, &w.reply) == POLICY_REFUSE ?
		       w.reply.code : 0;
}

static int code(enum policy_verdict verdict)
{
	return verdict == POLICY_REFUSE ? w.reply.code : 0;
}

static int mail(const char *sender)
{
	envelope_reset(&w.env);
	envelope_set(&w.env.sender, sender, strlen(sender));
	return code(w.access.policy.ops->mail(&w.access.policy, &w.client, &w.env, &w.reply));
}

static int rcpt(const char *recipient)
{
	envelope_add_rcpt(&w.env, recipient, strlen(recipient));
	return code(w.access.policy.ops->rcpt(&w.access.policy, &w.client, &w.env, &w.reply));
}

static int login(const char *user)
{
	w.client.auth_user = user;
	return code(w.access.policy.ops->authenticated(&w.access.policy, &w.client, &w.reply));
}

/* ---- who may relay ------------------------------------------------------------------ */

START_TEST(networks_and_local_programs_may_relay)
{
	static const struct {
		const char *address;
		bool may;
	} peers[] = {
		{ "10.1.0.0", true },	  { "10.1.255.255", true }, { "10.2.0.1", false },     { "10.0.255.255", false },
		{ "::ffff:10.1.2.3", true }, { "::ffff:10.2.2.3", false }, { "2001:db8::1", true }, { "2001:db9::1", false },
		{ "unix", true },	  { "unknown", false },	    { "", false },	       { "unix ", false },
		{ "UNIX", false },	  { "127.0.0.1", false },   { "::1", false },	       { "fe80::1%eth0", false },
		{ "2001:db8::1%eth0", true }, { "10.1.2.3.4", false }, { "10.1", false },      { "0x0a.1.2.3", false },
		{ "10.1.2.3 ", false },	  { "%", false },
		{ "10.1.2.3000000000000000000000000000000000000000000000000000000000000000000000000", false },
	};

	setup();
	for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
		ck_assert_int_eq(come(peers[i].address), 0);
		ck_assert_int_eq(mail("a@example.org"), 0);
		ck_assert_msg(rcpt("b@example.net") == (peers[i].may ? 0 : 554), "%s", peers[i].address);
	}
	/* a handler that sends nothing anywhere is for everyone */
	w.settings.relays = false;
	ck_assert_int_eq(come("192.0.2.1"), 0);
	ck_assert_int_eq(mail("a@example.org") + rcpt("b@example.net"), 0);
	teardown();
}
END_TEST

START_TEST(who_has_logged_in_may_relay)
{
	setup();
	ck_assert_int_eq(come("192.0.2.1"), 0);
	ck_assert_int_eq(login("carol"), 0);
	ck_assert_int_eq(mail("a@example.org") + rcpt("b@example.net"), 0);
	w.client.auth_user = NULL;
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	teardown();
}
END_TEST

static const char *const host_names[] = { "relay.example.com", "admin@example.com", "deep.sub.example.net" };

static const struct {
	const char *pattern;
	bool unverified; /* may relay with a certificate that nobody vouches for */
	bool verified;
} certs[] = {
	{ "sha256:" HEX64, true, true },
	{ "sha256:0000000000000000000000000000000000000000000000000000000000000000", false, false },
	{ "name:relay.example.com", false, true },
	{ "name:RELAY.Example.COM", false, true },
	{ "name:example.com", false, false },
	{ "name:*.example.com", false, true },
	{ "name:*.com", false, false },
	{ "name:*.example.net", false, false },
	{ "name:*.sub.example.net", false, true },
	{ "name:admin@example.com", false, true },
	{ "name:root@example.com", false, false },
	{ "name:*", false, false },
	{ "name:", false, false },
	{ "sha256:", false, false },
};

START_TEST(certificates_may_relay)
{
	const char *pattern = certs[_i].pattern;
	struct session_tls tls = { .version = "TLSv1.3", .fingerprint = HEX64, .names = host_names, .name_count = 3 };

	setup();
	w.settings.relay_from_cert = &pattern;
	w.settings.relay_from_cert_count = 1;
	ck_assert_int_eq(come("192.0.2.1"), 0);
	ck_assert_int_eq(mail("a@example.org"), 0);
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	w.client.tls = &tls;
	ck_assert_int_eq(rcpt("b@example.net"), certs[_i].unverified ? 0 : 554);
	tls.verified = true;
	ck_assert_int_eq(rcpt("b@example.net"), certs[_i].verified ? 0 : 554);
	tls = (struct session_tls){ .version = "TLSv1.3" }; /* none was shown */
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	teardown();
}
END_TEST

START_TEST(a_refusal_says_what_would_help)
{
	struct session_tls tls = { .version = "TLSv1.3" };

	setup();
	ck_assert_int_eq(come("192.0.2.1"), 0);
	ck_assert_int_eq(mail("a@example.org"), 0);
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	ck_assert_str_eq(w.reply.text, "Relay access denied: 192.0.2.1 is not in relay_from");
	ck_assert_str_eq(w.access.rule, "relay_from");
	w.access.login = (struct access_login){ .offered = true };
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	ck_assert_str_eq(w.reply.text, "Relay access denied: 192.0.2.1 is not in relay_from; use STARTTLS and log in first (AUTH)");
	w.client.tls = &tls;
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	ck_assert_str_eq(w.reply.text, "Relay access denied: 192.0.2.1 is not in relay_from; log in first (AUTH)");
	teardown();
}
END_TEST

/* auth = "required": an address alone is no permission, for ETRN and VRFY neither. */
START_TEST(who_must_log_in_may_not_relay_before)
{
	const struct session_policy_ops *ops;

	setup();
	ck_assert_int_eq(come("10.1.2.3"), 0);
	ops = w.access.policy.ops;
	ck_assert(ops->may_relay(&w.access.policy, &w.client));
	w.access.login = (struct access_login){ .offered = true, .required = true };
	ck_assert(!ops->may_relay(&w.access.policy, &w.client));
	ck_assert_int_eq(login("carol"), 0);
	ck_assert(ops->may_relay(&w.access.policy, &w.client));
	teardown();
}
END_TEST

/* Whatever the tables say, they let nobody relay. */
START_TEST(tables_let_nobody_relay)
{
	setup();
	table(RULES_CLIENT, "* allow\n192.0.2.1 allow\n");
	table(RULES_SENDER, "* allow\na@example.org allow\n");
	table(RULES_RECIPIENT, "* allow\nb@example.net allow\n");
	owners("* *\n");
	ck_assert_int_eq(come("192.0.2.1"), 0);
	ck_assert_int_eq(mail("a@example.org"), 0);
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	teardown();
}
END_TEST

/* ---- tables ---------------------------------------------------------------------------- */

START_TEST(clients_are_greeted_by_their_entry)
{
	setup();
	table(RULES_CLIENT, "10.1.1.0/24 reject 550 5.7.25 Not you\n10.1.1.7 allow\n10.1.2.0/24 defer 450 Later\n"
			    "10.1.3.0/24 hold look at it\nunix reject\n");
	ck_assert_int_eq(come("10.1.1.1"), 554); /* RFC 5321 3.1: not any code */
	ck_assert_str_eq(w.reply.text, "Not you");
	ck_assert_str_eq(w.reply.enhanced, "5.7.25");
	ck_assert_str_eq(w.access.rule, "client_access:1");
	ck_assert_int_eq(come("10.1.1.7"), 0);
	ck_assert_int_eq(come("10.1.2.1"), 421);
	ck_assert_int_eq(come("unix"), 554);
	ck_assert_int_eq(come("10.1.3.1"), 0);
	ck_assert_int_eq(mail("a@example.org") + rcpt("b@example.net"), 0);
	ck_assert_str_eq(w.env.hold, "look at it");
	ck_assert_int_eq(mail("a@example.org"), 0); /* the next one, too */
	ck_assert_str_eq(w.env.hold, "look at it");
	ck_assert_int_eq(come("10.1.4.1"), 0);
	ck_assert_int_eq(mail("a@example.org") + rcpt("b@example.net"), 0);
	ck_assert_ptr_null(w.env.hold);
	teardown();
}
END_TEST

START_TEST(senders_and_recipients_by_their_entries)
{
	setup();
	table(RULES_SENDER, "bad@example.org reject 550 5.1.8 Never\nslow.example defer\nodd.example hold odd\n"
			    "joe@home.example reject\n");
	table(RULES_RECIPIENT, "\ngone@ reject 550 5.1.1 Gone\nwatched@example.net hold watched\nboss@home.example reject\n");
	ck_assert_int_eq(come("10.1.0.1"), 0);
	ck_assert_int_eq(mail("bad@example.org"), 550);
	ck_assert_str_eq(w.access.rule, "sender_access:1");
	ck_assert_int_eq(mail("x@slow.example"), 450);
	ck_assert_int_eq(mail("joe"), 554); /* it will be joe@home.example */
	ck_assert_int_eq(mail("good@example.org"), 0);
	ck_assert_int_eq(rcpt("gone@example.com"), 550);
	ck_assert_str_eq(w.access.rule, "recipient_access:2");
	ck_assert_int_eq(rcpt("boss"), 554);
	ck_assert_int_eq(rcpt("x@example.com"), 0);
	ck_assert_str_eq(w.access.rule, "");
	ck_assert_ptr_null(w.env.hold);
	ck_assert_int_eq(rcpt("watched@example.net"), 0);
	ck_assert_str_eq(w.env.hold, "watched");
	ck_assert_int_eq(mail("x@odd.example") + rcpt("watched@example.net"), 0);
	ck_assert_str_eq(w.env.hold, "odd"); /* the first reason */
	teardown();
}
END_TEST

/* An '@' between quotes makes no domain: what is written without one is in ours, and its entry counts. */
START_TEST(quoted_local_parts_hide_no_domain)
{
	setup();
	table(RULES_SENDER, "home.example reject 550 5.7.1 S\n");
	table(RULES_RECIPIENT, "home.example reject 550 5.7.1 R\nexample.net hold\n");
	ck_assert_int_eq(come("10.1.0.1"), 0);
	ck_assert_int_eq(mail("\"a@example.net\""), 550);
	ck_assert_int_eq(mail("\"a\\\"@example.net\""), 550);
	ck_assert_int_eq(mail("a@example.org"), 0);
	ck_assert_int_eq(rcpt("\"a@example.net\""), 550);
	ck_assert_int_eq(rcpt("\"a@example.net\"@home.example"), 550);
	ck_assert_int_eq(rcpt("\"a@home.example\"@example.org"), 0);
	ck_assert_ptr_null(w.env.hold);
	teardown();
}
END_TEST

START_TEST(users_send_with_what_is_theirs)
{
	setup();
	owners("carol carol@example.org\n* %u@home.example\n");
	ck_assert_int_eq(come("10.1.0.1"), 0);
	ck_assert_int_eq(mail("anybody@example.org"), 0); /* nobody has logged in */
	ck_assert_int_eq(login("carol"), 0);
	ck_assert_int_eq(mail("carol@example.org") + mail(""), 0);
	ck_assert_int_eq(mail("dave@example.org"), 553);
	ck_assert_str_eq(w.reply.text, "Sender address rejected: not owned by user carol");
	ck_assert_str_eq(w.access.rule, "auth_senders");
	ck_assert_int_eq(login("dave"), 0);
	ck_assert_int_eq(mail("dave@home.example") + mail("dave"), 0);
	ck_assert_int_eq(mail("erin"), 553);
	/* a name that would be two lines of a reply */
	ck_assert_int_eq(login("x\n250 ok\r\x80"), 0);
	ck_assert_int_eq(mail("dave@home.example"), 553);
	ck_assert_str_eq(w.reply.text, "Sender address rejected: not owned by user x?250 ok??");
	teardown();
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------- */

/* As another worker has it. */
static bool other(size_t slot, const char *address, unsigned most)
{
	unsigned char a[4];

	ck_assert_int_eq(sscanf(address, "%hhu.%hhu.%hhu.%hhu", &a[0], &a[1], &a[2], &a[3]), 4);
	return limits_enter(&w.limits, slot, LIMITS_CLIENT, limits_key_of_address(&w.limits, a, 4), most);
}

START_TEST(connections_of_a_client)
{
	setup();
	w.settings.client.connections = 2;
	ck_assert(other(1, "10.1.0.1", 2));
	ck_assert_int_eq(come("10.1.0.1"), 0);
	access_end(&w.access);
	ck_assert(other(2, "10.1.0.1", 2));
	ck_assert_int_eq(come("10.1.0.1"), 421);
	ck_assert_str_eq(w.reply.enhanced, "4.7.0");
	ck_assert_str_eq(w.reply.text, "Error: too many connections from 10.1.0.1");
	ck_assert_str_eq(w.access.rule, "client_connections");
	ck_assert_int_eq(come("10.1.0.2"), 0);
	limits_clear_slot(&w.limits, 2); /* its worker was killed */
	ck_assert_int_eq(come("10.1.0.1"), 0);
	/* those without limits */
	w.settings.client.connections = 1;
	ck_assert(other(3, "127.0.0.1", 1));
	ck_assert_int_eq(come("127.0.0.1"), 0);
	ck_assert_int_eq(come("unix"), 0);
	teardown();
}
END_TEST

START_TEST(a_share_while_there_is_a_crowd)
{
	const struct access_login none = { .offered = false };

	setup();
	w.settings.client.connections = 6;
	w.settings.crowd = 10;
	w.settings.share = 2;
	w.peer = (struct session_peer){ .text = "10.1.0.1", .address = "10.1.0.1", .listener = "l" };
	for (size_t i = 1; i < 3; i++)
		ck_assert(other(i, "10.1.0.1", 6));
	ck_assert(access_begin(&w.access, &w.peer, none, 10, &w.reply) == POLICY_PASS);
	ck_assert(access_begin(&w.access, &w.peer, none, 11, &w.reply) == POLICY_REFUSE);
	ck_assert_int_eq(w.reply.code, 421);
	ck_assert_str_eq(w.access.rule, "client_share");
	limits_clear_slot(&w.limits, 1);
	ck_assert(access_begin(&w.access, &w.peer, none, 11, &w.reply) == POLICY_PASS);
	/* who wants no limits has none */
	ck_assert(other(1, "10.1.0.1", 6));
	w.settings.client.connections = 0;
	ck_assert(access_begin(&w.access, &w.peer, none, 11, &w.reply) == POLICY_PASS);
	teardown();
}
END_TEST

START_TEST(connections_of_a_user)
{
	setup();
	w.settings.user.connections = 1;
	ck_assert(limits_enter(&w.limits, 5, LIMITS_USER, limits_key_of_user(&w.limits, "carol"), 1));
	ck_assert_int_eq(come("127.0.0.1"), 0);
	ck_assert_int_eq(login("carol"), 421);
	ck_assert_str_eq(w.access.rule, "user_connections");
	ck_assert_int_eq(login("dave"), 0);
	ck_assert_uint_eq(limits_count(&w.limits, LIMITS_USER, limits_key_of_user(&w.limits, "dave")), 1);
	access_end(&w.access);
	ck_assert_uint_eq(limits_count(&w.limits, LIMITS_USER, limits_key_of_user(&w.limits, "dave")), 0);
	teardown();
}
END_TEST

START_TEST(messages_and_recipients_a_minute)
{
	setup();
	w.settings.client = (struct access_numbers){ .messages_per_minute = 3, .recipients_per_minute = 4 };
	w.settings.user = (struct access_numbers){ .messages_per_minute = 2, .recipients_per_minute = 2 };
	ck_assert_int_eq(come("10.1.0.1"), 0);
	ck_assert_int_eq(mail("a@example.org") + mail("a@example.org") + mail("a@example.org"), 0);
	ck_assert_int_eq(mail("a@example.org"), 450);
	ck_assert_str_eq(w.reply.text, "Error: too many messages from this client, 3 a minute are allowed; try again later");
	ck_assert_str_eq(w.access.rule, "client_messages_per_minute");
	access_end(&w.access);
	ck_assert_int_eq(come("10.1.0.1"), 0); /* a new connection is not a new minute */
	ck_assert_int_eq(mail("a@example.org"), 450);
	ck_assert_int_eq(come("10.1.0.2"), 0);
	ck_assert_int_eq(mail("a@example.org"), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(rcpt("b@example.net"), 0);
	ck_assert_int_eq(rcpt("b@example.net"), 450);
	ck_assert_str_eq(w.access.rule, "client_recipients_per_minute");
	/* a user is one wherever it comes from, also where clients have no limits */
	ck_assert_int_eq(come("127.0.0.1") + login("carol") + mail("a@example.org"), 0);
	ck_assert_int_eq(come("unix") + login("carol") + mail("a@example.org") + rcpt("b@example.net") + rcpt("c@example.net"), 0);
	ck_assert_int_eq(rcpt("d@example.net"), 450);
	ck_assert_str_eq(w.access.rule, "user_recipients_per_minute");
	ck_assert_int_eq(mail("a@example.org"), 450);
	ck_assert_str_eq(w.access.rule, "user_messages_per_minute");
	/* the client's share was used up by others: that costs the user nothing of its own */
	ck_assert_int_eq(come("10.1.0.1") + login("dave"), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(mail("a@example.org"), 450);
	ck_assert_int_eq(come("127.0.0.1") + login("dave") + mail("a@example.org") + mail("a@example.org"), 0);
	/* and the other way round */
	ck_assert_int_eq(come("10.1.0.3") + login("carol"), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(mail("a@example.org"), 450);
	ck_assert_int_eq(come("10.1.0.3") + mail("a@example.org") + mail("a@example.org") + mail("a@example.org"), 0);
	teardown();
}
END_TEST

/* What was refused costs nothing. */
START_TEST(refusals_are_free)
{
	setup();
	table(RULES_SENDER, "bad@example.org reject\n");
	w.settings.client.messages_per_minute = 1;
	ck_assert_int_eq(come("10.1.0.1"), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(mail("bad@example.org"), 554);
	ck_assert_int_eq(mail("a@example.org"), 0);
	teardown();
}
END_TEST

/* What VRFY and EXPN are answered; 0: nothing is told. */
static int verify(const char *address, bool expand)
{
	w.reply.code = 0;
	ck_assert(w.access.policy.ops->verify(&w.access.policy, &w.client, address, expand, &w.reply) ==
		  (w.reply.code != 0));
	return w.reply.code;
}

START_TEST(who_may_relay_is_told_of_addresses)
{
	static const struct {
		const char *address;
		int vrfy;
		const char *vrfy_text;
		int expn;
		const char *expn_text;
	} table_of[] = {
		{ "bob@example.org", 250, "Bob Builder", 550, "<bob@example.org> is no mailing list" },
		{ "eve@example.org", 250, "<eve@example.org>", 550, "<eve@example.org> is no mailing list" },
		{ "j\xc3\xbcrgen@example.org", 250, "This address", 550, "This address is no mailing list" },
		{ "staff@example.org", 252, "<staff@example.org> is a mailing list", 250, "<bob@example.org>\n<eve@example.org>" },
		{ "carol@example.org", 550, "No such user here", 550, "No such user here" },
		{ "dave@example.org", 551, "He went", 551, "He went" },
		{ "busy@example.org", 450, "Try again later", 450, "Try again later" },
		{ "x@hidden.example", 0, "", 550, "<x@hidden.example> is no mailing list that is known here" },
		{ "x@elsewhere.example", 0, "", 550, "<x@elsewhere.example> is no mailing list that is known here" },
		{ "root", 250, "<root>", 550, "<root> is no mailing list" }, /* in the default domain */
	};

	setup();
	ck_assert_int_eq(come("10.1.0.1"), 0);
	ck_assert_int_eq(verify("bob@example.org", false) + verify("bob@example.org", true), 0);
	w.settings.verifies = true;
	table(RULES_VRFY, "example.org allow\nbob@example.org allow Bob Builder\ncarol@example.org reject\n"
			  "dave@example.org reject 551 5.1.6 He went\nbusy@example.org defer\nhidden.example unknown\n"
			  "staff@example.org list bob@example.org, <eve@example.org>\nroot@home.example allow\n");
	for (size_t i = 0; i < sizeof(table_of) / sizeof(*table_of); i++) {
		ck_assert_msg(verify(table_of[i].address, false) == table_of[i].vrfy, "%s", table_of[i].address);
		if (w.reply.code)
			ck_assert_str_eq(w.reply.text, table_of[i].vrfy_text);
		ck_assert_msg(verify(table_of[i].address, true) == table_of[i].expn, "%s", table_of[i].address);
		ck_assert_str_eq(w.reply.text, table_of[i].expn_text);
	}
	ck_assert_int_eq(verify("carol@example.org", false), 550);
	ck_assert_str_eq(w.access.rule, "vrfy_table:3");
	/* a stranger learns nothing, unless that is said */
	ck_assert_int_eq(come("192.0.2.1"), 0);
	ck_assert(!w.access.policy.ops->may_relay(&w.access.policy, &w.client));
	ck_assert_int_eq(verify("bob@example.org", false), 0);
	ck_assert_int_eq(verify("carol@example.org", false), 0);
	ck_assert_int_eq(verify("staff@example.org", true), 550);
	ck_assert_str_eq(w.reply.text, "Access denied: 192.0.2.1 is not in relay_from");
	w.settings.verifies_for_anyone = true;
	ck_assert_int_eq(verify("bob@example.org", false), 250);
	ck_assert_int_eq(verify("staff@example.org", true), 250);
	w.settings.verifies_for_anyone = false;
	ck_assert_int_eq(login("carol"), 0);
	ck_assert(w.access.policy.ops->may_relay(&w.access.policy, &w.client));
	ck_assert_int_eq(verify("bob@example.org", false), 250);
	teardown();
}
END_TEST

/* A proxy says who it is: all that was the proxy's is given back. */
START_TEST(the_client_may_turn_out_to_be_another)
{
	setup();
	table(RULES_CLIENT, "192.0.2.66 reject\n10.1.0.9 hold from the proxy\n");
	w.settings.client.connections = 1;
	ck_assert_int_eq(come("10.1.0.9"), 0);
	ck_assert(!other(1, "10.1.0.9", 1));
	w.peer.address = "192.0.2.1";
	ck_assert_int_eq(code(w.access.policy.ops->peer_changed(&w.access.policy, &w.client, &w.reply)), 0);
	ck_assert(other(1, "10.1.0.9", 1));
	ck_assert(!other(2, "192.0.2.1", 1));
	ck_assert_int_eq(mail("a@example.org"), 0);
	ck_assert_ptr_null(w.env.hold);
	ck_assert_int_eq(rcpt("b@example.net"), 554);
	w.peer.address = "192.0.2.66";
	ck_assert_int_eq(code(w.access.policy.ops->peer_changed(&w.access.policy, &w.client, &w.reply)), 554);
	w.peer.address = "10.1.0.9"; /* where one is already */
	ck_assert_int_eq(code(w.access.policy.ops->peer_changed(&w.access.policy, &w.client, &w.reply)), 421);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");
	TCase *c = tcase_create("certificates");

	UNIT_CASE(suite, networks_and_local_programs_may_relay, who_has_logged_in_may_relay, a_refusal_says_what_would_help,
		  who_must_log_in_may_not_relay_before,
		  tables_let_nobody_relay, clients_are_greeted_by_their_entry, senders_and_recipients_by_their_entries,
		  quoted_local_parts_hide_no_domain,
		  users_send_with_what_is_theirs, connections_of_a_client, a_share_while_there_is_a_crowd, connections_of_a_user,
		  messages_and_recipients_a_minute, refusals_are_free, who_may_relay_is_told_of_addresses, the_client_may_turn_out_to_be_another);
	tcase_add_loop_test(c, certificates_may_relay, 0, sizeof(certs) / sizeof(*certs));
	suite_add_tcase(suite, c);
	return unit_run(suite);
}
