/* SPDX-License-Identifier: ISC */
/* See queue_waits.h. */
#include "cli/queue_waits.h"

#include <stdio.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/corrupt.h"
#include "cli/json.h"
#include "manage/suspend.h"

#define TIMEOUT_MS 3000 /* a listing does not wait for a relay that is busy with the disk */
#define TEXT_MAX 2048

void queue_flight(const char *spool_path, struct id_list *ids)
{
	const json_t *flight;
	json_t *answer = NULL;
	struct err e;

	if (ask_daemon(spool_path, "flight", TIMEOUT_MS, &answer, &e) != DAEMON_CONNECTED)
		return;
	flight = json_get_array(answer, "flight");
	for (size_t i = 0; i < json_array_size(flight); i++) {
		const char *id = json_get_text(json_array_get(flight, i), "id");

		if (id && strlen(id) == SPOOL_ID_LEN && spool_id_is_valid(id))
			id_list_add(ids, id);
	}
	id_list_sort(ids);
	json_decref(answer);
}

/* What a suspension or a pause is of, and until when, for whom, why. Strangers' text is escaped. */
struct wait {
	const char *upstream; /* NULL: all deliveries */
	bool is_suspended; /* else it is down */
	int64_t until_wall_us; /* 0: not known, or until resumed */
	const char *why; /* NULL: not known */
};

static void put_wait(const struct cli *cli, const struct wait *w, int64_t now_wall_us)
{
	struct buf name, why;
	char until[32];

	buf_init(&name, TEXT_MAX);
	buf_init(&why, TEXT_MAX);
	term_escapes(&cli->out, w->upstream ? w->upstream : "", &name);
	term_escapes(&cli->out, w->why ? w->why : "", &why);
	if (!w->upstream)
		fputs("All deliveries are suspended", stdout);
	else if (w->is_suspended)
		printf("Deliveries to %s are suspended", name.data);
	else
		printf("Upstream %s is down", name.data);
	if (w->until_wall_us > 0)
		printf(", %s %s", w->is_suspended ? "to be resumed" : "to be asked again",
		       term_until(w->until_wall_us, now_wall_us, until, sizeof(until)));
	printf("%s%s.\n", why.len > 0 ? ": " : "", why.data);
	buf_release(&name);
	buf_release(&why);
}

static void put_suspension_object(const struct cli *cli, const json_t *o, const char *upstream, int64_t now_wall_us)
{
	struct wait w = { .upstream = upstream, .is_suspended = true, .until_wall_us = json_get_time_us(o, "until"),
			  .why = json_get_text(o, "reason") };

	put_wait(cli, &w, now_wall_us);
}

/* Down is who has no address that is not paused. */
static void put_upstream(const struct cli *cli, const json_t *u, bool all_suspended, int64_t now_wall_us)
{
	const char *name = json_get_text(u, "name"), *state = json_get_text(u, "state");
	const json_t *remotes = json_get_array(u, "remotes");
	struct wait w = { .upstream = name, .why = json_get_text(u, "last_trouble") };

	if (!name || !state)
		return;
	if (strcmp(state, "suspended") == 0) {
		if (!all_suspended)
			put_suspension_object(cli, json_object_get(u, "suspension"), name, now_wall_us);
		return;
	}
	if (strcmp(state, "paused") != 0 && strcmp(state, "probing") != 0)
		return;
	for (size_t i = 0; i < json_array_size(remotes); i++) {
		int64_t until = json_get_time_us(json_array_get(remotes, i), "paused_until");

		if (until > 0 && (w.until_wall_us == 0 || until < w.until_wall_us))
			w.until_wall_us = until;
	}
	put_wait(cli, &w, now_wall_us);
}

static void put_mailman(const struct cli *cli, const json_t *mailman, int64_t now_wall_us)
{
	const char *state = json_get_text(mailman, "state"), *error = json_get_text(mailman, "last_error");
	int64_t next = json_get_time_us(mailman, "next");
	struct buf why;
	char until[32];

	if (!state || strcmp(state, "down") != 0)
		return;
	buf_init(&why, TEXT_MAX);
	term_escapes(&cli->out, error ? error : "", &why);
	fputs("Mailman cannot be asked which addresses are lists", stdout);
	if (next > 0)
		printf(", to be asked again %s", term_until(next, now_wall_us, until, sizeof(until)));
	printf("%s%s.\n", why.len > 0 ? ": " : "", why.data);
	buf_release(&why);
}

static void put_status(const struct cli *cli, const json_t *status, int64_t now_wall_us)
{
	const json_t *all = json_object_get(status, "suspended"), *upstreams = json_get_array(status, "upstreams");
	bool all_suspended = json_is_object(all);

	if (all_suspended)
		put_suspension_object(cli, all, NULL, now_wall_us);
	for (size_t i = 0; i < json_array_size(upstreams); i++)
		put_upstream(cli, json_array_get(upstreams, i), all_suspended, now_wall_us);
	put_mailman(cli, json_object_get(status, "mailman"), now_wall_us);
}

static void put_file(const struct cli *cli, const struct spool *s, int64_t now_wall_us)
{
	struct suspensions all;
	struct err e;

	suspensions_init(&all);
	if (suspensions_load(&all, s, &e) < 0)
		cli_error("%s", e.text);
	suspensions_expire(&all, now_wall_us);
	for (size_t i = 0; i < all.count; i++) {
		struct wait w = { .upstream = all.item[i].upstream, .is_suspended = true,
				  .until_wall_us = all.item[i].until_wall_us, .why = all.item[i].reason };

		put_wait(cli, &w, now_wall_us);
	}
	suspensions_release(&all);
}

void queue_put_waits(const struct cli *cli, const struct spool *s, int64_t now_wall_us)
{
	json_t *status = NULL;
	struct err e;

	if (ask_daemon(s->path, "status", TIMEOUT_MS, &status, &e) == DAEMON_CONNECTED) {
		put_status(cli, status, now_wall_us);
		json_decref(status);
	} else if (s->root_fd >= 0) {
		put_file(cli, s, now_wall_us);
	}
}

size_t queue_count_corrupt(const struct spool *s)
{
	struct id_list ids;
	struct err e;
	size_t count;

	if (s->corrupt_fd < 0)
		return 0;
	id_list_init(&ids);
	count = corrupt_scan(&ids, s, NULL, 0, &e) == 0 ? ids.count : 0;
	id_list_release(&ids);
	return count;
}
