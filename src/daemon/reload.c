/* SPDX-License-Identifier: ISC */
/* See reload.h. */
#include "daemon/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "figures/figures.h"

#define LOOK_MS 2000 /* between two looks at the files */

/* What tells one version of a file from the next. */
struct version {
	int error; /* of stat(), then the others are 0 */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct versions {
	struct version *of; /* by file; owned */
	size_t count;
};

struct entry {
	struct reloadable what;
	struct versions judged; /* of the files that were read last, whether they were good or not */
	struct versions seen; /* at the last look, if they were others */
};

struct reload {
	struct entry *entry; /* owned */
	size_t count;
	int64_t last_look_mono_ms;
};

/* ---- versions of files ---------------------------------------------------------- */

static struct version version_of(const char *file)
{
	struct version v;
	struct stat st;

	memset(&v, 0, sizeof(v));
	if (stat(file, &st) < 0) {
		v.error = errno;
		return v;
	}
	v.dev = st.st_dev;
	v.ino = st.st_ino;
	v.size = st.st_size;
	v.mtime = st.st_mtim;
	v.ctime = st.st_ctim;
	return v;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_version(const struct version *a, const struct version *b)
{
	return a->error == b->error && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}

static bool same_versions(const struct versions *a, const struct versions *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!same_version(&a->of[i], &b->of[i]))
			return false;
	return true;
}

static void versions_release(struct versions *v)
{
	free(v->of);
	*v = (struct versions){ 0 };
}

static struct versions look(const struct reloadable *what)
{
	struct versions v = { 0 };
	const char *file;

	while ((file = what->file(what->ctx, v.count))) {
		v.of = mem_resize(v.of, v.count + 1, sizeof(*v.of));
		v.of[v.count++] = version_of(file);
	}
	return v;
}

static void versions_set(struct versions *to, struct versions v)
{
	versions_release(to);
	*to = v;
}

/* ---- one thing -------------------------------------------------------------------- */

static void log_refused(const struct reloadable *what, const struct err *e)
{
	struct log_line line;

	figures_add(FIGURE_RELOADS, 1, 0, 1);
	log_begin(&line, LOG_LEVEL_ERROR, "reload_refused");
	log_str(&line, "what", what->what);
	log_str(&line, "msg", e->text);
	log_str(&line, "kept", "the old");
	log_end(&line);
}

static void log_reloaded(const struct reloadable *what)
{
	struct log_line line;

	if (!what->file(what->ctx, 0))
		return; /* there was nothing to be read */
	figures_add(FIGURE_RELOADS, 0, 0, 1);
	log_begin(&line, LOG_LEVEL_INFO, "reloaded");
	log_str(&line, "what", what->what);
	log_end(&line);
}

/* Returns whether it is in use. Files that changed while they were read are read again after the next looks. */
static bool read_again(struct entry *n)
{
	struct versions before = look(&n->what), after;
	bool whole;
	struct err e;

	versions_release(&n->seen);
	if (n->what.load(n->what.ctx, &e) < 0) {
		versions_set(&n->judged, before);
		log_refused(&n->what, &e);
		return false;
	}
	after = look(&n->what);
	whole = same_versions(&before, &after);
	versions_release(&before);
	if (!whole) {
		n->what.drop(n->what.ctx);
		n->seen = after;
		return false;
	}
	versions_set(&n->judged, after);
	n->what.swap(n->what.ctx);
	log_reloaded(&n->what);
	return true;
}

static bool look_at(struct entry *n)
{
	struct versions now = look(&n->what);
	bool settled = n->seen.count > 0 && same_versions(&now, &n->seen);

	if (same_versions(&now, &n->judged)) {
		versions_release(&now);
		versions_release(&n->seen);
		return false;
	}
	versions_set(&n->seen, now);
	return settled && read_again(n);
}

/* ---- all of them ------------------------------------------------------------------- */

struct reload *reload_new(void)
{
	struct reload *r = mem_alloc(sizeof(*r));

	r->last_look_mono_ms = clock_mono_ms();
	return r;
}

void reload_add(struct reload *r, const struct reloadable *what)
{
	r->entry = mem_resize(r->entry, r->count + 1, sizeof(*r->entry));
	r->entry[r->count++] = (struct entry){ .what = *what };
}

void reload_free(struct reload *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++) {
		r->entry[i].what.release(r->entry[i].what.ctx);
		versions_release(&r->entry[i].judged);
		versions_release(&r->entry[i].seen);
	}
	free(r->entry);
	free(r);
}

int reload_start(struct reload *r, struct err *e)
{
	for (size_t i = 0; i < r->count; i++) {
		struct entry *n = &r->entry[i];

		versions_set(&n->judged, look(&n->what));
		if (n->what.load(n->what.ctx, e) < 0)
			return -1;
		n->what.swap(n->what.ctx);
	}
	return 0;
}

bool reload_beside(struct reload *r)
{
	bool good = true;
	struct err e;

	for (size_t i = 0; i < r->count; i++) {
		struct entry *n = &r->entry[i];

		versions_set(&n->judged, look(&n->what));
		if (n->what.load(n->what.ctx, &e) < 0) {
			log_refused(&n->what, &e);
			good = false;
			continue;
		}
		n->what.swap(n->what.ctx);
	}
	return good;
}

void reload_tell(const struct reload *r)
{
	for (size_t i = 0; i < r->count; i++)
		log_reloaded(&r->entry[i].what);
}

bool reload_check(struct reload *r, void (*report)(void *ctx, const char *text), void *ctx)
{
	bool good = true;
	struct err e;

	for (size_t i = 0; i < r->count; i++) {
		const struct reloadable *what = &r->entry[i].what;

		if (what->load(what->ctx, &e) < 0) {
			report(ctx, e.text);
			good = false;
		} else {
			what->swap(what->ctx);
		}
	}
	return good;
}

bool reload_now(struct reload *r)
{
	bool changed = false;

	log_msg(LOG_LEVEL_INFO, "reload",
		"there is no configuration file: what the command line names is read again");
	for (size_t i = 0; i < r->count; i++)
		changed = read_again(&r->entry[i]) || changed;
	return changed;
}

bool reload_tick(struct reload *r)
{
	bool changed = false;

	if (clock_mono_ms() - r->last_look_mono_ms < LOOK_MS)
		return false;
	r->last_look_mono_ms = clock_mono_ms();
	for (size_t i = 0; i < r->count; i++)
		changed = look_at(&r->entry[i]) || changed;
	return changed;
}
