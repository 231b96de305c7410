/* SPDX-License-Identifier: ISC */
/* See life.h: what a restart makes of a spool, held against the ledger. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "life.h"
#include "spool/id.h"
#include "spool/message.h"
#include "spool/recover.h"
#include "spool/state.h"

#define FAR_FUTURE_US (1795000000123456 * 2)

/* What was found of one message. */
struct found {
	bool is_queued; /* whole and as it was */
	bool is_corrupt; /* in corrupt/, under its own name or NAME.N */
	enum rcpt_status status[LIFE_RCPTS];
	bool held, has_state;
	unsigned tries;
};

struct check {
	struct life *l;
	const char *base;
	enum life_crash crash;
	struct spool spool;
	struct found found[LIFE_MAILS];
	unsigned strangers; /* messages in the queue that the ledger does not know */
};

static struct found *find(struct check *c, const char *id)
{
	for (size_t i = 0; i < LIFE_MAILS; i++)
		if (strncmp(c->l->mail[i].id, id, SPOOL_ID_LEN) == 0)
			return &c->found[i];
	return NULL;
}

static const struct life_mail *mail_of(const struct check *c, const struct found *found)
{
	return &c->l->mail[found - c->found];
}

/* ---- one message ------------------------------------------------------------------ */

static bool is_as_it_was(const struct spool_message *m, const struct life_mail *mail)
{
	static char back[300 << 10];
	struct err e;
	size_t got = 0;
	ssize_t n;

	if (m->content_bytes != mail->len || m->env.rcpt_count != LIFE_RCPTS ||
	    strcmp(m->env.sender, "from@example.org") != 0 ||
	    strcmp(m->env.rcpt[1].address, "two@example.org") != 0)
		return false;
	while ((n = spool_message_read(m, got, back + got, sizeof(back) - got, &e)) > 0)
		got += (size_t)n;
	return n == 0 && got == mail->len && memcmp(back, mail->content, got) == 0;
}

static void load_state(struct check *c, const struct envelope *env, struct found *found)
{
	const char *id = env->id;
	struct spool_state st;
	struct stat info;
	struct err e = { 0 };
	char path[400];

	snprintf(path, sizeof(path), "%s/deep/spool/state/%s", c->base, id);
	found->has_state = stat(path, &info) == 0;
	spool_state_init_for(&st, env);
	switch (spool_state_load(&st, &c->spool, id, &e)) {
	case SPOOL_READ_OK:
		break;
	case SPOOL_READ_CORRUPT:
		if (c->crash != LIFE_POWER_CUT)
			life_violation(c->l, "torn without a power cut: %s", e.text);
		if (spool_quarantine_state(&c->spool, id, e.text, &e) < 0)
			life_violation(c->l, "%s", e.text);
		break;
	case SPOOL_READ_GONE:
	case SPOOL_READ_FAILED:
		life_violation(c->l, "%s", e.text);
	}
	for (size_t r = 0; r < LIFE_RCPTS; r++)
		found->status[r] = st.rcpt[r].status;
	found->held = st.held;
	found->tries = st.tries;
	spool_state_release(&st);
}

/* As the relay does: opens it, and quarantines it when it is torn. */
static void open_message(void *ctx, const char *id)
{
	struct check *c = ctx;
	struct found *found = find(c, id);
	const struct life_mail *mail;
	struct spool_message m;
	struct err e = { 0 };

	if (!found) {
		c->strangers++;
		return;
	}
	mail = mail_of(c, found);
	switch (spool_message_open(&m, &c->spool, id, true, &e)) {
	case SPOOL_READ_OK:
		found->is_queued = true;
		if (!is_as_it_was(&m, mail))
			life_violation(c->l, "message %s is not what was accepted", id);
		load_state(c, &m.env, found);
		spool_message_close(&m);
		break;
	case SPOOL_READ_CORRUPT:
		if (c->crash != LIFE_POWER_CUT && !mail->damaged)
			life_violation(c->l, "torn without a power cut: %s", e.text);
		if (spool_quarantine(&c->spool, id, e.text, &e) < 0)
			life_violation(c->l, "%s", e.text);
		break;
	case SPOOL_READ_GONE:
	case SPOOL_READ_FAILED:
		life_violation(c->l, "%s", e.text);
	}
}

/*
 * An entry moved to corrupt/ whose sync failed, and then a power cut: where names are not kept in
 * order it may be in neither directory. Only for what was no mail any more.
 */
static bool may_lose_corrupt(const struct check *c)
{
	return c->crash == LIFE_POWER_CUT && c->l->plan.os_error != 0;
}

static void judge(struct check *c, const struct life_mail *m, const struct found *found)
{
	if (m->acknowledged && !m->damaged && !m->leaving && !found->is_queued)
		life_violation(c->l, "LOST: acknowledged, and not in the queue%s",
			       found->is_corrupt ? " but torn" : "");
	if (m->damaged && !found->is_corrupt && !may_lose_corrupt(c))
		life_violation(c->l, "a damaged message is not in corrupt/");
	if (m->damaged && found->is_queued)
		life_violation(c->l, "a damaged message is taken for whole");
	if (m->left && found->is_queued && c->crash != LIFE_POWER_CUT)
		life_violation(c->l, "removed, and still in the queue");
	if (m->left_for_good && found->is_queued)
		life_violation(c->l, "removed for good, and there again");
	/* a refusal whose clean-up failed too leaves a whole copy; once is not too often */
	if (m->refused && found->is_queued && c->crash == LIFE_NO_CRASH && !c->l->plan.ever_after)
		life_violation(c->l, "refused, and in the queue");
	if (!found->is_queued)
		return;
	for (size_t r = 0; r < LIFE_RCPTS; r++)
		if (m->delivered[r] && found->status[r] != RCPT_DELIVERED)
			life_violation(c->l, "recipient %zu was recorded as delivered and is %s again", r,
				       rcpt_status_name(found->status[r]));
	if (m->held && !found->held)
		life_violation(c->l, "was recorded as held and is not any more");
	if (m->born_held && !m->releasing && !found->held)
		life_violation(c->l, "SENT: it came held, nobody released it, and it is not held");
	if (m->released && found->held && !m->holding)
		life_violation(c->l, "was recorded as released and is held again");
	if (c->crash != LIFE_POWER_CUT && (found->tries < m->saved || found->tries > m->saves))
		life_violation(c->l, "state %u was saved, state %u is there", m->saved, found->tries);
}

/* ---- the directories -------------------------------------------------------------- */

/* Calls each for the entries of a folder, with plain calls: the judge does not ask the accused. */
static unsigned count_entries(struct check *c, const char *folder,
			      void (*each)(struct check *c, const char *name))
{
	struct dirent *entry;
	unsigned n = 0;
	char path[300];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/deep/spool/%s", c->base, folder);
	dir = opendir(path);
	ASSERT(dir);
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		n++;
		if (each)
			each(c, entry->d_name);
	}
	closedir(dir);
	return n;
}

static void see_state(struct check *c, const char *name)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/deep/spool/queue/%s", c->base, name);
	if (strlen(name) != SPOOL_ID_LEN)
		life_violation(c->l, "state/%s is left after recovery", name);
	else if (stat(path, &st) < 0)
		life_violation(c->l, "state/%s is left without its message", name);
}

static void see_corrupt(struct check *c, const char *name)
{
	const char *rest = name + strnlen(name, SPOOL_ID_LEN);
	struct found *found = find(c, name);

	if (found && !strstr(rest, ".reason") && strncmp(rest, ".state", 6) != 0)
		found->is_corrupt = true;
	if (!strstr(name, ".reason") && strncmp(name, "odd-", 4) == 0)
		c->strangers++;
}

static void see_queue(struct check *c, const char *name)
{
	if (!spool_id_is_valid(name))
		life_violation(c->l, "queue/%s is left after recovery", name);
}

static void recover(struct check *c)
{
	struct spool_recovery found;
	struct err e = { 0 };

	if (spool_recover(&c->spool, FAR_FUTURE_US, &found, &e) < 0)
		life_violation(c->l, "recovery failed: %s", e.text);
	if (spool_recover(&c->spool, FAR_FUTURE_US, &found, &e) < 0)
		life_violation(c->l, "second recovery failed: %s", e.text);
	if (found.unfinished + found.orphans + found.quarantined > 0)
		life_violation(c->l, "the second recovery still found something to do");
	if (count_entries(c, "incoming", NULL) > 0)
		life_violation(c->l, "leftovers in incoming/ after recovery");
	count_entries(c, "queue", see_queue);
	count_entries(c, "state", see_state);
}

void life_check(struct life *l, const char *base, enum life_crash crash)
{
	struct check c = { .l = l, .base = base, .crash = crash };
	struct err e = { 0 };
	char path[300];

	snprintf(path, sizeof(path), "%s/deep/spool", base);
	/* the start of the service: the master prepares, the relay opens and recovers */
	if (spool_prepare(path, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) < 0 ||
	    spool_open(&c.spool, path, SPOOL_MANAGE, l->sync, &e) < 0) {
		life_violation(l, "cannot start again: %s", e.text);
		return;
	}
	recover(&c);
	if (spool_scan(&c.spool, open_message, NULL, &c, &e) < 0)
		life_violation(l, "%s", e.text);
	if (c.strangers > 0)
		life_violation(l, "%u messages in the queue that nobody sent", c.strangers);
	c.strangers = 0;
	count_entries(&c, "corrupt", see_corrupt);
	if (c.strangers < l->foreign && !may_lose_corrupt(&c))
		life_violation(l, "%u of %u foreign entries are not in corrupt/", l->foreign - c.strangers,
			       l->foreign);
	for (size_t i = 0; i < LIFE_MAILS; i++)
		if (l->mail[i].id[0])
			judge(&c, &l->mail[i], &c.found[i]);
	spool_close(&c.spool);
}
