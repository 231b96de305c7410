/* SPDX-License-Identifier: ISC */
/*
 * The module in a worker: loaded once rights are dropped. While a function of it runs the scoreboard says so,
 * and until when it may: the master ends what does not come back, and knows whose crash it was.
 */
#include "daemon/worker_internal.h"

#include "base/clock.h"

static void on_enter(void *ctx, const char *module, const char *function)
{
	struct worker *w = ctx;

	scoreboard_guest_enters(w->start->slot, module, function,
				clock_mono_ms() + w->service->cfg->module_timeout_ms);
}

static void on_leave(void *ctx)
{
	struct worker *w = ctx;

	scoreboard_guest_left(w->start->slot);
}

int worker_open_module(struct worker *w, struct err *e)
{
	if (!w->service->cfg->module)
		return 0;
	modules_settings(&w->service->modules, &w->module_settings);
	w->guard = (struct module_guard){ on_enter, on_leave, w };
	w->module_settings.guard = &w->guard;
	w->module = module_open(&w->module_settings, e);
	return w->module ? 0 : -1;
}

void worker_use_module(struct worker *w)
{
	if (!w->module)
		return;
	w->handler = module_front_open(w->module, w->handler);
	for (size_t i = 0; i < w->service->cfg->listener_count; i++)
		w->session[i].hooks = w->local_session[i].hooks = module_hooks(w->module);
	w->outbox_session.hooks = module_hooks(w->module);
}
