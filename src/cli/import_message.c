/* SPDX-License-Identifier: ISC */
/* See import_message.h. */
#include "cli/import_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/carry.h"
#include "smtp/header.h"
#include "spool/txn.h"

/* The header section of canonical text, and what must not be in a message at all. */
struct anatomy {
	size_t header_len; /* up to the empty line, or what is no field */
	unsigned received;
	bool nul, eightbit;
};

static void dissect(const struct buf *text, struct anatomy *a)
{
	const char *at = text->data, *end = text->data + text->len;
	struct header_field f;

	memset(a, 0, sizeof(*a));
	while (header_next(&at, end, &f))
		a->received += header_is(&f, "Received");
	a->header_len = (size_t)(at - text->data);
	a->nul = memchr(text->data, '\0', text->len) != NULL;
	for (size_t i = 0; i < text->len && !a->eightbit; i++)
		a->eightbit = (unsigned char)text->data[i] >= 0x80;
}

/* RFC 5321 6.3, and what the session refuses of a client. */
static int check_content(const struct buf *text, const struct anatomy *a, const struct import_rules *rules,
			 struct err *e)
{
	if (rules->size_limit_bytes > 0 && text->len > rules->size_limit_bytes)
		err_set(e, "larger than data_size_limit, %llu octets", (unsigned long long)rules->size_limit_bytes);
	else if (a->nul)
		err_set(e, "holds a NUL octet, which mail cannot");
	else if (rules->max_received > 0 && a->received > rules->max_received)
		err_set(e, "went round in circles: it has %u Received fields", a->received);
	else
		return 0;
	return -1;
}

static int named_envelope(const struct buf *text, const struct anatomy *a, const struct submit_options *options,
			  struct envelope *env, struct err *e)
{
	struct buf header;
	int r = -1;

	if (!options) {
		err_set(e, "brings no envelope along: name it with --from and --to, or take the header's with -t");
		return -1;
	}
	buf_init(&header, SUBMIT_HEADER_MAX);
	if (buf_add(&header, text->data, a->header_len))
		r = envelope_from_header(env, &header, options, e) == SUBMIT_OK ? 0 : -1;
	else
		err_set(e, "its header is larger than %u octets", SUBMIT_HEADER_MAX);
	buf_release(&header);
	return r;
}

static void set(char **field, const char *text)
{
	envelope_set(field, text, strlen(text));
}

/* Where it came from, where nothing says so. */
static void complete(struct envelope *env, const struct anatomy *a)
{
	char peer[64];

	snprintf(peer, sizeof(peer), "unix:uid=%lu,pid=%lu", (unsigned long)geteuid(), (unsigned long)getpid());
	if (!env->peer[0])
		set(&env->peer, peer);
	if (!env->listener[0])
		set(&env->listener, "import");
	if (a->eightbit && env->body == BODY_7BIT)
		env->body = BODY_8BITMIME;
	env->arrived_wall_us = clock_wall_us();
	env->id[0] = '\0';
}

static enum imported commit(struct spool *s, struct envelope *env, const struct buf *text, const struct anatomy *a,
			    bool without_bcc, struct err *e)
{
	const char *at = text->data, *end = text->data + a->header_len;
	struct spool_txn *txn = spool_txn_begin(s, env);
	enum spool_result r = SPOOL_OK;
	struct header_field f;

	/* RFC 5322 3.6.3: nobody learns who else got it in secret */
	while (r == SPOOL_OK && header_next(&at, end, &f))
		if (!without_bcc || !header_is(&f, "Bcc"))
			r = spool_txn_write(txn, f.name, f.raw_len, e);
	if (r == SPOOL_OK)
		r = spool_txn_write(txn, end, text->len - a->header_len, e);
	if (r == SPOOL_OK)
		r = spool_txn_commit(txn, e);
	else
		spool_txn_abort(txn);
	return r == SPOOL_OK ? IMPORTED : IMPORT_FAILED;
}

/* The envelope, and text without what brought it. */
static enum carried find_envelope(struct buf *text, const json_t *sidecar, struct envelope *env, struct err *e)
{
	enum carried found;
	size_t used;

	if (sidecar)
		return carry_from_json(sidecar, env, e);
	found = carry_from_fields(text->data, text->len, env, &used, e);
	if (found != CARRIED_BAD)
		buf_consume(text, used);
	return found;
}

static enum imported import_canonical(struct spool *s, struct buf *text, const json_t *sidecar,
				      const struct import_rules *rules, struct spool_id *id, struct err *e)
{
	enum imported result = IMPORT_REFUSED;
	struct envelope env;
	enum carried found;
	struct anatomy a;

	envelope_init(&env);
	found = find_envelope(text, sidecar, &env, e);
	dissect(text, &a);
	/* what the operator says counts for more than what came along */
	if (rules->envelope && found != CARRIED_BAD) {
		envelope_release(&env);
		envelope_init(&env);
		found = CARRIED_NONE;
	}
	if (found == CARRIED_NOBODY)
		result = IMPORT_NOBODY;
	else if (found != CARRIED_BAD &&
		 (found == CARRIED_ENVELOPE || named_envelope(text, &a, rules->envelope, &env, e) == 0) &&
		 check_content(text, &a, rules, e) == 0) {
		complete(&env, &a);
		result = commit(s, &env, text, &a, rules->envelope && rules->envelope->read_recipients, e);
		strcpy(id->text, env.id);
	}
	envelope_release(&env);
	return result;
}

enum imported import_message(struct spool *s, const char *text, size_t len, const json_t *sidecar,
			     const struct import_rules *rules, struct spool_id *id, struct err *e)
{
	enum imported result = IMPORT_REFUSED;
	bool after_cr = false;
	struct buf canonical;

	buf_init(&canonical, IMPORT_TEXT_MAX);
	if (!crlf_convert(&after_cr, text, len, &canonical) ||
	    (canonical.len > 0 && canonical.data[canonical.len - 1] != '\n' && !buf_adds(&canonical, "\r\n")))
		err_set(e, "larger than %u octets", IMPORT_TEXT_MAX);
	else if (canonical.len == 0)
		err_set(e, "is empty");
	else
		result = import_canonical(s, &canonical, sidecar, rules, id, e);
	buf_release(&canonical);
	return result;
}
