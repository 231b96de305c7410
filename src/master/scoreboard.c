/* SPDX-License-Identifier: ISC */
/* See scoreboard.h. */
#include "master/scoreboard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"

static const size_t board_bytes =
	sizeof(struct scoreboard_shared) + SCOREBOARD_SLOTS_MAX * sizeof(struct scoreboard_slot);

int scoreboard_create(struct scoreboard **board, unsigned slots, struct err *e)
{
	void *p = mmap(NULL, board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	ASSERT(slots <= SCOREBOARD_SLOTS_MAX);
	if (p == MAP_FAILED) {
		err_set_os(e, errno, "cannot map shared memory for %u workers", slots);
		return -1;
	}
	*board = mem_alloc(sizeof(**board));
	(*board)->slots = slots;
	(*board)->shared = p;
	(*board)->slot = (*board)->shared->slot;
	return 0;
}

void scoreboard_destroy(struct scoreboard *board)
{
	munmap(board->shared, board_bytes);
	free(board);
}

void scoreboard_grow(struct scoreboard *board, unsigned slots)
{
	ASSERT(slots <= SCOREBOARD_SLOTS_MAX);
	if (slots > board->slots)
		board->slots = slots;
}

void scoreboard_add(const struct scoreboard *board, unsigned slot, struct scoreboard_count *count)
{
	switch (atomic_load(&board->slot[slot].state)) {
	case SLOT_FREE:
		return;
	case SLOT_STARTING:
		count->starting++;
		break;
	case SLOT_IDLE:
		count->idle++;
		break;
	case SLOT_BUSY:
		count->busy++;
		break;
	case SLOT_LEAVING:
		count->leaving++;
		break;
	}
	count->total++;
}

void scoreboard_count(const struct scoreboard *board, struct scoreboard_count *count)
{
	*count = (struct scoreboard_count){ 0 };
	for (unsigned i = 0; i < board->slots; i++)
		scoreboard_add(board, i, count);
}

void scoreboard_set(struct scoreboard_slot *slot, unsigned generation, enum slot_state state)
{
	if (atomic_load(&slot->generation) != generation)
		return;
	atomic_store(&slot->since_mono_ms, clock_mono_ms());
	atomic_store(&slot->state, state);
}

bool scoreboard_may_log(struct scoreboard *board, enum scoreboard_lines about, int64_t now_mono_ms)
{
	static const unsigned most[] = {
		[LINES_OF_TALK] = SCOREBOARD_LINES_OF_TALK, [LINES_OF_MAIL] = SCOREBOARD_LINES_OF_MAIL
	};
	struct scoreboard_flood *flood = &board->shared->flood[about];
	int64_t second = now_mono_ms / 1000;

	/* two that begin a second at one moment may lose a line each from its count: it is about floods */
	if (atomic_exchange(&flood->second, second) != second)
		atomic_store(&flood->lines, 0);
	if (atomic_fetch_add(&flood->lines, 1) < most[about])
		return true;
	atomic_fetch_add(&board->shared->flood_unsaid, 1);
	return false;
}

void scoreboard_note(struct scoreboard_slot *slot, const char *peer, const char *verb)
{
	if (peer)
		snprintf(slot->peer, sizeof(slot->peer), "%s", peer);
	if (verb)
		snprintf(slot->verb, sizeof(slot->verb), "%s", verb);
}

void scoreboard_guest_enters(struct scoreboard_slot *slot, const char *guest, const char *function,
			     int64_t deadline_mono_ms)
{
	snprintf(slot->guest, sizeof(slot->guest), "%s", guest);
	snprintf(slot->guest_function, sizeof(slot->guest_function), "%s", function);
	atomic_store(&slot->guest_deadline_mono_ms, deadline_mono_ms);
}

void scoreboard_guest_left(struct scoreboard_slot *slot)
{
	atomic_store(&slot->guest_deadline_mono_ms, 0);
}
