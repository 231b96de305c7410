/* SPDX-License-Identifier: ISC */
/* See export_remove.h. */
#include "cli/export_remove.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/progress.h"
#include "spool/adopt.h"
#include "spool/state.h"

int removal_open(struct removal *r, struct cli *cli)
{
	r->changer = change_open(cli, r->from->path);
	return r->changer ? 0 : -1;
}

void removal_close(struct removal *r)
{
	change_close(r->changer);
}

/* The relay may have worked on it since it was copied: then the copy is made again. */
static enum adopt_result refresh(const struct removal *r, const char *id, struct err *e)
{
	enum adopt_result result;
	struct spool_id as;

	if (!r->other || change_is_direct(r->changer))
		return ADOPT_SAME;
	result = spool_adopt(r->other, r->from, id, false, &as, e);
	if (result != ADOPT_TAKEN)
		return result;
	return spool_remove(r->other, id, e) < 0 ? ADOPT_FAILED : spool_adopt(r->other, r->from, id, false, &as, e);
}

/* It left the queue by itself: delivered, so its copy must not be. */
static enum cli_status withdraw(const struct removal *r, const char *id)
{
	struct err e;

	if (!r->other || spool_remove(r->other, id, &e) == 0)
		return CLI_DONE;
	cli_error("%s: it was delivered meanwhile, and its copy must be removed by hand: %s", id, e.text);
	return CLI_NOTHING;
}

static enum cli_status judge(struct removal *r, const struct action_item *item)
{
	switch (item->result) {
	case ACTION_DONE:
		r->removed++;
		if (!item->in_flight)
			return CLI_DONE;
		cli_error("%s: it was being sent in this moment: it may be delivered from here as well", item->id.text);
		return CLI_NOTHING;
	case ACTION_GONE:
		return withdraw(r, item->id.text);
	case ACTION_PENDING:
		cli_error("%s: it is being sent in this moment, and removed when that ends", item->id.text);
		return CLI_NOTHING;
	case ACTION_NO_CHANGE:
	case ACTION_CORRUPT:
	case ACTION_FAILED:
		break;
	}
	cli_error("%s: exported, and still in the queue: %s", item->id.text, item->e.text);
	return CLI_NOTHING;
}

static enum cli_status remove_batch(struct removal *r, struct action_item *items, size_t count)
{
	static const struct action_order order = { .action = ACTION_REMOVE, .reason = "exported" };
	enum cli_status status = CLI_DONE;
	struct err e = { 0 };

	if (change_run(r->changer, &order, items, count, &e) < 0) {
		cli_error("%s", e.text);
		status = CLI_UNREACHABLE;
	}
	for (size_t i = 0; i < count; i++) {
		enum cli_status one = judge(r, &items[i]);

		status = one > status ? one : status;
	}
	return status;
}

/* Those of a batch that may go now. */
static size_t fill_batch(const struct removal *r, const struct id_list *ids, size_t *at, struct action_item *items,
			 enum cli_status *status)
{
	size_t count = 0;

	for (; *at < ids->count && count < ACTION_BATCH_MAX; ++*at) {
		struct action_item *item = &items[count];
		struct err e;

		memset(item, 0, sizeof(*item));
		id_list_get(ids, *at, &item->id);
		switch (refresh(r, item->id.text, &e)) {
		case ADOPT_DONE:
		case ADOPT_SAME:
			count++;
			continue;
		case ADOPT_GONE:
			*status = withdraw(r, item->id.text) > *status ? CLI_NOTHING : *status;
			continue;
		case ADOPT_TAKEN:
		case ADOPT_CORRUPT:
		case ADOPT_FAILED:
			cli_error("%s: exported, and still in the queue: %s", item->id.text, e.text);
			*status = CLI_NOTHING;
			continue;
		}
	}
	return count;
}

enum cli_status removal_run(struct removal *r, const struct id_list *ids)
{
	struct action_item *items = mem_array(ACTION_BATCH_MAX, sizeof(*items));
	enum cli_status status = CLI_DONE;
	struct progress progress;

	progress_begin(&progress, "removing", ids->count);
	for (size_t at = 0; at < ids->count && status != CLI_UNREACHABLE;) {
		size_t count = fill_batch(r, ids, &at, items, &status);
		enum cli_status one = count > 0 ? remove_batch(r, items, count) : CLI_DONE;

		status = one > status ? one : status;
		progress_at(&progress, at);
	}
	progress_clear(&progress);
	free(items);
	return status;
}
