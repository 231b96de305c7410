/* SPDX-License-Identifier: ISC */
/* See rcpt_set.h. */
#include "smtp/rcpt_set.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "smtp/path.h"

void rcpt_set_init(struct rcpt_set *set)
{
	memset(set, 0, sizeof(*set));
}

void rcpt_set_release(struct rcpt_set *set)
{
	free(set->slot);
	rcpt_set_init(set);
}

/* FNV-1a over the address with its letters in lower case: coarser than equality, never finer */
static uint32_t hash(const char *address)
{
	uint32_t h = 2166136261U;

	for (; *address; address++) {
		unsigned char o = (unsigned char)*address;

		h = (h ^ (o >= 'A' && o <= 'Z' ? o + 32U : o)) * 16777619U;
	}
	return h;
}

static bool same_mailbox(const char *a, const char *b)
{
	const char *domain = smtp_address_domain(a);
	size_t local_len = domain ? (size_t)(domain - a) : 0;

	return strncmp(a, b, local_len) == 0 && strcasecmp(a + local_len, b + local_len) == 0;
}

/* The slot that holds the address, or the free one where it belongs. */
static size_t find(const struct rcpt_set *set, const struct envelope *env, const char *address)
{
	size_t i = hash(address) & (set->slots - 1);

	while (set->slot[i] && !same_mailbox(env->rcpt[set->slot[i] - 1].address, address))
		i = (i + 1) & (set->slots - 1);
	return i;
}

struct envelope_rcpt *rcpt_set_find(const struct rcpt_set *set, const struct envelope *env,
				    const char *address)
{
	uint32_t found = set->slots > 0 ? set->slot[find(set, env, address)] : 0;

	return found > 0 ? &env->rcpt[found - 1] : NULL;
}

static void grow(struct rcpt_set *set, const struct envelope *env)
{
	struct rcpt_set larger = { .slots = set->slots ? set->slots * 2 : 16 };

	larger.slot = mem_array(larger.slots, sizeof(*larger.slot));
	for (size_t i = 0; i < set->slots; i++)
		if (set->slot[i])
			larger.slot[find(&larger, env, env->rcpt[set->slot[i] - 1].address)] = set->slot[i];
	larger.used = set->used;
	free(set->slot);
	*set = larger;
}

void rcpt_set_add_last(struct rcpt_set *set, const struct envelope *env)
{
	if (set->used * 2 >= set->slots)
		grow(set, env);
	set->slot[find(set, env, env->rcpt[env->rcpt_count - 1].address)] = (uint32_t)env->rcpt_count;
	set->used++;
}
