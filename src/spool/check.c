/* SPDX-License-Identifier: ISC */
/* See check.h. Runs in the operator's command. */
#include "spool/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "spool/id.h"
#include "spool/message.h"
#include "spool/recover.h"
#include "spool/state.h"
#include "spool/sys.h"

#define BLOCK (64u << 10)

static const struct {
	const char *name;
	size_t fd_offset;
} folders[CHECK_FOLDERS] = {
	[CHECK_ROOT] = { "", offsetof(struct spool, root_fd) },
	[CHECK_INCOMING] = { "incoming", offsetof(struct spool, incoming_fd) },
	[CHECK_QUEUE] = { "queue", offsetof(struct spool, queue_fd) },
	[CHECK_STATE] = { "state", offsetof(struct spool, state_fd) },
	[CHECK_CORRUPT] = { "corrupt", offsetof(struct spool, corrupt_fd) },
};

const char *check_folder_name(enum check_folder f)
{
	return folders[f].name;
}

static int folder_fd(const struct spool *s, enum check_folder f)
{
	return *(const int *)(const void *)((const char *)s + folders[f].fd_offset);
}

static const struct {
	const char *name, *remedy;
} kinds[CHECK_KINDS] = {
	[CHECK_SOUND] = { "sound", NULL },
	[CHECK_DAMAGED_MESSAGE] = { "damaged_message", "moves it to corrupt/, its state with it" },
	[CHECK_DAMAGED_STATE] = { "damaged_state",
				  "moves it to corrupt/: all recipients of the message are pending again" },
	[CHECK_ORPHAN_STATE] = { "orphan_state", "removes it: its message was done" },
	[CHECK_UNFINISHED_STATE] = { "unfinished_state", "removes it: the state before it stands" },
	[CHECK_LEFTOVER] = { "leftover", "removes it: it was never acknowledged" },
	[CHECK_DAMAGED_SUSPENDED] = { "damaged_suspended", "moves it to corrupt/: nothing is suspended any more" },
	[CHECK_FOREIGN_IN_QUEUE] = { "foreign_in_queue", "moves it to corrupt/" },
	[CHECK_FOREIGN_IN_STATE] = { "foreign_in_state", "moves it to corrupt/" },
	[CHECK_FOREIGN] = { "foreign", NULL },
	[CHECK_WITHOUT_REASON] = { "without_reason", "writes that the reason is not known" },
	[CHECK_RIGHTS] = { "rights", "sets owner and mode right" },
	[CHECK_UNREADABLE] = { "unreadable", NULL },
};

const char *check_kind_name(enum check_kind k)
{
	return kinds[k].name;
}

const char *check_remedy(enum check_kind k)
{
	return kinds[k].remedy;
}

int spool_check_list(const struct spool *s, enum check_folder folder, void (*each)(void *ctx, const char *name),
		     void *ctx, struct err *e)
{
	DIR *dir = sys_opendir(folder_fd(s, folder));
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		err_set_os(e, errno, "%s/%s: cannot list this directory", s->path, folders[folder].name);
		return -1;
	}
	while ((entry = sys_readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(ctx, entry->d_name);
	if (errno != 0) {
		err_set_os(e, errno, "%s/%s: cannot list this directory", s->path, folders[folder].name);
		r = -1;
	}
	sys_closedir(dir);
	return r;
}

/* ---- owners and modes ------------------------------------------------------------ */

struct rights {
	uid_t uid; /* (uid_t)-1: any */
	gid_t gid; /* (gid_t)-1: any */
	mode_t mode, mask; /* the bits of mask must be those of mode */
};

/* What spool_prepare would make of a directory. The owner of SPOOL is the relay, its group the workers'. */
static int directory_rights(const struct spool *s, enum check_folder folder, struct rights *r)
{
	bool drop_box = s->shared && (folder == CHECK_QUEUE || folder == CHECK_INCOMING);
	struct stat root;

	if (sys_fstat(s->root_fd, &root) < 0)
		return -1;
	r->uid = root.st_uid;
	r->gid = drop_box ? root.st_gid : (gid_t)-1;
	r->mode = !s->shared ? 0700 : folder == CHECK_ROOT ? 0711 : drop_box ? 03730 : 0750;
	/* without separate users whoever prepared it decides whether others pass to the sockets (spool.c) */
	r->mask = !s->shared && folder == CHECK_ROOT ? 07766 : 07777;
	return 0;
}

/*
 * Files of queue/ and state/; spool.c has the table. A worker's message is its own, a report is the relay's.
 */
static int file_rights(const struct spool *s, enum check_folder folder, const struct stat *st, struct rights *r)
{
	struct stat root;

	if (sys_fstat(s->root_fd, &root) < 0)
		return -1;
	if (folder == CHECK_QUEUE && s->shared && st->st_uid != root.st_uid)
		*r = (struct rights){ .uid = (uid_t)-1, .gid = root.st_gid, .mode = 0040, .mask = 07777 };
	else if (folder == CHECK_QUEUE)
		*r = (struct rights){ .uid = root.st_uid, .gid = (gid_t)-1, .mode = 0600, .mask = 07777 };
	else /* by the umask, 0640 or 0600 */
		*r = (struct rights){ .uid = root.st_uid, .gid = (gid_t)-1, .mode = 0600, .mask = 07737 };
	return 0;
}

static bool rights_differ(const struct rights *r, const struct stat *st, struct err *what)
{
	mode_t mode = st->st_mode & 07777;

	if (r->uid != (uid_t)-1 && st->st_uid != r->uid)
		err_set(what, "belongs to user id %ld, not to %ld", (long)st->st_uid, (long)r->uid);
	else if (r->gid != (gid_t)-1 && st->st_gid != r->gid)
		err_set(what, "belongs to group id %ld, not to %ld", (long)st->st_gid, (long)r->gid);
	else if ((mode & r->mask) != r->mode)
		err_set(what, "has mode %04o, not %04o", (unsigned)mode, (unsigned)r->mode);
	else
		return false;
	return true;
}

static int set_rights(const struct rights *r, int fd)
{
	struct stat st;
	uid_t uid = r->uid;
	gid_t gid = r->gid;

	if (sys_fstat(fd, &st) < 0)
		return -1;
	uid = uid == st.st_uid ? (uid_t)-1 : uid;
	gid = gid == st.st_gid ? (gid_t)-1 : gid;
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) && sys_chown(fd, uid, gid) < 0)
		return -1;
	return sys_chmod(fd, r->mode);
}

void spool_check_directory(const struct spool_check *c, enum check_folder folder, struct check_result *out)
{
	struct rights r;
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (directory_rights(c->s, folder, &r) < 0 || sys_fstat(folder_fd(c->s, folder), &st) < 0) {
		out->kind = CHECK_UNREADABLE;
		err_set_os(&out->what, errno, "cannot look at it");
	} else if (rights_differ(&r, &st, &out->what)) {
		out->kind = CHECK_RIGHTS;
	}
}

int spool_repair_directory(const struct spool_check *c, enum check_folder folder, struct err *e)
{
	struct rights r;
	int fd = folder_fd(c->s, folder), again = -1, result;

	if (folder == CHECK_ROOT) /* spool_open's descriptor can only name it */
		fd = again = sys_open(AT_FDCWD, c->s->path, O_RDONLY | O_DIRECTORY, 0);
	result = fd < 0 || directory_rights(c->s, folder, &r) < 0 || set_rights(&r, fd) < 0 ? -1 : 0;
	if (result < 0)
		err_set_os(e, errno, "%s/%s: cannot set owner and mode of this directory", c->s->path,
			   folders[folder].name);
	if (again >= 0)
		sys_close(again);
	return result;
}

/* ---- messages and states ------------------------------------------------------------ */

/* What SPOOL_READ_* means for a finding; OK and GONE are none. */
static void judge_read(struct check_result *out, enum spool_read r, enum check_kind if_corrupt)
{
	switch (r) {
	case SPOOL_READ_OK:
	case SPOOL_READ_GONE:
		out->kind = CHECK_SOUND;
		return;
	case SPOOL_READ_CORRUPT:
		out->kind = if_corrupt;
		return;
	case SPOOL_READ_FAILED:
		out->kind = CHECK_UNREADABLE;
		return;
	}
}

/* The reader's sentences begin with the path, which the finding says already. */
static void drop_path(struct err *what, const char *name)
{
	const char *at = strstr(what->text, name);

	if (!at)
		return;
	at += strlen(name);
	if (strncmp(at, " is not a whole message: ", 25) == 0)
		at += 25;
	at += strspn(at, ": ");
	memmove(what->text, at, strlen(at) + 1);
}

/* What the first line says of the content; the relay believes it. */
struct content_facts {
	bool dot_lines, eightbit, stray_line_end;
};

static int learn_content(const struct spool_message *m, struct content_facts *facts, struct err *e)
{
	char *block = mem_alloc(BLOCK), last = '\n';
	uint64_t offset = 0;
	ssize_t n;

	memset(facts, 0, sizeof(*facts));
	while ((n = spool_message_read(m, offset, block, BLOCK, e)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			facts->dot_lines |= last == '\n' && block[i] == '.';
			facts->eightbit |= (unsigned char)block[i] >= 0x80;
			facts->stray_line_end |= (last == '\r') != (block[i] == '\n');
			last = block[i];
		}
		offset += (uint64_t)n;
	}
	facts->stray_line_end |= last == '\r';
	free(block);
	return n < 0 ? -1 : 0;
}

static void check_content(const struct spool_message *m, struct check_result *out)
{
	struct content_facts facts;

	if (learn_content(m, &facts, &out->what) < 0) {
		out->kind = CHECK_UNREADABLE;
		return;
	}
	if (facts.dot_lines && !m->has_dot_lines)
		err_set(&out->what, "its first line says that no line begins with a dot, and one does");
	else if (facts.eightbit && !m->has_eightbit)
		err_set(&out->what, "its first line says that it is 7-bit, and it is not");
	else if (facts.stray_line_end && m->env.body != BODY_BINARYMIME)
		err_set(&out->what, "a CR or LF in its content stands alone");
	else
		return;
	out->kind = CHECK_DAMAGED_MESSAGE;
}

static void check_file_rights(const struct spool_check *c, enum check_folder folder, const char *name,
			      struct check_result *out)
{
	struct rights r;
	struct stat st;

	if (sys_stat_at(folder_fd(c->s, folder), name, &st) == 0 && file_rights(c->s, folder, &st, &r) == 0 &&
	    rights_differ(&r, &st, &out->what))
		out->kind = CHECK_RIGHTS;
}

static void check_message(const struct spool_check *c, const char *name, struct check_result *out)
{
	struct spool_message m;
	enum spool_read r;

	if (!spool_id_is_valid(name)) {
		out->kind = CHECK_FOREIGN_IN_QUEUE;
		err_set(&out->what, "not a queue id: not made by posthouse");
		return;
	}
	r = spool_message_open(&m, c->s, name, true, &out->what);
	judge_read(out, r, CHECK_DAMAGED_MESSAGE);
	if (r == SPOOL_READ_OK) {
		out->octets = m.content_bytes;
		check_content(&m, out);
		spool_message_close(&m);
	}
	if (out->kind == CHECK_SOUND && r == SPOOL_READ_OK)
		check_file_rights(c, CHECK_QUEUE, name, out);
	else
		drop_path(&out->what, name);
}

/* Did nobody change it for so long that nobody can be writing it? */
static bool is_idle(const struct spool_check *c, int dir_fd, const char *name)
{
	struct stat st;

	return sys_stat_at(dir_fd, name, &st) == 0 &&
	       (int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000 < c->idle_since_wall_us;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static void check_orphan(const struct spool_check *c, const char *name, struct check_result *out)
{
	struct stat st;

	/* the relay removes the message first: only a state that is still there has lost it */
	if (sys_stat_at(c->s->state_fd, name, &st) < 0)
		return;
	out->kind = CHECK_ORPHAN_STATE;
	err_set(&out->what, "there is no message of this id in queue/");
}

static void check_state(const struct spool_check *c, const char *name, struct check_result *out)
{
	struct spool_message m;
	struct spool_state st;
	enum spool_read r;

	if (ends_with(name, ".new")) {
		if (!is_idle(c, c->s->state_fd, name))
			return;
		out->kind = CHECK_UNFINISHED_STATE;
		err_set(&out->what, "writing this state was never finished");
		return;
	}
	if (!spool_id_is_valid(name)) {
		out->kind = CHECK_FOREIGN_IN_STATE;
		err_set(&out->what, "not a queue id: not made by posthouse");
		return;
	}
	r = spool_message_open(&m, c->s, name, false, &out->what);
	if (r == SPOOL_READ_GONE) {
		check_orphan(c, name, out);
		return;
	}
	if (r != SPOOL_READ_OK) /* the finding is the message's */
		return;
	spool_state_init_for(&st, &m.env);
	judge_read(out, spool_state_load(&st, c->s, name, &out->what), CHECK_DAMAGED_STATE);
	if (out->kind == CHECK_SOUND)
		check_file_rights(c, CHECK_STATE, name, out);
	else
		drop_path(&out->what, name);
	if (out->kind == CHECK_DAMAGED_STATE)
		err_set(&out->what, "torn, damaged, or not of a message with %zu recipient%s", m.env.rcpt_count,
			m.env.rcpt_count == 1 ? "" : "s");
	spool_state_release(&st);
	spool_message_close(&m);
}

/* ---- the other folders ----------------------------------------------------------------- */

static void check_incoming(const struct spool_check *c, const char *name, struct check_result *out)
{
	if (!is_idle(c, c->s->incoming_fd, name))
		return;
	out->kind = CHECK_LEFTOVER;
	err_set(&out->what, "a message that was never whole and never acknowledged");
}

static void check_corrupt(const struct spool_check *c, const char *name, struct check_result *out)
{
	char reason[300];
	struct stat st;

	if (ends_with(name, ".reason"))
		return;
	snprintf(reason, sizeof(reason), "%.255s.reason", name);
	if (sys_stat_at(c->s->corrupt_fd, reason, &st) == 0 || sys_stat_at(c->s->corrupt_fd, name, &st) < 0)
		return;
	out->kind = CHECK_WITHOUT_REASON;
	err_set(&out->what, "nothing says why it is here");
}

static void check_root(const struct spool_check *c, const char *name, struct check_result *out)
{
	static const char *const known[] = { "incoming", "queue",     "state",         "corrupt",
					     "lock",     "suspended", "suspended.new", "view",
					     "control",  "lists",     "lists.new" };
	struct stat st;

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(name, known[i]) == 0) {
			/* who could open the lock could hold it, and no service would start */
			if (strcmp(name, "lock") == 0 && sys_stat_at(c->s->root_fd, name, &st) == 0 &&
			    (st.st_mode & 0077)) {
				out->kind = CHECK_RIGHTS;
				err_set(&out->what, "has mode %04o, not 0600", (unsigned)st.st_mode & 07777);
			}
			return;
		}
	if (sys_stat_at(c->s->root_fd, name, &st) < 0)
		return;
	out->kind = CHECK_FOREIGN;
	err_set(&out->what, "not made by posthouse");
}

void spool_check(const struct spool_check *c, enum check_folder folder, const char *name, struct check_result *out)
{
	memset(out, 0, sizeof(*out));
	switch (folder) {
	case CHECK_ROOT:
		check_root(c, name, out);
		return;
	case CHECK_INCOMING:
		check_incoming(c, name, out);
		return;
	case CHECK_QUEUE:
		check_message(c, name, out);
		return;
	case CHECK_STATE:
		check_state(c, name, out);
		return;
	case CHECK_CORRUPT:
		check_corrupt(c, name, out);
		return;
	}
}

/* ---- repairing ------------------------------------------------------------------------ */

static int repair_rights(const struct spool_check *c, enum check_folder folder, const char *name, struct err *e)
{
	int fd = sys_open(folder_fd(c->s, folder), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0), result = -1;
	struct rights r = { .uid = (uid_t)-1, .gid = (gid_t)-1, .mode = 0600 };
	struct stat st;

	/* one name only: root is about to give it away */
	if (fd >= 0 && sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    (folder == CHECK_ROOT || file_rights(c->s, folder, &st, &r) == 0))
		result = set_rights(&r, fd);
	if (result < 0)
		err_set_os(e, errno, "%s/%s/%s: cannot set its owner and mode", c->s->path, folders[folder].name, name);
	if (fd >= 0)
		sys_close(fd);
	return result;
}

static int repair_remove(const struct spool_check *c, enum check_folder folder, const char *name, struct err *e)
{
	/* a removal cut short: its first half must be durable before the second (spool_remove says why) */
	if ((folder != CHECK_STATE || !c->s->keep_order || sys_fsync(c->s->queue_fd) == 0) &&
	    (sys_unlink(folder_fd(c->s, folder), name) == 0 || errno == ENOENT))
		return 0;
	err_set_os(e, errno, "%s/%s/%s: cannot remove it", c->s->path, folders[folder].name, name);
	return -1;
}

int spool_repair(const struct spool_check *c, enum check_folder folder, const char *name,
		 const struct check_result *found, struct err *e)
{
	switch (found->kind) {
	case CHECK_SOUND:
		return 0;
	case CHECK_DAMAGED_MESSAGE:
	case CHECK_FOREIGN_IN_QUEUE:
		return spool_quarantine(c->s, name, found->what.text, e);
	case CHECK_DAMAGED_STATE:
	case CHECK_FOREIGN_IN_STATE:
		return spool_quarantine_state(c->s, name, found->what.text, e);
	case CHECK_ORPHAN_STATE:
	case CHECK_UNFINISHED_STATE:
	case CHECK_LEFTOVER:
		return repair_remove(c, folder, name, e);
	case CHECK_DAMAGED_SUSPENDED:
		return spool_quarantine_root(c->s, name, found->what.text, e);
	case CHECK_WITHOUT_REASON:
		return spool_write_reason(c->s, name, "not known: posthouse fsck found it here without a reason", e);
	case CHECK_RIGHTS:
		return repair_rights(c, folder, name, e);
	case CHECK_FOREIGN:
	case CHECK_UNREADABLE:
		err_set(e, "%s/%s/%s: only a person can put this right", c->s->path, folders[folder].name, name);
		return -1;
	}
	assert_failed("a finding without a remedy", __FILE__, __LINE__);
}
