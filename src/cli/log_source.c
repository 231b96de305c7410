/* SPDX-License-Identifier: ISC */
/* See log_source.h. */
#include "cli/log_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define FOLLOW_PAUSE_NS 200000000L
#define ROTATION_MS 5000 /* posthoused misses its file within two seconds */

extern char **environ;

/* What reads a file whose name ends so, from standard input. */
static const struct packer {
	const char *suffix;
	const char *argv[3];
} packers[] = {
	{ ".gz", { "gzip", "-dc", NULL } },
	{ ".xz", { "xz", "-dc", NULL } },
	{ ".zst", { "zstd", "-dcq", NULL } },
	{ ".bz2", { "bzip2", "-dc", NULL } },
};

struct reading {
	const struct log_source *source;
	log_source_line *each;
	void *ctx;
	int64_t latest_wall_us;
	bool ended; /* each wants no more */
	char line[LOG_SOURCE_LINE_MAX];
};

/* ---- lines ---------------------------------------------------------------------------- */

enum line_end { LINE_WHOLE, LINE_CUT_OFF /* at the end of the file */, LINE_NONE };

/* *len: without its newline; SIZE_MAX: it is longer than any of ours. */
static enum line_end read_line(struct reading *r, FILE *f, size_t *len)
{
	size_t n = 0;
	int c;

	while ((c = getc_unlocked(f)) != EOF && c != '\n') {
		/* what a crash leaves of blocks that were not written, and an emptied file below an old position */
		if (c == '\0' && n == 0)
			continue;
		if (n < sizeof(r->line))
			r->line[n++] = (char)c;
	}
	if (c == EOF && n == 0)
		return LINE_NONE;
	*len = n < sizeof(r->line) ? n : SIZE_MAX;
	if (*len != SIZE_MAX)
		r->line[n] = '\0';
	return c == EOF ? LINE_CUT_OFF : LINE_WHOLE;
}

/*
 * To the end of the file. A line without an end is given back to the file where it may get one; one that is too
 * long is passed over.
 */
static void read_lines(struct reading *r, FILE *f, bool may_grow)
{
	long begin = may_grow ? ftell(f) : 0;
	enum line_end end;
	size_t len;

	while (!r->ended && (end = read_line(r, f, &len)) != LINE_NONE) {
		if (end == LINE_CUT_OFF && may_grow) {
			fseek(f, begin, SEEK_SET);
			return;
		}
		if (len != SIZE_MAX)
			r->ended = !r->each(r->ctx, r->line, len, r->latest_wall_us);
		if (may_grow)
			begin = ftell(f);
	}
}

/* ---- programs that read for us ------------------------------------------------------------ */

/* Its standard output, and which process it is; -1 and e. in_fd -1: it reads nothing. */
static int start(const char *const argv[], int in_fd, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t actions;
	int line[2], r;

	if (pipe2(line, O_CLOEXEC) < 0) {
		err_set_os(e, errno, "cannot start %s", argv[0]);
		return -1;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, line[1], STDOUT_FILENO);
	if (in_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, in_fd, STDIN_FILENO);
	r = posix_spawnp(pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(line[1]);
	if (r != 0) {
		close(line[0]);
		err_set_os(e, r, "cannot start %s, which is needed to read this", argv[0]);
		return -1;
	}
	return line[0];
}

/* fd is the caller's. */
static int read_from_program(struct reading *r, const char *const argv[], int in_fd, struct err *e)
{
	int status = 0, out_fd;
	pid_t pid;
	FILE *f;

	out_fd = start(argv, in_fd, &pid, e);
	if (out_fd < 0)
		return -1;
	f = fdopen(out_fd, "r");
	if (f) {
		read_lines(r, f, false);
		fclose(f); /* when we have enough it hears so by SIGPIPE */
	} else {
		close(out_fd);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r->ended || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return 0;
	err_set(e, "%s could not read all of it", argv[0]);
	return -1;
}

static int read_journal(struct reading *r, struct err *e)
{
	const struct log_source *s = r->source;
	const char *argv[16];
	char since[32];
	size_t n = 0;

	argv[n++] = "journalctl";
	argv[n++] = "--output=json";
	argv[n++] = "--no-pager";
	if (s->journal_directory) {
		argv[n++] = "--directory";
		argv[n++] = s->journal_directory;
	}
	if (s->follow) {
		argv[n++] = "--follow";
		argv[n++] = "--no-tail";
	}
	if (s->since_wall_us > 0) {
		snprintf(since, sizeof(since), "@%" PRId64, s->since_wall_us / 1000000);
		argv[n++] = "--since";
		argv[n++] = since;
	}
	argv[n++] = "SYSLOG_IDENTIFIER=posthoused";
	argv[n++] = "SYSLOG_IDENTIFIER=posthouse";
	argv[n] = NULL;
	return read_from_program(r, argv, -1, e);
}

/* ---- files ------------------------------------------------------------------------------- */

static const struct packer *packer_of(const char *path)
{
	for (size_t i = 0; i < sizeof(packers) / sizeof(packers[0]); i++) {
		size_t len = strlen(path), suffix = strlen(packers[i].suffix);

		if (len > suffix && strcmp(path + len - suffix, packers[i].suffix) == 0)
			return &packers[i];
	}
	return NULL;
}

/* What a file is known by while it is followed. Returns the one to go on with, or NULL and e. */
static FILE *next_file(FILE *f, const char *path, struct err *e)
{
	struct stat there, ours;
	FILE *next;

	if (fstat(fileno(f), &ours) == 0 && ours.st_size < ftell(f))
		rewind(f); /* it was copied and emptied */
	if (stat(path, &there) < 0 || (there.st_ino == ours.st_ino && there.st_dev == ours.st_dev))
		return f;
	next = fopen(path, "re");
	if (!next && errno == ENOENT)
		return f; /* it is being rotated right now */
	if (!next) {
		err_set_os(e, errno, "%s: cannot open it", path);
		return NULL;
	}
	return next;
}

/* Returns the file as it is at the end; NULL and e: there is none any more, and f is closed. */
static FILE *follow(struct reading *r, FILE *f, const char *path, struct err *e)
{
	const struct timespec pause = { .tv_nsec = FOLLOW_PAUSE_NS };

	while (!r->ended) {
		FILE *next = next_file(f, path, e);

		r->latest_wall_us = clock_wall_us();
		clearerr(f);
		read_lines(r, f, true); /* also what came into the old one before it was moved */
		if (next != f) {
			fclose(f);
			f = next;
			if (!f)
				return NULL;
			continue;
		}
		if (!r->ended && r->each(r->ctx, NULL, 0, 0))
			nanosleep(&pause, NULL);
		else
			r->ended = true;
	}
	return f;
}

static int read_file(struct reading *r, const char *path, bool is_last, struct err *e)
{
	const struct packer *packer = packer_of(path);
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;
	int result = 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");

	if (!f || fstat(fileno(f), &st) < 0) {
		err_set_os(e, errno, "%s: cannot open it", path);
		if (f && !is_stdin)
			fclose(f);
		return -1;
	}
	r->latest_wall_us = is_stdin ? clock_wall_us() : (int64_t)st.st_mtim.tv_sec * 1000000;
	if (packer && !is_stdin) {
		result = read_from_program(r, packer->argv, fileno(f), e);
		if (result < 0)
			err_prefix(e, "%s", path);
	} else if (r->source->follow && is_last && !is_stdin) {
		f = follow(r, f, path, e);
		result = f ? 0 : -1;
	} else {
		read_lines(r, f, false);
	}
	if (f && !is_stdin)
		fclose(f);
	return result;
}

/* ---- what was rotated ----------------------------------------------------------------------- */

struct found {
	char *path;
	int64_t written_wall_us;
};

static int by_time(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->written_wall_us != y->written_wall_us)
		return x->written_wall_us < y->written_wall_us ? -1 : 1;
	return strverscmp(y->path, x->path); /* log.2 is older than log.1 */
}

/* "log.1", "log.2.gz", "log-20261123", "log-20261123.xz" of "log" */
static bool is_rotated(const char *name, const char *of)
{
	size_t len = strlen(of);

	return strncmp(name, of, len) == 0 && (name[len] == '.' || name[len] == '-') &&
	       name[len + 1] >= '0' && name[len + 1] <= '9';
}

/* Those that were rotated from path, oldest first. */
static struct found *find_rotated(const char *path, size_t *count)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char *folder = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup("./");
	DIR *dir = opendir(folder);
	struct found *found = NULL;
	const struct dirent *entry;
	struct stat st;

	*count = 0;
	while (dir && (entry = readdir(dir))) {
		if (!is_rotated(entry->d_name, base) || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		found = mem_resize(found, *count + 1, sizeof(*found));
		found[(*count)++] = (struct found){ mem_printf("%s%s", slash ? folder : "", entry->d_name),
						    (int64_t)st.st_mtim.tv_sec * 1000000 };
	}
	if (dir)
		closedir(dir);
	free(folder);
	if (found)
		qsort(found, *count, sizeof(*found), by_time);
	return found;
}

static int read_rotated(struct reading *r, const char *path, size_t *count, struct err *e)
{
	struct found *found = find_rotated(path, count);
	int result = 0;

	for (size_t i = 0; i < *count; i++) {
		/* what was not written to since then has nothing of it; a second for clocks of file systems */
		if (!r->ended && found[i].written_wall_us + 1000000 >= r->source->since_wall_us &&
		    read_file(r, found[i].path, false, e) < 0)
			result = -1;
		free(found[i].path);
	}
	free(found);
	return result;
}

/*
 * Moved away a moment ago, and posthoused has not made the next one yet (logrotate's nocreate): there is nothing in
 * it, and who follows waits for it.
 */
static bool is_being_rotated(const struct reading *r, const char *path)
{
	const struct timespec pause = { .tv_nsec = FOLLOW_PAUSE_NS };
	int64_t deadline = clock_mono_ms() + ROTATION_MS;

	while (access(path, F_OK) < 0 && errno == ENOENT) {
		if (!r->source->follow)
			return true;
		if (clock_mono_ms() >= deadline)
			break;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int read_with_rotated(struct reading *r, const char *path, bool is_last, struct err *e)
{
	size_t count = 0;
	int result = 0;

	if (strcmp(path, "-") != 0 && read_rotated(r, path, &count, e) < 0)
		result = -1;
	if (r->ended || (count > 0 && is_being_rotated(r, path)))
		return result;
	return read_file(r, path, is_last, e) < 0 ? -1 : result;
}

int log_source_read(const struct log_source *s, log_source_line *each, void *ctx, struct err *e)
{
	struct reading *r = mem_alloc(sizeof(*r));
	int result = 0;

	*r = (struct reading){ .source = s, .each = each, .ctx = ctx };
	if (s->file_count == 0) {
		r->latest_wall_us = clock_wall_us();
		result = read_journal(r, e);
	}
	for (size_t i = 0; i < s->file_count && !r->ended; i++)
		if (read_with_rotated(r, s->file[i], i + 1 == s->file_count, e) < 0)
			result = -1;
	free(r);
	return result;
}
