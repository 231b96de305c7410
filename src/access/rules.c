/* SPDX-License-Identifier: ISC */
/* See rules.h. Loaded in the master, asked in workers. */
#include "access/rules.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "access/address.h"
#include "base/cidr.h"
#include "base/num.h"
#include "base/text.h"
#include "smtp/path.h"

#define TEXT_MAX 400 /* octets of a reply's or a hold's text */
#define LIST_MAX                                                                                             \
	(SMTP_REPLY_TEXT_MAX - 1) /* octets of the answer to EXPN: each member in brackets, on a line */

const char *const rules_names[RULES_KINDS] = { "client_access", "sender_access", "recipient_access",
					       "vrfy_table" };

/* ---- actions --------------------------------------------------------------------- */

static const struct action_word {
	bool of_vrfy; /* of RULES_VRFY, else of the others */
	const char *word;
	enum rule_action action;
	char class; /* first digit of its reply; 0: it has none */
	int code;
	const char *enhanced, *text; /* of who writes none */
} words[] = {
	{ false, "allow", RULE_ALLOW, 0, 0, "", "" },
	{ false, "reject", RULE_REJECT, '5', 554, "5.7.1", "Access denied" },
	{ false, "defer", RULE_DEFER, '4', 450, "4.7.1", "Try again later" },
	{ false, "hold", RULE_HOLD, 0, 0, "", "" },
	{ true, "allow", RULE_ALLOW, 0, 0, "", "" },
	{ true, "reject", RULE_REJECT, '5', 550, "5.1.1", "No such user here" },
	{ true, "defer", RULE_DEFER, '4', 450, "4.2.1", "Try again later" },
	{ true, "unknown", RULE_UNKNOWN, 0, 0, "", "" },
	{ true, "list", RULE_LIST, 0, 0, "", "" },
};
#define WORDS (sizeof(words) / sizeof(*words))

static const struct action_word *find_word(enum rules_kind kind, const char *word)
{
	for (size_t i = 0; i < WORDS; i++)
		if (words[i].of_vrfy == (kind == RULES_VRFY) && strcasecmp(words[i].word, word) == 0)
			return &words[i];
	return NULL;
}

/* An action on its way into the table: tag holds action and code, the value is enhanced NUL text. */
struct parsed {
	uint16_t tag;
	char value[16 + LINES_LONGEST];
	size_t value_len;
};

static uint16_t tag_of(enum rule_action action, int code)
{
	return (uint16_t)((unsigned)action << 12 | (unsigned)code);
}

static void set_value(struct parsed *p, const char *enhanced, const char *text)
{
	size_t n = strlen(enhanced) + 1, len = strlen(text);

	memcpy(p->value, enhanced, n);
	memcpy(p->value + n, text, len + 1);
	p->value_len = n + len;
}

/* "554" if it is such a number: three digits of this class (RFC 5321 4.2.1). */
static bool is_code(const char *word, size_t len, char class)
{
	return len == 3 && word[0] == class && word[1] >= '0' && word[1] <= '5' && word[2] >= '0' &&
	       word[2] <= '9';
}

/* "5.7.1" (RFC 3463 2): class "." 1*3DIGIT "." 1*3DIGIT */
static bool is_enhanced(const char *word, size_t len)
{
	size_t subject = len > 2 ? strspn(word + 2, "0123456789") : 0, detail;

	if (len < 5 || word[0] < '2' || word[0] > '5' || word[1] != '.' || subject < 1 || subject > 3 ||
	    word[2 + subject] != '.')
		return false;
	detail = strspn(word + 3 + subject, "0123456789");
	return detail >= 1 && detail <= 3 && 3 + subject + detail == len;
}

static size_t word_len(const char *at)
{
	return strcspn(at, " \t");
}

static const char *next_word(const char *at)
{
	at += word_len(at);
	return at + strspn(at, " \t");
}

/* [code] [enhanced] text. False: it was told what is wrong. */
static bool take_reply(struct lines *l, const struct action_word *w, const char *at, struct parsed *p)
{
	char enhanced[12];
	uint64_t code = (uint64_t)w->code;
	size_t len = word_len(at);

	strcpy(enhanced, w->enhanced);
	if (len == 3 && strspn(at, "0123456789") == 3) {
		if (!is_code(at, len, w->class)) {
			lines_error(l, "%.3s: the reply code of \"%s\" is one from %c00 to %c59", at, w->word,
				    w->class, w->class);
			return false;
		}
		(void)num_parse_u64(at, 3, 999, &code);
		at = next_word(at);
		len = word_len(at);
	}
	if (is_enhanced(at, len)) {
		if (at[0] != w->class) {
			lines_error(l, "%.*s: an enhanced status code of \"%s\" begins with %c", (int)len, at,
				    w->word, w->class);
			return false;
		}
		memcpy(enhanced, at, len);
		enhanced[len] = '\0';
		at = next_word(at);
	}
	p->tag = tag_of(w->action, (int)code);
	set_value(p, enhanced, *at ? at : w->text);
	return true;
}

/* "a@example.org, b@example.org": as addresses with a blank between them. */
static bool take_members(struct lines *l, char *at, struct parsed *p)
{
	char members[LINES_LONGEST] = "";
	size_t n = 0, answer = 0;
	struct smtp_path path;
	const char *why;
	size_t used;

	for (char *word; (word = strtok_r(at, " ,", &at));) {
		if (smtp_path_parse(word, strlen(word), SMTP_PATH_UNQUALIFIED_OK, &path, &used, &why) < 0 ||
		    used < strlen(word)) {
			lines_error(l, "\"%s\" is no address", word);
			return false;
		}
		n += (size_t)snprintf(members + n, sizeof(members) - n, "%s%s", n > 0 ? " " : "",
				      path.address);
		answer += strlen(path.address) + 3;
	}
	if (n == 0 || answer > LIST_MAX) {
		lines_error(l,
			    n == 0 ? "the members of the list are missing"
				   : "the list is longer than an answer of %d octets can be",
			    LIST_MAX);
		return false;
	}
	p->tag = tag_of(RULE_LIST, 0);
	set_value(p, "", members);
	return true;
}

/* The action at the start of what is left of the line. False: it was told what is wrong. */
static bool take_action(const struct rules *r, struct lines *l, char *at, bool may_hold, struct parsed *p)
{
	char held_by[64];
	const char *word = lines_word(&at);
	const struct action_word *w = word ? find_word(r->kind, word) : NULL;

	if (!w) {
		lines_error(l, "%s%s%s: write one of allow, reject, defer%s and %s behind the pattern",
			    word ? "\"" : "the action is missing", word ? word : "",
			    word ? "\" is no action" : "", r->kind == RULES_VRFY ? ", unknown" : "",
			    r->kind == RULES_VRFY ? "list" : "hold");
		return false;
	}
	for (char *c = at; *c; c++)
		if (*c == '\t')
			*c = ' ';
	if (w->action == RULE_LIST)
		return take_members(l, at, p);
	if (strlen(at) > TEXT_MAX) {
		lines_error(l, "the text is longer than %d octets", TEXT_MAX);
		return false;
	}
	if (!text_is_printable_ascii(at)) {
		lines_error(l, "the text may hold printable ASCII only");
		return false;
	}
	if (w->class)
		return take_reply(l, w, at, p);
	if ((w->action == RULE_ALLOW ? !w->of_vrfy : w->action == RULE_UNKNOWN) && *at) {
		lines_error(l, "nothing may follow \"%s\"", w->word);
		return false;
	}
	if (w->action == RULE_HOLD && !may_hold) {
		lines_error(l, "hold: only the handler \"spool\" can keep mail");
		return false;
	}
	snprintf(held_by, sizeof(held_by), "held by %s", rules_names[r->kind]);
	p->tag = tag_of(w->action, 0);
	set_value(p, "", *at || w->action != RULE_HOLD ? at : held_by);
	return true;
}

/* ---- keys ------------------------------------------------------------------------- */

#define CLIENT_KEY_MAX 18 /* family, prefix length, address */

/* The octets of the address that the prefix covers, and no others. */
static size_t client_key(int family, const unsigned char *address, unsigned bits, char key[CLIENT_KEY_MAX])
{
	unsigned bytes = bits / 8, rest = bits % 8;
	size_t n = 2;

	key[0] = family == AF_INET ? '4' : '6';
	key[1] = (char)bits;
	memcpy(key + 2, address, bytes);
	n += bytes;
	if (rest)
		key[n++] = (char)(address[bytes] & (0xff << (8 - rest)));
	return n;
}

static void note_prefix(struct rules *r, const struct cidr *net)
{
	bool ipv6 = net->family != AF_INET;
	unsigned char *prefix = r->prefix[ipv6];
	unsigned n = 0, count = r->prefix_count[ipv6];

	while (n < count && prefix[n] > net->prefix_bits)
		n++;
	if (n < count && prefix[n] == net->prefix_bits)
		return;
	memmove(prefix + n + 1, prefix + n, count - n);
	prefix[n] = (unsigned char)net->prefix_bits;
	r->prefix_count[ipv6]++;
}

/* Length of the key; 0: it was told what is wrong. */
static size_t take_client(struct rules *r, struct lines *l, const char *pattern, char *key)
{
	struct cidr net;
	struct err e;

	if (strcmp(pattern, "*") == 0 || strcmp(pattern, "unix") == 0) {
		strcpy(key, pattern);
		return strlen(pattern);
	}
	if (cidr_parse(pattern, &net, &e) < 0) {
		lines_error(l, "%s, nor \"unix\" or *", e.text);
		return 0;
	}
	note_prefix(r, &net);
	return client_key(net.family, net.address, net.prefix_bits, key);
}

static size_t take_pattern(struct rules *r, struct lines *l, const char *pattern, char key[ADDRESS_KEY_MAX])
{
	struct err e;

	if (r->kind == RULES_CLIENT)
		return take_client(r, l, pattern, key);
	if (address_pattern_key(pattern, r->kind == RULES_SENDER, key, &e) < 0) {
		lines_error(l, "%s", e.text);
		return 0;
	}
	return strlen(key);
}

/* ---- loading ------------------------------------------------------------------------ */

static bool says_the_same(const struct table *t, const struct table_entry *e, const struct parsed *p)
{
	const char *enhanced = table_value(t, e);

	return e->tag == p->tag && strcmp(enhanced, p->value) == 0 &&
	       strcmp(enhanced + strlen(enhanced) + 1, p->value + strlen(p->value) + 1) == 0;
}

/* False: the table is full, and there is no use in reading on. */
static bool take_line(struct rules *r, struct lines *l, char *at, bool may_hold)
{
	const struct table_entry *other;
	char key[ADDRESS_KEY_MAX];
	const char *pattern = lines_word(&at);
	size_t len = take_pattern(r, l, pattern, key);
	struct parsed p;

	if (!take_action(r, l, at, may_hold, &p) || len == 0)
		return true;
	switch (table_add(&r->table, key, len, p.tag, l->line, p.value, p.value_len, &other)) {
	case TABLE_ADDED:
		break;
	case TABLE_THERE:
		if (!says_the_same(&r->table, other, &p))
			lines_error(l, "\"%s\" stands twice, first in line %u, and says something else there",
				    pattern, other->line);
		break;
	case TABLE_FULL:
		lines_error(l, "the table is too large: %u entries and %u octets are the most",
			    TABLE_ENTRIES_MAX, TABLE_BYTES_MAX);
		return false;
	}
	return true;
}

static int load(struct rules *r, struct lines *l, bool may_hold)
{
	char *at;

	while (l->file && (at = lines_next(l)) && take_line(r, l, at, may_hold))
		;
	table_finish(&r->table);
	return lines_close(l);
}

static void init(struct rules *r, enum rules_kind kind)
{
	memset(r, 0, sizeof(*r));
	r->kind = kind;
	table_init(&r->table);
}

int rules_load(struct rules *r, enum rules_kind kind, const char *path, bool may_hold, access_report *report,
	       void *ctx)
{
	struct lines l;

	init(r, kind);
	(void)lines_open(&l, path, report, ctx);
	return load(r, &l, may_hold);
}

int rules_load_from(struct rules *r, enum rules_kind kind, const char *path, FILE *file, bool may_hold,
		    access_report *report, void *ctx)
{
	struct lines l;

	init(r, kind);
	lines_use(&l, path, file, report, ctx);
	return load(r, &l, may_hold);
}

void rules_release(struct rules *r)
{
	table_release(&r->table);
}

/* ---- asking ---------------------------------------------------------------------------- */

static bool tell(const struct rules *r, const struct table_entry *e, struct rule *out)
{
	const char *enhanced, *text;

	if (!e)
		return false;
	enhanced = table_value(&r->table, e);
	text = enhanced + strlen(enhanced) + 1;
	out->action = (enum rule_action)(e->tag >> 12);
	out->line = e->line;
	out->text = text;
	if (out->action == RULE_REJECT || out->action == RULE_DEFER)
		smtp_reply_set(&out->reply, e->tag & 0xfff, enhanced, "%s", text);
	return true;
}

bool rules_find_address(const struct rules *r, const char *address, struct rule *out)
{
	const struct table_entry *e = NULL;
	char key[ADDRESS_KEY_MAX];
	struct address a;
	unsigned step = 0;

	if (r->table.count == 0)
		return false;
	address_take(&a, address);
	while (!e && address_next_key(&a, &step, key))
		e = table_find(&r->table, key, strlen(key));
	return tell(r, e, out);
}

bool rules_find_client(const struct rules *r, int family, const unsigned char *address, struct rule *out)
{
	const struct table_entry *e = NULL;
	bool ipv6 = family == AF_INET6;
	char key[CLIENT_KEY_MAX];

	if (family == AF_UNIX) {
		e = table_find(&r->table, "unix", 4);
	} else {
		for (unsigned i = 0; !e && i < r->prefix_count[ipv6]; i++) {
			size_t len = client_key(family, address, r->prefix[ipv6][i], key);

			e = table_find(&r->table, key, len);
		}
	}
	if (!e)
		e = table_find(&r->table, "*", 1);
	return tell(r, e, out);
}
