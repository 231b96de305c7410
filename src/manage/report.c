/* SPDX-License-Identifier: ISC */
/*
 * See report.h. Runs in the relay, or in a command that holds the lock. The
 * original is copied block by block, and a part is written recipient by
 * recipient: the memory does not grow with either.
 */
#include "manage/report.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/endpoint.h"
#include "base/text.h"
#include "manage/report_text.h"
#include "smtp/date.h"
#include "smtp/xtext.h"

#define LISTED_MAX 100 /* recipients named in the part for people; the other part has them all */
#define BLOCK (32u << 10)
#define HEADER_RETURNED_MAX (128u << 10) /* octets of a header that are returned without the body */
#define HEADER_LINE_MAX 990 /* a longer line of it is folded by force */

/* ---- what stands in the table of each kind ------------------------------------------- */

static const struct {
	const char *action; /* RFC 3464 2.3.3 */
	char status_class; /* RFC 3463 3.1 */
	const char *subject, *subject_postmaster;
	const char *opening, *opening_postmaster;
	const char *closing, *closing_postmaster;
} kinds[] = {
	[REPORT_FAILED] = {
		"failed", '5',
		"Undelivered mail: your message was not delivered",
		"Postmaster notice: a message without a sender was not delivered",
		"Your message could not be delivered to the recipients below, and it will not be\r\n"
		"tried again.\r\n",
		"A message could not be delivered to the recipients below, and it will not be\r\n"
		"tried again. It names no sender who could be told (most such messages are\r\n"
		"reports themselves), so this notice goes to you, the postmaster.\r\n",
		"What you can do: look for a typing error in the address, and read what was\r\n"
		"answered. If it does not help, ask the recipient in another way, or show this\r\n"
		"message to the people who look after your mail.\r\n",
		"If this happens often, somebody may be sending mail with a forged sender.\r\n",
	},
	[REPORT_DELAYED] = {
		"delayed", '4',
		"Delayed mail: your message is still being tried",
		"Postmaster notice: a message is delayed",
		"This is a warning only. YOU DO NOT NEED TO DO ANYTHING, and you should not\r\n"
		"send your message again.\r\n\r\n"
		"Your message could not be delivered yet to the recipients below.\r\n",
		"This is a warning only. A message could not be delivered yet to the\r\n"
		"recipients below.\r\n",
		"", "",
	},
	[REPORT_RELAYED] = {
		"relayed", '2',
		"Your message was passed on",
		"Postmaster notice: a message was passed on",
		"Your message was passed on for the recipients below, to a mail server that\r\n"
		"does not send confirmations. It is probably delivered, but you will hear of it\r\n"
		"only if it is not.\r\n",
		"A message was passed on for the recipients below, to a mail server that does\r\n"
		"not send confirmations.\r\n",
		"", "",
	},
};

/* ---- reading replies ---------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "550 ..." : what an SMTP server said, and not the words of our own side about a connection. */
static bool is_smtp_reply(const char *text)
{
	return text && text[0] >= '2' && text[0] <= '5' && is_digit(text[1]) && is_digit(text[2]) &&
	       (text[3] == ' ' || text[3] == '-' || !text[3]);
}

/* 1*3DIGIT at p: its length, or 0. */
static size_t digits(const char *p)
{
	size_t n = 0;

	while (n < 4 && is_digit(p[n]))
		n++;
	return n < 4 ? n : 0;
}

/*
 * Subject and detail of the enhanced code (RFC 3463 2) behind the reply's code, as ".1.1"; 0 when there is
 * none.
 */
static size_t find_enhanced(const char *reply, const char **at)
{
	const char *p = reply + 4;
	size_t subject, detail;

	if (!is_smtp_reply(reply) || !reply[3] || !is_digit(p[0]) || p[1] != '.')
		return 0;
	*at = p + 1;
	subject = digits(p + 2);
	if (subject == 0 || p[2 + subject] != '.')
		return 0;
	detail = digits(p + 3 + subject);
	p += 3 + subject + detail;
	return detail > 0 && (*p == ' ' || !*p) ? (size_t)(p - *at) : 0;
}

#define STATUS_MAX 16

/*
 * RFC 3464 2.3.4. The class follows from what became of it: a 4yz that went on until the end is a failure
 * now.
 */
static const char *status_of(const struct report *r, const struct rcpt_state *rs, char out[STATUS_MAX])
{
	const char *enhanced = NULL;
	size_t len = rs->reply ? find_enhanced(rs->reply, &enhanced) : 0;
	const char *rest = ".0.0";

	if (r->kind == REPORT_FAILED && rs->status == RCPT_EXPIRED)
		rest = ".4.7"; /* delivery time expired (RFC 3463 3.5) */
	else if (len > 0)
		rest = enhanced;
	else if (r->kind == REPORT_FAILED && !is_smtp_reply(rs->reply))
		rest = ".7.0"; /* nobody refused it but an operator */
	else if (r->kind == REPORT_DELAYED && !is_smtp_reply(rs->reply))
		rest = ".4.0"; /* connection, DNS, TLS: the network's trouble */
	snprintf(out, STATUS_MAX, "%c%.*s", kinds[r->kind].status_class, rest == enhanced ? (int)len : 4,
		 rest);
	return out;
}

/* The name in "host:port"; IP addresses as RFC 5321 4.1.3 writes them. NULL: it is not that. */
static const char *remote_name(const char *remote, char out[ENDPOINT_TEXT_MAX])
{
	const char *scheme = strstr(remote, "://");
	unsigned char address[16];
	struct endpoint ep;
	struct err ignored;

	if (endpoint_parse(scheme ? scheme + 3 : remote, 25, &ep, &ignored) < 0 || ep.kind != ENDPOINT_TCP)
		return NULL;
	if (inet_pton(AF_INET, ep.host, address) == 1)
		snprintf(out, ENDPOINT_TEXT_MAX, "[%s]", ep.host);
	else if (inet_pton(AF_INET6, ep.host, address) == 1)
		snprintf(out, ENDPOINT_TEXT_MAX, "[IPv6:%s]", ep.host);
	else
		snprintf(out, ENDPOINT_TEXT_MAX, "%s", ep.host);
	return out;
}

/* ---- ASCII or not --------------------------------------------------------------------- */

static bool returns_whole(const struct report *r)
{
	/*
	 * RFC 3461 4.3: only where a failure is reported; RET=HDRS always wins, and REQUIRETLS means it (RFC
	 * 8689 5)
	 */
	return r->kind == REPORT_FAILED && r->original->env.ret != RET_HDRS && !r->original->env.requiretls &&
	       r->original->content_bytes <= r->return_limit_bytes;
}

/* Its header may hold UTF-8, not only its body. */
static bool original_is_utf8(const struct report *r)
{
	return r->original->env.smtputf8 && r->original->has_eightbit;
}

bool report_is_utf8(const struct report *r)
{
	if (!text_is_ascii(r->to) || original_is_utf8(r))
		return true;
	for (size_t i = 0; i < r->rcpt_count; i++) {
		const struct envelope_rcpt *rcpt = &r->original->env.rcpt[r->rcpt[i]];

		if (!text_is_ascii(rcpt->address) || (rcpt->orcpt && !text_is_ascii(rcpt->orcpt)))
			return true;
	}
	return false;
}

bool report_is_eightbit(const struct report *r)
{
	return r->original->has_eightbit || report_is_utf8(r);
}

/* ---- header and the part for people ---------------------------------------------------- */

#define BOUNDARY_MAX 48

static void make_boundary(const struct report *r, char out[BOUNDARY_MAX])
{
	unsigned char noise[12];
	int n = snprintf(out, BOUNDARY_MAX, "=_%.16s-", r->report_id);

	/* what is returned may be chosen by who knows the id: not what we draw now */
	ASSERT(getrandom(noise, sizeof(noise), 0) == sizeof(noise));
	for (size_t i = 0; i < sizeof(noise); i++)
		n += snprintf(out + n, BOUNDARY_MAX - (size_t)n, "%02x", noise[i]);
}

static void put_address_field(struct report_out *o, const char *name, const char *address)
{
	report_printf(o, "%s: <", name);
	report_token(o, address, strlen(address));
	report_puts(o, ">\r\n");
}

static void put_header(struct report_out *o, const struct report *r, const char *boundary)
{
	char date[SMTP_DATE_MAX];

	report_puts(o, "From: \"Mail Delivery System\" <MAILER-DAEMON@");
	report_token(o, r->hostname, strlen(r->hostname));
	report_puts(o, ">\r\n");
	put_address_field(o, "To", r->to);
	report_printf(o, "Subject: %s\r\n",
		      r->for_postmaster ? kinds[r->kind].subject_postmaster : kinds[r->kind].subject);
	report_printf(o, "Date: %s\r\n", smtp_date_format(r->now_wall_us, date));
	report_printf(o, "Message-ID: <%s@", r->report_id);
	report_token(o, r->hostname, strlen(r->hostname));
	report_puts(o, ">\r\nMIME-Version: 1.0\r\n");
	report_puts(o, "Auto-Submitted: auto-replied\r\n"); /* RFC 3834 5 */
	/* report-type is the subtype of the second part (RFC 6522 3) */
	report_printf(
		o, "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n\tboundary=\"%s\"\r\n",
		o->utf8 ? "global-" : "", boundary);
	if (report_is_eightbit(r))
		report_puts(o, "Content-Transfer-Encoding: 8bit\r\n");
	report_puts(o, "\r\nThis is a report in MIME format (RFC 3464).\r\n");
}

static void put_part(struct report_out *o, const char *boundary, const char *type, const char *description,
		     bool eightbit)
{
	report_printf(o, "\r\n--%s\r\nContent-Type: %s\r\nContent-Description: %s\r\n%s\r\n", boundary, type,
		      description, eightbit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

/* One recipient in plain words, and what was answered. */
static void explain_rcpt(struct report_out *o, const struct report *r, size_t index)
{
	const struct envelope_rcpt *rcpt = &r->original->env.rcpt[index];
	const struct rcpt_state *rs = &r->state->rcpt[index];
	char name[ENDPOINT_TEXT_MAX];
	const char *host = rs->remote ? remote_name(rs->remote, name) : NULL;
	bool said = is_smtp_reply(rs->reply);

	report_puts(o, "\r\n<");
	report_token(o, rcpt->address, strlen(rcpt->address));
	report_puts(o, ">\r\n");
	if (r->kind == REPORT_FAILED && rs->status == RCPT_EXPIRED)
		report_puts(o, "    could not be reached before the time for trying was over.\r\n");
	if (!rs->reply || !*rs->reply)
		return;
	report_puts(o, "    ");
	if (said && host) {
		report_puts(o, "The mail server ");
		report_token(o, host, strlen(host));
		report_puts(o, " answered:");
	} else {
		report_puts(o, said ? "The answer was:" : "The reason:");
	}
	report_puts(o, "\r\n        ");
	report_words(o, rs->reply, "        ");
	report_puts(o, "\r\n");
}

static const char *opening_of(const struct report *r)
{
	if (r->for_postmaster)
		return kinds[r->kind].opening_postmaster;
	if (r->kind == REPORT_RELAYED && r->original->env.by.mode != DELIVER_BY_NONE)
		return "You named a time by which your message was to be delivered. It was passed on for\r\n"
		       "the recipients below in the meantime.\r\n";
	return kinds[r->kind].opening;
}

static void put_explanation(struct report_out *o, const struct report *r, const char *boundary)
{
	bool postmaster = r->for_postmaster;
	const char *closing = postmaster ? kinds[r->kind].closing_postmaster : kinds[r->kind].closing;
	char date[SMTP_DATE_MAX];

	put_part(o, boundary, o->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
		 "Notification", o->utf8);
	report_puts(o, "This is the mail system at ");
	report_token(o, r->hostname, strlen(r->hostname));
	report_printf(o, ".\r\n\r\n%s", opening_of(r));
	if (r->kind == REPORT_DELAYED && r->retry_until_wall_us > 0)
		report_printf(o, "It will be tried until %s.\r\n",
			      smtp_date_format(r->retry_until_wall_us, date));
	for (size_t i = 0; i < r->rcpt_count && i < LISTED_MAX; i++)
		explain_rcpt(o, r, r->rcpt[i]);
	if (r->rcpt_count > LISTED_MAX)
		report_printf(o, "\r\n... and %zu more: the attached details name them all.\r\n",
			      r->rcpt_count - LISTED_MAX);
	if (*closing)
		report_printf(o, "\r\n%s", closing);
	report_printf(o, "\r\nAttached are the details for mail administrators, and %s.\r\n",
		      returns_whole(r) ? "the message" : "the header of the message");
}

/* ---- message/delivery-status ------------------------------------------------------------ */

static void put_field(struct report_out *o, const char *name, const char *type, const char *value)
{
	report_printf(o, "%s: %s", name, type);
	report_token(o, value, strlen(value));
	report_puts(o, "\r\n");
}

static void put_date_field(struct report_out *o, const char *name, int64_t wall_us)
{
	char date[SMTP_DATE_MAX];

	if (wall_us > 0)
		report_printf(o, "%s: %s\r\n", name, smtp_date_format(wall_us, date));
}

/* RFC 3464 2.2 */
static void put_message_fields(struct report_out *o, const struct report *r)
{
	const struct envelope *env = &r->original->env;
	char decoded[1024];

	put_field(o, "Reporting-MTA", "dns; ", r->hostname);
	if (env->envid && xtext_decode(env->envid, strlen(env->envid), decoded, sizeof(decoded)) > 0)
		put_field(o, "Original-Envelope-Id", "", decoded);
	put_field(o, "X-Posthouse-Queue-ID", "", env->id);
	if (*env->sender)
		put_field(o, "X-Posthouse-Sender", text_is_ascii(env->sender) ? "rfc822; " : "utf-8; ",
			  env->sender);
	put_date_field(o, "Arrival-Date", env->arrived_wall_us);
	if (env->by.mode != DELIVER_BY_NONE)
		put_date_field(o, "Deliver-By-Date", env->by.wall_us); /* RFC 2852 6 */
}

/* RFC 3464 2.3.1: the type as given, the address decoded (that of utf-8 is not xtext: RFC 6533 3). */
static void put_original_recipient(struct report_out *o, const char *orcpt)
{
	const char *semicolon = strchr(orcpt, ';');
	const char *address = semicolon ? semicolon + 1 : "";
	size_t type_len = semicolon ? (size_t)(semicolon - orcpt) : 0;
	char decoded[1024];

	if (type_len == 0 || type_len > 40 || !*address)
		return;
	if (!(type_len == 5 && strncasecmp(orcpt, "utf-8", 5) == 0) &&
	    xtext_decode(address, strlen(address), decoded, sizeof(decoded)) > 0)
		address = decoded;
	report_puts(o, "Original-Recipient: ");
	report_token(o, orcpt, type_len);
	report_puts(o, "; ");
	report_token(o, address, strlen(address));
	report_puts(o, "\r\n");
}

/* RFC 3464 2.3 */
static void put_rcpt_fields(struct report_out *o, const struct report *r, size_t index)
{
	const struct envelope_rcpt *rcpt = &r->original->env.rcpt[index];
	const struct rcpt_state *rs = &r->state->rcpt[index];
	char status[STATUS_MAX], name[ENDPOINT_TEXT_MAX];

	report_puts(o, "\r\n");
	if (rcpt->orcpt)
		put_original_recipient(o, rcpt->orcpt);
	put_field(o, "Final-Recipient", text_is_ascii(rcpt->address) ? "rfc822; " : "utf-8; ", rcpt->address);
	report_printf(o, "Action: %s\r\nStatus: %s\r\n", kinds[r->kind].action, status_of(r, rs, status));
	if (rs->remote && remote_name(rs->remote, name))
		put_field(o, "Remote-MTA", "dns; ", name);
	if (rs->reply && *rs->reply) {
		/* RFC 3464 2.3.6: "smtp" is for what an SMTP server said */
		report_puts(o, is_smtp_reply(rs->reply) ? "Diagnostic-Code: smtp; "
							: "Diagnostic-Code: x-posthouse; ");
		report_words(o, rs->reply, "    ");
		report_puts(o, "\r\n");
	}
	put_date_field(o, "Last-Attempt-Date", rs->when_wall_us);
	if (r->kind == REPORT_DELAYED)
		put_date_field(o, "Will-Retry-Until", r->retry_until_wall_us);
}

static void put_delivery_status(struct report_out *o, const struct report *r, const char *boundary)
{
	put_part(o, boundary, o->utf8 ? "message/global-delivery-status" : "message/delivery-status",
		 "Delivery report", o->utf8);
	put_message_fields(o, r);
	for (size_t i = 0; i < r->rcpt_count && !o->failed; i++)
		put_rcpt_fields(o, r, r->rcpt[i]);
}

/* ---- the original ------------------------------------------------------------------------- */

/* Copies a header up to its empty line; one that has no end, or endless lines, as far as it makes sense. */
struct header_copy {
	size_t taken;
	size_t column;
	bool cr; /* one was seen and not written yet */
	bool over;
};

static void copy_header_octet(struct report_out *o, struct header_copy *h, char c)
{
	if (c == '\r') {
		h->cr = true;
		return;
	}
	if (c == '\n') {
		h->over = h->column == 0;
		if (!h->over)
			report_puts(o, "\r\n");
		h->column = 0;
		h->cr = false;
		return;
	}
	if (h->cr) /* a bare one */
		c = ' ';
	h->cr = false;
	/* not within a character of UTF-8 */
	if (h->column >= HEADER_LINE_MAX + 4 ||
	    (h->column >= HEADER_LINE_MAX && ((unsigned char)c & 0xc0) != 0x80)) {
		report_puts(o, "\r\n ");
		h->column = 1;
	}
	report_raw(o, &c, 1);
	h->column++;
}

static void copy_header_block(struct report_out *o, struct header_copy *h, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !h->over; i++) {
		copy_header_octet(o, h, data[i]);
		if (++h->taken >= HEADER_RETURNED_MAX)
			h->over = true;
	}
}

static int copy_original(struct report_out *o, const struct report *r, bool whole)
{
	struct header_copy header = { 0 };
	char *block = mem_alloc(BLOCK);
	uint64_t offset = 0;
	ssize_t n;

	while ((n = spool_message_read(r->original, offset, block, BLOCK, o->e)) > 0) {
		if (whole)
			report_raw(o, block, (size_t)n);
		else
			copy_header_block(o, &header, block, (size_t)n);
		if (o->failed || header.over)
			break;
		offset += (uint64_t)n;
	}
	free(block);
	return n < 0 || o->failed ? -1 : 0;
}

static int put_original(struct report_out *o, const struct report *r, const char *boundary)
{
	bool whole = returns_whole(r), utf8 = original_is_utf8(r);
	const char *type = whole ? (utf8 ? "message/global" : "message/rfc822")
				 : (utf8 ? "message/global-headers" : "text/rfc822-headers");

	put_part(o, boundary, type, whole ? "Undelivered message" : "Header of the message",
		 r->original->has_eightbit);
	return copy_original(o, r, whole);
}

int report_write(const struct report *r, report_sink *sink, void *ctx, struct err *e)
{
	char boundary[BOUNDARY_MAX];
	struct report_out o;
	int result;

	ASSERT(r->rcpt_count > 0);
	report_out_init(&o, report_is_utf8(r), sink, ctx, e);
	make_boundary(r, boundary);
	put_header(&o, r, boundary);
	put_explanation(&o, r, boundary);
	put_delivery_status(&o, r, boundary);
	result = put_original(&o, r, boundary);
	report_printf(&o, "\r\n--%s--\r\n", boundary);
	return report_out_finish(&o) < 0 ? -1 : result;
}
