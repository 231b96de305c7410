/* SPDX-License-Identifier: ISC */
/* See limits.h. Made by the master, used in workers. */
#include "access/limits.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/assert.h"

#define WAYS 8 /* buckets among which a key has its place */
#define MINUTE_US INT64_C(60000000)
#define ENTER_TRIES 64 /* two that enter at one moment can both see one too many: they try again */

/* What a slot says of its connection: the key with its lowest bit taken for "not decided yet". */
#define UNDECIDED UINT64_C(1)

struct bucket {
	_Atomic uint64_t key; /* 0: free */
	_Atomic int64_t full_at_us[2]; /* by enum limits_what; monotonic microseconds */
};

struct limits_shared {
	struct bucket bucket[LIMITS_BUCKETS];
	_Atomic uint64_t has[]; /* [2 * slot + who] */
};

int limits_create(struct limits *l, size_t slots, struct err *e)
{
	l->slots = slots;
	l->bytes = sizeof(*l->shared) + 2 * slots * sizeof(l->shared->has[0]);
	l->shared = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	if (l->shared == MAP_FAILED) {
		l->shared = NULL;
		err_set_os(e, errno, "cannot get the shared memory in which clients are counted");
		return -1;
	}
	if (getrandom(&l->seed, sizeof(l->seed), 0) != sizeof(l->seed))
		l->seed = (uint64_t)(uintptr_t)l->shared;
	return 0;
}

void limits_destroy(struct limits *l)
{
	if (l->shared)
		munmap(l->shared, l->bytes);
	l->shared = NULL;
}

/* ---- who -------------------------------------------------------------------------- */

static limits_key key_of(const struct limits *l, const void *data, size_t len)
{
	/* two and not the lowest bit: never 0, and room for UNDECIDED */
	return (XXH3_64bits_withSeed(data, len, l->seed) & ~UNDECIDED) | 2;
}

limits_key limits_key_of_address(const struct limits *l, const unsigned char *address, size_t len)
{
	/* a host of IPv6 has a /64 to choose addresses from (RFC 7421), but on the link all hosts have the same one */
	bool on_link = len == 16 && address[0] == 0xfe && (address[1] & 0xc0) == 0x80;

	return key_of(l, address, len == 16 && !on_link ? 8 : len);
}

limits_key limits_key_of_user(const struct limits *l, const char *user)
{
	char folded[256] = ""; /* a name is shorter: AUTHENTICATOR_USER_MAX */
	size_t len = 0;

	/* one who is called BOB by some clients has no share of his own */
	for (; len < sizeof(folded) - 1 && user[len]; len++)
		folded[len] =
			user[len] >= 'A' && user[len] <= 'Z' ? (char)(user[len] - 'A' + 'a') : user[len];
	/* with its NUL, so that no user is an address */
	return key_of(l, folded, len + 1) ^ (UINT64_C(1) << 63);
}

/* ---- connections ------------------------------------------------------------------- */

static _Atomic uint64_t *place_of(const struct limits *l, size_t slot, enum limits_who who)
{
	ASSERT(slot < l->slots);
	return &l->shared->has[2 * slot + (size_t)who];
}

/* All of them, and whether one among the others has not decided yet. */
static unsigned count(const struct limits *l, enum limits_who who, limits_key key, size_t self,
		      bool *undecided)
{
	unsigned n = 0;

	*undecided = false;
	for (size_t i = 0; i < l->slots; i++) {
		uint64_t has = atomic_load(&l->shared->has[2 * i + (size_t)who]);

		if ((has & ~UNDECIDED) != key)
			continue;
		n++;
		*undecided = *undecided || (i != self && (has & UNDECIDED));
	}
	return n;
}

unsigned limits_count(const struct limits *l, enum limits_who who, limits_key key)
{
	bool undecided;

	return count(l, who, key, SIZE_MAX, &undecided);
}

/*
 * Each says first that it is there and counts then, itself included. Of any two, one at least sees the other; so the
 * last of one too many sees them all, and there are never more than `most`. Two that come at one moment may both see
 * one too many: then they step back and try again.
 */
bool limits_enter(struct limits *l, size_t slot, enum limits_who who, limits_key key, unsigned most)
{
	_Atomic uint64_t *place = place_of(l, slot, who);
	bool undecided = true;

	if (most == 0) {
		atomic_store(place, key);
		return true;
	}
	for (unsigned n = 0; n < ENTER_TRIES && undecided; n++) {
		atomic_store(place, key | UNDECIDED);
		if (count(l, who, key, slot, &undecided) <= most) {
			atomic_store(place, key);
			return true;
		}
		atomic_store(place, 0);
		/* not all in step: a slot waits as much longer as its number has it */
		for (size_t i = 0; undecided && i <= (slot + n) % 7; i++)
			sched_yield();
	}
	return false;
}

void limits_leave(struct limits *l, size_t slot, enum limits_who who)
{
	atomic_store(place_of(l, slot, who), 0);
}

void limits_clear_slot(struct limits *l, size_t slot)
{
	limits_leave(l, slot, LIMITS_CLIENT);
	limits_leave(l, slot, LIMITS_USER);
}

/* ---- messages and recipients --------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t full_at(const struct bucket *b)
{
	return later(atomic_load(&b->full_at_us[LIMITS_MESSAGES]),
		     atomic_load(&b->full_at_us[LIMITS_RECIPIENTS]));
}

static struct bucket *set_of(const struct limits *l, limits_key key)
{
	return &l->shared->bucket[(key >> 8) % (LIMITS_BUCKETS / WAYS) * WAYS];
}

static struct bucket *find(struct bucket *set, limits_key key)
{
	for (size_t i = 0; i < WAYS; i++)
		if (atomic_load(&set[i].key) == key)
			return &set[i];
	return NULL;
}

/*
 * The place that was not needed for longest becomes the key's. Emptied first: for a moment its old owner may get
 * away with something, which is better than the new one paying for it. Two that do this for one key at one moment may
 * take two places: then both go on with the first of them.
 */
static struct bucket *take_over(struct bucket *set, limits_key key)
{
	struct bucket *victim = &set[0];
	uint64_t old;

	for (size_t i = 0; i < WAYS; i++) {
		if (atomic_load(&set[i].key) == 0) {
			victim = &set[i];
			break;
		}
		if (full_at(&set[i]) < full_at(victim))
			victim = &set[i];
	}
	old = atomic_load(&victim->key);
	atomic_store(&victim->full_at_us[LIMITS_MESSAGES], 0);
	atomic_store(&victim->full_at_us[LIMITS_RECIPIENTS], 0);
	(void)atomic_compare_exchange_strong(&victim->key, &old, key);
	return find(set, key);
}

bool limits_take(struct limits *l, limits_key key, enum limits_what what, unsigned a_minute,
		 int64_t now_mono_ms)
{
	struct bucket *set = set_of(l, key), *b;
	int64_t now = now_mono_ms * 1000, one, was, from;

	if (a_minute == 0)
		return true;
	b = find(set, key);
	if (!b)
		b = take_over(set, key);
	if (!b) /* others took the place at once: who cannot be counted passes */
		return true;
	one = MINUTE_US / a_minute;
	was = atomic_load(&b->full_at_us[what]);
	do {
		from = was < now ? now : was;
		if (from > now + MINUTE_US) /* never by us */
			from = now + MINUTE_US;
		if (from + one > now + MINUTE_US)
			return false;
	} while (!atomic_compare_exchange_weak(&b->full_at_us[what], &was, from + one));
	return true;
}

void limits_give_back(struct limits *l, limits_key key, enum limits_what what, unsigned a_minute)
{
	struct bucket *b = a_minute > 0 ? find(set_of(l, key), key) : NULL;

	if (b)
		atomic_fetch_sub(&b->full_at_us[what], MINUTE_US / a_minute);
}
