/* SPDX-License-Identifier: ISC */
/* See access.h. */
#include "cli/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/daemon.h"
#include "cli/json.h"
#include "manage/protocol.h"

#define ANSWER_TIMEOUT_MS 30000

/* Only its name; every use of a descriptor fails. */
static void open_blind(struct spool *s, char *path)
{
	memset(s, 0, sizeof(*s));
	s->path = path;
	s->root_fd = s->incoming_fd = s->queue_fd = s->state_fd = s->corrupt_fd = -1;
}

int access_open(struct cli *cli, struct spool *s)
{
	struct err e, ignored;
	const char *hint;
	char *path;

	if (cli_spool_path(cli, &path) < 0)
		return -1;
	if (spool_open(s, path, SPOOL_READ, SPOOL_SYNC_AUTO, &e) == 0) {
		free(path);
		return 0;
	}
	if ((e.os_error == EACCES || e.os_error == EPERM) &&
	    daemon_connect(&cli->view, path, DAEMON_VIEW, &ignored) == DAEMON_CONNECTED) {
		open_blind(s, path);
		return 0;
	}
	hint = e.os_error == EACCES || e.os_error == EPERM ? "run it as root, or in the view_group of a running daemon"
							   : "name another one with --spool or --config";
	cli_error("%s: %s", e.text, hint);
	free(path);
	return -1;
}

void access_close(struct cli *cli, struct spool *s)
{
	daemon_close(cli->view);
	cli->view = NULL;
	spool_close(s);
}

/* {"ids":[...]} of any length. */
static void add_ids(struct id_list *ids, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *id = json_string_value(json_array_get(array, i));

		if (id && strlen(id) == SPOOL_ID_LEN && spool_id_is_valid(id))
			id_list_add(ids, id);
	}
}

static int ask_for_ids(struct daemon *view, struct id_list *ids, struct err *e)
{
	bool at_end = false;
	json_t *o = json_object();

	json_put_key(o, "ask", json_string("ids"));
	if (daemon_send(view, o, e) < 0)
		return -1;
	while (!at_end) {
		o = daemon_receive(view, ANSWER_TIMEOUT_MS, e);
		if (!o)
			return -1;
		add_ids(ids, json_get_array(o, "ids"));
		at_end = json_is_true(json_object_get(o, "end"));
		json_decref(o);
	}
	id_list_sort(ids);
	return 0;
}

/* As id_list_scan, in a list that has them all. */
static void keep_matching(struct id_list *ids, struct id_prefix *prefix, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < ids->count; i++)
		if (id_prefixes_match(prefix, count, ids->id[i]))
			memmove(ids->id[kept++], ids->id[i], SPOOL_ID_LEN);
	ids->count = kept;
}

int access_ids(struct cli *cli, const struct spool *s, struct id_prefix *prefix, size_t count, struct id_list *ids,
	       struct err *e)
{
	if (!cli->view)
		return id_list_scan(ids, s, prefix, count, e);
	if (ask_for_ids(cli->view, ids, e) < 0)
		return -1;
	keep_matching(ids, prefix, count);
	return 0;
}

int access_files(struct cli *cli, const struct id_list *ids, size_t i, size_t count, int *message_fd,
		 int *state_fd, struct err *e)
{
	struct spool_id id[PROTOCOL_OPEN_MAX];
	const char *name[PROTOCOL_OPEN_MAX];

	for (size_t k = 0; k < count; k++) {
		id_list_get(ids, i + k, &id[k]);
		name[k] = id[k].text;
	}
	return daemon_open_files(cli->view, name, count, message_fd, state_fd, e);
}

static void close_given(const int *fd, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static int keep_given(struct cli *cli, struct id_list *ids, struct err *e)
{
	int message_fd[PROTOCOL_OPEN_MAX], state_fd[PROTOCOL_OPEN_MAX];
	size_t kept = 0, n;

	for (size_t at = 0; at < ids->count; at += n) {
		n = ids->count - at < PROTOCOL_OPEN_MAX ? ids->count - at : PROTOCOL_OPEN_MAX;
		if (access_files(cli, ids, at, n, message_fd, state_fd, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (message_fd[i] >= 0)
				memmove(ids->id[kept++], ids->id[at + i], SPOOL_ID_LEN);
		close_given(message_fd, n);
		close_given(state_fd, n);
	}
	ids->count = kept;
	return 0;
}

int access_keep_present(struct cli *cli, const struct spool *s, struct id_list *ids, struct err *e)
{
	size_t kept = 0;
	struct spool_id id;

	if (cli->view)
		return keep_given(cli, ids, e);
	for (size_t i = 0; i < ids->count; i++) {
		id_list_get(ids, i, &id);
		if (spool_has(s, id.text))
			memmove(ids->id[kept++], ids->id[i], SPOOL_ID_LEN);
	}
	ids->count = kept;
	return 0;
}

bool access_message(struct cli *cli, const struct spool *s, const char *id, struct listing *l)
{
	int message_fd, state_fd;
	struct err e;
	bool found;

	if (!cli->view)
		return listing_open(l, s, id, true);
	if (daemon_open_files(cli->view, &id, 1, &message_fd, &state_fd, &e) < 0) {
		listing_fail(l, id, &e);
		return true;
	}
	found = message_fd >= 0 && listing_begin(l, s, id, message_fd) &&
		listing_add_state(l, s, LISTING_STATE_GIVEN, state_fd);
	close_given(&state_fd, 1);
	return found;
}

static enum spool_read verify_given(struct cli *cli, const struct spool *s, const char *id, struct spool_message *m,
				    struct spool_state *st, struct err *e)
{
	int message_fd, state_fd;
	enum spool_read r;

	if (daemon_open_files(cli->view, &id, 1, &message_fd, &state_fd, e) < 0)
		return SPOOL_READ_FAILED;
	r = message_fd < 0 ? SPOOL_READ_GONE : spool_message_adopt(m, s, id, message_fd, true, e);
	if (r == SPOOL_READ_OK) {
		spool_state_init_for(st, &m->env);
		r = spool_state_load_from(st, s, id, state_fd, e);
		if (r != SPOOL_READ_OK) {
			spool_state_release(st);
			spool_message_close(m);
		}
	}
	close_given(&state_fd, 1);
	return r;
}

enum spool_read access_verified(struct cli *cli, const struct spool *s, const char *id, struct spool_message *m,
				struct spool_state *st, struct err *e)
{
	enum spool_read r;

	if (cli->view)
		return verify_given(cli, s, id, m, st, e);
	r = spool_message_open(m, s, id, true, e);
	if (r != SPOOL_READ_OK)
		return r;
	spool_state_init_for(st, &m->env);
	r = spool_state_load(st, s, id, e);
	if (r != SPOOL_READ_OK) {
		spool_state_release(st);
		spool_message_close(m);
	}
	return r;
}
