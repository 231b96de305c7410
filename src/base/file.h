/* SPDX-License-Identifier: ISC */
/*
 * Files as a whole, where read(2) and write(2) may do half of it. All of them
 * block, and set errno. The spool makes its own system calls (spool/sys.h).
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

/* All of it: 0, or -1 and errno. */
int file_write_all(int fd, const void *data, size_t len);
/* Up to the end of the file, or cap octets: 0 and *len, or -1 and errno. Whoever has to know that more is there gives
 * a cap one above what may be. */
int file_read_all(int fd, void *data, size_t cap, size_t *len);
/*
 * A file without a name in TMPDIR, or else /tmp, to be read and written; it is gone with its descriptor
 * (CLOEXEC). -1 and errno when it cannot be made.
 */
int file_open_unnamed(void);
/*
 * The folder of this file is synced: a rename to that name survives a power cut once this has returned 0.
 * After -1 (errno) it may, or may not.
 */
int file_sync_folder(const char *path);

#endif
