/* SPDX-License-Identifier: ISC */
/*
 * A small file of the spool that is replaced whole: written beside the old
 * one, then renamed over it, so that a crash leaves the old or the new. States
 * (state_file.c) and files of the spool's root (manage/suspend.c).
 */
#ifndef SPOOL_FILE_H
#define SPOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "spool/message.h"
#include "spool/spool.h"

/* Where it is: one of the spool's directories. */
struct spool_place {
	int dir_fd;
	const char *folder; /* for messages: "state/", "" for the root */
};
struct spool_place spool_place_queue(const struct spool *s);
struct spool_place spool_place_state(const struct spool *s);
struct spool_place spool_place_root(const struct spool *s);

#define SPOOL_FILE_NAME_MAX 64

/*
 * Writes NAME.new (made by root, it belongs to the relay). sync: its content is durable. The open descriptor;
 * -1 and e: nothing is left of it.
 */
int spool_file_stage(const struct spool *s, struct spool_place at, const char *name, const char *data, size_t len,
		     bool sync, struct err *e);
/* Takes NAME.new away. */
void spool_file_unstage(struct spool_place at, const char *name);
/* NAME.new gets its name. On failure NAME.new is gone and NAME is what it was. */
int spool_file_publish(const struct spool *s, struct spool_place at, const char *name, struct err *e);

/* All of this in one: on 0 it is durable. -1 and e: NAME is as before, or (the last sync failed) new and perhaps lost. */
int spool_file_replace(const struct spool *s, struct spool_place at, const char *name, const char *data, size_t len,
		       bool durable, struct err *e);
/* Durable on 0, also when there was none. */
int spool_file_remove(const struct spool *s, struct spool_place at, const char *name, struct err *e);

/* For reading; -1 with errno when it cannot be. The descriptor is to be closed. */
int spool_file_open(struct spool_place at, const char *name);
/* The whole file, *text is the caller's and text[len] a NUL. CORRUPT: not a regular file, or larger than max. */
enum spool_read spool_file_read(const struct spool *s, struct spool_place at, const char *name, size_t max,
				char **text, size_t *len, struct err *e);
/* The same from an open descriptor, which stays open. */
enum spool_read spool_file_read_from(const struct spool *s, struct spool_place at, const char *name, int fd,
				     size_t max, char **text, size_t *len, struct err *e);

#endif
