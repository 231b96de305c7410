/* SPDX-License-Identifier: ISC */
/* See handover.h. */
#include "daemon/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/descriptors.h"
#include "base/kv.h"
#include "base/num.h"

#define HANDOVER_MAX (16 << 20) /* thirty thousand children */

/* ---- the value ------------------------------------------------------------------- */

void handover_init(struct handover *h)
{
	*h = (struct handover){ .old_fd = -1,
				.lock_fd = -1,
				.notice_fd = { -1, -1 },
				.event_fd = { -1, -1 },
				.unsaved_fd = -1,
				.log_fd = { -1, -1, -1 } };
}

void handover_add_socket(struct handover *h, int fd, const char *listener, const struct endpoint *ep)
{
	h->socket = mem_resize(h->socket, h->socket_count + 1, sizeof(*h->socket));
	h->socket[h->socket_count++] =
		(struct handover_socket){ .fd = fd, .listener = mem_strdup(listener), .endpoint = *ep };
}

void handover_add_watch(struct handover *h, int fd, const struct sandbox_subject *subject)
{
	h->watch = mem_resize(h->watch, h->watch_count + 1, sizeof(*h->watch));
	h->watch[h->watch_count++] = (struct handover_watch){ fd, *subject };
}

void handover_add_child(struct handover *h, const struct child *c)
{
	h->child = mem_resize(h->child, h->child_count + 1, sizeof(*h->child));
	h->child[h->child_count++] = *c;
}

void handover_release(struct handover *h)
{
	for (unsigned i = 0; i < h->socket_count; i++)
		free(h->socket[i].listener);
	free(h->socket);
	free(h->watch);
	free(h->child);
	free(h->release);
	free(h->program);
	free(h->spool);
	free(h->pid_file);
	handover_init(h);
}

/* Calls f for each descriptor but the children's lines. */
static void for_own(struct handover *h, void (*f)(int *fd))
{
	f(&h->old_fd);
	f(&h->lock_fd);
	f(&h->unsaved_fd);
	for (int i = 0; i < 2; i++) {
		f(&h->notice_fd[i]);
		f(&h->event_fd[i]);
	}
	for (unsigned i = 0; i < h->socket_count; i++)
		f(&h->socket[i].fd);
	for (unsigned i = 0; i < h->watch_count; i++)
		f(&h->watch[i].fd);
}

void handover_close(struct handover *h)
{
	if (h)
		for_own(h, descriptors_close);
}

static void keep_one(int *fd)
{
	if (*fd >= 0)
		(void)fcntl(*fd, F_SETFD, 0);
}

static void drop_one(int *fd)
{
	if (*fd >= 0)
		(void)fcntl(*fd, F_SETFD, FD_CLOEXEC);
}

void handover_keep(const struct handover *h, bool keep)
{
	/* f changes none of them */
	for_own((struct handover *)(uintptr_t)h, keep ? keep_one : drop_one);
	for (int i = 0; i < 3;
	     i++) { /* not closed when the others are: they are in use from the first line on */
		int fd = h->log_fd[i];

		(keep ? keep_one : drop_one)(&fd);
	}
	for (unsigned i = 0; i < h->child_count; i++)
		(keep ? keep_one : drop_one)(&h->child[i].control_fd);
}

/* ---- writing ---------------------------------------------------------------------- */

static void put_text(struct buf *b, const char *key, const char *value)
{
	if (value)
		kv_puts(b, key, value);
}

static void put_house(struct buf *b, const struct handover *h)
{
	kv_puti(b, "handover", HANDOVER_VERSION);
	kv_puts(b, "release", PACKAGE_VERSION);
	put_text(b, "program", h->program);
	kv_puti(b, "old_fd", h->old_fd + 1);
	kv_puti(b, "back", h->back);
	put_text(b, "spool", h->spool);
	/* numbers are written without a sign: 0 is none */
	kv_puti(b, "lock_fd", h->lock_fd + 1);
	kv_puti(b, "unsaved", h->unsaved_fd + 1);
	kv_puti(b, "notice_in", h->notice_fd[0] + 1);
	kv_puti(b, "notice_out", h->notice_fd[1] + 1);
	kv_puti(b, "event_in", h->event_fd[0] + 1);
	kv_puti(b, "event_out", h->event_fd[1] + 1);
	kv_puti(b, "log_in", h->log_fd[0] + 1);
	kv_puti(b, "log_out", h->log_fd[1] + 1);
	kv_puti(b, "log_line", h->log_fd[2] + 1);
	kv_puti(b, "log_writer", h->log_writer);
	put_text(b, "pid_file", h->pid_file);
	kv_puti(b, "started", h->started_wall_us);
	buf_addc(b, '\n');
}

static void put_socket(struct buf *b, const struct handover_socket *s)
{
	char text[ENDPOINT_TEXT_MAX];

	kv_puti(b, "socket", s->fd + 1);
	kv_puts(b, "listener", s->listener);
	kv_puts(b, "endpoint", endpoint_format(&s->endpoint, text));
	buf_addc(b, '\n');
}

static void put_watch(struct buf *b, const struct handover_watch *w)
{
	kv_puti(b, "watch", w->fd + 1);
	kv_puti(b, "mode", w->subject.mode);
	kv_puts(b, "role", child_role_name((enum child_role)w->subject.role));
	kv_puti(b, "lenient", w->subject.lenient);
	buf_addc(b, '\n');
}

static void put_child(struct buf *b, const struct child *c)
{
	kv_puti(b, "child", c->pid);
	kv_puts(b, "role", child_role_name(c->role));
	kv_puti(b, "control_fd", c->control_fd + 1);
	kv_puti(b, "born", c->born_mono_ms);
	kv_puti(b, "told", c->told);
	kv_puti(b, "old", c->old);
	kv_puti(b, "kill_at", c->kill_at_mono_ms);
	buf_addc(b, '\n');
}

int handover_write(const struct handover *h, struct err *e)
{
	int fd = memfd_create("posthouse-handover", MFD_CLOEXEC);
	struct buf text;
	bool whole;

	buf_init(&text, HANDOVER_MAX);
	put_house(&text, h);
	for (unsigned i = 0; i < h->socket_count; i++)
		put_socket(&text, &h->socket[i]);
	for (unsigned i = 0; i < h->watch_count; i++)
		put_watch(&text, &h->watch[i]);
	for (unsigned i = 0; i < h->child_count; i++)
		put_child(&text, &h->child[i]);
	whole = buf_adds(&text, "end=1\n");
	if (!whole || fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len) {
		err_set_os(e, whole ? errno : EFBIG, "cannot write down what the next executable is to know");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	buf_release(&text);
	return fd;
}

/* ---- reading ----------------------------------------------------------------------- */

static bool take_number(const struct kv_pair *p, int64_t *value)
{
	uint64_t n;

	if (!num_parse_u64(p->value, p->len, INT64_MAX, &n))
		return false;
	*value = (int64_t)n;
	return true;
}

static bool take_fd(const struct kv_pair *p, int *fd)
{
	int64_t n;

	if (!take_number(p, &n) || n > INT32_MAX)
		return false;
	*fd = (int)n - 1;
	return *fd < 0 || fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool take_bool(const struct kv_pair *p, bool *value)
{
	int64_t n;

	if (!take_number(p, &n))
		return false;
	*value = n != 0;
	return true;
}

static bool take_text(const struct kv_pair *p, char **value)
{
	free(*value);
	*value = mem_strdup(p->value);
	return true;
}

static bool take_house(struct handover *h, const struct kv_pair *p)
{
	struct {
		const char *key;
		int *fd;
	} fds[] = { { "old_fd", &h->old_fd },          { "lock_fd", &h->lock_fd },
		    { "notice_in", &h->notice_fd[0] }, { "notice_out", &h->notice_fd[1] },
		    { "event_in", &h->event_fd[0] },   { "event_out", &h->event_fd[1] },
		    { "unsaved", &h->unsaved_fd },     { "log_in", &h->log_fd[0] },
		    { "log_out", &h->log_fd[1] },      { "log_line", &h->log_fd[2] } };
	struct {
		const char *key;
		char **text;
	} texts[] = { { "release", &h->release },
		      { "program", &h->program },
		      { "spool", &h->spool },
		      { "pid_file", &h->pid_file } };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (strcmp(p->key, fds[i].key) == 0)
			return take_fd(p, fds[i].fd);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(p->key, texts[i].key) == 0)
			return take_text(p, texts[i].text);
	if (strcmp(p->key, "log_writer") == 0)
		return take_number(p, &h->log_writer);
	if (strcmp(p->key, "started") == 0)
		return take_number(p, &h->started_wall_us);
	return strcmp(p->key, "back") == 0 && take_number(p, &h->back);
}

static bool take_socket(struct handover_socket *s, const struct kv_pair *p)
{
	struct err e;

	if (strcmp(p->key, "listener") == 0)
		return take_text(p, &s->listener);
	return strcmp(p->key, "endpoint") == 0 && endpoint_parse(p->value, -1, &s->endpoint, &e) == 0;
}

static bool take_role(const struct kv_pair *p, enum child_role *role)
{
	for (int i = 0; i < CHILD_ROLES; i++)
		if (strcmp(p->value, child_role_name((enum child_role)i)) == 0) {
			*role = (enum child_role)i;
			return true;
		}
	return false;
}

static bool take_watch(struct handover_watch *w, const struct kv_pair *p)
{
	enum child_role role;
	int64_t mode;

	if (strcmp(p->key, "role") == 0 && take_role(p, &role)) {
		w->subject.role = (int)role;
		return true;
	}
	if (strcmp(p->key, "mode") == 0 && take_number(p, &mode) && mode <= SANDBOX_OFF) {
		w->subject.mode = (enum sandbox_mode)mode;
		return true;
	}
	return strcmp(p->key, "lenient") == 0 && take_bool(p, &w->subject.lenient);
}

static bool take_child(struct child *c, const struct kv_pair *p)
{
	if (strcmp(p->key, "role") == 0)
		return take_role(p, &c->role);
	if (strcmp(p->key, "control_fd") == 0)
		return take_fd(p, &c->control_fd) && c->control_fd >= 0;
	if (strcmp(p->key, "born") == 0)
		return take_number(p, &c->born_mono_ms);
	if (strcmp(p->key, "told") == 0)
		return take_bool(p, &c->told);
	if (strcmp(p->key, "old") == 0)
		return take_bool(p, &c->old);
	return strcmp(p->key, "kill_at") == 0 && take_number(p, &c->kill_at_mono_ms);
}

enum kind { KIND_HOUSE, KIND_SOCKET, KIND_WATCH, KIND_CHILD, KINDS };
static const char *const kind_names[KINDS] = { "handover", "socket", "watch", "child" };

/* The first pair of a line says what it is of. */
static bool begin_line(struct handover *h, const struct kv_pair *p, enum kind *kind)
{
	const struct endpoint nowhere = { .kind = ENDPOINT_TCP };
	const struct sandbox_subject nothing = { .role = 0 };
	struct child nobody = { .control_fd = -1 };
	int64_t pid;
	int fd;

	for (*kind = KIND_HOUSE; *kind < KINDS && strcmp(p->key, kind_names[*kind]) != 0; (*kind)++)
		;
	switch (*kind) {
	case KIND_HOUSE:
		return true;
	case KIND_SOCKET:
		if (!take_fd(p, &fd) || fd < 0)
			return false;
		handover_add_socket(h, fd, "", &nowhere);
		return true;
	case KIND_WATCH:
		if (!take_fd(p, &fd) || fd < 0)
			return false;
		handover_add_watch(h, fd, &nothing);
		return true;
	case KIND_CHILD:
		if (!take_number(p, &pid) || pid < 2 || pid > INT32_MAX)
			return false;
		nobody.pid = (pid_t)pid;
		handover_add_child(h, &nobody);
		return true;
	case KINDS:
		break;
	}
	return false;
}

static bool take_pair(struct handover *h, const struct kv_pair *p, enum kind kind)
{
	switch (kind) {
	case KIND_HOUSE:
		return take_house(h, p);
	case KIND_SOCKET:
		return take_socket(&h->socket[h->socket_count - 1], p);
	case KIND_WATCH:
		return take_watch(&h->watch[h->watch_count - 1], p);
	case KIND_CHILD:
		return take_child(&h->child[h->child_count - 1], p);
	case KINDS:
		break;
	}
	return false;
}

/* What this release does not know is an error. */
static bool take_line(struct handover *h, char *line, char *end)
{
	enum kv_result r;
	struct kv_pair p;
	enum kind kind;

	if (kv_next(&line, end, &p) != KV_PAIR || !begin_line(h, &p, &kind))
		return false;
	while ((r = kv_next(&line, end, &p)) == KV_PAIR)
		if (!take_pair(h, &p, kind))
			return false;
	return r == KV_END;
}

/* Looked at before the rest, which another version may have in another way. */
static bool check_version(const char *text, struct err *e)
{
	static const char key[] = "handover=";
	const char *value = text + sizeof(key) - 1;
	uint64_t version;

	if (strncmp(text, key, sizeof(key) - 1) != 0 ||
	    !num_parse_u64(value, strcspn(value, " \n"), INT32_MAX, &version)) {
		err_set(e, "--handover: this is not what an executable leaves to the next");
		return false;
	}
	if (version == HANDOVER_VERSION)
		return true;
	err_set(e,
		"--handover: the running executable speaks version %d of it, this one %d: restart the service instead",
		(int)version, HANDOVER_VERSION);
	return false;
}

static int parse(struct handover *h, char *text, struct err *e)
{
	if (!check_version(text, e))
		return -1;
	for (char *line = text, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (strcmp(line, "end=1\n") == 0)
			return 0;
		if (!end || !take_line(h, line, end))
			break;
	}
	err_set(e, "--handover: what the executable before this one left cannot be read");
	return -1;
}

int handover_read(struct handover *h, int fd, struct err *e)
{
	char data[4096];
	struct buf text;
	ssize_t n;
	int r = -1;

	handover_init(h);
	buf_init(&text, HANDOVER_MAX);
	if (lseek(fd, 0, SEEK_SET) < 0) {
		err_set_os(e, errno, "--handover: descriptor %d", fd);
		return -1;
	}
	while ((n = read(fd, data, sizeof(data))) > 0 && buf_add(&text, data, (size_t)n))
		;
	close(fd);
	if (n == 0)
		r = parse(h, text.data, e);
	else
		err_set_os(e, n < 0 ? errno : EFBIG, "--handover: cannot read descriptor %d", fd);
	buf_release(&text);
	if (r < 0)
		handover_release(h);
	return r;
}
