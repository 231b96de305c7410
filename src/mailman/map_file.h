/* SPDX-License-Identifier: ISC */
/* A map of Mailman's on the disk, and whether it is another one than it was. Blocks on the disk. */
#ifndef MAILMAN_MAP_FILE_H
#define MAILMAN_MAP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "mailman/lists.h"

/* All 0: it was not read. */
struct map_file {
	dev_t dev;
	ino_t ino;
	int64_t mtime_ns;
	off_t size;
};

/* Adds it to the set. -1 and e, which names the file. */
int map_file_read(struct map_file *m, const char *path, struct lists *into, struct err *e);
/* It was read, and is the same since. */
bool map_file_is_same(const struct map_file *m, const char *path);

#endif
