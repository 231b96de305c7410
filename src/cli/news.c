/* SPDX-License-Identifier: ISC */
/* See news.h. */
#include "cli/news.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cli/change.h"
#include "cli/daemon.h"

void news_init(struct news *n, struct cli *cli, const char *spool_path)
{
	*n = (struct news){ .cli = cli, .spool_path = spool_path };
	id_list_init(&n->ids);
}

void news_release(struct news *n)
{
	id_list_release(&n->ids);
}

static bool order_attempts(const struct news *n, struct changer *changer)
{
	static const struct action_order order = { .action = ACTION_RETRY };
	struct action_item *items = mem_array(n->ids.count, sizeof(*items));
	bool ok = true;
	struct err e;

	for (size_t i = 0; i < n->ids.count; i++)
		id_list_get(&n->ids, i, &items[i].id);
	if (change_run(changer, &order, items, n->ids.count, &e) < 0) {
		cli_error("%s", e.text);
		ok = false;
	}
	free(items);
	return ok;
}

void news_tell(struct news *n)
{
	struct changer *changer = NULL;
	struct daemon *daemon;
	struct err e;

	if (n->ids.count == 0)
		return;
	switch (daemon_connect(&daemon, n->spool_path, DAEMON_CONTROL, &e)) {
	case DAEMON_ABSENT:
		n->ids.count = 0;
		return;
	case DAEMON_CONNECTED:
		daemon_close(daemon);
		changer = change_open(n->cli, n->spool_path);
		break;
	case DAEMON_DENIED:
	case DAEMON_FAILED:
		cli_error("%s", e.text);
		break;
	}
	if (!changer || !order_attempts(n, changer)) {
		cli_error("%s: the messages are queued, but the relay does not know of them before its next "
			  "start",
			  n->spool_path);
		n->failed = true;
	}
	change_close(changer);
	n->ids.count = 0;
}

void news_add(struct news *n, const char *id)
{
	id_list_add(&n->ids, id);
	if (n->ids.count >= ACTION_BATCH_MAX)
		news_tell(n);
}
