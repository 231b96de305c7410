/* SPDX-License-Identifier: ISC */
/* See client_wait.h. */
#include "base/client_wait.h"

void client_wait_new_episode(struct client_wait *w)
{
	unsigned next = atomic_load(&w->episode) + 1;

	atomic_store(&w->since_mono_ms, 0);
	atomic_store(&w->before_ms, 0);
	atomic_store(&w->content_octets, 0);
	atomic_store(&w->episode, next ? next : 1);
}

void client_wait_begins(struct client_wait *w, int64_t now_mono_ms)
{
	atomic_store(&w->since_mono_ms, now_mono_ms);
}

void client_wait_ends(struct client_wait *w, int64_t now_mono_ms)
{
	int64_t since = atomic_load(&w->since_mono_ms);

	atomic_store(&w->since_mono_ms, 0);
	atomic_fetch_add(&w->before_ms, now_mono_ms - since);
}

bool client_wait_is_shed(const struct client_wait *w)
{
	unsigned episode = atomic_load(&w->episode);

	return episode != 0 && atomic_load(&w->shed_episode) == episode;
}
