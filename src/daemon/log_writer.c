/* SPDX-License-Identifier: ISC */
/* See log_writer.h. */
#include "daemon/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

#define LOOK_MS 1000 /* between two looks at the path, and two tries of a disk that takes nothing */

struct log_writer {
	int pipe_fd, line_fd, file_fd; /* line_fd -1: the master is gone */
	char path[LOG_WRITER_PATH_MAX];
	bool blind; /* the path cannot be looked at */
	bool stopping, pipe_ended;
	int64_t look_at_mono_ms, retry_at_mono_ms;
	size_t len; /* in text; it begins with the beginning of a line */
	size_t written; /* of the first line in text, less than that line: the disk took no more */
	char text[64 << 10];
};

/* ---- the file ------------------------------------------------------------------------ */

/* What is whole on the disk leaves the buffer; the beginning of a line stays until the rest is there, too. */
static void forget_whole_lines(struct log_writer *w, size_t done)
{
	const char *newline = memrchr(w->text, '\n', done);
	size_t whole = newline ? (size_t)(newline - w->text) + 1 : 0;

	if (!newline && done == sizeof(w->text))
		whole = done; /* nobody here writes such a line: it is not waited for */
	memmove(w->text, w->text + whole, w->len - whole);
	w->len -= whole;
	w->written = done - whole;
}

/* False: the disk takes nothing now. */
static bool write_lines(struct log_writer *w)
{
	while (w->len > w->written) {
		ssize_t n = write(w->file_fd, w->text + w->written, w->len - w->written);

		if (n > 0) {
			forget_whole_lines(w, w->written + (size_t)n);
		} else if (errno != EINTR) {
			w->retry_at_mono_ms = clock_mono_ms() + LOOK_MS;
			return false;
		}
	}
	w->retry_at_mono_ms = 0;
	return true;
}

static void tell(const struct log_writer *w, char what, const struct stat *ours)
{
	struct log_writer_said said = { what, ours->st_dev, ours->st_ino };

	if (descriptors_send(w->line_fd, &said, sizeof(said), NULL, 0) < 0) {
		/* full, or the master is gone: both are seen elsewhere */
	}
}

/* The answers may take long where the file's disk hangs; nobody waits for them. */
static void look(struct log_writer *w)
{
	struct stat there, ours;

	w->look_at_mono_ms = clock_mono_ms() + LOOK_MS;
	if (w->blind || w->line_fd < 0 || fstat(w->file_fd, &ours) < 0)
		return;
	if (stat(w->path, &there) == 0) {
		if (there.st_ino != ours.st_ino || there.st_dev != ours.st_dev)
			tell(w, LOG_WRITER_MOVED, &ours);
	} else if (errno == ENOENT) {
		tell(w, LOG_WRITER_MOVED, &ours);
	} else if (errno == EACCES) {
		tell(w, LOG_WRITER_BLIND, &ours);
		w->blind = true;
	}
}

/* ---- the line from the master ------------------------------------------------------------ */

static void take_file(struct log_writer *w, int fd, const char *path, size_t len)
{
	close(w->file_fd);
	w->file_fd = fd;
	w->written = 0; /* the line goes there whole */
	w->retry_at_mono_ms = 0;
	w->blind = false;
	w->look_at_mono_ms = clock_mono_ms() + LOOK_MS;
	memcpy(w->path, path, len);
	w->path[len] = '\0';
}

static void hear(struct log_writer *w)
{
	char packet[1 + LOG_WRITER_PATH_MAX];
	size_t len, count;
	int fd = -1;

	while (w->line_fd >= 0 &&
	       descriptors_receive(w->line_fd, packet, sizeof(packet), &len, &fd, 1, &count)) {
		if (len == 0) {
			close(w->line_fd);
			w->line_fd = -1;
		} else if (packet[0] == LOG_WRITER_FILE && count == 1 && len - 1 < sizeof(w->path)) {
			take_file(w, fd, packet + 1, len - 1);
		} else if (packet[0] == LOG_WRITER_STOP) {
			w->stopping = true;
		} else if (count == 1) {
			close(fd);
		}
	}
}

/* ---- the pipe -------------------------------------------------------------------------- */

/* False: there is nothing more for now. */
static bool read_lines(struct log_writer *w)
{
	ssize_t n;

	if (w->len == sizeof(w->text))
		return true; /* the disk takes nothing: the pipe fills next */
	n = read(w->pipe_fd, w->text + w->len, sizeof(w->text) - w->len);
	if (n > 0)
		w->len += (size_t)n;
	w->pipe_ended = w->pipe_ended || n == 0;
	return n > 0 || (n < 0 && errno == EINTR);
}

static int until(int64_t when_mono_ms)
{
	int64_t left = when_mono_ms - clock_mono_ms();

	return left < 0 ? 0 : (int)left;
}

static void wait_for_work(struct log_writer *w)
{
	bool stuck = w->retry_at_mono_ms > 0;
	struct pollfd fds[2] = { { stuck && w->len == sizeof(w->text) ? -1 : w->pipe_fd, POLLIN, 0 },
				 { w->line_fd, POLLIN, 0 } };

	poll(fds, 2, until(stuck ? w->retry_at_mono_ms : w->look_at_mono_ms));
}

/*
 * In this order: what was in the pipe before another file came may go to either; what came into it after
 * that goes to the new one. Returns whether there is a next turn: at the end no disk is waited for.
 */
static bool turn(struct log_writer *w)
{
	bool more = read_lines(w), taken = true, ends;

	hear(w);
	ends = w->stopping || w->pipe_ended;
	if (ends || w->retry_at_mono_ms <= clock_mono_ms())
		taken = write_lines(w);
	return !ends || (more && taken);
}

void log_writer_run(const struct log_writer_start *start)
{
	static struct log_writer w;

	w = (struct log_writer){ .pipe_fd = start->pipe_fd,
				 .line_fd = start->line_fd,
				 .file_fd = start->file_fd };
	snprintf(w.path, sizeof(w.path), "%s", start->path);
	do {
		if (clock_mono_ms() >= w.look_at_mono_ms)
			look(&w);
		wait_for_work(&w);
	} while (turn(&w));
}
