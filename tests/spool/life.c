/* SPDX-License-Identifier: ISC */
/* See life.h: the verbs. life_check.c holds the spool against the ledger. */
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "spool/batch.h"
#include "spool/checksum.h"
#include "spool/recover.h"
#include "spool/state.h"
#include "spool/sys.h"
#include "spool/txn.h"

#define WALL_US 1795000000123456
static char born_hold[] = "a table said so";
#define FAR_FUTURE_US (WALL_US * 2)

void life_violation(struct life *l, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (l->violations++ > 0)
		return;
	n = (size_t)snprintf(l->first, sizeof(l->first), "%s; %s at %s: ", l->context, l->fault,
			     fault_where());
	va_start(ap, fmt);
	if (n < sizeof(l->first))
		n += (size_t)vsnprintf(l->first + n, sizeof(l->first) - n, fmt, ap);
	va_end(ap);
	if (n < sizeof(l->first) && l->shape)
		snprintf(l->first + n, sizeof(l->first) - n, "; the disk was:%s", l->shape);
}

bool life_start(struct life *l)
{
	struct err e;

	if (spool_prepare(l->path, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) < 0)
		return false;
	if (spool_open(&l->relay, l->path, SPOOL_MANAGE, l->sync, &e) < 0)
		return false;
	fault_deny_listing(l->blind_worker);
	l->is_open = spool_open(&l->worker, l->path, SPOOL_CREATE, l->sync, &e) == 0;
	fault_deny_listing(false);
	if (l->is_open && l->blind_worker)
		l->worker.message_mode = 0640; /* as in a shared spool: it is set, against the umask */
	if (!l->is_open)
		spool_close(&l->relay);
	return l->is_open;
}

void life_stop(struct life *l)
{
	if (!l->is_open)
		return;
	spool_close(&l->worker);
	spool_close(&l->relay);
	l->is_open = false;
}

/* ---- the worker ------------------------------------------------------------------- */

static const char *content_of(size_t len)
{
	static char text[300 << 10];

	ASSERT(len < sizeof(text));
	if (!text[0])
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = i % 64 == 62   ? '\r'
				  : i % 64 == 63 ? '\n'
						 : (char)('!' + (i * 7 + i / 4096) % 90);
	return text;
}

static struct spool_txn *begin(struct life *l, size_t i, size_t content_len)
{
	static const char *const rcpts[LIFE_RCPTS] = { "one@example.org", "two@example.org" };
	struct life_mail *m = &l->mail[i];
	struct envelope env;
	struct spool_txn *t;

	envelope_init(&env);
	env.arrived_wall_us = WALL_US;
	envelope_set(&env.peer, "127.0.0.1:4711", 14);
	envelope_set(&env.sender, "from@example.org", 16);
	for (size_t r = 0; r < LIFE_RCPTS; r++)
		envelope_add_rcpt(&env, rcpts[r], strlen(rcpts[r]));
	if (m->born_held)
		envelope_set(&env.hold, born_hold, strlen(born_hold));
	t = spool_txn_begin(&l->worker, &env);
	strcpy(m->id, env.id);
	m->content = content_of(content_len);
	m->len = content_len;
	envelope_release(&env);
	return t;
}

/* In pieces, small and large ones, as they come from the network. */
static void write_content(struct spool_txn *t, const struct life_mail *m)
{
	static const size_t steps[] = { 1000, 40000, 16384 };
	struct err e;

	for (size_t at = 0, n, i = 0; at < m->len; at += n, i++) {
		n = m->len - at < steps[i % 3] ? m->len - at : steps[i % 3];
		(void)spool_txn_write(t, m->content + at, n, &e);
	}
}

void life_accept(struct life *l, size_t i, size_t content_len)
{
	struct life_mail *m = &l->mail[i];
	enum spool_result result;
	struct spool_txn *t;
	struct err e = { 0 };
	bool is_full;

	if (!l->is_open)
		return;
	t = begin(l, i, content_len);
	write_content(t, m);
	result = spool_txn_commit(t, &e);
	if (fault_is_dead())
		return;
	m->acknowledged = result == SPOOL_OK;
	m->refused = !m->acknowledged;
	is_full = e.os_error == ENOSPC || e.os_error == EDQUOT || e.os_error == EFBIG;
	if (m->refused &&
	    (!fault_was_met() || e.os_error != l->plan.os_error || (result == SPOOL_FULL) != is_full))
		life_violation(l, "answer %d for \"%s\"", result, e.text);
}

void life_accept_held(struct life *l, size_t i, size_t content_len)
{
	l->mail[i].born_held = true;
	life_accept(l, i, content_len);
}

void life_abort(struct life *l, size_t i, size_t content_len)
{
	struct spool_txn *t = begin(l, i, content_len);

	write_content(t, &l->mail[i]);
	spool_txn_abort(t);
	l->mail[i].refused = !fault_is_dead();
}

/* ---- the relay -------------------------------------------------------------------- */

static bool is_ours(const struct life *l, size_t i)
{
	const struct life_mail *m = &l->mail[i];

	return l->is_open && m->acknowledged && !m->leaving && !m->cornered && !fault_is_dead();
}

static int delivered_by(enum life_change change)
{
	return change == LIFE_DELIVER_FIRST ? 0 : change == LIFE_DELIVER_SECOND ? 1 : -1;
}

/* What the ledger has, and what is to be changed. */
static void make_state(struct life *l, size_t i, enum life_change what, struct spool_state *st)
{
	struct life_mail *m = &l->mail[i];
	struct envelope env = { .rcpt_count = LIFE_RCPTS, .hold = m->born_held ? born_hold : NULL };
	int delivered = delivered_by(what);

	spool_state_init_for(st, &env);
	if (m->released || what == LIFE_RELEASE)
		spool_state_let_go(st);
	m->holding = m->holding || what == LIFE_HOLD;
	m->releasing = m->releasing || what == LIFE_RELEASE;
	st->tries = ++m->saves;
	st->next_attempt_wall_us = WALL_US + 600000000;
	st->last_attempt_wall_us = WALL_US;
	if (m->held || what == LIFE_HOLD)
		spool_state_hold(st, NULL);
	for (int r = 0; r < LIFE_RCPTS; r++)
		if (r == delivered || m->delivered[r])
			rcpt_state_set(&st->rcpt[r], RCPT_DELIVERED, WALL_US, "main", NULL,
				       "250 2.0.0 Ok: queued as 4711");
		else
			rcpt_state_set(&st->rcpt[r], RCPT_PENDING, WALL_US, "main", NULL, "450 4.2.1 busy");
}

static void note_saved(struct life_mail *m, enum life_change what)
{
	m->saved = m->saves;
	m->held = m->held || what == LIFE_HOLD;
	m->released = m->released || what == LIFE_RELEASE;
	if (delivered_by(what) >= 0)
		m->delivered[delivered_by(what)] = true;
}

static void save(struct life *l, size_t i, enum life_change what)
{
	struct spool_state st;
	struct err e;

	if (!is_ours(l, i))
		return;
	make_state(l, i, what, &st);
	if (spool_state_save(&st, &l->relay, l->mail[i].id, &e) == 0 && !fault_is_dead())
		note_saved(&l->mail[i], what);
	spool_state_release(&st);
}

void life_defer(struct life *l, size_t i)
{
	save(l, i, LIFE_DEFER);
}

void life_hold(struct life *l, size_t i)
{
	save(l, i, LIFE_HOLD);
}

void life_release(struct life *l, size_t i)
{
	save(l, i, LIFE_RELEASE);
}

void life_deliver(struct life *l, size_t i, size_t rcpt)
{
	save(l, i, rcpt == 0 ? LIFE_DELIVER_FIRST : LIFE_DELIVER_SECOND);
}

void life_remove(struct life *l, size_t i)
{
	struct life_mail *m = &l->mail[i];
	struct err e;

	if (!is_ours(l, i))
		return;
	m->leaving = true;
	if (l->remove_backwards)
		(void)sys_unlink(l->relay.state_fd, m->id);
	m->left = spool_remove(&l->relay, m->id, &e) == 0 && !fault_is_dead();
}

static void stage(struct life *l, size_t i, enum life_change what, struct spool_change *change)
{
	struct spool_state st;

	if (!is_ours(l, i))
		return;
	strcpy(change->id.text, l->mail[i].id);
	if (what == LIFE_REMOVE) {
		l->mail[i].leaving = true;
		spool_change_remove(change);
		return;
	}
	make_state(l, i, what, &st);
	spool_change_save(&l->relay, change, &st);
	spool_state_release(&st);
}

void life_batch(struct life *l, size_t from, const enum life_change *what, size_t count)
{
	struct spool_change change[LIFE_MAILS];
	struct err e[LIFE_MAILS];

	memset(change, 0, sizeof(change));
	for (size_t i = 0; i < count; i++) {
		change[i].e = &e[i];
		stage(l, from + i, what[i], &change[i]);
	}
	spool_changes_commit(&l->relay, change, count);
	for (size_t i = 0; i < count; i++) {
		struct life_mail *m = &l->mail[from + i];

		if (change[i].result != SPOOL_CHANGE_DONE || fault_is_dead())
			continue;
		if (what[i] == LIFE_REMOVE)
			m->left = m->left_for_good = true;
		else
			note_saved(m, what[i]);
	}
}

void life_damage(struct life *l, size_t i)
{
	int fd = sys_open(l->relay.queue_fd, l->mail[i].id, O_WRONLY, 0);

	ASSERT(fd >= 0 && sys_pwrite_all(fd, "~", 1, 600) == 0);
	sys_close(fd);
	l->mail[i].damaged = true;
}

void life_quarantine(struct life *l, size_t i)
{
	struct err e;

	if (is_ours(l, i))
		l->mail[i].cornered =
			spool_quarantine(&l->relay, l->mail[i].id, "its checksum is wrong", &e) == 0 &&
			!fault_is_dead();
}

void life_put_foreign(struct life *l, const char *folder, const char *name)
{
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", l->path, folder, name);
	fd = sys_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ASSERT(fd >= 0 && sys_write_all(fd, "odd", 3) == 0);
	sys_close(fd);
}

bool life_recover(struct life *l)
{
	struct spool_recovery found;
	struct err e;

	return l->is_open && spool_recover(&l->relay, FAR_FUTURE_US, &found, &e) == 0;
}

unsigned long life_ledger_hash(const struct life *l)
{
	unsigned char text[LIFE_MAILS * 16];
	size_t n = 0;

	for (size_t i = 0; i < LIFE_MAILS; i++) {
		const struct life_mail *m = &l->mail[i];

		text[n++] = (unsigned char)(m->acknowledged | m->refused << 1 | m->leaving << 2 |
					    m->left << 3 | m->damaged << 4 | m->cornered << 5 | m->held << 6 |
					    m->left_for_good << 7);
		text[n++] = (unsigned char)(m->born_held | m->releasing << 1 | m->released << 2 | m->holding << 3);
		text[n++] = (unsigned char)m->saves;
		text[n++] = (unsigned char)m->saved;
		text[n++] = (unsigned char)m->len;
		for (size_t r = 0; r < LIFE_RCPTS; r++)
			text[n++] = m->delivered[r];
	}
	return checksum_of(text, n);
}
