/* SPDX-License-Identifier: ISC */
/* See ban.h. */
#include "auth/ban.h"

#include <stdlib.h>
#include <string.h>

#include "auth/address.h"
#include "base/alloc.h"

void ban_init(struct ban_table *t, const struct ban_limits *limits)
{
	t->limits = *limits;
	t->entry = mem_array(BAN_ADDRESSES_MAX, sizeof(*t->entry));
}

void ban_release(struct ban_table *t)
{
	free(t->entry);
	t->entry = NULL;
}

static bool is_over(const struct ban_table *t, const struct ban_entry *b, int64_t now)
{
	if (b->banned_until_mono_ms > 0)
		return now >= b->banned_until_mono_ms;
	return now - b->first_mono_ms >= t->limits.time_ms;
}

/* NULL: nothing is held against it. What is over is forgotten on the way. */
static struct ban_entry *find(struct ban_table *t, const struct auth_address *group, int64_t now)
{
	for (size_t i = 0; i < BAN_ADDRESSES_MAX; i++) {
		struct ban_entry *b = &t->entry[i];

		if (b->failures == 0 || !auth_address_same(&b->who, group))
			continue;
		if (!is_over(t, b, now))
			return b;
		b->failures = 0;
	}
	return NULL;
}

/* Whether a is more worth keeping than b. */
static bool outlasts(const struct ban_entry *a, const struct ban_entry *b)
{
	bool a_banned = a->banned_until_mono_ms > 0, b_banned = b->banned_until_mono_ms > 0;

	if (a_banned != b_banned)
		return a_banned;
	return a->last_mono_ms > b->last_mono_ms;
}

static struct ban_entry *make_room(struct ban_table *t, int64_t now)
{
	struct ban_entry *least = &t->entry[0];

	for (size_t i = 0; i < BAN_ADDRESSES_MAX; i++) {
		struct ban_entry *b = &t->entry[i];

		if (b->failures == 0 || is_over(t, b, now)) {
			least = b;
			break;
		}
		if (outlasts(least, b))
			least = b;
	}
	memset(least, 0, sizeof(*least));
	return least;
}

bool ban_is_banned(struct ban_table *t, const struct auth_address *who, int64_t now_mono_ms)
{
	struct auth_address group = auth_address_group(who);
	struct ban_entry *b = find(t, &group, now_mono_ms);

	return b && b->banned_until_mono_ms > 0;
}

static int64_t delay_for(const struct ban_table *t, unsigned failures)
{
	unsigned doublings = failures - 1 < BAN_DELAY_DOUBLINGS ? failures - 1 : BAN_DELAY_DOUBLINGS;
	int64_t delay = t->limits.delay_ms << doublings;

	return delay < AUTH_DELAY_MAX_MS ? delay : AUTH_DELAY_MAX_MS;
}

/* Whether it was made from there lately; else it is remembered in place of the oldest. */
static bool was_guessed(struct ban_entry *b, uint64_t guess)
{
	if (guess == 0)
		return false;
	for (size_t i = 0; i < BAN_GUESSES; i++)
		if (b->guess[i] == guess)
			return true;
	b->guess[b->next_guess++ % BAN_GUESSES] = guess;
	return false;
}

struct ban_note ban_note(struct ban_table *t, const struct auth_address *who, uint64_t guess,
			 int64_t now_mono_ms)
{
	struct auth_address group = auth_address_group(who);
	struct ban_entry *b = find(t, &group, now_mono_ms);
	struct ban_note note = { .banned = false };

	if (!b) {
		b = make_room(t, now_mono_ms);
		b->who = group;
		b->first_mono_ms = now_mono_ms;
	}
	if (!was_guessed(b, guess) || b->failures == 0)
		b->failures++;
	b->last_mono_ms = now_mono_ms;
	note.failures = b->failures;
	note.delay_ms = delay_for(t, b->failures);
	if (t->limits.after > 0 && b->failures >= t->limits.after && b->banned_until_mono_ms == 0 &&
	    !auth_address_is_local(who)) {
		b->banned_until_mono_ms = now_mono_ms + t->limits.time_ms;
		note.banned = true;
	}
	return note;
}

void ban_may_pardon(struct ban_table *t, const struct auth_address *who, uint64_t name, int64_t now_mono_ms)
{
	struct auth_address group = auth_address_group(who);
	struct ban_entry *b = find(t, &group, now_mono_ms);

	if (!b)
		return;
	b->pardons = b->pardon_name == name ? b->pardons + 1 : 1;
	b->pardon_name = name;
}

void ban_pardon(struct ban_table *t, const struct auth_address *who, uint64_t name, int64_t now_mono_ms)
{
	struct auth_address group = auth_address_group(who);
	struct ban_entry *b = find(t, &group, now_mono_ms);

	if (!b || b->banned_until_mono_ms > 0 || b->pardon_name != name)
		return;
	b->failures -= b->pardons < b->failures ? b->pardons : b->failures;
	b->pardons = 0;
	b->pardon_name = 0;
}
