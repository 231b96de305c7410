/* SPDX-License-Identifier: ISC */
/*
 * See processes.h. Runs in the relay. What it reads is written by workers at
 * the same time, and a hostile one may write anything: texts end where their
 * field does, numbers are shown and nothing else.
 */
#include "daemon/processes.h"

#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "config/listener.h"
#include "daemon/service.h"
#include "manage/json.h"

/* NULL: no process, or nonsense. */
static const char *state_name(enum slot_state state)
{
	switch (state) {
	case SLOT_FREE:
		return NULL;
	case SLOT_STARTING:
		return "starting";
	case SLOT_IDLE:
		return "idle";
	case SLOT_BUSY:
		return "busy";
	case SLOT_LEAVING:
		return "leaving";
	}
	return NULL;
}

/* A text that may change while it is read. */
static json_t *text_of(const char *field, size_t cap)
{
	char copy[128];

	ASSERT(cap < sizeof(copy));
	memcpy(copy, field, cap);
	copy[cap] = '\0';
	return copy[0] ? json_text(copy, strlen(copy)) : json_null();
}

static json_t *worker_object(struct scoreboard_slot *slot, enum slot_state state, int64_t now_s, int64_t now_mono_ms)
{
	int64_t since = atomic_load(&slot->since_mono_ms);
	bool busy = state == SLOT_BUSY;
	json_t *o = json_object();

	json_put_key(o, "pid", json_integer(atomic_load(&slot->pid)));
	json_put_key(o, "state", json_string(state_name(state)));
	json_put_key(o, "since", json_integer(since > 0 && since <= now_mono_ms ? now_s - (now_mono_ms - since) / 1000 :
										   now_s));
	json_put_key(o, "peer", busy ? text_of(slot->peer, sizeof(slot->peer)) : json_null());
	json_put_key(o, "verb", busy ? text_of(slot->verb, sizeof(slot->verb)) : json_null());
	json_put_key(o, "sessions", json_integer((json_int_t)atomic_load(&slot->sessions)));
	json_put_key(o, "accepted", json_integer((json_int_t)atomic_load(&slot->accepted)));
	json_put_key(o, "rejected", json_integer((json_int_t)atomic_load(&slot->rejected)));
	return o;
}

static json_t *processes_object(const struct service *s)
{
	struct scoreboard_count count;
	json_t *o = json_object();

	scoreboard_count(s->board, &count);
	json_put_key(o, "master", json_integer(s->master_pid));
	json_put_key(o, "relay", json_integer(getpid()));
	json_put_key(o, "keys",
		     config_has_tls(s->cfg) ? json_boolean(atomic_load(&s->board->shared->ready[ROLE_KEYS]))
					    : json_null());
	json_put_key(o, "workers", json_integer(count.total));
	json_put_key(o, "workers_starting", json_integer(count.starting));
	json_put_key(o, "workers_idle", json_integer(count.idle));
	json_put_key(o, "workers_busy", json_integer(count.busy));
	json_put_key(o, "workers_leaving", json_integer(count.leaving));
	json_put_key(o, "workers_max", json_integer(s->cfg->max_workers));
	return o;
}

void processes_add(void *ctx, json_t *status)
{
	const struct service *s = ctx;
	int64_t now_s = clock_wall_us() / 1000000, now_mono_ms = clock_mono_ms();
	json_t *workers = json_array();

	for (unsigned i = 0; i < s->board->slots; i++) {
		enum slot_state state = atomic_load(&s->board->slot[i].state);

		if (state_name(state))
			ASSERT(json_array_append_new(workers, worker_object(&s->board->slot[i], state, now_s,
									    now_mono_ms)) == 0);
	}
	json_put_key(status, "processes", processes_object(s));
	json_put_key(status, "workers", workers);
}
