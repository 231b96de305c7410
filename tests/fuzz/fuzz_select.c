/* SPDX-License-Identifier: ISC */
/*
 * Values of the selectors ('a' + the kind, then the value), and the beginnings of ids that are typed ('#').
 * Promises: what is refused says why; what is taken can be asked of any message, and a "no" from the envelope
 * alone is final; what is taken for an id is one.
 * Regular expressions are libc's business: --error is tried without them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/criteria.h"
#include "cli/lookup.h"
#include "fuzz.h"
#include "spool/state.h"

static void make(struct listing *l, const char *address)
{
	size_t len = strnlen(address, 300);

	memset(l, 0, sizeof(*l));
	strcpy(l->id.text, "0m4x7f3q9zkab1cd");
	envelope_init(&l->msg.env);
	envelope_set(&l->msg.env.sender, address, len);
	envelope_add_rcpt(&l->msg.env, address, len);
	envelope_add_rcpt(&l->msg.env, "b@two.example", 13);
	l->msg.fd = -1;
	spool_state_init(&l->state, 2);
	rcpt_state_set(&l->state.rcpt[0], RCPT_PENDING, 1, "main", NULL, "451 4.7.1 Greylisted");
	rcpt_state_set(&l->state.rcpt[1], RCPT_DELIVERED, 1, "main", NULL, "250 ok");
	l->condition = CONDITION_DEFERRED;
	l->left = 1;
}

static void fuzz_criterion(enum criterion_kind kind, const char *value, const char *address)
{
	struct criteria c;
	struct listing l;
	struct err e = { 0 };

	criteria_init(&c);
	if (criteria_add(&c, kind, value, &e) < 0) {
		ASSERT(e.text[0] && c.count == 0);
		criteria_release(&c);
		return;
	}
	ASSERT(strlen(value) <= CRITERION_TEXT_MAX && criteria_has(&c, kind));
	make(&l, address);
	for (unsigned phase = PHASE_ID; phase <= PHASE_STATE; phase++)
		(void)criteria_match(&c, (enum criterion_phase)phase, &l);
	/* an early "no" is final */
	if (!criteria_match(&c, PHASE_MESSAGE, &l) && criteria_last_phase(&c) == PHASE_STATE && kind != CRITERION_STATE)
		ASSERT(!criteria_match(&c, PHASE_STATE, &l));
	envelope_release(&l.msg.env);
	spool_state_release(&l.state);
	criteria_release(&c);
}

static void fuzz_prefix(const char *typed)
{
	struct id_prefix prefix;

	if (!id_prefix_parse(typed, &prefix))
		return;
	ASSERT(prefix.len == strlen(typed) && prefix.len > 0 && prefix.len <= SPOOL_ID_LEN);
	if (prefix.len == SPOOL_ID_LEN)
		ASSERT(spool_id_is_valid(prefix.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *value;
	const char *address;

	if (size == 0)
		return 0;
	value = mem_alloc(size);
	memcpy(value, data + 1, size - 1);
	/* behind the value and a NUL: whom the message is from and to */
	address = strlen(value) + 1 < size ? value + strlen(value) + 1 : "a@one.example";
	if (data[0] == '#')
		fuzz_prefix(value);
	else if (data[0] >= 'a' && data[0] < 'a' + CRITERION_COUNT && !(data[0] == 'a' + CRITERION_ERROR && value[0] == '/'))
		fuzz_criterion((enum criterion_kind)(data[0] - 'a'), value, address);
	free(value);
	return 0;
}
