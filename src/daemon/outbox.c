/* SPDX-License-Identifier: ISC */
/*
 * See outbox.h and submit/outbox.h. What lies in the outbox was written by
 * local users and is as little to be trusted as what they say on the socket:
 * names, kinds of files, sizes and contents are theirs to choose.
 *
 * A file's way: claimed by a rename to taken/ (from there only we move it),
 * opened without following or waiting, checked (regular, one name, not larger than a
 * message can be), played to a session that commits it to the spool as any
 * other mail, then unlinked. A crash between the commit and the unlink plays it again:
 * a duplicate, never a loss.
 */
#include "daemon/outbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/kv.h"
#include "base/log.h"
#include "daemon/outbox_internal.h"
#include "submit/outbox.h"

#define COMMANDS_MAX (8u << 20) /* octets of a dialogue beside the content: recipients, mostly */

/* ---- the file as a client (session/io.h) ------------------------------------------ */

struct file_io {
	struct session_io io;
	struct control *control;
	int fd;
	off_t at, size; /* as it was when opened: what its owner appends meanwhile is not read */
	bool interruptible;
};

static bool must_stop(struct file_io *f)
{
	struct pollfd line = { f->control->fd, POLLIN, 0 };

	if (!f->control->stopping && poll(&line, 1, 0) > 0)
		control_read(f->control);
	return f->control->stopping && (f->interruptible || clock_mono_ms() >= f->control->stop_by_mono_ms);
}

static enum io_result file_read(struct session_io *io, void *data, size_t cap, int64_t deadline_mono_ms, size_t *got)
{
	struct file_io *f = (struct file_io *)io;
	ssize_t n;

	if (must_stop(f))
		return IO_STOP;
	if (clock_mono_ms() >= deadline_mono_ms)
		return IO_TIMEOUT;
	if ((off_t)cap > f->size - f->at)
		cap = (size_t)(f->size - f->at);
	do {
		n = pread(f->fd, data, cap, f->at);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? IO_ERROR : IO_EOF;
	f->at += n;
	*got = (size_t)n;
	return IO_OK;
}

/* The replies are told by events; nobody reads them here. */
static enum io_result file_write(struct session_io *io, const void *data, size_t len, int64_t deadline_mono_ms)
{
	(void)io;
	(void)data;
	(void)len;
	(void)deadline_mono_ms;
	return IO_OK;
}

static void file_interruptible(struct session_io *io, bool yes)
{
	((struct file_io *)io)->interruptible = yes;
}

static const struct session_io_ops file_ops = { .read = file_read,
						.write = file_write,
						.interruptible = file_interruptible };

/* ---- one message ------------------------------------------------------------------- */

/* What came of playing it. */
struct play {
	const struct session_events *events; /* the worker's */
	unsigned accepted, refused, refused_for_now;
	struct buf reason; /* the first refusal */
	int result_fd; /* in a child: where its parent hears of it; -1: none */
};

static void on_verb(void *ctx, const char *verb)
{
	const struct play *p = ctx;

	p->events->verb(p->events->ctx, verb);
}

static void on_accepted(void *ctx, const struct envelope *env, uint64_t size_bytes, const struct smtp_reply *reply)
{
	struct play *p = ctx;

	p->accepted++;
	/* whatever ends us from here on, to play it again would send this one twice */
	if (p->result_fd >= 0 && p->accepted == 1)
		(void)!write(p->result_fd, &(char){ OUTBOX_IN_SPOOL }, 1);
	p->events->accepted(p->events->ctx, env, size_bytes, reply);
}

static void on_rejected(void *ctx, const struct envelope *env, const char *verb, const char *line, size_t line_len,
			const struct smtp_reply *reply)
{
	struct play *p = ctx;

	if (p->reason.len == 0)
		smtp_reply_oneline(reply, &p->reason);
	if (smtp_reply_is_permanent(reply))
		p->refused++;
	else
		p->refused_for_now++;
	p->events->rejected(p->events->ctx, env, verb, line, line_len, reply);
}

static void on_trace(void *ctx, bool from_client, const char *text, size_t len)
{
	const struct play *p = ctx;

	p->events->trace(p->events->ctx, from_client, text, len);
}

static enum outbox_fate fate_of(struct play *p, enum session_end end)
{
	if (p->accepted > 0 && p->refused == 0 && p->refused_for_now == 0)
		return FATE_DONE;
	if (p->accepted > 0) /* to play it again would send it twice to those who have it */
		return FATE_REFUSED;
	if (end == SESSION_STOPPED || end == SESSION_TIMED_OUT || p->refused_for_now > 0) {
		if (p->reason.len == 0)
			buf_adds(&p->reason, session_end_name(end));
		return FATE_LATER;
	}
	if (p->reason.len == 0)
		buf_adds(&p->reason, "there is no message in it");
	return FATE_REFUSED;
}

/* Content of the largest size, each of whose lines got a dot in front at worst, and the commands. */
static bool is_too_large(const struct outbox_player *p, const struct stat *st)
{
	uint64_t most = p->session->data_size_limit_bytes;

	return most > 0 && (uint64_t)st->st_size > most + most / 2 + COMMANDS_MAX;
}

/* What passes, and is not the file's fault: its sender was told that this is mail. */
static bool is_our_trouble(int os_error)
{
	return os_error == EMFILE || os_error == ENFILE || os_error == ENOMEM || os_error == EIO || os_error == EINTR;
}

/* -1: why is said in reason, and what becomes of it in fate. */
static int open_file(const struct outbox_player *p, int taken_fd, const char *name, struct stat *st,
		     struct buf *reason, enum outbox_fate *fate)
{
	int fd = openat(taken_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	*fate = FATE_REFUSED;
	if (fd < 0) {
		buf_addf(reason, "it cannot be opened: %s", strerror(errno));
		*fate = is_our_trouble(errno) ? FATE_LATER : FATE_REFUSED;
		if (fstatat(taken_fd, name, st, AT_SYMLINK_NOFOLLOW) < 0) {
			memset(st, 0, sizeof(*st));
			st->st_uid = (uid_t)-1;
			st->st_mtime = st->st_ctime = (time_t)(clock_wall_us() / 1000000);
		}
		return -1;
	}
	if (fstat(fd, st) < 0)
		buf_addf(reason, "it cannot be looked at: %s", strerror(errno));
	else if (!S_ISREG(st->st_mode))
		buf_adds(reason, "it is no regular file");
	else if (st->st_nlink != 1) /* of a file that is perhaps another's */
		buf_adds(reason, "it has more than one name");
	else if (is_too_large(p, st))
		buf_adds(reason, "552 5.3.4 it is larger than data_size_limit");
	else
		return fd;
	close(fd);
	return -1;
}

enum outbox_fate outbox_play_here(const struct outbox_player *p, struct control *control, int result_fd,
				  int fd, const struct stat *st, struct buf *reason)
{
	struct play play = { .events = p->events, .result_fd = result_fd };
	const struct session_events events = { .verb = on_verb,
					       .accepted = on_accepted,
					       .rejected = on_rejected,
					       .trace = p->events->trace ? on_trace : NULL,
					       .ctx = &play };
	const struct session_peer peer = {
		.text = p->peer, .address = "unix", .listener = "outbox", .refusal = p->refusal
	};
	struct file_io io = { .io.ops = &file_ops, .control = control, .fd = fd, .size = st->st_size };
	enum outbox_fate fate;

	buf_init(&play.reason, OUTBOX_REASON_MAX);
	fate = fate_of(&play, session_run(p->session, &peer, &io.io, p->handler, &events));
	buf_adds(reason, play.reason.data);
	buf_release(&play.reason);
	return fate;
}

static enum outbox_fate play(const struct outbox_player *p, int fd, const struct stat *st, struct buf *reason)
{
	return p->died ? outbox_play_apart(p, fd, st, reason)
		       : outbox_play_here(p, p->control, -1, fd, st, reason);
}

/* ---- what becomes of the file -------------------------------------------------------- */

static void log_file(const char *result, const char *peer, const char *name, const char *reason)
{
	struct log_line line;

	log_begin(&line, result[0] == 's' ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "outbox");
	log_str(&line, "result", result);
	log_str(&line, "file", name);
	log_str(&line, "peer", peer);
	if (reason[0])
		log_str(&line, "reason", reason);
	log_end(&line);
}

/* The reason beside it, for who looks there; that it was refused is in the log in any case. */
static void write_reason(int refused_fd, const char *name, const char *peer, const char *reason)
{
	char file[NAME_MAX + 1], when[CLOCK_UTC_MAX];
	struct buf text;
	int fd;

	buf_init(&text, 4 * OUTBOX_REASON_MAX);
	kv_puts(&text, "when", clock_format_utc(clock_wall_us(), when));
	kv_puts(&text, "peer", peer);
	kv_puts(&text, "reason", reason);
	buf_addc(&text, '\n');
	snprintf(file, sizeof(file), "%.200s.reason", name);
	fd = openat(refused_fd, file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		if (write(fd, text.data, text.len) < 0) {
			/* a full disk: the log has it */
		}
		close(fd);
	}
	buf_release(&text);
}

struct folders {
	int root, taken, refused;
};

static void put_aside(const struct outbox_player *p, const struct folders *f, const char *name, const char *reason)
{
	write_reason(f->refused, name, p->peer, reason);
	if (renameat(f->taken, name, f->refused, name) < 0) {
		log_msg(LOG_LEVEL_ERROR, "outbox_failed", "%s: cannot move %s to %s: %s", p->folder, name,
			OUTBOX_REFUSED, strerror(errno));
		return;
	}
	log_file("refused", p->peer, name, reason);
}

static bool is_expired(const struct outbox_player *p, const struct stat *st)
{
	/* its owner may give it any mtime, one in the far future too */
	int64_t since = st->st_mtime < st->st_ctime ? st->st_mtime : st->st_ctime;

	return clock_wall_us() / 1000 - since * 1000 > p->expire_after_ms;
}

/* False: it stays for another time. */
static bool take_in(const struct outbox_player *p, const struct folders *f, const char *name)
{
	struct buf reason;
	enum outbox_fate fate;
	struct stat st;
	int fd;

	buf_init(&reason, OUTBOX_REASON_MAX);
	snprintf(p->peer, p->peer_cap, "unix:unknown");
	fd = open_file(p, f->taken, name, &st, &reason, &fate);
	if (st.st_uid != (uid_t)-1)
		snprintf(p->peer, p->peer_cap, "unix:uid=%ld", (long)st.st_uid);
	if (fd >= 0) {
		fate = play(p, fd, &st, &reason);
		close(fd);
	}
	if (fate == FATE_LATER && !p->control->stopping && is_expired(p, &st))
		fate = FATE_REFUSED;
	switch (fate) {
	case FATE_DONE:
		if (unlinkat(f->taken, name, 0) < 0)
			log_msg(LOG_LEVEL_ERROR, "outbox_failed", "%s: cannot remove %s: %s", p->folder, name,
				strerror(errno));
		log_file("submitted", p->peer, name, "");
		break;
	case FATE_LATER:
		log_file("deferred", p->peer, name, reason.data);
		break;
	case FATE_REFUSED:
		put_aside(p, f, name, reason.data);
		break;
	}
	buf_release(&reason);
	return fate != FATE_LATER;
}

/* ---- the folder ------------------------------------------------------------------------ */

static bool starts_with(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* A sender that died while it wrote: nobody was told that this is mail. */
static void remove_if_stale(const struct folders *f, const char *name)
{
	struct stat st;

	if (fstatat(f->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    clock_wall_us() / 1000000 - (int64_t)st.st_mtime > OUTBOX_STALE_S)
		unlinkat(f->root, name, 0);
}

/* Makes it ours. What is no regular file is left where it is: nothing in it could be mail. */
static bool claim(const struct folders *f, const char *name)
{
	struct stat st;

	return fstatat(f->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       renameat(f->root, name, f->taken, name) == 0;
}

static bool is_stopping(const struct outbox_player *p)
{
	struct pollfd line = { p->control->fd, POLLIN, 0 };

	if (!p->control->retiring && poll(&line, 1, 0) > 0)
		control_read(p->control);
	return p->control->retiring;
}

/* Each name in a folder; false when visit() said so for one. */
static bool each_name(const struct outbox_player *p, int fd, const struct folders *f,
		      bool (*visit)(const struct outbox_player *p, const struct folders *f, const char *name))
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *entry;
	bool all = true;

	if (!dir) {
		log_msg(LOG_LEVEL_ERROR, "outbox_failed", "%s: cannot list it: %s", p->folder, strerror(errno));
		if (copy >= 0)
			close(copy);
		return false;
	}
	while ((entry = readdir(dir))) {
		if (is_stopping(p)) {
			all = false;
			break;
		}
		all = visit(p, f, entry->d_name) && all;
	}
	closedir(dir);
	return all;
}

static bool visit_taken(const struct outbox_player *p, const struct folders *f, const char *name)
{
	return !starts_with(name, OUTBOX_MESSAGE) || take_in(p, f, name);
}

static bool visit_new(const struct outbox_player *p, const struct folders *f, const char *name)
{
	if (starts_with(name, OUTBOX_UNFINISHED))
		remove_if_stale(f, name);
	else if (starts_with(name, OUTBOX_MESSAGE) && claim(f, name))
		return take_in(p, f, name);
	return true;
}

static int open_folder(int at_fd, const char *name)
{
	return openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void close_folders(const struct folders *f)
{
	if (f->root >= 0)
		close(f->root);
	if (f->taken >= 0)
		close(f->taken);
	if (f->refused >= 0)
		close(f->refused);
}

enum outbox_result outbox_drain(const struct outbox_player *p)
{
	struct folders f = { open_folder(AT_FDCWD, p->folder), -1, -1 };
	enum outbox_result result = OUTBOX_EMPTY;

	if (f.root >= 0) {
		f.taken = open_folder(f.root, OUTBOX_TAKEN);
		f.refused = open_folder(f.root, OUTBOX_REFUSED);
	}
	if (f.root < 0 || f.taken < 0 || f.refused < 0) {
		log_msg(LOG_LEVEL_ERROR, "outbox_failed", "%s: cannot open it: %s", p->folder, strerror(errno));
	} else if (flock(f.root, LOCK_EX | LOCK_NB) == 0) { /* else another worker is at it */
		bool old = each_name(p, f.taken, &f, visit_taken);
		bool new = each_name(p, f.root, &f, visit_new);

		if (!old || !new)
			result = OUTBOX_LATER;
	}
	close_folders(&f);
	return result;
}

/* ---- made by the master ------------------------------------------------------------------ */

/*
 * The mode is set last: nobody can have put anything into a folder that nobody else could enter. One that was
 * there already must be the workers'; what a local user made in its place is not used.
 */
static int prepare(int at_fd, const char *name, const char *shown, uid_t uid, gid_t gid, int *fd, struct err *e)
{
	bool made = mkdirat(at_fd, name, 0700) == 0;
	struct stat st;

	if (!made && errno != EEXIST) {
		err_set_os(e, errno, "%s: cannot make this directory", shown);
		return -1;
	}
	*fd = open_folder(at_fd, name);
	if (*fd < 0 || fstat(*fd, &st) < 0) {
		err_set_os(e, errno, "%s: cannot open this directory", shown);
		return -1;
	}
	if (made && uid != (uid_t)-1 && fchown(*fd, uid, gid) < 0) {
		err_set_os(e, errno, "%s: cannot give this directory to user id %ld", shown, (long)uid);
		return -1;
	}
	if (!made && st.st_uid != (uid == (uid_t)-1 ? geteuid() : uid)) {
		err_set(e, "%s: it belongs to user id %ld: remove it, posthoused makes it with the right owner", shown,
			(long)st.st_uid);
		return -1;
	}
	return 0;
}

/* Not what it has already: under RestrictSUIDSGID of systemd a set-group-id bit cannot be given, only kept. */
static int set_mode(int fd, const char *shown, mode_t mode, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && (st.st_mode & 07777) == mode)
		return 0;
	if (fchmod(fd, mode) == 0)
		return 0;
	err_set_os(e, errno, "%s: cannot change its mode to %04o", shown, (unsigned)mode);
	return -1;
}

int outbox_prepare(const char *folder, uid_t uid, gid_t gid, struct err *e)
{
	static const char *const inner[] = { OUTBOX_TAKEN, OUTBOX_REFUSED };
	char shown[4096];
	int root = -1, fd = -1, r;

	r = prepare(AT_FDCWD, folder, folder, uid, gid, &root, e);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		snprintf(shown, sizeof(shown), "%s/%s", folder, inner[i]);
		r = prepare(root, inner[i], shown, uid, gid, &fd, e);
		if (r == 0)
			r = set_mode(fd, shown, 0700, e);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (r == 0)
		r = set_mode(root, folder, OUTBOX_MODE, e);
	if (root >= 0)
		close(root);
	return r;
}
